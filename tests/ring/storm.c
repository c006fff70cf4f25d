/* SPDX-License-Identifier: BSD-3-Clause */
#include "storm.h"

#include <inttypes.h>
#include <string.h>

#include "wire.h"

enum { ROUNDS = 10, KEPT = 256 };

struct kept {
    uint8_t *bytes;
    uint32_t count;
    int to;
};

struct storm {
    uint32_t loss[WIRE_TYPES]; /* permille of each kind of frame */
    struct kept kept[KEPT];    /* to come again */
};

static bool lose_or_keep(struct net *net, int from, int to, const uint8_t *frame, uint32_t bytes)
{
    struct storm *storm = net->drop_context;
    (void)from;
    uint8_t type = ((const struct wire_head *)(const void *)frame)->type;
    if (net_random(net, type == WIRE_DATA || type == WIRE_TOKEN ? 64 : 4) == 0) {
        struct kept *kept = &storm->kept[net_random(net, KEPT)];
        free(kept->bytes);
        *kept = (struct kept){ .bytes = malloc(bytes), .count = bytes, .to = to };
        memcpy(kept->bytes, frame, bytes);
    }
    return net_random(net, 1000) < storm->loss[type];
}

static void come_again(struct net *net)
{
    const struct storm *storm = net->drop_context;
    for (uint32_t i = net_random(net, 20); i > 0; i--) {
        const struct kept *kept = &storm->kept[net_random(net, KEPT)];
        if (kept->bytes)
            net_inject(net, kept->to, kept->bytes, kept->count);
    }
}

static void send_some(struct net *net, int node)
{
    uint32_t safe = net_random(net, 3);
    for (uint32_t i = net_random(net, 20); i > 0; i--) {
        uint32_t bytes = 16 + net_random(net, net_random(net, 12) ? 300 : 40000);
        if (net_random(net, 600) == 0)
            bytes = RING_BULK_FREE_BYTES + net_random(net, 100000);
        bool is_safe = net_random(net, 2) < safe;
        net_submit(net, node, net_random(net, 6), bytes,
                   is_safe ? GUARANTEE_SAFE : GUARANTEE_AGREED);
    }
}

static void all_send(struct net *net)
{
    for (int i = 0; i < net->node_count; i++) {
        if (net->node[i].up && net_random(net, 2))
            send_some(net, i);
    }
}

static void lose_kinds(struct net *net)
{
    static const uint32_t losses[] = { 0, 0, 0, 100, 500, 900 };
    struct storm *storm = net->drop_context;
    bool calm = net_random(net, 3) == 0;
    for (int type = 0; type < WIRE_TYPES; type++)
        storm->loss[type] = calm ? 0 : losses[net_random(net, 6)];
}

static void cut_links(struct net *net)
{
    bool groups = net_random(net, 2);
    for (int i = 0; i < net->node_count; i++) {
        net->group[i] = groups ? net_random(net, 2 + net_random(net, 2)) : 0;
        net->deaf[i] = net_random(net, 3) ? 0 : 1u << net_random(net, (uint32_t)net->node_count);
    }
}

/* Some links are known to be down: as they are, or as they are not. */
static void tell_links(struct net *net)
{
    bool truth = net_random(net, 3) != 0;
    for (int i = 0; i < net->node_count; i++) {
        uint32_t down = net_random(net, 4) ? 0 : net_random(net, 1u << net->node_count);
        for (int k = 0; truth && k < net->node_count; k++) {
            bool cut = net->group[i] != net->group[k] || net->deaf[i] >> k & 1 || !net->node[k].up;
            down = (down & ~(1u << k)) | (uint32_t)cut << k;
        }
        if (net->node[i].up)
            net_links(net, i, down);
    }
}

static void mend(struct net *net)
{
    memset(net->group, 0, sizeof(net->group));
    memset(net->deaf, 0, sizeof(net->deaf));
    memset(net->drop_context, 0, sizeof(((struct storm *)0)->loss));
}

static void end_a_life(struct net *net, int node)
{
    if (net_random(net, 5) == 0)
        net_leave(net, node);
    else
        net_crash(net, node);
    if (net->life_count < NET_LIVES && net_random(net, 2))
        net_start(net, node);
}

