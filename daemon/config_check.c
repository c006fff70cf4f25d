/* SPDX-License-Identifier: BSD-3-Clause */
#include "config_parser.h"

#include <inttypes.h>
#include <string.h>

static void check_totem(struct config_parser *p)
{
    struct config *c = &p->said;
    uint32_t tag = 2166136261u; /* FNV-1a */
    int detect = config_said(p, SECTION_TOTEM, "detect_ms");
    int token = config_said(p, SECTION_TOTEM, "token");
    for (const char *at = c->cluster_name; *at; at++)
        tag = (tag ^ (uint8_t)*at) * 16777619u;
    c->cluster_tag = tag;
    if (token && !detect && p->token_ms)
        c->detect_ms = p->token_ms;
    else if (token && detect && p->token_ms != c->detect_ms)
        config_warning(p, token, 1, "totem.detect_ms in line %d counts, not totem.token", detect);
    if (!config_said(p, SECTION_TOTEM, "version"))
        config_warning(p, 0, 0, "totem.version is missing; 'version: 2' is assumed");
}

static void check_transport(struct config_parser *p)
{
    struct config *c = &p->said;
    bool ours = p->transport >= 0;
    if (!ours && p->totem_transport == TOTEM_KNET)
        config_warning(p, config_said(p, SECTION_TOTEM, "transport"), 1,
                       "totem.transport knet is served by udp, over the first link only");
    strcpy(c->transport, p->transport == BACKEND_DPDK ? "dpdk" : "udp");
    if (p->link.port && !config_said(p, SECTION_TRANSPORT, "port"))
        c->port = p->link.port;
    if (p->link.ttl && !config_said(p, SECTION_TRANSPORT, "ttl"))
        c->multicast_ttl = p->link.ttl;
    if (p->link.multicast[0] && !c->multicast[0]) {
        if (p->totem_transport == TOTEM_UDP || (ours && p->totem_transport < 0))
            strcpy(c->multicast, p->link.multicast);
        else
            config_warning(p, p->link.line, 1,
                           "mcastaddr is used with totem.transport udp only and is ignored");
    }
}

/* The port itself is looked at where DPDK is known. */
static void check_dpdk(struct config_parser *p)
{
    struct config *c = &p->said;
    int port = config_said(p, SECTION_DPDK, "port");
    bool chosen = p->transport == BACKEND_DPDK;
    c->dpdk.hugepages = c->hugepages;
    if (chosen && !port)
        config_error(p, config_said(p, SECTION_TRANSPORT, "name"), 1,
                     "transport dpdk needs a port: dpdk { port: memif }, or af_packet:eth1, or "
                     "af_xdp:eth1, or a PCI address");
    if (!chosen && port)
        config_warning(p, port, 1, "dpdk.port is used with transport { name: dpdk } only");
    if (chosen && c->dpdk.vlan_priority && !c->dpdk.vlan_id)
        config_warning(p, config_said(p, SECTION_DPDK, "vlan_priority"), 1,
                       "dpdk.vlan_priority means nothing without dpdk.vlan");
}

/* 224.0.0.0/4 and ff00::/8 */
static bool is_multicast(const char *address, bool ipv6)
{
    int first = atoi(address);
    return ipv6 ? strncmp(address, "ff", 2) == 0 : first >= 224 && first <= 239;
}

static bool node_address(struct config_parser *p, const struct config_node *said,
                         struct transport_node *node, bool *ipv6)
{
    if (said->address[0] == 0) {
        config_error(p, said->line, 1, "this node has no ring0_addr");
        return false;
    }
    if (config_address_numeric(said->address, node->address, ipv6))
        return true;
    char found[TRANSPORT_ADDRESS_BYTES];
    if (p->host->resolve(p->host->context, said->address, found) != 0 ||
        !config_address_numeric(found, node->address, ipv6)) {
        config_error(p, said->line, 1,
                     "ring0_addr: '%.100s' is no address and no name this machine can resolve",
                     said->address);
        return false;
    }
    return true;
}

/* Six bytes, in hexadecimal. */
static bool is_mac(const char *text)
{
    unsigned byte[6];
    char end;
    return sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x%c", &byte[0], &byte[1], &byte[2], &byte[3],
                  &byte[4], &byte[5], &end) == 6 &&
           strlen(text) + 1 == TRANSPORT_MAC_BYTES;
}

static void check_mac(struct config_parser *p, const struct config_node *said,
                      struct transport_node *node)
{
    strcpy(node->mac, said->mac);
    if (said->mac[0] && !is_mac(said->mac))
        config_error(p, said->line, 1, "mac: '%s' is no MAC address; write 02:00:00:00:00:07",
                     said->mac);
}

