/* SPDX-License-Identifier: BSD-3-Clause */
#include "pack.h"

#include <errno.h>
#include <string.h>

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

enum {
    TAG = 0x5eed,
    FRAME_BYTES = 1472,
    ROOM = FRAME_BYTES - WIRE_RECOVERY_EXTRA_BYTES - sizeof(struct wire_data),
    PIECE = (ROOM - sizeof(struct wire_chunk)) / 8 * 8,
    TX_COUNT = 512,
    SEGMENT_BYTES = 4 << 20,
    SEGMENT = 7, /* arena ids */
    OTHER = 8,
};

static struct zcb_arena heads;
static struct zcb_pool pool;
static struct pack pack;
static uint8_t *segment; /* a client's, of arena SEGMENT */
static uint64_t retained[64], released[64];

static void count_retain(void *context, uint64_t cookie)
{
    (void)context;
    retained[cookie]++;
}

static void count_release(void *context, uint64_t cookie)
{
    (void)context;
    released[cookie]++;
    cr_assert(le(u64, released[cookie], retained[cookie]));
}

static void setup_with(uint32_t tx_count, uint32_t frame_bytes)
{
    size_t bytes = (size_t)tx_count * RING_HEAD_BYTES;
    cr_assert(eq(
        int, zcb_arena_create(&heads, "test", bytes, 1, ZCB_PAGES_SMALL, ZCB_WRITER_CREATOR), 0));
    cr_assert(eq(int,
                 zcb_pool_create(&pool, &heads,
                                 &(struct zcb_pool_shape){ .slot_bytes = RING_HEAD_BYTES,
                                                           .count = tx_count,
                                                           .slices_max = RING_SLICES_MAX }),
                 0));
    pool.retain = count_retain;
    pool.release = count_release;
    segment = malloc(SEGMENT_BYTES);
    for (size_t i = 0; i < SEGMENT_BYTES; i++)
        segment[i] = (uint8_t)(i * 7 + i / 251);
    pack_init(&pack, &pool, frame_bytes, RING_BULK_FREE_BYTES);
}

static void setup(void)
{
    setup_with(TX_COUNT, FRAME_BYTES);
}

static void teardown(void)
{
    pack_clear(&pack);
    for (size_t i = 0; i < ARRAY_COUNT(retained); i++)
        cr_assert(eq(u64, retained[i], released[i])); /* B3 */
    zcb_pool_destroy(&pool);
    zcb_arena_destroy(&heads);
    free(segment);
}

static struct ring_message message_at(uint32_t offset, uint32_t bytes, uint32_t port)
{
    return (struct ring_message){
        .payload = { .data = segment + offset,
                     .offset = offset,
                     .bytes = bytes,
                     .arena = SEGMENT,
                     .cookie = 1 },
        .port = port,
        .guarantee = GUARANTEE_AGREED,
    };
}

static struct ring_message urgent_at(uint32_t offset, uint32_t bytes, uint32_t port)
{
    struct ring_message message = message_at(offset, bytes, port);
    message.control = message.urgent = 1;
    return message;
}

static int submit(struct ring_message message)
{
    int error = pack_submit(&pack, &message);
    pack_check(&pack);
    return error;
}

/* Take a frame, check it as its receiver would, and count its pieces. NULL when none comes. */
static struct zcb *take_with(bool gate_open, bool bulk_allowed)
{
    static _Alignas(CACHE_LINE_BYTES) uint8_t wire[1 << 16];
    struct zcb *frame = pack_take(&pack, gate_open, bulk_allowed);
    pack_check(&pack);
    if (!frame)
        return NULL;
    wire_data_finish(frame, TAG, 1, (struct ring_id){ .seq = 4, .rep = 1 }, 1);
    uint32_t bytes = frame->head_bytes;
    memcpy(wire, frame->head, bytes);
    for (uint32_t i = 0; i < frame->slice_count; i++) {
        memcpy(wire + bytes, frame->slice[i].data, frame->slice[i].bytes);
        bytes += frame->slice[i].bytes;
    }
    struct wire_view view;
    cr_assert(eq(int, wire_check(wire, bytes, TAG, &view), WIRE_OK));
    cr_assert(le(u32, bytes, pack.room_bytes + (uint32_t)sizeof(struct wire_data))); /* B1 */
    cr_assert(eq(u32, frame->dest, ZCB_TO_RING));
    return frame;
}

