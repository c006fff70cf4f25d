/* SPDX-License-Identifier: BSD-3-Clause */
#include "net.h"
#include "wire.h"

#include <string.h>

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#define MS(x) ((uint64_t)(x)*NS_PER_MS)

static bool no_tokens(struct net *net, int from, int to, const uint8_t *frame, uint32_t bytes)
{
    return ((const struct wire_head *)(const void *)frame)->type == WIRE_TOKEN;
}

static uint64_t configurations(const struct net *net, int node)
{
    return ring_stats(net->node[node].ring)->configurations;
}

/* Time until the ring is exactly `mask`, from now. */
static uint64_t time_to(struct net *net, uint32_t mask, uint64_t most_ns)
{
    uint64_t start = net->now_ns;
    cr_assert(net_run_until_formed(net, mask, most_ns));
    return net->now_ns - start;
}

Test(formation, a_node_alone_forms_a_ring_of_one)
{
    net_finish(net_new_formed(1, 1));
}

Test(formation, nodes_started_together_form_one_ring_at_once)
{
    for (int count = 2; count <= 12; count++) {
        struct net *net = net_new_formed(2, count);
        cr_assert(lt(u64, net->now_ns, NS_PER_S + MS(30)));
        for (int i = 0; i < count; i++)
            cr_assert(eq(u64, configurations(net, i), 1));
        net_finish(net);
    }
}

Test(formation, nodes_started_within_milliseconds_form_one_ring)
{
    struct net *net = net_new(net_seed(3), 3);
    net_start(net, 1);
    net_run(net, MS(6));
    net_start(net, 2);
    net_run(net, MS(9));
    net_start(net, 0);
    cr_assert(lt(u64, time_to(net, 7, MS(500)), MS(30)));
    for (int i = 0; i < 3; i++)
        cr_assert(eq(u64, configurations(net, i), 1));
    net_finish(net);
}

/* Every transitional configuration of the first three, since they were one, has all three. */
static void expect_unparted(const struct net *net, uint64_t offset_ns)
{
    for (int node = 0; node < 3; node++) {
        const struct net_life *life = net_life(net, node);
        bool were_one = false;
        for (uint32_t i = 0; i < life->count; i++) {
            const struct net_entry *e = &life->log[i];
            if (e->kind == NET_TRANSITIONAL && were_one)
                cr_assert(eq(u32, e->members & 7, 7), "node %d, %d us", node,
                          (int)(offset_ns / 1000));
            were_one = were_one || (e->kind == NET_REGULAR && (e->members & 7) == 7);
        }
    }
}

Test(formation, who_knocks_while_a_ring_is_being_installed_parts_nobody)
{
    for (uint64_t offset_ns = 0; offset_ns < MS(4); offset_ns += 10 * NS_PER_US) {
        struct net *net = net_new(net_seed(18), 5);
        net->rx_count = net->tx_count = 256; /* they are made anew each time */
        for (int i = 0; i < 3; i++)
            net_start(net, i);
        time_to(net, 7, NS_PER_S);
        net_start(net, 3);
        net_run(net, offset_ns);
        net_start(net, 4);
        time_to(net, 31, NS_PER_S);
        expect_unparted(net, offset_ns);
        net_finish(net);
    }
}

Test(formation, those_who_answered_form_after_a_short_wait)
{
    struct net *net = net_new(net_seed(4), 3);
    net_start(net, 0);
    net_start(net, 2);
    cr_assert(lt(u64, time_to(net, 5, MS(500)), MS(80)));
    net_finish(net);
}

Test(formation, rings_that_grew_apart_merge)
{
    struct net *net = net_new(net_seed(5), 4);
    net->group[2] = net->group[3] = 1;
    for (int i = 0; i < 4; i++)
        net_start(net, i);
    net_run(net, MS(300));
    cr_assert(net_formed(net, 3) && net_formed(net, 12));
    net_heal(net);
    cr_assert(lt(u64, time_to(net, 15, NS_PER_S), MS(200)));
    net_finish(net);
}

