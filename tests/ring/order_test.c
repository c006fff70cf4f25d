/* SPDX-License-Identifier: BSD-3-Clause */
#include "net.h"
#include "wire.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#define MS(x) ((uint64_t)(x)*NS_PER_MS)

static bool no_data_to_2(struct net *net, int from, int to, const uint8_t *frame, uint32_t bytes)
{
    return to == 2 && ((const struct wire_head *)(const void *)frame)->type == WIRE_DATA;
}

static void send_many(struct net *net, int nodes, int count, uint8_t guarantee)
{
    for (int i = 0; i < count; i++) {
        int node = i % nodes;
        for (int tries = 0; tries < 1000; tries++) {
            if (net_submit(net, node, (uint32_t)i % 4, 16 + net_random(net, 700), guarantee))
                break;
            net_run(net, 200 * NS_PER_US);
        }
        net_run(net, 4 * NS_PER_US);
    }
}

Test(order, three_senders_agree)
{
    struct net *net = net_new_formed(1, 3);
    send_many(net, 3, 6000, GUARANTEE_AGREED);
    net_run(net, MS(50));
    for (int i = 0; i < 3; i++)
        cr_assert(eq(u32, net_messages(net, i), 6000));
    net_finish(net);
}

Test(order, holds_with_a_fifth_of_all_frames_lost)
{
    struct net *net = net_new_formed(2, 4);
    net->loss_permille = 200;
    net->repeat_permille = 50;
    net->detect_ns = NS_PER_S;
    send_many(net, 4, 4000, GUARANTEE_AGREED);
    net_finish(net);
}

Test(order, holds_when_frames_overtake_each_other)
{
    struct net *net = net_new_formed(3, 3);
    net->delay_most_ns = MS(1);
    net->repeat_permille = 300;
    send_many(net, 3, 3000, GUARANTEE_SAFE);
    net_finish(net);
}

Test(order, what_travels_behind_the_token_is_not_asked_for)
{
    struct net *net = net_new_formed(4, 3);
    net->delay_least_ns = net->delay_most_ns = 30 * NS_PER_US;
    send_many(net, 3, 6000, GUARANTEE_AGREED);
    for (int i = 0; i < 3; i++)
        cr_assert(eq(u64, ring_stats(net->node[i].ring)->rtr_asked, 0));
    net_finish(net);
}

Test(safe, waits_until_all_have_it)
{
    struct net *net = net_new_formed(5, 3);
    net->drop = no_data_to_2;
    net_submit(net, 0, 1, 64, GUARANTEE_AGREED);
    net_submit(net, 0, 1, 64, GUARANTEE_SAFE);
    net_submit(net, 1, 1, 64, GUARANTEE_AGREED);
    net_run(net, MS(40));
    cr_assert(eq(u32, net_messages(net, 0), 1)); /* and what is behind it waits with it */
    cr_assert(eq(u32, net_messages(net, 2), 0));
    net->drop = NULL;
    net_run(net, MS(60));
    for (int i = 0; i < 3; i++)
        cr_assert(eq(u32, net_messages(net, i), 3));
    cr_assert(eq(u64, ring_stats(net->node[0].ring)->configurations, 1));
    net_finish(net);
}

/* One that has heard nothing fails: the others learn that it never had the message. */
Test(safe, is_delivered_after_the_transition_when_one_never_had_it)
{
    struct net *net = net_new_formed(6, 3);
    net->drop = no_data_to_2;
    net_submit(net, 0, 1, 64, GUARANTEE_SAFE);
    net_run(net, MS(20));
    net_crash(net, 2);
    cr_assert(net_run_until_formed(net, 3, NS_PER_S));
    const struct net_life *life = net_life(net, 1);
    uint32_t message = 0, transitional = 0;
    for (uint32_t i = 0; i < life->count; i++) {
        if (life->log[i].kind == NET_TRANSITIONAL)
            transitional = i;
        if (life->log[i].kind == NET_MESSAGE && life->log[i].safe) {
            message = i;
            break;
        }
    }
    cr_assert(ne(u32, message, 0));
    cr_assert(eq(u32, message, transitional + 1));
    cr_assert(eq(u32, life->log[transitional].members, 3));
    net_finish(net);
}

