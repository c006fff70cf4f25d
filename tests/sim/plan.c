/* SPDX-License-Identifier: BSD-3-Clause */
#include "plan.h"

#include <inttypes.h>
#include <string.h>

/*
 * A run is quiet for most of its time, as a cluster is; in between there are scenes: messages and
 * trouble, much of both, within a few times of what it takes to notice a failure.
 */

enum {
    PURPOSE_CLUSTER = 1,
    PURPOSE_SCENES,
    PURPOSE_NET,
    PURPOSE_DRILL,
    PURPOSE_RECOVERIES,
    PURPOSE_LINKS,
    PURPOSE_STILL,
    MTU_LEAST = 620,
};

const char *const step_name[STEPS] = {
    [STEP_CONNECT] = "connect", [STEP_JOIN] = "join",   [STEP_SEND] = "send",
    [STEP_STALL] = "stall",     [STEP_SLOW] = "slow",   [STEP_KEEP] = "keep",
    [STEP_DIE] = "die",         [STEP_FAULT] = "fault", [STEP_PAUSE] = "pause",
    [STEP_CRASH] = "crash",     [STEP_STOP] = "stop",   [STEP_CLOCK] = "clock",
    [STEP_DISK] = "disk",
};

const char *const drill_name[DRILLS] = {
    [DRILL_CRASH] = "killed",
    [DRILL_PAUSE] = "paused",
    [DRILL_CUT] = "cut off",
    [DRILL_LOSS] = "hear not all",
    [DRILL_STILL] = "stand still together",
    [DRILL_STOP] = "stopped",
    [DRILL_DISK] = "started again without disks",
};

static uint32_t pick(struct draw *d, const uint32_t *choices, uint32_t count)
{
    return choices[draw_below(d, count)];
}

#define PICK(d, ...)                           \
    pick(d, (const uint32_t[]){ __VA_ARGS__ }, \
         sizeof((const uint32_t[]){ __VA_ARGS__ }) / sizeof(uint32_t))

static void draw_memory(struct draw *d, struct config *c)
{
    c->message_bytes_max = PICK(d, 64 << 10, 64 << 10, 300 << 10, 300 << 10, 1 << 20, 3 << 20);
    if (draw_chance(d, 15))
        c->message_bytes_max = 32 << 20;
    c->rx_bytes = c->message_bytes_max + c->message_bytes_max / 4 + (4 << 20);
    if (c->message_bytes_max <= 300 << 10 && draw_chance(d, 300))
        c->rx_bytes = c->message_bytes_max * 2 + (1 << 20); /* near exhaustion */
    c->client_events_max = PICK(d, 64, 300, 1024, 4096);
    c->client_frames_max = draw_chance(d, 200) ? draw_between(d, 60, 400) : 0;
    c->slow_policy = draw_chance(d, 250) ? SLOW_EVICT : SLOW_BLOCK;
    c->slow_client_ms = draw_scale(d, 50, 2000);
}

static void draw_times(struct draw *d, struct plan *p)
{
    struct config *c = &p->world.each;
    struct sim_faults *net = &p->world.net.faults;
    c->detect_ms = draw_scale(d, 60, 1500);
    net->delay_ns_least = (uint64_t)draw_scale(d, 5, 400) * NS_PER_US;
    if (c->detect_ms > 400 && draw_chance(d, 100))
        net->delay_ns_least = (uint64_t)draw_between(d, 1, 4) * NS_PER_MS;
    net->delay_ns_most = net->delay_ns_least + draw_below(d, (uint32_t)net->delay_ns_least + 1);
    p->world.turn_ns = draw_between(d, 1, 10) * NS_PER_US;
    p->world.persist_ns = draw_scale(d, 1, 30000) * NS_PER_US;
}

