/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TRANSPORT_DPDK_NEIGHBOUR_H
#define TRANSPORT_DPDK_NEIGHBOUR_H

/*
 * neighbour.h - who on the link has which MAC: ARP (RFC 826, 5227) and IPv6 neighbour discovery
 * (RFC 4861), as far as a port needs them whose kernel does not know of it.
 *
 * Knows:      the packets.
 * Knows not:  what is known of others (peer_map.h), and when to ask.
 * Invariants: N1  nothing is learnt from a packet that a router passed on (hop limit 255), nor
 *                 from one whose sums, lengths or options are amiss
 *             N2  an answer says only what is ours, to the one who asked
 *
 * All give the length of a packet in packet[PACKET_CONTROL_ROOM].
 */

#include "packet.h"

/* To NEIGHBOUR_ASKS: this MAC has the address. */
uint32_t neighbour_answer(const struct packet_local *local, const struct neighbour *to,
                          uint8_t *packet);

/* To all on the link, unasked: when the port comes up, and when the address came over from another
 * machine. */
uint32_t neighbour_announce(const struct packet_local *local, uint8_t *packet);

/* Who has this address? To `mac` if it is known and to be confirmed, else (NULL) to all. */
uint32_t neighbour_ask(const struct packet_local *local, const struct ip_address *ip,
                       const struct mac *mac, uint8_t *packet);

/* By family; neighbour_ choose. */
uint32_t arp_answer(const struct packet_local *, const struct neighbour *, uint8_t *packet);
uint32_t arp_announce(const struct packet_local *, uint8_t *packet);
uint32_t arp_ask(const struct packet_local *, const struct ip_address *, const struct mac *,
                 uint8_t *packet);
uint32_t nd_answer(const struct packet_local *, const struct neighbour *, uint8_t *packet);
uint32_t nd_announce(const struct packet_local *, uint8_t *packet);
uint32_t nd_ask(const struct packet_local *, const struct ip_address *, const struct mac *,
                uint8_t *packet);

#endif
