/* SPDX-License-Identifier: BSD-3-Clause */
#include "net.h"
#include "wire.h"

#include <inttypes.h>
#include <string.h>

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

/*
 * Frames that a member never sent, made from those it did: fields changed at random, old frames
 * again. Nothing is promised of what a ring then delivers; it must not fall over, and all must be
 * in one ring again when they stop.
 */

enum { KEPT = 256 };

struct mill {
    uint8_t frame[KEPT][NET_FRAME_BYTES];
    uint32_t bytes[KEPT];
    uint32_t count;
    bool grinding;
};

static void put_random(struct net *net, uint8_t *at, uint32_t bytes)
{
    static const uint64_t likely[] = { 0, 1, 2, 3, 5, 64, 8192, 8193, UINT32_MAX, INT64_MAX };
    uint64_t value = net_random(net, 2) ? likely[net_random(net, 10)] : net_random(net, 200);
    if (net_random(net, 8) == 0)
        value = ~value;
    uint64_t before = 0;
    memcpy(&before, at, bytes);
    if (net_random(net, 3) == 0)
        value = before + net_random(net, 7) - 3;
    memcpy(at, &value, bytes);
}

/* Keep what passes; now and then let something else pass in its place. */
static bool grind(struct net *net, int from, int to, const uint8_t *frame, uint32_t bytes)
{
    struct mill *mill = net->drop_context;
    if (mill->grinding)
        return false;
    uint32_t slot = mill->count++ % KEPT;
    memcpy(mill->frame[slot], frame, bytes);
    mill->bytes[slot] = bytes;
    if (net_random(net, 3) == 0)
        return false;

    uint32_t which = net_random(net, mill->count < KEPT ? mill->count : KEPT);
    uint8_t copy[NET_FRAME_BYTES];
    memcpy(copy, mill->frame[which], mill->bytes[which]);
    uint32_t changes = net_random(net, 4);
    for (uint32_t i = 0; i < changes; i++) {
        static const uint32_t sizes[] = { 1, 2, 4, 8 };
        uint32_t size = sizes[net_random(net, 4)];
        uint32_t fields = mill->bytes[which] < 200 ? mill->bytes[which] : 200;
        /* Not the head, or hardly anything gets past it; its tag is zero on any frame. */
        uint32_t at = net_random(net, 4) ? 56 + net_random(net, fields - 56) : net_random(net, 32);
        at -= at % size;
        if (at + size <= mill->bytes[which])
            put_random(net, copy + at, size);
    }
    mill->grinding = true;
    net_inject(net, to, copy, mill->bytes[which]);
    mill->grinding = false;
    return false;
}

Test(hostile, no_frame_from_a_configured_node_makes_a_ring_fall_over)
{
    uint64_t only = net_seed(0);
    for (uint64_t seed = only ? only : 1; seed <= (only ? only : 20); seed++) {
        struct mill *mill = calloc(1, sizeof(*mill));
        struct net *net = net_new(seed, 3);
        net->lawless = true;
        net->drop = grind;
        net->drop_context = mill;
        net->check_every = 500;
        for (int i = 0; i < 3; i++)
            net_start(net, i);
        for (int i = 0; i < 400; i++) {
            int node = (int)net_random(net, 3);
            net_submit(net, node, 1, 16 + net_random(net, 3000), (uint8_t)net_random(net, 4));
            if (net_random(net, 40) == 0 && net->life_count < NET_LIVES) {
                net_crash(net, node);
                net_start(net, node);
            }
            net_run(net, net_random(net, 4) * NS_PER_MS);
        }
        net_heal(net);
        net_run(net, 5 * NS_PER_S);
        for (int i = 0; i < 3; i++) {
            struct ring_status status;
            ring_status(net->node[i].ring, &status);
            cr_assert(eq(int, (int)status.state, RING_OPERATIONAL), "seed %" PRIu64, seed);
            cr_assert(eq(int, status.member_count, 3), "seed %" PRIu64, seed);
        }
        if (getenv("RING_TELL")) {
            const struct ring_stats *s = ring_stats(net->node[0].ring);
            fprintf(stderr, "seed %" PRIu64 ": %" PRIu64 " malformed, %" PRIu64 " gathers\n", seed,
                    s->rx_malformed, s->gathers);
        }
        net_free(net);
        free(mill);
    }
}