Test(bulk, large_messages_and_small_ones_share_the_ring)
{
    struct net *net = net_new_formed(7, 3);
    uint32_t small = 0, large = 0;
    for (int i = 0; i < 1500; i++) {
        if (i % 100 == 0)
            large += net_submit(net, (i / 100) % 3, 9, (1u << 20) + net_random(net, 4u << 20),
                                GUARANTEE_AGREED);
        small += net_submit(net, i % 3, (uint32_t)i % 4, 64, GUARANTEE_AGREED);
        net_run(net, 100 * NS_PER_US);
    }
    cr_assert(lt(u32, 3, large));
    net_settle(net, 20 * NS_PER_S);
    for (int i = 0; i < 3; i++)
        cr_assert(eq(u32, net_messages(net, i), small + large));
    cr_assert(eq(u64, ring_stats(net->node[0].ring)->configurations, 1));
    net_finish(net);
}

Test(bulk, starts_again_when_its_ring_ends_in_the_middle)
{
    struct net *net = net_new_formed(8, 4);
    uint32_t own[4] = { 0 };
    for (int i = 0; i < 4; i++)
        own[i] += net_submit(net, i, 9, 5u << 20, GUARANTEE_AGREED);
    for (int i = 0; i < 4; i++)
        own[i] += net_submit(net, i, 1, 100, GUARANTEE_AGREED);
    net_run(net, MS(3));
    net->group[2] = net->group[3] = 1;
    net_run(net, MS(250));
    net_heal(net);
    cr_assert(net_settle(net, 20 * NS_PER_S));
    uint64_t restarts = 0;
    for (int i = 0; i < 4; i++) {
        restarts += ring_stats(net->node[i].ring)->bulk_restarts;
        cr_assert(eq(u32, own[i], 2));
    }
    cr_assert(ge(u64, restarts, 1));
    net_finish(net);
}

Test(flow, slow_receivers_slow_the_senders_and_lose_nothing)
{
    struct net *net = net_new_formed(9, 3);
    net->lease_ns = MS(40);
    send_many(net, 3, 12000, GUARANTEE_AGREED);
    uint64_t dropped = 0;
    for (int i = 0; i < 3; i++)
        dropped += ring_stats(net->node[i].ring)->rx_no_room;
    cr_assert(eq(u64, dropped, 0));
    net_finish(net);
}

Test(flow, a_member_whose_clients_are_slow_stops_all_senders)
{
    for (int count = 1; count <= 3; count += 2) {
        struct net *net = net_new_formed(11, count);
        net->node[0].blocked = true;
        net_run(net, MS(60));
        uint32_t taken = 0;
        for (int i = 0; i < 3000; i++) {
            taken += net_submit(net, i % count, 1, 500, GUARANTEE_AGREED);
            net_run(net, 100 * NS_PER_US);
        }
        cr_assert(lt(u32, net_messages(net, 0), 30));
        cr_assert(eq(u64, ring_stats(net->node[0].ring)->configurations, 1));
        cr_assert(eq(u64, ring_stats(net->node[0].ring)->rx_no_room, 0));
        net->node[0].blocked = false;
        net_settle(net, NS_PER_S);
        cr_assert(eq(u32, net_messages(net, 0), taken));
        net_finish(net);
    }
}

Test(buffers, none_to_send_with_breaks_nothing)
{
    struct net *net = net_new_formed(12, 3);
    for (int round = 0; round < 21; round++) {
        struct net_node *node = &net->node[round % 2]; /* node 3 comes and goes */
        struct zcb *taken[NET_TX_COUNT + 1];
        int count = 0;
        while ((taken[count] = zcb_get(&node->tx_pool, ZCB_HELD_EVENT)))
            count++;
        for (int i = 0; i < 3; i++) {
            if (net->node[i].up)
                net_submit(net, i, 1, 100, GUARANTEE_SAFE);
        }
        if (round % 7 == 3)
            net_crash(net, 2);
        if (round % 7 == 6)
            net_start(net, 2);
        net_run(net, MS(5 + 10 * (round % 4)));
        while (count > 0)
            zcb_drop(taken[--count], ZCB_HELD_EVENT);
        net_run(net, MS(40));
    }
    net_finish(net);
}

Test(alone, runs_at_full_speed_without_a_wire)
{
    struct net *net = net_new_formed(10, 1);
    uint64_t sent = net->frames_on_wire;
    send_many(net, 1, 5000, GUARANTEE_SAFE);
    cr_assert(eq(u32, net_messages(net, 0), 5000));
    cr_assert(eq(u64, net->frames_on_wire, sent));
    net_finish(net);
}
