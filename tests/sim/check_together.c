/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * check_together.c - V4 and D4: members of a group who go from one ring event to the next together
 * are told the same between, views and messages, in the same order.
 */
#include <inttypes.h>
#include <string.h>

#include "along.h"
#include "check.h"
#include "episodes.h"

/* One membership of a handle between two ring events. */
struct stint {
    uint32_t handle, member;
    uint32_t first, end;       /* events: from its own JOIN view or the ring event on */
    bool joins, leaves;        /* it begins, ends with its own view */
    struct ring_id ring, next; /* next.seq 0: the end has come, and it is settled */
};

struct bench {
    const struct history *h;
    struct verdict *v;
    struct names names;
    HIST_LIST(struct stint) stints;
};

static const struct hist_event *event_at(const struct bench *b, const struct stint *s, uint32_t i)
{
    return &b->h->handles.at[s->handle].log.at[i];
}

static void add(struct bench *b, const struct stint *s)
{
    if (b->stints.count == b->stints.room) {
        b->stints.room = b->stints.room ? 2 * b->stints.room : 64;
        b->stints.at = realloc(b->stints.at, b->stints.room * sizeof(*s));
        INVARIANT(b->stints.at);
    }
    b->stints.at[b->stints.count++] = *s;
}

/* The next ring event says how those before it went on. */
static void epoch_ends(struct bench *b, uint32_t from, struct stint *open, struct ring_id ring,
                       struct ring_id next, uint32_t end)
{
    if (open->member != HIST_NOBODY) {
        open->end = end;
        add(b, open);
    }
    for (uint32_t i = from; i < b->stints.count; i++) {
        b->stints.at[i].ring = ring;
        b->stints.at[i].next = next;
    }
}

static void stints_of(struct bench *b, uint32_t handle)
{
    const struct hist_handle *h = &b->h->handles.at[handle];
    struct stint open = { .handle = handle, .member = HIST_NOBODY };
    struct ring_id ring = { 0 };
    uint32_t joins = 0, from = b->stints.count;
    for (uint32_t i = 0; i < h->log.count; i++) {
        const struct hist_event *e = &h->log.at[i];
        const struct hist_view *view = e->kind == HIST_VIEW ? &b->h->views.at[e->index] : NULL;
        if (e->kind == HIST_RING && e->flags & HIST_FIRST_RING)
            ring = b->h->rings.at[e->index].id;
        else if (e->kind == HIST_RING) {
            epoch_ends(b, from, &open, ring, b->h->rings.at[e->index].id, i);
            if (ring.seq == 0)
                b->stints.count = from; /* nobody told it where it was */
            ring = b->h->rings.at[e->index].id;
            open.first = i + 1;
            open.joins = open.leaves = false;
            from = b->stints.count;
        }
        if (view && view->flags & CHAN_VIEW_OWN_JOIN)
            open = (struct stint){ .handle = handle,
                                   .member = history_nth_member(b->h, handle, joins++),
                                   .first = i,
                                   .joins = true };
        if (view && view->flags & CHAN_VIEW_OWN_LEAVE) {
            open.end = i + 1;
            open.leaves = true;
            add(b, &open);
            open.member = HIST_NOBODY;
        }
    }
    if (b->h->settled && !h->ended && ring.seq)
        epoch_ends(b, from, &open, ring, (struct ring_id){ 0 }, h->log.count);
    else
        b->stints.count = from; /* how it went on nobody told it */
}

static bool same_view(const struct history *h, uint32_t a, uint32_t b)
{
    const struct hist_view *x = &h->views.at[a], *y = &h->views.at[b];
    uint32_t count = x->member_count + x->left_count + x->joined_count;
    return x->member_count == y->member_count && x->left_count == y->left_count &&
           x->joined_count == y->joined_count &&
           memcmp(history_addresses(h, x), history_addresses(h, y),
                  count * sizeof(struct chan_address)) == 0;
}

static bool same_event(const struct bench *b, const struct stint *s, uint32_t i,
                       const struct stint *t, uint32_t j)
{
    const struct hist_event *x = event_at(b, s, i), *y = event_at(b, t, j);
    if (x->kind != y->kind)
        return false;
    if (x->kind == HIST_VIEW)
        return same_view(b->h, x->index, y->index);
    struct payload_name n = b->names.of[s->handle][i], m = b->names.of[t->handle][j];
    if (n.member != HIST_NOBODY && m.member != HIST_NOBODY)
        return n.member == m.member && n.number == m.number;
    return x->node == y->node && x->pid == y->pid && x->bytes == y->bytes && x->start == y->start;
}

/* Where in s, from `from` on, the view is with which t begins; s->end: nowhere. */
static uint32_t view_in(const struct bench *b, const struct stint *s, const struct stint *t,
                        uint32_t from)
{
    uint32_t i = from, index = event_at(b, t, t->first)->index;
    while (i < s->end && (event_at(b, s, i)->kind != HIST_VIEW ||
                          !same_view(b->h, event_at(b, s, i)->index, index)))
        i++;
    return i;
}

