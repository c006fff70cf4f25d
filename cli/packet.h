/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CLI_PACKET_H
#define CLI_PACKET_H

/*
 * packet.h - the IP and UDP heads of a frame, as they are on the wire.
 *
 * What is captured is the frame alone, whatever the transport. Its heads are made again from the
 * addresses that are configured, so that every tool shows who sent what to whom.
 *
 * Knows:      IPv4, IPv6, UDP and their checksums.
 * Knows not:  nodes, files.
 * Invariants: K1  of a packet that is kept whole, lengths and checksums are right
 *             K2  of one that is cut, the UDP checksum stands for none: over IPv4 it is 0, which
 *                 says so; over IPv6, where 0 is not allowed, it is 0xffff, and no tool can look
 */

#include <stdbool.h>
#include <stdint.h>

enum { PACKET_HEAD_BYTES_MAX = 48, PACKET_ADDRESS_BYTES = 16 };

struct packet_host {
    uint8_t address[PACKET_ADDRESS_BYTES]; /* IPv4: the first 4 */
    uint16_t port;
    bool v6;
};

/* A numeric address, a scope aside. False: it is none. */
bool packet_host_set(struct packet_host *host, const char *address, uint16_t port);

/* Where a frame goes that is sent once to each: the family's address of everybody on the link. */
void packet_host_everybody(struct packet_host *host, bool v6, uint16_t port);

struct packet {
    const struct packet_host *from, *to; /* of one family */
    const uint8_t *frame;
    uint32_t kept_bytes, frame_bytes;
    uint8_t ttl;
};

/* Write the heads. Returns how many bytes; frame_bytes + PACKET_HEAD_BYTES_MAX fit 16 bits. */
uint32_t packet_head(uint8_t head[PACKET_HEAD_BYTES_MAX], const struct packet *packet);

#endif
