/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TRANSPORT_DPDK_FRAME_H
#define TRANSPORT_DPDK_FRAME_H

/*
 * frame.h - a received packet while it is being judged, layer by layer.
 *
 * Invariants: F1  at <= end, both in the packet; at only moves on, end only comes nearer
 */

#include "checksum.h"
#include "packet.h"

struct frame {
    const struct packet_local *local;
    const struct eth_head *eth;
    const uint8_t *at, *end;    /* what lies behind the headers that were read */
    uint32_t flags;             /* of packet_parse() */
    struct ip_address from, to; /* of the IP header */
    uint8_t hops;
};

static inline size_t frame_left(const struct frame *f)
{
    return (size_t)(f->end - f->at);
}

/* Of the pseudo header that UDP and ICMPv6 put before what is left. */
static inline uint64_t frame_pseudo_sum(const struct frame *f, uint8_t protocol)
{
    size_t bytes = f->local->v6 ? IPV6_BYTES : IPV4_BYTES;
    uint64_t sum = checksum_word(protocol) + checksum_word((uint16_t)frame_left(f));

    return checksum_add(checksum_add(sum, f->from.byte, bytes), f->to.byte, bytes);
}

/* Each judges what lies behind its lower header. */
enum packet_verdict arp_parse(struct frame *f, struct packet_view *view);
enum packet_verdict nd_parse(struct frame *f, struct packet_view *view);
enum packet_verdict igmp_parse(struct frame *f, struct packet_view *view);
enum packet_verdict mld_parse(struct frame *f, struct packet_view *view);

#endif
