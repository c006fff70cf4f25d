/* SPDX-License-Identifier: BSD-3-Clause */
#include "net.h"

#include <inttypes.h>

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

/*
 * Many short lives of small clusters under fire: loss, repetition, delay, partitions, crashes,
 * restarts, goodbyes and stalls, all drawn from a seed. Safety is demanded throughout; then the
 * network heals and progress is demanded. RING_SEED=n repeats one run, RING_DUMP=1 shows its logs.
 */

enum { SEEDS = 400, ACTS = 60 };

static void send_some(struct net *net, int node)
{
    static const uint8_t guarantees[] = { GUARANTEE_AGREED, GUARANTEE_AGREED, GUARANTEE_SAFE };
    uint32_t count = 1 + net_random(net, 12);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t bytes = 16 + net_random(net, 400);
        if (net_random(net, 30) == 0)
            bytes = 16 + net_random(net, 60000);
        if (net_random(net, 400) == 0)
            bytes = 1100000 + net_random(net, 400000);
        net_submit(net, node, net_random(net, 8), bytes, guarantees[net_random(net, 3)]);
    }
}

static void weather(struct net *net)
{
    static const uint32_t losses[] = { 0, 0, 5, 20, 100, 250 };
    net->loss_permille = losses[net_random(net, 6)];
    net->repeat_permille = losses[net_random(net, 5)];
    net->delay_most_ns =
        net->delay_least_ns + net_random(net, 4) * net_random(net, 300) * NS_PER_US;
}

static void membership_act(struct net *net)
{
    int node = (int)net_random(net, (uint32_t)net->node_count);
    uint32_t act = net_random(net, 10);
    if (!net->node[node].up) {
        if (net->life_count < NET_LIVES)
            net_start(net, node);
    } else if (act < 3) {
        net_crash(net, node);
        if (net_random(net, 2) && net->life_count < NET_LIVES)
            net_start(net, node); /* faster than it can be missed */
    } else if (act < 4) {
        net_leave(net, node);
    } else if (act < 8) {
        for (int i = 0; i < net->node_count; i++) {
            net->group[i] = net_random(net, 1 + net_random(net, 3));
            net->deaf[i] = net_random(net, 4) ? 0 : net_random(net, 1u << net->node_count);
        }
    } else {
        net_stall(net, node, net_random(net, net_random(net, 4) ? 40 : 200) * NS_PER_MS);
    }
}

static void act(struct net *net)
{
    uint32_t what = net_random(net, 20);
    if (what == 0)
        membership_act(net);
    else if (what == 1)
        weather(net);
    else if (what == 2)
        for (int i = 0; i < net->node_count; i++)
            net->group[i] = net->deaf[i] = 0;
    for (int i = 0; i < net->node_count; i++) {
        if (net->node[i].up && net_random(net, 3) == 0)
            send_some(net, i);
        if (net->node[i].up && net_random(net, 5) == 0)
            net_poke(net, i);
    }
    uint64_t pause = net_random(net, 4) ? 500 * NS_PER_US : 20 * NS_PER_MS;
    net_run(net, net_random(net, (uint32_t)pause) + (what == 3 ? 100 * NS_PER_MS : 0));
}

static void live(uint64_t seed)
{
    struct net *net = net_new(seed, 0);
    net->node_count = 2 + (int)net_random(net, net_random(net, 10) ? 4 : 8);
    net->park = net_random(net, 4) != 0;
    net->fan_out = seed & 1;
    net->detect_ns = (100 + net_random(net, 200)) * NS_PER_MS;
    if (net_random(net, 4) == 0) {
        net->rx_count = 200 + net_random(net, 800);
        net->tx_count = 200 + net_random(net, 800);
    }
    net->window_frames = net_random(net, 4) ? 0 : 1 + net_random(net, 60);
    net->lease_ns = net_random(net, 3) == 0 ? 3 * NS_PER_MS : 0;
    net->persist_ns = net_random(net, 10) * NS_PER_MS;
    for (int i = 0; i < net->node_count; i++) {
        if (net_random(net, 4))
            net_start(net, i);
    }
    if (net_random(net, 2))
        net_run(net, 400 * NS_PER_MS);
    for (int i = 0; i < ACTS; i++)
        act(net);
    net_check(net);
    net_heal(net);
    for (int i = 0; i < net->node_count; i++) {
        if (!net->node[i].up && net->life_count < NET_LIVES)
            net_start(net, i);
    }
    bool settled = net_settle(net, 20 * NS_PER_S);
    if (!settled)
        net_dump(net);
    cr_assert(settled, "seed %" PRIu64 " does not settle", seed);
    net_check(net);
    net_check_all_delivered(net);
    net_free(net);
}

Test(swarm, safety_under_fire_and_progress_after)
{
    uint64_t only = net_seed(0);
    uint64_t first = only ? only : 1, last = only ? only : SEEDS;
    const char *from = getenv("RING_FROM"), *count = getenv("RING_COUNT");
    if (from && !only) {
        first = strtoull(from, NULL, 0);
        last = first + (count ? strtoull(count, NULL, 0) : SEEDS) - 1;
    }
    for (uint64_t seed = first; seed <= last; seed++) {
        if (getenv("RING_TELL"))
            fprintf(stderr, "seed %" PRIu64 "\n", seed);
        live(seed);
    }
}