static struct zcb *take(void)
{
    return take_with(true, true);
}

static void drop(struct zcb *frame)
{
    cr_assert(ne(ptr, frame, NULL));
    zcb_drop(frame, ZCB_HELD_RING);
}

/* The one piece, or the first, of a frame that goes. */
static struct ring_piece first_piece(struct zcb *frame)
{
    struct ring_delivery delivery = { .frame = frame };
    struct ring_walk walk;
    struct ring_piece piece;
    ring_walk_start(&walk, &delivery);
    cr_assert(ring_walk_next(&walk, &piece));
    return piece;
}

static uint32_t chunk_count(const struct zcb *frame)
{
    return ((const struct wire_data *)(const void *)frame->head)->chunk_count;
}

TestSuite(pack, .init = setup, .fini = teardown);

Test(pack, nothing_waits_at_first)
{
    cr_assert(eq(ptr, take(), NULL));
    cr_assert(eq(u32, pack_backlog(&pack), 0));
}

Test(pack, small_messages_share_a_frame_and_one_slice)
{
    cr_assert(zero(int, submit(message_at(64, 5, 1))));
    cr_assert(zero(int, submit(message_at(72, 13, 2))));
    cr_assert(zero(int, submit(message_at(88, 3, 1))));
    cr_assert(eq(u32, pack_backlog(&pack), 1));
    struct zcb *frame = take();
    cr_assert(eq(u32, chunk_count(frame), 3));
    cr_assert(eq(u32, frame->slice_count, 1));
    cr_assert(eq(u32, frame->slice[0].bytes, 8 + 16 + 3));
    cr_assert(eq(u32, frame->payload_bytes, 8 + 16 + 3));
    cr_assert(eq(u64, retained[1], 1)); /* once for the slice: the owner frees in order */
    drop(frame);
    cr_assert(eq(u64, released[1], 1));
}

Test(pack, B5_messages_that_lie_apart_have_slices_of_their_own_each_at_a_multiple_of_eight)
{
    struct ring_message elsewhere = message_at(72, 9, 2);
    elsewhere.payload.arena = OTHER; /* behind the first in our memory, and yet not of it */
    cr_assert(zero(int, submit(message_at(64, 5, 1))));
    cr_assert(zero(int, submit(elsewhere)));
    cr_assert(zero(int, submit(message_at(200, 0, 3))));
    cr_assert(zero(int, submit(message_at(1000, 1, 4))));
    struct zcb *frame = take();
    cr_assert(eq(u32, frame->slice_count, 3));
    cr_assert(eq(u32, frame->slice[0].bytes, 8)); /* with padding from behind the message */
    cr_assert(eq(u32, frame->slice[1].bytes, 16));
    cr_assert(eq(u32, frame->slice[2].bytes, 1));
    drop(frame);
}

Test(pack, the_walk_gives_back_what_was_submitted)
{
    const uint32_t offsets[] = { 64, 72, 500, 504, 4096, 8, 16 };
    const uint32_t bytes[] = { 5, 0, 1, 77, 8, 3, 64 };
    for (uint32_t i = 0; i < ARRAY_COUNT(bytes); i++) {
        struct ring_message message = message_at(offsets[i], bytes[i], 10 + i);
        message.control = i == 4;
        cr_assert(zero(int, submit(message)));
    }
    struct ring_delivery delivery = { .frame = take() };
    struct ring_walk walk;
    struct ring_piece piece;
    ring_walk_start(&walk, &delivery);
    for (uint32_t i = 0; i < ARRAY_COUNT(bytes); i++) {
        cr_assert(ring_walk_next(&walk, &piece));
        cr_assert(eq(u32, piece.port, 10 + i));
        cr_assert(eq(u32, piece.payload.bytes, bytes[i]));
        cr_assert(piece.first && piece.last);
        cr_assert(eq(int, piece.control, i == 4));
        if (bytes[i] > 0) {
            cr_assert(eq(ptr, (void *)piece.payload.data, segment + offsets[i]));
            cr_assert(eq(u32, piece.payload.offset, offsets[i]));
            cr_assert(eq(u32, piece.payload.arena, SEGMENT));
        }
    }
    cr_assert(not(ring_walk_next(&walk, &piece)));
    drop(delivery.frame);
}

