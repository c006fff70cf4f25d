/* SPDX-License-Identifier: BSD-3-Clause */
#include "world.h"

#include <string.h>
#include <unistd.h>

enum {
    START_NS = 1000,
    PPM = 1000000,
    OWED_NS = 2 * NS_PER_MS, /* as long as core_sleep() sleeps while clients owe something */
    ARENA_RX = 1,
};

static void configure(struct world *w, struct world_node *n, const struct config *each)
{
    n->config = *each;
    n->config.node_id = n->id;
    n->config.node_count = w->count;
    for (int i = 0; i < w->count; i++) {
        n->config.nodes[i].node_id = (uint32_t)i + 1;
        snprintf(n->config.nodes[i].address, sizeof(n->config.nodes[i].address), "127.0.0.%d",
                 i + 1);
    }
}

void world_create(struct world *w, const struct world_config *config)
{
    *w = (struct world){ .now_ns = START_NS,
                         .turn_ns = config->turn_ns,
                         .count = config->nodes,
                         .ops = config->ops,
                         .context = config->context };
    INVARIANT(w->count > 0 && w->count <= WORLD_NODES_MAX);
    int failed = sim_net_create(&w->net, &config->net);
    INVARIANT(failed == 0);
    sim_net_advance(w->net, w->now_ns);
    w->sim = (struct sim_config){ .net = w->net, .by_reference = config->by_reference };
    for (int i = 1; i <= w->count; i++) {
        struct world_node *n = &w->node[i];
        n->world = w;
        n->id = (uint32_t)i;
        INVARIANT(sim_node_index(w->net, n->id) == n->id - 1);
        n->persist_ns = config->persist_ns;
        n->last_arena = ARENA_RX;
        configure(w, n, &config->each);
        n->clock = (struct world_clock){ .base_ns = w->now_ns, .local_ns = w->now_ns };
        n->rx = (struct zcb_arena){ .page_bytes = CHAN_PAGE_BYTES, .id = ARENA_RX, .fd = -1 };
        n->rx.bytes = core_rx_bytes(&(struct core_config){
            .config = &n->config, .transport = &transport_sim, .backend = &w->sim });
        n->rx.base = aligned_alloc(CHAN_PAGE_BYTES, align_up(n->rx.bytes, CHAN_PAGE_BYTES));
        INVARIANT(n->rx.base);
    }
}

void world_destroy(struct world *w)
{
    for (int i = 1; i <= w->count; i++) {
        if (w->node[i].core)
            world_kill(w, (uint32_t)i);
        free(w->node[i].rx.base);
    }
    sim_net_destroy(w->net);
}

uint64_t world_local_ns(const struct world *w, const struct world_node *n)
{
    uint64_t passed = w->now_ns - n->clock.base_ns;
    if (n->clock.ppm == 0)
        return n->clock.local_ns + passed;
    return n->clock.local_ns + passed + (uint64_t)((int64_t)passed / PPM * n->clock.ppm) +
           (uint64_t)((int64_t)passed % PPM * n->clock.ppm / PPM);
}

uint64_t world_when_ns(const struct world_node *n, uint64_t local_ns)
{
    if (local_ns >= NS_NEVER / 2)
        return NS_NEVER;
    if (local_ns <= n->clock.local_ns)
        return n->clock.base_ns;
    uint64_t left = local_ns - n->clock.local_ns;
    if (n->clock.ppm == 0)
        return n->clock.base_ns + left + 2;
    uint64_t rate = (uint64_t)(PPM + n->clock.ppm);
    return n->clock.base_ns + left / rate * PPM + left % rate * PPM / rate + 2;
}

void world_clock_rate(struct world *w, uint32_t id, int32_t ppm)
{
    struct world_node *n = &w->node[id];
    uint64_t local_ns = world_local_ns(w, n);
    n->clock = (struct world_clock){ .base_ns = w->now_ns, .local_ns = local_ns, .ppm = ppm };
    world_wake(n);
}

/* Without the thread nobody waits for these, and without them nobody rings: no system calls. */
static void close_bells(struct core *core)
{
    close(core->epoll_fd);
    close(core->event_fd);
    core->epoll_fd = core->event_fd = -1;
}

