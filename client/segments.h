/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CLIENT_SEGMENTS_H
#define CLIENT_SEGMENTS_H

/*
 * segments.h - the TX segments of a handle: which one has room, getting and giving back.
 *
 * Thread: who holds the send lock
 */

#include "handle.h"

/* Where a message will lie. */
struct segment_spot {
    struct tx_segment *segment;
    uint32_t index;
    uint32_t offset; /* in the segment */
    uint64_t end;    /* position behind it */
};

/**
 * Find room for a message, in a new segment if need be. Nothing is in use until
 * segments_use_spot().
 *
 * Errors:  CS_ERR_TRY_AGAIN, CS_ERR_NO_MEMORY, CS_ERR_LIBRARY as in send.h
 */
cs_error_t segments_find(struct handle *h, uint32_t bytes, struct segment_spot *spot);
void segments_use_spot(struct handle *h, const struct segment_spot *spot);

/* Could segments_find() succeed? Asks nobody. */
bool segments_have_room(struct handle *h, uint32_t bytes);

/* Give back what has been idle for long. */
void segments_trim(struct handle *h);

#endif