Test(pack, B4_safe_and_other_messages_never_share_a_frame)
{
    struct ring_message safe = message_at(72, 8, 1);
    safe.guarantee = GUARANTEE_SAFE;
    cr_assert(zero(int, submit(message_at(64, 8, 1))));
    cr_assert(zero(int, submit(safe)));
    cr_assert(zero(int, submit(safe)));
    cr_assert(zero(int, submit(message_at(80, 8, 1))));
    cr_assert(eq(u32, pack_backlog(&pack), 3));
    const uint32_t counts[] = { 1, 2, 1 };
    for (uint32_t i = 0; i < ARRAY_COUNT(counts); i++) {
        struct zcb *frame = take();
        cr_assert(eq(u32, chunk_count(frame), counts[i]));
        drop(frame);
    }
}

Test(pack, a_frame_ends_when_chunks_slices_or_bytes_do)
{
    for (uint32_t i = 0; i <= RING_CHUNKS_MAX; i++)
        cr_assert(zero(int, submit(message_at(0, 0, i))));
    struct zcb *frame = take();
    cr_assert(eq(u32, chunk_count(frame), RING_CHUNKS_MAX));
    drop(frame);
    drop(take());

    for (uint32_t i = 0; i <= RING_SLICES_MAX; i++)
        cr_assert(zero(int, submit(message_at(i * 64, 8, i))));
    cr_assert(zero(int, submit(message_at(RING_SLICES_MAX * 64 + 8, 8, 0))));
    frame = take();
    cr_assert(eq(u32, frame->slice_count, RING_SLICES_MAX));
    cr_assert(eq(u32, chunk_count(frame), RING_SLICES_MAX));
    drop(frame);
    drop(take());

    const uint32_t half = PIECE / 16 * 8;
    for (uint32_t i = 0; i < 3; i++)
        cr_assert(zero(int, submit(message_at(i * half, half, i))));
    frame = take();
    cr_assert(eq(u32, chunk_count(frame), 1 + (2 * (half + 8) <= ROOM)));
    drop(frame);
}

Test(pack, a_full_slice_table_still_takes_what_continues_the_last_slice)
{
    for (uint32_t i = 0; i < RING_SLICES_MAX; i++)
        cr_assert(zero(int, submit(message_at(i * 64, 8, i))));
    cr_assert(zero(int, submit(message_at((RING_SLICES_MAX - 1) * 64 + 8, 8, 0))));
    cr_assert(zero(int, submit(message_at(0, 0, 0))));
    cr_assert(eq(u32, pack_backlog(&pack), 1));
}

Test(pack, one_frame_carries_a_message_as_large_as_it_can_and_not_a_byte_more)
{
    cr_assert(zero(int, submit(message_at(0, PIECE, 1))));
    cr_assert(zero(u32, pack_bulk_bytes(&pack)));
    cr_assert(zero(int, submit(message_at(0, PIECE + 1, 2))));
    cr_assert(eq(u32, pack_bulk_bytes(&pack), PIECE + 1));
    cr_assert(eq(u32, pack_backlog(&pack), 3));
}

Test(pack, the_open_frame_is_taken_as_it_is)
{
    cr_assert(zero(int, submit(message_at(0, 8, 1))));
    struct zcb *frame = take();
    cr_assert(zero(int, submit(message_at(8, 8, 1))));
    cr_assert(eq(u32, chunk_count(frame), 1));
    struct zcb *second = take();
    cr_assert(ne(ptr, second, NULL));
    drop(frame);
    drop(second);
}

