/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_SIM_PAYLOAD_H
#define TESTS_SIM_PAYLOAD_H

/*
 * payload.h - what messages say: who sent them and which of its messages this is, and from there
 * on a pattern, every byte of which follows from that.
 *
 * A message of 8 bytes or more names itself. A shorter one is cut off: its reader knows the bytes
 * only when it knows from elsewhere which message it must be.
 */
#include <stddef.h>

#include "synchrotron/types.h"

enum { PAYLOAD_NAME_BYTES = 8 };

struct payload_name {
    uint32_t member; /* index of the sender's membership in the history */
    uint32_t number; /* of its messages */
};

void payload_write(uint8_t *to, struct payload_name name, uint32_t bytes);

/* Reading, piece by piece. */
struct payload_reader {
    struct payload_name name;
    uint64_t key;
    uint32_t bytes, at;
    bool named, damaged;
    uint8_t start[PAYLOAD_NAME_BYTES]; /* kept until there is a name to judge by */
};

void payload_start(struct payload_reader *reader, uint32_t bytes);
void payload_read(struct payload_reader *reader, const uint8_t *data, uint32_t bytes);
/* All bytes came and are what they must be, as far as that can be told. */
bool payload_sound(const struct payload_reader *reader);
/* The same for a short one, when it is known who it must be. */
bool payload_is(uint64_t start, struct payload_name name, uint32_t bytes);
/* Bytes of a short message as one number. */
uint64_t payload_short(const struct payload_reader *reader);

#endif
