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

/* Turns, by the messages in them. */
struct turns {
    uint32_t *ns[MESSAGES_MOST + 1];
    uint32_t count[MESSAGES_MOST + 1];
};

struct pair {
    struct world world;
    struct fake_client client[3]; /* by node */
    uint8_t payload[MESSAGE_BYTES];
    struct turns in, out; /* submitted by the first client; in one frame to the second */
    uint32_t back[ROUNDS], back_count; /* of turns that took back a lent frame */
    uint32_t clock_ns;
    struct transport_ops ops;
};

static uint64_t clock_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

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

/* The network of virtual time is not what is measured: it tells how long it took. */
static _Thread_local uint64_t network_ns;

static int rx_timed(struct transport *tp, struct zcb **frames, int count)
{
    uint64_t start = clock_ns();
    int got = transport_sim.rx_burst(tp, frames, count);
    network_ns += clock_ns() - start;
    return got;
}

static int tx_timed(struct transport *tp, struct zcb **frames, int count)
{
    uint64_t start = clock_ns();
    int taken = transport_sim.tx_burst(tp, frames, count);
    network_ns += clock_ns() - start;
    return taken;
}

/* A turn, by the clock of the machine. */
static uint32_t turn_ns(struct pair *p, uint32_t id)
{
    struct world_node *n = &p->world.node[id];
    network_ns = 0;
    uint64_t start = clock_ns();
    core_turn(n->core, world_local_ns(&p->world, n));
    uint64_t ns = clock_ns() - start;
    return (uint32_t)(ns - min_u64(ns, network_ns + 3 * (uint64_t)p->clock_ns));
}

static void turns_make(struct turns *t, uint32_t messages)
{
    t->ns[messages] = malloc(ROUNDS * sizeof(uint32_t));
    INVARIANT(t->ns[messages]);
}

static void turns_add(struct turns *t, uint64_t messages, uint32_t ns)
{
    if (t->count[messages] < ROUNDS)
        t->ns[messages][t->count[messages]++] = ns;
}

static void second_turn(struct pair *p)
{
    struct core *core = p->world.node[2].core;
    const struct ring_stats *ring = ring_stats(core->ring);
    uint64_t frames = ring->frames_received, tokens = ring->tokens_received;
    uint64_t messages = core->stats.messages_out;
    uint32_t ns = turn_ns(p, 2);
    frames = ring->frames_received - frames;
    tokens = ring->tokens_received - tokens;
    messages = core->stats.messages_out - messages;
    if (frames == 1 && tokens == 1 && messages > 0 && messages <= MESSAGES_MOST)
        turns_add(&p->out, messages, ns);
}

static void both_turn(struct pair *p)
{
    struct world *w = &p->world;
    w->now_ns += TURN_US * NS_PER_US;
    sim_net_advance(w->net, w->now_ns);
    const struct core *core = w->node[1].core;
    uint64_t messages = core->stats.messages_in;
    uint32_t ns = turn_ns(p, 1);
    messages = core->stats.messages_in - messages;
    if (messages > 0 && messages <= MESSAGES_MOST)
        turns_add(&p->in, messages, ns);
    turned(p, &w->node[1]);
    second_turn(p);
}

/* A few messages by the first client, turns until all is quiet again; then the second client reads
 * them, and one more turn takes back what was lent to it. */
static void round_of(struct pair *p, uint32_t messages)
{
    enum { TURNS_TO_QUIET = 12 };
    for (uint32_t i = 0; i < messages; i++)
        fake_client_send(&p->client[1], p->payload, MESSAGE_BYTES, GUARANTEE_AGREED);
    for (int i = 0; i < TURNS_TO_QUIET; i++)
        both_turn(p);
    turned(p, &p->world.node[2]);
    uint32_t ns = turn_ns(p, 2);
    if (p->back_count < ROUNDS)
        p->back[p->back_count++] = ns;
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

static struct line turns_line(struct turns *t, const char *what)
{
    double x[MESSAGES_MOST], y[MESSAGES_MOST];
    int points = 0;
    for (uint32_t m = 1; m <= MESSAGES_MOST; m++) {
        if (t->count[m] < ENOUGH)
            continue;
        x[points] = m;
        y[points++] = calibrate_median(t->ns[m], t->count[m]);
        fprintf(stderr, "  %s, %u: %.0f ns (%u turns)\n", what, m, y[points - 1], t->count[m]);
    }
    struct line line = calibrate_line(x, y, points);
    fprintf(stderr, "%s: %.1f + %.1f x\n", what, line.at_zero, line.slope);
    return line;
}

void calibrate_core(struct costs *costs, uint32_t clock_cost_ns)
{
    struct pair *p = calloc(1, sizeof(*p));
    INVARIANT(p);
    p->clock_ns = clock_cost_ns;
    for (uint32_t m = 1; m <= MESSAGES_MOST; m++) {
        turns_make(&p->in, m);
        turns_make(&p->out, m);
    }
    cores_make(p);
    client_make(p, 1);
    client_make(p, 2);
    double idle = idle_turn(p) / 10.0;
    p->ops = transport_sim;
    p->ops.rx_burst = rx_timed;
    p->ops.tx_burst = tx_timed;
    for (uint32_t id = 1; id <= 2; id++)
        p->world.node[id].core->transport->ops = &p->ops;
    for (uint32_t i = 0; i < ROUNDS; i++)
        round_of(p, 1 + i % MESSAGES_MOST);
    struct line in = turns_line(&p->in, "a turn that submits messages");
    struct line out = turns_line(&p->out, "a turn that delivers messages of one frame");
    double back = calibrate_median(p->back, p->back_count) - idle;
    fprintf(stderr, "an idle turn: %.1f ns; a lent frame back: %.1f ns\n", idle, back);
    costs->turn = idle + clock_cost_ns; /* its thread looks at the clock */
    costs->deliver = out.slope - costs->chunk - costs->walk_chunk;
    costs->lend =
        out.at_zero - idle - costs->call - costs->data - costs->token - costs->walk + back;
    costs->submit = in.slope - costs->walk_chunk - costs->deliver; /* they come back at once */
    world_destroy(&p->world);
    for (uint32_t id = 1; id <= 2; id++)
        fake_client_close(&p->client[id]);
    for (uint32_t m = 1; m <= MESSAGES_MOST; m++) {
        free(p->in.ns[m]);
        free(p->out.ns[m]);
    }
    free(p);
}
