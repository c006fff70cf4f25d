/* SPDX-License-Identifier: BSD-3-Clause */
#include "net.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#define MS(x) ((x)*NS_PER_MS)

static struct net *formed(uint64_t seed, int count)
{
    struct net *net = net_new(net_seed(seed), count);
    for (int i = 0; i < count; i++)
        net_start(net, i);
    cr_assert(net_run_until_formed(net, (1u << count) - 1, MS(500)));
    return net;
}

static void finish(struct net *net)
{
    net_heal(net);
    cr_assert(net_settle(net, 10 * NS_PER_S));
    net_check(net);
    net_check_all_delivered(net);
    net_free(net);
}

Test(formation, a_node_alone_forms_a_ring_of_one)
{
    finish(formed(1, 1));
}

Test(formation, two_three_and_five_nodes_form_one_ring_at_once)
{
    for (int count = 2; count <= 5; count++) {
        struct net *net = formed(2, count);
        cr_assert(lt(u64, net->now_ns, NS_PER_S + MS(60)));
        finish(net);
    }
}

Test(order, three_senders_agree)
{
    struct net *net = formed(3, 3);
    for (int i = 0; i < 3000; i++) {
        net_submit(net, i % 3, (uint32_t)i % 4, 16 + net_random(net, 600), GUARANTEE_AGREED);
        net_run(net, 5 * NS_PER_US);
    }
    finish(net);
}
