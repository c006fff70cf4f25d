/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TRANSPORT_UDP_UDP_H
#define TRANSPORT_UDP_UDP_H

/*
 * udp.h - the backend that runs anywhere: datagrams through the kernel's sockets.
 *
 * Knows:      batches of datagrams out (tx.c) and in (rx.c), one system call a batch.
 * Knows not:  order, loss. A peer that cannot be reached, an address or a link that goes away and
 *             comes back disturb nothing but the datagrams concerned.
 * Invariants: V1  rx.slot[0..rx.slot_count) are held once by ZCB_HELD_TRANSPORT, and by nobody
 *                 else; rx.iov[i] covers the slot of rx.slot[i]
 *             V2  the pool keeps rx_reserve free frames whatever arrives
 *             V3  between calls tx holds no reference: the kernel has copied
 */

#include <sys/uio.h>

#include "peers.h"
#include "socket.h"
#include "train.h"
#include "transport.h"
#include "zcb.h"

enum {
    UDP_RX_SLOTS = TRANSPORT_BURST,
    UDP_TX_MESSAGES = 2 * TRANSPORT_BURST, /* trains, of any frames and destinations, a call */
    UDP_TX_IOVS = 1024,                    /* pieces of memory they may name together */
    UDP_V4_BYTES_MAX = 65535 - 20 - 8,     /* IP total length less the headers */
    UDP_V6_BYTES_MAX = 65535 - 8,          /* IPv6 does not count its own header */
};

struct udp_rx {
    struct mmsghdr message[UDP_RX_SLOTS];
    struct iovec iov[UDP_RX_SLOTS];
    union udp_address source[UDP_RX_SLOTS];
    struct zcb *slot[UDP_RX_SLOTS];
    int slot_count;
    bool group_filled; /* the group's socket filled a whole burst: look at our own first */
};

union udp_control { /* says where a train is cut */
    struct cmsghdr header;
    char space[CMSG_SPACE(sizeof(uint16_t))];
};

struct udp_tx_message { /* what went into tx.message[i] */
    int index;          /* of its first frame in the caller's array */
    int count;          /* of frames */
    uint32_t bytes;
    uint8_t peer; /* index in peers */
};

struct udp_tx {
    struct mmsghdr message[UDP_TX_MESSAGES];
    struct udp_tx_message about[UDP_TX_MESSAGES];
    union udp_control control[UDP_TX_MESSAGES];
    struct iovec iov[UDP_TX_IOVS];
    int message_count, iov_count;
    uint32_t holdoff;  /* bursts to go until trains are tried again */
    uint8_t fan_first; /* peer to begin a fan-out with: the one the kernel had no room for */
};

struct udp {
    struct transport base;
    struct transport_stats stats;
    struct zcb_pool *pool;
    uint32_t rx_reserve;
    uint32_t frame_bytes_max;
    struct udp_sockets sockets;
    struct udp_peers peers;
    struct udp_rx rx;
    struct udp_tx tx;
};

void udp_rx_init(struct udp *u);
void udp_rx_close(struct udp *u);
int udp_rx_burst(struct transport *tp, struct zcb **frames, int count);

void udp_tx_init(struct udp *u);
int udp_tx_burst(struct transport *tp, struct zcb **frames, int count);

static inline struct udp *udp_of(struct transport *tp)
{
    return (struct udp *)(void *)tp;
}

#endif
