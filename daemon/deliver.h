/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef DAEMON_DELIVER_H
#define DAEMON_DELIVER_H

/*
 * deliver.h - events from the order into the queues of local clients.
 *
 * All events come while one ordered frame is looked at: deliver_begin(), events, deliver_end(). A
 * client gets the frame's events straight into its queue when that has room for all a frame can
 * bring, else they wait in a private backlog, in order, behind those that wait already. What is in
 * queues becomes visible with deliver_publish(), once a turn.
 *
 * A client has one lease on a frame for all messages in it; the last of these events is marked.
 * Events that lie elsewhere (pieced messages, views, ring events) have a lease each.
 *
 * Knows:      queues, leases, backlog, wake-ups, pieces of large messages.
 * Knows not:  groups' rules, the ring, quotas.
 * Invariants: D1  a client's events are published in the order they were given
 *             D2  a lease is held exactly from its first event until it comes back or the client
 *                 is silenced
 *             D3  waiting entries used + free == all
 *             D4  no event is dropped but those of a client that is silenced
 * Thread:     poll core.
 */

#include "core.h"
#include "groups.h"
#include "loan.h"
#include "synchrotron/types.h"
#include "zcb.h"

enum {
    /* Events one frame can bring a client: a message a chunk, or a view with a ring event. */
    DELIVER_FRAME_EVENTS = 2 * RING_CHUNKS_MAX + 8,
    WAITING_NONE = UINT32_MAX,
};

/* An event that waits. Its `lease` means nothing yet. */
struct waiting {
    struct chan_event event; /* `lease` is which entry comes next: it has no lease yet */
    loan_word loan;
};

enum outlet_mode { OUTLET_DIRECT, OUTLET_WAIT, OUTLET_SILENT };

/* The end of one client where events come out. Part of struct client. */
struct outlet {
    struct client *client;
    struct spsc_producer events;
    uint64_t serial; /* of the frame that the next four are about */
    enum outlet_mode mode;
    uint32_t frame_lease;          /* DIRECT: CHAN_LEASE_NONE until a message needs it */
    bool frame_held;               /* WAIT: the frame is held for entries that wait */
    struct chan_event *frame_last; /* newest event that lies in the frame */
    bool silent;
    bool published; /* on the list of deliver_publish() */
    uint32_t waiting_first, waiting_last, waiting_count;
    uint32_t drain_lease;            /* of the frame whose entries are half drained */
    uint32_t leases_out, frames_out; /* frames: all that leases and waiting entries pin */
    uint32_t lease_free_count;
    uint16_t lease_free[CHAN_LEASE_COUNT];
    loan_word lease[CHAN_LEASE_COUNT];
    struct spsc_consumer done;
    struct wake_page *wake;
    const _Atomic uint32_t *event_head;
    int wake_socket;
    uint64_t messages, bytes; /* given */
    uint64_t returned;        /* leases: grows as the client gets on */
};

/* A message in pieces that is not whole yet; at most one a node (see Bulk in ring.h). */
struct partial {
    bool active, broken; /* broken: no room for its list; its readers must go */
    bool own;            /* from our node: one run, kept by its record */
    uint32_t port;
    uint64_t bytes;
    struct list list;
    struct record *record;
    uint32_t arena, offset;
};

/* struct client begins with its outlet. */
static inline struct outlet *client_outlet(struct client *client)
{
    return (struct outlet *)(void *)client;
}

struct deliver_ops {
    /* Out of waiting entries or frames: silence the worst laggard. False: there is none. */
    bool (*relieve)(void *context);
    /* This client must go; it is silenced before the call returns. */
    void (*evict)(void *context, struct client *client, enum core_offence offence, uint64_t value);
};

struct deliver {
    struct zcb_pool *rx_pool;
    struct loans loans;
    const struct deliver_ops *ops;
    void *context;
    struct core_stats *stats;
    uint64_t serial;
    struct zcb *frame; /* between begin and end */
    struct outlet **in_frame, **to_publish;
    uint32_t in_frame_count, to_publish_count;
    struct waiting *waiting;
    uint32_t waiting_count, waiting_free, waiting_free_first;
    uint32_t waiting_fresh;  /* the first that was never used, nor those behind it */
    uint32_t frame_events;   /* given to clients from the frame in hand */
    uint32_t events_a_frame; /* the most of late: what the next frame may bring */
    struct partial partial[NODE_COUNT_MAX];
};

/* clients_max outlets at once. -ENOMEM */
int deliver_create(struct deliver *d, struct zcb_pool *rx_pool, uint32_t clients_max,
                   uint32_t waiting_count, struct core_stats *stats, const struct deliver_ops *ops,
                   void *context);
void deliver_destroy(struct deliver *d);

void outlet_init(struct outlet *o, struct client *client, const struct core_client_setup *setup);

/* Frames that may still come before the backlog runs out of entries; a quarter is kept back for
 * what is on its way already. Falls as clients lag, so that senders slow down before they stop. */
uint32_t deliver_frames_welcome(const struct deliver *d);

/* The frame is held by the caller from begin to end. */
void deliver_begin(struct deliver *d, struct zcb *frame);
void deliver_end(struct deliver *d);

/* One piece of a message of `member`, who is node `node_index`: the event goes to all local members
 * of its group when it was the last piece. */
void deliver_piece(struct deliver *d, const struct member *member, uint32_t node_index,
                   const struct ring_piece *piece);
/* A regular configuration: what is not whole will not be. */
void deliver_void_partials(struct deliver *d);

/* One event with payload of its own, in a frame or list that the caller holds. */
void deliver_one(struct deliver *d, struct outlet *o, const struct chan_event *event,
                 loan_word loan);

/* Waiting events into the queue as far as there is room. */
void deliver_drain(struct deliver *d, struct outlet *o);
/* Leases that came back. Errors: a core_offence and *value, 0 none */
enum core_offence deliver_done(struct deliver *d, struct outlet *o, uint64_t *value);
/* Make visible what was put into queues, and wake who sleeps. */
void deliver_publish(struct deliver *d);
/* No more events; leases and waiting entries are let go at once. */
void deliver_silence(struct deliver *d, struct outlet *o);

/* Frames for payload of our own: held once by ZCB_HELD_EVENT; NULL: none even after relief. */
struct zcb *deliver_frame_get(struct deliver *d);

/* Events its queue can take now. Negative: its head is nonsense, and it was evicted. */
int outlet_room(struct deliver *d, struct outlet *o);
/* Events the client has not taken: waiting, and in its queue. */
uint32_t outlet_backlog(const struct outlet *o);

/* D2, D3; aborts when broken. */
void deliver_check(const struct deliver *d, struct outlet *const *outlets, uint32_t count);

#endif
