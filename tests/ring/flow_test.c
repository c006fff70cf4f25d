/* SPDX-License-Identifier: BSD-3-Clause */
#include "inner.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

static struct inner in;
static struct ring *r;
static struct token t;

static void setup(void)
{
    r = inner_make(&in, 3);
    t = (struct token){ .free_min = 100000, .free_next = 100000 };
    r->config.window_frames = 100;
    r->config.personal_frames = 40;
    flow_reset(r);
}

static void teardown(void)
{
    inner_end(&in);
}

TestSuite(flow, .init = setup, .fini = teardown);

Test(flow, one_visit_stays_within_its_own_window)
{
    cr_assert(eq(u32, flow_allow(r, &t, 90), 40));
}

Test(flow, all_together_stay_within_the_common_window)
{
    t.fcc = 85;
    cr_assert(eq(u32, flow_allow(r, &t, 30), 15));
    r->my_sent = 20; /* of these 85: they make room as they are a rotation old */
    cr_assert(eq(u32, flow_allow(r, &t, 30), 35));
}

Test(flow, each_gets_its_share_when_more_waits_than_fits)
{
    t.backlog = 300;
    cr_assert(eq(u32, flow_allow(r, &t, 100), 25));
    cr_assert(eq(u32, flow_allow(r, &t, 1), 1)); /* and never nothing */
}

Test(flow, receivers_keep_a_margin)
{
    t.free_min = 60;
    t.fcc = 10;
    cr_assert(eq(u32, flow_allow(r, &t, 90), 60 - 10 - RX_MARGIN - 3));
    t.free_min = 20;
    cr_assert(eq(u32, flow_allow(r, &t, 90), 0));
    cr_assert(eq(u32, flow_allow_recovery(r, &t), 1));
}

Test(flow, our_own_clients_count_as_receivers)
{
    r->rx_free = 0;
    cr_assert(eq(u32, flow_allow(r, &t, 90), 0));
}

Test(flow, never_beyond_what_windows_hold)
{
    t.seq = RING_WINDOW_MAX / 2 - 5;
    cr_assert(eq(u32, flow_allow(r, &t, 90), 5));
    t.seq = UINT64_MAX / 2 - 1;
    cr_assert(eq(u32, flow_allow(r, &t, 90), 0));
}

Test(flow, what_the_token_tells_is_of_one_rotation)
{
    flow_update(r, &t, 7, 50);
    cr_assert(eq(u32, t.fcc, 7));
    cr_assert(eq(u32, t.backlog, 50));
    t.fcc += 5; /* another's */
    flow_update(r, &t, 2, 10);
    cr_assert(eq(u32, t.fcc, 7));
    cr_assert(eq(u32, t.backlog, 10));
}

Test(flow, the_least_free_is_known_after_a_rotation_and_forgotten_after_two)
{
    r->rx_free = 500; /* we are the representative */
    t.free_next = 70; /* somebody was short in the last rotation */
    flow_update(r, &t, 0, 0);
    cr_assert(eq(u32, t.free_min, 70));
    flow_update(r, &t, 0, 0);
    cr_assert(eq(u32, t.free_min, 500));
}

Test(flow, a_window_that_tunes_itself_grows_clean_and_halves_on_rtr)
{
    r->config.window_frames = r->config.personal_frames = 0;
    flow_reset(r);
    for (int i = 0; i < 2000; i++) {
        t.fcc = r->window_frames;
        flow_tune(r, &t);
    }
    cr_assert(eq(u32, r->window_frames, WINDOW_FRAMES_MOST));
    t.rtr_count = 3;
    flow_tune(r, &t);
    cr_assert(eq(u32, r->window_frames, WINDOW_FRAMES_MOST / 2));
    flow_tune(r, &t); /* the same loss, still being repaired */
    cr_assert(eq(u32, r->window_frames, WINDOW_FRAMES_MOST / 2));
    for (int i = 0; i < 2000; i++)
        flow_tune(r, &t);
    cr_assert(eq(u32, r->window_frames, WINDOW_FRAMES_LEAST));
    cr_assert(eq(u32, r->personal_frames, WINDOW_FRAMES_LEAST / 2));
}
