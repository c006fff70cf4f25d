/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TRANSPORT_UDP_PEERS_H
#define TRANSPORT_UDP_PEERS_H

/*
 * peers.h - the nodes by address and by id, and who is meant by ZCB_TO_ALL and ZCB_TO_RING.
 *
 * Knows:      addresses, ids, the lists that fan-out walks.
 * Knows not:  sockets.
 * Invariants: N1  item[0..count) are the nodes of the configuration, all of one family, ids and
 *                 addresses unique; item[count] is the multicast group, family 0 without one
 *             N2  a list holds indexes of item, never our own
 */

#include "address.h"
#include "transport.h"

enum {
    UDP_PEER_NONE = UINT8_MAX,
    UDP_PEER_SLOTS = 2 * NODE_COUNT_MAX, /* of a hash table: at most half full */
};

struct udp_peer {
    union udp_address address;
    uint32_t node_id;
};

struct udp_list {
    uint8_t peer[NODE_COUNT_MAX];
    int count;
};

struct udp_peers {
    struct udp_peer item[NODE_COUNT_MAX + 1];
    uint8_t by_address[UDP_PEER_SLOTS]; /* UDP_PEER_NONE: empty */
    uint8_t by_id[UDP_PEER_SLOTS];
    int count;
    uint8_t self;
    struct udp_list all;  /* ZCB_TO_ALL by fan-out */
    struct udp_list ring; /* ZCB_TO_RING by fan-out */
};

static_assert((int)NODE_COUNT_MAX < (int)UDP_PEER_NONE, "an index, and the group's, fit 8 bits");

/**
 * Read the nodes of the configuration. The group is read too, when there is one.
 *
 * Errors:  -EINVAL, -ENODEV: `why` names node and remedy
 */
int udp_peers_init(struct udp_peers *peers, const struct transport_config *config, char *why,
                   size_t why_bytes);

/* Index of a node; UDP_PEER_NONE: it is none of ours. */
uint8_t udp_peers_by_address(const struct udp_peers *peers, const union udp_address *address);
uint8_t udp_peers_by_id(const struct udp_peers *peers, uint32_t node_id);

/* Whom ZCB_TO_RING means; ids that are no node's are left out, and so are we. */
void udp_peers_members(struct udp_peers *peers, const uint32_t *nodes, int count);

static inline const struct udp_peer *udp_peers_group(const struct udp_peers *peers)
{
    return &peers->item[peers->count];
}

static inline bool udp_peers_multicast(const struct udp_peers *peers)
{
    return udp_peers_group(peers)->address.any.sa_family != 0;
}

#endif
