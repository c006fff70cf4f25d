/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TRANSPORT_UDP_UDP_H
#define TRANSPORT_UDP_UDP_H

/*
 * udp.h - the backend that runs anywhere: datagrams through the kernel's sockets.
 *
 * Knows:      batches of datagrams out (tx.c) and in (rx.c), one system call a batch.
 * Knows not:  order, loss. A peer that cannot be reached, an address or a link that goes away and
 *             comes back disturb nothing but the datagrams concerned.
 * Invariants: V1  between calls slot_count of rx.slot are set, each held once by
 *                 ZCB_HELD_TRANSPORT and by nobody else; when rx_receive() asks the kernel they
 *                 are the first, and rx.iov covers them
 *             V2  the pool keeps rx_reserve free frames whatever arrives
 *             V3  between calls tx holds no reference: the kernel has copied
 *             V4  after a call that gave fewer frames than were asked for, sleep_fd is readable
 *                 if frames wait: in the kernel, or here for want of a slot
 */

#include <sys/uio.h>

#include "peers.h"
#include "socket.h"
#include "train.h"
#include "transport.h"
#include "zcb.h"

enum {
    UDP_RX_MESSAGES = 16,                  /* a call; of up to 64 datagrams each */
    UDP_RX_TAIL_BYTES = 65536,             /* of a message, beyond its first frame */
    UDP_TX_MESSAGES = 2 * TRANSPORT_BURST, /* trains, of any frames and destinations, a call */
    UDP_TX_IOVS = 1024,                    /* pieces of memory they may name together */
    UDP_V4_BYTES_MAX = 65535 - 20 - 8,     /* IP total length less the headers */
    UDP_V6_BYTES_MAX = 65535 - 8,          /* IPv6 does not count its own header */
};

struct udp_rest {      /* of a message: datagrams not handed up yet */
    const uint8_t *at; /* in one piece */
    uint32_t bytes;
    uint32_t cut; /* length of each but the last */
    uint32_t from;
};

union udp_gro { /* says where a message is cut */
    struct cmsghdr header;
    char space[CMSG_SPACE(sizeof(int))];
};

struct udp_rx {
    struct mmsghdr message[UDP_RX_MESSAGES];
    struct iovec iov[UDP_RX_MESSAGES][2]; /* the slot, the tail */
    union udp_address source[UDP_RX_MESSAGES];
    union udp_gro control[UDP_RX_MESSAGES];
    struct zcb *slot[UDP_RX_MESSAGES];
    int slot_count;
    int received, next; /* messages taken from the socket, and which is to be handed up next */
    struct udp_rest rest;
    uint8_t *tails;
    size_t tail_bytes; /* of one */
    uint64_t own;      /* frames of our own that came back by multicast */
    bool group_filled; /* the group's socket filled a whole burst: look at our own first */
    bool alarm;        /* sockets.alarm is raised */
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
    bool down[NODE_COUNT_MAX]; /* by peer: there is no way to it, said the kernel last */
    int down_count;
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

int udp_rx_init(struct udp *u); /* -ENOMEM */
void udp_rx_close(struct udp *u);
int udp_rx_burst(struct transport *tp, struct zcb **frames, int count);

void udp_tx_init(struct udp *u);
int udp_links_down(const struct transport *tp, uint32_t *nodes);
int udp_tx_burst(struct transport *tp, struct zcb **frames, int count);

static inline struct udp *udp_of(struct transport *tp)
{
    return (struct udp *)(void *)tp;
}

#endif
