/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * wire_fuzz.c - any bytes at all, as a frame.
 *
 * Claims: wire_check() reads no byte outside the frame (the sanitizer sees each); of what it
 * accepts every piece can be walked and lies inside; and written again field by field from its
 * view, an accepted frame is the same bytes: nothing in it goes unlooked at.
 */
#include "wire.h"

#include <string.h>

#include "ring/wire_frames.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { RECEIVED_BYTES_MAX = UINT16_MAX, REBUILT_BYTES = 2048 };

/* A frame in a slot of its own, without an arena behind the pool. */
struct fixture {
    struct zcb_pool pool;
    struct zcb *frame; /* in room */
    _Alignas(CACHE_LINE_BYTES) uint8_t room[sizeof(struct zcb) + sizeof(struct zcb_slice)];
    _Alignas(CACHE_LINE_BYTES) uint8_t slot[REBUILT_BYTES];
};

static void fixture_init(struct fixture *f, uint8_t *head, uint32_t slot_bytes)
{
    f->pool = (struct zcb_pool){
        .slots = head, .slot_bytes = slot_bytes, .arena = 1, .count = 1, .slices_max = 1
    };
    f->frame = (struct zcb *)(void *)f->room;
    f->frame->pool = &f->pool;
    f->frame->head = head;
}

/* Every byte of every piece, and no piece outside the payload. */
static void walk(const struct zcb *frame, const struct wire_view *view)
{
    struct ring_delivery delivery = { .kind = RING_DELIVER_FRAME, .frame = (struct zcb *)frame };
    struct ring_walk walk;
    struct ring_piece piece;
    const uint8_t *at = view->payload, *end = view->payload + view->data->payload_bytes;
    uint32_t pieces = 0;
    volatile uint8_t sum = 0;

    ring_walk_start(&walk, &delivery);
    for (; ring_walk_next(&walk, &piece); pieces++) {
        INVARIANT(piece.port <= WIRE_PORT_MAX && piece.guarantee <= GUARANTEE_SAFE);
        INVARIANT(piece.first || pieces == 0);
        if (piece.payload.bytes == 0)
            continue;
        INVARIANT(piece.payload.data >= at && piece.payload.data + piece.payload.bytes <= end);
        at = piece.payload.data + piece.payload.bytes;
        for (uint32_t i = 0; i < piece.payload.bytes; i++)
            sum = (uint8_t)(sum + piece.payload.data[i]);
    }
    INVARIANT(pieces == view->data->chunk_count && at == end);
}

#define COPY(type, name, meaning) to->name = from->name;

/* Write the fixed fields of one type from its view; the list behind them is copied by count. */
#define REBUILD(kind, TABLE, list, list_bytes)                                                   \
    do {                                                                                         \
        const struct wire_##kind *from = view->kind;                                             \
        struct wire_##kind *to = (struct wire_##kind *)(void *)f->slot;                          \
        wire_control_head(f->frame, (enum wire_type)head->type, head->cluster_tag, head->sender, \
                          wire_ring_id(head), (uint32_t)(sizeof(*to) + (list_bytes)));           \
        TABLE(COPY)                                                                              \
        memcpy(to + 1, list, list_bytes);                                                        \
    } while (0)

static void rebuild_control(struct fixture *f, const struct wire_view *view)
{
    const struct wire_head *head = view->head;
    fixture_init(f, f->slot, sizeof(f->slot));
    switch (head->type) {
    case WIRE_TOKEN:
        REBUILD(token, WIRE_TOKEN_TABLE, from->rtr, from->rtr_count * sizeof(from->rtr[0]));
        break;
    case WIRE_JOIN:
        REBUILD(join, WIRE_JOIN_TABLE, from->id,
                (from->proc_count + from->fail_count) * sizeof(from->id[0]));
        f->slot[offsetof(struct wire_head, version)] = head->version; /* L3: any will do */
        break;
    case WIRE_COMMIT:
        REBUILD(commit, WIRE_COMMIT_TABLE, from->id, from->member_count * sizeof(from->id[0]));
        break;
    case WIRE_BEACON:
        REBUILD(beacon, WIRE_BEACON_TABLE, from, (size_t)0);
        break;
    case WIRE_WANT:
        REBUILD(want, WIRE_WANT_TABLE, from, (size_t)0);
        break;
    case WIRE_PARK:
        REBUILD(park, WIRE_PARK_TABLE, from, (size_t)0);
        break;
    case WIRE_INFO:
        REBUILD(info, WIRE_INFO_TABLE, from, (size_t)0);
        break;
    default:
        INVARIANT(!"a type without a way back");
    }
    INVARIANT(f->frame->head_bytes == head->frame_bytes);
    INVARIANT(memcmp(f->slot, head, head->frame_bytes) == 0);
}

/* Head and table again, and once more as the recovery of the frame. */
static void rebuild_data(struct fixture *f, const struct zcb *frame, const struct wire_view *view)
{
    const struct wire_head *head = view->head;
    fixture_init(f, f->slot, sizeof(f->slot));
    memcpy(f->slot, head, frame->head_bytes);
    memset(f->slot, 0, sizeof(*head));
    ((struct wire_head *)(void *)f->slot)->type = head->type;
    f->frame->head_bytes = frame->head_bytes;
    f->frame->payload_bytes = frame->payload_bytes;
    wire_data_finish(f->frame, head->cluster_tag, head->sender, wire_ring_id(head),
                     view->data->seq);
    INVARIANT(memcmp(f->slot, head, frame->head_bytes) == 0);

    struct wire_place place = wire_old_place(head);
    wire_recovery_wrap(f->frame, frame);
    f->frame->payload_bytes = frame->payload_bytes;
    wire_data_finish(f->frame, head->cluster_tag, 1,
                     (struct ring_id){ .seq = place.ring_id.seq + 1, .rep = 1 }, 1);
    const struct wire_head *wrapped = (const struct wire_head *)(const void *)f->slot;
    struct wire_place kept = wire_old_place(wrapped);
    INVARIANT(ring_id_equal(kept.ring_id, place.ring_id) && kept.seq == place.seq &&
              kept.sender == place.sender);
    INVARIANT(memcmp(wire_chunks(wrapped), view->chunk,
                     view->data->chunk_count * sizeof(struct wire_chunk)) == 0);
}

static void judge(uint8_t *bytes, uint32_t count)
{
    struct wire_view view = { 0 };
    struct fixture received = { 0 }, rebuilt = { 0 };
    if (wire_check(bytes, count, FRAMES_TAG, &view) != WIRE_OK)
        return;
    if (!view.chunk) {
        rebuild_control(&rebuilt, &view);
        return;
    }
    fixture_init(&received, bytes, count);
    wire_split(received.frame, &view);
    walk(received.frame, &view);
    rebuild_data(&rebuilt, received.frame, &view);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > RECEIVED_BYTES_MAX)
        return 0;
    uint8_t *exact = malloc(size > 0 ? size : 1);
    memcpy(exact, data, size);
    judge(exact, (uint32_t)size);
    if (size >= sizeof(struct wire_head)) { /* past what a guess seldom passes, and look behind */
        struct wire_head *head = (struct wire_head *)(void *)exact;
        head->magic = WIRE_MAGIC;
        head->version = WIRE_VERSION_HIGH;
        head->cluster_tag = FRAMES_TAG;
        head->frame_bytes = (uint32_t)size;
        head->nonce = 0;
        head->tag = (struct wire_tag){ { 0 } };
        judge(exact, (uint32_t)size);
    }
    free(exact);
    return 0;
}
