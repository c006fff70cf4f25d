/* SPDX-License-Identifier: BSD-3-Clause */
#include "dpdk.h"
#include "card.h"
#include "check.h"
#include "eal.h"
#include "link.h"
#include "memif.h"
#include "ports.h"
#include "sysfs.h"
#include "unplug.h"
#include "wake.h"
#include "why.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { DEFAULT_HOPS = 64, ASK_BACK_NS = 20 * NS_PER_US };

/* `v6` is what all addresses must be. */
static int read_address(struct ip_address *ip, const char *text, bool v6)
{
    uint8_t bytes[IPV6_BYTES];
    if (inet_pton(v6 ? AF_INET6 : AF_INET, text, bytes) != 1)
        return -EINVAL;
    *ip = ip_address_of(bytes, v6);
    return 0;
}

/* The configuration checked it. */
static bool read_mac(struct mac *mac, const char *text)
{
    uint8_t *b = mac->byte;
    return sscanf(text, "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx", &b[0], &b[1], &b[2], &b[3], &b[4],
                  &b[5]) == 6;
}

static int add_node(struct dpdk *d, const struct transport_node *node, char *why, size_t why_bytes)
{
    struct ip_address ip;
    if (read_address(&ip, node->address, d->local.v6) != 0)
        return transport_why(why, why_bytes, -EINVAL,
                             "dpdk: node %u: %s is no %s address, as the others are", node->node_id,
                             node->address, d->local.v6 ? "IPv6" : "IPv4");
    int index = peer_map_add(&d->peers, &ip, node->port);
    if (index < 0)
        return transport_why(why, why_bytes, index,
                             "dpdk: node %u: another node has %s too: a port tells nodes by their "
                             "IP addresses",
                             node->node_id, node->address);
    struct mac mac;
    if (node->mac[0] && read_mac(&mac, node->mac))
        peer_map_static(&d->peers, (uint8_t)index, &mac);
    d->node_id[index] = node->node_id;
    d->node_count = index + 1;
    return 0;
}

/* A router of the only port there is: between nodes that share memory there is none. */
static int add_gateway(struct dpdk *d, const struct transport_config *config, char *why,
                       size_t why_bytes)
{
    const struct transport_dpdk *words = config->backend;
    struct ip_address ip;
    if (!words->gateway[0])
        return 0;
    int router = read_address(&ip, words->gateway, d->local.v6);
    if (router == 0)
        router = peer_map_add(&d->peers, &ip, 0);
    if (router < 0)
        return transport_why(why, why_bytes, router,
                             "dpdk: dpdk.gateway %s is no %s address of a machine of its own",
                             words->gateway, d->local.v6 ? "IPv6" : "IPv4");
    for (int i = 0; i < d->node_count; i++)
        if (config->nodes[i].routed)
            (void)peer_map_via(&d->peers, (uint8_t)i, (uint8_t)router);
    return 0;
}

static int add_nodes(struct dpdk *d, const struct transport_config *config, char *why,
                     size_t why_bytes)
{
    peer_map_init(&d->peers);
    d->local.v6 = config->node_count > 0 && strchr(config->nodes[0].address, ':');
    d->self = PEER_NONE;
    for (int i = 0; i < config->node_count; i++) {
        int failed = add_node(d, &config->nodes[i], why, why_bytes);
        if (failed)
            return failed;
        if (config->nodes[i].node_id == config->node_id)
            d->self = (uint8_t)i;
        else
            d->all.peer[d->all.count++] = (uint8_t)i;
    }
    d->ring = d->all;
    if (d->self == PEER_NONE)
        return transport_why(why, why_bytes, -EINVAL,
                             "dpdk: this node is %u and the list of nodes has no such id: add it",
                             config->node_id);
    return add_gateway(d, config, why, why_bytes);
}

/* Sums are made where they can find damage: not between processes that share memory. */
static enum packet_checksum checksum_kind(const struct dpdk *d)
{
    if (d->port_count > 0 && d->port[0].sums)
        return PACKET_CHECKSUM_PSEUDO;
    bool memory = d->port_count == 0 || d->port[0].kind == DPDK_MEMIF;
    return memory && !d->local.v6 ? PACKET_CHECKSUM_NONE : PACKET_CHECKSUM_FULL;
}

