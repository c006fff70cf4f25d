/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_TRANSPORT_CLUSTER_H
#define TESTS_TRANSPORT_CLUSTER_H

/*
 * cluster.h - a few endpoints of one backend in one process, and frames whose bytes are known.
 *
 * Knows:      how each backend is set up and how its time passes; a backend joins the contract
 *             test by one line in cluster.c.
 * Thread:     the test's. A cluster that cannot be had ends the test as skipped, with the reason.
 */

#include <stddef.h>

#include "sim/sim.h"
#include "transport.h"

enum {
    PARTIES_MAX = 5,
    FRAME_BYTES_MAX = 1472,
    RX_COUNT = 256,
    TX_COUNT = 512,
    PAYLOAD_BYTES = 4 << 20,
    CARD_POSTS = 1024, /* slots that a card may take to receive into, before anything comes */
};

struct backend {
    const char *name;
    const struct transport_ops *ops;
    int family; /* 0: nodes need no addresses */
    bool multicast;
    bool by_reference;
    const char *port;          /* of DPDK; "%d" is the party; "pci": a card for each */
    uint32_t frame_bytes_most; /* 0: any */
    bool filters;              /* interfaces drop what is for groups they were not told of */
    bool forgets;              /* what is under way when a party goes is lost */
};

enum backend_index {
    UDP_IPV4,
    UDP_IPV6,
    UDP_IPV4_MULTICAST,
    UDP_IPV6_MULTICAST,
    SIM_COPIES,
    SIM_BY_REFERENCE,
    DPDK_MEMIF_IPV4,
    DPDK_MEMIF_IPV6,
    DPDK_AF_PACKET_IPV4,
    DPDK_AF_PACKET_IPV6,
    DPDK_AF_PACKET_MULTICAST,
    DPDK_AF_XDP_IPV4,
    DPDK_FILTERED,
    DPDK_PCI_IPV4,
    DPDK_PCI_IPV6_MULTICAST,
    BACKENDS
};
extern const struct backend backends[BACKENDS];

struct options { /* 0: the default */
    int parties;
    uint32_t frame_bytes_max;
    uint32_t rx_count;
    uint32_t rx_reserve;
    uint64_t socket_bytes;
    uint64_t seed;       /* of the simulated net */
    const char *gateway; /* of DPDK: all but party 0 are behind it; the kernel has the address */
};

struct party {
    uint32_t node_id;
    struct transport *tp;
    struct zcb_arena arena;
    struct zcb_pool rx, tx;
    uint8_t *payload; /* PAYLOAD_BYTES of the arena */
    size_t payload_at;
    uint32_t rx_count; /* slots that are free at first */
    struct zcb *spare[CARD_POSTS];
    uint32_t spare_count;
};

struct cluster {
    const struct backend *backend;
    struct sim_net *net;
    struct sim_config sim;
    struct transport_dpdk dpdk[PARTIES_MAX];
    char directory[32]; /* of memif's sockets */
    struct transport_node nodes[PARTIES_MAX];
    struct transport_config config; /* that of the party opened last */
    struct party party[PARTIES_MAX];
    int count;
    char group[64];
};

/* A network namespace of our own where the kernel permits; else the machine's loopback. */
bool isolate(void);

/* A link of our own, l0, that has these two; its other end is l1. False: it cannot be had. */
#define LINK_V4 "10.92.0.1"
#define LINK_V6 "fd00:5c::1"
bool link_make(void);
/* One more IPv6 address of l0. One can be bound to before the kernel has routed it: until then what
 * is sent there is lost, so this returns when it has. */
bool link_add_v6(const char *address);
/* A line for the shell, in our own namespace: did it work? */
bool command(const char *line);

/* Fill in a node, with a port that is free now. */
void free_address(struct transport_node *node, const char *address, uint32_t node_id);

void cluster_open(struct cluster *c, enum backend_index backend, const struct options *options);
/* Every frame must be back by then: pools are checked and destroyed. */
void cluster_close(struct cluster *c);
void party_open(struct cluster *c, int i); /* again, after party_close() */
void party_close(struct cluster *c, int i);

/* Links are up, and all that are open have answered each other: until then frames are lost. No
 * frame may be under way. */
void reachable_wait(struct cluster *c);

/* The byte at `at` of the frame that was made with `seed`. */
static inline uint8_t frame_byte(uint32_t seed, uint32_t at)
{
    return (uint8_t)(seed * 131 + at * 7 + (at >> 8));
}

/* A frame of party i; its payload lies in pieces, with gaps between them. */
struct zcb *frame_make(struct cluster *c, int i, uint32_t dest, uint32_t seed, uint32_t head_bytes,
                       uint32_t payload_bytes, uint32_t pieces);
void frame_check(const struct zcb *frame, uint32_t from, uint32_t seed, uint32_t bytes);

/* Send until all are taken. */
void send_all(struct cluster *c, int i, struct zcb **frames, int count);
void send_one(struct cluster *c, int i, struct zcb *frame);

/* Receive exactly `want` frames; the test fails when they do not come. */
void receive(struct cluster *c, int i, struct zcb **frames, int want);
struct zcb *receive_one(struct cluster *c, int i);
void drop_all(struct zcb **frames, int count);

/* Everything that `from` has sent to `to` until now has arrived: how much of it is still there to
 * receive. It is received and dropped. */
int drain(struct cluster *c, int from, int to);

/* Let what was sent arrive, and take back what was. */
void pump(struct cluster *c);
/* Becomes true within seconds, or the test fails. */
void deadline_check(uint64_t begin_ns, const char *what);
uint64_t clock_ns(void);

bool readable(int fd);
uint32_t taken(const struct zcb_pool *pool);

#endif
