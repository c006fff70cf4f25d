/* SPDX-License-Identifier: BSD-3-Clause */
#include "zcb.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <signal.h>
#include <string.h>

enum { COUNT = 8, SLOT_BYTES = 128, SLICES_MAX = 3, OFFSET = 4096, COOKIES = 4 };

static struct zcb_arena arena;
static struct zcb_pool pool;
static int counted[COOKIES]; /* by cookie: retained less released */

static void count_up(void *context, uint64_t cookie)
{
    ((int *)context)[cookie]++;
}

static void count_down(void *context, uint64_t cookie)
{
    ((int *)context)[cookie]--;
}

static void set_up(void)
{
    cr_assert(eq(int,
                 zcb_arena_create(&arena, "pool_test", OFFSET + COUNT * SLOT_BYTES, 5,
                                  ZCB_PAGES_SMALL, ZCB_WRITER_CREATOR),
                 0));
    cr_assert(eq(int,
                 zcb_pool_create(&pool, &arena,
                                 &(struct zcb_pool_shape){ .offset = OFFSET,
                                                           .slot_bytes = SLOT_BYTES,
                                                           .count = COUNT,
                                                           .slices_max = SLICES_MAX }),
                 0));
    pool.retain = count_up;
    pool.release = count_down;
    pool.slice_context = counted;
}

static void tear_down(void)
{
    zcb_pool_destroy(&pool);
    zcb_arena_destroy(&arena);
}

TestSuite(pool, .init = set_up, .fini = tear_down);

static struct zcb_slice slice_of(uint32_t bytes, uint64_t cookie)
{
    return (struct zcb_slice){
        .data = arena.base, .offset = 0, .bytes = bytes, .arena = 5, .cookie = cookie
    };
}

Test(pool, P3_free_and_taken_add_up_until_none_is_left)
{
    struct zcb *taken[COUNT];
    for (uint32_t i = 0; i < COUNT; i++) {
        taken[i] = zcb_get(&pool, ZCB_HELD_TRANSPORT);
        cr_assert(eq(u32, pool.free_count, COUNT - 1 - i));
        zcb_pool_check(&pool);
    }
    cr_assert(eq(ptr, zcb_get(&pool, ZCB_HELD_RING), NULL));
    for (uint32_t i = 0; i < COUNT; i++)
        zcb_drop(taken[i], ZCB_HELD_TRANSPORT);
    cr_assert(eq(u32, pool.free_count, COUNT));
    cr_assert(eq(u32, pool.free_least, 0));
}

Test(pool, P1_a_frame_is_free_exactly_when_nobody_holds_it)
{
    struct zcb *frame = zcb_get(&pool, ZCB_HELD_TRANSPORT);
    zcb_hold(frame, ZCB_HELD_CLIENT);
    zcb_hold(frame, ZCB_HELD_CLIENT);
    zcb_drop(frame, ZCB_HELD_TRANSPORT);
    zcb_drop(frame, ZCB_HELD_CLIENT);
    cr_assert(eq(u32, pool.free_count, COUNT - 1));
    zcb_drop(frame, ZCB_HELD_CLIENT);
    cr_assert(eq(u32, pool.free_count, COUNT));
}

Test(pool, P2_a_pass_moves_the_reference_and_frees_nothing)
{
    struct zcb *frame = zcb_get(&pool, ZCB_HELD_TRANSPORT);
    zcb_pass(frame, ZCB_HELD_TRANSPORT, ZCB_HELD_RING);
    cr_assert(eq(u64, pool.held[ZCB_HELD_TRANSPORT], 0));
    cr_assert(eq(u64, pool.held[ZCB_HELD_RING], 1));
    cr_assert(eq(u32, frame->refs, 1));
    zcb_pass(frame, ZCB_HELD_RING, ZCB_HELD_RING);
    cr_assert(eq(u64, pool.held[ZCB_HELD_RING], 1));
    zcb_pool_check(&pool);
    zcb_drop(frame, ZCB_HELD_RING);
}

