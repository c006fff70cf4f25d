/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef DAEMON_CORE_INNER_H
#define DAEMON_CORE_INNER_H

/*
 * core_inner.h - the poll core from the inside: all its parts, and one turn of it. Without the
 * thread it runs just as well: a test calls core_turn() with the time it likes.
 *
 * Knows:      who calls whom in a turn.
 * Invariants: I1  a ring_out is drained before the next call into the ring
 *             I2  frames go to the transport in the order the ring gave them
 *             I3  every event for the control thread gets there, in order: behind the queue is a
 *                 list that grows, because the control thread may be stopped for a while
 */

#include <pthread.h>

#include "clients.h"
#include "core.h"
#include "views.h"

enum {
    CORE_COMMANDS = 1024,
    CORE_EVENTS = 1024,
    CORE_TX_FRAMES = 2048,
    CORE_TX_WAITING = 1024, /* frames the transport did not take yet */
    CORE_TX_ARENA = UINT32_MAX - 1,
    CORE_TX_BYTES = CORE_TX_FRAMES * RING_HEAD_BYTES + CONTROL_BYTES, /* heads; then clients.h's */
    CORE_MORE_MAX = 16, /* calls of the ring in one turn for one burst */
    CORE_RX_RESERVE_MAX = 2048,
    CORE_STALE_BURSTS = 4096,       /* what a socket can hold */
    CORE_LATE_MAX = 4,              /* tokens that wait for frames they tell of */
    CORE_LATE_BURSTS = 32,          /* for so many of them */
    CORE_BELL_COMMAND = UINT16_MAX, /* epoll data: above all slots */
    CORE_BELL_TRANSPORT,
};

struct late_event { /* I3 */
    struct late_event *next;
    struct core_event event;
};

struct core {
    const struct config *config;
    struct chan_core *words;
    struct core_stats stats;
    struct zcb_arena tx_arena; /* CORE_TX_BYTES */
    struct zcb_pool rx_pool, tx_pool;
    uint32_t rx_reserve; /* the ring is told of free frames above these */
    struct transport *transport;
    struct transport_caps caps;
    uint32_t links;           /* of the transport, as the ring was told */
    struct tape_writer *tape; /* NULL: nobody captures */
    struct ring *ring;
    void *ring_memory;
    struct ring_out out;
    bool more;         /* the ring asked to be called again */
    uint64_t away_ns;  /* before this turn, against our will */
    uint64_t stale_ns; /* after more of it we are out of the ring */
    struct zcb *tx_waiting[CORE_TX_WAITING];
    uint32_t tx_first, tx_count;
    struct zcb *late[CORE_LATE_MAX];
    uint32_t late_count, late_bursts;
    struct groups groups;
    struct deliver deliver;
    struct clients clients;
    uint64_t now_ns;      /* of the turn under way */
    uint64_t exchange_ns; /* of members: it got on then; 0: none is open */
    uint32_t exchange_parts;
    /* slow.c */
    uint64_t watch_ns, pressure_ns;
    uint32_t client_frames_max;
    bool blocked;
    /* CORE_STOP */
    bool stopping, stopped, broken;
    uint64_t stop_tag, stop_deadline_ns;
    /* the two queues */
    struct spsc_pair commands, events;
    struct late_event *late_first, *late_last;
    bool events_new;
    int command_fd, event_fd, epoll_fd;
    /* the thread */
    uint64_t expected_ns; /* it meant to look again by then */
    bool spin, started;
    enum transport_rest rest; /* what the transport said last; TRANSPORT_LOOK: it is armed */
    pthread_t thread;
    uint64_t work_ns, private_bytes;
};

/* Before a turn: we did not run for so long, though we meant to. */
void core_away(struct core *core, uint64_t now_ns, uint64_t ns);
/* One turn; true when anything was done. */
bool core_turn(struct core *core, uint64_t now_ns);

uint64_t core_clock_ns(void);

/* core_sleep.c: sleep until something happens, or somebody has something for us already. */
void core_sleep(struct core *core);
/* Nothing to do for a while: sleep, or have the transport told first that we will, and turn once
 * more. */
void core_rest(struct core *core);
void core_awake(struct core *core);

/* What the last call into the ring gave: I1. */
void core_drain(struct core *core);
bool core_may_call_ring(const struct core *core);
/* Does any client owe us something that it may give without a bell? Then sleep is short. */
bool core_owed(const struct core *core);

/* Commands that wait. True: there were some. */
bool core_commands(struct core *core);

/* I3 */
void core_post(void *context, const struct core_event *event);

/* core_capture.c: when somebody captures. Frames that came, and frames on their way to the
 * transport: as transport_tx_burst(). */
void core_capture_received(struct core *core, struct zcb *const *frames, int count);
int core_capture_send(struct core *core, struct zcb **frames, int count);

/* slow.c: quotas and who must go. */
void core_watch(struct core *core);
/* Frames that may come before receive slots or waiting entries run out; 0: stop. */
uint32_t core_frames_welcome(const struct core *core);
bool core_relieve(void *context);
void core_segment_denied(struct core *core, uint32_t slot);

/* What CORE_STATUS answers. */
void core_status_fill(const struct core *core, struct core_status *status);

extern const struct groups_ops core_groups_ops;
extern const struct deliver_ops core_deliver_ops;

#endif
