/* SPDX-License-Identifier: BSD-3-Clause */
#include "triggers.h"

#include "internal.h"

const char *const trigger_name[TRIGGERS] = {
    [TRIGGER_TIME] = "at once",
    [TRIGGER_COMMIT] = "when one commits",
    [TRIGGER_RECOVERY] = "when one recovers",
    [TRIGGER_RECEIVED] = "when one has received all",
    [TRIGGER_INSTALL] = "when some have a ring and others not yet",
    [TRIGGER_EXCHANGE] = "when members are exchanged",
};

void trigger_arm(struct triggers *t, enum trigger trigger, uint32_t step, uint64_t lag_ns,
                 uint64_t until_ns)
{
    if (t->count == ARMED_MAX)
        return;
    t->armed[t->count].trigger = trigger;
    t->armed[t->count].step = step;
    t->armed[t->count].lag_ns = lag_ns;
    t->armed[t->count].until_ns = until_ns;
    t->armed[t->count++].at_ns = NS_NEVER;
}

/* One bit for each trigger. */
static uint32_t seen(const struct world *w)
{
    uint32_t what = 0, newest_here = 0, newest_all = 0;
    uint64_t newest = 0;
    for (int i = 1; i <= w->count; i++) {
        struct ring_status status;
        if (!w->node[i].core || w->node[i].core->stopped)
            continue;
        ring_status(w->node[i].core->ring, &status);
        if (status.state == RING_COMMIT)
            what |= 1u << TRIGGER_COMMIT;
        if (status.state == RING_RECOVERY)
            what |= 1u << TRIGGER_RECOVERY;
        if (status.state == RING_RECOVERY && w->node[i].core->ring->my_received_flag)
            what |= 1u << TRIGGER_RECEIVED;
        if (w->node[i].core->groups.exchange.open)
            what |= 1u << TRIGGER_EXCHANGE;
        if (status.state == RING_OPERATIONAL && status.ring_id.seq > newest) {
            newest = status.ring_id.seq;
            newest_all = (uint32_t)status.member_count;
            newest_here = 0;
        }
        newest_here += status.state == RING_OPERATIONAL && status.ring_id.seq == newest;
    }
    if (newest_here < newest_all)
        what |= 1u << TRIGGER_INSTALL;
    return what;
}

void triggers_look(struct triggers *t, const struct world *w)
{
    uint32_t what = t->count > 0 ? seen(w) : 0, kept = 0;
    for (uint32_t i = 0; i < t->count; i++) {
        if (t->armed[i].at_ns == NS_NEVER && what >> t->armed[i].trigger & 1)
            t->armed[i].at_ns = w->now_ns + t->armed[i].lag_ns;
        if (t->armed[i].at_ns != NS_NEVER || t->armed[i].until_ns > w->now_ns)
            t->armed[kept++] = t->armed[i];
    }
    t->count = kept;
}

bool trigger_take(struct triggers *t, uint64_t now_ns, uint32_t *step)
{
    for (uint32_t i = 0; i < t->count; i++) {
        if (t->armed[i].at_ns > now_ns)
            continue;
        *step = t->armed[i].step;
        for (t->count--; i < t->count; i++)
            t->armed[i] = t->armed[i + 1];
        return true;
    }
    return false;
}

uint64_t triggers_next_ns(const struct triggers *t)
{
    uint64_t next_ns = NS_NEVER;
    for (uint32_t i = 0; i < t->count; i++)
        next_ns = min_u64(next_ns, t->armed[i].at_ns);
    return next_ns;
}
