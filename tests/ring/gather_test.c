/* SPDX-License-Identifier: BSD-3-Clause */
#include "inner.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

/* To whom a JOIN goes. We are node 3 of some; node 1 would commit. */

enum { MEMBERS = 8, US = 3, COMMITS = 1, ALL = 1 << 0 };

static struct inner in;
static struct ring *r;

/* Whom what was queued since is for: a bit for each id, or ALL. */
static uint32_t said_to(void)
{
    uint32_t to = 0;
    for (; r->send_head != r->send_tail; r->send_head++) {
        struct zcb *frame = r->send[r->send_head % SENDS_MAX];
        cr_assert(eq(u8, frame_data(frame)->head.type, WIRE_JOIN));
        to |= frame->dest == ZCB_TO_ALL ? ALL : 1u << frame->dest;
        zcb_drop(frame, ZCB_HELD_OUT);
    }
    return to;
}

static void gather_as_one_of(int members, bool fan_out)
{
    r = inner_make_as(&in, members, US);
    r->config.fan_out = fan_out;
    said_to();
    r->now_ns += NS_PER_S;
    r->persisted = r->persist_wanted; /* or it waits for its disk, in silence */
    gather_enter(r, RING_REASON_TOKEN_LOST);
    cr_assert(eq(u32, said_to(), ALL));
}

static void hear(uint32_t id, int count)
{
    inner_hear(r, id, 4, count, count);
}

static void hear_from_to(uint32_t first, uint32_t last)
{
    for (uint32_t id = first; id <= last; id++) {
        if (id != US)
            hear(id, r->node_count);
    }
}

/* The next time it is repeated. */
static uint32_t repeated_to(void)
{
    r->now_ns = r->timer_ns[TIMER_JOIN];
    gather_expire_join(r);
    return said_to();
}

static void end(void)
{
    inner_end(&in);
}

TestSuite(gather, .fini = end);

Test(gather, a_join_sent_to_each_is_repeated_to_those_who_do_not_agree)
{
    gather_as_one_of(MEMBERS, true);
    hear_from_to(1, 7);
    cr_assert(eq(u32, repeated_to(), 1 << COMMITS | 1 << 8));
    hear(5, 4); /* it forgot some: it started again */
    cr_assert(eq(u32, repeated_to(), 1 << COMMITS | 1 << 5 | 1 << 8));
}

Test(gather, who_would_commit_hears_it_again_although_it_agrees)
{
    gather_as_one_of(MEMBERS, true);
    hear_from_to(1, 8);
    cr_assert(eq(u32, repeated_to(), 1 << COMMITS));
}

Test(gather, when_many_may_not_have_heard_it_all_hear_it_again)
{
    gather_as_one_of(10, true);
    cr_assert(eq(u32, repeated_to(), ALL));
    hear(2, 10); /* leaves eight, which are few */
    cr_assert(eq(u32, repeated_to(), 1 << 1 | 0x7f << 4));
}

Test(gather, what_is_new_all_hear_though_it_waits_for_what_else_is_new)
{
    gather_as_one_of(MEMBERS, true);
    hear_from_to(1, 8);
    inner_hear(r, 2, 4, 7, 8);
    cr_assert(eq(u32, said_to(), 0)); /* the first one went out just now */
    cr_assert(eq(u32, repeated_to(), ALL));
    for (uint32_t id = 1; id < 7; id++) {
        if (id != US)
            inner_hear(r, id, 4, 7, 8);
    }
    cr_assert(eq(u32, repeated_to(), 1 << COMMITS | 1 << 7 | 1 << 8));
}

Test(gather, all_hear_a_join_once_in_an_eighth_of_detect_ms)
{
    enum { GATHERINGS = 200, REPEATS = 12 };
    gather_as_one_of(MEMBERS, true);
    r->rotation_ns = 750 * NS_PER_US; /* so repeats begin at 3 ms, and none falls due by itself */
    int few = 0, all = 0;
    for (uint64_t i = 1; i <= GATHERINGS; i++) {
        r->random = i * UINT64_C(0x9e3779b97f4a7c15);
        gather_enter(r, RING_REASON_TOKEN_LOST);
        said_to();
        hear_from_to(1, 8);
        uint64_t all_ns = r->now_ns;
        for (int k = 0; k < REPEATS; k++) {
            uint32_t to = repeated_to();
            cr_assert(le(u64, r->now_ns - all_ns, timer_unit(r)));
            all_ns = to == ALL ? r->now_ns : all_ns;
            few += to != ALL;
            all += to == ALL;
        }
    }
    cr_assert(ge(int, few, 4 * GATHERINGS));
    cr_assert(ge(int, all, 4 * GATHERINGS));
}

Test(gather, a_join_that_a_switch_spreads_is_for_all_every_time)
{
    gather_as_one_of(MEMBERS, false);
    hear_from_to(1, 8);
    for (int i = 0; i < 5; i++)
        cr_assert(eq(u32, repeated_to(), ALL));
}

/* Else those who go on from there, and those who begin anew, take each other's JOINs for news. */
Test(gather, who_failed_before_a_ring_that_came_to_nothing_has_failed_after_it)
{
    gather_as_one_of(MEMBERS, true);
    configuration_set(r, &r->my_ring, r->my_ring.id, set_of(US - 1));
    gather_enter(r, RING_REASON_TOKEN_LOST);
    for (uint32_t id = 1; id <= 6; id++) {
        if (id != US)
            inner_hear(r, id, 4, 6, 8);
    }
    struct node_set failed = r->gather.my_fail_set;
    cr_assert(eq(int, set_count(failed), 2));
    configuration_set(r, &r->my_new_ring, (struct ring_id){ .seq = 8, .rep = 1 },
                      set_minus(r->gather.my_proc_set, failed));
    r->state = RING_COMMIT;
    gather_enter(r, RING_REASON_JOIN);
    cr_assert(set_equal(r->gather.my_fail_set, failed));
    cr_assert(eq(int, set_count(r->gather.my_proc_set), MEMBERS));
}
