/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CLIENT_SEGMENTS_H
#define CLIENT_SEGMENTS_H

/*
 * segments.h - the TX segments of a handle: which one has room, getting and giving back.
 *
 *   small    one, from the first send on, for messages up to SEGMENT_SMALL_MESSAGE_MAX; the service
 *            gives less than was asked for when many handles have one
 *   medium   a few, under pressure and for messages up to half of one; given back when idle, or, if
 *            the service only lent it, when the last message in one has come back to us
 *   large    one, for a stream of messages up to half of it; given back when the last of them has
 *            come back to us, or, when such streams follow each other and it was not only lent,
 *            when idle
 *   single   for one message, of its size, given back as soon as it is submitted: the service
 *            keeps it until the message has been sent and read
 *
 * The service's memory for segments is one pool for all clients: what is not in use goes back
 * without waiting for this program to send again.
 *
 * Invariants: N1  position - tx_free <= bytes of the segment: nothing in use is overwritten
 *             N2  a message does not wrap: it skips to the start, and its end counts the skipped
 * Thread:     who holds the send lock
 */

#include "handle.h"

enum {
    SEGMENT_SMALL_BYTES = 512 * 1024,
    SEGMENT_SMALL_MESSAGE_MAX = SEGMENT_SMALL_BYTES / 4,
    SEGMENT_MEDIUM_BYTES = 1 << 20,
    SEGMENT_MEDIUM_MESSAGE_MAX = SEGMENT_MEDIUM_BYTES / 2,
    SEGMENT_MEDIUM_COUNT = 2,
    SEGMENT_LARGE_BYTES = 4 << 20,
    SEGMENT_LARGE_MESSAGE_MAX = SEGMENT_LARGE_BYTES / 2,
};

/* Where a message will lie. */
struct segment_spot {
    struct tx_segment *segment;
    uint32_t index;
    uint32_t offset; /* in the segment */
    uint64_t end;    /* position behind it */
};

/**
 * Find room for a message, in a new segment if need be.
 *
 * Owner:   nothing is in use until segments_use_spot(); behind the submission of a message that
 *          was, segments_submitted()
 * Errors:  CS_ERR_TRY_AGAIN; CS_ERR_NO_MEMORY nobody can ever have that much; CS_ERR_LIBRARY
 */
cs_error_t segments_find(struct handle *h, uint32_t bytes, struct segment_spot *spot);
void segments_use_spot(struct handle *h, const struct segment_spot *spot);
void segments_submitted(struct handle *h, const struct segment_spot *spot);

/* Could segments_find() succeed? Asks nobody. */
bool segments_have_room(struct handle *h, uint32_t bytes);

/* Give back what has been idle for long. */
void segments_trim(struct handle *h);

/* A stream of messages in medium or large segments may have ended for now. */
void segments_stream_ended(struct handle *h);

/* Names a place in an arena. Never 0. */
static inline uint64_t segment_key(uint32_t arena, uint64_t offset)
{
    return (uint64_t)arena << 32 | (uint32_t)offset;
}

#endif
