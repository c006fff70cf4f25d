/* SPDX-License-Identifier: BSD-3-Clause */
#include "zcb.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <errno.h>
#include <signal.h>

enum { COUNT = 8 };

struct queue {
    uint64_t entries[COUNT];
    _Atomic uint32_t tail, head;
    struct spsc_producer p;
    struct spsc_consumer c;
};

static struct queue queue_from(uint32_t start)
{
    return (struct queue){ .tail = start, .head = start };
}

static void open_queue(struct queue *q)
{
    spsc_producer_init(&q->p, q->entries, sizeof(q->entries[0]), COUNT, &q->tail, &q->head);
    spsc_consumer_init(&q->c, q->entries, sizeof(q->entries[0]), COUNT, &q->tail, &q->head);
}

Test(spsc, entries_come_out_in_the_order_they_went_in)
{
    struct queue q = queue_from(0);
    open_queue(&q);
    for (uint64_t i = 0; i < 5; i++)
        *(uint64_t *)spsc_next(&q.p) = i;
    spsc_publish(&q.p);
    cr_assert(eq(int, spsc_waiting(&q.c), 5));
    for (uint64_t i = 0; i < 5; i++)
        cr_assert(eq(u64, *(const uint64_t *)spsc_take(&q.c), i));
    cr_assert(eq(int, spsc_waiting(&q.c), 0));
}

Test(spsc, S2_nothing_shows_before_it_is_published_or_frees_before_it_is_released)
{
    struct queue q = queue_from(0);
    open_queue(&q);
    spsc_next(&q.p);
    cr_assert(eq(int, spsc_waiting(&q.c), 0));
    cr_assert(eq(int, spsc_room(&q.p), COUNT - 1));
    spsc_publish(&q.p);
    cr_assert(eq(int, spsc_waiting(&q.c), 1));
    spsc_take(&q.c);
    cr_assert(eq(int, spsc_room(&q.p), COUNT - 1));
    spsc_release(&q.c);
    cr_assert(eq(int, spsc_room(&q.p), COUNT));
}

Test(spsc, indexes_run_over_the_end_of_32_bits)
{
    struct queue q = queue_from(UINT32_MAX - 3);
    open_queue(&q);
    for (uint64_t round = 0; round < 10; round++) {
        cr_assert(eq(int, spsc_room(&q.p), COUNT));
        for (uint64_t i = 0; i < COUNT; i++)
            *(uint64_t *)spsc_next(&q.p) = round * 100 + i;
        spsc_publish(&q.p);
        cr_assert(eq(int, spsc_room(&q.p), 0));
        cr_assert(eq(int, spsc_waiting(&q.c), COUNT));
        for (uint64_t i = 0; i < COUNT; i++)
            cr_assert(eq(u64, *(const uint64_t *)spsc_take(&q.c), round * 100 + i));
        spsc_release(&q.c);
    }
}

Test(spsc, S1_a_tail_out_of_range_is_reported_and_never_followed)
{
    struct queue q = queue_from(100);
    open_queue(&q);
    const uint32_t wrong[] = { 99, 100 + COUNT + 1, 0, UINT32_MAX, 100 + (1u << 31) };
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++) {
        q.tail = wrong[i];
        cr_assert(eq(int, spsc_waiting(&q.c), -EPROTO));
        cr_assert(eq(u32, q.c.head, 100));
        cr_assert(eq(u32, q.c.tail_seen, 100));
    }
    q.tail = 100 + COUNT;
    cr_assert(eq(int, spsc_waiting(&q.c), COUNT));
}

Test(spsc, S1_a_head_out_of_range_is_reported_and_never_followed)
{
    struct queue q = queue_from(100);
    open_queue(&q);
    spsc_next(&q.p);
    spsc_next(&q.p);
    const uint32_t wrong[] = { 103, 102 - COUNT - 1, 0, UINT32_MAX };
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++) {
        q.head = wrong[i];
        cr_assert(eq(int, spsc_room(&q.p), -EPROTO));
        cr_assert(eq(u32, q.p.head_seen, 100));
    }
    q.head = 102;
    cr_assert(eq(int, spsc_room(&q.p), COUNT));
}

Test(spsc, S1_a_word_that_goes_back_is_reported_once_entries_were_taken)
{
    struct queue q = queue_from(0);
    open_queue(&q);
    for (int i = 0; i < 4; i++)
        spsc_next(&q.p);
    spsc_publish(&q.p);
    cr_assert(eq(int, spsc_waiting(&q.c), 4));
    for (int i = 0; i < 4; i++)
        spsc_take(&q.c);
    q.tail = 3;
    cr_assert(eq(int, spsc_waiting(&q.c), -EPROTO));
}

Test(spsc, S1_a_tail_that_goes_back_is_reported_though_nothing_was_taken)
{
    struct queue q = queue_from(UINT32_MAX - 2);
    open_queue(&q);
    for (int i = 0; i < COUNT; i++)
        spsc_next(&q.p);
    spsc_publish(&q.p);
    cr_assert(eq(int, spsc_waiting(&q.c), COUNT));
    for (uint32_t back = 1; back <= COUNT; back++) {
        q.tail = q.p.tail - back;
        cr_assert(eq(int, spsc_waiting(&q.c), -EPROTO));
        cr_assert(eq(u32, q.c.tail_seen, q.p.tail));
    }
    q.tail = q.p.tail;
    cr_assert(eq(int, spsc_waiting(&q.c), COUNT));
}

Test(spsc, S1_a_head_that_goes_back_is_reported_though_there_is_room)
{
    struct queue q = queue_from(UINT32_MAX - 2);
    open_queue(&q);
    for (int i = 0; i < COUNT / 2; i++)
        spsc_next(&q.p);
    q.head = q.p.tail - 1;
    cr_assert(eq(int, spsc_room(&q.p), COUNT - 1));
    q.head = q.p.tail - 2;
    cr_assert(eq(int, spsc_room(&q.p), -EPROTO));
    cr_assert(eq(u32, q.p.head_seen, q.p.tail - 1));
    q.head = q.p.tail;
    cr_assert(eq(int, spsc_room(&q.p), COUNT));
}

Test(spsc, a_count_that_is_no_power_of_two_aborts, .signal = SIGABRT)
{
    struct spsc_pair pair;
    spsc_pair_create(&pair, 8, 24);
}
