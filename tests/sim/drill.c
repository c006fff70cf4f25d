/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * drill.c - something befalls a ring in which all is well, and what is promised for that is looked
 * at: nodes are gone, or stop in good order; frames are lost; nothing runs; disks cannot be
 * written.
 */
#include "run_inner.h"

#include <inttypes.h>

#include "gwire.h"

enum {
    CALM_DETECTS = 3,
    CALM_TRIES = 10,
    DRILL_LOSS_PPM = 30000,
    DISK_DETECTS = 8,
    LOSSY_STOP_DETECTS = 4,
};

static const struct fault some_loss = {
    .kind = FAULT_LOSS, .from = UINT32_MAX, .to = UINT32_MAX, .ppm = DRILL_LOSS_PPM
};

static void drill_blow(struct run *r, const struct plan_drill *drill)
{
    const struct fault cut = {
        .kind = FAULT_CUT,
        .from = drill->nodes,
        .to = ~drill->nodes,
        .both = true,
        .told = drill->told,
    };
    run_not_calm(r);
    if (drill->kind == DRILL_CUT)
        faults_begin(&r->faults, &cut, r->world.now_ns, NS_NEVER);
    static const enum step_kind kind[DRILLS] = {
        [DRILL_CRASH] = STEP_CRASH, [DRILL_PAUSE] = STEP_PAUSE, [DRILL_STOP] = STEP_STOP
    };
    for (uint32_t node = 1; node <= (uint32_t)r->world.count && drill->kind != DRILL_CUT; node++) {
        struct plan_step step = { .kind = kind[drill->kind], .who = node, .ns = 3600 * NS_PER_S };
        if (drill->nodes >> node & 1)
            run_node_step(r, &step);
    }
}

/* What is promised for silence that begins when all is well: by the slowest of the clocks. Where
 * the transports know which links are down, an eighth of detect_ms is all it takes; nor does
 * anybody wait for who says that it goes, unless that is lost; each goes with a ring of its own. */
static uint64_t view_most_ns(const struct run *r)
{
    const struct plan_drill *drill = &r->plan->drill;
    bool told = drill->kind == DRILL_CUT && drill->told;
    const struct world_config *c = &r->plan->world;
    const struct ring_config ring = { .detect_ns = c->each.detect_ms * NS_PER_MS };
    uint64_t silence_ns = told ? ring.detect_ns / 8 : ring_view_ns_worst(&ring, 0);
    uint64_t rings = drill->kind == DRILL_STOP ? (uint64_t)__builtin_popcount(drill->nodes) : 1;
    if (drill->kind == DRILL_STOP)
        silence_ns = drill->lossy ? LOSSY_STOP_DETECTS * ring.detect_ns : ring.detect_ns / 8;
    uint64_t hop_ns = c->net.faults.delay_ns_most + 2 * c->turn_ns, most_ns = 0;
    for (int i = 1; i <= r->world.count; i++) {
        uint64_t rate = (uint64_t)(1000000 + r->world.node[i].clock.ppm);
        most_ns = max_u64(most_ns, silence_ns * 1000000 / rate);
    }
    return most_ns + rings * RING_VIEW_ROTATIONS * (uint64_t)c->nodes * hop_ns;
}

static bool drilled(const struct run *r, const struct plan_drill *drill)
{
    return world_is_one(&r->world, run_all_nodes(r) & ~drill->nodes) &&
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
        run_settle(r);
        if (!verdict(r)->failed && ring_id_equal(id, r->world.node[1].core->groups.ring_id))
            return;
    }
    verdict_broken(verdict(r), "E9", "one ring gives way to the next, long after all is mended");
}

/* The ring of all that was there is there. */
static void expect_ring(struct run *r, struct ring_id id, const char *rule, const char *what)
{
    if (!verdict(r)->failed && (!world_is_one(&r->world, run_all_nodes(r)) ||
                                !ring_id_equal(id, r->world.node[1].core->groups.ring_id)))
        verdict_broken(verdict(r), rule, "ring %" PRIu64 ".%u has gone, and %s", id.seq, id.rep,
                       what);
}

/* Frames are lost and asked for again: nobody makes another ring for their sake. */
static void drill_loss(struct run *r)
{
    uint64_t detect_ns = r->plan->world.each.detect_ms * NS_PER_MS;
    struct ring_id id = r->world.node[1].core->groups.ring_id;
    run_not_calm(r);
    faults_begin(&r->faults, &some_loss, r->world.now_ns, r->world.now_ns + detect_ns);
    run_until(r, r->world.now_ns + 4 * detect_ns);
    expect_ring(r, id, "loss", "nothing was lost but frames");
}

/* Time in which nobody runs is nobody's silence: all go on as if there had been none of it. */
static void drill_still(struct run *r, uint64_t still_ns)
{
    uint64_t detect_ns = r->plan->world.each.detect_ms * NS_PER_MS;
    struct ring_id id = r->world.node[1].core->groups.ring_id;
    for (uint32_t node = 1; node <= (uint32_t)r->world.count; node++)
        run_node_step(r, &(struct plan_step){ .kind = STEP_PAUSE, .who = node, .ns = still_ns });
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
    const struct history *h = &r->history;
    uint64_t begin_ns = r->world.now_ns;
    if (drill->lossy)
        faults_begin(&r->faults, &some_loss, begin_ns, NS_NEVER);
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
    uint32_t other = (uint32_t)__builtin_ctz(run_all_nodes(r) & ~drill->nodes);
    for (uint32_t node = 1; node <= (uint32_t)r->world.count; node++) {
        if (!(drill->nodes >> node & 1))
            continue;
        r->world.node[node].disk_fails_ns = NS_NEVER;
        run_node_step(r,
                      &(struct plan_step){ .kind = STEP_CRASH, .who = node, .ns = drill->busy_ns });
    }
    run_until(r, r->world.now_ns + DISK_DETECTS * detect_ns);
    struct ring_id id = r->world.node[other].core->groups.ring_id;
    run_until(r, r->world.now_ns + 2 * detect_ns);
    if (!verdict(r)->failed &&
        (!drilled(r, drill) || !ring_id_equal(id, r->world.node[other].core->groups.ring_id)))
        verdict_broken(verdict(r), "silence", "nodes %x cannot write, and the others have no ring",
                       drill->nodes);
}

void run_drill(struct run *r)
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
