/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef DAEMON_CORE_H
#define DAEMON_CORE_H

/*
 * core.h - the poll core as the control thread sees it.
 *
 * The poll core owns transport, ring, groups and the client queues while it runs. The control
 * thread makes what needs system calls (arenas, sockets, files) and hands it over; the two speak
 * through two single-producer queues and read-only counters, nothing else.
 *
 * Invariants: K1  every command is answered exactly once, in any order; `tag` comes back unread
 *             K2  memory a command points to belongs to the core until the answer
 *             K3  a client's record and arenas belong to the core from CORE_CLIENT_ADD until
 *                 CORE_CLIENT_END is answered; segments from CORE_SEGMENT_ADD until
 *                 CORE_EVENT_SEGMENT_GONE, which may come after the client has ended (messages of
 *                 a dead client are still being sent and read)
 *             K4  a tape belongs to the core from CORE_CAPTURE_BEGIN until CORE_CAPTURE_END is
 *                 answered; there is one at a time
 *             K5  the transport knows a segment before CORE_SEGMENT_ADD is given, and until it is
 *                 gone: core_memory_add(), core_memory_drop()
 */

#include "config.h"
#include "ring.h"
#include "synchrotron/types.h"
#include "transport.h"
#include "zcb.h"

/* One client, as the control thread made it. The core keeps its own record beside it. */
struct core_client_setup {
    uint32_t slot;          /* unique among live clients, below core_config.clients_max */
    uint32_t serial;        /* never reused: names the connection in logs */
    uint32_t pid;           /* of the process that connected */
    uint32_t flags;         /* CTL_HELLO_* */
    struct chan_up *up;     /* mapped read-only */
    struct wake_page *wake; /* the same region's first page, writable */
    struct chan_down *down; /* mapped writable */
    int wake_socket;        /* our end of the pair; the core sends and drains, control closes */
};

/* One TX segment of a client. */
struct core_segment_setup {
    uint32_t client_slot;
    uint32_t index;         /* in the client's segment table */
    struct zcb_arena arena; /* mapped read-only; arena.id is unique for the daemon's life */
};

enum core_command_type {
    CORE_CLIENT_ADD,   /* in.client */
    CORE_CLIENT_JOIN,  /* slot, pid, in.name -> error: CS_OK, CS_ERR_EXIST, CS_ERR_TRY_AGAIN */
    CORE_CLIENT_LEAVE, /* slot -> error: CS_OK, CS_ERR_NOT_EXIST */
    CORE_CLIENT_END,  /* slot: connection is gone; answered when the core lets go of the record: all
                         it  accepted is submitted and every lease is back */
    CORE_SEGMENT_ADD, /* in.segment */
    CORE_SEGMENT_END, /* slot, arg = index: free it when it is drained */
    CORE_SEGMENT_DENIED, /* slot: there was no memory for one; not answered */
    CORE_MEMBERS,        /* in.name, out.members: filled */
    CORE_ITERATE,   /* in.name, arg = cpg_iteration_type_t, out.entries, capacity -> arg = entries
                       there are; filled as far as capacity goes */
    CORE_PERSISTED, /* arg64 = ring seq now on disk */
    CORE_STATUS,    /* out.status */
    CORE_CAPTURE_BEGIN, /* in.tape: a record of each frame sent and received from now on */
    CORE_CAPTURE_END,   /* no more */
    CORE_STOP, /* processes leave with PROCDOWN, then the node; answered when that is sent, and
                  the core thread ends */
};

struct core_name {
    uint32_t bytes;
    uint8_t value[CTL_NAME_BYTES];
};

struct core_command {
    uint32_t type; /* enum core_command_type */
    uint32_t slot;
    uint32_t pid;
    uint32_t arg;
    uint64_t arg64;
    uint64_t tag;
    union {
        const struct core_client_setup *client;
        const struct core_segment_setup *segment;
        const struct core_name *name;
        struct tape_writer *tape;
        const void *any;
    } in;
    union {
        struct ctl_members *members;
        struct ctl_iteration_entry *entries;
        struct core_status *status;
        void *any;
    } out;
    uint32_t capacity;
    uint32_t zero;
};

enum core_event_type {
    CORE_EVENT_ANSWER,       /* tag, error, arg */
    CORE_EVENT_PERSIST,      /* arg64 = ring seq to write, then CORE_PERSISTED */
    CORE_EVENT_FORMED,       /* the first configuration is complete: clients may come */
    CORE_EVENT_EVICT,        /* slot, error = enum chan_state: log it, close its sockets, then
                                CORE_CLIENT_END; arg = enum core_offence, arg64 = the value seen */
    CORE_EVENT_SEGMENT_GONE, /* arg = arena id: unmap and close it */
    CORE_EVENT_TRACE,        /* trace: log it */
    CORE_EVENT_BROKEN,       /* the transport failed for good; error = errno: log and exit */
};

