/* SPDX-License-Identifier: BSD-3-Clause */
#include "zcb.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <errno.h>
#include <string.h>

enum { SNAP = 1000, FRAME_MAX = 4096 };

static const struct tape_about about = { .node_id = 7, .transport = "udp" };
static uint8_t *base;
static struct tape_writer writer;
static struct tape_reader reader;
static uint8_t bytes[TAPE_SNAP_MAX + 8];
static struct tape_record record;

static void begin(uint32_t snap_bytes)
{
    size_t size = tape_bytes(snap_bytes);
    free(base);
    base = aligned_alloc(CACHE_LINE_BYTES, align_up(size, CACHE_LINE_BYTES));
    memset(base, 0, size);
    tape_writer_init(&writer, base, snap_bytes, &about);
    cr_assert(eq(int, tape_reader_open(&reader, base, size), 0));
}

static void set_up(void)
{
    begin(SNAP);
}

static void tear_down(void)
{
    cr_assert(eq(u64, reader.next, writer.written)); /* every test reads to the end */
    free(base);
    base = NULL;
}

TestSuite(tape, .init = set_up, .fini = tear_down);

/* A frame in pieces of these lengths, which begin with the number and go on counting. */
struct fake {
    struct zcb *frame;
    uint8_t byte[FRAME_MAX];
    uint64_t room[(sizeof(struct zcb) + 4 * sizeof(struct zcb_slice)) / 8];
};

static struct zcb *frame_of(struct fake *f, uint32_t number, const uint32_t *pieces, int count)
{
    uint32_t at = pieces[0];
    memset(f, 0, sizeof(*f));
    f->frame = (struct zcb *)(void *)f->room;
    for (uint32_t i = 0; i < FRAME_MAX; i++)
        f->byte[i] = (uint8_t)(number + i);
    f->frame->head = f->byte;
    f->frame->head_bytes = pieces[0];
    f->frame->from = number;
    f->frame->dest = ZCB_TO_ALL;
    for (int i = 1; i < count; i++) {
        f->frame->slice[f->frame->slice_count++] =
            (struct zcb_slice){ .data = f->byte + at, .bytes = pieces[i] };
        f->frame->payload_bytes += pieces[i];
        at += pieces[i];
    }
    return f->frame;
}

static void write_number(uint32_t number)
{
    struct fake f;
    struct zcb *frame = frame_of(&f, number, (uint32_t[]){ 120 }, 1);
    tape_write(&writer, number, TAPE_RECEIVED, &frame, 1);
}

static void expect_bytes(uint32_t number, uint32_t count)
{
    cr_assert(eq(u32, record.kept_bytes, count));
    for (uint32_t i = 0; i < count; i++)
        cr_assert(eq(u8, bytes[i], (uint8_t)(number + i)), "byte %u", i);
}

Test(tape, a_frame_in_pieces_of_any_length_comes_out_in_one)
{
    static const uint32_t pieces[][4] = { { 120 },           { 72, 8, 16, 5 }, { 1, 1, 1, 1 },
                                          { 13, 0, 3, 901 }, { 9, 7, 8, 15 },  { 80, 3, 2, 900 } };
    for (uint32_t i = 0; i < ARRAY_COUNT(pieces); i++) {
        struct fake f;
        struct zcb *frame = frame_of(&f, i, pieces[i], 4);
        uint32_t whole = frame->head_bytes + frame->payload_bytes;
        tape_write(&writer, 1000 + i, TAPE_SENT, &frame, 1);
        cr_assert(tape_read(&reader, &record, bytes));
        cr_assert(eq(u64, record.time_ns, 1000 + i));
        cr_assert(eq(u32, record.direction, TAPE_SENT));
        cr_assert(eq(u32, record.peer, ZCB_TO_ALL));
        cr_assert(eq(u32, record.frame_bytes, whole));
        expect_bytes(i, whole);
    }
    cr_assert(not(tape_read(&reader, &record, bytes)));
}

Test(tape, of_a_longer_frame_the_beginning_is_kept_and_its_length)
{
    static const uint32_t pieces[][2] = { { 72, 3000 }, { 1001, 0 }, { 999, 2 }, { 3000, 7 } };
    for (uint32_t i = 0; i < ARRAY_COUNT(pieces); i++) {
        struct fake f;
        struct zcb *frame = frame_of(&f, i, pieces[i], 2);
        tape_write(&writer, 0, TAPE_RECEIVED, &frame, 1);
        cr_assert(tape_read(&reader, &record, bytes));
        cr_assert(eq(u32, record.frame_bytes, pieces[i][0] + pieces[i][1]));
        cr_assert(eq(u32, record.peer, i));
        expect_bytes(i, SNAP);
    }
}

