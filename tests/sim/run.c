/* SPDX-License-Identifier: BSD-3-Clause */
#include "run.h"

#include <inttypes.h>
#include <string.h>

#include "ask.h"
#include "check.h"
#include "gwire.h"
#include "tap.h"
#include "trace.h"

enum {
    SWEEP_TURNS = 5000,
    UPS_MAX = WORLD_NODES_MAX + 1,
    LEAST_WINDOW = 16,
    LEAST_ROTATIONS = 100,
    CALM_DETECTS = 3,
    CALM_TRIES = 10,
    DRILL_LOSS_PPM = 30000,
    DISK_DETECTS = 8,
    LOSSY_STOP_DETECTS = 4,
    WAIT_DETECTS = 8, /* so many times detect_ms a step lies in wait */
};

/* A node that is to start. */
struct up {
    uint64_t at_ns; /* NS_NEVER: it is up, or nobody asked */
    bool forgets;
};

struct run {
    const struct plan *plan;
    const struct run_options *options;
    struct run_result *result;
    struct world world;
    struct history history;
    struct agents agents;
    struct faults faults;
    struct triggers triggers;
    struct up up[UPS_MAX];
    uint32_t life[UPS_MAX];
    struct watch_ring watch_ring[UPS_MAX];
    struct watch_slow watch_slow[UPS_MAX];
    uint64_t swept;
    uint32_t next_step;
    bool settling;
};

static struct verdict *verdict(struct run *r)
{
    return &r->result->verdict;
}

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

static void not_calm(struct run *r)
{
    r->history.calm_until_ns = min_u64(r->history.calm_until_ns, r->world.now_ns);
}

static void node_step(struct run *r, const struct plan_step *s)
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
    not_calm(r);
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
        not_calm(r);
        r->result->stats.fault[s->fault.kind]++;
        faults_begin(&r->faults, &s->fault, r->world.now_ns, r->world.now_ns + s->ns);
    } else {
        node_step(r, s);
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

static void run_until(struct run *r, uint64_t until_ns)
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

static uint32_t all_nodes(const struct run *r)
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
    if (!world_is_one(&r->world, all_nodes(r)))
        return "no ring of all";
    if (r->plan->lawless) /* what agents were told may be anything */
        return NULL;
    if (!agents_are_done(&r->agents))
        return "agents have not got through";
    return empty(r) ? NULL : "frames are still held";
}

static void settle(struct run *r)
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

/* The drill. */

static void drill_blow(struct run *r, const struct plan_drill *drill)
{
    const struct fault cut = {
        .kind = FAULT_CUT,
        .from = drill->nodes,
        .to = ~drill->nodes,
        .both = true,
        .told = drill->told,
    };
    not_calm(r);
    if (drill->kind == DRILL_CUT)
        faults_begin(&r->faults, &cut, r->world.now_ns, NS_NEVER);
    static const enum step_kind kind[DRILLS] = {
        [DRILL_CRASH] = STEP_CRASH, [DRILL_PAUSE] = STEP_PAUSE, [DRILL_STOP] = STEP_STOP
    };
    for (uint32_t node = 1; node <= (uint32_t)r->world.count && drill->kind != DRILL_CUT; node++) {
        struct plan_step step = { .kind = kind[drill->kind], .who = node, .ns = 3600 * NS_PER_S };
        if (drill->nodes >> node & 1)
            node_step(r, &step);
    }
}

/* What is promised for silence that begins when all is well: by the slowest of the clocks. Where
 * the transports know which links are down, an eighth of detect_ms is all it takes; nor does
 * anybody wait for who says that it goes, unless that is lost. */
static uint64_t view_most_ns(const struct run *r)
{
    const struct plan_drill *drill = &r->plan->drill;
    bool told = drill->kind == DRILL_CUT && drill->told;
    const struct world_config *c = &r->plan->world;
    const struct ring_config ring = { .detect_ns = c->each.detect_ms * NS_PER_MS };
    uint64_t silence_ns = told ? ring.detect_ns / 8 : ring_view_ns_worst(&ring, 0);
    if (drill->kind == DRILL_STOP)
        silence_ns = drill->lossy ? LOSSY_STOP_DETECTS * ring.detect_ns : ring.detect_ns / 8;
    uint64_t hop_ns = c->net.faults.delay_ns_most + 2 * c->turn_ns, most_ns = 0;
    for (int i = 1; i <= r->world.count; i++) {
        uint64_t rate = (uint64_t)(1000000 + r->world.node[i].clock.ppm);
        most_ns = max_u64(most_ns, silence_ns * 1000000 / rate);
    }
    return most_ns + RING_VIEW_ROTATIONS * (uint64_t)c->nodes * hop_ns;
}

