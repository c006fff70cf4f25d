/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * check_rings_told.c - ring events of all handles against each other.
 */
#include <inttypes.h>
#include <string.h>

#include "check.h"

/* What the handles of one life were told, all in all: R4 has it ascend. */
struct told {
    HIST_LIST(uint32_t) rings; /* indexes in the history, ascending by seq */
};

static const struct hist_ring *ring_at(const struct history *h, uint32_t index)
{
    return &h->rings.at[index];
}

static bool same_ring(const struct history *h, uint32_t a, uint32_t b)
{
    const struct hist_ring *x = ring_at(h, a), *y = ring_at(h, b);
    return ring_id_equal(x->id, y->id) && x->member_count == y->member_count &&
           memcmp(h->nodes.at + x->node, h->nodes.at + y->node,
                  x->member_count * sizeof(uint32_t)) == 0;
}

static void insert(struct told *t, const struct history *h, uint32_t ring)
{
    uint32_t at = t->rings.count;
    uint64_t seq = ring_at(h, ring)->id.seq;
    while (at > 0 && ring_at(h, t->rings.at[at - 1])->id.seq >= seq)
        at--;
    if (at < t->rings.count && ring_at(h, t->rings.at[at])->id.seq == seq)
        return;
    if (t->rings.count == t->rings.room) {
        t->rings.room = t->rings.room ? 2 * t->rings.room : 16;
        t->rings.at = realloc(t->rings.at, t->rings.room * sizeof(uint32_t));
        INVARIANT(t->rings.at);
    }
    memmove(t->rings.at + at + 1, t->rings.at + at, (t->rings.count - at) * sizeof(uint32_t));
    t->rings.at[at] = ring;
    t->rings.count++;
}

static void gather(struct told *t, const struct history *h, const struct hist_handle *handle)
{
    for (uint32_t i = 0; i < handle->log.count; i++) {
        const struct hist_event *event = &handle->log.at[i];
        if (event->kind == HIST_RING && !(event->flags & HIST_FIRST_RING))
            insert(t, h, event->index);
    }
}

static uint32_t find(const struct told *t, const struct history *h, uint32_t ring)
{
    uint32_t at = 0;
    while (at < t->rings.count && !same_ring(h, t->rings.at[at], ring))
        at++;
    return at;
}

/* The next one after a ring that they may all have been told of, or none. */
static uint32_t after(const struct told *t, const struct history *h, uint32_t ring)
{
    uint32_t at = 0;
    while (at < t->rings.count && ring_at(h, t->rings.at[at])->id.seq <= ring_at(h, ring)->id.seq)
        at++;
    return at;
}

/* R1: each that one handle of the node is told of, every other is, from its first to its last;
 * and to the very last, when it stays. */
static bool told_all(const struct told *t, const struct history *h,
                     const struct hist_handle *handle, struct verdict *v)
{
    uint32_t next = HIST_NOBODY;
    for (uint32_t i = 0; i < handle->log.count; i++) {
        const struct hist_event *event = &handle->log.at[i];
        if (event->kind != HIST_RING)
            continue;
        if (event->flags & HIST_FIRST_RING) {
            next = next == HIST_NOBODY ? after(t, h, event->index) : next;
            continue;
        }
        uint32_t at = find(t, h, event->index);
        if (at == t->rings.count || (next != HIST_NOBODY && at != next))
            return verdict_broken(v, "R1",
                                  "handle %u is told of ring %" PRIu64
                                  ", others of its node of another before",
                                  handle->index, ring_at(h, event->index)->id.seq);
        next = at + 1;
    }
    if (h->settled && !handle->ended && next != HIST_NOBODY && next != t->rings.count)
        return verdict_broken(v, "R1", "handle %u is not told of the last ring", handle->index);
    return true;
}

static bool one_life(const struct history *h, uint32_t life, uint64_t *highest, struct verdict *v)
{
    struct told t = { 0 };
    bool good = true;
    for (uint32_t i = 0; i < h->handles.count; i++) {
        if (h->handles.at[i].life == life)
            gather(&t, h, &h->handles.at[i]);
    }
    for (uint32_t i = 0; good && i < h->handles.count; i++) {
        if (h->handles.at[i].life == life && h->handles.at[i].wants_rings)
            good = told_all(&t, h, &h->handles.at[i], v);
    }
    const struct hist_life *of = &h->lives.at[life];
    uint64_t first = t.rings.count ? ring_at(h, t.rings.at[0])->id.seq : UINT64_MAX;
    if (good && !of->forgets && first <= highest[of->node])
        good =
            verdict_broken(v, "R4", "node %u: ring %" PRIu64 " after a restart, %" PRIu64 " before",
                           of->node, first, highest[of->node]);
    if (t.rings.count && !of->forgets)
        highest[of->node] = ring_at(h, t.rings.at[t.rings.count - 1])->id.seq;
    if (of->forgets)
        highest[of->node] = 0;
    free(t.rings.at);
    return good;
}

/* An id means the same members to all. */
static bool one_meaning(const struct history *h, struct verdict *v)
{
    for (uint32_t i = 0; i < h->lives.count; i++) {
        if (h->lives.at[i].forgets)
            return true;
    }
    for (uint32_t i = 1; i < h->rings.count; i++) {
        for (uint32_t k = i; k > 0 && i - k < 64; k--) {
            if (ring_id_equal(h->rings.at[i].id, h->rings.at[k - 1].id) && !same_ring(h, i, k - 1))
                return verdict_broken(v, "R4", "ring %" PRIu64 ".%u has two sets of nodes",
                                      h->rings.at[i].id.seq, h->rings.at[i].id.rep);
        }
    }
    return true;
}

bool check_rings_told(const struct history *h, struct verdict *v)
{
    uint64_t highest[65] = { 0 };
    bool good = one_meaning(h, v);
    for (uint32_t i = 0; good && i < h->lives.count; i++)
        good = h->lives.at[i].node > 64 || one_life(h, i, highest, v);
    return good;
}
