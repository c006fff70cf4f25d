/* SPDX-License-Identifier: BSD-3-Clause */
#include "peers.h"
#include "why.h"

#include <errno.h>
#include <string.h>

static uint32_t id_slot(uint32_t node_id)
{
    return (node_id * UINT32_C(0x9e3779b1) >> 16) % UDP_PEER_SLOTS;
}

uint8_t udp_peers_by_address(const struct udp_peers *peers, const union udp_address *address)
{
    uint32_t slot = udp_address_hash(address) % UDP_PEER_SLOTS;
    uint8_t peer;

    while ((peer = peers->by_address[slot]) != UDP_PEER_NONE) {
        if (udp_address_equal(&peers->item[peer].address, address))
            break;
        slot = (slot + 1) % UDP_PEER_SLOTS;
    }
    return peer;
}

uint8_t udp_peers_by_id(const struct udp_peers *peers, uint32_t node_id)
{
    uint32_t slot = id_slot(node_id);
    uint8_t peer;

    while ((peer = peers->by_id[slot]) != UDP_PEER_NONE) {
        if (peers->item[peer].node_id == node_id)
            break;
        slot = (slot + 1) % UDP_PEER_SLOTS;
    }
    return peer;
}

static void table_add(uint8_t table[UDP_PEER_SLOTS], uint32_t slot, uint8_t peer)
{
    while (table[slot] != UDP_PEER_NONE)
        slot = (slot + 1) % UDP_PEER_SLOTS;
    table[slot] = peer;
}

/* The first error of an address, in words. */
static int address_why(int error, const char *who, const char *text, char *why, size_t why_bytes)
{
    if (error == -ENODEV)
        return transport_why(why, why_bytes, error,
                             "udp: %s: address %s names an interface that this machine does not "
                             "have: `ip link` lists those it has",
                             who, text);
    if (error == -EDESTADDRREQ)
        return transport_why(why, why_bytes, error,
                             "udp: %s: address %s is link-local and names no interface: write "
                             "%s%%interface",
                             who, text, text);
    return transport_why(why, why_bytes, error,
                         "udp: %s: address \"%s\" is not numeric: write an IPv4 or IPv6 address, "
                         "names are not looked up",
                         who, text);
}

static int peer_check(const struct udp_peers *peers, const struct udp_peer *peer,
                      const struct transport_node *node, char *why, size_t why_bytes)
{
    const union udp_address *address = &peer->address;
    uint8_t other;

    if (udp_address_is_multicast(address) || udp_address_is_any(address))
        return transport_why(why, why_bytes, -EINVAL,
                             "udp: node %u: %s is not the address of one machine: write the "
                             "address others reach the node by",
                             node->node_id, node->address);
    if (node->port == 0)
        return transport_why(why, why_bytes, -EINVAL,
                             "udp: node %u: port 0 names no port: write one from 1 to 65535",
                             node->node_id);
    if (peers->count > 0 && peers->item[0].address.any.sa_family != address->any.sa_family)
        return transport_why(why, why_bytes, -EINVAL,
                             "udp: node %u: %s is of another family than the address of node %u: "
                             "write IPv4 for all nodes or IPv6 for all",
                             node->node_id, node->address, peers->item[0].node_id);
    if (udp_peers_by_id(peers, node->node_id) != UDP_PEER_NONE)
        return transport_why(why, why_bytes, -EINVAL,
                             "udp: node %u is listed twice: give each node an id of its own",
                             node->node_id);
    other = udp_peers_by_address(peers, address);
    if (other != UDP_PEER_NONE)
        return transport_why(why, why_bytes, -EINVAL,
                             "udp: nodes %u and %u have the same address %s and port %u: give "
                             "each its own",
                             peers->item[other].node_id, node->node_id, node->address, node->port);
    return 0;
}

static int peer_add(struct udp_peers *peers, const struct transport_node *node, char *why,
                    size_t why_bytes)
{
    struct udp_peer *peer = &peers->item[peers->count];
    char who[32];
    int error;

    peer->node_id = node->node_id;
    error = udp_address_parse(&peer->address, node->address, node->port);
    if (error != 0) {
        snprintf(who, sizeof who, "node %u", node->node_id);
        return address_why(error, who, node->address, why, why_bytes);
    }
    error = peer_check(peers, peer, node, why, why_bytes);
    if (error != 0)
        return error;
    table_add(peers->by_address, udp_address_hash(&peer->address) % UDP_PEER_SLOTS,
              (uint8_t)peers->count);
    table_add(peers->by_id, id_slot(node->node_id), (uint8_t)peers->count);
    peers->count++;
    return 0;
}

static int group_read(struct udp_peers *peers, const struct transport_config *config, char *why,
                      size_t why_bytes)
{
    struct udp_peer *group = &peers->item[peers->count];
    int error;

    memset(group, 0, sizeof *group);
    if (config->multicast == NULL)
        return 0;
    error = udp_address_parse(&group->address, config->multicast, config->multicast_port);
    if (error != 0)
        return address_why(error, "multicast group", config->multicast, why, why_bytes);
    if (group->address.any.sa_family != peers->item[0].address.any.sa_family)
        return transport_why(why, why_bytes, -EINVAL,
                             "udp: multicast group %s is of another family than the nodes: write "
                             "one of theirs",
                             config->multicast);
    if (!udp_address_is_multicast(&group->address) || config->multicast_port == 0)
        return transport_why(why, why_bytes, -EINVAL,
                             "udp: %s port %u is not a multicast group and port: write a group of "
                             "239.0.0.0/8 or ff05::/16, or none for unicast",
                             config->multicast, config->multicast_port);
    return 0;
}

int udp_peers_init(struct udp_peers *peers, const struct transport_config *config, char *why,
                   size_t why_bytes)
{
    int error;

    memset(peers, 0, sizeof *peers);
    memset(peers->by_address, UDP_PEER_NONE, sizeof peers->by_address);
    memset(peers->by_id, UDP_PEER_NONE, sizeof peers->by_id);
    if (config->node_count < 1 || config->node_count > NODE_COUNT_MAX)
        return transport_why(why, why_bytes, -EINVAL, "udp: %d nodes: list from 1 to %d",
                             config->node_count, NODE_COUNT_MAX);
    for (int i = 0; i < config->node_count; i++) {
        error = peer_add(peers, &config->nodes[i], why, why_bytes);
        if (error != 0)
            return error;
    }
    peers->self = udp_peers_by_id(peers, config->node_id);
    if (peers->self == UDP_PEER_NONE)
        return transport_why(why, why_bytes, -EINVAL,
                             "udp: this node is %u and the list of nodes has no such id: add it",
                             config->node_id);
    for (int i = 0; i < peers->count; i++) {
        if (i != peers->self)
            peers->all.peer[peers->all.count++] = (uint8_t)i;
    }
    peers->ring = peers->all;
    return group_read(peers, config, why, why_bytes);
}

void udp_peers_members(struct udp_peers *peers, const uint32_t *nodes, int count)
{
    peers->ring.count = 0;
    for (int i = 0; i < count && peers->ring.count < NODE_COUNT_MAX; i++) {
        uint8_t peer = udp_peers_by_id(peers, nodes[i]);
        if (peer != UDP_PEER_NONE && peer != peers->self)
            peers->ring.peer[peers->ring.count++] = peer;
    }
}
