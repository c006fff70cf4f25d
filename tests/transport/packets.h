/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_TRANSPORT_PACKETS_H
#define TESTS_TRANSPORT_PACKETS_H

/*
 * packets.h - two machines on an ethernet, and the packets between them, for tests of the codec.
 *
 * Sums are checked and mended here by another code than the one under test: one word at a time.
 */

#include "dpdk/packet.h"

enum variant { V4, V4_VLAN, V6, V6_VLAN, VARIANTS };

enum {
    A = 0, /* indexes of peers, and of ends */
    B = 1,
    ROUTER = 2,
    STRANGER = 3, /* no peer */
    PORT = 5405,
    GROUP_PORT = 5406,
    VLAN_ID = 0x123,
    PACKET_BYTES_MAX = 66 + 65535,
};

/* A and B, each as it sees itself. */
struct pair {
    enum variant variant;
    struct peer_map peers;
    struct packet_local end[2];
};

void pair_init(struct pair *p, enum variant variant);

struct ip_address ip_of(enum variant variant, int machine);
struct ip_address group_of(enum variant variant);
struct mac mac_of(int machine);
struct packet_route route_to(const struct pair *p, int machine); /* or -1: to the group */

/* One packet, by value and at the end of its room: a byte too far is seen by the sanitizer. */
struct packet {
    uint8_t *at;
    uint32_t bytes;
    uint8_t room[PACKET_HEAD_ROOM + 65536 + 64];
};

/* From A to B (or -1: the group), payload_byte(0..payload_bytes). */
void packet_make(struct packet *packet, const struct pair *p, int to, uint32_t payload_bytes);
uint8_t payload_byte(uint32_t i);

/* From bytes; `packet` may be what they are in. */
void packet_take(struct packet *packet, const uint8_t *bytes, uint32_t count);

/* What B says to it. It sees a copy that ends where the allocation does. */
enum packet_verdict judge(const struct pair *p, const struct packet *packet,
                          struct packet_view *view);
enum packet_verdict judge_by(const struct packet_local *local, const uint8_t *bytes, uint32_t count,
                             uint32_t flags, struct packet_view *view);

/* Offsets of the headers. */
uint32_t ip_place(const struct pair *p);
uint32_t udp_place(const struct pair *p);

/* Over bytes, and a pseudo header if protocol is not 0; complemented, as a number. */
uint16_t plain_checksum(const uint8_t *ip, bool v6, uint8_t protocol, const uint8_t *bytes,
                        size_t count);

/* After something was changed in them: make all sums of a packet good again, IP and above. */
void packet_mend(const struct pair *p, struct packet *packet);

/* Is everything in the packet that is summed, summed right? */
bool sums_are_good(bool v6, const uint8_t *ip, uint32_t bytes);

#endif