Test(formation, survives_loss)
{
    for (uint64_t seed = 1; seed <= 10; seed++) {
        struct net *net = net_new(seed, 5);
        net->loss_permille = 200;
        for (int i = 0; i < 5; i++)
            net_start(net, i);
        cr_assert(net_run_until_formed(net, 31, 3 * NS_PER_S));
        net_finish(net);
    }
}

Test(persist, no_ring_before_its_number_is_on_disk)
{
    for (int full = 0; full < 2; full++) { /* the representative's disk, then a member's */
        struct net *net = net_new(net_seed(6), 2);
        net->persist_ns = NS_NEVER;
        net_start(net, full);
        net_run(net, MS(1));
        net->persist_ns = MS(1);
        net_start(net, 1 - full);
        net_run(net, MS(90));
        cr_assert(not(net_formed(net, 3)));
        cr_assert(lt(u64, time_to(net, 3, NS_PER_S), MS(500))); /* it asks again */
        net_finish(net);
    }
}

Test(persist, ring_numbers_grow_through_restarts)
{
    struct net *net = net_new_formed(7, 3);
    uint64_t seq = net_last(net, 0, NET_REGULAR)->ring_id.seq;
    for (int round = 0; round < 4; round++) {
        for (int i = 0; i < 3; i++)
            net_crash(net, i);
        for (int i = 0; i < 3; i++)
            net_start(net, i);
        time_to(net, 7, NS_PER_S);
        cr_assert(lt(u64, seq, net_last(net, 0, NET_REGULAR)->ring_id.seq));
        seq = net_last(net, 0, NET_REGULAR)->ring_id.seq;
    }
    net_finish(net);
}

Test(failure, a_crash_is_seen_in_time_and_by_all)
{
    for (int victim = 0; victim < 5; victim++) {
        for (int idle = 0; idle < 2; idle++) {
            struct net *net = net_new_formed(8, 5);
            net_run(net, MS(1000 + 37 * victim));
            if (!idle)
                net_submit(net, 1, 1, 100, GUARANTEE_AGREED);
            struct ring_config config = { .detect_ns = net->detect_ns };
            net_crash(net, victim);
            uint64_t took = time_to(net, 31u & ~(1u << victim), NS_PER_S);
            cr_assert(le(u64, took, ring_view_ns_worst(&config, 0)));
            cr_assert(ge(u64, took, net->detect_ns / 2));
            net_finish(net);
        }
    }
}

/* Where a rotation is long against detect_ns the view comes so many of them later. */
Test(failure, a_crash_is_seen_in_time_where_the_token_is_slow)
{
    uint64_t longest = 0;
    struct ring_config config;
    for (int victim = 0; victim < 6; victim++) {
        struct net *net = net_new(60 + (uint64_t)victim, 6);
        net->delay_least_ns = net->delay_most_ns = MS(5);
        for (int i = 0; i < 6; i++)
            net_start(net, i);
        cr_assert(net_run_until_formed(net, 63, NS_PER_S));
        net_run(net, MS(500 + 7 * victim));
        net_crash(net, victim);
        config = (struct ring_config){ .detect_ns = net->detect_ns };
        uint64_t took = time_to(net, 63u & ~(1u << victim), NS_PER_S);
        cr_assert(le(u64, took, ring_view_ns_worst(&config, MS(6 * 5))), "victim %d", victim);
        longest = max_u64(longest, took);
        net_finish(net);
    }
    cr_assert(lt(u64, ring_view_ns_worst(&config, 0), longest), "rotations do count");
}

Test(failure, half_of_the_ring_at_once)
{
    struct net *net = net_new_formed(9, 6);
    for (int i = 0; i < 3; i++)
        net_crash(net, 2 * i);
    struct ring_config config = { .detect_ns = net->detect_ns };
    cr_assert(le(u64, time_to(net, 0x2a, NS_PER_S), ring_view_ns_worst(&config, 0)));
    net_finish(net);
}

Test(failure, lost_tokens_are_sent_again)
{
    struct net *net = net_new_formed(10, 3);
    for (int round = 0; round < 20; round++) {
        net->drop = no_tokens;
        net_run(net, MS(5));
        net->drop = NULL;
        net_submit(net, round % 3, 1, 64, GUARANTEE_AGREED);
        net_run(net, MS(50));
    }
    for (int i = 0; i < 3; i++)
        cr_assert(eq(u64, configurations(net, i), 1));
    net_finish(net);
}

