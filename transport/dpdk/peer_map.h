/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TRANSPORT_DPDK_PEER_MAP_H
#define TRANSPORT_DPDK_PEER_MAP_H

/*
 * peer_map.h - the nodes, and the routers to them, by IP address; and the MAC each is reached by.
 *
 * Knows:      addresses, what was learnt, when a machine was last heard.
 * Knows not:  when to ask again: its caller has the clock. Whether a packet is sound: only those
 *             that packet_parse() found so may teach.
 * Invariants: M1  an index is a place in the order of peer_map_add(), and stays
 *             M2  addresses are unique, and at most half of the slots are taken: every search ends
 *             M3  a static MAC never changes
 *             M4  a routed peer has no MAC of its own: it is reached by its router's, and what it
 *                 sends teaches nothing, because the way back may be another router
 *             M5  a router is not routed
 * Thread:     init, add, static, via: before the poll core runs. All others: poll core.
 */

#include "headers.h"

enum {
    PEER_MAP_MAX = NODE_COUNT_MAX + 4, /* nodes, and routers */
    PEER_MAP_SLOTS = 512,              /* of a hash table */
    PEER_NONE = UINT8_MAX,
};
static_assert((int)PEER_MAP_MAX < (int)PEER_NONE && PEER_MAP_MAX * 2 <= PEER_MAP_SLOTS, "M2");

enum peer_state { PEER_UNKNOWN, PEER_LEARNT, PEER_STATIC };

enum peer_news {
    PEER_SAME,    /* as known; or it may not teach (M4) */
    PEER_NEW,     /* the first MAC of it */
    PEER_MOVED,   /* another MAC than before, which is taken */
    PEER_REFUSED, /* another MAC than the static one, which stays */
};

struct peer_entry {
    struct ip_address ip;
    uint64_t heard_ns; /* when its MAC was last seen or confirmed; 0: never */
    uint16_t port;     /* UDP, of a node; 0: a router */
    struct mac mac;
    uint8_t state; /* enum peer_state */
    uint8_t via;   /* index of its router, or its own */
};

struct peer_map {
    struct peer_entry item[PEER_MAP_MAX];
    uint8_t slot[PEER_MAP_SLOTS]; /* index of item; PEER_NONE: empty */
    uint8_t count;
    uint64_t moved, refused; /* how often a MAC changed, and how often a static one was denied */
};

void peer_map_init(struct peer_map *map);

/**
 * Add a node, or a router (port 0). Gives its index.
 *
 * Errors:  -EEXIST another entry has the address; -ENOSPC PEER_MAP_MAX are there
 */
int peer_map_add(struct peer_map *map, const struct ip_address *ip, uint16_t port);

void peer_map_static(struct peer_map *map, uint8_t peer, const struct mac *mac);

/* Errors: -EINVAL `router` is routed itself, or is `peer`, or `peer` is the router of others */
int peer_map_via(struct peer_map *map, uint8_t peer, uint8_t router);

/* Index of an address; PEER_NONE: it is none of ours. */
uint8_t peer_map_find(const struct peer_map *map, const struct ip_address *ip);

/**
 * A sound packet of `peer` came from `mac`. After PEER_NEW and PEER_MOVED templates of `peer`, and
 * of those that are routed through it, need the new MAC.
 */
enum peer_news peer_map_learn(struct peer_map *map, uint8_t peer, const struct mac *mac,
                              uint64_t now_ns);

/* The MAC to send to, its own or its router's; NULL: not known yet, ask peer_map_hop(). */
const struct mac *peer_map_mac(const struct peer_map *map, uint8_t peer);

/* Whose MAC it takes to reach a peer: its own index, or its router's. */
static inline uint8_t peer_map_hop(const struct peer_map *map, uint8_t peer)
{
    return map->item[peer].via;
}

/* Since its MAC was last confirmed; NS_NEVER: never. A static MAC does not age: 0. */
uint64_t peer_map_age_ns(const struct peer_map *map, uint8_t peer, uint64_t now_ns);

#endif
