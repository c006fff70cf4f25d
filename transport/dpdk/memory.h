/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TRANSPORT_DPDK_MEMORY_H
#define TRANSPORT_DPDK_MEMORY_H

/*
 * memory.h - mbufs over memory that is not DPDK's: received frames in the slots of a zcb pool, sent
 * payload where clients put it.
 *
 * A receive mbuf is pinned to a slot when a driver takes it: its buffer begins so that a packet's
 * payload lies at the slot's beginning, where T2 wants it. The mempool it is taken from asks the
 * zcb pool: a slot that a client still reads cannot be had. What is received leaves its mbuf, which
 * is free for another slot at once; so there are as many as drivers hold, and not one for each
 * slot.
 *
 * Invariants: B1  an mbuf of the receive pool that a driver has is a frame held by
 *                 ZCB_HELD_TRANSPORT, and the other way round
 *             B2  the zcb pool keeps `reserve` free frames whatever arrives
 *             B3  a frame that is sent by reference is held once by ZCB_HELD_TRANSPORT, from
 *                 dpdk_loan_take() until the last segment that points into it is freed, or nobody
 *                 will read what those point to: dpdk_loans_end()
 * Thread:     create and destroy: control thread. All others: the one that polls.
 */

#include "rte.h"
#include "zcb.h"

enum {
    DPDK_SLOT_MBUFS = 2048, /* what drivers hold of all ports together, and a burst */
};

struct dpdk_slots {
    struct rte_mempool *mempool;
    struct zcb_pool *frames;
    struct rte_mbuf **free; /* a stack: the last is the one in cache */
    uint32_t reserve, free_count, head_bytes;
    bool ready;       /* all mbufs are made: from now on they come and go as frames do */
    uint64_t refused; /* how often a driver wanted more than there was */
    struct rte_mbuf_ext_shared_info shared; /* no driver ever frees a slot's memory */
};

/**
 * Shapes:  head_bytes, of what a card writes before the payload, is at most the pool's headroom
 * Errors:  -errno
 */
int dpdk_slots_create(struct dpdk_slots *slots, struct zcb_pool *frames, uint32_t reserve,
                      uint32_t head_bytes);
void dpdk_slots_destroy(struct dpdk_slots *slots);

/* The frame an mbuf is pinned to. */
static inline struct zcb *dpdk_slots_frame(struct rte_mbuf *m)
{
    return *(struct zcb **)rte_mbuf_to_priv(m);
}

/* The frame, still held by ZCB_HELD_TRANSPORT, without its mbuf. */
static inline struct zcb *dpdk_slots_leave(struct dpdk_slots *slots, struct rte_mbuf *m)
{
    slots->free[slots->free_count++] = m;
    return dpdk_slots_frame(m);
}

/* Payload of one frame on its way out, in as many segments as it takes. */
struct dpdk_loan {
    struct rte_mbuf_ext_shared_info shared;
    struct dpdk_loans *loans;
    struct zcb *frame;      /* NULL: it has come back */
    struct dpdk_loan *next; /* on the free list */
};

struct dpdk_loans {
    struct dpdk_loan *all, *free;
    uint32_t count, free_count;
    uint32_t open;     /* frames that are lent */
    uint64_t returned; /* so far */
};

int dpdk_loans_create(struct dpdk_loans *loans, uint32_t count); /* -ENOMEM */
void dpdk_loans_destroy(struct dpdk_loans *loans);

/* Takes the caller's ZCB_HELD_OUT. NULL: none is free. */
struct dpdk_loan *dpdk_loan_take(struct dpdk_loans *loans, struct zcb *frame);
/* All that was lent has been sent, though drivers keep the segments yet. */
void dpdk_loans_end(struct dpdk_loans *loans);
/* The caller has attached all segments it wants to. */
void dpdk_loan_sealed(struct dpdk_loan *loan);

#endif
