/* SPDX-License-Identifier: BSD-3-Clause */
#include "memory.h"

#include <errno.h>
#include <stdlib.h>

static int slots_alloc(struct rte_mempool *mempool)
{
    mempool->pool_data = mempool->pool_config;
    return 0;
}

static void slots_free(struct rte_mempool *mempool)
{
    (void)mempool;
}

static int slots_enqueue(struct rte_mempool *mempool, void *const *mbufs, unsigned count)
{
    struct dpdk_slots *slots = mempool->pool_data;
    for (unsigned i = 0; i < count; i++) {
        struct zcb *frame = dpdk_slots_leave(slots, mbufs[i]);
        if (slots->ready)
            zcb_drop(frame, ZCB_HELD_TRANSPORT);
    }
    return 0;
}

/*
 * What a driver puts in front of the packet (RTE_PKTMBUF_HEADROOM) stays untouched, so it may lie
 * in the slot before.
 */
static void pin(const struct dpdk_slots *slots, struct rte_mbuf *m, struct zcb *frame)
{
    uint8_t *head = slots->frames->slots + (size_t)frame->slot * slots->frames->stride_bytes;
    m->buf_addr = head - slots->head_bytes - RTE_PKTMBUF_HEADROOM;
    m->buf_iova = (rte_iova_t)(uintptr_t)m->buf_addr;
    *(struct zcb **)rte_mbuf_to_priv(m) = frame;
}

static int slots_dequeue(struct rte_mempool *mempool, void **mbufs, unsigned count)
{
    struct dpdk_slots *slots = mempool->pool_data;
    bool short_of_frames = slots->ready && slots->frames->free_count < slots->reserve + count;
    if (slots->free_count < count || short_of_frames) { /* B2 */
        slots->refused++;
        return -ENOBUFS;
    }
    for (unsigned i = 0; i < count; i++) {
        struct rte_mbuf *m = slots->free[--slots->free_count];
        if (slots->ready) /* else the pool is taken apart, object by object */
            pin(slots, m, zcb_get(slots->frames, ZCB_HELD_TRANSPORT));
        mbufs[i] = m;
    }
    return 0;
}

static unsigned slots_count(const struct rte_mempool *mempool)
{
    const struct dpdk_slots *slots = mempool->pool_data;
    return slots->ready ? min_u32(slots->frames->free_count, slots->free_count) : slots->free_count;
}

static const struct rte_mempool_ops slots_ops = {
    .name = "zcb",
    .alloc = slots_alloc,
    .free = slots_free,
    .enqueue = slots_enqueue,
    .dequeue = slots_dequeue,
    .get_count = slots_count,
};
RTE_MEMPOOL_REGISTER_OPS(slots_ops);

/* Nothing to free: the memory is an arena's. */
static void slot_memory_freed(void *buffer, void *context)
{
    (void)buffer;
    (void)context;
}

/* For good: all that is not the slot's. */
static void prepare(struct rte_mempool *mempool, void *arg, void *object, unsigned index)
{
    struct dpdk_slots *slots = arg;
    struct rte_mbuf *m = object;
    rte_pktmbuf_init(mempool, NULL, m, index);
    m->buf_len = rte_pktmbuf_data_room_size(mempool);
    m->ol_flags = RTE_MBUF_F_EXTERNAL;
    m->shinfo = &slots->shared;
    rte_pktmbuf_reset_headroom(m);
}

static struct rte_mempool *slots_mempool(struct dpdk_slots *slots, uint32_t room_bytes)
{
    static uint32_t serial; /* names are EAL's own, and process-wide */
    char name[RTE_MEMPOOL_NAMESIZE];
    struct rte_pktmbuf_pool_private about = {
        .mbuf_data_room_size = (uint16_t)room_bytes,
        .mbuf_priv_size = sizeof(struct zcb *),
        .flags = RTE_PKTMBUF_POOL_F_PINNED_EXT_BUF,
    };
    snprintf(name, sizeof(name), "zcb-rx-%u", serial++);
    struct rte_mempool *mempool = rte_mempool_create_empty(
        name, DPDK_SLOT_MBUFS, sizeof(struct rte_mbuf) + sizeof(struct zcb *), 0, sizeof(about),
        SOCKET_ID_ANY, RTE_MEMPOOL_F_NO_SPREAD | RTE_MEMPOOL_F_NO_IOVA_CONTIG);
    if (!mempool)
        return NULL;
    rte_pktmbuf_pool_init(mempool, &about);
    if (rte_mempool_set_ops_byname(mempool, slots_ops.name, slots) == 0 &&
        rte_mempool_populate_default(mempool) == DPDK_SLOT_MBUFS) {
        rte_mempool_obj_iter(mempool, prepare, slots);
        return mempool;
    }
    rte_mempool_free(mempool);
    return NULL;
}