static void fault(struct net *net)
{
    int node = (int)net_random(net, (uint32_t)net->node_count);
    uint32_t what = net_random(net, 16);
    if (!net->node[node].up) {
        if (net->life_count < NET_LIVES)
            net_start(net, node);
    } else if (what < 2) {
        end_a_life(net, node);
    } else if (what < 5) {
        cut_links(net);
    } else if (what < 7) {
        mend(net);
    } else if (what < 9) {
        lose_kinds(net);
    } else if (what < 11) {
        net_stall(net, node, net_random(net, (uint32_t)(2 * net->detect_ns)));
    } else if (what < 12) {
        net->node[node].blocked = net_random(net, 2);
    } else if (what < 15) {
        tell_links(net);
    } else {
        come_again(net);
    }
}

/* One in how many steps brings a fault: seldom, soon while some node is beyond agreement, at once
 * when a ring is installed here and not yet there. */
static uint32_t calm(const struct net *net)
{
    bool between = false, installed = false;
    uint64_t newest = 0;
    for (int i = 0; i < net->node_count; i++) {
        struct ring_status status;
        if (!net->node[i].up)
            continue;
        ring_status(net->node[i].ring, &status);
        between |= status.state == RING_COMMIT || status.state == RING_RECOVERY;
        if (status.ring_id.seq >= newest) {
            bool here = status.state == RING_OPERATIONAL && status.member_count > 1;
            installed = here || (installed && status.ring_id.seq == newest);
            newest = status.ring_id.seq;
        }
    }
    return !between ? 200 : installed ? 3 : 12;
}

static void storm_round(struct net *net)
{
    uint64_t end = net->now_ns + net->detect_ns * (1 + net_random(net, 4));
    fault(net);
    while (net->now_ns < end) {
        uint32_t steps = calm(net);
        if (net_random(net, steps) == 0)
            fault(net);
        if (net_random(net, 30) == 0)
            all_send(net);
        if (net_random(net, 60) == 0)
            come_again(net);
        net_run(net, 1 + net_random(net, steps < 100 ? 120 : 2000) * NS_PER_US);
    }
}

static struct net *storm_net(uint64_t seed, struct storm *storm)
{
    struct net *net = net_new(seed, 0);
    net->node_count = 2 + (int)net_random(net, 4);
    net->detect_ns = (20 + net_random(net, 80)) * NS_PER_MS;
    net->delay_most_ns += net_random(net, 3) * 100 * NS_PER_US;
    net->persist_ns = 1 + net_random(net, 3) * NS_PER_MS;
    net->park = net_random(net, 3) != 0;
    net->window_frames = net_random(net, 3) ? 0 : 1 + net_random(net, 40);
    if (net_random(net, 4) == 0) {
        net->rx_count = 300 + net_random(net, 300);
        net->tx_count = 130 + net_random(net, 200);
    }
    net->lease_ns = net_random(net, 3) ? 0 : 3 * NS_PER_MS;
    net->drop = lose_or_keep;
    net->drop_context = storm;
    return net;
}

static void settle(struct net *net)
{
    net_heal(net);
    for (int i = 0; i < net->node_count; i++) {
        if (!net->node[i].up && net->life_count < NET_LIVES)
            net_start(net, i);
    }
    if (net_settle(net, 20 * NS_PER_S))
        return;
    fprintf(stderr, "seed %" PRIu64 " does not settle\n", net->seed);
    if (getenv("RING_DUMP"))
        net_dump(net);
    abort();
}

struct net *storm_live(uint64_t seed)
{
    struct storm storm = { 0 };
    struct net *net = storm_net(seed, &storm);
    for (int i = 0; i < net->node_count; i++)
        net_start(net, i);
    net_run(net, 50 * NS_PER_MS);
    for (int i = 0; i < ROUNDS; i++)
        storm_round(net);
    net_check(net);
    settle(net);
    net_check(net);
    net_check_all_delivered(net);
    for (int i = 0; i < KEPT; i++)
        free(storm.kept[i].bytes);
    return net;
}

void storm_seeds(uint64_t seeds, void (*live)(uint64_t seed))
{
    uint64_t only = net_seed(0);
    uint64_t first = only ? only : 1, last = only ? only : seeds;
    const char *from = getenv("RING_FROM"), *count = getenv("RING_COUNT");
    if (from && !only) {
        first = strtoull(from, NULL, 0);
        last = first + (count ? strtoull(count, NULL, 0) : seeds) - 1;
    }
    for (uint64_t seed = first; seed <= last; seed++) {
        if (getenv("RING_TELL"))
            fprintf(stderr, "seed %" PRIu64 "\n", seed);
        live(seed);
    }
}