static bool drilled(const struct run *r, const struct plan_drill *drill)
{
    return world_is_one(&r->world, all_nodes(r) & ~drill->nodes) &&
           (drill->kind != DRILL_CUT || world_is_one(&r->world, drill->nodes));
}

/* When the last frame has come that was delayed while delays were wrong: links keep their order. */
static uint64_t links_clear_ns(const struct run *r)
{
    uint64_t clear_ns = r->world.now_ns;
    for (int from = 0; from < r->world.count; from++) {
        for (int to = 0; to < r->world.count; to++)
            clear_ns = max_u64(clear_ns, r->world.net->link[from][to].last_due_ns);
    }
    return clear_ns;
}

/* All is well when one ring of all has stayed for as long as it takes to notice what was wrong
 * before all was mended. */
static void calm(struct run *r)
{
    uint64_t long_ns = CALM_DETECTS * r->plan->world.each.detect_ms * NS_PER_MS;
    for (int i = 0; i < CALM_TRIES && !verdict(r)->failed; i++) {
        struct ring_id id = r->world.node[1].core->groups.ring_id;
        run_until(r, links_clear_ns(r) + long_ns);
        settle(r);
        if (!verdict(r)->failed && ring_id_equal(id, r->world.node[1].core->groups.ring_id))
            return;
    }
    verdict_broken(verdict(r), "E9", "one ring gives way to the next, long after all is mended");
}

/* The ring of all that was there is there. */
static void expect_ring(struct run *r, struct ring_id id, const char *rule, const char *what)
{
    if (!verdict(r)->failed && (!world_is_one(&r->world, all_nodes(r)) ||
                                !ring_id_equal(id, r->world.node[1].core->groups.ring_id)))
        verdict_broken(verdict(r), rule, "ring %" PRIu64 ".%u has gone, and %s", id.seq, id.rep,
                       what);
}

/* Frames are lost and asked for again: nobody makes another ring for their sake. */
static void drill_loss(struct run *r)
{
    const struct fault loss = {
        .kind = FAULT_LOSS, .from = UINT32_MAX, .to = UINT32_MAX, .ppm = DRILL_LOSS_PPM
    };
    uint64_t detect_ns = r->plan->world.each.detect_ms * NS_PER_MS;
    struct ring_id id = r->world.node[1].core->groups.ring_id;
    not_calm(r);
    faults_begin(&r->faults, &loss, r->world.now_ns, r->world.now_ns + detect_ns);
    run_until(r, r->world.now_ns + 4 * detect_ns);
    expect_ring(r, id, "loss", "nothing was lost but frames");
}

/* Time in which nobody runs is nobody's silence: all go on as if there had been none of it. */
static void drill_still(struct run *r, uint64_t still_ns)
{
    uint64_t detect_ns = r->plan->world.each.detect_ms * NS_PER_MS;
    struct ring_id id = r->world.node[1].core->groups.ring_id;
    not_calm(r);
    for (uint32_t node = 1; node <= (uint32_t)r->world.count; node++)
        node_step(r, &(struct plan_step){ .kind = STEP_PAUSE, .who = node, .ns = still_ns });
    run_until(r, r->world.now_ns + still_ns + 4 * detect_ns);
    expect_ring(r, id, "still", "nobody ran for a while");
}

/* Frames that were asked for again, or came and were not taken. */
static uint64_t in_vain(const struct run *r)
{
    uint64_t frames = 0;
    for (int i = 1; i <= r->world.count; i++) {
        const struct ring_stats *s = ring_stats(r->world.node[i].core->ring);
        frames += s->rtr_asked + s->rx_no_room;
    }
    return frames;
}

/* They send, and nothing is lost: no frame is asked for before it can have come, and none comes
 * where there is no room for it. */
static void work(struct run *r, uint64_t busy_ns)
{
    uint64_t before = in_vain(r);
    run_until(r, r->world.now_ns + busy_ns);
    uint64_t frames = in_vain(r) - before;
    if (frames > 0)
        verdict_broken(verdict(r), "in vain",
                       "%" PRIu64 " frames were asked for again or not taken, and none was lost",
                       frames);
}