Test(pool, the_frame_dropped_last_is_had_first)
{
    struct zcb *first = zcb_get(&pool, ZCB_HELD_RING);
    struct zcb *second = zcb_get(&pool, ZCB_HELD_RING);
    cr_assert(eq(u32, first->slot, 0));
    cr_assert(eq(u32, second->slot, 1));
    zcb_drop(second, ZCB_HELD_RING);
    zcb_drop(first, ZCB_HELD_RING);
    cr_assert(eq(ptr, zcb_get(&pool, ZCB_HELD_RING), first));
    cr_assert(eq(ptr, zcb_get(&pool, ZCB_HELD_RING), second));
    zcb_drop(first, ZCB_HELD_RING);
    zcb_drop(second, ZCB_HELD_RING);
}

Test(pool, a_frame_is_had_blank_whatever_it_was_before)
{
    struct zcb *base = zcb_get(&pool, ZCB_HELD_RING);
    struct zcb *frame = zcb_get(&pool, ZCB_HELD_RING);
    struct zcb_slice slice = slice_of(10, 0);
    zcb_add_slice(frame, &slice);
    zcb_set_base(frame, base);
    frame->head += 7;
    frame->head_bytes = 9;
    frame->dest = 3;
    frame->from = 4;
    frame->next = base;
    zcb_drop(frame, ZCB_HELD_RING);
    zcb_drop(base, ZCB_HELD_RING);
    for (int i = 0; i < 2; i++) {
        frame = zcb_get(&pool, ZCB_HELD_OUT);
        cr_assert(eq(ptr, frame->head, pool.slots + frame->slot * SLOT_BYTES));
        cr_assert(eq(ptr, frame->next, NULL));
        cr_assert(eq(ptr, frame->base, NULL));
        cr_assert(eq(u32, frame->head_bytes + frame->payload_bytes + frame->slice_count, 0));
        cr_assert(eq(u32, frame->dest, ZCB_TO_ALL));
        cr_assert(eq(u32, frame->from, NODE_NONE));
    }
    zcb_drop(zcb_at(&pool, 0), ZCB_HELD_OUT);
    zcb_drop(zcb_at(&pool, 1), ZCB_HELD_OUT);
}

Test(pool, slots_lie_one_behind_the_other_in_the_arena)
{
    for (uint32_t slot = 0; slot < COUNT; slot++) {
        struct zcb *frame = zcb_get(&pool, ZCB_HELD_RING);
        cr_assert(eq(u32, zcb_slot_offset(frame), OFFSET + slot * SLOT_BYTES));
        cr_assert(eq(ptr, frame->head, arena.base + zcb_slot_offset(frame)));
        memset(frame->head, 0xff, SLOT_BYTES);
    }
    for (uint32_t slot = 0; slot < COUNT; slot++)
        zcb_drop(zcb_at(&pool, slot), ZCB_HELD_RING);
    zcb_pool_check(&pool);
}

Test(pool, headroom_lies_in_front_of_each_slot_and_is_nobodys)
{
    enum { HEADROOM = 64, SPACED = 4 };
    struct zcb_pool spaced;
    struct zcb_pool_shape shape = { .offset = OFFSET,
                                    .headroom_bytes = HEADROOM,
                                    .slot_bytes = SLOT_BYTES,
                                    .count = SPACED,
                                    .slices_max = 1 };
    cr_assert(zero(int, zcb_pool_create(&spaced, &arena, &shape)));
    for (uint32_t slot = 0; slot < SPACED; slot++) {
        struct zcb *frame = zcb_get(&spaced, ZCB_HELD_EVENT);
        uint32_t at = OFFSET + HEADROOM + slot * (HEADROOM + SLOT_BYTES);
        cr_assert(eq(u32, zcb_slot_offset(frame), at));
        cr_assert(eq(ptr, frame->head, arena.base + at));
    }
    for (uint32_t slot = 0; slot < SPACED; slot++)
        zcb_drop(zcb_at(&spaced, slot), ZCB_HELD_EVENT);
    zcb_pool_destroy(&spaced);
}

