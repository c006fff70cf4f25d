/* SPDX-License-Identifier: BSD-3-Clause */
#include "world.h"

#include <stdarg.h>
#include <stdio.h>

struct world world;

enum { START_NS = 1000 };

static void configure(struct world_node *n, uint32_t id)
{
    struct config *c = &n->config;
    *c = (struct config){
        .cluster_name = "world",
        .cluster_tag = 7,
        .detect_ms = 100,
        .netmtu = 1500,
        .node_count = world.count,
        .node_id = id,
        .transport = "sim",
        .poll = POLL_BACKOFF,
        .poll_cpu = -1,
        .rx_bytes = WORLD_RX_BYTES,
        .message_bytes_max = 32 << 20,
        .clients_max = WORLD_CLIENTS,
        .slow_policy = SLOW_BLOCK,
        .slow_client_ms = 300,
        .client_events_max = 4096,
    };
    for (int i = 0; i < world.count; i++) {
        c->nodes[i].node_id = (uint32_t)i + 1;
        snprintf(c->nodes[i].address, sizeof(c->nodes[i].address), "127.0.0.%d", i + 1);
    }
}

void world_start(uint32_t id)
{
    struct world_node *n = &world.node[id];
    char why[256];
    uint64_t ring_seq = n->ring_seq;
    if (!n->config.node_count)
        configure(n, id);
    n->formed = false;
    cr_assert(zero(int, zcb_arena_create(&n->rx, "rx", n->config.rx_bytes, 1, ZCB_PAGES_SMALL,
                                         ZCB_WRITER_CREATOR)));
    struct core_config config = {
        .config = &n->config,
        .transport = &transport_sim,
        .rx_arena = &n->rx,
        .words = &n->words,
        .clients_max = WORLD_CLIENTS,
        .ring_seq = ring_seq,
        .incarnation = world.now_ns,
        .backend = &world.sim,
        .start_ns = world.now_ns,
    };
    int error = core_create(&n->core, &config, why, sizeof(why));
    cr_assert(zero(int, error), "%s", why);
}

void world_open(int nodes)
{
    world = (struct world){ .now_ns = START_NS, .count = nodes };
    struct sim_net_config net = {
        .seed = 1, .faults = { .delay_ns_least = 20 * NS_PER_US, .delay_ns_most = 30 * NS_PER_US }
    };
    cr_assert(zero(int, sim_net_create(&world.net, &net)));
    sim_net_advance(world.net, world.now_ns);
    world.sim.net = world.net;
    for (int id = 1; id <= nodes; id++)
        world_start((uint32_t)id);
}

void world_kill(uint32_t id)
{
    struct world_node *n = &world.node[id];
    core_destroy(n->core);
    n->core = NULL;
    zcb_arena_destroy(&n->rx);
    for (int i = 0; i < WORLD_CLIENTS; i++) {
        if (n->client[i].fake.up)
            fake_client_close(&n->client[i].fake);
        free(n->client[i].story);
        n->client[i] = (struct world_client){ 0 };
    }
}

void world_close(void)
{
    for (int id = 1; id <= world.count; id++) {
        if (world.node[id].core)
            world_kill((uint32_t)id);
    }
    sim_net_destroy(world.net);
}

static struct world_client *by_slot(struct world_node *n, uint32_t slot)
{
    return &n->client[slot];
}

static void on_event(struct world_node *n, const struct core_event *e)
{
    switch (e->type) {
    case CORE_EVENT_ANSWER:
        if (e->tag >= 1000) {
            by_slot(n, (uint32_t)e->tag - 1000)->ended = true;
            break;
        }
        n->answered = e->tag == 1 || n->answered;
        if (e->tag == 1)
            n->answer = *e;
        break;
    case CORE_EVENT_PERSIST:
        n->ring_seq = e->arg64;
        core_command(n->core, &(struct core_command){ .type = CORE_PERSISTED, .arg64 = e->arg64 });
        break;
    case CORE_EVENT_FORMED:
        n->formed = true;
        break;
    case CORE_EVENT_EVICT:
        by_slot(n, e->slot)->evicted = true;
        by_slot(n, e->slot)->offence = e->arg;
        break;
    case CORE_EVENT_SEGMENT_GONE:
        n->gone++;
        break;
    default:
        break;
    }
}

