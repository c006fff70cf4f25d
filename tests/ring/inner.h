/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_RING_INNER_H
#define TESTS_RING_INNER_H

/*
 * inner.h - a ring that is operational without a network, for tests of single mechanisms.
 */

#include "internal.h"

enum { INNER_POOL = 9000, INNER_FRAME_BYTES = 1472 };

struct inner {
    struct zcb_arena arena;
    struct zcb_pool pool;
    struct ring *ring;
    void *memory;
    uint32_t ids[16];
};

/* Node `id` of `count`, in a ring of all of them. */
static inline struct ring *inner_make_as(struct inner *in, int count, uint32_t id)
{
    size_t bytes = (size_t)INNER_POOL * RING_HEAD_BYTES;
    in->arena = (struct zcb_arena){
        .base = aligned_alloc(4096, bytes), .bytes = bytes, .page_bytes = 4096, .id = 1, .fd = -1
    };
    int error = zcb_pool_create(&in->pool, &in->arena,
                                &(struct zcb_pool_shape){ .slot_bytes = RING_HEAD_BYTES,
                                                          .count = INNER_POOL,
                                                          .slices_max = RING_SLICES_MAX });
    for (int i = 0; i < count; i++)
        in->ids[i] = (uint32_t)i + 1;
    struct ring_config config = {
        .node_id = id,
        .cluster_tag = 1,
        .nodes = in->ids,
        .node_count = count,
        .incarnation = 1,
        .detect_ns = NS_PER_S,
        .frame_bytes_max = INNER_FRAME_BYTES,
        .tx_pool = &in->pool,
    };
    const char *why = NULL;
    in->memory = malloc(ring_bytes(&config));
    error |= ring_init(&in->ring, in->memory, &config, NS_PER_S, &why);
    INVARIANT(error == 0);
    struct node_set all = { { 0 } };
    for (int i = 0; i < count; i++)
        set_add(&all, i);
    struct ring *r = in->ring;
    configuration_set(r, &r->my_ring, (struct ring_id){ .seq = 4, .rep = 1 }, all);
    r->state = RING_OPERATIONAL;
    r->rx_free = 100000;
    return r;
}

static inline struct ring *inner_make(struct inner *in, int count)
{
    return inner_make_as(in, count, 1);
}

/* A frame with a place, held by nobody else than the window. */
static inline enum window_verdict inner_put(struct inner *in, struct window *w, uint64_t seq)
{
    struct zcb *frame = zcb_get(&in->pool, ZCB_HELD_RING);
    struct wire_data *data = (struct wire_data *)(void *)frame->head;
    *data = (struct wire_data){ .seq = seq, .head.type = WIRE_DATA };
    enum window_verdict verdict = window_put(w, seq, frame);
    zcb_drop(frame, ZCB_HELD_RING);
    return verdict;
}

/* A JOIN of node `sender`: nodes 1 to `count` are there, it thinks, and those behind, up to `all`,
 * have failed. */
static inline void inner_hear(struct ring *r, uint32_t sender, uint64_t ring_seq, int count,
                              int all)
{
    struct {
        struct wire_join join;
        uint32_t id[ARRAY_COUNT(((struct inner *)NULL)->ids)];
    } wire = { .join = { .head = { .sender = sender, .ring_seq = ring_seq, .ring_rep = 1 },
                         .proc_count = (uint16_t)count,
                         .fail_count = (uint16_t)(all - count),
                         .version_low = WIRE_VERSION_LOW,
                         .version_high = WIRE_VERSION_HIGH,
                         .frame_bytes_max = INNER_FRAME_BYTES,
                         .incarnation = 5 } };
    for (int i = 0; i < all; i++)
        wire.id[i] = (uint32_t)i + 1;
    join_receive(r, &wire.join);
}

static inline void inner_end(struct inner *in)
{
    struct ring *r = in->ring;
    window_reset(r->cur);
    window_reset(r->old);
    while (r->send_head != r->send_tail)
        zcb_drop(r->send[r->send_head++ % SENDS_MAX], ZCB_HELD_OUT);
    zcb_pool_destroy(&in->pool); /* aborts when a frame is out */
    free(in->memory);
    free(in->arena.base);
}

#endif