int dpdk_slots_create(struct dpdk_slots *slots, struct zcb_pool *frames, uint32_t reserve,
                      uint32_t head_bytes)
{
    uint32_t room_bytes = RTE_PKTMBUF_HEADROOM + frames->stride_bytes;
    INVARIANT(head_bytes <= frames->stride_bytes - frames->slot_bytes);
    INVARIANT(room_bytes <= UINT16_MAX);
    *slots = (struct dpdk_slots){ .frames = frames, .reserve = reserve, .head_bytes = head_bytes };
    slots->free = calloc(DPDK_SLOT_MBUFS, sizeof(struct rte_mbuf *));
    if (!slots->free)
        return -ENOMEM;
    slots->shared.free_cb = slot_memory_freed;
    rte_mbuf_ext_refcnt_set(&slots->shared, 1);
    slots->mempool = slots_mempool(slots, room_bytes);
    if (!slots->mempool) {
        free(slots->free);
        return -(rte_errno ? rte_errno : ENOMEM);
    }
    slots->ready = true;
    return 0;
}

void dpdk_slots_destroy(struct dpdk_slots *slots)
{
    slots->ready = false;
    rte_mempool_free(slots->mempool);
    free(slots->free);
    *slots = (struct dpdk_slots){ 0 };
}

static void end_loan(struct dpdk_loan *loan)
{
    if (!loan->frame)
        return;
    zcb_drop(loan->frame, ZCB_HELD_TRANSPORT);
    loan->frame = NULL;
    loan->loans->open--;
    loan->loans->returned++;
}

/* B3: the last segment has gone. */
static void loan_returned(void *buffer, void *context)
{
    struct dpdk_loan *loan = context;
    struct dpdk_loans *loans = loan->loans;
    (void)buffer;
    end_loan(loan);
    loan->next = loans->free;
    loans->free = loan;
    loans->free_count++;
}

void dpdk_loans_end(struct dpdk_loans *loans)
{
    for (uint32_t i = 0; i < loans->count && loans->open > 0; i++)
        end_loan(&loans->all[i]);
}

int dpdk_loans_create(struct dpdk_loans *loans, uint32_t count)
{
    *loans = (struct dpdk_loans){ .all = calloc(count, sizeof(struct dpdk_loan)),
                                  .count = count,
                                  .free_count = count };
    if (!loans->all)
        return -ENOMEM;
    for (uint32_t i = count; i-- > 0;) {
        loans->all[i].shared.free_cb = loan_returned;
        loans->all[i].shared.fcb_opaque = &loans->all[i];
        loans->all[i].loans = loans;
        loans->all[i].next = loans->free;
        loans->free = &loans->all[i];
    }
    return 0;
}

void dpdk_loans_destroy(struct dpdk_loans *loans)
{
    INVARIANT(loans->free_count == loans->count); /* B3: ports are stopped, drivers have nothing */
    free(loans->all);
    *loans = (struct dpdk_loans){ 0 };
}

struct dpdk_loan *dpdk_loan_take(struct dpdk_loans *loans, struct zcb *frame)
{
    struct dpdk_loan *loan = loans->free;
    if (!loan)
        return NULL;
    loans->free = loan->next;
    loans->free_count--;
    zcb_pass(frame, ZCB_HELD_OUT, ZCB_HELD_TRANSPORT);
    loan->frame = frame;
    loan->next = NULL;
    loans->open++;
    rte_mbuf_ext_refcnt_set(&loan->shared, 1); /* the caller's, until it is sealed */
    return loan;
}

void dpdk_loan_sealed(struct dpdk_loan *loan)
{
    if (rte_mbuf_ext_refcnt_update(&loan->shared, -1) == 0)
        loan_returned(NULL, loan);
}