__attribute__((format(printf, 2, 3))) static void say(struct world_client *c, const char *format,
                                                      ...)
{
    va_list arguments;
    va_start(arguments, format);
    c->used +=
        (size_t)vsnprintf(c->story + c->used, WORLD_STORY_BYTES - c->used, format, arguments);
    va_end(arguments);
    cr_assert(lt(sz, c->used, WORLD_STORY_BYTES));
}

static void tell_view(struct world_client *c, const struct chan_view *view)
{
    const struct chan_address *a = view->entry + view->member_count;
    say(c, "view");
    for (uint32_t i = 0; i < view->left_count; i++, a++)
        say(c, " -%u/%u.%u", a->nodeid, a->pid, a->reason);
    for (uint32_t i = 0; i < view->joined_count; i++, a++)
        say(c, " +%u/%u.%u", a->nodeid, a->pid, a->reason);
    say(c, " =");
    for (uint32_t i = 0; i < view->member_count; i++)
        say(c, " %u/%u", view->entry[i].nodeid, view->entry[i].pid);
    say(c, "%s%s\n", view->flags & CHAN_VIEW_OWN_JOIN ? " begins" : "",
        view->flags & CHAN_VIEW_OWN_LEAVE ? " ends" : "");
}

static void tell_message(struct world_client *c, const struct chan_event *e, const uint8_t *bytes)
{
    c->messages++;
    c->bytes += e->bytes;
    c->hash = c->hash * 31 + e->nodeid * 1000 + e->pid;
    for (uint32_t i = 0; i < min_u32(e->bytes, 16); i++)
        c->hash = (c->hash ^ bytes[i]) * 1099511628211u;
    if (e->bytes > 40 && c->expect)
        cr_assert(zero(int, memcmp(bytes, c->expect, e->bytes)), "a large message is damaged");
    if (c->used < WORLD_STORY_BYTES / 2)
        say(c, "msg %u/%u %.*s\n", e->nodeid, e->pid, (int)min_u32(e->bytes, 40),
            (const char *)bytes);
}

static void tell_ring(struct world_client *c, const struct chan_event *e,
                      const struct chan_ring *ring)
{
    say(c, "%sring %u:", e->flags & CHAN_FIRST_RING ? "first " : "", ring->ring_id.rep);
    for (uint32_t i = 0; i < ring->member_count; i++)
        say(c, " %u", ring->member[i]);
    say(c, "\n");
}

static void read_events(struct world_node *n, struct world_client *c)
{
    struct fake_arena arenas[WORLD_CLIENTS + 2] = { { 1, n->rx.base } };
    int count = 1;
    struct chan_event e;
    for (int i = 0; i < WORLD_CLIENTS; i++) {
        if (n->client[i].fake.tx)
            arenas[count++] =
                (struct fake_arena){ n->client[i].fake.tx_arena, n->client[i].fake.tx };
    }
    while (fake_client_take(&c->fake, &e)) {
        uint8_t *bytes = malloc(e.bytes + 1);
        fake_client_gather(arenas, &e, bytes);
        bytes[e.bytes] = 0;
        if (e.kind == CHAN_MESSAGE)
            tell_message(c, &e, bytes);
        else if (e.kind == CHAN_VIEW)
            tell_view(c, (const struct chan_view *)(const void *)bytes);
        else
            tell_ring(c, &e, (const struct chan_ring *)(const void *)bytes);
        free(bytes);
        if (e.flags & CHAN_LEASE_END)
            fake_client_give_back(&c->fake, e.lease);
    }
}

static bool node_turn(struct world_node *n)
{
    struct core_event event;
    bool worked = core_turn(n->core, world.now_ns);
    while (core_event(n->core, &event))
        on_event(n, &event);
    for (int i = 0; i < WORLD_CLIENTS; i++) {
        struct world_client *c = &n->client[i];
        if (c->live && !c->paused && !c->ended)
            read_events(n, c);
    }
    return worked;
}

