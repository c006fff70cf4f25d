/* SPDX-License-Identifier: BSD-3-Clause */
#include "run_inner.h"

#include <inttypes.h>
#include <string.h>

#include "ask.h"
#include "check.h"
#include "tap.h"
#include "trace.h"

enum {
    SWEEP_TURNS = 5000,
    LEAST_WINDOW = 16,
    LEAST_ROTATIONS = 100,
    WAIT_DETECTS = 8, /* so many times detect_ms a step lies in wait */
};

/* What the world calls. */

static void before_turn(void *context, struct world_node *node)
{
    struct run *r = context;
    tap.life = r->life[node->id];
    tap.now_ns = r->world.now_ns;
    tap.watch = &r->watch_ring[node->id];
}

static void print_trace(const struct run *r, const struct world_node *node,
                        const struct ring_trace *t)
{
    char text[192];
    trace_format(t, text, sizeof(text));
    printf("%12.6f node %u: %s\n", (double)r->world.now_ns / 1e9, node->id, text);
}

static void on_event(void *context, struct world_node *node, const struct core_event *event)
{
    struct run *r = context;
    r->result->stats.evictions += event->type == CORE_EVENT_EVICT;
    if (event->type != CORE_EVENT_TRACE)
        agents_event(&r->agents, node, event);
    else if (r->options->trace)
        print_trace(r, node, &event->trace);
}

static uint64_t turned(void *context, struct world_node *node)
{
    struct run *r = context;
    tap.life = HIST_NOBODY;
    watch_slow(&r->watch_slow[node->id], node->core, r->world.now_ns, verdict(r));
    watch_large(node->core, verdict(r));
    watch_disk(node->core->ring, node->disk_seq, verdict(r));
    return agents_turned(&r->agents, node);
}

static const struct world_ops world_ops = { on_event, before_turn, turned };

/* Nodes. */

static void start(struct run *r, uint32_t node, bool forgets)
{
    char why[256];
    if (forgets)
        r->world.node[node].disk_seq = 0;
    r->up[node].at_ns = NS_NEVER;
    r->life[node] = history_life(&r->history, node, forgets, r->world.now_ns);
    r->result->stats.lives++;
    r->watch_ring[node] = (struct watch_ring){ 0 };
    r->watch_slow[node] = (struct watch_slow){ 0 };
    agents_node_up(&r->agents, node, r->life[node]);
    if (!world_start(&r->world, node, why, sizeof(why)))
        verdict_broken(verdict(r), "start", "node %u: %s", node, why);
}

static void life_ends(struct run *r, uint32_t node)
{
    struct hist_life *life = &r->history.lives.at[r->life[node]];
    life->over = true;
    life->until_ns = r->world.now_ns;
}

static void down(struct run *r, uint32_t node)
{
    life_ends(r, node);
    agents_node_down(&r->agents, node);
    world_kill(&r->world, node);
}

static void crash(struct run *r, const struct plan_step *s)
{
    if (!r->world.node[s->who].core)
        return;
    down(r, s->who);
    r->up[s->who] = (struct up){ .at_ns = r->world.now_ns + s->ns, .forgets = s->forgets };
}

static void stop(struct run *r, const struct plan_step *s)
{
    struct core *core = r->world.node[s->who].core;
    if (!core || core->stopping)
        return;
    core_command(core, &(struct core_command){ .type = CORE_STOP });
    agents_node_stops(&r->agents, s->who);
    r->history.lives.at[r->life[s->who]].over = true; /* from here on it need not deliver */
    r->up[s->who] = (struct up){ .at_ns = r->world.now_ns + s->ns, .forgets = s->forgets };
    world_wake(&r->world.node[s->who]);
}

/* Those that have stopped are gone, those that are to start do. */
static void nodes_update(struct run *r)
{
    for (uint32_t node = 1; node <= (uint32_t)r->world.count; node++) {
        const struct core *core = r->world.node[node].core;
        if (core && core->stopped)
            down(r, node);
        if (!r->world.node[node].core && r->up[node].at_ns <= r->world.now_ns)
            start(r, node, r->up[node].forgets);
    }
}

/* Steps. */

void run_not_calm(struct run *r)
{
    r->history.calm_until_ns = min_u64(r->history.calm_until_ns, r->world.now_ns);
}

