/* SPDX-License-Identifier: BSD-3-Clause */
#include "watch.h"

#include <inttypes.h>

enum {
    LOOK_NS = NS_PER_MS,
    AWAY_NS =
        20 * NS_PER_MS, /* not looked at for longer: the node stood still, and all begins anew */
    /* The core looks every 20 ms, and after that every ms; its clock may go a tenth slow. */
    SLACK_NS = 50 * NS_PER_MS,
};

bool watch_ring(struct watch_ring *w, const struct ring *r, struct verdict *v)
{
    const struct gather *g = &r->gather;
    struct watch_ring now = {
        .gathers = r->state == RING_GATHER && !r->left, /* a farewell names its sender only */
        .owes = r->my_received_flag,
        .gathering = r->stats.gathers,
        .configurations = r->stats.configurations,
        .proc_set = g->my_proc_set,
        .fail_set = g->my_fail_set,
        .deliver_memb = r->my_deliver_memb,
    };
    struct watch_ring was = *w;
    *w = now;
    if (was.gathers && now.gathers && was.gathering == now.gathering) {
        if (!set_within(was.proc_set, now.proc_set))
            return verdict_broken(v, "sets",
                                  "node %u: proc_set shrinks from %" PRIx64 " to %" PRIx64,
                                  r->config.node_id, was.proc_set.word[0], now.proc_set.word[0]);
        if (!set_within(was.fail_set, now.fail_set))
            return verdict_broken(v, "sets",
                                  "node %u: fail_set shrinks from %" PRIx64 " to %" PRIx64,
                                  r->config.node_id, was.fail_set.word[0], now.fail_set.word[0]);
    }
    if (was.owes && was.configurations == now.configurations &&
        (!now.owes || !set_within(was.deliver_memb, now.deliver_memb)))
        return verdict_broken(v, "debt",
                              "node %u: my_deliver_memb shrinks from %" PRIx64 " to %" PRIx64 "%s",
                              r->config.node_id, was.deliver_memb.word[0], now.deliver_memb.word[0],
                              now.owes ? "" : ", and the flag is gone");
    return true;
}

bool watch_client(struct watch_client *c, bool stops, uint64_t moved, uint64_t most_ns,
                  uint64_t now_ns)
{
    if (!stops)
        c->since_ns = 0;
    else if (c->since_ns == 0 || c->moved != moved)
        c->since_ns = now_ns;
    c->moved = moved;
    return c->since_ns == 0 || now_ns - c->since_ns <= most_ns;
}

/* Over its bound, whatever the core thinks of that. */
static bool stops_senders(const struct core *core, const struct outlet *o)
{
    return !o->silent && (o->waiting_count >= core->config->client_events_max ||
                          o->frames_out >= core->client_frames_max);
}

bool watch_slow(struct watch_slow *w, const struct core *core, uint64_t now_ns, struct verdict *v)
{
    uint64_t most_ns = core->config->slow_client_ms * NS_PER_MS;
    if (now_ns - w->looked_ns < LOOK_NS || core->config->slow_policy != SLOW_BLOCK)
        return true;
    if (now_ns - w->looked_ns > AWAY_NS)
        memset(w->client, 0, sizeof(w->client));
    w->looked_ns = now_ns;
    most_ns += most_ns / 8 + SLACK_NS;
    for (uint32_t slot = 0; slot < WORLD_CLIENTS; slot++) {
        const struct client *c = core->clients.by_slot[slot];
        uint64_t moved = c ? c->outlet.returned + atomic_load(c->outlet.event_head) : 0;
        bool stops = c && stops_senders(core, &c->outlet);
        if (!watch_client(&w->client[slot], stops, moved, most_ns, now_ns))
            return verdict_broken(v, "laggard",
                                  "node %u: client %u stops all senders for %" PRIu64
                                  " ms, and has not moved; slow_client_ms is %u",
                                  core->config->node_id, slot,
                                  (now_ns - w->client[slot].since_ns) / NS_PER_MS,
                                  (unsigned)core->config->slow_client_ms);
    }
    return true;
}

/* What has come of a message says nothing of its length, but that it is no less. */
bool watch_large(const struct core *core, struct verdict *v)
{
    uint32_t under_way = 0, free_bytes = ring_bulk_free_bytes(core->groups.node_count);
    for (int n = 0; n < core->groups.node_count; n++)
        under_way += core->deliver.partial[n].bytes > free_bytes;
    return under_way <= 1 ||
           verdict_broken(v, "large", "node %u: large messages of %u nodes are under way at once",
                          core->config->node_id, under_way);
}

bool watch_disk(const struct ring *r, uint64_t disk_seq, struct verdict *v)
{
    return r->persisted <= disk_seq ||
           verdict_broken(v, "disk",
                          "node %u counts on ring seq %" PRIu64 ", and its disk has %" PRIu64,
                          r->config.node_id, r->persisted, disk_seq);
}