Test(pack, B3_a_cookie_is_kept_for_what_would_not_keep_it_by_itself)
{
    struct ring_message uncounted = message_at(0, 8, 1), control = message_at(16, 8, 1);
    uncounted.payload.cookie = 0;
    control.control = 1;
    control.payload.cookie = 2;
    struct ring_message behind = message_at(24, 8, 1);
    behind.payload.cookie = 3;
    cr_assert(zero(int, submit(uncounted)));
    cr_assert(zero(int, submit(message_at(8, 8, 1)))); /* would be lost in a slice nobody counts */
    cr_assert(zero(int, submit(control)));             /* owners of control free in any order */
    cr_assert(zero(int, submit(behind)));
    for (int cookie = 1; cookie <= 3; cookie++)
        cr_assert(eq(u64, retained[cookie], 1));
}

Test(pack, a_bulk_message_goes_in_pieces_that_make_it_up)
{
    const uint32_t bytes = 3 * PIECE + 100, offset = 1024;
    cr_assert(zero(int, submit(message_at(offset, bytes, 5))));
    cr_assert(eq(u32, pack_backlog(&pack), 4));
    uint32_t done = 0;
    for (int i = 0; i < 4; i++) {
        cr_assert(eq(u32, pack_bulk_bytes(&pack), bytes));
        struct zcb *frame = take();
        struct ring_piece piece = first_piece(frame);
        cr_assert(eq(u32, chunk_count(frame), 1));
        cr_assert(eq(int, piece.first, i == 0));
        cr_assert(eq(int, piece.last, i == 3));
        cr_assert(eq(u32, piece.port, 5));
        cr_assert(eq(ptr, (void *)piece.payload.data, segment + offset + done));
        cr_assert(eq(u32, piece.payload.offset, offset + done));
        done += piece.payload.bytes;
        drop(frame);
        cr_assert(eq(u64, retained[1] - released[1], i < 3)); /* B3 */
        cr_assert(eq(u32, pack_backlog(&pack), 3 - i));
    }
    cr_assert(eq(u32, done, bytes));
    cr_assert(zero(u32, pack_bulk_bytes(&pack)));
    cr_assert(eq(u64, pack.pieces, 4));
    cr_assert(eq(u64, pack.messages, 1));
}

Test(pack, B2_bulk_waits_for_frames_that_were_there_and_then_shares_the_way)
{
    cr_assert(zero(int, submit(message_at(0, 8, 5))));
    cr_assert(zero(int, submit(message_at(0, 3 * PIECE, 5))));
    cr_assert(eq(int, submit(message_at(0, 8, 5)), -EBUSY)); /* may not overtake its own port */
    cr_assert(zero(int, submit(message_at(8, 8, 6)))); /* never in the frame before the fence */
    for (int i = 0; i < 3; i++)
        cr_assert(zero(int, submit(message_at(0, PIECE, 6))));

    const uint32_t ports[] = { 5, 5, 6, 5, 6, 5, 6, 6 };
    const uint32_t bytes[] = { 8, PIECE, 8, PIECE, PIECE, PIECE, PIECE, PIECE };
    for (size_t i = 0; i < ARRAY_COUNT(ports); i++) {
        struct zcb *frame = take();
        struct ring_piece piece = first_piece(frame);
        cr_assert(eq(u32, piece.port, ports[i]), "frame %zu", i);
        cr_assert(eq(u32, piece.payload.bytes, bytes[i]), "frame %zu", i);
        drop(frame);
    }
    cr_assert(eq(ptr, take(), NULL));
    cr_assert(zero(int, submit(message_at(0, 8, 5))));
}

/* What comes next: port and bytes of its piece, or its first. */
static void expect(uint32_t port, uint32_t bytes)
{
    struct zcb *frame = take();
    cr_assert(ne(ptr, frame, NULL));
    struct ring_piece piece = first_piece(frame);
    cr_assert(eq(u32, piece.port, port));
    cr_assert(eq(u32, piece.payload.bytes, bytes));
    drop(frame);
}

