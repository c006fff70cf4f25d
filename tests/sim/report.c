/* SPDX-License-Identifier: BSD-3-Clause */
#include "report.h"

#include <inttypes.h>
#include <string.h>

static double seconds(uint64_t ns)
{
    return (double)ns / 1e9;
}

static void counts(FILE *to, const char *what, const char *const *names, const uint64_t *values,
                   uint32_t count)
{
    const char *between = "";
    fprintf(to, "%s", what);
    for (uint32_t i = 0; i < count; i++) {
        fprintf(to, "%s %s %" PRIu64, between, names[i], values[i]);
        between = ",";
    }
    fprintf(to, "\n");
}

void report_text(FILE *to, const struct swarm *s)
{
    const struct run_stats *r = &s->stats;
    double each = r->seeds ? 1.0 / (double)r->seeds : 0;
    fprintf(to,
            "%" PRIu64 " seeds in %.1f s, %u failed; %.0f s simulated, %.1f s a seed\n"
            "%" PRIu64 " messages sent, %" PRIu64 " events read, %" PRIu64 " frames; %" PRIu64
            " starts of nodes, %" PRIu64 " rings, %" PRIu64 " clients evicted\n",
            r->seeds, s->wall_s, s->failures, seconds(r->simulated_ns),
            seconds(r->simulated_ns) * each, r->messages_sent, r->events_read, r->frames, r->lives,
            r->configurations, r->evictions);
    counts(to, "steps:", step_name, r->step, STEPS);
    counts(to, "faults:", fault_name, r->fault, FAULT_KINDS);
    counts(to, "frames:", fate_name, r->fate, FATES);
    fprintf(to,
            "after the end all was one and delivered within %.1f s (%" PRIu64
            " permille of what is allowed), had new views (%" PRIu64 "), and rested (%" PRIu64
            ")\n",
            seconds(r->settle_ns_most), r->settle_permille, r->view_permille, r->rest_permille);
    for (uint32_t i = 0; i < s->failures && i < FAILURES_MAX; i++)
        fprintf(to, "FAILED seed %" PRIu64 ": %s: %s\n", s->failure[i].seed,
                s->failure[i].verdict.rule, s->failure[i].verdict.text);
}

static void json_text(FILE *to, const char *text)
{
    fputc('"', to);
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            fputc('\\', to);
        fputc((unsigned char)*text < ' ' ? ' ' : *text, to);
    }
    fputc('"', to);
}

static void json_counts(FILE *to, const char *name, const char *const *names,
                        const uint64_t *values, uint32_t count)
{
    fprintf(to, ", \"%s\": {", name);
    for (uint32_t i = 0; i < count; i++)
        fprintf(to, "%s\"%s\": %" PRIu64, i ? ", " : "", names[i], values[i]);
    fprintf(to, "}");
}

static void json_verdict(FILE *to, uint64_t seed, const struct verdict *v)
{
    fprintf(to, "{\"seed\": %" PRIu64 ", \"rule\": ", seed);
    json_text(to, v->rule);
    fprintf(to, ", \"text\": ");
    json_text(to, v->text);
    fprintf(to, "}");
}

static void json_stats(FILE *to, const struct run_stats *r)
{
    fprintf(to,
            "\"simulated_s\": %.3f, \"turns\": %" PRIu64 ", \"frames\": %" PRIu64
            ", \"messages\": %" PRIu64 ", \"events\": %" PRIu64 ", \"starts\": %" PRIu64
            ", \"rings\": %" PRIu64 ", \"evicted\": %" PRIu64 ", \"lawless\": %" PRIu64
            ", \"settle_s_most\": %.3f",
            seconds(r->simulated_ns), r->turns, r->frames, r->messages_sent, r->events_read,
            r->lives, r->configurations, r->evictions, r->lawless, seconds(r->settle_ns_most));
    json_counts(to, "steps", step_name, r->step, STEPS);
    json_counts(to, "faults", fault_name, r->fault, FAULT_KINDS);
    json_counts(to, "frames_not_simply_delivered", fate_name, r->fate, FATES);
}

void report_json(FILE *to, const struct swarm *s)
{
    fprintf(to,
            "{\"from\": %" PRIu64 ", \"seeds\": %" PRIu64 ", \"failed\": %u, \"wall_s\": %.3f, ",
            s->from, s->stats.seeds, s->failures, s->wall_s);
    json_stats(to, &s->stats);
    fprintf(to, ", \"failures\": [");
    for (uint32_t i = 0; i < s->failures && i < FAILURES_MAX; i++) {
        fprintf(to, "%s", i ? ", " : "");
        json_verdict(to, s->failure[i].seed, &s->failure[i].verdict);
    }
    fprintf(to, "]}\n");
}

void report_one(FILE *to, const struct plan *plan, const struct run_result *r, bool json)
{
    if (json) {
        fprintf(to, "{\"hash\": \"%016" PRIx64 "\", \"failed\": %d, ", r->hash, r->verdict.failed);
        json_stats(to, &r->stats);
        fprintf(to, ", \"verdict\": ");
        json_verdict(to, plan->seed, &r->verdict);
        fprintf(to, "}\n");
        return;
    }
    fprintf(to,
            "%.1f s, %" PRIu64 " turns, %" PRIu64 " frames, %" PRIu64 " messages, %" PRIu64
            " events, %" PRIu64 " starts, %" PRIu64 " rings; settled in %.3f s; history %016" PRIx64
            "\n%s%s%s\n",
            seconds(r->stats.simulated_ns), r->stats.turns, r->stats.frames, r->stats.messages_sent,
            r->stats.events_read, r->stats.lives, r->stats.configurations,
            seconds(r->stats.settle_ns_most), r->hash,
            r->verdict.failed ? r->verdict.rule : "all rules kept", r->verdict.failed ? ": " : "",
            r->verdict.text);
}

void report_wish(FILE *to, const struct plan_wish *wish)
{
    if (wish->nodes_least != 2 || wish->nodes_most != 9)
        fprintf(to, " --nodes %u..%u", wish->nodes_least, wish->nodes_most);
    if (wish->seconds != 60)
        fprintf(to, " --seconds %u", wish->seconds);
}

void report_steps(FILE *to, const struct plan *plan, const bool *without)
{
    const char *between = " --steps ";
    for (uint32_t i = 0; i < plan->step_count; i++) {
        if (without[i])
            continue;
        fprintf(to, "%s%u", between, i);
        between = ",";
    }
    fprintf(to, "%s\n", between[0] == ' ' ? " --steps none" : "");
    for (uint32_t i = 0; i < plan->step_count; i++) {
        if (!without[i])
            plan_print_step(to, plan, i);
    }
}

void report_tail(FILE *to, FILE *from, uint32_t lines)
{
    char line[1024];
    uint32_t count = 0;
    rewind(from);
    while (fgets(line, sizeof(line), from))
        count++;
    rewind(from);
    for (; fgets(line, sizeof(line), from); count--) {
        if (count <= lines)
            fputs(line, to);
    }
}
