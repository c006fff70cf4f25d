/* SPDX-License-Identifier: BSD-3-Clause */
#include "report.h"

enum { LATENCY_SAMPLES = 200, LATENCY_SAMPLES_BRIEF = 20, CHANGES = 9, CHANGES_BRIEF = 3 };

static void floods(struct figures *f, const struct fabric_config *c)
{
    for (int i = 0; i < REPORT_FLOODS; i++)
        f->flood[i] = measure_throughput(c, measure_bytes[i % MEASURE_SIZES], i < MEASURE_SIZES);
}

void figures_measure(struct figures *f, const struct fabric_config *c, bool membership, bool brief)
{
    int samples = brief ? LATENCY_SAMPLES_BRIEF : LATENCY_SAMPLES;
    const struct ring_config ring = { .node_count = c->nodes };
    *f =
        (struct figures){ .config = *c, .membership = membership, .ring_bytes = ring_bytes(&ring) };
    floods(f, c);
    if (!membership)
        return;
    f->rotation = measure_rotation(c);
    f->here = measure_latency(c, TOKEN_HERE, GUARANTEE_AGREED, samples);
    f->elsewhere = measure_latency(c, TOKEN_ELSEWHERE, GUARANTEE_AGREED, samples);
    f->turning = measure_latency(c, TOKEN_TURNS, GUARANTEE_AGREED, samples);
    f->safe = measure_latency(c, TOKEN_HERE, GUARANTEE_SAFE, samples);
    f->change = measure_change(c, brief ? CHANGES_BRIEF : CHANGES);
    f->formation = measure_formation(c);
    f->idle = measure_idle(c);
}

static void latency_text(const char *what, const struct latency *l, FILE *file)
{
    fprintf(file, "  %-32s own %8.2f %8.2f us, last %8.2f %8.2f us\n", what, l->own.p50, l->own.p99,
            l->last.p50, l->last.p99);
}

static void membership_text(const struct figures *f, FILE *file)
{
    const struct change *c = &f->change;
    fprintf(file, "  rotation, idle %.2f us; by the costs alone %.2f us\n", f->rotation.us,
            f->rotation.predicted_us);
    fprintf(file, "  latency of 64 bytes, p50 and p99\n");
    latency_text("  agreed, token rests here", &f->here, file);
    latency_text("  agreed, token rests elsewhere", &f->elsewhere, file);
    latency_text("  agreed, token turns", &f->turning, file);
    latency_text("  safe, token rests here", &f->safe, file);
    fprintf(file, "  view after a crash %.1f ms: found after %.1f ms, then join %.0f us,\n",
            c->total_ms, c->found_ms, c->join_us);
    fprintf(file, "    commit %.0f us, recover %.0f us, open %.0f us; %.0f JOINs, %.0f bytes\n",
            c->commit_us, c->recover_us, c->open_us, c->joins, c->join_bytes);
    fprintf(file, "  formed %.2f ms after the last start; %.0f JOINs, %.0f bytes\n",
            f->formation.ms, f->formation.joins, f->formation.join_bytes);
    fprintf(file, "  at rest %.0f frames/s, %.0f bytes/s in all; to one node %.1f, %.0f\n",
            f->idle.frames, f->idle.bytes, f->idle.node_frames, f->idle.node_bytes);
}

void report_text(const struct figures *f, FILE *file)
{
    fprintf(file, "%d nodes, MTU %u, %s\n", f->config.nodes, f->config.mtu,
            f->config.multicast ? "multicast" : "fan-out");
    if (f->membership)
        membership_text(f, file);
    for (int i = 0; i < REPORT_FLOODS; i++) {
        const struct throughput *t = &f->flood[i];
        fprintf(file, "  %s, %4u bytes: %10.0f messages/s %6.2f Gb/s, rotation %8.1f us, ",
                t->all ? "from all" : "from one", t->bytes, t->messages, t->gbps, t->rotation_us);
        fprintf(file, "busiest processor %3.0f%%, link %3.0f%%\n", 100 * t->processor,
                100 * t->link);
    }
}