Test(pack, B6_bulk_messages_follow_each_other_and_none_begins_before_the_one_before_ends)
{
    for (uint32_t port = 5; port < 8; port++)
        cr_assert(zero(int, submit(message_at(0, 2 * PIECE + port, port))));
    cr_assert(zero(int, submit(message_at(0, PIECE + 1, 5))));
    cr_assert(eq(u32, pack_backlog(&pack), 11));
    for (uint32_t port = 5; port < 8; port++) {
        expect(port, PIECE);
        expect(port, PIECE);
        expect(port, port);
    }
    expect(5, PIECE);
    cr_assert(eq(u32, pack_backlog(&pack), 1));
    expect(5, 1);
    cr_assert(eq(ptr, take(), NULL));
    cr_assert(eq(u64, pack.messages, 4));
    cr_assert(eq(u64, retained[1], released[1]));
}

Test(pack, B2_a_small_message_waits_for_all_bulk_of_its_port_and_for_no_other)
{
    const uint32_t alike = 5 + PACK_PORT_CLASSES;
    cr_assert(zero(int, submit(message_at(0, 2 * PIECE, 5))));
    cr_assert(zero(int, submit(message_at(0, 2 * PIECE, 6))));
    cr_assert(zero(int, submit(message_at(0, 2 * PIECE, 5))));
    cr_assert(zero(int, submit(message_at(0, 8, alike)))); /* looked for among those of its class */
    cr_assert(eq(int, submit(message_at(0, 8, 6)), -EBUSY));
    expect(alike, 8); /* was there when the pieces began to go */
    for (int i = 0; i < 4; i++) {
        cr_assert(eq(int, submit(message_at(0, 8, 5)), -EBUSY));
        drop(take());
    }
    cr_assert(zero(int, submit(message_at(8, 8, 6))));
    cr_assert(eq(int, submit(message_at(0, 8, 5)), -EBUSY)); /* its second has yet to begin */
    drop(take());
    drop(take());
    drop(take());
    cr_assert(zero(int, submit(message_at(0, 8, 5))));
}

Test(pack, B2_each_bulk_message_waits_for_the_frames_that_were_there_before_it)
{
    cr_assert(zero(int, submit(message_at(0, 2 * PIECE, 5))));
    for (uint32_t i = 0; i < 4; i++)
        cr_assert(zero(int, submit(message_at(0, PIECE, 6))));
    cr_assert(zero(int, submit(message_at(0, 2 * PIECE, 6))));
    cr_assert(zero(int, submit(message_at(0, PIECE, 7))));
    const uint32_t ports[] = { 5, 6, 5, 6, 6, 6, 6, 7, 6 };
    pack.bulk_turn = true;
    for (size_t i = 0; i < ARRAY_COUNT(ports); i++)
        expect(ports[i], PIECE);
    cr_assert(eq(ptr, take(), NULL));
}

Test(pack, small_messages_have_every_other_frame_however_much_bulk_waits)
{
    for (uint32_t i = 0; i < PACK_BULK_MAX; i++)
        cr_assert(zero(int, submit(message_at(0, 2 * PIECE, 5))));
    drop(take());
    for (int i = 0; i < 50; i++) {
        cr_assert(zero(int, submit(message_at(0, 8, 6))));
        expect(6, 8);
        expect(5, PIECE);
    }
}

Test(pack, a_line_of_bulk_ends_at_its_bound_and_lets_small_messages_by)
{
    for (int round = 0; round < 3; round++) { /* round the line */
        while (pack.bulk_count < PACK_BULK_MAX)
            cr_assert(zero(int, submit(message_at(0, 2 * PIECE, 5))));
        cr_assert(eq(int, submit(message_at(0, 2 * PIECE, 6)), -EBUSY));
        cr_assert(eq(u64, retained[1] - released[1], PACK_BULK_MAX));
        cr_assert(eq(u32, pack_backlog(&pack), PACK_BACKLOG_MAX));
        for (uint32_t i = 0; i < 2 * 50; i++)
            drop(take());
    }
    cr_assert(zero(int, submit(message_at(0, 8, 6))));
}