static int init_local(struct dpdk *d, const struct transport_config *config, char *why,
                      size_t why_bytes)
{
    const struct transport_dpdk *words = config->backend;
    struct packet_local *l = &d->local;
    l->ip = d->peers.item[d->self].ip;
    l->mac = d->port_count > 0 ? d->port[0].mac : (struct mac){ { 2 } };
    l->port = config->nodes[d->self].port;
    l->vlan_id = words->vlan_id;
    l->checksum = checksum_kind(d);
    l->zero_checksum = l->checksum == PACKET_CHECKSUM_NONE;
    l->peers = &d->peers;
    bool mesh = strcmp(words->port, "memif") == 0;
    if (config->multicast && !mesh) {
        if (read_address(&l->group, config->multicast, l->v6) != 0)
            return transport_why(why, why_bytes, -EINVAL,
                                 "dpdk: multicast group %s is of another family than the nodes",
                                 config->multicast);
        l->group_port = config->multicast_port;
    }
    int failed = packet_local_init(l);
    if (failed)
        return transport_why(why, why_bytes, failed,
                             "dpdk: node %u: address, port or VLAN cannot be a machine's",
                             config->node_id);
    return 0;
}

static void hear_groups(struct dpdk *d)
{
    struct mac list[PACKET_MACS_MAX];
    int count = packet_local_macs(&d->local, list);
    for (int i = 0; i < d->port_count; i++)
        dpdk_port_hear(&d->port[i], list, count);
}
static_assert((int)PACKET_MACS_MAX <= (int)DPDK_GROUPS_MAX, "a port hears all");

static int init_templates(struct dpdk *d, const struct transport_config *config, char *why,
                          size_t why_bytes)
{
    const struct transport_dpdk *words = config->backend;
    struct packet_route route = { .hops = DEFAULT_HOPS,
                                  .dscp = words->dscp,
                                  .priority = words->vlan_priority };
    int failed = 0;
    for (int i = 0; i < d->all.count && !failed; i++) {
        uint8_t peer = d->all.peer[i];
        route.ip = d->peers.item[peer].ip;
        route.port = d->peers.item[peer].port;
        const struct mac *fixed = peer_map_mac(&d->peers, peer);
        route.mac = fixed ? *fixed : (struct mac){ { 2 } }; /* until it is known */
        failed = packet_template_init(&d->to[peer], &d->local, &route);
    }
    route.ip = d->local.group;
    route.port = d->local.group_port;
    route.hops = config->multicast_ttl;
    if (d->local.has_group && !failed)
        failed = packet_template_init(&d->to_group, &d->local, &route);
    if (failed)
        return transport_why(why, why_bytes, failed,
                             "dpdk: no packets can be made for these nodes: look at ports, "
                             "dpdk.dscp (0 to 63), dpdk.vlan_priority (0 to 7) and ttl");
    return 0;
}

static int check_frames(const struct dpdk *d, const struct transport_config *config, char *why,
                        size_t why_bytes)
{
    uint32_t most = UINT16_MAX - RTE_PKTMBUF_HEADROOM - 3 * CACHE_LINE_BYTES;
    if (config->frame_bytes_max == 0 || config->frame_bytes_max > most)
        return transport_why(why, why_bytes, -EMSGSIZE,
                             "dpdk: a packet carries 1 to %u bytes and frames are to be %u: set "
                             "netmtu to the MTU of the slowest link, 1500 or 9000 as a rule",
                             most, config->frame_bytes_max);
    if (config->rx_pool->slot_bytes < config->frame_bytes_max ||
        config->rx_pool->stride_bytes - config->rx_pool->slot_bytes < d->head_bytes)
        return transport_why(why, why_bytes, -EINVAL,
                             "dpdk: receive slots have %u bytes and %u in front of them, packets "
                             "take %u and %u",
                             config->rx_pool->slot_bytes,
                             config->rx_pool->stride_bytes - config->rx_pool->slot_bytes,
                             config->frame_bytes_max, d->head_bytes);
    return 0;
}

/* A card needs each packet in one piece of physical memory, and keeps many until it has sent them.
 * Without one they may lie across pages, for else every page of 4 KiB has room for one only. */
static struct rte_mempool *mbufs(const char *name, uint32_t count, uint32_t room, bool card)
{
    struct rte_pktmbuf_pool_private about = { .mbuf_data_room_size = (uint16_t)room };
    unsigned flags = RTE_MEMPOOL_F_SP_PUT | RTE_MEMPOOL_F_SC_GET |
                     (card ? 0 : RTE_MEMPOOL_F_NO_SPREAD | RTE_MEMPOOL_F_NO_IOVA_CONTIG);
    struct rte_mempool *mempool =
        rte_mempool_create_empty(name, count, (unsigned)sizeof(struct rte_mbuf) + room, 0,
                                 sizeof(about), SOCKET_ID_ANY, flags);
    if (!mempool)
        return NULL;
    rte_pktmbuf_pool_init(mempool, &about);
    if (rte_mempool_populate_default(mempool) != (int)count) {
        rte_mempool_free(mempool);
        return NULL;
    }
    rte_mempool_obj_iter(mempool, rte_pktmbuf_init, NULL);
    return mempool;
}

