/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * history_tell.c - what a ring takes and delivers, as it goes into a history.
 */
#include <string.h>

#include "history.h"

enum { NAME_BYTES = 8 };

static uint64_t mix(uint64_t hash, uint64_t value)
{
    hash = (hash ^ value) * UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ hash >> 31;
}

static uint64_t mix_bytes(uint64_t hash, const uint8_t *data, uint32_t bytes)
{
    for (; bytes >= 8; data += 8, bytes -= 8) {
        uint64_t word;
        memcpy(&word, data, 8);
        hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
        hash ^= hash >> 31;
    }
    uint64_t word = 0;
    if (bytes > 0)
        memcpy(&word, data, bytes);
    return mix(hash, word);
}

/* Clients' messages say in their first bytes which they are; those that are shorter have these. */
static uint64_t message_name(const struct zcb_slice *payload, bool control)
{
    uint32_t bytes = min_u32(payload->bytes, NAME_BYTES);
    return mix_bytes(mix(bytes, control), payload->data, bytes);
}

static void on_piece(struct history *h, uint32_t life, const struct ring_piece *piece,
                     struct hist_delivery *out)
{
    if (piece->port == 0)
        return;
    out->pieces++;
    history_piece(h, life,
                  &(struct hist_piece){
                      .name = piece->first ? message_name(&piece->payload, piece->control) : 0,
                      .port = piece->port,
                      .first = piece->first,
                      .last = piece->last });
}

/* What a frame says, wherever its bytes lie. */
static void on_frame(struct history *h, uint32_t life, const struct ring_delivery *d,
                     struct hist_delivery *out)
{
    struct ring_walk walk;
    struct ring_piece piece;
    ring_walk_start(&walk, d);
    while (ring_walk_next(&walk, &piece)) {
        uint64_t flags = (uint64_t)piece.first | (uint64_t)piece.last << 1 |
                         (uint64_t)piece.control << 2 | (uint64_t)piece.guarantee << 3;
        out->content = mix(out->content, flags << 24 | piece.port);
        out->content = mix(out->content, piece.payload.bytes);
        /* Payload of clients is judged by those who read it; large ones need no second look. */
        out->content =
            mix_bytes(out->content, piece.payload.data, min_u32(piece.payload.bytes, 256));
        out->safe |= piece.guarantee == GUARANTEE_SAFE;
        on_piece(h, life, &piece, out);
    }
}

static uint64_t members_mask(const struct ring_delivery *d)
{
    uint64_t mask = 0;
    for (int i = 0; i < d->member_count; i++)
        mask |= UINT64_C(1) << (d->members[i] - 1);
    return mask;
}

void history_tell(struct history *h, uint32_t life, const struct ring_delivery *d, uint64_t now_ns)
{
    struct hist_delivery delivery = { .kind = (uint8_t)d->kind,
                                      .sender = d->sender,
                                      .seq = d->seq,
                                      .ring_id = d->ring_id,
                                      .at_ns = now_ns };
    if (d->kind == RING_DELIVER_FRAME)
        on_frame(h, life, d, &delivery);
    else
        delivery.content = members_mask(d);
    history_delivery(h, life, &delivery);
}

void history_submit(struct history *h, uint32_t life, const struct ring_message *message)
{
    if (message->urgent)
        return;
    history_submitted(
        h, life,
        &(struct hist_piece){ .name = message_name(&message->payload, message->control),
                              .port = message->port,
                              .first = true,
                              .last = true });
}