Test(pack, nothing_lines_up_behind_a_message_that_needs_permission)
{
    cr_assert(zero(int, submit(message_at(0, 2 * PIECE, 5))));
    cr_assert(zero(int, submit(message_at(0, RING_BULK_FREE_BYTES + 1, 6))));
    cr_assert(eq(int, submit(message_at(0, 2 * PIECE, 7)), -EBUSY));
    cr_assert(eq(u32, pack_ready(&pack, true, false), 2)); /* only what may go now */
    cr_assert(eq(u32, pack_ready(&pack, true, true), PACK_BACKLOG_MAX));
    drop(take_with(true, false));
    cr_assert(eq(u32, pack_bulk_bytes(&pack), 2 * PIECE)); /* whose turn it is asks the token */
    drop(take_with(true, false));
    cr_assert(eq(u32, pack_bulk_bytes(&pack), RING_BULK_FREE_BYTES + 1));
    cr_assert(eq(ptr, take_with(true, false), NULL));
    while (pack_bulk_bytes(&pack) > 0)
        drop(take_with(true, true));
    cr_assert(zero(int, submit(message_at(0, 2 * PIECE, 7))));
}

Test(pack, of_a_line_of_bulk_only_the_first_begins_again)
{
    for (uint32_t port = 5; port < 7; port++)
        cr_assert(zero(int, submit(message_at(0, 2 * PIECE, port))));
    drop(take());
    cr_assert(pack_bulk_restart(&pack));
    cr_assert(eq(u32, pack_backlog(&pack), 4));
    for (uint32_t i = 0; i < 4; i++)
        expect(5 + i / 2, PIECE);
}

Test(pack, large_bulk_waits_for_permission_and_less_does_not)
{
    cr_assert(zero(int, submit(message_at(0, RING_BULK_FREE_BYTES + 1, 5))));
    cr_assert(eq(ptr, take_with(true, false), NULL));
    cr_assert(eq(u32, pack_ready(&pack, true, false), 0));
    cr_assert(eq(u32, pack_ready(&pack, true, true), PACK_BACKLOG_MAX)); /* the cap */
    cr_assert(zero(int, submit(message_at(0, 8, 6))));
    drop(take_with(true, false)); /* small ones pass meanwhile */
    drop(take_with(true, true));
    pack_clear(&pack);
    cr_assert(zero(int, submit(message_at(0, RING_BULK_FREE_BYTES, 5))));
    drop(take_with(true, false));
}

Test(pack, bulk_begins_again_only_when_a_piece_but_not_the_last_was_taken)
{
    cr_assert(zero(int, submit(message_at(0, 2 * PIECE, 5))));
    cr_assert(not(pack_bulk_restart(&pack)));
    drop(take());
    cr_assert(pack_bulk_restart(&pack));
    cr_assert(eq(u32, pack_backlog(&pack), 2));
    for (int i = 0; i < 2; i++) {
        struct zcb *frame = take();
        struct ring_piece piece = first_piece(frame);
        cr_assert(eq(ptr, (void *)piece.payload.data, segment + i * PIECE));
        cr_assert(eq(int, piece.first, i == 0));
        drop(frame);
    }
    cr_assert(not(pack_bulk_restart(&pack)));
    cr_assert(eq(u64, pack.bulk_restarts, 1));
}

Test(pack, the_gate_holds_all_but_urgent_messages_and_those_go_first)
{
    cr_assert(zero(int, submit(message_at(0, 8, 1))));
    cr_assert(zero(int, submit(message_at(0, 2 * PIECE, 2))));
    cr_assert(eq(ptr, take_with(false, true), NULL));
    cr_assert(eq(u32, pack_ready(&pack, false, true), 0));
    cr_assert(zero(int, submit(urgent_at(64, 8, 3))));
    cr_assert(zero(int, submit(urgent_at(72, 8, 4))));
    cr_assert(ne(u32, pack_ready(&pack, false, true), 0));
    struct zcb *frame = take();
    cr_assert(eq(u32, first_piece(frame).port, 3));
    cr_assert(eq(u32, chunk_count(frame), 2)); /* they share a frame too */
    drop(frame);
    cr_assert(eq(ptr, take_with(false, true), NULL));
    cr_assert(eq(u64, retained[1] - released[1], 2)); /* the open frame and the bulk lane */
}

