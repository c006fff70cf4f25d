/* SPDX-License-Identifier: BSD-3-Clause */
#include "peer_map.h"

#include <errno.h>

static uint32_t first_slot(const struct ip_address *ip)
{
    uint64_t half[2];

    memcpy(half, ip->byte, sizeof(half));
    /* 2^64 / golden ratio: spreads neighbours over the upper bits */
    return (uint32_t)((half[0] * 3 + half[1]) * UINT64_C(0x9e3779b97f4a7c15) >> 55);
}
static_assert(PEER_MAP_SLOTS == 1 << (64 - 55), "first_slot() reaches all");

void peer_map_init(struct peer_map *map)
{
    memset(map, 0, sizeof(*map));
    memset(map->slot, PEER_NONE, sizeof(map->slot));
}

/* The slot that holds the address, or the empty one where it would be. */
static uint32_t slot_of(const struct peer_map *map, const struct ip_address *ip)
{
    uint32_t slot = first_slot(ip);

    while (map->slot[slot] != PEER_NONE && !ip_equal(&map->item[map->slot[slot]].ip, ip))
        slot = (slot + 1) % PEER_MAP_SLOTS;
    return slot;
}

uint8_t peer_map_find(const struct peer_map *map, const struct ip_address *ip)
{
    return map->slot[slot_of(map, ip)];
}

int peer_map_add(struct peer_map *map, const struct ip_address *ip, uint16_t port)
{
    uint32_t slot = slot_of(map, ip);

    if (map->slot[slot] != PEER_NONE)
        return -EEXIST;
    if (map->count == PEER_MAP_MAX)
        return -ENOSPC;
    map->slot[slot] = map->count;
    map->item[map->count] = (struct peer_entry){ .ip = *ip, .port = port, .via = map->count };
    return map->count++;
}

void peer_map_static(struct peer_map *map, uint8_t peer, const struct mac *mac)
{
    INVARIANT(peer < map->count);
    map->item[peer].mac = *mac;
    map->item[peer].state = PEER_STATIC;
}

static bool routes_others(const struct peer_map *map, uint8_t peer)
{
    for (uint8_t i = 0; i < map->count; i++) {
        if (i != peer && map->item[i].via == peer)
            return true;
    }
    return false;
}

int peer_map_via(struct peer_map *map, uint8_t peer, uint8_t router)
{
    INVARIANT(peer < map->count && router < map->count);
    if (router == peer || map->item[router].via != router || routes_others(map, peer))
        return -EINVAL; /* M5 */
    map->item[peer].via = router;
    return 0;
}

static enum peer_news differs(struct peer_map *map, struct peer_entry *item, const struct mac *mac,
                              uint64_t now_ns)
{
    bool first = item->state == PEER_UNKNOWN;

    if (item->state == PEER_STATIC) {
        map->refused++;
        return PEER_REFUSED; /* M3 */
    }
    item->mac = *mac;
    item->state = PEER_LEARNT;
    item->heard_ns = now_ns;
    map->moved += !first;
    return first ? PEER_NEW : PEER_MOVED;
}

enum peer_news peer_map_learn(struct peer_map *map, uint8_t peer, const struct mac *mac,
                              uint64_t now_ns)
{
    struct peer_entry *item = &map->item[peer];

    INVARIANT(peer < map->count);
    if (item->via != peer)
        return PEER_SAME; /* M4 */
    if (item->state == PEER_UNKNOWN || !mac_equal(&item->mac, mac))
        return differs(map, item, mac, now_ns);
    item->heard_ns = now_ns;
    return PEER_SAME;
}

const struct mac *peer_map_mac(const struct peer_map *map, uint8_t peer)
{
    INVARIANT(peer < map->count);
    const struct peer_entry *hop = &map->item[map->item[peer].via];
    return hop->state != PEER_UNKNOWN ? &hop->mac : NULL;
}

uint64_t peer_map_age_ns(const struct peer_map *map, uint8_t peer, uint64_t now_ns)
{
    INVARIANT(peer < map->count);
    const struct peer_entry *hop = &map->item[map->item[peer].via];
    if (hop->state == PEER_STATIC)
        return 0;
    return hop->state == PEER_UNKNOWN ? NS_NEVER : now_ns - hop->heard_ns;
}
