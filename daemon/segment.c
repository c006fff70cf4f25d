/* SPDX-License-Identifier: BSD-3-Clause */
#include "segment.h"

static struct record *record_at(struct segment *segment, uint32_t index)
{
    return &segment->record[index % SEGMENT_RECORDS];
}

void segment_init(struct segment *segment, const struct zcb_arena *arena,
                  _Atomic uint64_t *free_shared)
{
    *segment = (struct segment){
        .base = arena->base,
        .bytes = arena->bytes,
        .arena = arena->id,
        .key = arena->key,
        .free_shared = free_shared,
    };
    for (int i = 0; i < SEGMENT_RECORDS; i++)
        segment->record[i].segment = segment;
}

/* May the newest record take one more message, rather than a new one? */
static bool goes_on(const struct segment *segment)
{
    uint32_t used = segment->tail - segment->head;
    return used >= SEGMENT_RECORDS_FINE &&
           segment->taken_end - segment->run_start < segment->bytes / SEGMENT_RECORDS_FINE;
}

struct record *segment_record(struct segment *segment)
{
    if (goes_on(segment))
        return record_at(segment, segment->tail - 1);
    /* 128 fine ones, and of the coarse ones no more than fit into the segment (M1). */
    INVARIANT(segment->tail - segment->head < SEGMENT_RECORDS);
    struct record *record = record_at(segment, segment->tail++);
    record->end = segment->taken_end;
    record->refs = 0;
    segment->run_start = segment->taken_end;
    return record;
}

void segment_not_taken(struct segment *segment, struct record *record)
{
    /* A new one has no bytes yet. One that goes on has some, so it stays. */
    bool newest = !segment_idle(segment) && record == record_at(segment, segment->tail - 1);
    if (newest && record->refs == 0 && record->end == segment->run_start)
        segment->tail--;
}

/* M2 */
static void advance(struct segment *segment)
{
    uint64_t before = segment->free_end;
    while (!segment_idle(segment) && record_at(segment, segment->head)->refs == 0)
        segment->free_end = record_at(segment, segment->head++)->end;
    if (segment->free_end != before && segment->free_shared)
        atomic_store_explicit(segment->free_shared, segment->free_end, memory_order_release);
}

void segment_took(struct segment *segment, struct record *record, uint64_t end)
{
    INVARIANT(end >= segment->taken_end && end - segment->free_end <= segment->bytes); /* M1 */
    record->end = end;
    segment->taken_end = end;
    if (record->refs == 0)
        advance(segment); /* nothing to send, or its slice hangs on an older record */
}

void record_hold(struct record *record)
{
    record->refs++;
}

void record_drop(struct record *record)
{
    INVARIANT(record->refs > 0);
    if (--record->refs == 0)
        advance(record->segment);
}

void segment_retain(void *context, uint64_t cookie)
{
    (void)context;
    record_hold(record_of_cookie(cookie));
}

void segment_release(void *context, uint64_t cookie)
{
    (void)context;
    record_drop(record_of_cookie(cookie));
}

uint8_t *segment_write(struct segment *segment, uint32_t bytes, uint64_t *end)
{
    uint64_t start = segment->taken_end;
    uint64_t room = align_up(bytes, CHAN_TX_ALIGN);
    uint64_t behind = segment->bytes - start % segment->bytes;
    if (behind < room)
        start += behind; /* not around the corner */
    *end = start + room;
    if (*end - segment->free_end > segment->bytes)
        return NULL;
    return (uint8_t *)segment->base + start % segment->bytes;
}