static void check_twice(struct config_parser *p, int index)
{
    const struct transport_node *nodes = p->said.nodes;
    for (int i = 0; i < index; i++) {
        if (nodes[i].node_id == nodes[index].node_id && nodes[i].node_id)
            config_error(p, p->nodes[index].line, 1, "nodeid %u is taken by the node of line %d",
                         nodes[i].node_id, p->nodes[i].line);
        bool same = nodes[i].address[0] && strcmp(nodes[i].address, nodes[index].address) == 0;
        if (same && p->transport == BACKEND_DPDK)
            config_error(p, p->nodes[index].line, 1,
                         "address %s is taken by the node of line %d; over DPDK each node has an "
                         "address of its own",
                         nodes[i].address, p->nodes[i].line);
        else if (same && nodes[i].port == nodes[index].port)
            config_error(p, p->nodes[index].line, 1,
                         "address %s port %u is taken by the node of line %d", nodes[i].address,
                         nodes[i].port, p->nodes[i].line);
    }
}

/* Fill said.nodes in the order of the file. */
static void check_nodes(struct config_parser *p)
{
    struct config *c = &p->said;
    bool ipv6, first_ipv6 = false, any = false;
    for (int i = 0; i < p->node_count; i++) {
        const struct config_node *said = &p->nodes[i];
        struct transport_node *node = &c->nodes[i];
        node->node_id = said->node_id;
        check_mac(p, said, node);
        node->port = said->port && !c->multicast[0] ? said->port : c->port;
        if (said->port && said->port != c->port && c->multicast[0])
            config_error(p, said->line, 1, "with multicast all nodes use transport.port (%u)",
                         c->port);
        if (said->node_id == 0)
            config_error(p, said->line, 1, "this node has no nodeid; give each a number from 1");
        if (!node_address(p, said, node, &ipv6))
            continue;
        if (any && ipv6 != first_ipv6)
            config_error(p, said->line, 1, "%s: IPv4 and IPv6 do not mix", node->address);
        if (is_multicast(node->address, ipv6))
            config_error(p, said->line, 1, "%s is a multicast address", node->address);
        first_ipv6 = any ? first_ipv6 : ipv6;
        any = true;
        check_twice(p, i);
    }
    c->node_count = p->node_count;
    if (c->multicast[0] && any) {
        char same[TRANSPORT_ADDRESS_BYTES];
        config_address_numeric(c->multicast, same, &ipv6);
        if (!is_multicast(c->multicast, ipv6) || ipv6 != first_ipv6)
            config_error(p, 0, 0, "%s is no multicast address of the nodes' family", c->multicast);
    }
    if (p->nodes_seen == 0)
        config_error(p, 0, 0,
                     "nodelist has no node: name each with nodelist { node { ring0_addr: ... "
                     "nodeid: ... } }");
    else if (p->nodes_seen > NODE_COUNT_MAX)
        config_error(p, 0, 0, "%d nodes; %d is the most", p->nodes_seen, NODE_COUNT_MAX);
}

/* By nodeid in totem, else by the one node whose address is this machine's. */
static void find_local_node(struct config_parser *p)
{
    struct config *c = &p->said;
    char ids[96] = "";
    int found = 0;
    uint32_t id = 0;
    for (int i = 0; i < c->node_count; i++) {
        const struct transport_node *node = &c->nodes[i];
        bool here = c->node_id
                        ? node->node_id == c->node_id
                        : node->address[0] && p->host->is_local(p->host->context, node->address);
        if (!here)
            continue;
        size_t used = strlen(ids);
        snprintf(ids + used, sizeof(ids) - used, "%s%u", found ? ", " : "", node->node_id);
        found++;
        id = node->node_id;
    }
    if (found == 1)
        c->node_id = id;
    else if (c->node_id && found == 0 && c->node_count > 0)
        config_error(p, config_said(p, SECTION_TOTEM, "nodeid"), 1,
                     "totem.nodeid %u is not in the nodelist", c->node_id);
    else if (!c->node_id && found == 0 && c->node_count > 0)
        config_error(p, 0, 0,
                     "no node of the nodelist has an address of this machine; correct ring0_addr, "
                     "or say which node this is: totem { nodeid: ... }");
    else if (!c->node_id && found > 1)
        config_error(p, 0, 0,
                     "nodes %s all have addresses of this machine; say which one this is: totem { "
                     "nodeid: %u }",
                     ids, id);
}

static int node_order(const void *a, const void *b)
{
    uint32_t left = ((const struct transport_node *)a)->node_id;
    uint32_t right = ((const struct transport_node *)b)->node_id;
    return left < right ? -1 : left > right;
}

