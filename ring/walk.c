/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * walk.c - the pieces of a delivered frame.
 *
 * The chunk table is in the head; payload is in one slice when the frame was received and in any
 * number when it is our own. Each slice but the last is a multiple of WIRE_PAYLOAD_ALIGN long, so
 * stepping over a slice's end keeps the alignment.
 */
#include "ring.h"

#include "wire.h"

void ring_walk_start(struct ring_walk *walk, const struct ring_delivery *delivery)
{
    const struct zcb *frame = delivery->frame;
    const struct wire_head *head = (const struct wire_head *)(const void *)frame->head;
    const struct wire_data *data = (const struct wire_data *)(const void *)head;
    *walk = (struct ring_walk){
        .frame = frame,
        .chunk = (const uint8_t *)wire_chunks(head),
        .left = data->chunk_count,
    };
}

/* The next `bytes` of payload, in one slice. */
static struct zcb_slice walk_payload(struct ring_walk *walk, uint32_t bytes)
{
    const struct zcb *frame = walk->frame;
    uint32_t at = (uint32_t)align_up(walk->offset, WIRE_PAYLOAD_ALIGN);
    while (walk->slice < frame->slice_count && at >= frame->slice[walk->slice].bytes) {
        at -= frame->slice[walk->slice].bytes;
        walk->slice++;
    }
    INVARIANT(walk->slice < frame->slice_count); /* B5, or wire_check(): it lies in one slice */
    const struct zcb_slice *slice = &frame->slice[walk->slice];
    INVARIANT(bytes <= slice->bytes - at);
    walk->offset = at + bytes;
    return (struct zcb_slice){
        .data = slice->data + at,
        .offset = slice->offset + at,
        .bytes = bytes,
        .arena = slice->arena,
        .key = slice->key,
        .cookie = slice->cookie,
    };
}

bool ring_walk_next(struct ring_walk *walk, struct ring_piece *piece)
{
    if (walk->left == 0)
        return false;
    const struct wire_chunk *chunk = (const struct wire_chunk *)(const void *)walk->chunk;
    uint32_t bytes = wire_chunk_bytes(chunk);
    uint32_t flags = wire_chunk_flags(chunk);
    *piece = (struct ring_piece){
        .port = wire_chunk_port(chunk),
        .guarantee = wire_chunk_guarantee(chunk),
        .first = flags & WIRE_CHUNK_FIRST,
        .last = flags & WIRE_CHUNK_LAST,
        .control = flags & WIRE_CHUNK_CONTROL,
    };
    if (bytes > 0)
        piece->payload = walk_payload(walk, bytes);
    walk->chunk += sizeof(*chunk);
    walk->left--;
    return true;
}