/* A packet that goes in one piece needs room for all of a frame. */
static int make_pools(struct dpdk *d, char *why, size_t why_bytes)
{
    static uint32_t serial;
    char name[2][32];
    bool card = d->port_count > 0 && d->port[0].kind == DPDK_PCI;
    bool linear = d->port_count > 0 && (card || d->port[0].tx_copy != DPDK_COPY_NOT ||
                                        d->port[0].pieces_most <= UINT8_MAX || /* fits() */
                                        checksum_kind(d) == PACKET_CHECKSUM_FULL);
    uint32_t room = RTE_PKTMBUF_HEADROOM + PACKET_HEAD_ROOM +
                    (linear ? (uint32_t)max_u64(d->frame_bytes_max, ZCB_HEAD_BYTES_MAX)
                            : (uint32_t)ZCB_HEAD_BYTES_MAX);
    snprintf(name[0], sizeof(name[0]), "heads-%u", serial);
    snprintf(name[1], sizeof(name[1]), "segments-%u", serial++);
    uint32_t copied = d->port_count > 1 ? DPDK_TX_HEADS : DPDK_TX_HEADS_ONE;
    uint32_t heads = min_u32(card ? DPDK_TX_HEADS_CARD : copied, DPDK_TX_HEADS_BYTES / room);
    d->heads = mbufs(name[0], heads, room, card);
    d->segments = mbufs(name[1], DPDK_TX_SEGMENTS, 0, card);
    if (!d->heads || !d->segments || dpdk_loans_create(&d->loans, DPDK_LOANS) != 0)
        return transport_why(why, why_bytes, -ENOMEM,
                             "dpdk: no memory for what is sent: raise dpdk.memory, or lower "
                             "totem.netmtu");
    return 0;
}

static uint32_t head_bytes_of(const struct dpdk *d, const struct transport_dpdk *words)
{
    return 14 + (words->vlan_id ? 4u : 0u) + (d->local.v6 ? 40u : 20u) + 8;
}

static int set_up(struct dpdk *d, const struct transport_config *config, char *why,
                  size_t why_bytes)
{
    const struct transport_dpdk *words = config->backend;
    int failed = dpdk_check(config, why, why_bytes);
    if (failed)
        return failed;
    failed = memif_init();
    if (failed)
        return transport_why(why, why_bytes, failed,
                             "dpdk: this kernel has no membarrier(): use Linux 4.14 or newer");
    failed = dpdk_eal_start(words, why, why_bytes);
    if (!failed)
        failed = add_nodes(d, config, why, why_bytes);
    if (failed)
        return failed;
    d->head_bytes = head_bytes_of(d, words);
    failed = check_frames(d, config, why, why_bytes);
    if (failed)
        return failed;
    failed = dpdk_slots_create(&d->slots, config->rx_pool, config->rx_reserve, d->head_bytes);
    if (failed)
        return transport_why(why, why_bytes, failed,
                             "dpdk: no memory for the headers of received packets: raise "
                             "dpdk.memory");
    failed = dpdk_ports_open(d, config, why, why_bytes);
    if (!failed && config->rx_arena)
        config->rx_pool->key = config->rx_arena->key;
    if (!failed)
        failed = make_pools(d, why, why_bytes);
    if (!failed)
        failed = init_local(d, config, why, why_bytes);
    if (failed)
        return failed;
    hear_groups(d);
    dpdk_wake_open(d);
    return init_templates(d, config, why, why_bytes);
}

static void dpdk_close(struct transport *tp)
{
    struct dpdk *d = dpdk_of(tp);
    if (d->port_count > 0)
        dpdk_link_close(d);
    dpdk_wake_close(d);
    dpdk_ports_close(d);
    dpdk_areas_leave(&d->areas);
    if (d->loans.all)
        dpdk_loans_destroy(&d->loans);
    rte_mempool_free(d->heads);
    rte_mempool_free(d->segments);
    if (d->slots.mempool)
        dpdk_slots_destroy(&d->slots);
    free(d);
}

