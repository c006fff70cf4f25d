/* SPDX-License-Identifier: BSD-3-Clause */
#include "net.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

/* A disk that cannot be written costs its own node the ring, and nobody else. */

enum { NODES = 3, ALL = (1 << NODES) - 1 };

/* The node with the full disk, as representative and as member; another that comes from afar makes
 * everybody need a reservation. */
Test(disk, a_full_one_does_not_keep_the_others_from_forming_a_ring)
{
    for (int full = 0; full < NODES; full++) {
        int comes = (full + 1) % NODES;
        uint32_t others = ALL & ~(1u << full);
        struct net *net = net_new_formed(net_seed(3), NODES);
        net_crash(net, comes);
        net_run(net, 3 * net->detect_ns);
        net->full = 1u << full;
        net_start(net, comes);
        cr_assert(net_run_until_formed(net, others, 6 * net->detect_ns), "node %d is full", full);
        for (int i = 0; i < NODES; i++) {
            if (i != full)
                cr_assert(net_submit(net, i, 1, 200, GUARANTEE_SAFE));
        }
        uint64_t gathers = ring_stats(net->node[comes].ring)->gathers;
        net_run(net, 40 * net->detect_ns);
        cr_assert(net_formed(net, others), "node %d is full", full);
        cr_expect(le(u64, ring_stats(net->node[comes].ring)->gathers, gathers + 2)); /* in peace */
        net->full = 0;
        cr_assert(net_run_until_formed(net, ALL, 40 * net->detect_ns), "node %d was full", full);
        net_finish(net);
    }
}

Test(disk, a_full_one_at_the_first_start_does_not_keep_the_others_from_forming_a_ring)
{
    for (int full = 0; full < NODES; full++) {
        struct net *net = net_new(net_seed(4), NODES);
        net->full = 1u << full;
        for (int i = 0; i < NODES; i++)
            net_start(net, i);
        uint32_t others = ALL & ~(1u << full);
        cr_assert(net_run_until_formed(net, others, 6 * net->detect_ns), "node %d is full", full);
        net->full = 0;
        cr_assert(net_run_until_formed(net, ALL, 40 * net->detect_ns), "node %d was full", full);
        net_finish(net);
    }
}