/* Nodes are gone: the others have a view without them in the promised time. */
static void drill_view(struct run *r, const struct plan_drill *drill)
{
    uint64_t begin_ns = r->world.now_ns, most_ns = view_most_ns(r);
    drill_blow(r, drill);
    while (!drilled(r, drill) && r->world.now_ns < begin_ns + most_ns && !verdict(r)->failed)
        run_until(r, r->world.now_ns + NS_PER_MS / 4);
    r->result->stats.view_permille = (r->world.now_ns - begin_ns) * 1000 / most_ns;
    if (!verdict(r)->failed && !drilled(r, drill))
        verdict_broken(verdict(r), "view", "no view of the others %.1f ms after nodes %x were %s",
                       (double)most_ns / 1e6, drill->nodes, drill_name[drill->kind]);
}

static bool tells_of_loss(const struct history *h, const struct hist_event *event)
{
    const struct hist_view *view = event->kind == HIST_VIEW ? &h->views.at[event->index] : NULL;
    return view && view->left_count > 0 &&
           (history_addresses(h, view) + view->member_count)->reason == REASON_NODEDOWN;
}

/* Who stops in good order is not lost: its processes go, each with a view, then it does. */
static void drill_stop(struct run *r, const struct plan_drill *drill)
{
    const struct fault loss = {
        .kind = FAULT_LOSS, .from = UINT32_MAX, .to = UINT32_MAX, .ppm = DRILL_LOSS_PPM
    };
    const struct history *h = &r->history;
    uint64_t begin_ns = r->world.now_ns;
    if (drill->lossy)
        faults_begin(&r->faults, &loss, begin_ns, NS_NEVER);
    drill_view(r, drill);
    for (uint32_t i = 0; i < h->handles.count; i++) {
        const struct hist_handle *handle = &h->handles.at[i];
        for (uint32_t k = handle->log.count; k-- > 0 && handle->log.at[k].at_ns >= begin_ns;) {
            if (tells_of_loss(h, &handle->log.at[k]))
                verdict_broken(
                    verdict(r), "stop",
                    "handle %u is told of nodes that are down, and nodes %x were stopped", i,
                    drill->nodes);
        }
    }
}

/* Who must write its disk and cannot keeps silent when it has tried for long enough: then the
 * others have a ring, and keep it. */
static void drill_disk(struct run *r, const struct plan_drill *drill)
{
    uint64_t detect_ns = r->plan->world.each.detect_ms * NS_PER_MS;
    uint32_t other = (uint32_t)__builtin_ctz(all_nodes(r) & ~drill->nodes);
    for (uint32_t node = 1; node <= (uint32_t)r->world.count; node++) {
        if (!(drill->nodes >> node & 1))
            continue;
        r->world.node[node].disk_fails_ns = NS_NEVER;
        node_step(r, &(struct plan_step){ .kind = STEP_CRASH, .who = node, .ns = drill->busy_ns });
    }
    run_until(r, r->world.now_ns + DISK_DETECTS * detect_ns);
    struct ring_id id = r->world.node[other].core->groups.ring_id;
    run_until(r, r->world.now_ns + 2 * detect_ns);
    if (!verdict(r)->failed &&
        (!drilled(r, drill) || !ring_id_equal(id, r->world.node[other].core->groups.ring_id)))
        verdict_broken(verdict(r), "silence", "nodes %x cannot write, and the others have no ring",
                       drill->nodes);
}

static void drill(struct run *r)
{
    const struct plan_drill *drill = &r->plan->drill;
    if (verdict(r)->failed || r->plan->lawless || drill->nodes == 0)
        return;
    calm(r);
    if (verdict(r)->failed)
        return;
    run_until(r, r->world.now_ns + drill->calm_ns);
    for (uint32_t i = 0; i < r->agents.count; i++)
        agent_send(&r->agents.agent[i], &drill->burst);
    if (drill->kind == DRILL_LOSS) {
        drill_loss(r);
        return;
    }
    work(r, drill->busy_ns);
    if (verdict(r)->failed)
        return;
    switch (drill->kind) {
    case DRILL_STILL:
        drill_still(r, drill->still_ns);
        break;
    case DRILL_STOP:
        drill_stop(r, drill);
        break;
    case DRILL_DISK:
        drill_disk(r, drill);
        break;
    default:
        drill_view(r, drill);
        break;
    }
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
    settle(r);
    drill(r);
    settle(r);
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
