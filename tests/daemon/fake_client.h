/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_DAEMON_FAKE_CLIENT_H
#define TESTS_DAEMON_FAKE_CLIENT_H

/*
 * fake_client.h - the other end of a client's channel, in the same process: reads events, gives
 * leases back, pushes submits. As honest or as dishonest as a test wants it.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core.h"

struct fake_client {
    struct chan_up *up;
    struct chan_down *down;
    struct core_client_setup setup;
    struct spsc_consumer events;
    struct spsc_producer done, submit;
    int socket; /* the client's end */
    uint8_t *tx;
    uint64_t tx_bytes, tx_end;
    uint32_t tx_arena;
};

static inline void *fake_region(size_t bytes)
{
    void *region = aligned_alloc(CHAN_PAGE_BYTES, bytes);
    INVARIANT(region);
    memset(region, 0, bytes);
    return region;
}

/* Without a socket: for a core that never wakes anybody. */
static inline void fake_client_make(struct fake_client *f, uint32_t slot, uint32_t pid,
                                    uint32_t flags)
{
    *f = (struct fake_client){ .up = fake_region(CHAN_UP_BYTES),
                               .down = fake_region(CHAN_DOWN_BYTES),
                               .socket = -1 };
    f->setup = (struct core_client_setup){
        .slot = slot,
        .serial = slot + 1,
        .pid = pid,
        .flags = flags,
        .up = f->up,
        .wake = &f->up->wake_page,
        .down = f->down,
        .wake_socket = -1,
    };
    spsc_consumer_init(&f->events, f->down->event, sizeof(struct chan_event), CHAN_EVENT_COUNT,
                       &f->down->event_tail, &f->up->words.event_head);
    spsc_producer_init(&f->done, f->up->done, sizeof(uint32_t), CHAN_DONE_COUNT,
                       &f->up->words.done_tail, &f->down->done_head);
    spsc_producer_init(&f->submit, f->up->submit, sizeof(struct chan_submit), CHAN_SUBMIT_COUNT,
                       &f->up->words.submit_tail, &f->down->submit_head);
}

static inline void fake_client_open(struct fake_client *f, uint32_t slot, uint32_t pid,
                                    uint32_t flags)
{
    int pair[2];
    int failed = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair);
    INVARIANT(failed == 0);
    fake_client_make(f, slot, pid, flags);
    f->socket = pair[1];
    f->setup.wake_socket = pair[0];
}

static inline void fake_client_close(struct fake_client *f)
{
    if (f->socket >= 0) {
        close(f->socket);
        close(f->setup.wake_socket);
    }
    free(f->up);
    free(f->down);
    free(f->tx);
    *f = (struct fake_client){ .socket = -1 };
}

static inline struct core_segment_setup fake_client_segment(struct fake_client *f, uint64_t bytes,
                                                            uint32_t arena)
{
    f->tx = fake_region(bytes);
    f->tx_bytes = bytes;
    f->tx_arena = arena;
    return (struct core_segment_setup){
        .client_slot = f->setup.slot,
        .index = 0,
        .arena = { .base = f->tx,
                   .bytes = bytes,
                   .id = arena,
                   .key = 1000 + arena,
                   .fd = -1,
                   .page_bytes = 4096 },
    };
}

/* Push a message as the library does; false: no room now. */
static inline bool fake_client_send(struct fake_client *f, const void *data, uint32_t bytes,
                                    uint8_t guarantee)
{
    uint64_t start = f->tx_end, room = align_up(bytes, CHAN_TX_ALIGN);
    if (f->tx_bytes - start % f->tx_bytes < room)
        start = align_up(start, f->tx_bytes); /* not around the corner */
    uint64_t end = start + room;
    uint64_t free_end = atomic_load_explicit(&f->down->tx_free[0], memory_order_acquire);
    if (end - free_end > f->tx_bytes || spsc_room(&f->submit) <= 0) {
        atomic_fetch_add_explicit(&f->up->words.refused, 1, memory_order_relaxed);
        return false;
    }
    memcpy(f->tx + start % f->tx_bytes, data, bytes);
    *(struct chan_submit *)spsc_next(&f->submit) = (struct chan_submit){
        .offset = (uint32_t)(start % f->tx_bytes),
        .bytes = bytes,
        .end = end,
        .guarantee = guarantee,
    };
    spsc_publish(&f->submit);
    f->tx_end = end;
    return true;
}

static inline int fake_client_waiting(struct fake_client *f)
{
    return spsc_waiting(&f->events);
}

/* The next event; its lease is the caller's to give back. */
static inline bool fake_client_take(struct fake_client *f, struct chan_event *event)
{
    if (spsc_waiting(&f->events) <= 0)
        return false;
    *event = *(const struct chan_event *)spsc_take(&f->events);
    spsc_release(&f->events);
    return true;
}

static inline void fake_client_give_back(struct fake_client *f, uint32_t lease)
{
    INVARIANT(spsc_room(&f->done) > 0);
    *(uint32_t *)spsc_next(&f->done) = lease;
    spsc_publish(&f->done);
}

/* Take an event and give back the lease it ends. */
static inline bool fake_client_read(struct fake_client *f, struct chan_event *event)
{
    if (!fake_client_take(f, event))
        return false;
    if (event->flags & CHAN_LEASE_END)
        fake_client_give_back(f, event->lease);
    return true;
}

/* Payload of an event into one buffer, from the arenas it names. */
struct fake_arena {
    uint32_t id;
    const uint8_t *base;
};

static inline const uint8_t *fake_arena_at(const struct fake_arena *arenas, uint32_t id,
                                           uint64_t offset)
{
    while (arenas->id != id) {
        INVARIANT(arenas->id != 0);
        arenas++;
    }
    return arenas->base + offset;
}

static inline void fake_client_gather(const struct fake_arena *arenas,
                                      const struct chan_event *event, uint8_t *to)
{
    if (!(event->flags & CHAN_LISTED)) {
        if (event->bytes > 0)
            memcpy(to, fake_arena_at(arenas, event->arena, event->offset), event->bytes);
        return;
    }
    uint64_t at = event->offset, got = 0;
    while (got < event->bytes) {
        const struct chan_list *list =
            (const struct chan_list *)(const void *)fake_arena_at(arenas, event->arena, at);
        for (uint32_t i = 0; i < list->count; i++) {
            const struct chan_piece *piece = &list->piece[i];
            memcpy(to + got, fake_arena_at(arenas, piece->arena, piece->offset), piece->bytes);
            got += piece->bytes;
        }
        at = list->next;
    }
    INVARIANT(got == event->bytes);
}

#endif
