/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_RING_NET_H
#define TESTS_RING_NET_H

/*
 * net.h - a small network of rings in virtual time, and what must hold of what they deliver.
 *
 * Each node has a ring, pools, a state directory that survives it, and the simplest thing that
 * behaves as groups do: after a regular configuration it sends an urgent control message and opens
 * the gate when those of all members have come. Frames are lost, repeated and delayed by a seeded
 * generator; two runs with one seed are the same to the last byte.
 *
 * Knows:      E1, E2, E8 and E10 of docs/architecture.md as checks over what the nodes logged; the
 *             others are asked of the frames, as in the simulator of whole daemons.
 */

#include "ring.h"
#include "sim/history.h"
#include "zcb.h"

enum {
    NET_NODES = 12,
    NET_LIVES = 24,
    NET_PORTS = 16,
    NET_RX_COUNT = 6000,
    NET_TX_COUNT = 2048,
    NET_FRAME_BYTES = 1472,
};

enum net_kind { NET_MESSAGE, NET_TRANSITIONAL, NET_REGULAR };

struct net_entry {
    enum net_kind kind;
    bool safe;
    uint64_t id;            /* MESSAGE */
    uint64_t value;         /* MESSAGE: control: seq of the ring it was sent for */
    struct ring_id ring_id; /* configurations */
    uint32_t members;       /* one bit a node */
    uint64_t at_ns;
};

/* One start of one node: what it delivered, and what it sent. */
struct net_life {
    int node, number;
    bool crashed, left;
    struct net_entry *log;
    uint32_t count, capacity;
    uint32_t sent[NET_PORTS + 1], delivered_own;
    uint32_t sent_total;
};

struct net_partial {
    uint64_t id;
    uint32_t bytes, done;
};

struct net_inbox {
    uint8_t *bytes;
    uint32_t count;
};

struct net_payload;

struct net_node {
    uint32_t id;
    bool up, gate, sync_due;
    bool blocked; /* its clients are slow: no free receive frames, it says */
    struct ring *ring;
    void *memory;
    struct zcb_arena tx_arena, rx_arena;
    struct zcb_pool tx_pool, rx_pool;
    struct net_life *life;
    struct net_payload *payloads;
    uint64_t disk_seq;                                /* the state directory */
    uint64_t deadline_ns, stall_until_ns, stalled_ns; /* 0: it was not */
    bool polled;                                      /* a poll is scheduled */
    struct net_inbox inbox[4096];
    uint32_t inbox_head, inbox_tail;
    uint32_t sync_have, sync_want;
    struct ring_id ring_id;
    struct net_partial partial[NET_NODES][NET_PORTS + 1];
    uint64_t calls;         /* of the ring, for tests of idleness */
    struct zcb *lent[4096]; /* frames that "clients" keep for a while */
    uint64_t lent_until[4096];
    uint32_t lent_head, lent_tail;
};

struct net_event;

struct net {
    uint64_t seed, random, now_ns;
    int node_count;
    uint64_t detect_ns;
    uint32_t loss_permille, repeat_permille;
    uint64_t delay_least_ns, delay_most_ns;
    uint64_t persist_ns; /* a write to the state directory; NS_NEVER: the disk is full */
    uint32_t full;       /* one bit for each node whose disk is full */
    uint64_t lease_ns;   /* clients keep frames so long */
    bool fan_out;        /* frames go out once for each, the rings think */
    bool park, lawless;  /* lawless: what is delivered is not looked at */
    uint32_t window_frames;
    uint32_t rx_count, tx_count; /* frames of a node's pools */
    uint32_t deaf[NET_NODES];    /* one bit for each node that it does not hear */
    uint32_t group[NET_NODES];   /* nodes of different groups do not hear each other */
    bool (*drop)(struct net *net, int from, int to, const uint8_t *frame, uint32_t bytes);
    void *drop_context;
    struct net_node node[NET_NODES];
    struct net_life life[NET_LIVES];
    int life_count;
    struct net_event *events;
    uint32_t event_count, event_capacity;
    uint64_t event_number, steps, frames_on_wire;
    uint32_t check_every;   /* steps between full sweeps; 0: never */
    struct history history; /* what rings delivered, frame by frame */
};

struct net *net_new(uint64_t seed, int node_count);
void net_free(struct net *net);
struct net *net_new_formed(uint64_t seed, int node_count); /* all started, one ring */
void net_finish(struct net *net);      /* heal, settle, check everything, free */
uint64_t net_seed(uint64_t otherwise); /* RING_SEED of the environment, or this */
uint32_t net_random(struct net *net, uint32_t below);

void net_start(struct net *net, int node);
void net_crash(struct net *net, int node);
void net_leave(struct net *net, int node);
void net_poke(struct net *net, int node); /* a timeout where none is due */
void net_stall(struct net *net, int node, uint64_t ns);
/* The transport says that it is cut off from these, one bit a node: true or not. */
void net_links(struct net *net, int node, uint32_t down);
void net_heal(struct net *net); /* one group, no loss */

/* Send: bytes >= 16. False: the backlog is full. */
bool net_submit(struct net *net, int node, uint32_t port, uint32_t bytes, uint8_t guarantee);

/* A frame that nobody sent arrives soon. */
void net_inject(struct net *net, int to, const uint8_t *frame, uint32_t bytes);

void net_run(struct net *net, uint64_t ns);
/* All nodes of the mask are operational in one ring of exactly these, with the gate open. */
bool net_formed(const struct net *net, uint32_t mask);
/* Nothing waits anywhere, and all in a ring have everything. */
bool net_quiet(const struct net *net);
bool net_run_until_formed(struct net *net, uint32_t mask, uint64_t most_ns);
bool net_settle(struct net *net, uint64_t most_ns);

uint32_t net_up_mask(const struct net *net);
const struct net_life *net_life(const struct net *net, int node);
uint32_t net_messages(const struct net *net, int node); /* delivered by its present life */
const struct net_entry *net_last(const struct net *net, int node, enum net_kind kind);

/* E1 to E8 over all logs, E10 over all pools. Prints what is broken and aborts. */
void net_check(struct net *net);
/* E1, second half, and E9: what a node that lives has sent, it has delivered. */
void net_check_all_delivered(struct net *net);
void net_dump(const struct net *net);

#endif
