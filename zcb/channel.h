/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef ZCB_CHANNEL_H
#define ZCB_CHANNEL_H

/*
 * channel.h - the two shared regions between the daemon and one client, and the one shared by all.
 *
 *   up    client writes, daemon reads:  submit entries and tail, done entries and tail, deliver
 *         head; and one wake page that both write (wake.h)
 *   down  daemon writes, client reads:  deliver entries and tail, submit head, done head, room
 *         counters, the reason of a disconnect
 *   core  daemon writes, all clients read: is the poll core asleep
 *
 * Knows:      layouts and sizes; nothing else depends on a compiler's padding.
 * Invariants: C1  nothing that the daemon acts on unchecked lies in memory a client can write
 *             C2  a handle that has sent nothing costs CHAN_UP_BYTES + CHAN_DOWN_BYTES, under
 *                 256 KiB together with the daemon's private record of it
 */

#include <stdatomic.h>

#include "spsc.h"
#include "synchrotron/types.h"
#include "wake.h"

enum {
    CHAN_SUBMIT_COUNT = 1024,
    CHAN_EVENT_COUNT = 1024,
    CHAN_LEASE_COUNT = 2048, /* frames a client may have out at once */
    CHAN_DONE_COUNT = 2048,  /* a lease is given back once: the queue cannot overflow */
    CHAN_SEGMENT_COUNT = 8,  /* TX arenas of one client */
    CHAN_TX_ALIGN = 8,       /* payload of consecutive messages starts at the next multiple */
    CHAN_PAGE_BYTES = 4096,
};

/* client -> daemon: send `bytes` at `offset` of TX segment `segment`. */
struct chan_submit {
    uint32_t offset; /* a multiple of CHAN_TX_ALIGN; offset + bytes <= segment size */
    uint32_t bytes;  /* 0 is a message */
    uint64_t end; /* position in the segment, counted for ever, up to which this message uses it */
    uint8_t segment;   /* index from CTL_TX_GET */
    uint8_t guarantee; /* enum guarantee */
    uint8_t zero[6];
};

enum chan_event_kind {
    CHAN_MESSAGE = 1, /* payload: the message */
    CHAN_VIEW = 2,    /* payload: struct chan_view */
    CHAN_RING = 3,    /* payload: struct chan_ring */
};

enum {
    CHAN_LISTED = 1 << 0,     /* arena/offset name a struct chan_list, not the payload itself */
    CHAN_LEASE_END = 1 << 1,  /* last event of its lease: give the lease back once it is read */
    CHAN_FIRST_RING = 1 << 2, /* CHAN_RING: the one extra event after the first join (rule R3) */
};

/* daemon -> client: one event of the handle, in order. Exactly one callback each. */
struct chan_event {
    uint8_t kind;
    uint8_t flags;
    uint16_t zero;
    uint32_t bytes; /* payload length in all */
    uint32_t arena; /* 0 when bytes is 0 and nothing is leased */
    uint32_t lease; /* index to give back; CHAN_LEASE_NONE when nothing is leased */
    uint64_t offset;
    uint32_t nodeid; /* CHAN_MESSAGE: sender */
    uint32_t pid;
};

enum { CHAN_LEASE_NONE = UINT32_MAX };

/* Payload in several pieces: lists lie in slots of the RX arena, chained. */
struct chan_piece {
    uint64_t offset;
    uint32_t arena;
    uint32_t bytes;
};

struct chan_list {
    uint64_t next; /* offset of the next list in the RX arena; valid while pieces are missing */
    uint32_t count;
    uint32_t zero;
    struct chan_piece piece[];
};

/* Payload of CHAN_VIEW: member, then left, then joined entries. Exactly one of left and joined is
 * not empty. The group is the one the handle joined. */
struct chan_address {
    uint32_t nodeid;
    uint32_t pid;
    uint32_t reason;
};

enum {
    CHAN_VIEW_OWN_JOIN = 1 << 0,  /* this view begins the handle's own membership */
    CHAN_VIEW_OWN_LEAVE = 1 << 1, /* this view ends it: last event of the membership */
};

struct chan_view {
    uint32_t member_count;
    uint32_t left_count;
    uint32_t joined_count;
    uint32_t flags;
    uint32_t name_bytes;
    uint8_t name[128]; /* zero after name_bytes */
    struct chan_address entry[];
};

/* Payload of CHAN_RING. */
struct chan_ring {
    struct ring_id ring_id;
    uint32_t member_count;
    uint32_t zero;
    uint32_t member[];
};

/* What the client writes, first page after the wake page. */
struct chan_up_words {
    _Alignas(CACHE_LINE_BYTES) _Atomic uint32_t submit_tail;
    _Alignas(CACHE_LINE_BYTES) _Atomic uint32_t done_tail;
    _Alignas(CACHE_LINE_BYTES) _Atomic uint32_t event_head;
    _Alignas(CACHE_LINE_BYTES) _Atomic uint32_t refused; /* sends refused for want of room: counts
                                                            on while the client waits for some */
};

struct chan_up {
    struct wake_page wake_page;
    _Alignas(CHAN_PAGE_BYTES) struct chan_up_words words;
    _Alignas(CHAN_PAGE_BYTES) struct chan_submit submit[CHAN_SUBMIT_COUNT];
    uint32_t done[CHAN_DONE_COUNT]; /* leases given back */
};

enum chan_state {
    CHAN_OPEN = 0,
    CHAN_EVICTED_SLOW = 1,  /* did not drain within slow_client_ms */
    CHAN_EVICTED_RULES = 2, /* wrote what the rules forbid */
    CHAN_CLOSED = 3,        /* the service stops */
};

/* What the daemon writes, one page of words before the event queue. */
struct chan_down {
    _Alignas(CACHE_LINE_BYTES) _Atomic uint32_t event_tail;
    _Alignas(CACHE_LINE_BYTES) _Atomic uint32_t submit_head;
    _Alignas(CACHE_LINE_BYTES) _Atomic uint32_t done_head;
    _Alignas(CACHE_LINE_BYTES) _Atomic uint32_t state; /* enum chan_state */
    _Atomic uint32_t congested; /* 1: a send would be refused now (cpg_flow_control_state_get) */
    _Atomic uint32_t retired;   /* counts arenas retired: the client drops its mappings of them */
    _Alignas(CACHE_LINE_BYTES) _Atomic uint64_t tx_free[CHAN_SEGMENT_COUNT]; /* chan_submit.end up
                                        to which the segment may be written again */
    _Alignas(CHAN_PAGE_BYTES) struct chan_event event[CHAN_EVENT_COUNT];
};

/* One for all clients. */
struct chan_core {
    _Alignas(
        CACHE_LINE_BYTES) _Atomic uint32_t asleep; /* 1: after pushing, write to the wake socket */
};

enum {
    CHAN_UP_BYTES =
        (sizeof(struct chan_up) + CHAN_PAGE_BYTES - 1) / CHAN_PAGE_BYTES * CHAN_PAGE_BYTES,
    CHAN_DOWN_BYTES =
        (sizeof(struct chan_down) + CHAN_PAGE_BYTES - 1) / CHAN_PAGE_BYTES * CHAN_PAGE_BYTES,
    CHAN_CORE_BYTES = CHAN_PAGE_BYTES,
};

static_assert(sizeof(struct chan_submit) == 24, "shared layout");
static_assert(sizeof(struct chan_event) == 32, "shared layout");
static_assert(sizeof(struct chan_piece) == 16, "shared layout");
static_assert(CHAN_UP_BYTES + CHAN_DOWN_BYTES <= 192 * 1024, "C2");

#endif