Test(pool, payload_owners_are_told_once_when_a_slice_joins_and_once_when_the_frame_goes)
{
    struct zcb *frame = zcb_get(&pool, ZCB_HELD_RING);
    struct zcb_slice counted_slice = slice_of(100, 2), plain = slice_of(11, 0);
    zcb_add_slice(frame, &counted_slice);
    zcb_add_slice(frame, &plain);
    zcb_add_slice(frame, &counted_slice);
    cr_assert(eq(u32, frame->payload_bytes, 211));
    cr_assert(eq(int, counted[2], 2));
    cr_assert(eq(int, counted[0], 0));
    zcb_hold(frame, ZCB_HELD_TRANSPORT);
    zcb_drop(frame, ZCB_HELD_RING);
    cr_assert(eq(int, counted[2], 2));
    zcb_drop(frame, ZCB_HELD_TRANSPORT);
    cr_assert(eq(int, counted[2], 0));
    cr_assert(eq(int, counted[0], 0));
}

Test(pool, a_base_stays_as_long_as_the_frames_that_point_into_it)
{
    struct zcb *base = zcb_get(&pool, ZCB_HELD_TRANSPORT);
    struct zcb *frame = zcb_get(&pool, ZCB_HELD_OUT);
    struct zcb *above = zcb_get(&pool, ZCB_HELD_OUT);
    struct zcb_slice slice = slice_of(1, 1);
    zcb_add_slice(base, &slice);
    zcb_set_base(frame, base);
    zcb_set_base(above, frame);
    zcb_drop(base, ZCB_HELD_TRANSPORT);
    zcb_drop(frame, ZCB_HELD_OUT);
    cr_assert(eq(u64, pool.held[ZCB_HELD_RING], 2));
    cr_assert(eq(u32, pool.free_count, COUNT - 3));
    cr_assert(eq(int, counted[1], 1));
    zcb_drop(above, ZCB_HELD_OUT);
    cr_assert(eq(u32, pool.free_count, COUNT));
    cr_assert(eq(int, counted[1], 0));
}

Test(pool, P1_to_P3_hold_whatever_is_done)
{
    unsigned seed = getenv("ZCB_SEED") ? (unsigned)atoi(getenv("ZCB_SEED")) : 20250101u;
    uint16_t model[COUNT][ZCB_HOLDERS] = { 0 };
    for (int step = 0; step < 50000; step++) {
        uint32_t slot = (uint32_t)rand_r(&seed) % COUNT;
        enum zcb_holder from = (enum zcb_holder)(rand_r(&seed) % ZCB_HOLDERS);
        enum zcb_holder to = (enum zcb_holder)(rand_r(&seed) % ZCB_HOLDERS);
        struct zcb *frame = zcb_at(&pool, slot);
        int action = rand_r(&seed) % 5;
        if (action == 0) {
            frame = zcb_get(&pool, to);
            if (frame)
                model[frame->slot][to]++;
        } else if (action == 1 && frame->refs > 0) {
            zcb_hold(frame, to);
            model[slot][to]++;
        } else if (action == 2 && model[slot][from] > 0) {
            zcb_pass(frame, from, to);
            model[slot][from]--;
            model[slot][to]++;
        } else if (action >= 3 && model[slot][from] > 0) {
            zcb_drop(frame, from);
            model[slot][from]--;
        }
        zcb_pool_check(&pool);
        zcb_pool_check_used(&pool);
        cr_assert(eq(int,
                     memcmp(frame ? frame->held : model[0], frame ? model[frame->slot] : model[0],
                            sizeof(model[0])),
                     0));
    }
    for (uint32_t slot = 0; slot < COUNT; slot++) {
        for (int holder = 0; holder < ZCB_HOLDERS; holder++) {
            while (model[slot][holder]-- > 0)
                zcb_drop(zcb_at(&pool, slot), (enum zcb_holder)holder);
        }
    }
}