bool world_start(struct world *w, uint32_t id, char *why, size_t why_bytes)
{
    struct world_node *n = &w->node[id];
    struct core_config config = {
        .config = &n->config,
        .transport = &transport_sim,
        .rx_arena = &n->rx,
        .words = &n->words,
        .clients_max = n->config.clients_max,
        .ring_seq = n->disk_seq,
        .incarnation = w->now_ns + ++n->starts,
        .backend = &w->sim,
        .start_ns = world_local_ns(w, n),
    };
    INVARIANT(!n->core);
    n->formed = false;
    n->words = (struct chan_core){ 0 };
    n->persist_count = 0;
    if (core_create(&n->core, &config, why, why_bytes) != 0) {
        n->core = NULL;
        return false;
    }
    close_bells(n->core);
    w->due[id] = (struct world_due){ .ready_ns = w->now_ns, .wake_ns = w->now_ns, .runs = true };
    return true;
}

void world_kill(struct world *w, uint32_t id)
{
    struct world_node *n = &w->node[id];
    zcb_pool_check(&n->core->rx_pool);
    zcb_pool_check(&n->core->tx_pool);
    core_destroy(n->core);
    n->core = NULL;
    w->due[id].runs = false;
    n->formed = false;
    n->persist_count = 0;
    while (n->segments) {
        struct world_segment *s = n->segments;
        n->segments = s->next;
        free(s->base);
        free(s);
    }
}

struct world_segment *world_segment_new(struct world_node *n, uint64_t bytes)
{
    struct world_segment *s = calloc(1, sizeof(*s));
    INVARIANT(s);
    bytes = align_up(bytes, CHAN_PAGE_BYTES);
    *s = (struct world_segment){ .next = n->segments, .bytes = bytes, .arena = ++n->last_arena };
    s->base = aligned_alloc(CHAN_PAGE_BYTES, bytes);
    INVARIANT(s->base);
    n->segments = s;
    return s;
}

const uint8_t *world_bytes(const struct world_node *n, uint32_t arena, uint64_t offset)
{
    if (arena == n->rx.id)
        return n->rx.base + offset;
    for (const struct world_segment *s = n->segments; s; s = s->next) {
        if (s->arena == arena)
            return s->base + offset;
    }
    return NULL;
}

static void segment_gone(struct world_node *n, uint32_t arena)
{
    struct world_segment **link = &n->segments;
    while (*link && (*link)->arena != arena)
        link = &(*link)->next;
    struct world_segment *s = *link;
    INVARIANT(s); /* K3: gone once, and it was there */
    *link = s->next;
    memset(s->base, 0xdd, min_u64(s->bytes, CHAN_PAGE_BYTES)); /* who still reads it will see */
    free(s->base);
    free(s);
}

/* The state directory. What cannot be written is not answered: the ring asks again. */
static void persist(struct world_node *n, uint64_t seq)
{
    const struct world *w = n->world;
    if (w->now_ns < n->disk_fails_ns || n->persist_count == WORLD_PERSISTS)
        return;
    uint32_t at = n->persist_count++;
    n->persist[at].at_ns = w->now_ns + n->persist_ns;
    n->persist[at].seq = seq;
}

static void persists_end(struct world_node *n)
{
    while (n->persist_count > 0 && n->persist[0].at_ns <= n->world->now_ns) {
        uint64_t seq = n->persist[0].seq;
        n->disk_seq = max_u64(n->disk_seq, seq);
        memmove(n->persist, n->persist + 1, --n->persist_count * sizeof(n->persist[0]));
        core_command(n->core, &(struct core_command){ .type = CORE_PERSISTED, .arg64 = seq });
    }
}

static void on_event(struct world_node *n, const struct core_event *event)
{
    switch (event->type) {
    case CORE_EVENT_PERSIST:
        persist(n, event->arg64);
        break;
    case CORE_EVENT_SEGMENT_GONE:
        n->world->ops->event(n->world->context, n, event);
        segment_gone(n, event->arg);
        break;
    case CORE_EVENT_FORMED:
        n->formed = true;
        break;
    default:
        n->world->ops->event(n->world->context, n, event);
    }
}

static uint64_t sleeps_until(const struct world_node *n)
{
    const struct core *core = n->core;
    uint64_t local_ns = ring_deadline_ns(core->ring);
    if (core->stopping)
        local_ns = min_u64(local_ns, core->stop_deadline_ns);
    uint64_t until_ns = world_when_ns(n, local_ns);
    return core_owed(core) ? min_u64(until_ns, n->world->now_ns + OWED_NS) : until_ns;
}