Test(failure, a_token_that_stays_lost_is_noticed)
{
    struct net *net = net_new_formed(11, 3);
    net->drop = no_tokens;
    net_run(net, net->detect_ns);
    for (int i = 0; i < 3; i++)
        cr_assert(ge(u64, ring_stats(net->node[i].ring)->gathers, 2));
    net_finish(net);
}

Test(failure, a_machine_that_stands_still_with_all_its_nodes_loses_nobody)
{
    struct net *net = net_new_formed(14, 3);
    for (int permille = 100; permille <= 3000; permille += 25) {
        uint64_t still_ns = net->detect_ns * (uint64_t)permille / 1000;
        net_submit(net, permille / 25 % 3, 1, 64, GUARANTEE_SAFE);
        net_run(net, net_random(net, 200) * NS_PER_US);
        for (int i = 0; i < 3; i++) /* they do not all run again in the same moment */
            net_stall(net, i, still_ns + net_random(net, 8) * NS_PER_MS);
        net_run(net, still_ns + MS(200));
    }
    for (int i = 0; i < 3; i++) {
        cr_assert(eq(u64, ring_stats(net->node[i].ring)->gathers, 1));
        cr_assert(eq(u64, configurations(net, i), 1));
    }
    net_finish(net);
}

Test(failure, who_hardly_ever_runs_learns_of_a_death_too)
{
    struct net *net = net_new_formed(15, 3);
    struct ring_config config = { .detect_ns = net->detect_ns };
    uint64_t end_ns = net->now_ns + ring_view_ns_worst(&config, 0) + net->detect_ns;
    net_crash(net, 2);
    while (net->now_ns < end_ns) {
        net_stall(net, 0, net->detect_ns / 10);
        net_stall(net, 1, net->detect_ns / 10);
        net_run(net, net->detect_ns / 10 + MS(2));
    }
    cr_assert(net_formed(net, 3));
    net_finish(net);
}

/* Two of twelve pollers run at a time, for some milliseconds each. */
static void share_two_processors(struct net *net, uint64_t ns)
{
    for (uint64_t end = net->now_ns + ns; net->now_ns < end;) {
        uint64_t slice = MS(1 + net_random(net, 6));
        int one = (int)net_random(net, 12), other = (int)net_random(net, 12);
        for (int i = 0; i < 12; i++) {
            if (i != one && i != other)
                net_stall(net, i, slice);
        }
        net_run(net, slice);
    }
}

Test(failure, twelve_pollers_on_two_processors_stay_together)
{
    struct net *net = net_new(net_seed(12), 12);
    net->detect_ns = MS(1000);
    for (int i = 0; i < 12; i++)
        net_start(net, i);
    share_two_processors(net, MS(4000));
    cr_assert(net_formed(net, 0xfff));
    uint64_t before = configurations(net, 0);
    for (int i = 0; i < 400; i++) {
        net_submit(net, (int)net_random(net, 12), 1, 64, GUARANTEE_SAFE);
        share_two_processors(net, MS(net_random(net, 100)));
    }
    for (int i = 0; i < 12; i++)
        cr_assert(eq(u64, configurations(net, i), before));
    net_finish(net);
}

Test(partition, both_sides_go_on_and_merge)
{
    struct net *net = net_new_formed(13, 5);
    net->group[3] = net->group[4] = 1;
    net_run(net, MS(20));
    for (int i = 0; i < 5; i++)
        net_submit(net, i, 1, 64, GUARANTEE_SAFE);
    net_run(net, MS(600));
    cr_assert(net_formed(net, 7) && net_formed(net, 24));
    cr_assert(eq(u32, net_last(net, 0, NET_TRANSITIONAL)->members, 7));
    cr_assert(eq(u32, net_last(net, 3, NET_TRANSITIONAL)->members, 24));
    cr_assert(eq(u32, net_messages(net, 0), 3));
    cr_assert(eq(u32, net_messages(net, 4), 2));
    net_heal(net);
    cr_assert(lt(u64, time_to(net, 31, NS_PER_S), MS(200)));
    cr_assert(eq(u32, net_last(net, 1, NET_TRANSITIONAL)->members, 7));
    cr_assert(eq(u32, net_last(net, 4, NET_TRANSITIONAL)->members, 24));
    net_finish(net);
}

