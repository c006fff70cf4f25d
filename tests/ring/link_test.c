/* SPDX-License-Identifier: BSD-3-Clause */
/* link_test.c - what the ring makes of news of links: true, short, and wrong. */
#include "net.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#define MS(x) ((uint64_t)(x)*NS_PER_MS)

/* A ring of three that has been one for a while. */
static struct net *three(uint64_t seed)
{
    struct net *net = net_new_formed(net_seed(seed), 3);
    net_run(net, 3 * net->detect_ns);
    return net;
}

static uint64_t time_to(struct net *net, uint32_t mask)
{
    uint64_t start_ns = net->now_ns;
    cr_assert(net_run_until_formed(net, mask, 2 * net->detect_ns));
    return net->now_ns - start_ns;
}

static uint64_t gathers(const struct net *net, int node)
{
    return ring_stats(net->node[node].ring)->gathers;
}

/* Nobody was without anybody else since the ring of all was first formed. */
static void expect_unparted(const struct net *net, uint32_t all)
{
    for (int node = 0; node < net->node_count; node++) {
        const struct net_life *life = net_life(net, node);
        bool were_one = false;
        for (uint32_t i = 0; i < life->count; i++) {
            const struct net_entry *e = &life->log[i];
            if (e->kind != NET_MESSAGE && were_one)
                cr_assert(eq(u32, e->members, all), "node %d", node);
            were_one = were_one || (e->kind == NET_REGULAR && e->members == all);
        }
    }
}

Test(link, a_mesh_whose_links_to_a_node_go_down_goes_on_without_it_at_once)
{
    struct net *net = three(1);
    net_crash(net, 2);
    net_links(net, 0, 4);
    net_run(net, net->detect_ns / 40); /* they do not see it at the same time */
    net_links(net, 1, 4);
    cr_assert(lt(u64, time_to(net, 3), net->detect_ns / 8));
    net_start(net, 2);
    net_finish(net);
}

/* What was told of links, in order; which node is of interest where it is one. */
static void expect_told(struct ring *r, const struct ring_trace *told, int count)
{
    struct ring_trace trace;
    int found = 0;
    while (ring_trace_next(r, &trace)) {
        if (trace.kind != RING_TRACE_LINKS)
            continue;
        cr_assert(lt(int, found, count));
        cr_assert(eq(u64, trace.a, told[found].a));
        cr_assert(eq(u64, trace.c, told[found].c));
        if (trace.a == 1)
            cr_assert(eq(u64, trace.b, told[found].b));
        found++;
    }
    cr_assert(eq(int, found, count));
}

Test(link, every_change_is_told_of_once)
{
    static const struct ring_trace told[] = { { .a = 1, .b = 2 },
                                              { .a = 1, .b = 3 },
                                              { .a = 2, .c = 1 },
                                              { .a = 2 },
                                              { .a = 1, .b = 3, .c = 1 } };
    static const uint32_t down[] = { 2, 2, 6, 0, 6, 2 };
    struct net *net = three(9);
    for (size_t i = 0; i < ARRAY_COUNT(down); i++)
        net_links(net, 0, down[i]);
    expect_told(net->node[0].ring, told, ARRAY_COUNT(told));
    net_finish(net);
}

/* One that sees it is enough: the other hears of it. */
Test(link, a_node_that_sees_no_link_hears_of_it)
{
    struct net *net = three(2);
    net_crash(net, 2);
    net_links(net, 0, 4);
    cr_assert(lt(u64, time_to(net, 3), net->detect_ns / 8));
    net_start(net, 2);
    net_finish(net);
}

Test(link, a_node_whose_only_link_is_down_is_alone_at_once)
{
    struct net *net = three(3);
    for (int i = 0; i < 2; i++) {
        net->group[0] = 1;
        net_links(net, 0, 6);
        cr_assert(lt(u64, time_to(net, 1), net->detect_ns / 8));
        cr_assert(net_run_until_formed(net, 6, 2 * net->detect_ns));
        net_heal(net);
        cr_assert(lt(u64, time_to(net, 7), net->detect_ns));
        net_run(net, net->detect_ns);
    }
    net_finish(net);
}

