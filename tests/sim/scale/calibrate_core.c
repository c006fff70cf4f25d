/* SPDX-License-Identifier: BSD-3-Clause */
#include "calibrate.h"

#include "daemon/fake_client.h"
#include "world.h"

#include <time.h>

/*
 * What the daemon's poll core adds to its ring: a turn in which nothing happens, and a message more
 * in a frame that goes to one client. Two whole cores on the network of virtual time.
 */

enum {
    TURN_US = 5,
    MESSAGE_BYTES = 56,
    SEGMENT_BYTES = 1 << 20,
    ROUNDS = 40000,
    MESSAGES_MOST = 20,
    ENOUGH = 50,
};

struct pair {
    struct world world;
    struct fake_client client[3]; /* by node */
    uint8_t payload[MESSAGE_BYTES];
    uint32_t *ns[MESSAGES_MOST + 1]; /* of turns that brought so many messages in one frame */
    uint32_t count[MESSAGES_MOST + 1];
};

static void event(void *context, struct world_node *node, const struct core_event *event)
{
    (void)context;
    (void)node;
    (void)event;
}

static uint64_t turned(void *context, struct world_node *node)
{
    struct pair *p = context;
    struct chan_event e;
    while (p->client[node->id].up && fake_client_read(&p->client[node->id], &e))
        continue;
    return NS_NEVER;
}

static const struct world_ops pair_ops = { .event = event, .turned = turned };

static void cores_make(struct pair *p)
{
    struct world_config config = {
        .nodes = 2,
        .each = { .cluster_name = "scale",
                  .cluster_tag = 7,
                  .transport = "sim",
                  .poll = POLL_SPIN,
                  .poll_cpu = -1,
                  .detect_ms = 1000,
                  .netmtu = 1500,
                  .rx_bytes = 16 << 20,
                  .message_bytes_max = 1 << 20,
                  .clients_max = WORLD_CLIENTS,
                  .client_events_max = 4096,
                  .slow_client_ms = 5000 },
        .net = { .seed = 1, .faults = { .delay_ns_least = NS_PER_US, .delay_ns_most = NS_PER_US } },
        .turn_ns = TURN_US * NS_PER_US,
        .persist_ns = NS_PER_MS,
        .ops = &pair_ops,
        .context = p,
    };
    char why[200];
    world_create(&p->world, &config);
    for (uint32_t id = 1; id <= 2; id++) {
        bool started = world_start(&p->world, id, why, sizeof(why));
        INVARIANT(started);
    }
    world_run(&p->world, NS_PER_S);
    INVARIANT(world_is_one(&p->world, 1u << 1 | 1u << 2));
}

static void client_make(struct pair *p, uint32_t id)
{
    struct world_node *n = &p->world.node[id];
    struct fake_client *c = &p->client[id];
    static const struct core_name name = { .bytes = 5, .value = "scale" };
    fake_client_make(c, 0, 100 + id, 0);
    struct core_segment_setup segment = fake_client_segment(c, SEGMENT_BYTES, 50);
    core_command(n->core,
                 &(struct core_command){ .type = CORE_CLIENT_ADD, .in.client = &c->setup });
    core_command(n->core,
                 &(struct core_command){ .type = CORE_SEGMENT_ADD, .in.segment = &segment });
    core_command(n->core, &(struct core_command){
                              .type = CORE_CLIENT_JOIN, .pid = 100 + id, .in.name = &name });
    world_wake(n);
    world_run(&p->world, p->world.now_ns + NS_PER_S);
}

static uint64_t clock_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

/* A turn of the second core, by the clock of the machine. */
static void turn_timed(struct pair *p, uint32_t clock_cost_ns)
{
    struct world_node *n = &p->world.node[2];
    struct core *core = n->core;
    uint64_t frames = ring_stats(core->ring)->frames_received, messages = core->stats.messages_out;
    uint64_t start = clock_ns();
    core_turn(core, world_local_ns(&p->world, n));
    uint64_t ns = clock_ns() - start;
    frames = ring_stats(core->ring)->frames_received - frames;
    messages = core->stats.messages_out - messages;
    bool one = frames == 1 && messages > 0 && messages <= MESSAGES_MOST;
    if (one && p->count[messages] < ROUNDS)
        p->ns[messages][p->count[messages]++] = (uint32_t)(ns - min_u64(ns, clock_cost_ns));
    turned(p, n);
}

/* A few messages by the first client, then turns until all is quiet again. */
static void round_of(struct pair *p, uint32_t messages, uint32_t clock_cost_ns)
{
    struct world *w = &p->world;
    for (uint32_t i = 0; i < messages; i++)
        fake_client_send(&p->client[1], p->payload, MESSAGE_BYTES, GUARANTEE_AGREED);
    for (int i = 0; i < 12; i++) {
        w->now_ns += TURN_US * NS_PER_US;
        sim_net_advance(w->net, w->now_ns);
        core_turn(w->node[1].core, world_local_ns(w, &w->node[1]));
        turned(p, &w->node[1]);
        turn_timed(p, clock_cost_ns);
    }
}

static uint32_t idle_turn(struct pair *p)
{
    enum { TURNS = 1000, REPEATS = 401 };
    static uint32_t ns[REPEATS];
    struct world_node *n = &p->world.node[2];
    for (int i = 0; i < REPEATS; i++) {
        uint64_t start = clock_ns();
        for (int t = 0; t < TURNS; t++)
            core_turn(n->core, world_local_ns(&p->world, n));
        ns[i] = (uint32_t)((clock_ns() - start) * 10 / TURNS);
    }
    return calibrate_median(ns, REPEATS);
}

void calibrate_core(struct costs *costs, uint32_t clock_cost_ns)
{
    struct pair *p = calloc(1, sizeof(*p));
    double x[MESSAGES_MOST], y[MESSAGES_MOST];
    int points = 0;
    INVARIANT(p);
    for (uint32_t m = 1; m <= MESSAGES_MOST; m++)
        p->ns[m] = malloc(ROUNDS * sizeof(uint32_t));
    cores_make(p);
    client_make(p, 1);
    client_make(p, 2);
    costs->turn = idle_turn(p) / 10.0 + clock_cost_ns; /* its thread looks at the clock */
    fprintf(stderr, "idle turn of the poll core: %.1f ns\n", costs->turn);
    for (uint32_t i = 0; i < ROUNDS; i++)
        round_of(p, 1 + i % MESSAGES_MOST, clock_cost_ns);
    for (uint32_t m = 1; m <= MESSAGES_MOST; m++) {
        if (p->count[m] < ENOUGH)
            continue;
        x[points] = m;
        y[points++] = calibrate_median(p->ns[m], p->count[m]);
        fprintf(stderr, "  turn with %u messages in a frame: %.0f ns (%u turns)\n", m,
                y[points - 1], p->count[m]);
    }
    struct line line = calibrate_line(x, y, points);
    costs->deliver = line.slope - costs->chunk - costs->walk_chunk;
    fprintf(stderr, "each message more: %.1f ns\n", line.slope);
    world_destroy(&p->world);
    for (uint32_t id = 1; id <= 2; id++)
        fake_client_close(&p->client[id]);
    for (uint32_t m = 1; m <= MESSAGES_MOST; m++)
        free(p->ns[m]);
    free(p);
}
