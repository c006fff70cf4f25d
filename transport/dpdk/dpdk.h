/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TRANSPORT_DPDK_DPDK_H
#define TRANSPORT_DPDK_DPDK_H

/*
 * dpdk.h - the backend for ethdev ports: the whole of an endpoint, and what its files offer.
 *
 * Knows:      ports, nodes behind them, packets in (rx.c), packets out (tx.c), what a link needs
 *             besides frames (link.c: neighbours, group reports, link state).
 * Knows not:  order, loss.
 * Invariants: D1  a frame whose payload a port can gather is sent where it lies; what cannot be is
 *                 copied under a counter that names the reason
 *             D2  a received frame lies in the slot that its card or driver wrote, unless that
 *                 does not reach the arena or insists on memory of its own: then copied under a
 *                 counter
 *             D3  a link with one peer behind it never holds up frames for the others: what it has
 *                 no room for is dropped and counted
 *             D4  no call of the poll core allocates; system calls are the driver's own, and those
 *                 of looks at links
 * Thread:     open, query, close: control thread. All others: poll core.
 */

#include "bell.h"
#include "memory.h"
#include "packet.h"
#include "port.h"
#include "transport.h"

enum {
    DPDK_LOANS = 2048,
    DPDK_TX_HEADS = 1024,
    DPDK_TX_HEADS_ONE = 512,        /* of one port, whose driver copies: those that wait for it */
    DPDK_TX_HEADS_BYTES = 20 << 20, /* fewer, if packets in one piece are large */
    DPDK_TX_HEADS_CARD = 2 * DPDK_DESCRIPTORS, /* one keeps what it was given for a while */
    DPDK_TX_SEGMENTS = 4096,
};

struct dpdk_list { /* indices of peers */
    uint8_t count;
    uint8_t peer[NODE_COUNT_MAX];
};

struct dpdk_link { /* link.c */
    uint64_t now_ns, ns_per_cycle_32;
    uint64_t look_ns;
    uint64_t ask_ns[PEER_MAP_MAX], ask_interval_ns[PEER_MAP_MAX]; /* by peer, routers too */
    uint64_t asked_ns[PEER_MAP_MAX];
    uint64_t report_ns;
    uint32_t reports; /* since the link came up */
    uint8_t group_version;
};

enum dpdk_wake_state {
    DPDK_WAKE_IDLE,
    DPDK_WAKE_ARMED,
    DPDK_WAKE_LOOKED, /* armed, and a look since found nothing: then one sleeps */
    DPDK_WAKE_SILENT, /* awake again, and no interrupt was the reason: is there a packet? */
};

enum dpdk_waker { DPDK_BY_CLOCK, DPDK_BY_SOCKET, DPDK_BY_INTERRUPT, DPDK_BY_BELL };

struct dpdk_wake { /* wake.c */
    int fd;        /* -1: ports can only be polled */
    enum dpdk_waker by;
    enum dpdk_wake_state state;
    uint64_t rang_ns; /* when an interrupt came last */
    uint32_t missed_in_a_row;
    uint64_t rang, missed;
};

struct dpdk {
    struct transport base;
    struct transport_stats stats;
    uint64_t copied[DPDK_COPIES]; /* payload bytes, by reason */
    uint64_t verdict[PACKET_VERDICT_COUNT];
    struct packet_local local;
    struct peer_map peers; /* the nodes in the order of the configuration, then routers */
    uint32_t node_id[NODE_COUNT_MAX];
    int node_count;
    uint8_t self;
    struct packet_template to[NODE_COUNT_MAX]; /* by peer */
    struct packet_template to_group;
    struct dpdk_list all, ring;
    uint32_t frame_bytes_max;
    uint32_t head_bytes; /* of a packet before its payload */
    struct zcb_pool *rx_pool;
    struct dpdk_slots slots;
    struct dpdk_areas areas;
    struct dpdk_loans loans;
    struct rte_mempool *heads, *segments; /* of packets on their way out */
    struct dpdk_port port[DPDK_PORTS_MAX];
    int port_count, rx_next;
    struct bell bell;              /* of memif */
    uint64_t inbox_refused;        /* packets of a driver's own memory that found no frame */
    uint8_t port_of[PEER_MAP_MAX]; /* by peer */
    struct dpdk_wake wake;
    struct dpdk_link link;
};

static inline struct dpdk *dpdk_of(struct transport *tp)
{
    return (struct dpdk *)(void *)tp;
}

int dpdk_tx_burst(struct transport *tp, struct zcb **frames, int count);
int dpdk_rx_burst(struct transport *tp, struct zcb **frames, int count);
int dpdk_tx_reap(struct transport *tp);

/* Offer what waits to the ports. */
void dpdk_tx_flush(struct dpdk *d);

/* A packet that is not a frame: answers to neighbours, group reports. Owns m. */
void dpdk_tx_control(struct dpdk *d, struct dpdk_port *port, struct rte_mbuf *m);
struct rte_mbuf *dpdk_tx_control_mbuf(struct dpdk *d); /* PACKET_CONTROL_ROOM bytes; NULL: none */

#endif
