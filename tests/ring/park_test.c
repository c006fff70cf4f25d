/* SPDX-License-Identifier: BSD-3-Clause */
#include "net.h"
#include "wire.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#define MS(x) ((uint64_t)(x)*NS_PER_MS)

static int holder(const struct net *net)
{
    for (int i = 0; i < net->node_count; i++) {
        struct ring_status status;
        ring_status(net->node[i].ring, &status);
        if (status.parked_here)
            return i;
    }
    return -1;
}

static struct net *idle(uint64_t seed, int count)
{
    struct net *net = net_new_formed(seed, count);
    net->detect_ns = net->detect_ns;
    net_run(net, MS(100));
    cr_assert(ge(int, holder(net), 0));
    return net;
}

static bool no_park(struct net *net, int from, int to, const uint8_t *frame, uint32_t bytes)
{
    return ((const struct wire_head *)(const void *)frame)->type == WIRE_PARK;
}

Test(park, an_idle_ring_costs_little)
{
    struct net *net = idle(1, 3);
    uint64_t calls = 0, before = 0, frames = net->frames_on_wire;
    for (int i = 0; i < 3; i++)
        before += net->node[i].calls;
    net_run(net, 10 * NS_PER_S);
    for (int i = 0; i < 3; i++)
        calls += net->node[i].calls;
    /* A turn in each eighth of detect_ns: a token a node and a PARK. */
    uint64_t turns = 10 * NS_PER_S / (net->detect_ns / 8);
    cr_assert(le(u64, net->frames_on_wire - frames, 5 * turns));
    cr_assert(le(u64, calls - before, 9 * turns));
    for (int i = 0; i < 3; i++)
        cr_assert(eq(u64, ring_stats(net->node[i].ring)->configurations, 1));
    net_finish(net);
}

Test(park, the_holder_sends_without_waiting)
{
    struct net *net = idle(2, 3);
    net_submit(net, holder(net), 1, 64, GUARANTEE_AGREED);
    net_run(net, MS(10));
    int at = holder(net);
    cr_assert(ge(int, at, 0));
    uint32_t before = net_messages(net, at);
    net_submit(net, at, 1, 64, GUARANTEE_AGREED);
    cr_assert(eq(u32, net_messages(net, at), before + 1));
    net_run(net, 41 * NS_PER_US); /* one way */
    for (int i = 0; i < 3; i++)
        cr_assert(eq(u32, net_messages(net, i), before + 1));
    net_finish(net);
}

Test(park, others_ask_and_get_it)
{
    struct net *net = idle(3, 5);
    for (int round = 0; round < 20; round++) {
        int at = holder(net), other = (at + 1 + round % 4) % 5;
        uint32_t before = net_messages(net, other);
        net_submit(net, other, 1, 64, GUARANTEE_AGREED);
        net_run(net, 6 * 41 * NS_PER_US);
        cr_assert(eq(u32, net_messages(net, other), before + 1));
        net_run(net, MS(5));
        cr_assert(eq(int, holder(net), other)); /* it stays with who sent last */
    }
    net_finish(net);
}

Test(park, a_lost_PARK_is_said_again)
{
    struct net *net = idle(4, 3);
    net->drop = no_park;
    net_submit(net, (holder(net) + 1) % 3, 1, 64, GUARANTEE_AGREED);
    net_run(net, MS(8));
    cr_assert(ge(int, holder(net), 0));
    net->drop = NULL;
    uint64_t resent = 0, later = 0;
    net_run(net, MS(20));
    for (int i = 0; i < 3; i++)
        resent += ring_stats(net->node[i].ring)->tokens_retransmitted;
    net_run(net, MS(200));
    for (int i = 0; i < 3; i++)
        later += ring_stats(net->node[i].ring)->tokens_retransmitted;
    cr_assert(eq(u64, later, resent));
    net_finish(net);
}

Test(park, not_where_it_is_switched_off)
{
    struct net *net = net_new(net_seed(5), 3);
    net->park = false;
    for (int i = 0; i < 3; i++)
        net_start(net, i);
    cr_assert(net_run_until_formed(net, 7, NS_PER_S));
    net_run(net, MS(200));
    for (int i = 0; i < 3; i++) {
        cr_assert(eq(u64, ring_stats(net->node[i].ring)->tokens_parked, 0));
        cr_assert(lt(u64, 1000, ring_stats(net->node[i].ring)->rotations));
    }
    net_finish(net);
}
