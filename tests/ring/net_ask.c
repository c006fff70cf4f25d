/* SPDX-License-Identifier: BSD-3-Clause */
#include "net.h"

#include <inttypes.h>

#include "trace.h"

/* What can be asked of the network, and waited for. */

uint32_t net_up_mask(const struct net *net)
{
    uint32_t mask = 0;
    for (int i = 0; i < net->node_count; i++)
        mask |= (uint32_t)net->node[i].up << i;
    return mask;
}

bool net_formed(const struct net *net, uint32_t mask)
{
    struct ring_id id = { 0 };
    for (int i = 0; i < net->node_count; i++) {
        if (!(mask >> i & 1))
            continue;
        const struct net_node *node = &net->node[i];
        if (!node->up || !node->gate || node->sync_want != mask)
            return false;
        struct ring_status status;
        ring_status(node->ring, &status);
        if (status.state != RING_OPERATIONAL)
            return false;
        if (id.seq > 0 && !ring_id_equal(id, node->ring_id))
            return false;
        id = node->ring_id;
    }
    return true;
}

bool net_quiet(const struct net *net)
{
    for (int i = 0; i < net->node_count; i++) {
        const struct net_node *node = &net->node[i];
        if (!node->up)
            continue;
        struct ring_status status;
        ring_status(node->ring, &status);
        if (status.state != RING_OPERATIONAL || status.backlog_frames > 0 ||
            status.safe_seq != status.seq || !node->gate || node->lent_head != node->lent_tail)
            return false;
    }
    return true;
}

bool net_run_until_formed(struct net *net, uint32_t mask, uint64_t most_ns)
{
    uint64_t end = net->now_ns + most_ns;
    while (!net_formed(net, mask) && net->now_ns < end)
        net_run(net, 100 * NS_PER_US);
    return net_formed(net, mask);
}

bool net_settle(struct net *net, uint64_t most_ns)
{
    uint64_t end = net->now_ns + most_ns;
    uint32_t up = net_up_mask(net);
    while (!(net_formed(net, up) && net_quiet(net)) && net->now_ns < end)
        net_run(net, 100 * NS_PER_US);
    return net_formed(net, up) && net_quiet(net);
}

const struct net_life *net_life(const struct net *net, int node)
{
    return net->node[node].life;
}

uint32_t net_messages(const struct net *net, int node)
{
    const struct net_life *life = net->node[node].life;
    uint32_t count = 0;
    for (uint32_t i = 0; i < life->count; i++)
        count += life->log[i].kind == NET_MESSAGE && (life->log[i].id >> 40 & 0xff) != NET_PORTS;
    return count;
}

const struct net_entry *net_last(const struct net *net, int node, enum net_kind kind)
{
    const struct net_life *life = net->node[node].life;
    for (uint32_t i = life->count; i-- > 0;) {
        if (life->log[i].kind == kind)
            return &life->log[i];
    }
    return NULL;
}

void net_dump(const struct net *net)
{
    for (int l = 0; l < net->life_count; l++) {
        const struct net_life *life = &net->life[l];
        fprintf(stderr, "life %d of node %d%s:\n", l, life->node + 1,
                life->crashed ? " (ended)" : "");
        for (uint32_t i = 0; i < life->count; i++) {
            const struct net_entry *e = &life->log[i];
            if (e->kind == NET_MESSAGE)
                fprintf(stderr, "  %" PRIu64 " %s %" PRIx64 "\n", e->at_ns / 1000,
                        e->safe ? "safe" : "msg", e->id);
            else
                fprintf(stderr, "  %" PRIu64 " %s %" PRIu64 ".%u members %x\n", e->at_ns / 1000,
                        e->kind == NET_REGULAR ? "REGULAR" : "TRANS", e->ring_id.seq,
                        e->ring_id.rep, e->members);
        }
    }
    for (int i = 0; i < net->node_count; i++) {
        struct ring_trace t;
        char text[192];
        while (net->node[i].up && ring_trace_next(net->node[i].ring, &t)) {
            trace_format(&t, text, sizeof(text));
            fprintf(stderr, "trace node %d %" PRIu64 " %s\n", i + 1, t.now_ns / 1000, text);
        }
    }
}