static void turn(struct world_node *n)
{
    struct world *w = n->world;
    struct world_due *due = &w->due[n->id];
    struct core_event event;
    persists_end(n);
    if (w->ops->before)
        w->ops->before(w->context, n);
    w->net->node[n->id - 1].told = false;
    /* Who would have slept was not kept from it. */
    if (due->pause_ns > 0 && due->wake_ns < w->now_ns)
        core_away(n->core, world_local_ns(w, n), w->now_ns - max_u64(due->pause_ns, due->wake_ns));
    due->pause_ns = 0;
    bool worked = core_turn(n->core, world_local_ns(w, n));
    w->turns++;
    due->ready_ns = w->now_ns + w->turn_ns;
    due->wake_ns = worked ? due->ready_ns : max_u64(sleeps_until(n), due->ready_ns);
    while (spsc_waiting(&n->core->events.consumer) > 0 && core_event(n->core, &event))
        on_event(n, &event);
    due->wake_ns = min_u64(due->wake_ns, w->ops->turned(w->context, n));
    if (spsc_waiting(&n->core->commands.consumer) > 0)
        due->wake_ns = due->ready_ns;
    if (n->persist_count > 0)
        due->wake_ns = min_u64(due->wake_ns, n->persist[0].at_ns);
    due->runs = !n->core->stopped;
}

void world_wake(struct world_node *n)
{
    struct world_due *due = &n->world->due[n->id];
    due->wake_ns = min_u64(due->wake_ns, n->world->now_ns);
}

void world_pause(struct world *w, uint32_t id, uint64_t until_ns)
{
    struct world_due *due = &w->due[id];
    if (until_ns > w->now_ns && due->paused_ns <= w->now_ns)
        due->pause_ns = w->now_ns;
    due->paused_ns = until_ns;
}

static uint64_t due_ns(const struct world *w, int id)
{
    const struct world_due *due = &w->due[id];
    if (!due->runs)
        return NS_NEVER;
    bool arrived = w->net->node[id - 1].inbox_count > 0 || w->net->node[id - 1].told;
    uint64_t at_ns = arrived ? w->now_ns : due->wake_ns;
    return max_u64(max_u64(at_ns, due->ready_ns), due->paused_ns);
}

void world_step(struct world *w, uint64_t until_ns)
{
    uint64_t next_ns = min_u64(until_ns, sim_net_next_ns(w->net));
    for (int i = 1; i <= w->count; i++)
        next_ns = min_u64(next_ns, due_ns(w, i));
    w->now_ns = max_u64(w->now_ns, next_ns);
    sim_net_advance(w->net, w->now_ns);
    for (int i = 1; i <= w->count; i++) {
        if (due_ns(w, i) <= w->now_ns)
            turn(&w->node[i]);
    }
}

void world_run(struct world *w, uint64_t until_ns)
{
    while (w->now_ns < until_ns)
        world_step(w, until_ns);
}

bool world_is_one(const struct world *w, uint32_t nodes)
{
    const struct groups *first = NULL;
    int count = __builtin_popcount(nodes);
    for (uint32_t id = 1; id <= (uint32_t)w->count; id++) {
        if (!(nodes >> id & 1))
            continue;
        if (!w->node[id].core)
            return false;
        const struct groups *g = &w->node[id].core->groups;
        first = first ? first : g;
        if (g->exchange.open || !g->exchange.ever || g->ring_member_count != count ||
            !ring_id_equal(g->ring_id, first->ring_id))
            return false;
    }
    return true;
}

static void check_deliver(const struct core *core)
{
    struct outlet *outlets[WORLD_CLIENTS];
    uint32_t count = core->clients.count;
    INVARIANT(count <= WORLD_CLIENTS);
    for (uint32_t i = 0; i < count; i++)
        outlets[i] = &core->clients.list[i]->outlet;
    deliver_check(&core->deliver, outlets, count);
}

void world_check(const struct world *w)
{
    for (int i = 1; i <= w->count; i++) {
        const struct core *core = w->node[i].core;
        if (!core)
            continue;
        ring_check(core->ring);
        zcb_pool_check_used(&core->rx_pool);
        zcb_pool_check_used(&core->tx_pool);
        groups_check(&core->groups);
        check_deliver(core);
    }
}
