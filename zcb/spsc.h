/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef ZCB_SPSC_H
#define ZCB_SPSC_H

/*
 * spsc.h - a single-producer, single-consumer queue whose two ends need not trust each other.
 *
 * The producer writes entries and `tail`, the consumer writes `head`; between processes the two
 * lie in regions of different owners. Indexes run freely modulo 2^32. Each end keeps its own index
 * privately and treats the other's as input: a tail or head that leaves the allowed range is
 * reported, never followed.
 *
 * Invariants: S1  0 <= tail - head <= count, as each end sees it, else -EPROTO; nor does a tail or
 *                 head go back: what was pushed or taken stays so, and may be relied upon
 *             S2  an entry is written before the tail that covers it is (release pairs with the
 *                 consumer's acquire), and read before the head that frees it is
 * Thread:     one producer, one consumer; no call waits.
 */

#include <stdatomic.h>
#include <stddef.h>

#include "synchrotron/types.h"

struct spsc_producer {
    uint8_t *entries;
    uint32_t entry_bytes;
    uint32_t count;     /* a power of two */
    uint32_t tail;      /* private: written, published or not */
    uint32_t head_seen; /* private: newest valid head of the other end */
    _Atomic uint32_t *tail_shared;
    const _Atomic uint32_t *head_shared;
};

struct spsc_consumer {
    const uint8_t *entries;
    uint32_t entry_bytes;
    uint32_t count;
    uint32_t head;      /* private */
    uint32_t tail_seen; /* private: newest valid tail of the other end */
    const _Atomic uint32_t *tail_shared;
    _Atomic uint32_t *head_shared;
};

void spsc_producer_init(struct spsc_producer *p, void *entries, uint32_t entry_bytes,
                        uint32_t count, _Atomic uint32_t *tail, const _Atomic uint32_t *head);
void spsc_consumer_init(struct spsc_consumer *c, const void *entries, uint32_t entry_bytes,
                        uint32_t count, const _Atomic uint32_t *tail, _Atomic uint32_t *head);

/* Entries that can be written now; -EPROTO when the consumer's head is out of range or goes
 * back (S1). */
static inline int spsc_room(struct spsc_producer *p)
{
    uint32_t head = atomic_load_explicit(p->head_shared, memory_order_acquire);
    if (p->tail - head > p->tail - p->head_seen)
        return -71; /* -EPROTO */
    p->head_seen = head;
    return (int)(p->count - (p->tail - head));
}

/* The next entry to fill; the caller has asked spsc_room(). Not visible until published. */
static inline void *spsc_next(struct spsc_producer *p)
{
    return p->entries + (size_t)(p->tail++ & (p->count - 1)) * p->entry_bytes;
}

/* Make everything written so far visible. */
static inline void spsc_publish(struct spsc_producer *p)
{
    atomic_store_explicit(p->tail_shared, p->tail, memory_order_release);
}

/* Entries waiting; -EPROTO when the producer's tail is out of range or goes back (S1). */
static inline int spsc_waiting(struct spsc_consumer *c)
{
    uint32_t tail = atomic_load_explicit(c->tail_shared, memory_order_acquire);
    if (tail - c->tail_seen > c->head + c->count - c->tail_seen)
        return -71; /* -EPROTO */
    c->tail_seen = tail;
    return (int)(tail - c->head);
}

/* The oldest entry not taken yet: copy it once, then look at the copy only. The caller has asked
 * spsc_waiting(). */
static inline const void *spsc_take(struct spsc_consumer *c)
{
    return c->entries + (size_t)(c->head++ & (c->count - 1)) * c->entry_bytes;
}

/* Give the taken entries back to the producer. */
static inline void spsc_release(struct spsc_consumer *c)
{
    atomic_store_explicit(c->head_shared, c->head, memory_order_release);
}

/*
 * The same queue between two threads of one process, with its memory: the poll core and the
 * control thread. spsc_pair_create allocates count * entry_bytes; -ENOMEM.
 */
struct spsc_pair {
    struct spsc_producer producer;
    _Alignas(CACHE_LINE_BYTES) struct spsc_consumer consumer;
    _Alignas(CACHE_LINE_BYTES) _Atomic uint32_t tail;
    _Alignas(CACHE_LINE_BYTES) _Atomic uint32_t head;
    void *memory;
};

int spsc_pair_create(struct spsc_pair *pair, uint32_t entry_bytes, uint32_t count);
void spsc_pair_destroy(struct spsc_pair *pair);

#endif
