/* SPDX-License-Identifier: BSD-3-Clause */
#include "net.h"

#include <inttypes.h>
#include <string.h>

#include "sim/check.h"

/* What must hold of the logs of all lives together. */

#define BROKEN(...)                                       \
    do {                                                  \
        fprintf(stderr, "seed %" PRIu64 ": ", net->seed); \
        fprintf(stderr, __VA_ARGS__);                     \
        fprintf(stderr, "\n");                            \
        if (getenv("RING_DUMP"))                          \
            net_dump(net);                                \
        abort();                                          \
    } while (0)

/* E1, E2 and E8 of one life: what comes was sent, once, and each port's in its order. */
static void check_life(const struct net *net, const struct net_life *life)
{
    uint64_t next[NET_LIVES][NET_PORTS + 1];
    memset(next, 0, sizeof(next));
    bool in_a_ring = false;
    for (uint32_t i = 0; i < life->count; i++) {
        const struct net_entry *e = &life->log[i];
        in_a_ring = in_a_ring || e->kind == NET_REGULAR;
        if (e->kind != NET_MESSAGE)
            continue;
        if (!in_a_ring)
            BROKEN("E5 life %d: message before a configuration", life->number);
        uint32_t sender = (uint32_t)(e->id >> 48), port = (uint32_t)(e->id >> 40 & 0xff);
        uint64_t number = e->id & UINT32_MAX;
        if (number >= net->life[sender].sent[port])
            BROKEN("E1 life %d: %" PRIx64 " was never sent", life->number, e->id);
        if (number < next[sender][port])
            BROKEN("E2/E8 life %d: %" PRIx64 " after %" PRIx64, life->number, e->id,
                   next[sender][port] - 1);
        next[sender][port] = number + 1;
    }
}

void net_check(struct net *net)
{
    struct verdict verdict = { 0 };
    for (int l = 0; l < net->life_count; l++)
        check_life(net, &net->life[l]);
    if (!check_ring(&net->history, &verdict))
        BROKEN("%s %s", verdict.rule, verdict.text);
    for (int i = 0; i < net->node_count; i++) {
        if (!net->node[i].up)
            continue;
        ring_check(net->node[i].ring);
        zcb_pool_check(&net->node[i].tx_pool);
        zcb_pool_check(&net->node[i].rx_pool);
    }
}

void net_check_all_delivered(struct net *net)
{
    for (int i = 0; i < net->node_count; i++) {
        const struct net_node *node = &net->node[i];
        if (!node->up)
            continue;
        if (node->life->delivered_own != node->life->sent_total)
            BROKEN("E9 node %d delivered %u of its own %u messages", i + 1,
                   node->life->delivered_own, node->life->sent_total);
        /* E10: with all stable nobody holds a frame. */
        uint64_t rx_out = node->rx_pool.count - node->rx_pool.free_count;
        uint64_t tx_out = node->tx_pool.count - node->tx_pool.free_count;
        if (rx_out > 0 || tx_out > 0)
            BROKEN("E10 node %d holds %" PRIu64 " received and %" PRIu64 " own frames", i + 1,
                   rx_out, tx_out);
    }
}
