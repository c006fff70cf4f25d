/* SPDX-License-Identifier: BSD-3-Clause */
#include "pool.h"

#include <errno.h>
#include <string.h>

enum { CHECK_AHEAD = 16 }; /* frames that a check asks memory for before it needs them */

static_assert(offsetof(struct zcb, dest) == CACHE_LINE_BYTES, "who holds a frame is in one line");

const char *const zcb_holder_name[ZCB_HOLDERS] = {
    [ZCB_HELD_TRANSPORT] = "transport", [ZCB_HELD_RING] = "ring",     [ZCB_HELD_OUT] = "out",
    [ZCB_HELD_PARTIAL] = "partial",     [ZCB_HELD_CLIENT] = "client", [ZCB_HELD_EVENT] = "event",
};

int zcb_pool_create(struct zcb_pool *pool, const struct zcb_arena *arena,
                    const struct zcb_pool_shape *shape)
{
    uint32_t headroom = shape->headroom_bytes, count = shape->count;
    INVARIANT(shape->slot_bytes > 0 && shape->slot_bytes % CACHE_LINE_BYTES == 0);
    INVARIANT(headroom % CACHE_LINE_BYTES == 0);
    INVARIANT(count > 0 && shape->slices_max >= 1 && shape->slices_max <= UINT16_MAX);
    uint64_t end = shape->offset + (uint64_t)count * (headroom + shape->slot_bytes);
    INVARIANT(end <= arena->bytes && end <= UINT32_MAX + UINT64_C(1)); /* offsets have 32 bits */

    *pool = (struct zcb_pool){
        .slots = arena->base + shape->offset + headroom,
        .slot_bytes = shape->slot_bytes,
        .stride_bytes = headroom + shape->slot_bytes,
        .arena = arena->id,
        .key = arena->key,
        .arena_offset = (uint32_t)shape->offset + headroom,
        .count = count,
        .free_count = count,
        .free_least = count,
        .slices_max = shape->slices_max,
        .frame_bytes = align_up(sizeof(struct zcb) + shape->slices_max * sizeof(struct zcb_slice),
                                CACHE_LINE_BYTES),
    };
    pool->frames = aligned_alloc(CACHE_LINE_BYTES, pool->frame_bytes * count);
    if (!pool->frames)
        return -ENOMEM;
    for (uint32_t slot = count; slot-- > 0;) { /* so that slot 0 is the first to be had */
        struct zcb *frame = zcb_at(pool, slot);
        *frame = (struct zcb){ .pool = pool, .slot = slot, .next = pool->free };
        pool->free = frame;
    }
    return 0;
}

void zcb_pool_destroy(struct zcb_pool *pool)
{
    if (!pool->frames)
        return;
    zcb_pool_check(pool);
    INVARIANT(pool->free_count == pool->count); /* P1: else somebody still holds a frame */
    free(pool->frames);
    *pool = (struct zcb_pool){ 0 };
}

static void add_reference(struct zcb *frame, enum zcb_holder holder)
{
    INVARIANT(frame->held[holder] < UINT16_MAX);
    frame->held[holder]++;
    frame->refs++;
    frame->pool->held[holder]++;
}

struct zcb *zcb_get(struct zcb_pool *pool, enum zcb_holder holder)
{
    struct zcb *frame = pool->free;
    if (!frame)
        return NULL;
    pool->free = frame->next;
    pool->free_count--;
    if (pool->free_count < pool->free_least)
        pool->free_least = pool->free_count;
    frame->next = NULL;
    frame->base = NULL;
    frame->head = pool->slots + (size_t)frame->slot * pool->stride_bytes;
    frame->head_bytes = 0;
    frame->payload_bytes = 0;
    frame->dest = ZCB_TO_ALL;
    frame->from = NODE_NONE;
    frame->slice_count = 0;
    add_reference(frame, holder);
    return frame;
}

void zcb_hold(struct zcb *frame, enum zcb_holder holder)
{
    INVARIANT(frame->refs > 0); /* P1: a free frame is on the free list and stays there */
    add_reference(frame, holder);
}

/* True when that was the last reference. */
static bool let_go(struct zcb *frame, enum zcb_holder holder)
{
    INVARIANT(frame->held[holder] > 0); /* P1: who drops it holds it */
    frame->held[holder]--;
    frame->pool->held[holder]--;
    return --frame->refs == 0;
}

static void give_back(struct zcb *frame)
{
    struct zcb_pool *pool = frame->pool;
    for (uint32_t i = 0; i < frame->slice_count && pool->release; i++) {
        if (frame->slice[i].cookie)
            pool->release(pool->slice_context, frame->slice[i].cookie);
    }
    frame->slice_count = 0;
    frame->base = NULL;
    frame->next = pool->free;
    pool->free = frame;
    pool->free_count++;
}

void zcb_drop(struct zcb *frame, enum zcb_holder holder)
{
    /* A base may itself stand on a base: a loop, so that their depth does not matter. */
    while (frame && let_go(frame, holder)) {
        struct zcb *base = frame->base;
        give_back(frame);
        frame = base;
        holder = ZCB_HELD_RING;
    }
}

void zcb_pass(struct zcb *frame, enum zcb_holder from, enum zcb_holder to)
{
    zcb_hold(frame, to);
    bool last = let_go(frame, from);
    INVARIANT(!last);
}

void zcb_add_slice(struct zcb *frame, const struct zcb_slice *slice)
{
    struct zcb_pool *pool = frame->pool;
    INVARIANT(frame->slice_count < pool->slices_max);
    frame->slice[frame->slice_count++] = *slice;
    frame->payload_bytes += slice->bytes;
    if (slice->cookie && pool->retain)
        pool->retain(pool->slice_context, slice->cookie);
}

void zcb_set_base(struct zcb *frame, struct zcb *base)
{
    INVARIANT(!frame->base && base != frame);
    zcb_hold(base, ZCB_HELD_RING);
    frame->base = base;
}

/* P1 to P3 where frames from slot `used` on have never been taken: they end the free list. */
static void check_used(const struct zcb_pool *pool, uint32_t used)
{
    uint64_t held[ZCB_HOLDERS] = { 0 };
    uint32_t unheld = 0;
    for (uint32_t slot = 0; slot < used; slot++) {
        const struct zcb *frame = zcb_at(pool, slot);
        uint32_t refs = 0;
        __builtin_prefetch(pool->frames + (slot + CHECK_AHEAD) * pool->frame_bytes);
        for (int holder = 0; holder < ZCB_HOLDERS; holder++) {
            refs += frame->held[holder];
            held[holder] += frame->held[holder];
        }
        INVARIANT(frame->pool == pool && frame->slot == slot);
        INVARIANT(frame->refs == refs);
        unheld += refs == 0;
    }
    const struct zcb *end = used < pool->count ? zcb_at(pool, used) : NULL;
    uint32_t listed = 0;
    for (const struct zcb *frame = pool->free; frame != end; frame = frame->next) {
        INVARIANT(frame && frame->refs == 0); /* P1 */
        INVARIANT(++listed <= used);
    }
    INVARIANT(listed == unheld && listed + (pool->count - used) == pool->free_count); /* P1, P3 */
    for (int holder = 0; holder < ZCB_HOLDERS; holder++)
        INVARIANT(held[holder] == pool->held[holder]); /* P2 */
}

void zcb_pool_check(const struct zcb_pool *pool)
{
    check_used(pool, pool->count);
}

/* The frame freed last is taken first: so many were never needed. */
void zcb_pool_check_used(const struct zcb_pool *pool)
{
    check_used(pool, pool->count - pool->free_least);
}