void run_node_step(struct run *r, const struct plan_step *s)
{
    struct world_node *n = &r->world.node[s->who];
    switch (s->kind) {
    case STEP_PAUSE:
        agents_pause(&r->agents, s->who);
        world_pause(&r->world, s->who, r->world.now_ns + s->ns);
        break;
    case STEP_CRASH:
        crash(r, s);
        break;
    case STEP_STOP:
        stop(r, s);
        break;
    case STEP_CLOCK:
        world_clock_rate(&r->world, s->who, s->value);
        return;
    case STEP_DISK:
        n->disk_fails_ns = r->world.now_ns + s->ns;
        break;
    default:
        break;
    }
    run_not_calm(r);
}

static void agent_step(struct run *r, const struct plan_step *s)
{
    struct agent *g = &r->agents.agent[s->who];
    switch (s->kind) {
    case STEP_CONNECT:
        agent_connect(g, (uint32_t)s->value);
        break;
    case STEP_JOIN:
        agent_join(g, s->value);
        break;
    case STEP_SEND:
        agent_send(g, &s->burst);
        break;
    case STEP_STALL:
        agent_stall(g, s->ns);
        break;
    case STEP_SLOW:
        agent_slow(g, s->ns, s->pace_ns);
        break;
    case STEP_KEEP:
        agent_keep(g, s->ns, s->pace_ns);
        break;
    default:
        agent_die(g);
        break;
    }
}

static void do_step(struct run *r, uint32_t index)
{
    const struct plan_step *s = &r->plan->step[index];
    if (r->options->trace)
        plan_print_step(stdout, r->plan, index);
    r->result->stats.step[s->kind]++;
    if (s->kind <= STEP_DIE) {
        agent_step(r, s);
    } else if (s->kind == STEP_FAULT) {
        run_not_calm(r);
        r->result->stats.fault[s->fault.kind]++;
        faults_begin(&r->faults, &s->fault, r->world.now_ns, r->world.now_ns + s->ns);
    } else {
        run_node_step(r, s);
    }
}

/* Its time has come: it is done, or lies in wait. */
static void begin_step(struct run *r, uint32_t index)
{
    const struct plan_step *s = &r->plan->step[index];
    if (r->options->without && r->options->without[index])
        return;
    if (s->trigger == TRIGGER_TIME)
        do_step(r, index);
    else
        trigger_arm(&r->triggers, s->trigger, index, s->lag_ns,
                    r->world.now_ns + WAIT_DETECTS * r->plan->world.each.detect_ms * NS_PER_MS);
}

/* Time. */

static void sweep(struct run *r)
{
    if (r->world.turns - r->swept < SWEEP_TURNS)
        return;
    r->swept = r->world.turns;
    world_check(&r->world); /* E10, and every invariant that somebody wrote a sweep for */
}

/* Steps whose moment has come. */
static void triggered(struct run *r)
{
    uint32_t step;
    if (r->triggers.count == 0)
        return;
    triggers_look(&r->triggers, &r->world);
    while (trigger_take(&r->triggers, r->world.now_ns, &step))
        do_step(r, step);
}

static uint64_t next_ns(const struct run *r, uint64_t until_ns)
{
    uint64_t next = min_u64(until_ns, faults_next_ns(&r->faults, r->world.now_ns));
    if (r->next_step < r->plan->step_count && !r->settling)
        next = min_u64(next, r->plan->step[r->next_step].at_ns);
    for (int node = 1; node <= r->world.count; node++) {
        if (!r->world.node[node].core)
            next = min_u64(next, r->up[node].at_ns);
    }
    return next;
}

void run_until(struct run *r, uint64_t until_ns)
{
    while (r->world.now_ns < until_ns && !verdict(r)->failed) {
        uint64_t next = max_u64(next_ns(r, until_ns), r->world.now_ns + 1);
        while (r->world.now_ns < next && !verdict(r)->failed) {
            world_step(&r->world, min_u64(next, triggers_next_ns(&r->triggers)));
            triggered(r);
            sweep(r);
        }
        if (faults_next_ns(&r->faults, r->world.now_ns - 1) <= r->world.now_ns)
            faults_update(&r->faults, r->world.now_ns);
        nodes_update(r);
        while (!r->settling && r->next_step < r->plan->step_count &&
               r->plan->step[r->next_step].at_ns <= r->world.now_ns)
            begin_step(r, r->next_step++);
    }
}

/* The end. */

uint32_t run_all_nodes(const struct run *r)
{
    return ((1u << r->world.count) - 1) << 1;
}

static void heal(struct run *r)
{
    faults_heal(&r->faults);
    r->triggers.count = 0;
    r->world.net->config.inbox_frames = 0;
    for (int i = 1; i <= r->world.count; i++) {
        struct world_node *n = &r->world.node[i];
        world_pause(&r->world, n->id, 0);
        n->disk_fails_ns = 0;
        if (!n->core || n->core->stopping)
            r->up[i].at_ns = r->world.now_ns;
    }
    agents_settle(&r->agents);
}

