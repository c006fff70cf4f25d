/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CLI_PCAPNG_H
#define CLI_PCAPNG_H

/*
 * pcapng.h - a capture file: what tshark, wireshark and tcpdump read.
 *
 * One section with one interface of raw IP packets, times in nanoseconds since 1970, and at the end
 * what was lost.
 *
 * Knows:      blocks and options of pcapng (draft-ietf-opsawg-pcapng), in our own byte order.
 * Knows not:  what is in a packet.
 * Invariants: G1  whatever was written is complete up to the last block, so that a file is
 *                 readable at any time
 *             G2  the first failure is kept, and nothing is written after it
 */

#include <stdint.h>
#include <stdio.h>

struct pcapng {
    FILE *out;
    int error; /* G2: -errno */
};

struct pcapng_interface {
    const char *name, *description, *program;
    uint32_t snap_bytes; /* longest packet in the file */
};

struct pcapng_packet {
    uint64_t time_ns;
    const uint8_t *head, *body; /* one behind the other */
    uint32_t head_bytes, body_bytes;
    uint32_t packet_bytes; /* as it was on the wire, with its head */
    int sent;              /* 0: received */
};

struct pcapng_counts {
    uint64_t begin_ns, end_ns;
    uint64_t passed; /* frames there were */
    uint64_t lost;   /* of these, not in the file for want of time */
};

/* Each returns 0, or -errno of this call or an earlier one. */
int pcapng_begin(struct pcapng *p, FILE *out, const struct pcapng_interface *interface);
int pcapng_packet(struct pcapng *p, const struct pcapng_packet *packet);
int pcapng_flush(struct pcapng *p);
int pcapng_end(struct pcapng *p, const struct pcapng_counts *counts);

#endif