/* It is heard and does not hear: the others cannot have it, and must not spend their time on it. */
Test(partition, a_deaf_node_does_not_keep_the_others_from_working)
{
    for (int who = 0; who < 3; who++) {
        struct net *net = net_new_formed(19, 3);
        net->deaf[who] = 7;
        net_run(net, 2 * net->detect_ns);
        uint32_t others = 7u & ~(1u << who), working = 0;
        for (int i = 0; i < 2000; i++) {
            net_run(net, MS(20));
            working += net_formed(net, others);
        }
        cr_assert(ge(u32, working, 1600), "node %d: %u", who, working);
        net_heal(net);
        net_finish(net);
    }
}

/* What the network does in the test below. */
struct debt {
    bool hole;     /* nothing that node 4 orders is heard */
    bool cut;      /* who installs first is cut off in that moment */
    int installer; /* -1: nobody yet */
};

static bool debt_drop(struct net *net, int from, int to, const uint8_t *frame, uint32_t bytes)
{
    struct debt *debt = net->drop_context;
    const struct wire_token *token = (const void *)frame;
    if (debt->hole && from == 3 && token->head.type == WIRE_DATA)
        return true;
    if (debt->cut && debt->installer < 0 && token->head.type == WIRE_TOKEN &&
        token->flags & WIRE_INSTALL)
        debt->installer = from;
    return debt->installer >= 0 && (from == debt->installer) != (to == debt->installer);
}

/*
 * Node 4 goes with a message that nobody else has; behind that hole are messages of the others. The
 * first to install their ring delivers them in the transitional configuration of three, and is cut
 * off: the other two owe them still, although its sender is not with them any more.
 */
Test(partition, what_one_has_delivered_behind_a_gap_the_others_owe)
{
    for (uint64_t seed = 1; seed <= 8; seed++) {
        struct debt debt = { .hole = true, .installer = -1 };
        struct net *net = net_new_formed(seed, 4);
        net->drop = debt_drop;
        net->drop_context = &debt;
        net_run(net, MS(30));
        net_submit(net, 3, 1, 64, GUARANTEE_AGREED);
        net_run(net, MS(5));
        for (int i = 0; i < 3; i++)
            net_submit(net, i, 1, 64, GUARANTEE_SAFE);
        net_run(net, MS(5));
        net->group[3] = 1;
        debt.cut = true;
        net_run(net, 3 * net->detect_ns);
        cr_assert(ge(int, debt.installer, 0));
        for (int i = 0; i < 3; i++)
            cr_assert(eq(u32, net_messages(net, i), 3), "node %d", i + 1);
        cr_assert(
            eq(u32, net_last(net, debt.installer, NET_REGULAR)->members, 1u << debt.installer));
        net_finish(net);
    }
}

/* Each has found the other deaf so often that it hardly tries any more. As soon as one does, the
 * other hears from its JOIN that it is heard. */
Test(partition, two_that_shun_each_other_meet)
{
    struct net *net = net_new_formed(20, 2);
    for (int deaf = 0; deaf < 2; deaf++) {
        net->deaf[0] = deaf ? 0 : 2;
        net->deaf[1] = deaf ? 1 : 0;
        net_run(net, 100 * net->detect_ns);
    }
    net_heal(net);
    time_to(net, 3, 40 * net->detect_ns);
    net_finish(net);
}

/* Keep a JOIN of the first formation. */
static bool keep_join(struct net *net, int from, int to, const uint8_t *frame, uint32_t bytes)
{
    if (((const struct wire_head *)(const void *)frame)->type == WIRE_JOIN && from == 1 && to == 0)
        memcpy(net->drop_context, frame, bytes);
    return false;
}

