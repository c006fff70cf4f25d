/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef DAEMON_CLIENTS_H
#define DAEMON_CLIENTS_H

/*
 * clients.h - the core's record of each client: what it sends, and its memberships.
 *
 * A membership is one join and one leave of a handle, under a port of its own. Joins and leaves are
 * operations in the client's stream: each waits until the submits that were in the queue when it
 * was asked for are taken. The end of a client is a leave with PROCDOWN behind all it has sent.
 *
 * Knows:      submit queues, segments, memberships, which message goes into the ring next.
 * Knows not:  events (deliver.h), what a group is.
 * Invariants: C1  a client's messages, joins and leaves reach the ring in the order it made them
 *             C2  a submit is copied once and checked before anything is done with it; a client
 *                 that breaks a rule is evicted, and what it pushed from there on is not taken
 *             C3  a submit stays in the queue until the ring has taken it
 *             C4  ports of memberships that may be in flight differ
 * Thread:     poll core.
 */

#include "core.h"
#include "deliver.h"
#include "groups.h"
#include "segment.h"

enum {
    CLIENT_MEMBERSHIPS = 4,
    CLIENTS_IN_FLIGHT_MAX = 2048, /* memberships of one slot: generations last for twice as many */
    CLIENTS_BATCH = 64,           /* submits of one client in one turn */
    CONTROL_BYTES = 64 * 1024,    /* of payload of JOIN, LEAVE and SYNC under way */
    CONTROL_ARENA = UINT32_MAX,   /* never given to a client */
    SPARE_SEGMENTS = 32,          /* records made at start: segments come and go at load */
};

enum membership_join { JOIN_WAITING, JOIN_SENT, JOIN_ORDERED };
enum membership_leave { LEAVE_NONE, LEAVE_WAITING, LEAVE_SENT };

struct membership {
    uint32_t port, pid;
    enum membership_join join;
    enum membership_leave leave;
    enum leave_reason reason;
    bool over;                            /* its leave is ordered */
    uint32_t join_barrier, leave_barrier; /* go when the submit queue is taken up to here */
    struct core_name name;
};

struct client {
    struct outlet outlet; /* first: client_outlet() */
    struct core_client_setup setup;
    struct spsc_consumer submit;
    struct segment *segment[CHAN_SEGMENT_COUNT];
    struct membership membership[CLIENT_MEMBERSHIPS]; /* oldest first */
    uint32_t membership_count;
    bool congested;
    uint32_t closing;      /* segments */
    bool first_ring_due;   /* R3 */
    bool opened_in_change; /* which is not complete yet */
    bool saw_ring;         /* change */
    bool leaving;          /* no more joins: ended, evicted or the service stops */
    bool mistrusted;       /* C2 */
    bool condemned;        /* evicted, and the groups do not know yet */
    bool ended;            /* CORE_CLIENT_END came */
    uint64_t end_tag;
    uint64_t messages_in, bytes_in, tx_bytes;
    /* slow.c */
    uint64_t progress, progress_ns, over_ns;
    bool owed;                       /* it had something to read or to give back, when last seen */
    uint32_t refused;                /* sends the client could not make, when last seen, */
    uint64_t refused_ns;             /* and when that last grew */
    uint64_t denied_ns;              /* it was denied a segment, for want of memory; 0: never */
    uint64_t starved_in, starved_ns; /* since when it has made none: messages_in then; 0: it does */
};

struct clients {
    struct ring *ring;
    struct deliver *deliver;
    struct groups *groups;
    struct core_stats *stats;
    void (*post)(void *context, const struct core_event *event); /* never fails */
    void *context;
    uint32_t clients_max, message_bytes_max;
    struct client *by_slot[PORT_SLOTS]; /* NULL: free */
    struct client **list;               /* those there are, in no order */
    uint32_t count, next;               /* next: who may send first this turn */
    uint32_t generation[PORT_SLOTS];
    uint16_t in_flight[PORT_SLOTS];
    uint64_t full_since_ns; /* the ring takes nothing more; 0: it does */
    bool stopping;
    struct segment control;
    uint8_t sync[GWIRE_PART_BYTES]; /* the next part of our SYNC, */
    uint32_t sync_bytes;            /* 0: none waits */
    struct segment *retired;        /* closing or orphan, not idle yet */
    struct segment *spare;          /* records of SPARE_SEGMENTS that are not in use */
    uint32_t spare_count;
};

/* `control` is memory of CONTROL_BYTES, private to us: for what is said of memberships. */
int clients_create(struct clients *cs, uint32_t clients_max, const struct zcb_arena *control);
void clients_destroy(struct clients *cs);

/* No more stores into channels: they may be unmapped from now on. */
void clients_detach(struct clients *cs);

struct client *clients_find(const struct clients *cs, uint32_t slot);

/* Commands: cs_error_t. */
uint32_t clients_add(struct clients *cs, const struct core_client_setup *setup);
uint32_t clients_join(struct clients *cs, uint32_t slot, uint32_t pid,
                      const struct core_name *name);
uint32_t clients_leave(struct clients *cs, uint32_t slot);
/* What all clients' segments hold, and how much of that was sent from and has not come back. */
void clients_segment_bytes(const struct clients *cs, uint64_t *bytes, uint64_t *used);
uint32_t clients_segment_add(struct clients *cs, const struct core_segment_setup *setup);
uint32_t clients_segment_end(struct clients *cs, uint32_t slot, uint32_t index);
/* Answered by clients_let_go(), with this tag. False: there is no such client. */
bool clients_end(struct clients *cs, uint32_t slot, uint64_t tag);

/* What the groups say of our own ports. */
struct client *clients_joined(struct clients *cs, uint32_t port);
void clients_left(struct clients *cs, uint32_t port, bool refused);

/**
 * One turn: take leases back, take submits and operations in, send our SYNC, drain backlogs.
 *
 * Returns: true when anything was done. ring_continue() is then due
 */
bool clients_turn(struct clients *cs, uint64_t now_ns);

/* Is there anything that clients_turn() would do now? For the moment before sleeping. */
bool clients_have_work(struct clients *cs);

/* Disconnect: silenced now, out of the groups with clients_settle(), PROCDOWN behind what it sent.
 */
void clients_evict(struct clients *cs, struct client *c, enum core_offence offence, uint64_t value);
/* After deliveries: forget who was evicted. */
void clients_settle(struct clients *cs);
/* The service stops: every process leaves. */
void clients_stop(struct clients *cs);
/* All operations of all clients are in the ring. */
bool clients_all_sent(const struct clients *cs);

/* R1, R3: a ring is complete; is it one that this client must be told of? Not where that would be
 * the first it hears and its first view will bring that ring: it opened, or waits for its first
 * join, while the change was under way. */
bool client_sees_change(struct client *c);

/* The membership a handle is in, or asks for; NULL none. */
const struct membership *client_membership(const struct client *c);

#endif
