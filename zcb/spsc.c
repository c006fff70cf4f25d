/* SPDX-License-Identifier: BSD-3-Clause */
#include "spsc.h"

#include <errno.h>

static void check_shape(uint32_t entry_bytes, uint32_t count)
{
    INVARIANT(entry_bytes > 0);
    INVARIANT(count > 0 && (count & (count - 1)) == 0);
    INVARIANT(count <= INT32_MAX); /* spsc_room() and spsc_waiting() return int */
}

/* Each end starts from its own word, which is the one it may believe. */
void spsc_producer_init(struct spsc_producer *p, void *entries, uint32_t entry_bytes,
                        uint32_t count, _Atomic uint32_t *tail, const _Atomic uint32_t *head)
{
    check_shape(entry_bytes, count);
    uint32_t start = atomic_load_explicit(tail, memory_order_relaxed);
    *p = (struct spsc_producer){
        .entries = entries,
        .entry_bytes = entry_bytes,
        .count = count,
        .tail = start,
        .head_seen = start,
        .tail_shared = tail,
        .head_shared = head,
    };
}

void spsc_consumer_init(struct spsc_consumer *c, const void *entries, uint32_t entry_bytes,
                        uint32_t count, const _Atomic uint32_t *tail, _Atomic uint32_t *head)
{
    check_shape(entry_bytes, count);
    uint32_t start = atomic_load_explicit(head, memory_order_relaxed);
    *c = (struct spsc_consumer){
        .entries = entries,
        .entry_bytes = entry_bytes,
        .count = count,
        .head = start,
        .tail_seen = start,
        .tail_shared = tail,
        .head_shared = head,
    };
}

int spsc_pair_create(struct spsc_pair *pair, uint32_t entry_bytes, uint32_t count)
{
    check_shape(entry_bytes, count);
    size_t bytes = align_up((uint64_t)entry_bytes * count, CACHE_LINE_BYTES);
    void *memory = aligned_alloc(CACHE_LINE_BYTES, bytes);
    if (!memory)
        return -ENOMEM;
    pair->memory = memory;
    atomic_init(&pair->tail, 0);
    atomic_init(&pair->head, 0);
    spsc_producer_init(&pair->producer, memory, entry_bytes, count, &pair->tail, &pair->head);
    spsc_consumer_init(&pair->consumer, memory, entry_bytes, count, &pair->tail, &pair->head);
    return 0;
}

void spsc_pair_destroy(struct spsc_pair *pair)
{
    free(pair->memory);
    pair->memory = NULL;
}