static void draw_cluster(struct plan *p, const struct plan_wish *wish)
{
    struct draw d = draw_stream(p->seed, PURPOSE_CLUSTER);
    struct config *c = &p->world.each;
    *c = (struct config){
        .cluster_name = "sim",
        .cluster_tag = 7,
        .transport = "sim",
        .poll = POLL_BACKOFF,
        .poll_cpu = -1,
        .clients_max = WORLD_CLIENTS,
        .netmtu = PICK(&d, 1500, 1500, 9000, draw_between(&d, MTU_LEAST, 4000)),
    };
    p->world.nodes = (int)draw_between(&d, wish->nodes_least, wish->nodes_most);
    if (draw_chance(&d, 500)) /* most questions are asked by few */
        p->world.nodes = (int)draw_between(&d, wish->nodes_least, (uint32_t)p->world.nodes);
    p->world.by_reference = draw_chance(&d, 500);
    p->world.net.seed = draw_mix(p->seed, PURPOSE_NET);
    p->world.net.inbox_frames = draw_chance(&d, 250) ? draw_between(&d, 200, 2000) : 0;
    c->window_frames = draw_chance(&d, 300) ? draw_between(&d, 1, 400) : 0;
    c->personal_frames = draw_chance(&d, 200) ? draw_between(&d, 1, 100) : 0;
    c->accelerated_frames = draw_chance(&d, 200) ? draw_between(&d, 1, 50) : 0;
    p->lawless = draw_chance(&d, 40);
    draw_memory(&d, c);
    draw_times(&d, p);
    p->segment_bytes = PICK(&d, 16 << 10, 64 << 10, 256 << 10);
    bool skewed = draw_chance(&d, 400);
    for (int i = 1; i <= p->world.nodes; i++) {
        p->clock_ppm[i] = skewed ? (int32_t)draw_below(&d, 2001) - 1000 : 0;
        p->start_ns[i] = draw_chance(&d, 700) ? 0 : draw_below(&d, 4 * c->detect_ms) * NS_PER_MS;
    }
    p->end_ns = wish->seconds * NS_PER_S / 2 + draw_below(&d, wish->seconds * 1000) * NS_PER_MS;
}

/* Scenes. */

struct author {
    struct plan *plan;
    struct draw draw;
    uint64_t now_ns;
    uint32_t groups;
};

static struct plan_step *step(struct author *w, enum step_kind kind, uint32_t who)
{
    static struct plan_step nowhere;
    struct plan *p = w->plan;
    if (p->step_count == PLAN_STEPS_MAX)
        return &nowhere;
    struct plan_step *s = &p->step[p->step_count++];
    *s = (struct plan_step){ .at_ns = w->now_ns, .kind = kind, .who = who, .order = p->step_count };
    return s;
}

static uint64_t detect_ns(const struct author *w)
{
    return w->plan->world.each.detect_ms * NS_PER_MS;
}

static uint32_t some_agent(struct author *w)
{
    return draw_below(&w->draw, w->plan->agent_count);
}

static uint32_t some_node(struct author *w)
{
    return 1 + draw_below(&w->draw, (uint32_t)w->plan->world.nodes);
}

static uint32_t some_nodes(struct author *w)
{
    uint32_t all = ((1u << w->plan->world.nodes) - 1) << 1;
    return (uint32_t)draw64(&w->draw) & all;
}

static void joins(struct author *w, uint32_t agent)
{
    step(w, STEP_JOIN, agent)->value =
        draw_chance(&w->draw, 120) ? AGENT_NO_GROUP : (int32_t)draw_below(&w->draw, w->groups);
}

static enum agent_size some_size(struct author *w)
{
    uint32_t x = draw_below(&w->draw, 1000);
    if (x < 150)
        return SIZE_TINY;
    if (x < 450)
        return SIZE_SMALL;
    if (x < 600)
        return SIZE_FRAMES;
    if (x < 680)
        return SIZE_BULK;
    if (x < 700)
        return SIZE_TURNS;
    return x < 705 ? SIZE_HUGE : SIZE_MIXED;
}

static void sends(struct author *w, uint32_t agent)
{
    struct plan_step *s = step(w, STEP_SEND, agent);
    struct agent_burst *b = &s->burst;
    b->size = some_size(w);
    b->count = draw_scale(&w->draw, 1, b->size == SIZE_BULK ? 8 : 400);
    if (b->size <= SIZE_SMALL && draw_chance(&w->draw, 100)) /* more than a queue of events holds */
        b->count = draw_between(&w->draw, 1000, 4000);
    if (b->size == SIZE_TURNS || b->size == SIZE_HUGE)
        b->count = 1 + draw_below(&w->draw, 2);
    b->safe_permille = draw_chance(&w->draw, 500) ? 0 : draw_below(&w->draw, 1001);
    b->gap_ns = draw_chance(&w->draw, 600) ? 0 : draw_scale(&w->draw, 1, 20000) * NS_PER_US;
}

static uint64_t some_while(struct author *w)
{
    return (uint64_t)draw_scale(&w->draw, 1, 6000) * detect_ns(w) / 1000;
}