static void latency_json(const char *name, const struct latency *l, FILE *file)
{
    fprintf(file, "\"%s\": {\"own_p50\": %.3f, \"own_p99\": %.3f, ", name, l->own.p50, l->own.p99);
    fprintf(file, "\"last_p50\": %.3f, \"last_p99\": %.3f},\n   ", l->last.p50, l->last.p99);
}

static void membership_json(const struct figures *f, FILE *file)
{
    const struct change *c = &f->change;
    fprintf(file, "\"rotation_us\": %.3f, \"rotation_predicted_us\": %.3f,\n   ", f->rotation.us,
            f->rotation.predicted_us);
    latency_json("here", &f->here, file);
    latency_json("elsewhere", &f->elsewhere, file);
    latency_json("turning", &f->turning, file);
    latency_json("safe", &f->safe, file);
    fprintf(file, "\"change\": {\"total_ms\": %.3f, \"found_ms\": %.3f, \"join_us\": %.2f, ",
            c->total_ms, c->found_ms, c->join_us);
    fprintf(file, "\"commit_us\": %.2f, \"recover_us\": %.2f, \"open_us\": %.2f, ", c->commit_us,
            c->recover_us, c->open_us);
    fprintf(file, "\"joins\": %.0f, \"join_bytes\": %.0f, \"frames\": %.0f},\n   ", c->joins,
            c->join_bytes, c->frames);
    fprintf(file, "\"formation\": {\"ms\": %.3f, \"joins\": %.0f, \"join_bytes\": %.0f},\n   ",
            f->formation.ms, f->formation.joins, f->formation.join_bytes);
    fprintf(file, "\"idle\": {\"frames\": %.1f, \"bytes\": %.0f, ", f->idle.frames, f->idle.bytes);
    fprintf(file, "\"node_frames\": %.1f, \"node_bytes\": %.0f},\n   ", f->idle.node_frames,
            f->idle.node_bytes);
}

void report_json_begin(const struct fabric_config *c, FILE *file)
{
#define COST_JSON(name, value, meaning) fprintf(file, "\"%s\": %.2f, ", #name, c->costs.name);
    fprintf(file, "{\"costs\": {");
    COSTS_MEASURED(COST_JSON)
    COSTS_ASSUMED(COST_JSON)
    fprintf(file, "\"hop\": %llu},\n", (unsigned long long)c->hop_ns);
    fprintf(file, " \"gbps\": %.0f, \"detect_ms\": %llu, \"persist_us\": %llu,\n \"runs\": [\n",
            c->gbps, (unsigned long long)(c->detect_ns / NS_PER_MS),
            (unsigned long long)(c->persist_ns / NS_PER_US));
}

void report_json(const struct figures *f, bool first, FILE *file)
{
    fprintf(file, "%s  {\"nodes\": %d, \"mtu\": %u, \"multicast\": %s, \"ring_bytes\": %zu,\n   ",
            first ? "" : ",\n", f->config.nodes, f->config.mtu,
            f->config.multicast ? "true" : "false", f->ring_bytes);
    if (f->membership)
        membership_json(f, file);
    fprintf(file, "\"flood\": [");
    for (int i = 0; i < REPORT_FLOODS; i++) {
        const struct throughput *t = &f->flood[i];
        fprintf(file, "%s\n    {\"bytes\": %u, \"all\": %s, \"messages\": %.0f, \"gbps\": %.3f, ",
                i > 0 ? "," : "", t->bytes, t->all ? "true" : "false", t->messages, t->gbps);
        fprintf(file, "\"rotation_us\": %.2f, \"processor\": %.3f, \"link\": %.3f, ",
                t->rotation_us, t->processor, t->link);
        fprintf(file, "\"rx_frames\": %u, \"tx_frames\": %u}", t->rx_frames, t->tx_frames);
    }
    fprintf(file, "]}");
}

void report_json_end(FILE *file)
{
    fprintf(file, "\n ]}\n");
}