static bool is_first_ring(const struct bench *b, const struct stint *s, uint32_t i)
{
    return i < s->end && event_at(b, s, i)->kind == HIST_RING;
}

/* Both from there on to the earlier of both ends. */
static bool same_from(const struct bench *b, const struct stint *s, uint32_t i,
                      const struct stint *t, uint32_t j)
{
    for (;; i++, j++) {
        i += is_first_ring(b, s, i);
        j += is_first_ring(b, t, j);
        if (i >= s->end || j >= t->end)
            break;
        if (!same_event(b, s, i, t, j))
            return false;
    }
    return (i >= s->end && (s->leaves || j >= t->end)) ||
           (j >= t->end && (t->leaves || i >= s->end));
}

/* From the view on with which t begins. One who comes again and again does it with the same words:
 * then any of these will do. */
static bool same_from_join(const struct bench *b, const struct stint *s, const struct stint *t,
                           bool *saw)
{
    for (uint32_t i = s->first; (i = view_in(b, s, t, i)) < s->end; i++) {
        *saw = true;
        if (same_from(b, s, i, t, t->first))
            return true;
    }
    return false;
}

static bool on_the_way_together(const struct bench *b, const struct stint *s, const struct stint *t)
{
    const struct hist_handle *x = &b->h->handles.at[s->handle], *y = &b->h->handles.at[t->handle];
    if (s->next.seq == 0 || x->life == y->life)
        return true;
    return history_along(b->h, x->life, s->ring, s->next) >> (y->node - 1) & 1 &&
           history_along(b->h, y->life, t->ring, t->next) >> (x->node - 1) & 1;
}

/* Both may have been in one view: not the same process again, nor of lives that never met, whose
 * rings may have one name when a node forgets. */
static bool may_have_met(const struct bench *b, const struct stint *s, const struct stint *t)
{
    const struct hist_member *m = &b->h->members.at[s->member], *n = &b->h->members.at[t->member];
    const struct hist_life *x = &b->h->lives.at[b->h->handles.at[s->handle].life];
    const struct hist_life *y = &b->h->lives.at[b->h->handles.at[t->handle].life];
    bool apart = (x->over && x->until_ns <= y->since_ns) || (y->over && y->until_ns <= x->since_ns);
    return m->group == n->group && (m->node != n->node || m->pid != n->pid) && !apart;
}

static bool comes_again(const struct bench *b, const struct stint *s)
{
    const struct hist_member *m = &b->h->members.at[s->member];
    return history_whose(b->h, m->group, m->node, m->pid, NS_NEVER) == HIST_NOBODY;
}

static bool compare(struct bench *b, const struct stint *s, const struct stint *t)
{
    bool same = false, saw = false;
    if (!may_have_met(b, s, t) || !ring_id_equal(s->ring, t->ring) ||
        !ring_id_equal(s->next, t->next) || !on_the_way_together(b, s, t))
        return true;
    if (!s->joins && !t->joins)
        same = same_from(b, s, s->first, t, t->first);
    else
        same = (t->joins && same_from_join(b, s, t, &saw)) ||
               (s->joins && same_from_join(b, t, s, &saw));
    /* One may have left before the other came; and one who comes again says the same words. */
    bool maybe_never = !saw || comes_again(b, s) || comes_again(b, t);
    if (same || (maybe_never && (s->joins || t->joins) && (s->leaves || t->leaves)))
        return true;
    return verdict_broken(b->v, saw || (!s->joins && !t->joins) ? "D4" : "V4",
                          "handles %u and %u in ring %" PRIu64
                          ", from events %u and %u on: they go "
                          "on together and are told differently",
                          s->handle, t->handle, s->ring.seq, s->first, t->first);
}

static int by_ring(const void *a, const void *b)
{
    const struct stint *x = a, *y = b;
    if (x->ring.seq != y->ring.seq)
        return x->ring.seq < y->ring.seq ? -1 : 1;
    if (x->handle != y->handle)
        return x->handle < y->handle ? -1 : 1;
    return x->first < y->first ? -1 : x->first > y->first;
}

bool check_together(const struct history *h, struct verdict *v)
{
    struct bench b = { .h = h, .v = v };
    bool good = names_read(h, &b.names, v);
    for (uint32_t i = 0; good && i < h->handles.count; i++) {
        if (h->handles.at[i].wants_rings)
            stints_of(&b, i);
    }
    if (b.stints.count)
        qsort(b.stints.at, b.stints.count, sizeof(b.stints.at[0]), by_ring);
    for (uint32_t i = 0; good && i < b.stints.count; i++) {
        for (uint32_t k = i + 1;
             good && k < b.stints.count && b.stints.at[k].ring.seq == b.stints.at[i].ring.seq; k++)
            good = compare(&b, &b.stints.at[i], &b.stints.at[k]);
    }
    names_free(h, &b.names);
    free(b.stints.at);
    return good;
}