/* They are heard, though it takes them longer to agree than a link is given to come back. */
Test(link, news_that_are_not_true_part_nobody)
{
    struct net *net = three(4);
    net->delay_least_ns = MS(5);
    net->delay_most_ns = MS(6);
    net_run(net, net->detect_ns);
    for (int i = 0; i < 8; i++) {
        net_links(net, i % 3, 7);
        net_submit(net, i % 3, 1, 500, GUARANTEE_SAFE);
        net_run(net, 2 * net->detect_ns);
        cr_assert(net_formed(net, 7));
    }
    expect_unparted(net, 7);
    net_finish(net);
}

Test(link, a_link_that_is_back_in_a_moment_parts_nobody)
{
    struct net *net = three(5);
    net->group[0] = 1;
    net_links(net, 0, 6);
    net_run(net, net->detect_ns / 20);
    net->group[0] = 0;
    net_links(net, 0, 0);
    time_to(net, 7);
    expect_unparted(net, 7);
    net_finish(net);
}

/* As often as a port can be looked at, for as long as it likes. */
Test(link, a_link_that_flaps_does_not_keep_the_ring_from_work)
{
    struct net *net = three(6);
    uint64_t before = gathers(net, 0);
    for (int i = 0; i < 400; i++) {
        net_links(net, 0, i % 2 ? 0 : 6);
        net_submit(net, i % 3, 1, 100, GUARANTEE_AGREED);
        net_run(net, MS(2));
    }
    cr_assert(net_formed(net, 7));
    uint64_t most = 2 + 800 * NS_PER_MS / net->detect_ns;
    cr_assert(le(u64, gathers(net, 0) - before, most));
    expect_unparted(net, 7);
    net_finish(net);
}

/* Its first JOIN went nowhere; the next would be due much later. */
Test(link, who_comes_behind_a_link_that_comes_up_is_told_at_once)
{
    struct net *net = three(7);
    net->group[0] = 1;
    net_links(net, 0, 6);
    net_links(net, 1, 1);
    net_links(net, 2, 1);
    time_to(net, 6);
    net_run(net, net->detect_ns / 8 - MS(1));
    net->group[0] = 0;
    for (int i = 0; i < 3; i++)
        net_links(net, i, 0);
    cr_assert(lt(u64, time_to(net, 7), MS(10)));
    net_finish(net);
}

Test(link, who_looks_for_others_says_so_when_its_link_comes_up)
{
    struct net *net = three(8);
    net_crash(net, 2);
    cr_assert(net_run_until_formed(net, 3, 2 * net->detect_ns));
    net->group[2] = 1;
    net_start(net, 2);
    net_links(net, 2, 3);
    net_run(net, MS(33)); /* it has said so a few times by now, less and less often */
    cr_assert(eq(u64, ring_stats(net->node[2].ring)->configurations, 0));
    net->group[2] = 0;
    net_links(net, 2, 0);
    cr_assert(lt(u64, time_to(net, 7), MS(6)));
    net_finish(net);
}

/* They wait for the one that has ended, and while they do they say less and less often that they
 * are there: not as often as the silence of a link that is down would ask for. */
Test(link, news_that_are_not_true_part_nobody_though_another_has_ended)
{
    for (uint64_t seed = 10; seed < 42; seed++) {
        struct net *net = net_new_formed(net_seed(seed), 4);
        net_run(net, 3 * net->detect_ns);
        net_crash(net, 3);
        net_run(net, net->detect_ns * (20 + seed % 8) / 32);
        net_links(net, 0, 2);
        time_to(net, 7);
        const struct net_life *life = net_life(net, 0);
        uint32_t parted = 0, i = life->count;
        while (i-- > 0 && life->log[i].members != 15)
            parted += life->log[i].kind == NET_REGULAR && (life->log[i].members & 2) == 0;
        cr_expect(eq(u32, parted, 0), "seed %d", (int)seed);
        net_start(net, 3);
        net_finish(net);
    }
}
