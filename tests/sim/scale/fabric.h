/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_SIM_SCALE_FABRIC_H
#define TESTS_SIM_SCALE_FABRIC_H

/*
 * fabric.h - many nodes, one switch, and virtual time in which everything costs something.
 *
 * A node is one processor. It polls; what it finds it handles in one turn, in the order in which
 * the poll core of the daemon does: frames into the ring, its frames out, its deliveries to the
 * clients, the clients' messages in. While a turn lasts it sees nothing else. A frame leaves the
 * node when the turn has come so far and the link is free, takes its time on the link (Ethernet, IP
 * and UDP around it), then fabric_config.hop_ns, and waits at the switch while the port of its
 * receiver is busy with others. What the first bit of a frame has passed the rest follows: the time
 * on a link counts once, unless it must wait.
 *
 * Knows:      links, ports, turns, costs.
 * Knows not:  what is to be measured.
 * Invariants: F1  the same configuration and the same calls happen again, to the nanosecond
 *             F2  frames from one node to another arrive in the order they were sent
 */

#include "costs.h"
#include "peer.h"

enum {
    FABRIC_TYPES = 10, /* of frames: enum wire_type */
    FABRIC_RX_RING = 4096,
};

struct fabric;

struct fabric_ops {
    /* A client has `messages` that ended in one frame. */
    void (*delivered)(void *context, int node, uint32_t messages, uint64_t at_ns);
    /* A ring tells what it did, in its own time; and its gate opened. */
    void (*traced)(void *context, int node, const struct ring_trace *trace);
    void (*opened)(void *context, int node, uint64_t at_ns);
};

struct fabric_config {
    int nodes;
    struct costs costs;
    uint32_t mtu;
    double gbps;
    uint64_t hop_ns;     /* card, cable, switch, cable, card */
    uint64_t port_bytes; /* buffer of the switch for one port */
    uint64_t persist_ns; /* a write to the state directory */
    uint64_t detect_ns;
    uint64_t seed;
    bool multicast; /* false: a frame for n is sent n times */
    bool park;
    uint32_t window_frames;
    const struct fabric_ops *ops;
    void *context;
};

/* What one client submits by itself. */
struct fabric_load {
    uint32_t bytes; /* 0: nothing */
    uint8_t guarantee;
    bool flood; /* whenever there is room; else once, when `waiting` */
    uint32_t waiting;
};

struct fabric_count {
    uint64_t frames[FABRIC_TYPES]; /* by type, on links out of nodes: a fan-out to n counts n */
    uint64_t bytes[FABRIC_TYPES];  /* on the wire, with all that is around a frame */
    uint64_t received, lost_port, lost_ring, port_bytes_most, ring_most;
    uint64_t turns;
};

struct arrival {
    uint64_t at_ns;
    struct packet *packet;
};

struct fabric_node {
    struct peer peer;
    bool up, gate_seen;
    uint32_t life;
    uint64_t up_ns;              /* what comes earlier finds nobody */
    uint64_t busy_ns;            /* until then */
    uint64_t worked_ns, wire_ns; /* of its processor, of its link, ever */
    uint64_t received, received_bytes;
    uint64_t link_ns;                          /* its link is busy until then */
    uint64_t port_ns;                          /* and the switch's port to it */
    uint64_t turn_ns;                          /* a turn is due; NS_NEVER */
    uint64_t tokens, token_ns, token_first_ns; /* received; when last, when first */
    struct arrival arrival[FABRIC_RX_RING];
    uint32_t head, tail;
    struct fabric_load load;
};

enum event_kind {
    EVENT_PACKET,    /* the first of it is at the switch's port */
    EVENT_TURN,      /* of `node`, if none is due earlier by now */
    EVENT_PERSISTED, /* at `node`: `value` */
};

struct event {
    uint64_t at_ns, number;
    struct packet *packet;
    uint64_t value;
    enum event_kind kind;
    int node, to; /* to: index, or -1 for all */
    uint32_t life;
};

struct fabric {
    struct fabric_config config;
    uint64_t now_ns, random;
    bool stop; /* fabric_run() shall end before the next event */
    struct fabric_node *node;
    struct packet_pool packets;
    struct peer_log log;
    struct event *event;
    uint32_t event_count, event_capacity;
    uint64_t event_number;
    struct fabric_count count;
};

struct fabric_config fabric_default(int nodes);
void fabric_create(struct fabric *f, const struct fabric_config *config);
void fabric_destroy(struct fabric *f);

void fabric_start(struct fabric *f, int node, uint64_t at_ns);
void fabric_crash(struct fabric *f, int node);
/* The client of a node has something: look at its load. */
void fabric_wake(struct fabric *f, int node);

/* Up to then, or until somebody sets `stop`. */
void fabric_run(struct fabric *f, uint64_t until_ns);
/* One ring of all that are up, all gates open. */
bool fabric_formed(const struct fabric *f);
bool fabric_run_until_formed(struct fabric *f, uint64_t most_ns);
/* Everything that was submitted at nodes that are up was delivered at all of them. */
bool fabric_all_delivered(const struct fabric *f);
uint64_t fabric_random(struct fabric *f, uint64_t below);

/* Nanoseconds of `bytes` of a frame on a link. */
uint64_t fabric_wire_ns(const struct fabric_config *config, uint32_t bytes);
uint32_t fabric_wire_bytes(uint32_t bytes);

/* heap.c */
void event_add(struct fabric *f, struct event event);
struct event event_take(struct fabric *f);
/* turn.c */
void fabric_turn(struct fabric *f, struct fabric_node *n);
void fabric_turn_at(struct fabric *f, struct fabric_node *n, uint64_t at_ns);
uint64_t fabric_noticed_ns(const struct fabric *f, const struct fabric_node *n, uint64_t at_ns);
void fabric_send(struct fabric *f, struct fabric_node *n, struct zcb *frame, uint64_t start_ns,
                 double *spent_ns);
void fabric_persisted(struct fabric *f, struct fabric_node *n, uint64_t seq);

#endif
