/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CLI_CAPTURE_FILE_H
#define CLI_CAPTURE_FILE_H

/*
 * capture_file.h - records of a tape as packets of a capture file.
 *
 * Invariants: H1  a frame that came stands as sent to this node, however it came; one for all
 *                 stands once, sent to the multicast group, or where there is none to everybody
 *             H2  times never go back: the distance of the clocks is taken once
 */

#include "packet.h"
#include "pcapng.h"
#include "zcb.h"

struct capture_file {
    struct pcapng pcapng;
    const struct tape_about *about;
    struct packet_host node[NODE_COUNT_MAX]; /* as in about */
    struct packet_host own, many, unknown;
    uint64_t unix_less_monotonic_ns;
};

/* `about` stays. Errors are pcapng's to keep. */
void capture_file_begin(struct capture_file *f, FILE *out, const struct tape_about *about,
                        uint32_t snap_bytes);
void capture_file_add(struct capture_file *f, const struct tape_record *record,
                      const uint8_t *bytes);
/* Monotonic times. */
void capture_file_end(struct capture_file *f, const struct tape_reader *reader, uint64_t begin_ns,
                      uint64_t end_ns);

#endif
