/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * slow.c - clients that do not keep up.
 *
 * A client over its bound stops every sender of the ring (policy block) or goes at once (evict).
 * What many clients pin together can stop senders too, each of them within its bound: receive
 * frames run low, the ring takes no more from us, a sender's segments do not drain. When that has
 * lasted as long as a client may block, the one that has not moved for longest goes. So every stop
 * ends.
 */
#include "core_inner.h"

enum {
    WATCH_NS = 20 * NS_PER_MS,
    WATCH_BUSY_NS = NS_PER_MS,   /* while somebody is over its bound, or events wait */
    EVICT_NS = 20 * NS_PER_MS,   /* what comes at once may be over the bound: one large message */
    RETRY_NS = 1500 * NS_PER_MS, /* who still wants to send has tried again by then */
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

/* Leases that came back, and events taken: a head that only moves to and fro is neither. */
static void see_progress(struct core *core, struct client *c)
{
    (void)outlet_room(&core->deliver, &c->outlet);
    uint64_t progress = c->outlet.returned + c->outlet.events.head_seen;
    bool owes = c->outlet.leases_out > 0 || outlet_backlog(&c->outlet) > 0;
    if (progress != c->progress || !owes || !c->owed) /* its time begins when it is first seen */
        c->progress_ns = core->now_ns;
    c->progress = progress;
    c->owed = owes;
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
    bool waits = core->config->slow_policy == SLOW_BLOCK ? still_ns < slow_ns(core)
                                                         : core->now_ns - c->over_ns < EVICT_NS;
    if (waits)
        return true;
    go(core, c);
    return false;
}

/* Does none of its segments take a message of half its length? Each does while it is empty. */
static bool segments_full(const struct client *c)
{
    bool full = false;
    for (int i = 0; i < CHAN_SEGMENT_COUNT; i++) {
        const struct segment *s = c->segment[i];
        if (!s || s->closing)
            continue;
        if (segment_room(s) >= s->bytes / 2)
            return false;
        full = true;
    }
    return full;
}

void core_segment_denied(struct core *core, uint32_t slot)
{
    struct client *c = clients_find(&core->clients, slot);
    uint64_t bytes, used;
    clients_segment_bytes(&core->clients, &bytes, &used);
    if (c && used >= bytes / 2)
        c->denied_ns = core->now_ns;
}

/* Seen from here: what it pushed is not taken, what it sent does not come back, or others' does
 * not, so that it gets no memory. */
static bool has_no_room(const struct core *core, struct client *c)
{
    bool denied = c->denied_ns > 0 && core->now_ns - c->denied_ns <= RETRY_NS;
    return denied || segments_full(c) || spsc_waiting(&c->submit) > 0;
}

/* A client that is refused again and again, and gets no message out. That it wants to send one we
 * have from itself; it may cost others their place only where we see that it cannot. */
static void see_starving(const struct core *core, struct client *c)
{
    uint32_t refused = atomic_load_explicit(&c->setup.up->words.refused, memory_order_relaxed);
    bool no_room = has_no_room(core, c);
    if (!no_room || c->messages_in != c->starved_in || core->now_ns - c->refused_ns > RETRY_NS)
        c->starved_ns = 0;
    if (refused != c->refused) {
        c->refused = refused;
        c->refused_ns = core->now_ns;
        if (c->starved_ns == 0 && no_room)
            c->starved_ns = core->now_ns;
        c->starved_in = c->messages_in;
    }
}

static bool any_starves(const struct core *core)
{
    for (uint32_t i = 0; i < core->clients.count; i++) {
        if (core->clients.list[i]->starved_ns)
            return true;
    }
    return false;
}

uint32_t core_frames_welcome(const struct core *core)
{
    uint32_t free_frames = core->rx_pool.free_count;
    if (free_frames <= core->rx_reserve)
        return 0;
    return min_u32(free_frames - core->rx_reserve, deliver_frames_welcome(&core->deliver));
}

/* Do pinned frames stop senders, though nobody is over its bound? Not when the ring itself has
 * stopped them, for a change of members. */
static bool under_pressure(const struct core *core)
{
    bool low = core_frames_welcome(core) == 0;
    bool full = core->clients.full_since_ns != 0;
    if (!low && !full && !any_starves(core))
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
    if (long_enough)
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
        see_starving(core, core->clients.list[i]);
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