static void check_budgets(struct config_parser *p)
{
    struct config *c = &p->said;
    uint64_t tx_least = (uint64_t)c->message_bytes_max + CONFIG_TX_RESERVE_BYTES;
    uint64_t rx_least = c->message_bytes_max + c->message_bytes_max / 4 + (UINT64_C(4) << 20);
    if (c->tx_total_bytes < tx_least)
        config_error(p, config_said(p, SECTION_ZCB, "tx_bytes"), 1,
                     "zcb.tx_bytes is %" PRIu64 ": one message of zcb.message_max (%u) and %u for "
                     "the others need %" PRIu64,
                     c->tx_total_bytes, c->message_bytes_max, CONFIG_TX_RESERVE_BYTES, tx_least);
    if (c->rx_bytes < rx_least)
        config_error(p, config_said(p, SECTION_ZCB, "rx_bytes"), 1,
                     "zcb.rx_bytes is %" PRIu64 ": to receive one message of zcb.message_max (%u) "
                     "beside other traffic takes %" PRIu64,
                     c->rx_bytes, c->message_bytes_max, rx_least);
}

static void check_logging(struct config_parser *p)
{
    struct config *c = &p->said;
    int to_file = config_said(p, SECTION_LOGGING, "to_logfile");
    if (p->log_to_file && !c->log_file[0])
        config_error(p, to_file, 1, "to_logfile is yes, but there is no logfile");
    if (!p->log_to_file)
        c->log_file[0] = 0;
    c->debug = p->debug == 1 || p->debug == 2 || p->debug == 4;
}

static void set_path(struct config_parser *p, char *path, const char *a, const char *b)
{
    if (snprintf(path, CONFIG_PATH_BYTES, "%s%s", a, b) >= CONFIG_PATH_BYTES)
        config_error(p, 0, 0, "%.100s...: this path is too long", a);
}

static void check_directories(struct config_parser *p)
{
    struct config *c = &p->said;
    const struct config_host *host = p->host;
    char mine[48];
    snprintf(mine, sizeof(mine), "/tmp/synchrotron-%u", host->uid);
    if (host->runtime_dir && host->runtime_dir[0])
        set_path(p, c->runtime_dir, host->runtime_dir, "");
    else if (!c->runtime_dir[0] && host->uid == 0)
        set_path(p, c->runtime_dir, CTL_RUNTIME_DIR_DEFAULT, "");
    else if (!c->runtime_dir[0] && host->user_runtime_dir && host->user_runtime_dir[0])
        set_path(p, c->runtime_dir, host->user_runtime_dir, "/synchrotron");
    else if (!c->runtime_dir[0])
        set_path(p, c->runtime_dir, mine, "");
    /* Two clusters of one user have two: their sockets have the same names. */
    if (!c->dpdk.memif_dir[0] && host->uid == 0)
        snprintf(c->dpdk.memif_dir, sizeof(c->dpdk.memif_dir), "/run/synchrotron-memif-%08x",
                 c->cluster_tag);
    else if (!c->dpdk.memif_dir[0])
        snprintf(c->dpdk.memif_dir, sizeof(c->dpdk.memif_dir), "/tmp/synchrotron-memif-%u-%08x",
                 host->uid, c->cluster_tag);
    if (!c->state_dir[0])
        set_path(p, c->state_dir, host->uid == 0 ? "/var/lib/synchrotron" : c->runtime_dir, "");
    if (c->runtime_dir[0] != '/' || c->state_dir[0] != '/' ||
        (c->log_file[0] && c->log_file[0] != '/'))
        config_error(p, 0, 0, "paths must begin with '/': %.60s, %.60s, %.60s", c->runtime_dir,
                     c->state_dir, c->log_file);
    /* The longest name in there must fit a Unix socket's address. */
    if (strlen(c->runtime_dir) + strlen("/" CTL_SOCKET_NAME) > 107)
        config_error(p, 0, 0, "system.runtime_dir is too long for a socket's address: %.100s",
                     c->runtime_dir);
}

/* Whoever shares its processor, or leaves too few to the clients, had better sleep. */
static bool spins(const struct config *c, int processors)
{
    if (c->poll == POLL_AUTO)
        return c->poll_cpu >= 0 && processors > 2;
    return c->poll == POLL_SPIN;
}

void config_check(struct config_parser *p)
{
    check_totem(p);
    check_transport(p);
    check_dpdk(p);
    check_nodes(p);
    find_local_node(p);
    config_check_route(p);
    check_budgets(p);
    check_logging(p);
    check_directories(p);
    qsort(p->said.nodes, (size_t)p->said.node_count, sizeof(p->said.nodes[0]), node_order);
    p->said.spins = spins(&p->said, p->host->processors);
    *p->config = p->said;
}