static int dpdk_open(struct transport **out, const struct transport_config *config, char *why,
                     size_t why_bytes)
{
    struct dpdk *d = aligned_alloc(CACHE_LINE_BYTES, align_up(sizeof(*d), CACHE_LINE_BYTES));
    if (!d)
        return transport_why(why, why_bytes, -ENOMEM, "dpdk: no memory for %zu bytes of state",
                             sizeof(*d));
    memset(d, 0, sizeof(*d));
    d->base.ops = &transport_dpdk;
    d->wake.fd = d->bell.fd = -1;
    d->rx_pool = config->rx_pool;
    dpdk_areas_init(&d->areas, NULL);
    d->frame_bytes_max = config->frame_bytes_max;
    int failed = set_up(d, config, why, why_bytes);
    if (failed) {
        dpdk_close(&d->base);
        return failed;
    }
    dpdk_link_init(d);
    dpdk_link_chores(d);
    *out = &d->base;
    return 0;
}

static void dpdk_query(const struct transport *tp, struct transport_caps *caps)
{
    const struct dpdk *d = (const void *)tp;
    *caps = (struct transport_caps){
        .frame_bytes_max = d->frame_bytes_max,
        .burst_max = TRANSPORT_BURST,
        .multicast = d->local.has_group,
        .overtakes = d->port_count > 1,
        .copies = d->port_count > 0 && d->port[0].why_copied[0] ? d->port[0].why_copied : NULL,
        .sleep_fd = d->wake.fd,
        .woken_by = dpdk_wake_by(d),
    };
}

static void dpdk_members(struct transport *tp, const uint32_t *nodes, int count)
{
    struct dpdk *d = dpdk_of(tp);
    d->ring.count = 0;
    for (int i = 0; i < count && d->ring.count < NODE_COUNT_MAX; i++)
        for (int k = 0; k < d->all.count; k++)
            if (d->node_id[d->all.peer[k]] == nodes[i])
                d->ring.peer[d->ring.count++] = d->all.peer[k];
}

static int dpdk_links_down(const struct transport *tp, uint32_t *nodes)
{
    const struct dpdk *d = (const void *)tp;
    int count = 0;
    for (int i = 0; i < d->all.count; i++) {
        uint8_t peer = d->all.peer[i];
        if (!d->port[d->port_of[peer]].up)
            nodes[count++] = d->node_id[peer];
    }
    return count;
}

static __attribute__((noinline, cold)) void begin_anew(struct dpdk *d, struct dpdk_port *port)
{
    dpdk_wake_leave(d);
    dpdk_port_empty(port);
    dpdk_wake_join(d);
    hear_groups(d);
}

/* What has been sent, of a port that leads to all. It takes a card and its driver more than a turn,
 * and drivers look through all of their queue. True: there is more to come. */
static bool take_back(struct dpdk *d, struct dpdk_port *port)
{
    if (!port->started || d->link.now_ns - port->asked_ns < ASK_BACK_NS)
        return port->started;
    port->asked_ns = d->link.now_ns;
    if (dpdk_port_keeps(port))
        begin_anew(d, port);
    else if (port->returns == DPDK_RETURNS_ASKED)
        (void)rte_eth_tx_done_cleanup(port->id, 0, 0);
    else if (port->pending_count == 0 && dpdk_port_all_sent(port))
        dpdk_loans_end(&d->loans);
    return d->loans.open > 0;
}

/* Called every turn, so it is here that what is due is done. */
int dpdk_tx_reap(struct transport *tp)
{
    struct dpdk *d = dpdk_of(tp);
    uint64_t before = d->loans.returned;
    dpdk_link_chores(d);
    dpdk_tx_flush(d);
    if (d->loans.open > 0 && d->port[0].returns != DPDK_RETURNS_ITSELF)
        d->base.busy = take_back(d, &d->port[0]) || d->base.busy;
    return (int)(d->loans.returned - before);
}

static int dpdk_memory_add(struct transport *tp, struct zcb_arena *arena, char *why,
                           size_t why_bytes)
{
    struct dpdk *d = dpdk_of(tp);
    const struct dpdk_port *port = &d->port[0];
    arena->key = 0;
    if (d->port_count == 0 || !port->picky || port->tx_copy != DPDK_COPY_NOT ||
        dpdk_unplug_asked(port))
        return 0; /* the processor reads it, or nobody does */
    int failed = dpdk_areas_add(&d->areas, arena);
    if (failed)
        transport_why(why, why_bytes, failed,
                      "dpdk: port %s: %zu KiB cannot be registered with it beside %u other areas: "
                      "%s",
                      port->name, arena->bytes >> 10, d->areas.count, strerror(-failed));
    return failed;
}