/* E10: nobody holds a frame but a transport that has not noticed yet that it is sent. */
static bool pool_empty(const struct zcb_pool *pool)
{
    uint64_t held = 0;
    for (int holder = 0; holder < ZCB_HOLDERS; holder++)
        held += holder == ZCB_HELD_TRANSPORT ? 0 : pool->held[holder];
    return held == 0 && pool->count - pool->free_count <= pool->held[ZCB_HELD_TRANSPORT];
}

static bool empty(const struct run *r)
{
    for (int i = 1; i <= r->world.count; i++) {
        const struct core *core = r->world.node[i].core;
        if (!pool_empty(&core->rx_pool) || !pool_empty(&core->tx_pool))
            return false;
    }
    return true;
}

/*
 * What it may take: to be heard again, to agree, some tries at that; then so many rotations of the
 * token as it needs to send what is left, each with no more than the least window, three times.
 */
static uint64_t settle_most_ns(const struct run *r)
{
    const struct world_config *c = &r->plan->world;
    uint64_t messages, bytes;
    agents_left(&r->agents, &messages, &bytes);
    uint64_t window = c->each.window_frames ? c->each.window_frames : LEAST_WINDOW;
    uint64_t personal = c->each.personal_frames ? c->each.personal_frames : window;
    uint64_t frames = bytes / (c->each.netmtu / 2) + messages / 8;
    uint64_t rotations = LEAST_ROTATIONS + frames / min_u64(window, personal);
    uint64_t hop_ns = c->net.faults.delay_ns_most + 2 * c->turn_ns;
    return 20 * c->each.detect_ms * NS_PER_MS + 3 * c->each.slow_client_ms * NS_PER_MS +
           3 * rotations * (uint64_t)c->nodes * hop_ns + NS_PER_S;
}

static const char *not_settled(const struct run *r)
{
    if (!world_is_one(&r->world, run_all_nodes(r)))
        return "no ring of all";
    if (r->plan->lawless) /* what agents were told may be anything */
        return NULL;
    if (!agents_are_done(&r->agents))
        return "agents have not got through";
    return empty(r) ? NULL : "frames are still held";
}

void run_settle(struct run *r)
{
    uint64_t begin_ns = r->world.now_ns, most_ns = settle_most_ns(r);
    if (verdict(r)->failed)
        return;
    heal(r);
    r->settling = true;
    while (not_settled(r) && r->world.now_ns < begin_ns + most_ns && !verdict(r)->failed)
        run_until(r, r->world.now_ns + NS_PER_MS);
    uint64_t took_ns = r->world.now_ns - begin_ns;
    struct run_stats *s = &r->result->stats;
    s->settle_ns_most = max_u64(s->settle_ns_most, took_ns);
    s->settle_permille = max_u64(s->settle_permille, took_ns * 1000 / most_ns);
    const char *why = not_settled(r);
    if (why)
        verdict_broken(verdict(r), "E9", "%s, %.1f s after all is mended", why,
                       (double)took_ns / 1e9);
}

/* Nobody has anything to say: the token rests, and turns once in an eighth of detect_ms. Each turn
 * takes a hop of every node and a word to all of where it rests; as much again is allowed. */
static void rest(struct run *r)
{
    uint64_t nodes = (uint64_t)r->world.count,
             rest_ns = 4 * r->plan->world.each.detect_ms * NS_PER_MS;
    uint64_t before = sim_net_stats(r->world.net)->sent;
    if (verdict(r)->failed || r->plan->lawless)
        return;
    run_until(r, r->world.now_ns + rest_ns);
    uint64_t sent = sim_net_stats(r->world.net)->sent - before;
    r->result->stats.rest_permille = sent * 1000 / (4 * 8 * 2 * (2 * nodes + nodes * nodes));
    if (r->result->stats.rest_permille > 1000)
        verdict_broken(verdict(r), "rest",
                       "%" PRIu64 " frames of %" PRIu64 " nodes in %" PRIu64
                       " ms in which nothing happens",
                       sent, nodes, rest_ns / NS_PER_MS);
}

static void judge(struct run *r)
{
    if (verdict(r)->failed || r->plan->lawless)
        return;
    world_check(&r->world);
    if (check_history(&r->history, verdict(r)))
        cores_answer(&r->world, &r->history, verdict(r));
}

