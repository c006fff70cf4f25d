/* SPDX-License-Identifier: BSD-3-Clause */
#include "wire.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "wire_frames.h"

static enum wire_verdict judge(const struct frames_buffer *b)
{
    struct wire_view view;
    return wire_check(b->byte, b->bytes, FRAMES_TAG, &view);
}

Test(wire, a_good_frame_of_every_type_is_accepted)
{
    bool seen[WIRE_TYPES] = { false };
    for (size_t i = 0; i < ARRAY_COUNT(frames_sample); i++) {
        struct frames_buffer b;
        struct wire_view view = { 0 };
        frames_sample[i].make(&b);
        enum wire_verdict verdict = wire_check(b.byte, b.bytes, FRAMES_TAG, &view);
        cr_assert(eq(int, verdict, WIRE_OK), "%s", frames_sample[i].name);
        cr_assert(eq(ptr, (void *)view.head, b.byte));
        cr_assert(eq(ptr, (void *)view.data, b.byte));
        seen[view.head->type] = true;
    }
    for (int type = 1; type < WIRE_TYPES; type++)
        cr_assert(seen[type], "%s", wire_type_name[type]);
}

Test(wire, L2_every_other_length_is_malformed)
{
    for (size_t i = 0; i < ARRAY_COUNT(frames_sample); i++) {
        struct frames_buffer b;
        memset(&b, 0, sizeof(b));
        frames_sample[i].make(&b);
        for (uint32_t bytes = 0; bytes < sizeof(b.byte); bytes++) {
            if (bytes == b.bytes)
                continue;
            struct wire_view view;
            struct wire_head *head = malloc(bytes > 0 ? bytes : 1); /* a sanitizer sees its end */
            uint8_t *exact = (uint8_t *)head;
            memcpy(exact, b.byte, bytes);
            cr_assert(eq(int, wire_check(exact, bytes, FRAMES_TAG, &view), WIRE_MALFORMED));
            if (bytes >= sizeof(*head)) { /* and when the head confirms the wrong length */
                head->frame_bytes = bytes;
                cr_assert(eq(int, wire_check(exact, bytes, FRAMES_TAG, &view), WIRE_MALFORMED),
                          "%s", frames_sample[i].name);
            }
            free(head);
        }
    }
}