/* One in three waits for the worst moment. */
static void lie_in_wait(struct author *w, struct plan_step *s)
{
    s->trigger = draw_chance(&w->draw, 350) ? draw_below(&w->draw, TRIGGERS) : TRIGGER_TIME;
    s->lag_ns = draw_chance(&w->draw, 500) ? 0 : draw_scale(&w->draw, 1, 2000) * NS_PER_US;
}

static void link_trouble(struct author *w)
{
    struct plan_step *s = step(w, STEP_FAULT, 0);
    struct fault *f = &s->fault;
    bool everywhere = draw_chance(&w->draw, 500);
    s->ns = some_while(w);
    lie_in_wait(w, s);
    f->kind = draw_below(&w->draw, FAULT_NEWS);
    f->from = everywhere ? UINT32_MAX : some_nodes(w);
    f->to = everywhere ? UINT32_MAX : some_nodes(w);
    f->ppm = draw_scale(&w->draw, 1000, 300000);
    f->ns = draw_scale(&w->draw, 20, 20000) * NS_PER_US;
    if (f->kind == FAULT_CUT || f->kind == FAULT_FLAP) {
        f->from = some_nodes(w);
        f->to = draw_chance(&w->draw, 700) ? ~f->from : some_nodes(w);
        f->both = draw_chance(&w->draw, 700);
        f->ns = (uint64_t)draw_between(&w->draw, 20, 2000) * detect_ns(w) / 1000;
    }
    if (f->kind == FAULT_DELAY && draw_chance(&w->draw, 300))
        f->ns = (uint64_t)draw_between(&w->draw, 100, 1500) * detect_ns(w) / 1000;
}

static void node_trouble(struct author *w)
{
    static const enum step_kind kinds[] = { STEP_PAUSE, STEP_PAUSE, STEP_CRASH, STEP_CRASH,
                                            STEP_STOP,  STEP_CLOCK, STEP_DISK };
    enum step_kind kind = kinds[draw_below(&w->draw, ARRAY_COUNT(kinds))];
    struct plan_step *s = step(w, kind, some_node(w));
    s->ns = some_while(w);
    lie_in_wait(w, s);
    s->forgets = draw_chance(&w->draw, 150);
    s->value = (int32_t)draw_below(&w->draw, 200001) - 100000; /* a tenth fast or slow */
    if (kind == STEP_CRASH && draw_chance(&w->draw, 400))
        s->ns = (uint64_t)draw_below(&w->draw, 700) * detect_ns(w) / 1000; /* before they notice */
}

static void agent_trouble(struct author *w)
{
    static const enum step_kind kinds[] = { STEP_STALL, STEP_SLOW, STEP_KEEP, STEP_DIE, STEP_DIE };
    enum step_kind kind = kinds[draw_below(&w->draw, ARRAY_COUNT(kinds))];
    struct plan_step *s = step(w, kind, some_agent(w));
    s->ns = draw_scale(&w->draw, 1, 3000) * NS_PER_MS;
    s->pace_ns = draw_scale(&w->draw, 10, 30000) * NS_PER_US;
}

static void scene(struct author *w, uint32_t trouble_permille)
{
    uint32_t acts = draw_scale(&w->draw, 4, 40);
    uint64_t length_ns = some_while(w) + NS_PER_MS;
    uint64_t begin_ns = w->now_ns;
    for (uint32_t i = 0; i < acts; i++) {
        w->now_ns = begin_ns + draw64(&w->draw) % length_ns;
        if (!draw_chance(&w->draw, trouble_permille)) {
            uint32_t agent = some_agent(w);
            if (draw_chance(&w->draw, 200))
                joins(w, agent);
            else
                sends(w, agent);
        } else if (draw_chance(&w->draw, 250)) {
            agent_trouble(w);
        } else if (draw_chance(&w->draw, 550)) {
            link_trouble(w);
        } else {
            node_trouble(w);
        }
    }
    w->now_ns = begin_ns + length_ns;
}