const char *const fate_name[FATES] = {
    [FATE_LOST] = "lost",
    [FATE_CUT] = "cut off",
    [FATE_DUPLICATED] = "duplicated",
    [FATE_REORDERED] = "reordered",
    [FATE_CORRUPTED] = "corrupted",
    [FATE_TRUNCATED] = "truncated",
    [FATE_OVERFLOWED] = "overflowed",
    [FATE_NOBODY_HOME] = "to nobody",
};

static void count_frames(struct run_stats *s, const struct sim_net_stats *net)
{
    s->frames = net->sent;
    s->fate[FATE_LOST] = net->lost;
    s->fate[FATE_CUT] = net->cut;
    s->fate[FATE_DUPLICATED] = net->duplicated;
    s->fate[FATE_REORDERED] = net->reordered;
    s->fate[FATE_CORRUPTED] = net->corrupted;
    s->fate[FATE_TRUNCATED] = net->truncated;
    s->fate[FATE_OVERFLOWED] = net->overflowed;
    s->fate[FATE_NOBODY_HOME] = net->nobody_home;
}

static void count(struct run *r)
{
    struct run_stats *s = &r->result->stats;
    s->seeds = 1;
    s->simulated_ns = r->world.now_ns;
    s->turns = r->world.turns;
    count_frames(s, sim_net_stats(r->world.net));
    s->events_read = r->agents.read;
    s->messages_sent = r->agents.sent;
    s->lawless = r->plan->lawless;
    for (uint32_t i = 0; i < r->history.lives.count; i++) {
        const struct hist_life *life = &r->history.lives.at[i];
        for (uint32_t k = 0; k < life->log.count; k++)
            s->configurations += life->log.at[k].kind == RING_DELIVER_REGULAR;
    }
    r->result->hash = r->history.hash ^ s->frames << 32 ^ s->turns;
}

static void create(struct run *r)
{
    const struct plan *p = r->plan;
    struct world_config config = p->world;
    config.ops = &world_ops;
    config.context = r;
    world_create(&r->world, &config);
    faults_init(&r->faults, r->world.net, r->world.count, &p->world.net.faults, p->lawless);
    agents_init(&r->agents, &r->world, &r->history, verdict(r));
    r->agents.message_bytes_max = p->world.each.message_bytes_max;
    r->agents.segment_bytes = p->segment_bytes;
    r->agents.trace = r->options->trace;
    r->agents.lawless = p->lawless;
    for (uint32_t i = 0; i < p->agent_count; i++) {
        struct agent *g = agent_add(&r->agents, p->agent[i].node, p->seed);
        g->pid_stays = p->agent[i].pid_stays || p->agent[i].shares_pid != i;
        if (p->agent[i].shares_pid != i)
            g->pid += p->agent[i].shares_pid - i;
    }
    for (int i = 1; i <= r->world.count; i++) {
        r->up[i].at_ns = max_u64(p->start_ns[i], r->world.now_ns);
        world_clock_rate(&r->world, (uint32_t)i, p->clock_ppm[i]);
    }
    r->history.calm_until_ns = NS_NEVER;
    tap = (struct tap){ .history = &r->history, .life = HIST_NOBODY, .verdict = verdict(r) };
}

void run_plan(const struct plan *plan, const struct run_options *options, struct run_result *result)
{
    struct run *r = calloc(1, sizeof(*r));
    INVARIANT(r);
    *result = (struct run_result){ 0 };
    r->plan = plan;
    r->options = options;
    r->result = result;
    create(r);
    nodes_update(r);
    run_until(r, plan->end_ns);
    run_settle(r);
    run_drill(r);
    run_settle(r);
    r->history.settled = !verdict(r)->failed;
    rest(r);
    judge(r);
    count(r);
    agents_free(&r->agents);
    world_destroy(&r->world);
    history_clear(&r->history);
    free(r);
}

void run_stats_add(struct run_stats *sum, const struct run_stats *one)
{
    uint64_t *to = (uint64_t *)sum;
    const uint64_t *from = (const uint64_t *)one;
    uint64_t settle_ns = max_u64(sum->settle_ns_most, one->settle_ns_most);
    uint64_t permille = max_u64(sum->settle_permille, one->settle_permille);
    uint64_t rest_permille = max_u64(sum->rest_permille, one->rest_permille);
    uint64_t view_permille = max_u64(sum->view_permille, one->view_permille);
    for (size_t i = 0; i < sizeof(*sum) / sizeof(uint64_t); i++)
        to[i] += from[i];
    sum->settle_ns_most = settle_ns;
    sum->settle_permille = permille;
    sum->rest_permille = rest_permille;
    sum->view_permille = view_permille;
}
