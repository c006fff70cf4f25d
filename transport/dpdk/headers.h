/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TRANSPORT_DPDK_HEADERS_H
#define TRANSPORT_DPDK_HEADERS_H

/*
 * headers.h - the headers an ethernet carries to us, byte for byte, and the addresses in them.
 *
 * Knows:      Ethernet, 802.1Q, IPv4, IPv6, UDP: layouts and numbers. ARP, neighbour discovery and
 *             group membership have theirs where they are read.
 * Knows not:  whether a packet is sound.
 * Invariants: H1  every struct is made of bytes: no padding, and any address will do to read it at
 */

#include <string.h>

#include "synchrotron/types.h"

/* Numbers as they travel, most significant byte first. */
struct be16 {
    uint8_t byte[2];
};
struct be32 {
    uint8_t byte[4];
};

static inline uint16_t be16_get(struct be16 from)
{
    return (uint16_t)(from.byte[0] << 8 | from.byte[1]);
}

static inline struct be16 be16_of(uint32_t value)
{
    return (struct be16){ { (uint8_t)(value >> 8), (uint8_t)value } };
}

static inline uint32_t be32_get(struct be32 from)
{
    return (uint32_t)from.byte[0] << 24 | (uint32_t)from.byte[1] << 16 |
           (uint32_t)from.byte[2] << 8 | from.byte[3];
}

static inline struct be32 be32_of(uint32_t value)
{
    return (struct be32){ { (uint8_t)(value >> 24), (uint8_t)(value >> 16), (uint8_t)(value >> 8),
                            (uint8_t)value } };
}

struct mac {
    uint8_t byte[6];
};

static inline bool mac_equal(const struct mac *a, const struct mac *b)
{
    return memcmp(a, b, sizeof(*a)) == 0;
}

static inline bool mac_is_group(const struct mac *mac)
{
    return (mac->byte[0] & 1) != 0;
}

/* A machine can have it: not a group's, not all zero. */
static inline bool mac_is_station(const struct mac *mac)
{
    static const struct mac none;
    return !mac_is_group(mac) && !mac_equal(mac, &none);
}

enum { IPV4_BYTES = 4, IPV6_BYTES = 16 };

/* IPv4: the first four bytes, the others zero. A port speaks one family and knows which. */
struct ip_address {
    _Alignas(8) uint8_t byte[IPV6_BYTES];
};

static inline struct ip_address ip_address_of(const uint8_t *bytes, bool v6)
{
    struct ip_address ip = { { 0 } };
    memcpy(ip.byte, bytes, v6 ? IPV6_BYTES : IPV4_BYTES);
    return ip;
}

static inline bool ip_equal(const struct ip_address *a, const struct ip_address *b)
{
    return memcmp(a->byte, b->byte, IPV6_BYTES) == 0;
}

static inline bool ip_is_zero(const struct ip_address *ip)
{
    static const struct ip_address zero;
    return ip_equal(ip, &zero);
}

static inline bool ip_is_group(const struct ip_address *ip, bool v6)
{
    return v6 ? ip->byte[0] == 0xff : ip->byte[0] >> 4 == 0xe;
}

static inline bool ip_is_link_local_v6(const struct ip_address *ip)
{
    return ip->byte[0] == 0xfe && (ip->byte[1] & 0xc0) == 0x80;
}

enum {
    ETH_IPV4 = 0x0800,
    ETH_ARP = 0x0806,
    ETH_VLAN = 0x8100,
    ETH_IPV6 = 0x86dd,
    ETH_BYTES_MIN = 60, /* what a frame is padded to; the card's checksum comes on top */

    VLAN_ID_MASK = 0x0fff,
    VLAN_PRIORITY_SHIFT = 13,

    IP_IGMP = 2,
    IP_UDP = 17,
    IP_ICMPV6 = 58,
    IPV6_HOP_BY_HOP = 0,
    IPV6_FRAGMENT = 44,

    IPV4_DONT_FRAGMENT = 0x4000,
    IPV4_FRAGMENT_MASK = 0x3fff, /* more fragments, and the offset */
    IP_DSCP_SHIFT = 2,
    IPV6_CLASS_SHIFT = 20,
    IP_LINK_HOPS = 255,    /* neighbour discovery: proof that no router passed it on */
    IP_CONTROL_DSCP = 48,  /* CS6: what keeps a network alive */
    ROUTER_ALERT_V4 = 148, /* number of the IPv4 option */
    ROUTER_ALERT_V6 = 5,   /* of the hop-by-hop option */
};

struct eth_head {
    struct mac to, from;
    struct be16 type;
};

struct vlan_tag { /* behind eth_head.type == ETH_VLAN */
    struct be16 tci;
    struct be16 type;
};

struct ipv4_head {
    uint8_t version_words; /* version, and the header's length in 32-bit words */
    uint8_t dscp_ecn;
    struct be16 total_bytes; /* this header and all behind it */
    struct be16 id;
    struct be16 fragment; /* flags and offset */
    uint8_t hops;
    uint8_t protocol;
    uint8_t checksum[2];
    uint8_t from[IPV4_BYTES], to[IPV4_BYTES];
};

struct ipv6_head {
    struct be32 version_class_flow;
    struct be16 payload_bytes; /* behind this header */
    uint8_t next;
    uint8_t hops;
    uint8_t from[IPV6_BYTES], to[IPV6_BYTES];
};

struct udp_head {
    struct be16 from, to;
    struct be16 bytes; /* this header and the payload */
    uint8_t checksum[2];
};

static_assert(sizeof(struct eth_head) == 14 && sizeof(struct vlan_tag) == 4, "H1");
static_assert(sizeof(struct ipv4_head) == 20 && sizeof(struct ipv6_head) == 40, "H1");
static_assert(sizeof(struct udp_head) == 8, "H1");

#endif
