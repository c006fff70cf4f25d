/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef ZCB_POOL_H
#define ZCB_POOL_H

/*
 * pool.h - frames and who holds them.
 *
 * A frame (struct zcb) is a descriptor in the daemon's private memory: a head (frame header and
 * chunk table, in one piece) and slices of payload that lie in arenas. A received frame's head and
 * its one slice lie in its own slot of the RX arena; a frame of our own has its head in a slot of a
 * private arena and its payload where clients put it.
 *
 * Knows:      free frames, references by holder, totals by holder.
 * Knows not:  what a head says, where payload comes from.
 * Invariants: P1  a frame is free exactly when no holder has it
 *             P2  for each holder, the pool's total is the sum over its frames
 *             P3  free + taken == count
 * Thread:     poll core only; no atomics, no allocation after zcb_pool_create().
 */

#include <stddef.h>

#include "arena.h"
#include "synchrotron/types.h"

enum zcb_holder {
    ZCB_HELD_TRANSPORT, /* posted to receive, or in flight out */
    ZCB_HELD_RING,      /* backlog, or the window until stable */
    ZCB_HELD_OUT,       /* in the caller's hands: deliveries and sends not yet drained */
    ZCB_HELD_PARTIAL,   /* pieces of messages whose last piece has not come */
    ZCB_HELD_CLIENT,    /* leased to clients */
    ZCB_HELD_EVENT,     /* views, ring events and piece lists being built or waited for */
    ZCB_HOLDERS,
};

extern const char *const zcb_holder_name[ZCB_HOLDERS];

enum {
    ZCB_HEAD_BYTES_MAX = 2048,
};

#define ZCB_TO_ALL  0u         /* dest: every other node of the configuration */
#define ZCB_TO_RING UINT32_MAX /* dest: every other member of the ring (transport_ops.members) */

/* Read-only payload: `bytes` at `data`, which is `offset` in arena `arena`. */
struct zcb_slice {
    const uint8_t *data;
    uint32_t offset;
    uint32_t bytes;
    uint32_t arena;
    uint32_t key;    /* of that arena */
    uint64_t cookie; /* its owner's name for it, 0: nobody counts */
};

struct zcb_pool;

struct zcb {
    struct zcb_pool *pool;
    struct zcb *next; /* free list, or the list of the one holder that has it */
    struct zcb *base; /* a frame whose payload our slices point into, held until we go; or NULL */
    uint8_t *head;
    uint32_t head_bytes;
    uint32_t payload_bytes; /* sum of the slices */
    uint32_t slot;          /* index in the pool */
    uint32_t refs;
    uint16_t held[ZCB_HOLDERS];
    uint16_t slice_count;
    uint16_t zero;
    /* a cache line up to here */
    uint32_t dest; /* node id, ZCB_TO_ALL or ZCB_TO_RING */
    uint32_t from; /* received: node the transport says it came from, NODE_NONE unknown */
    struct zcb_slice slice[]; /* slices_max of the pool */
};

/*
 * Payload has owners, and the pool tells them: retain when a slice with a cookie joins a frame,
 * release for each such slice when the last holder lets the frame go. The owner counts; ring and
 * transport need not know there is one.
 */
typedef void (*zcb_slice_fn)(void *context, uint64_t cookie);

struct zcb_pool {
    uint8_t *slots;        /* the first; the others each stride_bytes further, in an arena */
    uint32_t slot_bytes;   /* a multiple of CACHE_LINE_BYTES */
    uint32_t stride_bytes; /* slot_bytes and the headroom */
    uint32_t arena;        /* id of the arena the slots lie in, */
    uint32_t key;          /* and its key, which may come later */
    uint32_t arena_offset; /* of slots in that arena */
    uint32_t count;
    uint32_t free_count;
    uint32_t slices_max;
    uint32_t free_least; /* the fewest free frames seen: what the pool was really for */
    size_t frame_bytes;  /* of one struct zcb with its slices */
    uint8_t *frames;
    struct zcb *free;
    uint64_t held[ZCB_HOLDERS];
    zcb_slice_fn retain, release; /* NULL, or set once after zcb_pool_create() */
    void *slice_context;
};

/* How a pool lies in its arena. */
struct zcb_pool_shape {
    size_t offset;           /* where it begins */
    uint32_t headroom_bytes; /* before each slot, nobody's but the transport's: packet headers */
    uint32_t slot_bytes;
    uint32_t count;
    uint32_t slices_max; /* of a frame, at least 1 */
};

/**
 * Set up a pool over slots of the arena. Allocates the frames' descriptors once.
 *
 * Shapes:  headroom_bytes and slot_bytes multiples of 64; all slots end within arena->bytes and
 *          4 GiB
 * Owner:   the arena stays the caller's and outlives the pool
 * Errors:  -ENOMEM
 */
int zcb_pool_create(struct zcb_pool *pool, const struct zcb_arena *arena,
                    const struct zcb_pool_shape *shape);

/* All frames must be free: P1 is checked, so a leak ends here at the latest. */
void zcb_pool_destroy(struct zcb_pool *pool);

/* A free frame, held once by `holder`, head at its slot, no slices; NULL when none is free. */
struct zcb *zcb_get(struct zcb_pool *pool, enum zcb_holder holder);

/* One reference more, one less, or one moved. Dropping the last one frees the frame: releases its
 * slices, then drops its base. Who drops or passes a reference must hold it (P1). */
void zcb_hold(struct zcb *frame, enum zcb_holder holder);
void zcb_drop(struct zcb *frame, enum zcb_holder holder);
void zcb_pass(struct zcb *frame, enum zcb_holder from, enum zcb_holder to);

/* Append payload. The pool's slices_max must not be exceeded. */
void zcb_add_slice(struct zcb *frame, const struct zcb_slice *slice);

/*
 * Let frame's slices point into base, which has to stay until frame is free. Takes a reference of
 * its own, counted as ZCB_HELD_RING of base and dropped when frame's last one is. Once a frame.
 */
void zcb_set_base(struct zcb *frame, struct zcb *base);

static inline struct zcb *zcb_at(const struct zcb_pool *pool, uint32_t slot)
{
    return (struct zcb *)(void *)(pool->frames + (size_t)slot * pool->frame_bytes);
}

/* Offset of a frame's slot in the pool's arena. */
static inline uint32_t zcb_slot_offset(const struct zcb *frame)
{
    return frame->pool->arena_offset + frame->slot * frame->pool->stride_bytes;
}

/* P1 to P3 over the whole pool, by counting: for tests and the simulator. Aborts when broken. */
void zcb_pool_check(const struct zcb_pool *pool);
/* The same of frames that were ever taken, which may be few. */
void zcb_pool_check_used(const struct zcb_pool *pool);

#endif