static void begin(struct author *w)
{
    struct plan *p = w->plan;
    uint32_t each = draw_between(&w->draw, 1, 4);
    w->groups = draw_scale(&w->draw, 1, HIST_GROUPS);
    for (int node = 1; node <= p->world.nodes; node++) {
        for (uint32_t i = draw_between(&w->draw, each > 1, each); i > 0; i--) {
            uint32_t index = p->agent_count++;
            p->agent[index].node = (uint32_t)node;
            p->agent[index].pid_stays = draw_chance(&w->draw, 300);
            p->agent[index].shares_pid =
                i > 1 && draw_chance(&w->draw, 200) ? index + 1 : index; /* two of one process */
            w->now_ns = draw_below(&w->draw, 500) * NS_PER_MS;
            uint32_t flags = draw_chance(&w->draw, 900) ? CTL_HELLO_WANT_RINGS : 0;
            flags |= flags && draw_chance(&w->draw, 900) ? CTL_HELLO_FIRST_RING : 0;
            step(w, STEP_CONNECT, index)->value = (int32_t)flags;
            step(w, STEP_JOIN, index)->value = (int32_t)draw_below(&w->draw, w->groups);
        }
    }
    if (p->agent_count == 0)
        p->agent[p->agent_count++].node = 1;
}

/* Where it may be as large as anywhere, it is, once. */
static void the_largest(struct author *w)
{
    w->now_ns = draw64(&w->draw) % w->plan->end_ns;
    struct plan_step *s = step(w, STEP_SEND, some_agent(w));
    s->burst = (struct agent_burst){ .count = 1, .size = SIZE_HUGE };
}

/* Somebody is lost to the others for a moment, or for good, just as they recover. */
static void recovery_fails(struct author *w)
{
    bool dies = draw_chance(&w->draw, 300);
    uint32_t node = some_node(w);
    struct plan_step *s = step(w, dies ? STEP_CRASH : STEP_FAULT, node);
    s->ns = (uint64_t)draw_between(&w->draw, 100, 2000) * detect_ns(w) / 1000;
    s->trigger = draw_chance(&w->draw, 500) ? TRIGGER_RECEIVED : TRIGGER_RECOVERY;
    s->lag_ns = draw_chance(&w->draw, 500) ? 0 : draw_scale(&w->draw, 1, 1000) * NS_PER_US;
    s->fault =
        (struct fault){ .kind = FAULT_CUT, .from = 1u << node, .to = ~(1u << node), .both = true };
    if (draw_chance(&w->draw, 300)) /* it is heard, and hears nobody */
        s->fault = (struct fault){ .kind = FAULT_CUT, .from = ~(1u << node), .to = 1u << node };
}

/* Everybody sends, some frames are lost, and then one recovery fails after the other: what its
 * members came to owe each other there they owe in the next. */
static void recoveries_fail(struct author *w)
{
    struct plan_step *s = step(w, STEP_FAULT, 0);
    s->ns = 2 * detect_ns(w);
    s->fault = (struct fault){ .kind = FAULT_LOSS,
                               .from = UINT32_MAX,
                               .to = UINT32_MAX,
                               .ppm = draw_scale(&w->draw, 1000, 200000) };
    for (uint32_t agent = 0; agent < w->plan->agent_count; agent++)
        sends(w, agent);
    w->now_ns += draw64(&w->draw) % detect_ns(w);
    s = step(w, STEP_CRASH, some_node(w));
    s->ns = 4 * detect_ns(w);
    for (uint32_t i = draw_between(&w->draw, 1, 6); i > 0; i--) {
        recovery_fails(w);
        w->now_ns += draw64(&w->draw) % (2 * detect_ns(w));
    }
}

/* All on one machine, and that stands still. */
static void stand_still(struct author *w)
{
    uint64_t ns = some_while(w);
    for (uint32_t node = 1; node <= (uint32_t)w->plan->world.nodes; node++)
        step(w, STEP_PAUSE, node)->ns = ns;
}

/* The transport knows of some of the links that are down, and thinks it of others now and then. */
static void news(struct author *w)
{
    for (uint32_t i = 0; i < w->plan->step_count; i++) {
        struct plan_step *s = &w->plan->step[i];
        s->fault.told = draw_chance(&w->draw, 500); /* of any other fault it means nothing */
    }
    for (uint32_t i = draw_chance(&w->draw, 400) ? draw_between(&w->draw, 1, 6) : 0; i > 0; i--) {
        w->now_ns = draw64(&w->draw) % w->plan->end_ns;
        struct plan_step *s = step(w, STEP_FAULT, 0);
        s->ns = some_while(w);
        s->fault = (struct fault){ .kind = FAULT_NEWS,
                                   .from = some_nodes(w),
                                   .to = some_nodes(w),
                                   .both = draw_chance(&w->draw, 500) };
        lie_in_wait(w, s);
    }
}