static void dpdk_memory_drop(struct transport *tp, struct zcb_arena *arena)
{
    dpdk_areas_drop(&dpdk_of(tp)->areas, arena);
}

static const struct transport_stats *dpdk_stats(const struct transport *tp)
{
    const struct dpdk *d = (const void *)tp;
    return &d->stats;
}

static const char *const copied_name[DPDK_COPIES] = {
    [DPDK_COPY_TX_LINEAR] = "copied_tx_linear", [DPDK_COPY_TX_PIECES] = "copied_tx_pieces",
    [DPDK_COPY_TX_SUMMED] = "copied_tx_summed", [DPDK_COPY_TX_UNREACHED] = "copied_tx_unreached",
    [DPDK_COPY_TX_KEPT] = "copied_tx_kept",     [DPDK_COPY_RX_DRIVER] = "copied_rx_driver",
    [DPDK_COPY_RX_CUT] = "copied_rx_cut",       [DPDK_COPY_RX_MOVED] = "copied_rx_moved",
};

static int dpdk_counters(const struct transport *tp, struct transport_counter *list)
{
    const struct dpdk *d = (const void *)tp;
    uint64_t dropped = 0, missed = 0, unbuffered = 0, errors = 0, up = 0, removed = 0;
    int count = 0;
    for (int i = 0; i < d->port_count; i++) {
        struct rte_eth_stats stats = { 0 };
        (void)rte_eth_stats_get(d->port[i].id, &stats);
        up += d->port[i].up;
        dropped += d->port[i].dropped;
        removed += d->port[i].gone;
        missed += stats.imissed + d->port[i].interface.missed;
        unbuffered += stats.rx_nombuf;
        errors += stats.ierrors + stats.oerrors;
    }
    list[count++] = (struct transport_counter){ "links", (uint64_t)d->port_count };
    list[count++] = (struct transport_counter){ "links_up", up };
    list[count++] = (struct transport_counter){ "port_rx_missed", missed };
    list[count++] = (struct transport_counter){ "port_rx_nombuf", unbuffered };
    list[count++] = (struct transport_counter){ "port_errors", errors };
    list[count++] = (struct transport_counter){ "port_removed", removed };
    for (int i = DPDK_COPY_NOT + 1; i < DPDK_COPIES; i++)
        list[count++] = (struct transport_counter){ copied_name[i], d->copied[i] };
    list[count++] = (struct transport_counter){ "tx_dropped", dropped };
    list[count++] = (struct transport_counter){ "port_interrupts", d->wake.rang };
    list[count++] = (struct transport_counter){ "port_interrupts_missed", d->wake.missed };
    list[count++] = (struct transport_counter){ "mac_moved", d->peers.moved };
    list[count++] = (struct transport_counter){ "mac_refused", d->peers.refused };
    for (int i = 0; i < PACKET_VERDICT_COUNT; i++)
        list[count++] = (struct transport_counter){ packet_verdict_name[i], d->verdict[i] };
    return count;
}
static_assert(11 + DPDK_COPIES + PACKET_VERDICT_COUNT <= TRANSPORT_COUNTERS_MAX, "room for all");

/* Headers lie in front of each slot. A card's buffer begins with them, and ends where that of the
 * next slot begins: in front of that one's headers, at the latest. */
static void dpdk_rx_shape(const struct transport_config *config, struct zcb_pool_shape *shape)
{
    const struct transport_dpdk *words = config->backend;
    transport_rx_shape(config, shape);
    shape->headroom_bytes = 2 * CACHE_LINE_BYTES;
    uint32_t stride = shape->headroom_bytes + shape->slot_bytes;
    if (dpdk_is_pci(words->port) && stride <= UINT16_MAX / 2)
        shape->slot_bytes += (uint32_t)align_up(stride, DPDK_CARD_BUFFER) - stride;
}

const struct transport_ops transport_dpdk = {
    .name = "dpdk",
    .rx_shape = dpdk_rx_shape,
    .check = dpdk_check,
    .node = dpdk_sysfs_node,
    .open = dpdk_open,
    .query = dpdk_query,
    .tx_burst = dpdk_tx_burst,
    .rx_burst = dpdk_rx_burst,
    .members = dpdk_members,
    .links_down = dpdk_links_down,
    .arm = dpdk_wake_arm,
    .disarm = dpdk_wake_disarm,
    .tx_reap = dpdk_tx_reap,
    .memory_add = dpdk_memory_add,
    .memory_drop = dpdk_memory_drop,
    .stats = dpdk_stats,
    .counters = dpdk_counters,
    .close = dpdk_close,
};
