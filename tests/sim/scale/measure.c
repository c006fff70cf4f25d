/* SPDX-License-Identifier: BSD-3-Clause */
#include "measure.h"

#include "ring/wire.h"

#include <math.h>
#include <string.h>

const uint32_t measure_bytes[MEASURE_SIZES] = { 64, 1024, 8192 };

enum { FORM_S = 20, START_SPREAD_MS = 10 };

/* What the hooks note down. */
struct watch {
    struct fabric *f;
    int own;         /* sender of the message under way */
    int outstanding; /* nodes that have yet to deliver it */
    uint64_t own_ns, last_ns;
    uint64_t found_ns, commit_ns, recovery_ns, installed_ns, opened_ns;
};

static void delivered(void *context, int node, uint32_t messages, uint64_t at_ns)
{
    struct watch *w = context;
    (void)messages;
    if (w->outstanding == 0)
        return;
    if (node == w->own)
        w->own_ns = at_ns;
    w->last_ns = max_u64(w->last_ns, at_ns);
    if (--w->outstanding == 0)
        w->f->stop = true;
}

static void traced(void *context, int node, const struct ring_trace *trace)
{
    struct watch *w = context;
    (void)node;
    if (trace->kind == RING_TRACE_NODE_FAILED && w->found_ns == 0)
        w->found_ns = trace->now_ns;
    if (trace->kind != RING_TRACE_STATE)
        return;
    if (trace->b == RING_COMMIT && w->commit_ns == 0)
        w->commit_ns = trace->now_ns;
    if (trace->b == RING_RECOVERY)
        w->recovery_ns = trace->now_ns;
    if (trace->b == RING_OPERATIONAL)
        w->installed_ns = trace->now_ns;
}

static void opened(void *context, int node, uint64_t at_ns)
{
    struct watch *w = context;
    (void)node;
    w->opened_ns = max_u64(w->opened_ns, at_ns);
}

static const struct fabric_ops ops = { delivered, traced, opened };

static void create(struct fabric *f, struct watch *w, const struct fabric_config *config)
{
    struct fabric_config c = *config;
    *w = (struct watch){ .f = f };
    c.ops = &ops;
    c.context = w;
    fabric_create(f, &c);
    for (int i = 0; i < c.nodes; i++)
        fabric_start(f, i, f->now_ns + fabric_random(f, START_SPREAD_MS * NS_PER_MS));
}

static void create_formed(struct fabric *f, struct watch *w, const struct fabric_config *config)
{
    create(f, w, config);
    bool one = fabric_run_until_formed(f, FORM_S * NS_PER_S);
    INVARIANT(one);
}