Test(tape, T1_records_come_in_order_however_often_the_tape_goes_round)
{
    uint32_t number = 0;
    for (int burst = 0; burst < 1000; burst++) {
        for (uint32_t i = 0; i < reader.slot_count / 37; i++)
            write_number(number + i);
        for (; number < writer.written; number++) {
            cr_assert(tape_read(&reader, &record, bytes));
            cr_assert(eq(u64, record.time_ns, number));
            expect_bytes(number, 120);
        }
    }
    cr_assert(lt(u64, 20ull * reader.slot_count, writer.written));
    cr_assert(zero(u64, reader.lost));
}

Test(tape, a_full_tape_loses_nothing)
{
    for (uint32_t i = 0; i < reader.slot_count; i++)
        write_number(i);
    for (uint32_t i = 0; i < reader.slot_count; i++) {
        cr_assert(tape_read(&reader, &record, bytes));
        cr_assert(eq(u64, record.time_ns, i));
    }
    cr_assert(zero(u64, reader.lost));
}

Test(tape, T4_who_is_overtaken_goes_on_half_a_tape_behind_and_knows_what_is_lost)
{
    uint32_t written = reader.slot_count + 5;
    for (uint32_t i = 0; i < written; i++)
        write_number(i);
    uint32_t first = written - reader.slot_count / 2;
    for (uint32_t i = first; i < written; i++) {
        cr_assert(tape_read(&reader, &record, bytes));
        cr_assert(eq(u64, record.time_ns, i));
    }
    cr_assert(not(tape_read(&reader, &record, bytes)));
    cr_assert(eq(u64, reader.lost, first));
}

/* As if the writer stood in the middle of a burst. */
Test(tape, T2_a_record_whose_slot_is_claimed_again_is_not_given_out)
{
    for (uint32_t i = 0; i < reader.slot_count; i++)
        write_number(i);
    atomic_store(&writer.head->claimed, writer.written + 3);
    uint64_t lost = 0;
    while (tape_read(&reader, &record, bytes)) {
        cr_assert(ge(u64, record.time_ns, 3), "its slot is being written");
        lost = reader.lost;
    }
    cr_assert(ge(u64, lost, 3));
    cr_assert(eq(u64, reader.next, writer.written));
}

Test(tape, frames_of_a_burst_come_one_by_one)
{
    struct fake f[3];
    struct zcb *frames[3];
    for (uint32_t i = 0; i < 3; i++)
        frames[i] = frame_of(&f[i], i, (uint32_t[]){ 100 + i }, 1);
    tape_write(&writer, 5, TAPE_RECEIVED, frames, 3);
    for (uint32_t i = 0; i < 3; i++) {
        cr_assert(tape_read(&reader, &record, bytes));
        expect_bytes(i, 100 + i);
    }
}

Test(tape, as_much_is_kept_as_was_asked_for_within_bounds)
{
    cr_assert(eq(u32, tape_snap_bytes(0, 1472), 1472));
    cr_assert(eq(u32, tape_snap_bytes(100, 1472), 100));
    cr_assert(eq(u32, tape_snap_bytes(5000, 1472), 1472));
    cr_assert(eq(u32, tape_snap_bytes(1, 1472), TAPE_SNAP_LEAST));
    cr_assert(eq(u32, tape_snap_bytes(0, 1 << 20), TAPE_SNAP_MAX));
    for (uint32_t snap = TAPE_SNAP_LEAST; snap <= TAPE_SNAP_MAX; snap += 1001) {
        begin(snap);
        cr_assert(le(u64, tape_bytes(snap), TAPE_BYTES + TAPE_HEAD_BYTES));
        cr_assert(ge(u32, reader.slot_count, 2 * TAPE_BURST_MAX));
    }
}

Test(tape, what_is_no_tape_is_not_read)
{
    struct tape_reader other;
    size_t size = tape_bytes(SNAP);
    cr_assert(eq(int, tape_reader_open(&other, base, size - 1), -EPROTO));
    cr_assert(eq(int, tape_reader_open(&other, base, 16), -EPROTO));
    uint32_t *words[] = { &writer.head->magic, &writer.head->snap_bytes, &writer.head->slot_bytes,
                          &writer.head->slot_count, &writer.head->about.node_count };
    for (size_t i = 0; i < ARRAY_COUNT(words); i++) {
        uint32_t right = *words[i];
        *words[i] = right + 64;
        if (i == 4)
            *words[i] = NODE_COUNT_MAX + 1;
        cr_assert(eq(int, tape_reader_open(&other, base, size), -EPROTO), "word %zu", i);
        *words[i] = right;
    }
    cr_assert(eq(int, tape_reader_open(&other, base, size), 0));
    cr_assert(eq(u32, other.head->about.node_id, 7));
}