Test(formation, a_late_JOIN_disturbs_nobody)
{
    uint64_t join[NET_FRAME_BYTES / 8];
    struct net *net = net_new(net_seed(18), 3);
    net->drop = keep_join;
    net->drop_context = join;
    for (int i = 0; i < 3; i++)
        net_start(net, i);
    time_to(net, 7, NS_PER_S);
    uint32_t bytes = ((const struct wire_head *)(const void *)join)->frame_bytes;
    for (int i = 0; i < 10; i++) {
        net_inject(net, 0, (const uint8_t *)join, bytes);
        net_run(net, MS(10));
    }
    cr_assert(eq(u64, configurations(net, 0), 1));
    net_finish(net);
}

Test(restart, faster_than_detection)
{
    for (int who = 0; who < 3; who++) {
        struct net *net = net_new_formed(14, 3);
        net_submit(net, who, 1, 64, GUARANTEE_AGREED);
        net_crash(net, who);
        net_run(net, MS(2));
        net_start(net, who);
        cr_assert(lt(u64, time_to(net, 7, NS_PER_S), MS(60)));
        int other = (who + 1) % 3;
        cr_assert(eq(u32, net_last(net, other, NET_TRANSITIONAL)->members, 7u & ~(1u << who)));
        cr_assert(eq(u32, net_last(net, who, NET_TRANSITIONAL)->members, 1u << who));
        net_finish(net);
    }
}

/* Its state directory is gone too: what it says looks old by number, not by incarnation. */
Test(restart, with_an_empty_state_directory)
{
    struct net *net = net_new_formed(15, 3);
    net_crash(net, 1);
    net->node[1].disk_seq = 0;
    net_start(net, 1);
    cr_assert(lt(u64, time_to(net, 7, NS_PER_S), MS(100)));
    net_finish(net);
}

Test(restart, one_that_forgot_gives_an_old_id_again_and_does_not_come_along)
{
    struct net *net = net_new_formed(19, 2);
    struct ring_id old = net_last(net, 1, NET_REGULAR)->ring_id;
    net_stall(net, 1, net->detect_ns);
    net_crash(net, 0);
    net->node[0].disk_seq = 0;
    net_start(net, 0);
    time_to(net, 1, net->detect_ns);
    cr_assert(ring_id_equal(net_last(net, 0, NET_REGULAR)->ring_id, old), "no such luck");
    for (int i = 0; i < 20; i++)
        net_submit(net, 0, 1, 100, GUARANTEE_AGREED);
    time_to(net, 3, NS_PER_S);
    for (int node = 0; node < 2; node++)
        cr_assert(eq(u32, net_last(net, node, NET_TRANSITIONAL)->members, 1u << node));
    net_crash(net, 0); /* what the two lives of it said under one id is not for net_check() */
    net_free(net);
}

Test(leave, needs_no_timeout_and_is_not_for_ever)
{
    for (int who = 0; who < 3; who++) {
        struct net *net = net_new_formed(16, 3);
        net_leave(net, who);
        cr_assert(lt(u64, time_to(net, 7u & ~(1u << who), NS_PER_S), MS(20)));
        net_run(net, MS(300));
        net_start(net, who);
        cr_assert(lt(u64, time_to(net, 7, NS_PER_S), MS(150)));
        net_finish(net);
    }
}

/* The second time that one says goodbye comes while the others gather for the goodbye of the other:
 * it is no sign of life. */
Test(leave, two_one_after_the_other_need_no_timeout_either)
{
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct net *net = net_new_formed(net_seed(100 + seed), 5);
        net->delay_least_ns = MS(1);
        net->delay_most_ns = MS(4);
        net_run(net, net->detect_ns);
        net_leave(net, 3);
        net_run(net, seed * NS_PER_MS);
        net_leave(net, 4);
        cr_expect(lt(u64, time_to(net, 7, NS_PER_S), net->detect_ns / 2), "seed %d", (int)seed);
        net_finish(net);
    }
}

Test(leave, down_to_one)
{
    struct net *net = net_new_formed(17, 4);
    for (int i = 0; i < 3; i++) {
        net_leave(net, i);
        time_to(net, net_up_mask(net), MS(50));
    }
    net_finish(net);
}