Test(pack, urgent_messages_of_any_size_go_in_order_and_in_pieces)
{
    const uint32_t bytes[] = { 8, 2 * PIECE + 9, 0, 40, PIECE, 17 };
    for (uint32_t i = 0; i < ARRAY_COUNT(bytes); i++)
        cr_assert(zero(int, submit(urgent_at(0, bytes[i], i))));
    uint32_t port = 0, done = 0;
    struct zcb *frame;
    while ((frame = take_with(false, false))) {
        struct ring_delivery delivery = { .frame = frame };
        struct ring_walk walk;
        struct ring_piece piece;
        ring_walk_start(&walk, &delivery);
        while (ring_walk_next(&walk, &piece)) {
            cr_assert(piece.control);
            cr_assert(eq(u32, piece.port, port));
            cr_assert(eq(int, piece.first, done == 0));
            done += piece.payload.bytes;
            cr_assert(eq(int, piece.last, done == bytes[port]));
            if (piece.last) {
                port++;
                done = 0;
            }
        }
        drop(frame);
    }
    cr_assert(eq(u32, port, ARRAY_COUNT(bytes)));
    cr_assert(eq(u64, retained[1], released[1]));
}

Test(pack, an_urgent_message_of_any_length_waits_for_a_frame_of_its_own)
{
    cr_assert(zero(int, submit(urgent_at(0, 8, 3))));
    cr_assert(zero(int, submit(urgent_at(0, UINT32_MAX - 16, 4)))); /* sums must not wrap */
    struct zcb *frame = take();
    cr_assert(eq(u32, chunk_count(frame), 1));
    drop(frame);
}

Test(pack, an_urgent_message_cut_by_the_end_of_a_ring_begins_again)
{
    cr_assert(zero(int, submit(urgent_at(0, 2 * PIECE, 3))));
    drop(take_with(false, false));
    cr_assert(not(pack_bulk_restart(&pack))); /* it is not bulk */
    struct zcb *frame = take_with(false, false);
    cr_assert(first_piece(frame).first);
    drop(frame);
}

Test(pack, urgent_messages_are_as_many_as_their_lane_holds)
{
    for (int round = 0; round < 3; round++) { /* round the lane */
        for (uint32_t i = 0; i < PACK_URGENT_MAX; i++)
            cr_assert(zero(int, submit(urgent_at(0, PIECE, i))));
        cr_assert(eq(int, submit(urgent_at(0, 8, 0)), -EAGAIN));
        for (uint32_t i = 0; i < PACK_URGENT_MAX - 3; i++)
            drop(take());
        for (uint32_t i = 0; i < 3; i++)
            drop(take());
    }
}

Test(pack, the_backlog_ends_at_its_bound_and_nothing_is_half_taken)
{
    for (int i = 0; i < PACK_BACKLOG_MAX; i++)
        cr_assert(zero(int, submit(message_at(0, PIECE, 1))));
    cr_assert(eq(int, submit(message_at(0, PIECE, 1)), -EAGAIN));
    cr_assert(eq(u64, retained[1], PACK_BACKLOG_MAX));
    cr_assert(eq(u32, pack_backlog(&pack), PACK_BACKLOG_MAX));
    drop(take());
    cr_assert(zero(int, submit(message_at(0, PIECE, 1))));
}

Test(pack_reserve, ordinary_messages_leave_it_and_urgent_ones_leave_part_of_it)
{
    setup_with(RING_TX_RESERVE + 3, FRAME_BYTES);
    for (int i = 0; i < 2; i++)
        cr_assert(zero(int, submit(message_at(0, PIECE, 1))));
    cr_assert(zero(int, submit(message_at(0, 2 * PIECE, 2))));
    cr_assert(zero(int, submit(message_at(0, PIECE, 1))));
    cr_assert(eq(int, submit(message_at(0, PIECE, 1)), -EAGAIN));
    cr_assert(eq(u32, pool.free_count, RING_TX_RESERVE));
    struct zcb *taken[3];
    for (int i = 0; i < 3; i++)
        taken[i] = take();
    cr_assert(eq(u32, first_piece(taken[2]).port, 1)); /* bulk found no frame and lets others by */
    cr_assert(eq(ptr, take(), NULL));
    uint32_t urgent = 0;
    struct zcb *frames[RING_TX_RESERVE];
    do {
        cr_assert(zero(int, submit(urgent_at(0, PIECE, 3))));
    } while ((frames[urgent] = take()) && ++urgent < RING_TX_RESERVE);
    cr_assert(eq(u32, pool.free_count, PACK_RESERVE_URGENT));
    while (urgent > 0)
        drop(frames[--urgent]);
    for (int i = 0; i < 3; i++)
        drop(taken[i]);
    teardown();
}

