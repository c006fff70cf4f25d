/* SPDX-License-Identifier: BSD-3-Clause */
#include "tap.h"

#include <string.h>

struct tap tap = { .life = HIST_NOBODY };

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

/* What a frame says, wherever its bytes lie. */
static void on_frame(const struct ring_delivery *d, struct hist_delivery *out)
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
    }
    tap.frames++;
    tap.safe_frames += out->safe;
}

static uint64_t members_mask(const struct ring_delivery *d)
{
    uint64_t mask = 0;
    for (int i = 0; i < d->member_count; i++)
        mask |= UINT64_C(1) << (d->members[i] - 1);
    return mask;
}

static void listen(const struct ring_out *out)
{
    if (tap.life == HIST_NOBODY)
        return;
    for (int i = 0; i < out->deliver_count; i++) {
        const struct ring_delivery *d = &out->deliver[i];
        struct hist_delivery delivery = { .kind = (uint8_t)d->kind,
                                          .sender = d->sender,
                                          .seq = d->seq,
                                          .ring_id = d->ring_id,
                                          .at_ns = tap.now_ns };
        if (d->kind == RING_DELIVER_FRAME)
            on_frame(d, &delivery);
        else
            delivery.content = members_mask(d);
        history_delivery(tap.history, tap.life, &delivery);
    }
}

/* Each door of the ring through which deliveries come. */
void __real_ring_recv(struct ring *r, uint64_t now_ns, struct zcb **frames, int count,
                      struct ring_out *out);
void __real_ring_expire(struct ring *r, uint64_t now_ns, struct ring_out *out);
void __real_ring_continue(struct ring *r, uint64_t now_ns, struct ring_out *out);
void __real_ring_persisted(struct ring *r, uint64_t now_ns, uint64_t seq, struct ring_out *out);
void __real_ring_leave(struct ring *r, uint64_t now_ns, struct ring_out *out);
void __wrap_ring_recv(struct ring *r, uint64_t now_ns, struct zcb **frames, int count,
                      struct ring_out *out);
void __wrap_ring_expire(struct ring *r, uint64_t now_ns, struct ring_out *out);
void __wrap_ring_continue(struct ring *r, uint64_t now_ns, struct ring_out *out);
void __wrap_ring_persisted(struct ring *r, uint64_t now_ns, uint64_t seq, struct ring_out *out);
void __wrap_ring_leave(struct ring *r, uint64_t now_ns, struct ring_out *out);

void __wrap_ring_recv(struct ring *r, uint64_t now_ns, struct zcb **frames, int count,
                      struct ring_out *out)
{
    __real_ring_recv(r, now_ns, frames, count, out);
    listen(out);
}

void __wrap_ring_expire(struct ring *r, uint64_t now_ns, struct ring_out *out)
{
    __real_ring_expire(r, now_ns, out);
    listen(out);
}

void __wrap_ring_continue(struct ring *r, uint64_t now_ns, struct ring_out *out)
{
    __real_ring_continue(r, now_ns, out);
    listen(out);
}

void __wrap_ring_persisted(struct ring *r, uint64_t now_ns, uint64_t seq, struct ring_out *out)
{
    __real_ring_persisted(r, now_ns, seq, out);
    listen(out);
}

void __wrap_ring_leave(struct ring *r, uint64_t now_ns, struct ring_out *out)
{
    __real_ring_leave(r, now_ns, out);
    listen(out);
}
