/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TRANSPORT_DPDK_CONTROL_H
#define TRANSPORT_DPDK_CONTROL_H

/*
 * control.h - how the packets begin and end that keep us on the link: ARP, neighbour discovery,
 * membership reports. Rare, so they are put together when they are wanted.
 *
 * Invariants: K1  a packet fits PACKET_CONTROL_ROOM, and is padded to ETH_BYTES_MIN with zeros
 */

#include "packet.h"

/* Ethernet and, on a VLAN, the port's tag. Gives where they end. */
uint8_t *ethernet_write(uint8_t *at, const struct packet_local *local, const struct mac *to,
                        uint16_t type, uint8_t priority);

struct ip_fields {
    const uint8_t *from, *to;
    uint8_t protocol;
    uint8_t hops;
    uint8_t dscp;
    bool alert; /* routers on the way look at it: an IPv4 option, an IPv6 extension header */
};

/* Without length and checksum. Gives where the header and a router alert end. */
uint8_t *ipv4_write(uint8_t *at, const struct ip_fields *ip);
uint8_t *ipv6_write(uint8_t *at, const struct ip_fields *ip);

struct control {
    const struct packet_local *local;
    struct mac to;
    struct ip_fields ip;
};

/* All headers in front of a body, which is zero so far. Gives where it is. */
uint8_t *control_begin(uint8_t *packet, const struct control *c);

/* Lengths; checksums (ICMPv6 and IGMP keep theirs at the same place); padding. Gives the length. */
uint32_t control_end(uint8_t *packet, const struct control *c, const uint8_t *end);

/* Gives the length. */
uint32_t control_pad(const uint8_t *packet, const uint8_t *end);

#endif
