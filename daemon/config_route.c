/* SPDX-License-Identifier: BSD-3-Clause */
#include "config_parser.h"

#include <arpa/inet.h>
#include <string.h>

struct bits {
    bool ipv6;
    uint8_t byte[sizeof(struct in6_addr)];
};

/* False: no numeric address, or one with a scope, which a port has no use for. */
static bool bits_of(const char *text, struct bits *bits)
{
    *bits = (struct bits){ .ipv6 = strchr(text, ':') };
    return inet_pton(bits->ipv6 ? AF_INET6 : AF_INET, text, bits->byte) == 1;
}

static bool same_net(const struct bits *a, const struct bits *b, uint32_t prefix)
{
    uint32_t whole = prefix / 8, rest = prefix % 8;
    if (a->ipv6 != b->ipv6 || memcmp(a->byte, b->byte, whole) != 0)
        return false;
    return rest == 0 || (a->byte[whole] ^ b->byte[whole]) >> (8 - rest) == 0;
}

/* fe80::/10: of any link, so of ours, too */
static bool is_link_local(const struct bits *a)
{
    return a->ipv6 && a->byte[0] == 0xfe && (a->byte[1] & 0xc0) == 0x80;
}

static bool is_group(const struct bits *a)
{
    return a->ipv6 ? a->byte[0] == 0xff : a->byte[0] >> 4 == 0xe;
}

static const struct transport_node *local_node(const struct config *c)
{
    for (int i = 0; i < c->node_count; i++)
        if (c->nodes[i].node_id == c->node_id && c->nodes[i].address[0])
            return &c->nodes[i];
    return NULL;
}

/* The router itself. False: reported. */
static bool check_gateway(struct config_parser *p, const struct bits *self)
{
    const struct transport_dpdk *words = &p->said.dpdk;
    int line = config_said(p, SECTION_DPDK, "gateway");
    struct bits gateway;
    if (!bits_of(words->gateway, &gateway) || gateway.ipv6 != self->ipv6 || is_group(&gateway))
        config_error(p, line, 1, "dpdk.gateway: %s is no %s address of a router", words->gateway,
                     self->ipv6 ? "IPv6" : "IPv4");
    else if (!words->prefix)
        config_error(p, line, 1,
                     "dpdk.gateway needs dpdk.prefix, the length of this node's own subnet: "
                     "prefix: %d",
                     self->ipv6 ? 64 : 24);
    else if (!same_net(self, &gateway, words->prefix) && !is_link_local(&gateway))
        config_error(p, line, 1, "dpdk.gateway: %s is not on this node's own subnet of %u bits",
                     words->gateway, words->prefix);
    else
        return true;
    return false;
}

static void check_node(struct config_parser *p, int index, const struct bits *self)
{
    const struct transport_dpdk *words = &p->said.dpdk;
    struct transport_node *node = &p->said.nodes[index];
    struct bits address;
    if (!bits_of(node->address, &address))
        return;
    if (words->gateway[0] && strcmp(node->address, words->gateway) == 0)
        config_error(p, p->nodes[index].line, 1, "address %s is dpdk.gateway's, a router",
                     node->address);
    node->routed = !node->mac[0] && !same_net(self, &address, words->prefix);
    if (node->routed && !words->gateway[0])
        config_error(p, p->nodes[index].line, 1,
                     "%s is not on this node's own subnet of %u bits (dpdk.prefix): name the "
                     "router to it in dpdk.gateway",
                     node->address, words->prefix);
}

static void warn_of_hops(struct config_parser *p)
{
    const struct config *c = &p->said;
    bool routed = false;
    for (int i = 0; i < c->node_count; i++)
        routed = routed || c->nodes[i].routed;
    if (routed && c->multicast[0] && c->multicast_ttl < 2)
        config_warning(p, 0, 0,
                       "multicast ends at the first router: nodes behind dpdk.gateway need "
                       "transport.ttl 2 or more, and routers that forward %s",
                       c->multicast);
}

void config_check_route(struct config_parser *p)
{
    struct config *c = &p->said;
    int gateway = config_said(p, SECTION_DPDK, "gateway");
    int prefix = config_said(p, SECTION_DPDK, "prefix");
    const struct transport_node *node = local_node(c);
    struct bits self;
    if (!gateway && !prefix)
        return;
    if (p->transport != BACKEND_DPDK || strcmp(c->dpdk.port, "memif") == 0) {
        config_warning(p, gateway ? gateway : prefix, 1,
                       "dpdk.gateway and dpdk.prefix mean nothing here: no port to a network");
        c->dpdk.gateway[0] = 0;
        return;
    }
    if (!node || !bits_of(node->address, &self))
        return;
    if (!self.ipv6 && c->dpdk.prefix > 32)
        config_error(p, prefix, 1, "dpdk.prefix: %u is outside 1 to 32", c->dpdk.prefix);
    else if (!gateway || check_gateway(p, &self)) {
        for (int i = 0; i < c->node_count; i++)
            check_node(p, i, &self);
        warn_of_hops(p);
    }
}
