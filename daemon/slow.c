/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * slow.c - clients that do not keep up.
 *
 * A client over its bound stops every sender of the ring (policy block) or goes at once (evict).
 * What many clients pin together can stop senders too, each of them within its bound: receive
 * frames run low, the ring takes no more from us, a segment does not drain. When that has lasted
 * as long as a client may block, the one that has not moved for longest goes. So every stop ends.
 */
#include "core_inner.h"

enum {
    WATCH_NS = 20 * NS_PER_MS,
    WATCH_BUSY_NS = NS_PER_MS, /* while somebody is over its bound, or events wait */
};

static uint64_t slow_ns(const struct core *core)
{
    return core->config->slow_client_ms * NS_PER_MS;
}

static bool over_bound(const struct core *core, const struct client *c)
{
    return c->outlet.waiting_count >= core->config->client_events_max ||
           c->outlet.frames_out >= core->client_frames_max;
}

static void see_progress(const struct core *core, struct client *c)
{
    uint64_t progress =
        c->outlet.returned + atomic_load_explicit(c->outlet.event_head, memory_order_relaxed);
    bool owes = c->outlet.leases_out > 0 || outlet_backlog(&c->outlet) > 0;
    if (progress != c->progress || !owes)
        c->progress_ns = core->now_ns;
    c->progress = progress;
    if (!over_bound(core, c))
        c->over_ns = 0;
    else if (c->over_ns == 0)
        c->over_ns = core->now_ns;
}

static void go(struct core *core, struct client *c)
{
    clients_evict(&core->clients, c, CORE_OFFENCE_SLOW,
                  (core->now_ns - c->progress_ns) / NS_PER_MS);
}

/* True: it is over its bound and stays. */
static bool judge(struct core *core, struct client *c)
{
    if (c->outlet.silent || c->over_ns == 0)
        return false;
    uint64_t still_ns = core->now_ns - max_u64(c->progress_ns, c->over_ns);
    if (core->config->slow_policy == SLOW_BLOCK && still_ns < slow_ns(core))
        return true;
    go(core, c);
    return false;
}

/* A segment nearly full that has not moved for as long as a client may block. */
static bool stuck(const struct core *core, struct segment *segment)
{
    bool full = segment->taken_end - segment->free_end >= segment->bytes / 4 * 3;
    if (!full || segment->free_end != segment->stuck_end || segment->stuck_ns == 0) {
        segment->stuck_end = segment->free_end;
        segment->stuck_ns = full ? core->now_ns : 0;
        return false;
    }
    return core->now_ns - segment->stuck_ns >= slow_ns(core);
}

static bool any_stuck(const struct core *core)
{
    bool some = false;
    for (uint32_t i = 0; i < core->clients.count; i++) {
        struct client *c = core->clients.list[i];
        for (int s = 0; s < CHAN_SEGMENT_COUNT; s++)
            some = (c->segment[s] && stuck(core, c->segment[s])) || some;
    }
    return some;
}

/* Do pinned frames stop senders, though nobody is over its bound? Not when the ring itself has
 * stopped them, for a change of members. */
static bool under_pressure(const struct core *core)
{
    bool low = core->rx_pool.free_count <= core->rx_reserve;
    bool full = core->clients.full_since_ns != 0;
    if (!low && !full)
        return false;
    struct ring_status status;
    ring_status(core->ring, &status);
    return status.state == RING_OPERATIONAL && !core->groups.exchange.open;
}

/* Who holds something and has not moved for longest, and for too long. */
static void evict_stalest(struct core *core)
{
    struct client *stalest = NULL;
    for (uint32_t i = 0; i < core->clients.count; i++) {
        struct client *c = core->clients.list[i];
        if (!c->outlet.silent && c->outlet.leases_out > 0 &&
            core->now_ns - c->progress_ns >= slow_ns(core) &&
            (!stalest || c->progress_ns < stalest->progress_ns))
            stalest = c;
    }
    if (stalest)
        go(core, stalest);
}

static void watch_pressure(struct core *core)
{
    bool pressure = under_pressure(core);
    if (!pressure)
        core->pressure_ns = 0;
    else if (core->pressure_ns == 0)
        core->pressure_ns = core->now_ns;
    bool long_enough = pressure && core->now_ns - core->pressure_ns >= slow_ns(core);
    if (any_stuck(core) || long_enough)
        evict_stalest(core);
}

void core_watch(struct core *core)
{
    bool many = core->stats.backlog_events >= core->config->client_events_max;
    if (core->now_ns < core->watch_ns && !many)
        return;
    bool blocked = false;
    for (uint32_t i = 0; i < core->clients.count; i++) {
        see_progress(core, core->clients.list[i]);
        blocked = judge(core, core->clients.list[i]) || blocked;
    }
    core->blocked = blocked;
    watch_pressure(core);
    clients_settle(&core->clients);
    bool busy = blocked || core->stats.backlog_events > 0 || core->pressure_ns;
    core->watch_ns = core->now_ns + (busy ? WATCH_BUSY_NS : WATCH_NS);
}

/* Something has run out: whoever has most of it goes, at once. */
bool core_relieve(void *context)
{
    struct core *core = context;
    struct client *worst = NULL;
    uint64_t most = 0;
    for (uint32_t i = 0; i < core->clients.count; i++) {
        struct client *c = core->clients.list[i];
        uint64_t has = (uint64_t)c->outlet.waiting_count + c->outlet.frames_out;
        if (!c->outlet.silent && has > most) {
            most = has;
            worst = c;
        }
    }
    if (!worst)
        return false;
    see_progress(core, worst);
    go(core, worst);
    return true;
}