/* One node, or any of them but not all. */
static void draw_drill(struct plan *p)
{
    struct draw d = draw_stream(p->seed, PURPOSE_DRILL);
    struct plan_drill *drill = &p->drill;
    uint32_t nodes = (uint32_t)p->world.nodes, all = ((1u << nodes) - 1) << 1;
    *drill = (struct plan_drill){ .kind = draw_below(&d, DRILL_LOSS) };
    if (nodes < 2)
        return;
    drill->nodes = 2u << draw_below(&d, nodes);
    uint32_t several = (uint32_t)draw64(&d) & all;
    if (draw_chance(&d, 500) && several && several != all)
        drill->nodes = several;
    drill->calm_ns = draw_below(&d, 2 * p->world.each.detect_ms) * NS_PER_MS;
    drill->busy_ns = draw_below(&d, 20000) * NS_PER_US;
    if (draw_chance(&d, 500))
        drill->burst = (struct agent_burst){ .count = draw_scale(&d, 1, 100),
                                             .size = SIZE_TINY + draw_below(&d, SIZE_BULK),
                                             .safe_permille = draw_below(&d, 1001),
                                             .gap_ns = draw_below(&d, 500) * NS_PER_US };
    if (drill->burst.count > 0 && draw_chance(&d, 400))
        drill->kind = DRILL_LOSS;
    drill->told = draw_chance(&d, 500);
    if (draw_chance(&d, 150))
        drill->kind = DRILL_STILL;
    drill->still_ns = (uint64_t)draw_scale(&d, 50, 10000) * p->world.each.detect_ms * NS_PER_US;
    if (draw_chance(&d, 80))
        drill->kind = DRILL_DISK;
    drill->lossy = draw_chance(&d, 500);
    if (draw_chance(&d, 150)) {
        drill->kind = DRILL_STOP;
        drill->burst.count = 0; /* it first sends what it has, and that takes what it takes */
    }
}

static int by_time(const void *a, const void *b)
{
    const struct plan_step *x = a, *y = b;
    if (x->at_ns != y->at_ns)
        return x->at_ns < y->at_ns ? -1 : 1;
    return x->order < y->order ? -1 : 1;
}

void plan_draw(struct plan *p, uint64_t seed, const struct plan_wish *wish)
{
    memset(p, 0, sizeof(*p));
    p->seed = seed;
    draw_cluster(p, wish);
    struct author w = { .plan = p, .draw = draw_stream(seed, PURPOSE_SCENES) };
    begin(&w);
    uint32_t trouble = PICK(&w.draw, 0, 100, 300, 300, 500, 700);
    uint32_t scenes = draw_between(&w.draw, 3, 12);
    for (uint32_t i = 0; i < scenes; i++) {
        w.now_ns = NS_PER_MS + draw64(&w.draw) % p->end_ns;
        if (draw_chance(&w.draw, 200))
            w.now_ns /= 20; /* when it is only just forming */
        scene(&w, trouble);
    }
    if (draw_chance(&w.draw, 500)) { /* it ends in the middle of something */
        w.now_ns = p->end_ns;
        scene(&w, trouble);
        p->end_ns = w.now_ns - draw64(&w.draw) % (w.now_ns / 50);
    }
    if (p->world.each.message_bytes_max >= 32 << 20)
        the_largest(&w);
    w.draw = draw_stream(seed, PURPOSE_RECOVERIES);
    for (uint32_t i = draw_chance(&w.draw, 300) ? draw_between(&w.draw, 1, 3) : 0; i > 0; i--) {
        w.now_ns = draw64(&w.draw) % p->end_ns;
        recoveries_fail(&w);
    }
    w.draw = draw_stream(seed, PURPOSE_STILL);
    for (uint32_t i = draw_chance(&w.draw, 200) ? draw_between(&w.draw, 1, 4) : 0; i > 0; i--) {
        w.now_ns = draw64(&w.draw) % p->end_ns;
        stand_still(&w);
    }
    w.draw = draw_stream(seed, PURPOSE_LINKS);
    news(&w);
    qsort(p->step, p->step_count, sizeof(p->step[0]), by_time);
    while (p->step_count > 0 && p->step[p->step_count - 1].at_ns > p->end_ns)
        p->step_count--;
    draw_drill(p);
}