void world_step(uint64_t most_ns)
{
    bool worked = false;
    uint64_t next_ns = min_u64(world.now_ns + most_ns, sim_net_next_ns(world.net));
    for (int id = 1; id <= world.count; id++) {
        struct world_node *n = &world.node[id];
        if (!n->core || n->asleep || n->core->stopped)
            continue;
        worked = node_turn(n) || worked;
        next_ns = min_u64(next_ns, ring_deadline_ns(n->core->ring));
    }
    /* A turn takes a microsecond. */
    world.now_ns = worked ? world.now_ns + NS_PER_US : max_u64(next_ns, world.now_ns + NS_PER_US);
    sim_net_advance(world.net, world.now_ns);
}

void world_run(uint64_t ns)
{
    uint64_t end_ns = world.now_ns + ns;
    while (world.now_ns < end_ns)
        world_step(NS_PER_MS);
}

uint32_t world_command(uint32_t id, struct core_command command)
{
    struct world_node *n = &world.node[id];
    command.tag = 1;
    n->answered = false;
    cr_assert(zero(int, core_command(n->core, &command)));
    WORLD_UNTIL(n->answered);
    return n->answer.error;
}

struct world_client *world_client(uint32_t id, uint32_t slot, uint32_t pid, uint32_t flags)
{
    struct world_client *c = by_slot(&world.node[id], slot);
    free(c->story);
    *c = (struct world_client){ .node = id, .live = true, .story = calloc(1, WORLD_STORY_BYTES) };
    fake_client_open(&c->fake, slot, pid, flags);
    struct core_command add = { .type = CORE_CLIENT_ADD, .in.client = &c->fake.setup };
    cr_assert(eq(u32, world_command(id, add), CS_OK));
    struct core_segment_setup segment = fake_client_segment(&c->fake, WORLD_TX_BYTES, 100 + slot);
    struct core_command tx = { .type = CORE_SEGMENT_ADD, .in.segment = &segment };
    cr_assert(eq(u32, world_command(id, tx), CS_OK));
    return c;
}

uint32_t world_join(struct world_client *c, const char *group)
{
    struct core_name name = { .bytes = (uint32_t)strlen(group) };
    memcpy(name.value, group, name.bytes);
    return world_command(c->node, (struct core_command){ .type = CORE_CLIENT_JOIN,
                                                         .slot = c->fake.setup.slot,
                                                         .pid = c->fake.setup.pid,
                                                         .in.name = &name });
}

uint32_t world_leave(struct world_client *c)
{
    return world_command(
        c->node, (struct core_command){ .type = CORE_CLIENT_LEAVE, .slot = c->fake.setup.slot });
}

void world_end(struct world_client *c)
{
    struct core_command end = { .type = CORE_CLIENT_END,
                                .slot = c->fake.setup.slot,
                                .tag = 1000 + c->fake.setup.slot };
    c->live = false;
    cr_assert(zero(int, core_command(world.node[c->node].core, &end)));
    WORLD_UNTIL(c->ended);
}

bool world_send(struct world_client *c, const char *text)
{
    return fake_client_send(&c->fake, text, (uint32_t)strlen(text), GUARANTEE_AGREED);
}

bool world_is_one(uint32_t nodes)
{
    const struct groups *first = NULL;
    int count = __builtin_popcount(nodes);
    for (uint32_t id = 1; id <= (uint32_t)world.count; id++) {
        if (!(nodes >> id & 1))
            continue;
        const struct groups *g = &world.node[id].core->groups;
        first = first ? first : g;
        if (g->exchange.open || g->ring_member_count != count ||
            !ring_id_equal(g->ring_id, first->ring_id))
            return false;
    }
    return true;
}

bool world_says(const struct world_client *c, const char *text)
{
    return strstr(c->story, text) != NULL;
}

void world_forget(struct world_client *c)
{
    c->story[0] = 0;
    c->used = 0;
}