/* Everything at once, against a model of what each port sent. */
enum { PORTS = 6 };

struct model {
    uint64_t seed;
    uint32_t sent[PORTS], seen[PORTS]; /* messages */
    uint32_t bytes[PORTS][4096];
    uint32_t done[PORTS]; /* bytes of the message that is coming in pieces */
    uint32_t unfinished;  /* port of the bulk message that is: B6; 0: none */
};

static uint32_t draw(struct model *m, uint32_t below)
{
    m->seed = m->seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)((m->seed >> 33) % below);
}

static void model_submit(struct model *m)
{
    static const uint32_t most[] = { 1, 64, 300, PIECE, 5 * PIECE };
    uint32_t bytes = draw(m, most[draw(m, ARRAY_COUNT(most))] + 1), port = draw(m, PORTS);
    struct ring_message message = message_at(draw(m, 1000) * 8, bytes, port);
    message.guarantee = draw(m, 8) == 0 ? GUARANTEE_SAFE : GUARANTEE_AGREED;
    message.payload.cookie = 1 + draw(m, 60);
    message.control = message.urgent = port == 0; /* whose order is its own */
    if (m->sent[port] < 4096 && submit(message) == 0)
        m->bytes[port][m->sent[port]++] = bytes;
}

static void model_take(struct model *m)
{
    struct ring_delivery delivery = { .frame = take_with(draw(m, 4) > 0, draw(m, 2)) };
    struct ring_walk walk;
    struct ring_piece piece;
    if (!delivery.frame)
        return;
    ring_walk_start(&walk, &delivery);
    while (ring_walk_next(&walk, &piece)) {
        uint32_t port = piece.port;
        if (piece.first) /* a restart leaves pieces behind that are void */
            m->done[port] = 0;
        m->done[port] += piece.payload.bytes;
        if (port > 0 && !(piece.first && piece.last)) {
            cr_assert(m->unfinished == 0 || m->unfinished == port);
            m->unfinished = piece.last ? 0 : port;
        }
        if (piece.last) {
            cr_assert(eq(u32, m->done[port], m->bytes[port][m->seen[port]]));
            m->seen[port]++;
            m->done[port] = 0;
        }
    }
    drop(delivery.frame);
}

static void model_run(uint64_t seed)
{
    struct model *m = calloc(1, sizeof(*m));
    m->seed = seed;
    for (int step = 0; step < 40000; step++) {
        uint32_t what = draw(m, 100);
        if (what < 60)
            model_submit(m);
        else if (what < 99)
            model_take(m);
        else
            pack_bulk_restart(&pack);
    }
    while (pack_backlog(&pack) > 0)
        model_take(m);
    uint64_t messages = 0;
    for (int port = 0; port < PORTS; port++) {
        cr_assert(eq(u32, m->seen[port], m->sent[port]));
        messages += m->sent[port];
    }
    cr_assert(lt(u64, 1000, messages));
    cr_assert(eq(u64, pack.messages, messages));
    free(m);
}

Test(pack, B2_every_port_sees_its_messages_whole_and_in_order_whatever_happens)
{
    model_run(20240229);
}

Test(pack_sizes, B1_B5_hold_for_frames_of_any_size)
{
    const uint32_t sizes[] = { RING_FRAME_BYTES_LEAST, 1479, 9001, UINT16_MAX };
    for (size_t i = 0; i < ARRAY_COUNT(sizes); i++) {
        setup_with(TX_COUNT, sizes[i]);
        cr_assert(zero(uint, pack.piece_bytes % WIRE_PAYLOAD_ALIGN));
        model_run(sizes[i]);
        teardown();
    }
}