/* Whatever was submitted is there. */
static void finish(struct fabric *f)
{
    for (int i = 0; i < f->config.nodes; i++)
        f->node[i].load = (struct fabric_load){ 0 };
    for (int i = 0; i < 100 && !fabric_all_delivered(f); i++)
        fabric_run(f, f->now_ns + 100 * NS_PER_MS);
    INVARIANT(fabric_all_delivered(f));
    INVARIANT(f->count.lost_port + f->count.lost_ring == 0);
    fabric_destroy(f);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double quantile(double *value, int count, double part)
{
    qsort(value, (size_t)count, sizeof(value[0]), by_value);
    int at = (int)ceil(part * count) - 1;
    return value[at < 0 ? 0 : at];
}

static uint64_t sum(const uint64_t *value)
{
    uint64_t total = 0;
    for (int i = 0; i < FABRIC_TYPES; i++)
        total += value[i];
    return total;
}

/* One hop of an idle token, by the costs alone. */
static double hop_ns(const struct fabric_config *c)
{
    const struct costs *k = &c->costs;
    double turn = k->turn / 2 + k->turn + k->nic_rx + k->call + k->nic_tx;
    return turn + k->token + k->token_member * c->nodes + (double)c->hop_ns +
           (double)fabric_wire_ns(c, sizeof(struct wire_token));
}

struct rotation measure_rotation(const struct fabric_config *config)
{
    struct fabric f;
    struct watch w;
    struct fabric_config c = *config;
    c.park = false;
    create_formed(&f, &w, &c);
    fabric_run(&f, f.now_ns + 5 * NS_PER_MS);
    struct fabric_node *n = &f.node[0];
    uint64_t from_ns = n->token_ns, from = n->tokens;
    fabric_run(&f, f.now_ns + 20 * NS_PER_MS);
    struct rotation rotation = {
        .us = (double)(n->token_ns - from_ns) / (double)(n->tokens - from) / 1e3,
        .predicted_us = hop_ns(&c) * c.nodes / 1e3,
    };
    finish(&f);
    return rotation;
}

struct latency measure_latency(const struct fabric_config *config, enum token_place place,
                               uint8_t guarantee, int samples)
{
    struct fabric f;
    struct watch w;
    struct fabric_config c = *config;
    double *own = calloc((size_t)samples, sizeof(double));
    double *last = calloc((size_t)samples, sizeof(double));
    c.park = place != TOKEN_TURNS;
    create_formed(&f, &w, &c);
    for (int i = -2; i < samples; i++) { /* the first two bring the token where it belongs */
        fabric_run(&f, f.now_ns + 3 * NS_PER_MS + fabric_random(&f, 3 * NS_PER_MS));
        if (place == TOKEN_ELSEWHERE)
            w.own = (w.own + 1 + (int)fabric_random(&f, (uint64_t)c.nodes - 1)) % c.nodes;
        w.outstanding = c.nodes;
        w.last_ns = 0;
        uint64_t start_ns = f.now_ns;
        f.node[w.own].load =
            (struct fabric_load){ .bytes = 64, .guarantee = guarantee, .waiting = 1 };
        fabric_wake(&f, w.own);
        fabric_run(&f, f.now_ns + NS_PER_S);
        INVARIANT(w.outstanding == 0);
        if (i >= 0) {
            own[i] = (double)(w.own_ns - start_ns) / 1e3;
            last[i] = (double)(w.last_ns - start_ns) / 1e3;
        }
    }
    finish(&f);
    struct latency latency = {
        .own = { quantile(own, samples, 0.5), quantile(own, samples, 0.99) },
        .last = { quantile(last, samples, 0.5), quantile(last, samples, 0.99) },
    };
    free(own);
    free(last);
    return latency;
}

/* Up to the n-th token from now at the first node, and not less than `least_ns`. */
static void run_rotations(struct fabric *f, uint64_t rotations, uint64_t least_ns)
{
    uint64_t tokens = f->node[0].tokens + rotations, least = f->now_ns + least_ns;
    for (int i = 0; i < 4000 && (f->node[0].tokens < tokens || f->now_ns < least); i++)
        fabric_run(f, f->now_ns + NS_PER_MS / 4);
    INVARIANT(f->node[0].tokens >= tokens);
}

struct throughput measure_throughput(const struct fabric_config *config, uint32_t bytes, bool all)
{
    struct fabric f;
    struct watch w;
    struct fabric_config c = *config;
    if (c.window_frames == 0)
        c.window_frames = 1024; /* where it gets by itself in half a second without loss */
    create_formed(&f, &w, &c);
    for (int i = 0; i < (all ? c.nodes : 1); i++) {
        f.node[i].load =
            (struct fabric_load){ .bytes = bytes, .guarantee = GUARANTEE_AGREED, .flood = true };
        fabric_wake(&f, i);
    }
    run_rotations(&f, 4, 2 * NS_PER_MS);
    uint64_t from_ns = f.now_ns, tokens = f.node[0].tokens, wire[NODE_COUNT_MAX];
    const struct peer *far = &f.node[c.nodes - 1].peer; /* what comes over the wire, if one sends */
    uint64_t messages = far->delivered_messages, worked[NODE_COUNT_MAX];
    for (int i = 0; i < c.nodes; i++) {
        worked[i] = f.node[i].worked_ns;
        wire[i] = f.node[i].wire_ns;
    }
    run_rotations(&f, 8, 8 * NS_PER_MS);
    double ns = (double)(f.now_ns - from_ns);
    struct throughput t = { .bytes = bytes, .all = all };
    t.messages = (double)(far->delivered_messages - messages) * 1e9 / ns;
    t.gbps = t.messages * bytes * 8 / 1e9;
    t.rotation_us = ns / 1e3 / (double)(f.node[0].tokens - tokens);
    for (int i = 0; i < c.nodes; i++) {
        const struct fabric_node *n = &f.node[i];
        t.processor = fmax(t.processor, (double)(n->worked_ns - worked[i]) / ns);
        t.link = fmax(t.link, (double)(n->wire_ns - wire[i]) / ns);
        t.rx_frames =
            (uint32_t)max_u64(t.rx_frames, n->peer.rx_pool.count - n->peer.rx_pool.free_least);
        t.tx_frames =
            (uint32_t)max_u64(t.tx_frames, n->peer.tx_pool.count - n->peer.tx_pool.free_least);
    }
    finish(&f);
    return t;
}

static struct change change_once(const struct fabric_config *config)
{
    struct fabric f;
    struct watch w;
    create_formed(&f, &w, config);
    fabric_run(&f, f.now_ns + config->detect_ns / 4 + fabric_random(&f, config->detect_ns));
    int victim = (int)fabric_random(&f, (uint64_t)config->nodes);
    fabric_crash(&f, victim);
    uint64_t end_ns = f.now_ns;
    struct fabric_count before = f.count;
    w = (struct watch){ .f = &f };
    while (w.found_ns == 0)
        fabric_run(&f, f.now_ns + NS_PER_MS / 10);
    uint64_t frames = sum(f.count.frames);
    bool one = fabric_run_until_formed(&f, FORM_S * NS_PER_S);
    INVARIANT(one);
    struct change change = {
        .total_ms = (double)(w.opened_ns - end_ns) / 1e6,
        .found_ms = (double)(w.found_ns - end_ns) / 1e6,
        .join_us = (double)(w.commit_ns - w.found_ns) / 1e3,
        .commit_us = (double)(w.recovery_ns - w.commit_ns) / 1e3,
        .recover_us = (double)(w.installed_ns - w.recovery_ns) / 1e3,
        .open_us = (double)(w.opened_ns - w.installed_ns) / 1e3,
        .joins = (double)(f.count.frames[WIRE_JOIN] - before.frames[WIRE_JOIN]),
        .join_bytes = (double)(f.count.bytes[WIRE_JOIN] - before.bytes[WIRE_JOIN]),
        .frames = (double)(sum(f.count.frames) - frames),
    };
    finish(&f);
    return change;
}

/* Of several, each figure's median. */
struct change measure_change(const struct fabric_config *config, int samples)
{
    enum { FIELDS = sizeof(struct change) / sizeof(double) };
    double value[FIELDS][64], all[FIELDS];
    INVARIANT(samples <= 64);
    for (int i = 0; i < samples; i++) {
        struct fabric_config c = *config;
        c.seed += (uint64_t)i;
        struct change change = change_once(&c);
        memcpy(all, &change, sizeof(all));
        for (int k = 0; k < FIELDS; k++)
            value[k][i] = all[k];
    }
    for (int k = 0; k < FIELDS; k++)
        all[k] = quantile(value[k], samples, 0.5);
    struct change median;
    memcpy(&median, all, sizeof(median));
    return median;
}

struct formation measure_formation(const struct fabric_config *config)
{
    struct fabric f;
    struct watch w;
    create(&f, &w, config);
    uint64_t last_ns = 0;
    for (int i = 0; i < config->nodes; i++)
        last_ns = max_u64(last_ns, f.node[i].up_ns);
    bool one = fabric_run_until_formed(&f, FORM_S * NS_PER_S);
    INVARIANT(one);
    struct formation formation = {
        .ms = (double)(w.opened_ns - last_ns) / 1e6,
        .joins = (double)f.count.frames[WIRE_JOIN],
        .join_bytes = (double)f.count.bytes[WIRE_JOIN],
        .frames = (double)sum(f.count.frames),
    };
    finish(&f);
    return formation;
}

struct idle measure_idle(const struct fabric_config *config)
{
    enum { SECONDS = 4 };
    struct fabric f;
    struct watch w;
    create_formed(&f, &w, config);
    fabric_run(&f, f.now_ns + 100 * NS_PER_MS);
    struct fabric_count before = f.count;
    const struct fabric_node *n = &f.node[config->nodes - 1];
    uint64_t received = n->received, received_bytes = n->received_bytes;
    fabric_run(&f, f.now_ns + SECONDS * NS_PER_S);
    struct idle idle = {
        .frames = (double)(sum(f.count.frames) - sum(before.frames)) / SECONDS,
        .bytes = (double)(sum(f.count.bytes) - sum(before.bytes)) / SECONDS,
        .node_frames = (double)(n->received - received) / SECONDS,
        .node_bytes = (double)(n->received_bytes - received_bytes) / SECONDS,
    };
    finish(&f);
    return idle;
}