Test(wire, L2_no_bit_makes_a_good_frame_lead_out_of_itself)
{
    for (size_t i = 0; i < ARRAY_COUNT(frames_sample); i++) {
        struct frames_buffer b;
        memset(&b, 0, sizeof(b));
        frames_sample[i].make(&b);
        uint8_t *exact = malloc(b.bytes); /* so that a sanitizer sees the first byte behind it */
        memcpy(exact, b.byte, b.bytes);
        for (uint32_t bit = 0; bit < b.bytes * 8; bit++) {
            struct wire_view view = { 0 };
            exact[bit / 8] ^= (uint8_t)(1u << bit % 8);
            if (wire_check(exact, b.bytes, FRAMES_TAG, &view) == WIRE_OK && view.chunk) {
                const uint8_t *end = exact + b.bytes;
                cr_assert(eq(ptr, (void *)(view.payload + view.data->payload_bytes), (void *)end));
                cr_assert(
                    eq(ptr, (void *)(view.chunk + view.data->chunk_count), (void *)view.payload));
            }
            exact[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
        free(exact);
    }
}

Test(wire, L2_a_table_longer_than_its_frame_is_not_read)
{
    struct wire_view view;
    struct wire_data *data = malloc(sizeof(*data));
    *data = (struct wire_data){
        .head = frames_head(WIRE_DATA, sizeof(*data) + 24, sizeof(*data)),
        .seq = 3,
        .chunk_count = 3,
        .payload_bytes = -24u, /* as it comes out when nobody looks */
    };
    cr_assert(
        eq(int, wire_check((uint8_t *)data, sizeof(*data), FRAMES_TAG, &view), WIRE_MALFORMED));
    free(data);
}

Test(wire, another_clusters_frame_is_foreign)
{
    struct frames_buffer b;
    struct wire_view view;
    frames_join(&b);
    cr_assert(eq(int, wire_check(b.byte, b.bytes, FRAMES_TAG + 1, &view), WIRE_FOREIGN));
    cr_assert(eq(u32, view.head->sender, 2));
}

Test(wire, L3_another_version_is_told_apart_and_its_join_is_read)
{
    struct frames_buffer b;
    frames_token(&b);
    b.byte[offsetof(struct wire_head, version)] = WIRE_VERSION_HIGH + 1;
    cr_assert(eq(int, judge(&b), WIRE_VERSION));
    frames_join(&b);
    b.byte[offsetof(struct wire_head, version)] = WIRE_VERSION_HIGH + 1;
    cr_assert(eq(int, judge(&b), WIRE_OK));
}

/* Put one field of a frame to a value that no frame has. */
#define REFUSES(make, type, field, value)                                 \
    do {                                                                  \
        struct frames_buffer b;                                           \
        make(&b);                                                         \
        struct type *frame = (struct type *)(void *)b.byte;               \
        frame->field = (value);                                           \
        cr_expect(eq(int, judge(&b), WIRE_MALFORMED), #field " " #value); \
    } while (0)

Test(wire, heads_that_cannot_be_are_malformed)
{
    REFUSES(frames_park, wire_head, magic, 0);
    REFUSES(frames_park, wire_head, type, 0);
    REFUSES(frames_park, wire_head, type, WIRE_TYPES);
    REFUSES(frames_park, wire_head, type, WIRE_WANT);
    REFUSES(frames_park, wire_head, sender, NODE_NONE);
    REFUSES(frames_park, wire_head, ring_rep, NODE_NONE);
    REFUSES(frames_park, wire_head, nonce, 1);
    REFUSES(frames_park, wire_head, tag.byte[15], 1);
    REFUSES(frames_park, wire_head, head_bytes, sizeof(struct wire_park) - 8);
}

Test(wire, data_that_cannot_be_is_malformed)
{
    REFUSES(frames_data, wire_data, seq, 0);
    REFUSES(frames_data, wire_data, flags, WIRE_SAFE << 1);
    REFUSES(frames_data, wire_data, chunk_count, 0);
    REFUSES(frames_data, wire_data, chunk_count, 2);
    REFUSES(frames_data, wire_data, chunk_count, 4);
    REFUSES(frames_data, wire_data, chunk_count, UINT16_MAX);
    REFUSES(frames_data, wire_data, payload_bytes, 16);
    REFUSES(frames_data, wire_data, payload_bytes, UINT32_MAX);
    REFUSES(frames_data, wire_data, head.head_bytes, 104);
    REFUSES(frames_recovery, wire_recovery, old_ring_rep, NODE_NONE);
    REFUSES(frames_recovery, wire_recovery, old_sender, NODE_NONE);
    REFUSES(frames_recovery, wire_recovery, old_seq, 0);
    REFUSES(frames_recovery, wire_recovery, old_ring_seq, 8);
}

Test(wire, chunks_that_do_not_fill_the_payload_or_break_the_rules_are_malformed)
{
    const uint32_t whole = WIRE_CHUNK_FIRST | WIRE_CHUNK_LAST;
    const uint8_t agreed = GUARANTEE_AGREED;
    REFUSES(frames_data, wire_data, chunk[2], wire_chunk_make(8, whole, 0, agreed));
    REFUSES(frames_data, wire_data, chunk[2], wire_chunk_make(10, whole, 0, agreed));
    REFUSES(frames_data, wire_data, chunk[0], wire_chunk_make(9, whole, 0, agreed));
    REFUSES(frames_data, wire_data, chunk[0], wire_chunk_make(5, whole | 8, 0, agreed));
    REFUSES(frames_data, wire_data, chunk[0], wire_chunk_make(5, whole, 0, GUARANTEE_SAFE));
    REFUSES(frames_data, wire_data, chunk[0], wire_chunk_make(5, whole, 0, GUARANTEE_SAFE + 1));
    REFUSES(frames_data, wire_data, flags, WIRE_SAFE);
    /* a piece that goes on elsewhere is the last, one that comes from elsewhere the first */
    REFUSES(frames_data, wire_data, chunk[0], wire_chunk_make(5, WIRE_CHUNK_FIRST, 0, agreed));
    REFUSES(frames_data, wire_data, chunk[2], wire_chunk_make(9, WIRE_CHUNK_LAST, 0, agreed));
    REFUSES(frames_data, wire_data, chunk[1], wire_chunk_make(0, 0, 0, agreed));
}

Test(wire, an_unfinished_piece_has_bytes)
{
    struct frames_buffer b;
    frames_data(&b);
    struct wire_data *data = (struct wire_data *)(void *)b.byte;
    data->chunk[0] = wire_chunk_make(5, WIRE_CHUNK_LAST, 0, GUARANTEE_AGREED);
    data->chunk[1] = data->chunk[2];
    data->chunk[2] = wire_chunk_make(0, WIRE_CHUNK_FIRST | WIRE_CHUNK_LAST, 0, GUARANTEE_AGREED);
    cr_assert(eq(int, judge(&b), WIRE_OK));
    data->chunk[2] = wire_chunk_make(0, WIRE_CHUNK_FIRST, 0, GUARANTEE_AGREED);
    cr_assert(eq(int, judge(&b), WIRE_MALFORMED));
}

/* A frame of `count` empty messages, right but for their number. */
static enum wire_verdict judge_chunks(uint16_t count)
{
    struct frames_buffer b;
    frames_data(&b);
    struct wire_data *data = (struct wire_data *)(void *)b.byte;
    b.bytes = (uint32_t)(sizeof(*data) + count * sizeof(struct wire_chunk));
    data->head.frame_bytes = data->head.head_bytes = (uint16_t)b.bytes;
    data->chunk_count = count;
    data->payload_bytes = 0;
    for (uint16_t i = 0; i < count; i++)
        data->chunk[i] = wire_chunk_make(0, WIRE_CHUNK_FIRST | WIRE_CHUNK_LAST, i, 0);
    return judge(&b);
}

static enum wire_verdict judge_rtr(uint32_t count)
{
    struct frames_buffer b;
    frames_token(&b);
    struct wire_token *token = (struct wire_token *)(void *)b.byte;
    token->head.frame_bytes = b.bytes = wire_token_bytes(count);
    token->rtr_count = count;
    for (uint32_t i = 0; i < count; i++)
        token->rtr[i] = i + 1;
    return judge(&b);
}

static enum wire_verdict judge_join(uint16_t procs, uint16_t fails)
{
    struct frames_buffer b;
    frames_join(&b);
    struct wire_join *join = (struct wire_join *)(void *)b.byte;
    join->head.frame_bytes = b.bytes = wire_join_bytes(procs, fails);
    join->proc_count = procs;
    join->fail_count = fails;
    for (uint32_t i = 0; i < (uint32_t)procs + fails; i++)
        join->id[i] = i + 1;
    return judge(&b);
}

static enum wire_verdict judge_commit(uint32_t members)
{
    struct frames_buffer b;
    frames_commit(&b);
    struct wire_commit *commit = (struct wire_commit *)(void *)b.byte;
    commit->head.frame_bytes = b.bytes = wire_commit_bytes(members);
    commit->member_count = members;
    for (uint32_t i = 0; i < members; i++)
        commit->id[i] = i + 1;
    return judge(&b);
}

Test(wire, lists_end_at_their_bounds)
{
    cr_assert(eq(int, judge_chunks(0), WIRE_MALFORMED));
    cr_assert(eq(int, judge_chunks(RING_CHUNKS_MAX), WIRE_OK));
    cr_assert(eq(int, judge_chunks(RING_CHUNKS_MAX + 1), WIRE_MALFORMED));
    cr_assert(eq(int, judge_rtr(WIRE_RTR_MAX), WIRE_OK));
    cr_assert(eq(int, judge_rtr(WIRE_RTR_MAX + 1), WIRE_MALFORMED));
    cr_assert(eq(int, judge_join(NODE_COUNT_MAX, 0), WIRE_OK));
    cr_assert(eq(int, judge_join(NODE_COUNT_MAX - 1, 1), WIRE_OK));
    cr_assert(eq(int, judge_join(NODE_COUNT_MAX, 1), WIRE_MALFORMED));
    cr_assert(eq(int, judge_join(NODE_COUNT_MAX + 1, 0), WIRE_MALFORMED));
    cr_assert(eq(int, judge_commit(0), WIRE_MALFORMED));
    cr_assert(eq(int, judge_commit(NODE_COUNT_MAX), WIRE_OK));
    cr_assert(eq(int, judge_commit(NODE_COUNT_MAX + 1), WIRE_MALFORMED));
}

Test(wire, tokens_that_cannot_be_are_malformed)
{
    REFUSES(frames_token, wire_token, aru, 61);
    REFUSES(frames_token, wire_token, flags, WIRE_INSTALL << 1);
    REFUSES(frames_token, wire_token, rtr_count, 2);
    REFUSES(frames_token, wire_token, rtr_count, UINT32_MAX);
    REFUSES(frames_token, wire_token, rtr[0], 0);
    REFUSES(frames_token, wire_token, rtr[1], 51);
    REFUSES(frames_token, wire_token, rtr[2], 61);
}

Test(wire, membership_frames_that_cannot_be_are_malformed)
{
    REFUSES(frames_join, wire_join, proc_count, 2);
    REFUSES(frames_join, wire_join, proc_count, UINT16_MAX);
    REFUSES(frames_join, wire_join, fail_count, UINT16_MAX);
    REFUSES(frames_join, wire_join, version_low, 0);
    REFUSES(frames_join, wire_join, version_low, WIRE_VERSION_HIGH + 1);
    REFUSES(frames_join, wire_join, flags, WIRE_LEAVING << 1);
    REFUSES(frames_join, wire_join, zero, 1);
    REFUSES(frames_join, wire_join, id[0], NODE_NONE);
    REFUSES(frames_join, wire_join, id[1], 1);
    REFUSES(frames_join, wire_join, id[4], 3);
    REFUSES(frames_join, wire_join, id[4], 9); /* in both sets */
    REFUSES(frames_commit, wire_commit, member_count, 0);
    REFUSES(frames_commit, wire_commit, member_count, 2);
    REFUSES(frames_commit, wire_commit, member_count, UINT32_MAX);
    REFUSES(frames_commit, wire_commit, zero, 1);
    REFUSES(frames_commit, wire_commit, id[1], 1);
    REFUSES(frames_commit, wire_commit, head.ring_rep, 2);
    REFUSES(frames_info, wire_info, seq, 0);
    REFUSES(frames_info, wire_info, received_flag, 2);
    REFUSES(frames_info, wire_info, safe_seq, 100);
    REFUSES(frames_info, wire_info, old_ring_seq, 8);
    REFUSES(frames_beacon, wire_beacon, member_count, 0);
    REFUSES(frames_beacon, wire_beacon, member_count, NODE_COUNT_MAX + 1);
    REFUSES(frames_beacon, wire_beacon, zero, 1);
    REFUSES(frames_want, wire_want, zero, 1);
    REFUSES(frames_park, wire_park, aru, 61);
}

/* Frames of a pool. */

static struct zcb_arena arena;
static struct zcb_pool pool;

static void setup(void)
{
    cr_assert(eq(int,
                 zcb_arena_create(&arena, "test", 4 * FRAMES_BYTES_MAX, 5, ZCB_PAGES_SMALL,
                                  ZCB_WRITER_CREATOR),
                 0));
    cr_assert(eq(int,
                 zcb_pool_create(&pool, &arena,
                                 &(struct zcb_pool_shape){
                                     .slot_bytes = FRAMES_BYTES_MAX, .count = 4, .slices_max = 4 }),
                 0));
    pool.key = 9;
}

static void teardown(void)
{
    zcb_pool_destroy(&pool);
    zcb_arena_destroy(&arena);
}

/* As a transport hands it up. */
static struct zcb *received(const struct frames_buffer *b)
{
    struct zcb *frame = zcb_get(&pool, ZCB_HELD_RING);
    memcpy(frame->head, b->byte, b->bytes);
    frame->head_bytes = b->bytes;
    frame->slice_count = 1;
    frame->slice[0] = (struct zcb_slice){ 0 };
    return frame;
}

static struct zcb *accepted(const struct frames_buffer *b)
{
    struct zcb *frame = received(b);
    struct wire_view view;
    cr_assert(eq(int, wire_check(frame->head, frame->head_bytes, FRAMES_TAG, &view), WIRE_OK));
    wire_split(frame, &view);
    return frame;
}

Test(wire, a_split_frame_has_its_payload_as_its_one_slice, .init = setup, .fini = teardown)
{
    struct frames_buffer b;
    frames_data(&b);
    struct zcb *other = zcb_get(&pool, ZCB_HELD_RING); /* so that the slot is not the first */
    struct zcb *frame = accepted(&b);
    cr_assert(eq(u32, frame->head_bytes, b.bytes - 17));
    cr_assert(eq(u32, frame->payload_bytes, 17));
    cr_assert(eq(u32, frame->slice_count, 1));
    cr_assert(eq(u32, frame->slice[0].bytes, 17));
    cr_assert(eq(u32, frame->slice[0].arena, 5));
    cr_assert(eq(u32, frame->slice[0].key, 9));
    cr_assert(eq(ptr, (void *)frame->slice[0].data, arena.base + frame->slice[0].offset));
    cr_assert(eq(ptr, (void *)frame->slice[0].data, frame->head + frame->head_bytes));
    zcb_drop(frame, ZCB_HELD_RING);
    zcb_drop(other, ZCB_HELD_RING);
}

Test(wire, pieces_are_walked_where_they_lie, .init = setup, .fini = teardown)
{
    void (*const make[])(struct frames_buffer *) = { frames_data, frames_recovery };
    for (size_t i = 0; i < ARRAY_COUNT(make); i++) {
        struct frames_buffer b;
        make[i](&b);
        struct ring_delivery delivery = { .kind = RING_DELIVER_FRAME, .frame = accepted(&b) };
        const uint8_t *payload = delivery.frame->slice[0].data;
        struct ring_walk walk;
        struct ring_piece piece;
        ring_walk_start(&walk, &delivery);
        cr_assert(ring_walk_next(&walk, &piece));
        cr_assert(eq(ptr, (void *)piece.payload.data, (void *)payload));
        cr_assert(eq(u32, piece.payload.bytes, 5));
        cr_assert(eq(u32, piece.port, 7));
        cr_assert(eq(int, piece.guarantee, GUARANTEE_AGREED));
        cr_assert(piece.first && piece.last && !piece.control);
        cr_assert(ring_walk_next(&walk, &piece));
        cr_assert(eq(u32, piece.payload.bytes, 0));
        cr_assert(eq(ptr, (void *)piece.payload.data, NULL));
        cr_assert(eq(u32, piece.port, WIRE_PORT_MAX));
        cr_assert(piece.control);
        cr_assert(ring_walk_next(&walk, &piece));
        cr_assert(eq(ptr, (void *)piece.payload.data, (void *)(payload + 8)));
        cr_assert(eq(u32, piece.payload.offset, delivery.frame->slice[0].offset + 8));
        cr_assert(eq(u32, piece.payload.bytes, 9));
        cr_assert(not(ring_walk_next(&walk, &piece)));
        zcb_drop(delivery.frame, ZCB_HELD_RING);
    }
}

Test(wire, what_is_written_is_accepted, .init = setup, .fini = teardown)
{
    struct zcb *frame = zcb_get(&pool, ZCB_HELD_RING);
    struct wire_park *park = (struct wire_park *)(void *)frame->head;
    wire_control_head(frame, WIRE_PARK, FRAMES_TAG, 2, (struct ring_id){ .seq = 8, .rep = 1 },
                      sizeof(*park));
    park->token_seq = 5;
    park->seq = park->aru = 60;
    struct frames_buffer b;
    frames_park(&b);
    cr_assert(eq(u32, frame->head_bytes, b.bytes));
    cr_assert(zero(int, memcmp(frame->head, b.byte, b.bytes)));
    zcb_drop(frame, ZCB_HELD_RING);
}

Test(wire, a_place_given_changes_nothing_else, .init = setup, .fini = teardown)
{
    void (*const make[])(struct frames_buffer *) = { frames_data, frames_recovery, frames_info };
    for (size_t i = 0; i < ARRAY_COUNT(make); i++) {
        struct frames_buffer b;
        make[i](&b);
        struct zcb *frame = received(&b);
        struct wire_data *data = (struct wire_data *)(void *)frame->head;
        data->head = (struct wire_head){ .type = data->head.type };
        data->seq = 0;
        frame->head_bytes = b.bytes - (make[i] == frames_info ? 0 : 17);
        frame->payload_bytes = b.bytes - frame->head_bytes;
        wire_data_finish(frame, FRAMES_TAG, 2, (struct ring_id){ .seq = 8, .rep = 1 },
                         make[i] == frames_info ? 2 : 3);
        cr_assert(zero(int, memcmp(frame->head, b.byte, frame->head_bytes)));
        zcb_drop(frame, ZCB_HELD_RING);
    }
}

Test(wire, a_recovered_frame_keeps_its_place_and_pieces, .init = setup, .fini = teardown)
{
    struct frames_buffer b;
    frames_data(&b);
    struct zcb *old = accepted(&b);
    struct zcb *wrapped[2];
    const struct zcb *inner = old;
    for (int i = 0; i < 2; i++) { /* and when it is recovered again, from the recovered one */
        struct zcb *frame = wrapped[i] = zcb_get(&pool, ZCB_HELD_RING);
        wire_recovery_wrap(frame, inner);
        zcb_add_slice(frame, &old->slice[0]);
        wire_data_finish(frame, FRAMES_TAG, 4, (struct ring_id){ .seq = 12 + i, .rep = 4 }, 31);

        struct wire_view view;
        memcpy(b.byte, frame->head, frame->head_bytes);
        memcpy(b.byte + frame->head_bytes, frame->slice[0].data, frame->slice[0].bytes);
        b.bytes = frame->head_bytes + frame->payload_bytes;
        cr_assert(eq(int, wire_check(b.byte, b.bytes, FRAMES_TAG, &view), WIRE_OK));
        cr_assert(eq(u64, view.recovery->seq, 31));
        cr_assert(zero(int, memcmp(view.chunk, wire_chunks((struct wire_head *)(void *)old->head),
                                   3 * sizeof(struct wire_chunk))));
        struct wire_place place = wire_old_place(view.head);
        cr_assert(eq(u64, place.ring_id.seq, 8));
        cr_assert(eq(u32, place.ring_id.rep, 1));
        cr_assert(eq(u64, place.seq, 3));
        cr_assert(eq(u32, place.sender, 2));
        inner = frame;
    }
    zcb_drop(wrapped[0], ZCB_HELD_RING);
    zcb_drop(wrapped[1], ZCB_HELD_RING);
    zcb_drop(old, ZCB_HELD_RING);
}
