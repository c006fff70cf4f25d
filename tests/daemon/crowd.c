/* SPDX-License-Identifier: BSD-3-Clause */
#include "crowd.h"

#include <stdarg.h>
#include <stdio.h>

struct world world;
struct crowd_node crowd[CROWD_NODES + 1];

enum { ARENAS_MAX = 512, RX_BYTES = 4 << 20, END_TAG = 1000 };

__attribute__((format(printf, 2, 3))) static void say(struct crowd_client *c, const char *format,
                                                      ...)
{
    va_list arguments;
    va_start(arguments, format);
    c->used +=
        (size_t)vsnprintf(c->story + c->used, CROWD_STORY_BYTES - c->used, format, arguments);
    va_end(arguments);
    cr_assert(lt(sz, c->used, CROWD_STORY_BYTES));
}

static void tell_view(struct crowd_client *c, const struct chan_view *view)
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

static void tell_message(struct crowd_client *c, const struct chan_event *e, const uint8_t *bytes)
{
    c->messages++;
    c->bytes += e->bytes;
    c->hash = c->hash * 31 + e->nodeid * 1000 + e->pid;
    for (uint32_t i = 0; i < min_u32(e->bytes, 16); i++)
        c->hash = (c->hash ^ bytes[i]) * 1099511628211u;
    if (e->bytes > 40 && c->expect)
        cr_assert(zero(int, memcmp(bytes, c->expect, e->bytes)), "a large message is damaged");
    if (c->used < CROWD_STORY_BYTES / 2)
        say(c, "msg %u/%u %.*s\n", e->nodeid, e->pid, (int)min_u32(e->bytes, 40),
            (const char *)bytes);
}

static void tell_ring(struct crowd_client *c, const struct chan_event *e,
                      const struct chan_ring *ring)
{
    say(c, "%sring %u:", e->flags & CHAN_FIRST_RING ? "first " : "", ring->ring_id.rep);
    for (uint32_t i = 0; i < ring->member_count; i++)
        say(c, " %u", ring->member[i]);
    say(c, "\n");
}

/* Every arena that events of a node may name. */
static void arenas_of(const struct world_node *n, struct fake_arena *arenas)
{
    *arenas++ = (struct fake_arena){ n->rx.id, n->rx.base };
    for (const struct world_segment *s = n->segments; s; s = s->next)
        *arenas++ = (struct fake_arena){ s->arena, s->base };
}

