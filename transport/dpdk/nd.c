/* SPDX-License-Identifier: BSD-3-Clause */
#include "neighbour.h"
#include "control.h"
#include "frame.h"

#include <stddef.h>

enum {
    ND_SOLICIT = 135,
    ND_ADVERTISE = 136,
    ND_SOURCE_MAC = 1, /* options */
    ND_TARGET_MAC = 2,
    ND_SOLICITED = 0x40, /* flags of an advertisement */
    ND_OVERRIDE = 0x20,
};

struct nd {
    uint8_t type, code;
    uint8_t checksum[2];
    uint8_t flags; /* of an advertisement */
    uint8_t zero[3];
    uint8_t target[IPV6_BYTES];
};

struct nd_option {
    uint8_t type;
    uint8_t words; /* of 8 bytes, this header included */
    struct mac mac;
};
static_assert(sizeof(struct nd) == 24 && sizeof(struct nd_option) == 8, "H1");

static const struct ip_address all_nodes = { { 0xff, 0x02, [15] = 1 } };

/* The MAC among the options. False: an option that is empty or longer than the packet. */
static bool options_parse(const uint8_t *at, const uint8_t *end, uint8_t type,
                          const struct mac **mac)
{
    *mac = NULL;
    while (at < end) {
        const struct nd_option *option = (const void *)at;
        if (end - at < (ptrdiff_t)sizeof(*option) || option->words == 0 ||
            end - at < option->words * (ptrdiff_t)sizeof(*option))
            return false;
        if (option->type == type && option->words == 1)
            *mac = &option->mac;
        at += option->words * sizeof(*option);
    }
    return *mac == NULL || mac_is_station(*mac);
}

static bool is_ours(const struct packet_local *local, const struct ip_address *ip)
{
    return ip_equal(ip, &local->ip) || ip_equal(ip, &local->link_local);
}

/* ff02::1:ffXX:XXXX, of the last three bytes of the address. */
static struct ip_address solicited_group(const uint8_t *target)
{
    struct ip_address group = { { 0xff, 0x02, [11] = 1, [12] = 0xff } };
    memcpy(group.byte + 13, target + 13, 3);
    return group;
}

/* RFC 4861, 7.1.1 */
static enum packet_verdict solicit_parse(const struct frame *f, const struct nd *nd,
                                         struct packet_view *view)
{
    struct neighbour *who = &view->neighbour;
    struct ip_address group = solicited_group(nd->target);
    const struct mac *mac;

    if (!options_parse((const uint8_t *)(nd + 1), f->end, ND_SOURCE_MAC, &mac))
        return PACKET_CONTROL_BAD;
    if (ip_is_zero(&f->from) && (mac != NULL || !ip_equal(&f->to, &group)))
        return PACKET_CONTROL_BAD;
    *who = (struct neighbour){ .ip = f->from,
                               .asked = ip_address_of(nd->target, true),
                               .mac = mac != NULL ? *mac : f->eth->from,
                               .teaches = mac != NULL };
    if (is_ours(f->local, &f->from) || ip_is_zero(&f->from)) {
        if (mac_equal(&who->mac, &f->local->mac))
            return PACKET_OWN;
        if (!ip_is_zero(&f->from))
            return PACKET_ADDRESS_CONFLICT;
    }
    view->source = peer_map_find(f->local->peers, &who->ip);
    if (is_ours(f->local, &who->asked))
        return PACKET_NEIGHBOUR_ASKS;
    return who->teaches ? PACKET_NEIGHBOUR_TELLS : PACKET_NEIGHBOUR_OTHER;
}

/* RFC 4861, 7.1.2 */
static enum packet_verdict advertise_parse(const struct frame *f, const struct nd *nd,
                                           struct packet_view *view)
{
    struct neighbour *who = &view->neighbour;
    const struct mac *mac;

    if (!options_parse((const uint8_t *)(nd + 1), f->end, ND_TARGET_MAC, &mac))
        return PACKET_CONTROL_BAD;
    if (ip_is_group(&f->to, true) && (nd->flags & ND_SOLICITED))
        return PACKET_CONTROL_BAD;
    *who = (struct neighbour){ .ip = ip_address_of(nd->target, true),
                               .asked = ip_address_of(nd->target, true),
                               .mac = mac != NULL ? *mac : f->eth->from,
                               .teaches = mac != NULL };
    if (is_ours(f->local, &who->ip))
        return mac_equal(&who->mac, &f->local->mac) ? PACKET_OWN : PACKET_ADDRESS_CONFLICT;
    view->source = peer_map_find(f->local->peers, &who->ip);
    return who->teaches ? PACKET_NEIGHBOUR_TELLS : PACKET_NEIGHBOUR_OTHER;
}

