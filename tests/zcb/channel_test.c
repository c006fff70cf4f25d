/* SPDX-License-Identifier: BSD-3-Clause */
#include "zcb.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <stddef.h>

/* Two programs built apart share these: a number here changes only with CTL_VERSION. */
static_assert(sizeof(struct wake_page) == 64, "shared layout");
static_assert(sizeof(struct chan_view) == 148, "shared layout");
static_assert(sizeof(struct chan_address) == 12, "shared layout");
static_assert(sizeof(struct chan_ring) == 24, "shared layout");
static_assert(sizeof(struct chan_list) == 16, "shared layout");
static_assert(sizeof(struct ring_id) == 16, "shared layout");
static_assert(offsetof(struct chan_submit, end) == 8, "shared layout");
static_assert(offsetof(struct chan_submit, segment) == 16, "shared layout");
static_assert(offsetof(struct chan_submit, guarantee) == 17, "shared layout");
static_assert(offsetof(struct chan_event, bytes) == 4, "shared layout");
static_assert(offsetof(struct chan_event, arena) == 8, "shared layout");
static_assert(offsetof(struct chan_event, lease) == 12, "shared layout");
static_assert(offsetof(struct chan_event, offset) == 16, "shared layout");
static_assert(offsetof(struct chan_event, nodeid) == 24, "shared layout");
static_assert(offsetof(struct chan_event, pid) == 28, "shared layout");

/* Atomics shared between processes must not hide a lock. */
static_assert(ATOMIC_INT_LOCK_FREE == 2 && ATOMIC_LLONG_LOCK_FREE == 2, "lock-free words");
static_assert(sizeof(_Atomic uint32_t) == 4 && sizeof(_Atomic uint64_t) == 8, "plain words");

static size_t line_of(size_t offset)
{
    return offset / CACHE_LINE_BYTES;
}

static size_t page_of(size_t offset)
{
    return offset / CHAN_PAGE_BYTES;
}

Test(channel, C2_a_silent_handle_costs_under_192_kib_of_shared_memory)
{
    cr_assert(eq(int, CHAN_UP_BYTES, 40960));
    cr_assert(eq(int, CHAN_DOWN_BYTES, 36864));
    cr_assert(le(int, CHAN_UP_BYTES + CHAN_DOWN_BYTES, 192 * 1024));
}

Test(channel, regions_are_whole_pages_that_hold_their_layout)
{
    cr_assert(eq(int, CHAN_UP_BYTES % CHAN_PAGE_BYTES, 0));
    cr_assert(eq(int, CHAN_DOWN_BYTES % CHAN_PAGE_BYTES, 0));
    cr_assert(ge(sz, CHAN_UP_BYTES, sizeof(struct chan_up)));
    cr_assert(ge(sz, CHAN_DOWN_BYTES, sizeof(struct chan_down)));
    cr_assert(ge(sz, CHAN_CORE_BYTES, sizeof(struct chan_core)));
}

Test(channel, C1_the_page_both_sides_write_holds_nothing_but_the_wake_word)
{
    cr_assert(eq(sz, offsetof(struct chan_up, wake_page), 0));
    cr_assert(eq(sz, offsetof(struct chan_up, words), CHAN_PAGE_BYTES));
    cr_assert(lt(sz, page_of(offsetof(struct chan_up, words)),
                 page_of(offsetof(struct chan_up, submit))));
}

Test(channel, words_of_different_queues_have_a_cache_line_each)
{
    cr_assert(ne(sz, line_of(offsetof(struct chan_up_words, submit_tail)),
                 line_of(offsetof(struct chan_up_words, done_tail))));
    cr_assert(ne(sz, line_of(offsetof(struct chan_up_words, done_tail)),
                 line_of(offsetof(struct chan_up_words, event_head))));
    cr_assert(ne(sz, line_of(offsetof(struct chan_down, event_tail)),
                 line_of(offsetof(struct chan_down, submit_head))));
    cr_assert(ne(sz, line_of(offsetof(struct chan_down, submit_head)),
                 line_of(offsetof(struct chan_down, done_head))));
    cr_assert(ne(sz, line_of(offsetof(struct chan_down, done_head)),
                 line_of(offsetof(struct chan_down, state))));
    cr_assert(ne(sz, line_of(offsetof(struct chan_down, state)),
                 line_of(offsetof(struct chan_down, tx_free))));
}

Test(channel, every_queue_works_over_its_region)
{
    struct zcb_arena arena = { 0 };
    cr_assert(eq(
        int, zcb_arena_create(&arena, "up", CHAN_UP_BYTES, 1, ZCB_PAGES_SMALL, ZCB_WRITER_CREATOR),
        0));
    struct chan_up *up = (struct chan_up *)(void *)arena.base;
    _Atomic uint32_t head = 0;
    struct spsc_producer p;
    struct spsc_consumer c;
    spsc_producer_init(&p, up->submit, sizeof(up->submit[0]), CHAN_SUBMIT_COUNT,
                       &up->words.submit_tail, &head);
    spsc_consumer_init(&c, up->submit, sizeof(up->submit[0]), CHAN_SUBMIT_COUNT,
                       &up->words.submit_tail, &head);
    for (uint32_t i = 0; i < CHAN_SUBMIT_COUNT; i++)
        *(struct chan_submit *)spsc_next(&p) = (struct chan_submit){ .bytes = i, .end = ~0ull };
    spsc_publish(&p);
    cr_assert(eq(int, spsc_room(&p), 0));
    cr_assert(eq(int, spsc_waiting(&c), CHAN_SUBMIT_COUNT));
    for (uint32_t i = 0; i < CHAN_DONE_COUNT; i++)
        cr_assert(eq(u32, up->done[i], 0)); /* the neighbour was not touched */
    zcb_arena_destroy(&arena);
}

Test(channel, the_done_queue_holds_every_lease_there_can_be)
{
    cr_assert(ge(int, CHAN_DONE_COUNT, CHAN_LEASE_COUNT));
}