Test(pool, every_holder_has_a_name)
{
    for (int holder = 0; holder < ZCB_HOLDERS; holder++)
        cr_assert(ne(ptr, (void *)(uintptr_t)zcb_holder_name[holder], NULL));
}

TestSuite(pool_broken, .init = set_up);

Test(pool_broken, P1_a_drop_by_who_does_not_hold_it_aborts, .signal = SIGABRT)
{
    struct zcb *frame = zcb_get(&pool, ZCB_HELD_RING);
    zcb_drop(frame, ZCB_HELD_CLIENT);
}

Test(pool_broken, P1_a_drop_of_a_free_frame_aborts, .signal = SIGABRT)
{
    struct zcb *frame = zcb_get(&pool, ZCB_HELD_RING);
    zcb_drop(frame, ZCB_HELD_RING);
    zcb_drop(frame, ZCB_HELD_RING);
}

Test(pool_broken, P1_a_pass_by_who_does_not_hold_it_aborts, .signal = SIGABRT)
{
    struct zcb *frame = zcb_get(&pool, ZCB_HELD_RING);
    zcb_pass(frame, ZCB_HELD_OUT, ZCB_HELD_CLIENT);
}

Test(pool_broken, P1_a_hold_of_a_free_frame_aborts, .signal = SIGABRT)
{
    struct zcb *frame = zcb_get(&pool, ZCB_HELD_RING);
    zcb_drop(frame, ZCB_HELD_RING);
    zcb_hold(frame, ZCB_HELD_RING);
}

Test(pool_broken, P1_a_leak_ends_at_destroy, .signal = SIGABRT)
{
    zcb_get(&pool, ZCB_HELD_EVENT);
    zcb_pool_destroy(&pool);
}

Test(pool_broken, one_slice_too_many_aborts, .signal = SIGABRT)
{
    struct zcb *frame = zcb_get(&pool, ZCB_HELD_RING);
    struct zcb_slice slice = slice_of(1, 0);
    for (int i = 0; i <= SLICES_MAX; i++)
        zcb_add_slice(frame, &slice);
}

Test(pool_broken, P2_the_check_sees_a_total_that_is_wrong, .signal = SIGABRT)
{
    pool.held[ZCB_HELD_RING]++;
    zcb_pool_check(&pool);
}

Test(pool_broken, P3_the_check_sees_a_frame_lost, .signal = SIGABRT)
{
    pool.free = pool.free->next;
    zcb_pool_check(&pool);
}

Test(pool_broken, P3_the_check_of_used_frames_sees_one_lost, .signal = SIGABRT)
{
    struct zcb *frame = zcb_get(&pool, ZCB_HELD_RING);
    zcb_drop(frame, ZCB_HELD_RING);
    zcb_pool_check_used(&pool);
    pool.free = frame->next;
    zcb_pool_check_used(&pool);
}

Test(pool_broken, P1_the_check_of_used_frames_sees_one_that_was_never_taken, .signal = SIGABRT)
{
    struct zcb *frame = zcb_get(&pool, ZCB_HELD_RING);
    zcb_drop(frame, ZCB_HELD_RING);
    zcb_pool_check_used(&pool);
    frame->next = frame->next->next;
    zcb_pool_check_used(&pool);
}

Test(pool_broken, slots_beyond_the_arena_abort, .signal = SIGABRT)
{
    struct zcb_pool other;
    zcb_pool_create(
        &other, &arena,
        &(struct zcb_pool_shape){
            .offset = OFFSET, .slot_bytes = SLOT_BYTES, .count = 1 << 20, .slices_max = 1 });
}
