/* SPDX-License-Identifier: BSD-3-Clause */
#include "plan.h"

#include <inttypes.h>

static const char *const size_name[AGENT_SIZES] = {
    [SIZE_TINY] = "tiny",   [SIZE_SMALL] = "small", [SIZE_FRAMES] = "frame-sized",
    [SIZE_BULK] = "bulk",   [SIZE_TURNS] = "large", [SIZE_HUGE] = "largest",
    [SIZE_MIXED] = "mixed",
};

static void print_nodes(FILE *to, const struct plan *p, uint32_t mask)
{
    for (int i = 1; i <= p->world.nodes; i++) {
        if (mask >> i & 1)
            fprintf(to, " %d", i);
    }
}

static void print_drill(FILE *to, const struct plan *p)
{
    const struct plan_drill *d = &p->drill;
    if (d->nodes == 0)
        return;
    fprintf(to, "when all is well: %s for %.3f ms, nodes", d->burst.count ? "all send" : "nothing",
            (double)d->busy_ns / 1e6);
    print_nodes(to, p, d->kind == DRILL_LOSS || d->kind == DRILL_STILL ? UINT32_MAX : d->nodes);
    fprintf(to, " %s%s\n", drill_name[d->kind], d->told && d->kind == DRILL_CUT ? ", told" : "");
}

void plan_print(FILE *to, const struct plan *p)
{
    const struct config *c = &p->world.each;
    fprintf(to,
            "seed %" PRIu64 ": %d nodes, %u agents, %u steps in %.1f s; detect %u ms, mtu %u, "
            "delay %.0f to %.0f us, rx %.1f MiB, message %u KiB, window %u/%u/%u, events %u, "
            "slow %u ms%s%s%s\n",
            p->seed, p->world.nodes, p->agent_count, p->step_count, (double)p->end_ns / 1e9,
            c->detect_ms, c->netmtu, (double)p->world.net.faults.delay_ns_least / 1e3,
            (double)p->world.net.faults.delay_ns_most / 1e3, (double)c->rx_bytes / (1 << 20),
            c->message_bytes_max >> 10, c->window_frames, c->personal_frames, c->accelerated_frames,
            c->client_events_max, c->slow_client_ms, c->slow_policy == SLOW_EVICT ? " evict" : "",
            p->world.by_reference ? ", in place" : "", p->lawless ? ", lawless" : "");
    print_drill(to, p);
}

static void print_fault(FILE *to, const struct plan *p, const struct plan_step *s)
{
    const struct fault *f = &s->fault;
    fprintf(to, " %s %u ppm %.3f ms from", fault_name[f->kind], f->ppm, (double)f->ns / 1e6);
    print_nodes(to, p, f->from);
    fprintf(to, " to");
    print_nodes(to, p, f->to);
    bool told = f->told && (f->kind == FAULT_CUT || f->kind == FAULT_FLAP);
    fprintf(to, "%s%s for %.3f ms", f->both ? " both ways" : "", told ? ", told" : "",
            (double)s->ns / 1e6);
}

void plan_print_step(FILE *to, const struct plan *p, uint32_t index)
{
    const struct plan_step *s = &p->step[index];
    fprintf(to, "%12.6f step %u: %s", (double)s->at_ns / 1e9, index, step_name[s->kind]);
    if (s->kind <= STEP_DIE)
        fprintf(to, " agent %u (node %u)", s->who, p->agent[s->who].node);
    else if (s->kind != STEP_FAULT)
        fprintf(to, " node %u", s->who);
    if (s->kind == STEP_FAULT)
        print_fault(to, p, s);
    else if (s->kind == STEP_SEND)
        fprintf(to, " %u %s, %u permille safe, gap %.3f ms", s->burst.count,
                size_name[s->burst.size], s->burst.safe_permille, (double)s->burst.gap_ns / 1e6);
    else if (s->kind == STEP_CONNECT || s->kind == STEP_JOIN || s->kind == STEP_CLOCK)
        fprintf(to, " %d", s->value);
    else if (s->kind != STEP_DIE)
        fprintf(to, " %.3f ms, %.3f ms%s", (double)s->ns / 1e6, (double)s->pace_ns / 1e6,
                s->forgets ? ", forgets" : "");
    if (s->trigger != TRIGGER_TIME)
        fprintf(to, ", %s and %.3f ms later", trigger_name[s->trigger], (double)s->lag_ns / 1e6);
    fprintf(to, "\n");
}
