/* SPDX-License-Identifier: BSD-3-Clause */
#include "claims.h"

#include "measure.h"

#include <math.h>

enum { SAMPLES = 20, CHANGES = 3 };

static const int sizes[] = { 2, 4, 8, 16 };

struct judge {
    const struct fabric_config *config;
    bool all_hold;
    double here_of_two_us; /* latency in the smallest ring */
};

static void claim(struct judge *j, bool holds, const char *what, double is, double bound)
{
    j->all_hold &= holds;
    if (!holds)
        fprintf(stderr, "%d nodes, %s: %s: %g, where the bound is %g\n", j->config->nodes,
                j->config->multicast ? "multicast" : "fan-out", what, is, bound);
}

static void at_most(struct judge *j, const char *what, double is, double bound)
{
    claim(j, is <= bound, what, is, bound);
}

static void at_least(struct judge *j, const char *what, double is, double bound)
{
    claim(j, is >= bound, what, is, bound);
}

static void rotation_and_latency(struct judge *j)
{
    const struct fabric_config *c = j->config;
    struct rotation rotation = measure_rotation(c);
    at_most(j, "an idle rotation is its hops", fabs(rotation.us / rotation.predicted_us - 1), 0.03);

    struct latency here = measure_latency(c, TOKEN_HERE, GUARANTEE_AGREED, SAMPLES);
    if (c->nodes == sizes[0])
        j->here_of_two_us = here.last.p50;
    double copies = c->multicast ? 0 : c->nodes * c->costs.nic_tx / 1e3;
    at_most(j, "where the token rests the size of the ring does not matter", here.last.p99,
            1.1 * j->here_of_two_us + copies);

    struct latency elsewhere = measure_latency(c, TOKEN_ELSEWHERE, GUARANTEE_AGREED, SAMPLES);
    at_most(j, "a token that rests elsewhere comes within a rotation", elsewhere.last.p99,
            1.2 * rotation.us + 2 * here.last.p99 + copies);

    struct latency safe = measure_latency(c, TOKEN_HERE, GUARANTEE_SAFE, SAMPLES);
    at_least(j, "SAFE takes a rotation", safe.own.p50, 0.9 * rotation.us);
    at_most(j, "SAFE takes two rotations", safe.last.p99,
            2 * rotation.us + 2 * here.last.p99 + 2 * copies);
}

static void membership(struct judge *j)
{
    const struct fabric_config *c = j->config;
    const struct ring_config ring = { .detect_ns = c->detect_ns };
    double n = c->nodes, rotation_us = measure_rotation(c).us;
    double per_join = c->multicast ? 1 : n - 1;
    struct change change = measure_change(c, CHANGES);
    at_most(j, "a view comes in time", change.total_ms,
            (double)ring_view_ns_worst(&ring, (uint64_t)(rotation_us * 1000)) / 1e6);
    double beyond_us = change.join_us + change.commit_us + change.recover_us + change.open_us;
    /* JOINs of all, processed by all, and what waits for the next JOIN of another */
    at_most(j, "behind its finding it takes rotations", beyond_us, 12 * rotation_us + 50 * n);
    double joins_most = c->multicast ? 14 * n : n * (6 * per_join + 20);
    at_most(j, "each says JOIN a few times in a change", change.joins, joins_most);

    struct formation formation = measure_formation(c);
    at_most(j, "nodes that start together form within milliseconds", formation.ms, 10);
    at_most(j, "each says JOIN a few times at the start", formation.joins, 25 * n * per_join);

    struct idle idle = measure_idle(c);
    double turns = 8e9 / (double)c->detect_ns; /* a second */
    at_most(j, "a resting token turns eight times in detect_ms", idle.frames,
            1.1 * turns * (n + per_join + 1));
    at_most(j, "and each node hears that", idle.node_frames, 1.1 * turns * 2);
}

/* What one receiver's processor can take of frames with one message each. */
static double receiver_messages(const struct costs *k)
{
    double message_ns = k->nic_rx + k->data + k->chunk + k->let_go + k->walk + k->walk_chunk;
    return 1e9 / (message_ns + k->lend + k->deliver);
}

static bool same(const struct throughput *a, const struct throughput *b)
{
    return a->messages == b->messages && a->rotation_us == b->rotation_us &&
           a->processor == b->processor && a->link == b->link && a->rx_frames == b->rx_frames;
}

static void flood(struct judge *j)
{
    const struct fabric_config *c = j->config;
    struct throughput all = measure_throughput(c, 1024, true);
    struct throughput again = measure_throughput(c, 1024, true);
    at_most(j, "nobody is busier than he can be", all.processor, 1.01);
    at_most(j, "no link is fuller than it can be", all.link, 1.01);
    claim(j, same(&all, &again), "it happens again", again.messages, all.messages);
    at_least(j, "all together send what one receiver can take", all.messages,
             0.4 * receiver_messages(&c->costs));
    struct throughput small = measure_throughput(c, 1024, false);
    struct throughput bulk = measure_throughput(c, 8192, false);
    at_least(j, "one sends as much in large messages as in small ones", bulk.gbps, small.gbps);
}

bool claims_hold(const struct fabric_config *config)
{
    struct judge j = { .all_hold = true };
    for (int i = 0; i < 2 * (int)ARRAY_COUNT(sizes); i++) {
        struct fabric_config c = *config;
        c.nodes = sizes[i % (int)ARRAY_COUNT(sizes)];
        c.multicast = i < (int)ARRAY_COUNT(sizes);
        j.config = &c;
        rotation_and_latency(&j);
        membership(&j);
        flood(&j);
    }
    return j.all_hold;
}
