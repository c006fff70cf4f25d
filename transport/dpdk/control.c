/* SPDX-License-Identifier: BSD-3-Clause */
#include "control.h"
#include "checksum.h"

enum { CONTROL_CHECKSUM_AT = 2 }; /* of ICMPv6 and IGMP alike */

uint8_t *ethernet_write(uint8_t *at, const struct packet_local *local, const struct mac *to,
                        uint16_t type, uint8_t priority)
{
    struct eth_head *eth = (void *)at;
    struct vlan_tag *tag = (void *)(at + sizeof(*eth));

    *eth = (struct eth_head){ .to = *to, .from = local->mac, .type = be16_of(type) };
    if (local->vlan_id == 0)
        return at + sizeof(*eth);
    eth->type = be16_of(ETH_VLAN);
    tag->tci = be16_of((uint32_t)priority << VLAN_PRIORITY_SHIFT | local->vlan_id);
    tag->type = be16_of(type);
    return at + sizeof(*eth) + sizeof(*tag);
}

uint8_t *ipv4_write(uint8_t *at, const struct ip_fields *ip)
{
    static const uint8_t alert[] = { ROUTER_ALERT_V4, 4, 0, 0 };
    uint32_t head_bytes = sizeof(struct ipv4_head) + (ip->alert ? sizeof(alert) : 0);
    struct ipv4_head *head = (void *)at;

    /* Id 0: a datagram that no one may cut needs none (RFC 6864). */
    *head = (struct ipv4_head){
        .version_words = (uint8_t)(4 << 4 | head_bytes / 4),
        .dscp_ecn = (uint8_t)(ip->dscp << IP_DSCP_SHIFT),
        .fragment = be16_of(IPV4_DONT_FRAGMENT),
        .hops = ip->hops,
        .protocol = ip->protocol,
    };
    memcpy(head->from, ip->from, IPV4_BYTES);
    memcpy(head->to, ip->to, IPV4_BYTES);
    if (ip->alert)
        memcpy(head + 1, alert, sizeof(alert));
    return at + head_bytes;
}

uint8_t *ipv6_write(uint8_t *at, const struct ip_fields *ip)
{
    /* Next header, its length, router alert for MLD (RFC 2711), padding of two. */
    const uint8_t alert[] = { ip->protocol, 0, ROUTER_ALERT_V6, 2, 0, 0, 1, 0 };
    struct ipv6_head *head = (void *)at;

    *head = (struct ipv6_head){
        .version_class_flow =
            be32_of(UINT32_C(6) << 28 | (uint32_t)ip->dscp << IP_DSCP_SHIFT << IPV6_CLASS_SHIFT),
        .next = ip->alert ? IPV6_HOP_BY_HOP : ip->protocol,
        .hops = ip->hops,
    };
    memcpy(head->from, ip->from, IPV6_BYTES);
    memcpy(head->to, ip->to, IPV6_BYTES);
    if (!ip->alert)
        return at + sizeof(*head);
    memcpy(head + 1, alert, sizeof(alert));
    return at + sizeof(*head) + sizeof(alert);
}

static uint16_t ip_type(const struct control *c)
{
    return c->local->v6 ? ETH_IPV6 : ETH_IPV4;
}

/* Where the IP header lies in a packet of this port. */
static uint32_t ip_at(const struct control *c)
{
    return sizeof(struct eth_head) + (c->local->vlan_id ? sizeof(struct vlan_tag) : 0);
}

uint8_t *control_begin(uint8_t *packet, const struct control *c)
{
    memset(packet, 0, PACKET_CONTROL_ROOM);
    uint8_t *ip = ethernet_write(packet, c->local, &c->to, ip_type(c), 0);
    return c->local->v6 ? ipv6_write(ip, &c->ip) : ipv4_write(ip, &c->ip);
}

uint32_t control_pad(const uint8_t *packet, const uint8_t *end)
{
    uint32_t bytes = (uint32_t)(end - packet);

    INVARIANT(bytes <= PACKET_CONTROL_ROOM); /* K1 */
    return bytes < ETH_BYTES_MIN ? ETH_BYTES_MIN : bytes;
}

static void ipv4_end(uint8_t *ip, const uint8_t *end)
{
    struct ipv4_head *head = (void *)ip;
    uint32_t head_bytes = (uint32_t)(head->version_words & 15) * 4;
    uint8_t *body = ip + head_bytes;
    uint16_t sum = checksum_finish(checksum_add(0, body, (size_t)(end - body)));

    memcpy(body + CONTROL_CHECKSUM_AT, &sum, sizeof(sum));
    head->total_bytes = be16_of((uint32_t)(end - ip));
    sum = checksum_finish(checksum_add(0, ip, head_bytes));
    memcpy(head->checksum, &sum, sizeof(sum));
}

static void ipv6_end(uint8_t *ip, const struct ip_fields *fields, const uint8_t *end)
{
    struct ipv6_head *head = (void *)ip;
    uint8_t *body = ip + sizeof(*head) + (fields->alert ? 8 : 0);
    uint16_t body_bytes = (uint16_t)(end - body);
    uint64_t pseudo = checksum_word(fields->protocol) + checksum_word(body_bytes);
    uint16_t sum;

    pseudo = checksum_add(pseudo, head->from, sizeof(head->from) + sizeof(head->to));
    sum = checksum_finish(checksum_add(pseudo, body, body_bytes));
    memcpy(body + CONTROL_CHECKSUM_AT, &sum, sizeof(sum));
    head->payload_bytes = be16_of((uint32_t)(end - ip) - (uint32_t)sizeof(*head));
}

uint32_t control_end(uint8_t *packet, const struct control *c, const uint8_t *end)
{
    uint8_t *ip = packet + ip_at(c);

    if (c->local->v6)
        ipv6_end(ip, &c->ip, end);
    else
        ipv4_end(ip, end);
    return control_pad(packet, end);
}
