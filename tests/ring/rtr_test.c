/* SPDX-License-Identifier: BSD-3-Clause */
#include "inner.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

static struct inner in;
static struct ring *r;

static void setup(void)
{
    r = inner_make(&in, 3);
}

static void teardown(void)
{
    inner_end(&in);
}

TestSuite(rtr, .init = setup, .fini = teardown);

Test(rtr, Q2_asks_for_gaps_up_to_what_the_token_showed_a_rotation_ago)
{
    struct token t = { .seq = 9 };
    inner_put(&in, r->cur, 1);
    inner_put(&in, r->cur, 3);
    r->shown_seq = 5;
    rtr_fill(r, &t);
    cr_assert(eq(u32, t.rtr_count, 3));
    cr_assert(eq(u64, t.rtr[0], 2));
    cr_assert(eq(u64, t.rtr[1], 4));
    cr_assert(eq(u64, t.rtr[2], 5));
    cr_assert(eq(u64, r->stats.rtr_asked, 3));
}

Test(rtr, Q2_never_beyond_the_token)
{
    struct token t = { .seq = 3 };
    r->shown_seq = 5;
    rtr_fill(r, &t);
    cr_assert(eq(u32, t.rtr_count, 3));
}

Test(rtr, Q1_merges_with_what_others_ask)
{
    struct token t = { .seq = 20, .rtr_count = 4, .rtr = { 1, 3, 4, 12 } };
    inner_put(&in, r->cur, 1);
    inner_put(&in, r->cur, 5);
    r->shown_seq = 6;
    rtr_fill(r, &t);
    static const uint64_t want[] = { 1, 2, 3, 4, 6, 12 };
    cr_assert(eq(u32, t.rtr_count, 6));
    for (int i = 0; i < 6; i++)
        cr_assert(eq(u64, t.rtr[i], want[i]));
    cr_assert(eq(u64, r->stats.rtr_asked, 2)); /* 2 and 6: the others were there */
}

Test(rtr, the_lowest_stay_when_not_all_fit)
{
    struct token t = { .seq = 200, .rtr_count = 1, .rtr = { 150 } };
    r->shown_seq = 200;
    rtr_fill(r, &t);
    cr_assert(eq(u32, t.rtr_count, WIRE_RTR_MAX));
    for (uint32_t i = 0; i < WIRE_RTR_MAX; i++)
        cr_assert(eq(u64, t.rtr[i], i + 1));
}

Test(rtr, answers_what_it_has_and_leaves_the_rest)
{
    struct token t = { .seq = 20, .rtr_count = 4, .rtr = { 1, 2, 3, 4 } };
    uint32_t queued = r->send_tail;
    inner_put(&in, r->cur, 2);
    inner_put(&in, r->cur, 3);
    inner_put(&in, r->cur, 4);
    cr_assert(eq(u32, rtr_answer(r, &t, 2), 2));
    cr_assert(eq(u32, t.rtr_count, 2));
    cr_assert(eq(u64, t.rtr[0], 1));
    cr_assert(eq(u64, t.rtr[1], 4));
    cr_assert(eq(u32, r->send_tail - queued, 2));
    cr_assert(eq(u32, r->send[queued]->dest, ZCB_TO_RING));
}