/* A group's address, or one of ours. */
static bool may_hear(const struct frame *f)
{
    return ip_is_group(&f->to, true) || is_ours(f->local, &f->to);
}

enum packet_verdict nd_parse(struct frame *f, struct packet_view *view)
{
    const struct nd *nd = (const void *)f->at;

    if (frame_left(f) < 1)
        return PACKET_SHORT_CONTROL;
    if (nd->type != ND_SOLICIT && nd->type != ND_ADVERTISE)
        return PACKET_PROTOCOL_OTHER;
    if (!may_hear(f))
        return PACKET_IP_OTHER;
    if (f->hops != IP_LINK_HOPS)
        return PACKET_HOPS; /* N1 */
    if (frame_left(f) < sizeof(*nd))
        return PACKET_SHORT_CONTROL;
    if (!checksum_is_good(checksum_add(frame_pseudo_sum(f, IP_ICMPV6), f->at, frame_left(f))))
        return PACKET_CONTROL_CHECKSUM;
    if (nd->code != 0 || nd->target[0] == 0xff /* a group */ || ip_is_group(&f->from, true))
        return PACKET_CONTROL_BAD;
    return nd->type == ND_SOLICIT ? solicit_parse(f, nd, view) : advertise_parse(f, nd, view);
}

struct nd_fields {
    const uint8_t *from;
    const struct ip_address *to;
    const struct mac *mac; /* NULL: `to` is a group, which has one by its address */
    const uint8_t *target;
    uint8_t type, flags, option;
};

static uint32_t nd_write(const struct packet_local *local, const struct nd_fields *fields,
                         uint8_t *packet)
{
    struct control c = {
        .local = local,
        .to = fields->mac != NULL ? *fields->mac : packet_group_mac(fields->to, true),
        .ip = { .from = fields->from,
                .to = fields->to->byte,
                .protocol = IP_ICMPV6,
                .hops = IP_LINK_HOPS },
    };
    struct nd *nd = (void *)control_begin(packet, &c);
    struct nd_option *option = (void *)(nd + 1);

    nd->type = fields->type;
    nd->flags = fields->flags;
    memcpy(nd->target, fields->target, IPV6_BYTES);
    *option = (struct nd_option){ .type = fields->option, .words = 1, .mac = local->mac };
    return control_end(packet, &c, (const uint8_t *)(option + 1));
}

uint32_t nd_answer(const struct packet_local *local, const struct neighbour *to, uint8_t *packet)
{
    bool nameless = ip_is_zero(&to->ip); /* it cannot be answered but through all */

    return nd_write(local,
                    &(struct nd_fields){
                        .from = to->asked.byte,
                        .to = nameless ? &all_nodes : &to->ip,
                        .mac = nameless ? NULL : &to->mac,
                        .target = to->asked.byte,
                        .type = ND_ADVERTISE,
                        .flags = (uint8_t)(nameless ? ND_OVERRIDE : ND_SOLICITED | ND_OVERRIDE),
                        .option = ND_TARGET_MAC,
                    },
                    packet);
}

uint32_t nd_announce(const struct packet_local *local, uint8_t *packet)
{
    return nd_write(local,
                    &(struct nd_fields){
                        .from = local->ip.byte,
                        .to = &all_nodes,
                        .target = local->ip.byte,
                        .type = ND_ADVERTISE,
                        .flags = ND_OVERRIDE,
                        .option = ND_TARGET_MAC,
                    },
                    packet);
}

uint32_t nd_ask(const struct packet_local *local, const struct ip_address *ip,
                const struct mac *mac, uint8_t *packet)
{
    struct ip_address group = solicited_group(ip->byte);

    return nd_write(local,
                    &(struct nd_fields){
                        .from = local->ip.byte,
                        .to = mac != NULL ? ip : &group,
                        .mac = mac,
                        .target = ip->byte,
                        .type = ND_SOLICIT,
                        .option = ND_SOURCE_MAC,
                    },
                    packet);
}