static void read_events(const struct world_node *n, struct crowd_client *c)
{
    struct fake_arena arenas[ARENAS_MAX] = { 0 };
    struct chan_event e;
    arenas_of(n, arenas);
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

static void segment_gone(struct crowd_node *n, uint32_t arena)
{
    n->gone++;
    for (int i = 0; i < CROWD_CLIENTS; i++) {
        if (n->client[i].fake.tx && n->client[i].fake.tx_arena == arena)
            n->client[i].fake.tx = NULL;
    }
}

static void on_event(void *context, struct world_node *node, const struct core_event *e)
{
    struct crowd_node *n = &crowd[node->id];
    switch (e->type) {
    case CORE_EVENT_ANSWER:
        if (e->tag >= END_TAG) {
            n->client[e->tag - END_TAG].ended = true;
        } else if (e->tag == 1) {
            n->answered = true;
            n->answer = *e;
        }
        break;
    case CORE_EVENT_EVICT:
        n->client[e->slot].evicted = true;
        n->client[e->slot].offence = e->arg;
        break;
    case CORE_EVENT_SEGMENT_GONE:
        segment_gone(n, e->arg);
        break;
    default:
        break;
    }
}

/* Tests push as they like and ring no bell: each core looks after a millisecond at the latest. */
static uint64_t turned(void *context, struct world_node *node)
{
    for (int i = 0; i < CROWD_CLIENTS; i++) {
        struct crowd_client *c = &crowd[node->id].client[i];
        if (c->live && !c->paused && !c->ended)
            read_events(node, c);
    }
    return world.now_ns + NS_PER_MS;
}

static const struct world_ops ops = { .event = on_event, .turned = turned };

void crowd_start(uint32_t id)
{
    char why[256];
    cr_assert(world_start(&world, id, why, sizeof(why)), "%s", why);
}

void crowd_open(int nodes)
{
    crowd_open_for(nodes, 32 << 20);
}

void crowd_open_for(int nodes, uint32_t message_bytes_max)
{
    struct world_config config = {
        .nodes = nodes,
        .each = { .cluster_name = "world",
                  .cluster_tag = 7,
                  .detect_ms = 100,
                  .netmtu = 1500,
                  .transport = "sim",
                  .poll = POLL_BACKOFF,
                  .poll_cpu = -1,
                  .rx_bytes = RX_BYTES,
                  .message_bytes_max = message_bytes_max,
                  .clients_max = CROWD_CLIENTS,
                  .slow_policy = SLOW_BLOCK,
                  .slow_client_ms = 300,
                  .client_events_max = 4096 },
        .net = { .seed = 1,
                 .faults = { .delay_ns_least = 20 * NS_PER_US, .delay_ns_most = 30 * NS_PER_US } },
        .turn_ns = NS_PER_US,
        .ops = &ops,
    };
    memset(crowd, 0, sizeof(crowd));
    world_create(&world, &config);
    for (int id = 1; id <= nodes; id++)
        crowd_start((uint32_t)id);
}

void crowd_unmap(struct crowd_client *c)
{
    c->fake.tx = NULL; /* the world's */
    fake_client_close(&c->fake);
}

void crowd_kill(uint32_t id)
{
    world_kill(&world, id);
    for (int i = 0; i < CROWD_CLIENTS; i++) {
        struct crowd_client *c = &crowd[id].client[i];
        if (c->fake.up)
            crowd_unmap(c);
        free(c->story);
        *c = (struct crowd_client){ 0 };
    }
}

void crowd_close(void)
{
    for (int id = 1; id <= world.count; id++) {
        if (world.node[id].core)
            crowd_kill((uint32_t)id);
    }
    world_destroy(&world);
}

void crowd_finish(void)
{
    for (int id = 1; id <= world.count; id++) {
        struct core *core = world.node[id].core;
        if (!core)
            continue;
        groups_check(&core->groups);
        zcb_pool_check(&core->rx_pool);
        zcb_pool_check(&core->tx_pool);
        ring_check(core->ring);
        cr_assert(zero(u64, core->groups.malformed));
        cr_assert(zero(u64, core->groups.diverged));
    }
    crowd_close();
}

void crowd_step(uint64_t most_ns)
{
    world_step(&world, world.now_ns + most_ns);
}

void crowd_run(uint64_t ns)
{
    world_run(&world, world.now_ns + ns);
}

uint32_t crowd_command(uint32_t id, struct core_command command)
{
    struct crowd_node *n = &crowd[id];
    command.tag = 1;
    n->answered = false;
    cr_assert(zero(int, core_command(world.node[id].core, &command)));
    world_wake(&world.node[id]);
    CROWD_UNTIL(n->answered);
    return n->answer.error;
}

static struct core_segment_setup segment_of(struct crowd_client *c)
{
    struct world_segment *s = world_segment_new(&world.node[c->node], CROWD_TX_BYTES);
    c->fake.tx = s->base;
    c->fake.tx_bytes = s->bytes;
    c->fake.tx_arena = s->arena;
    return (struct core_segment_setup){
        .client_slot = c->fake.setup.slot,
        .arena = { .base = s->base, .bytes = s->bytes, .id = s->arena, .fd = -1 },
    };
}

struct crowd_client *crowd_client(uint32_t id, uint32_t slot, uint32_t pid, uint32_t flags)
{
    struct crowd_client *c = &crowd[id].client[slot];
    free(c->story);
    *c = (struct crowd_client){ .node = id, .live = true, .story = calloc(1, CROWD_STORY_BYTES) };
    fake_client_make(&c->fake, slot, pid, flags);
    struct core_command add = { .type = CORE_CLIENT_ADD, .in.client = &c->fake.setup };
    cr_assert(eq(u32, crowd_command(id, add), CS_OK));
    struct core_segment_setup segment = segment_of(c);
    struct core_command tx = { .type = CORE_SEGMENT_ADD, .in.segment = &segment };
    cr_assert(eq(u32, crowd_command(id, tx), CS_OK));
    return c;
}

uint32_t crowd_join(struct crowd_client *c, const char *group)
{
    struct core_name name = { .bytes = (uint32_t)strlen(group) };
    memcpy(name.value, group, name.bytes);
    return crowd_command(c->node, (struct core_command){ .type = CORE_CLIENT_JOIN,
                                                         .slot = c->fake.setup.slot,
                                                         .pid = c->fake.setup.pid,
                                                         .in.name = &name });
}

uint32_t crowd_leave(struct crowd_client *c)
{
    return crowd_command(
        c->node, (struct core_command){ .type = CORE_CLIENT_LEAVE, .slot = c->fake.setup.slot });
}

void crowd_end(struct crowd_client *c)
{
    struct core_command end = { .type = CORE_CLIENT_END,
                                .slot = c->fake.setup.slot,
                                .tag = END_TAG + c->fake.setup.slot };
    c->live = false;
    cr_assert(zero(int, core_command(world.node[c->node].core, &end)));
    world_wake(&world.node[c->node]);
    CROWD_UNTIL(c->ended);
}

bool crowd_send(struct crowd_client *c, const char *text)
{
    return fake_client_send(&c->fake, text, (uint32_t)strlen(text), GUARANTEE_AGREED);
}

bool crowd_is_one(uint32_t nodes)
{
    return world_is_one(&world, nodes);
}

bool crowd_says(const struct crowd_client *c, const char *text)
{
    return strstr(c->story, text) != NULL;
}

void crowd_forget(struct crowd_client *c)
{
    c->story[0] = 0;
    c->used = 0;
}