enum core_offence {
    CORE_OFFENCE_NONE,
    CORE_OFFENCE_SLOW,        /* arg64 = ms without progress */
    CORE_OFFENCE_SUBMIT_TAIL, /* queue index out of range, or gone back */
    CORE_OFFENCE_DONE_TAIL,
    CORE_OFFENCE_EVENT_HEAD,
    CORE_OFFENCE_SUBMIT_SEGMENT, /* no such segment */
    CORE_OFFENCE_SUBMIT_RANGE,   /* offset, length or alignment outside the segment */
    CORE_OFFENCE_SUBMIT_END,     /* positions go backwards or overlap what is in use */
    CORE_OFFENCE_SUBMIT_SIZE,    /* over the largest message */
    CORE_OFFENCE_SUBMIT_FIELD,   /* unknown guarantee, or not zero where zero is due */
    CORE_OFFENCE_DONE_LEASE,     /* gave back what it does not hold */
    CORE_OFFENCES,
};
extern const char *const core_offence_name[CORE_OFFENCES];

struct core_event {
    uint32_t type; /* enum core_event_type */
    uint32_t slot;
    uint32_t error;
    uint32_t arg;
    uint64_t arg64;
    uint64_t tag;
    struct ring_trace trace;
};

/* Counters of the core: written by it, read by anyone. */
struct core_stats {
    uint64_t turns, turns_idle, sleeps, wakes_sent;
    uint64_t away, away_ns_most; /* the machine or others kept us from running for milliseconds */
    uint64_t clients, clients_evicted_slow, clients_evicted_rules;
    uint64_t messages_in, bytes_in;   /* accepted from local clients */
    uint64_t messages_out, bytes_out; /* events put into local clients' queues */
    uint64_t views_out, ring_events_out;
    uint64_t unknown_sender,
        pieces_void;           /* dropped: sender not in the view; partials at a change */
    uint64_t groups_malformed; /* ordered group messages that make no sense */
    uint64_t backlog_events, backlog_events_max;
    uint64_t frames_captured;
    uint64_t offence[CORE_OFFENCES];
};

enum { CORE_STATUS_CLIENTS_MAX = 512 };

struct core_client_status {
    uint32_t slot, serial, pid;
    uint32_t joined; /* 0, 1 */
    struct core_name group;
    uint64_t messages_in, messages_out, bytes_in, bytes_out;
    uint32_t backlog_events, leases_out;
    uint64_t stalled_ms; /* since the oldest waiting event began to wait without progress */
    uint64_t tx_bytes;   /* of its segments */
};

struct core_status {
    struct ring_status ring;
    uint32_t ring_members[NODE_COUNT_MAX];
    struct ring_stats ring_stats;
    struct transport_stats transport;
    struct transport_counter counter[TRANSPORT_COUNTERS_MAX]; /* the backend's own */
    int counter_count;
    struct core_stats core;
    uint32_t rx_count, rx_free, rx_free_least, rx_slot_bytes;
    uint32_t tx_count, tx_free, tx_free_least, tx_slot_bytes;
    uint64_t rx_held[ZCB_HOLDERS], tx_held[ZCB_HOLDERS];
    uint32_t backlog_count, backlog_free; /* of the pool of waiting events */
    uint32_t group_count, process_count;
    uint64_t private_bytes; /* the core's own allocations: at start, and records of clients */
    uint32_t client_count;
    struct core_client_status client[CORE_STATUS_CLIENTS_MAX];
};

struct core;

struct core_config {
    const struct config *config;
    const struct transport_ops *transport;
    struct zcb_arena *rx_arena; /* writer: creator */
    struct chan_core *words;    /* shared with all clients */
    uint32_t clients_max;
    uint64_t ring_seq; /* persisted reservation */
    uint64_t incarnation;
    const void *backend; /* of transport_config; NULL */
    uint64_t start_ns;   /* time of the first turn; 0: the clock's */
};

/* How large rx_arena has to be: as the configuration says, or more where one message of the largest
 * size, in the frames that transport and netmtu give, would fill it before it is whole: then
 * nothing could arrive any more. */
uint64_t core_rx_bytes(const struct core_config *config);

/**
 * Make the core: pools, ring, transport. Nothing runs yet.
 *
 * Thread:  control thread
 * Errors:  -errno, `why` is one line: what failed, why, what to do
 */
int core_create(struct core **out, const struct core_config *config, char *why, size_t why_bytes);

#define CORE_THREAD_NAME "poll core" /* as top and ps show it */

/* Start and, after CORE_STOP was answered or the process ends anyway, join the thread and free. */
int core_start(struct core *core);
void core_destroy(struct core *core);

/* Control thread: give a command (copied); -EAGAIN when the queue is full. Wakes a sleeping core.
 */
int core_command(struct core *core, const struct core_command *command);
/* Control thread: the next event; false when there is none. core_event_fd() is readable while
 * there may be some (the call clears it). */
bool core_event(struct core *core, struct core_event *event);
int core_event_fd(const struct core *core);

/* Control thread: memory that a client will send from, before CORE_SEGMENT_ADD and after
 * CORE_EVENT_SEGMENT_GONE; as transport_ops.memory_add() and memory_drop() are. */
int core_memory_add(struct core *core, struct zcb_arena *arena, char *why, size_t why_bytes);
void core_memory_drop(struct core *core, struct zcb_arena *arena);

/* Does its thread run on config.poll_cpu and nowhere else? */
bool core_is_pinned(const struct core *core);

/* What its transport got; does not change. */
const struct transport_caps *core_transport_caps(const struct core *core);

#endif
