/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TRANSPORT_SIM_NET_H
#define TRANSPORT_SIM_NET_H

/*
 * net.h - what net.c and endpoint.c share: packets on their way, and the nodes they go to.
 *
 * Invariants: M1  heap[0] is the packet that arrives first; equal times in order of sending
 *             M2  a packet is in the heap, an inbox, the spare ones, or a function's hands
 *             M3  a packet's bytes are its own, or still in the frame of its tx
 *             M4  a tx holds its frame once by ZCB_HELD_TRANSPORT; pending counts its packets, and
 *                 at 0 it waits in its owner's done list
 */

#include "random.h"
#include "sim.h"
#include "zcb.h"

/* One frame that was sent, until tx_reap() gives it back. */
struct sim_tx {
    struct sim_tx *next;
    struct sim_endpoint *owner;
    struct zcb *frame;
    uint32_t pending;
};

#define SIM_INTACT UINT32_MAX
#define SIM_NOBODY UINT32_MAX

struct sim_packet {
    struct sim_packet *next; /* in an inbox, or spare */
    struct sim_tx *tx;       /* NULL: the bytes are its own */
    uint32_t from, to;       /* indexes of node */
    uint32_t length;
    uint32_t cut_to; /* length after truncation, or SIM_INTACT */
    uint32_t turned; /* bit that is turned, or SIM_INTACT */
    uint32_t room;   /* of bytes */
    uint8_t bytes[];
};

/* A packet on its way. */
struct sim_flight {
    uint64_t due_ns, serial;
    struct sim_packet *packet;
};

struct sim_endpoint {
    struct transport base;
    struct transport_stats stats;
    struct sim_net *net;
    struct zcb_pool *pool;
    uint32_t rx_reserve;
    uint32_t frame_bytes_max;
    bool by_reference;
    struct sim_tx *done;
    uint32_t self;                  /* indexes of node */
    uint32_t known[NODE_COUNT_MAX]; /* of the configuration, without ourselves */
    uint32_t ring[NODE_COUNT_MAX];
    int known_count, ring_count;
};

struct sim_node {
    uint32_t node_id;
    uint32_t inbox_count;
    bool told;                        /* news of links came: who owns time takes it away */
    struct sim_endpoint *endpoint;    /* NULL: closed */
    struct sim_packet *first, **last; /* inbox */
};

struct sim_link {
    struct sim_faults faults;
    uint64_t last_due_ns; /* G1: what is sent later does not arrive earlier */
    bool own_faults;      /* else the net's are its faults */
    bool cut;
    bool told; /* `from` thinks that it is down */
};

struct sim_net {
    struct sim_net_config config;
    struct sim_net_stats stats;
    struct sim_random random;
    uint64_t now_ns;
    uint64_t serial;
    struct sim_flight *heap;
    size_t heap_count, heap_room;
    struct sim_packet *spare; /* had once, and kept for the next */
    struct sim_tx *spare_tx;
    struct sim_node node[NODE_COUNT_MAX];
    uint32_t node_count;
    struct sim_link link[NODE_COUNT_MAX][NODE_COUNT_MAX]; /* [from][to] */
};

/* Index of a node, SIM_NOBODY when the id was never heard of; the other one then makes a node. */
uint32_t sim_node_find(const struct sim_net *net, uint32_t node_id);
uint32_t sim_node_index(struct sim_net *net, uint32_t node_id);

/* Send tx->frame over one link: counts tx->pending up by the packets that are under way. */
void sim_net_send(struct sim_net *net, struct sim_tx *tx, uint32_t from, uint32_t to);

/* Take what arrived first; NULL when there is nothing. The caller's to free. */
struct sim_packet *sim_inbox_take(struct sim_node *node);
void sim_packet_free(struct sim_net *net, struct sim_packet *packet);

struct sim_tx *sim_tx_take(struct sim_net *net);
void sim_tx_free(struct sim_net *net, struct sim_tx *tx);

/* The sender closes: what it has under way gets bytes of its own. */
void sim_net_detach(struct sim_net *net, const struct sim_endpoint *sender);

#endif
