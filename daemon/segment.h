/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef DAEMON_SEGMENT_H
#define DAEMON_SEGMENT_H

/*
 * segment.h - a byte ring that messages are sent from, and up to where it is free again.
 *
 * A record stands for a run of messages, one behind the other; frames (and large messages lent to
 * clients) refer to it through the cookies of their slices. A run ends when it is a good part of
 * the segment, or at once while few are outstanding, so that the table never fills and freeing is
 * as fine as it matters.
 *
 * Knows:      positions, counted for ever, and references.
 * Knows not:  payload, or who writes it.
 * Invariants: M1  free_end <= taken_end <= free_end + bytes
 *             M2  free_end passes a record when nothing refers to it nor to any before it: a slice
 *                 that the ring made longer keeps the cookie of its first message only
 * Thread:     poll core.
 */

#include "synchrotron/types.h"
#include "zcb.h"

enum { SEGMENT_RECORDS = 256, SEGMENT_RECORDS_FINE = 128 };

struct segment;

struct record {
    struct segment *segment;
    uint64_t end;
    uint32_t refs;
    uint32_t zero;
};

struct segment {
    const uint8_t *base;
    uint64_t bytes;
    uint32_t arena, key;
    uint32_t head, tail;           /* of the records in use */
    uint64_t taken_end, free_end;  /* M1 */
    uint64_t run_start;            /* of the newest record */
    _Atomic uint64_t *free_shared; /* where its writer reads free_end; NULL: nobody does */
    uint32_t index;                /* in its client's table */
    uint32_t barrier;              /* closing: submits before this place may still use it */
    bool closing;                  /* the client needs it no more */
    bool orphan;                   /* its client is gone */
    struct segment *next;
    struct record record[SEGMENT_RECORDS];
};

void segment_init(struct segment *segment, const struct zcb_arena *arena,
                  _Atomic uint64_t *free_shared);

/* The record for the next message. Its address is the cookie. */
struct record *segment_record(struct segment *segment);

/* The message is taken: it uses the segment up to `end`. */
void segment_took(struct segment *segment, struct record *record, uint64_t end);
/* It is not: the next message may have the record. */
void segment_not_taken(struct segment *segment, struct record *record);

void record_hold(struct record *record);
void record_drop(struct record *record);

/* The longest message it takes now, in one piece. */
static inline uint64_t segment_room(const struct segment *segment)
{
    uint64_t left = segment->bytes - (segment->taken_end - segment->free_end);
    uint64_t tail = segment->bytes - segment->taken_end % segment->bytes;
    return tail >= left ? left : max_u64(tail, left - tail);
}

static inline bool segment_idle(const struct segment *segment)
{
    return segment->head == segment->tail;
}

static inline uint64_t record_cookie(const struct record *record)
{
    return (uint64_t)(uintptr_t)record;
}

static inline struct record *record_of_cookie(uint64_t cookie)
{
    return (struct record *)(uintptr_t)cookie;
}

/* zcb_slice_fn: what the tx pool calls. */
void segment_retain(void *context, uint64_t cookie);
void segment_release(void *context, uint64_t cookie);

/**
 * A private segment that we write ourselves: memory for a message of `bytes`, one behind the other.
 * NULL: no room until older ones are released. segment_took() with *end makes it final.
 */
uint8_t *segment_write(struct segment *segment, uint32_t bytes, uint64_t *end);

#endif
