/* SPDX-License-Identifier: BSD-3-Clause */
#include "inner.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

static struct inner in;
static struct window *w;

static void setup(void)
{
    w = inner_make(&in, 3)->cur;
}

static void teardown(void)
{
    inner_end(&in);
}

TestSuite(window, .init = setup, .fini = teardown);

Test(window, aru_stops_at_the_first_gap)
{
    inner_put(&in, w, 1);
    inner_put(&in, w, 2);
    inner_put(&in, w, 4);
    inner_put(&in, w, 5);
    cr_assert(eq(u64, w->my_aru, 2));
    cr_assert(eq(u64, w->high_seq, 5));
    inner_put(&in, w, 3);
    cr_assert(eq(u64, w->my_aru, 5));
}

Test(window, a_frame_is_taken_once)
{
    cr_assert(eq(int, inner_put(&in, w, 2), WINDOW_NEW));
    cr_assert(eq(int, inner_put(&in, w, 2), WINDOW_DUPLICATE));
    inner_put(&in, w, 1);
    cr_assert(eq(int, inner_put(&in, w, 1), WINDOW_DUPLICATE));
    cr_assert(eq(u32, in.pool.count - in.pool.free_count, 2 + 1)); /* and the JOIN in the queue */
}

Test(window, R2_holds_what_is_neither_stable_nor_delivered)
{
    for (uint64_t seq = 1; seq <= 10; seq++)
        inner_put(&in, w, seq);
    w->high_delivered = 10;
    w->safe_seq = 4;
    window_let_go(w);
    cr_assert(eq(ptr, window_at(w, 4), NULL));
    cr_assert(ne(ptr, window_at(w, 5), NULL));
    w->safe_seq = 10;
    window_let_go(w);
    cr_assert(eq(u64, w->low, 10));
    cr_assert(eq(int, inner_put(&in, w, 3), WINDOW_DUPLICATE));
}

Test(window, ends_where_its_oldest_frame_begins_again)
{
    cr_assert(eq(int, inner_put(&in, w, RING_WINDOW_MAX), WINDOW_NEW));
    cr_assert(eq(int, inner_put(&in, w, RING_WINDOW_MAX + 1), WINDOW_FULL));
    for (uint64_t seq = 1; seq < RING_WINDOW_MAX; seq++)
        inner_put(&in, w, seq);
    w->high_delivered = w->safe_seq = 1;
    window_let_go(w);
    cr_assert(eq(int, inner_put(&in, w, RING_WINDOW_MAX + 1), WINDOW_NEW));
    cr_assert(eq(u64, w->my_aru, RING_WINDOW_MAX + 1));
    cr_assert(eq(u64, frame_data(window_at(w, 2))->seq, 2));
}
