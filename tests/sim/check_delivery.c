/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * check_delivery.c - messages, as clients saw them. What a single handle can tell is judged while
 * its log is read (episodes.c); here all of them are held against each other.
 */
#include <inttypes.h>

#include "check.h"
#include "episodes.h"

/* Each message that was accepted has a place in these tables. */
struct table {
    const struct history *h;
    struct verdict *v;
    struct names names;
    uint32_t *base; /* by membership: place of its first message */
    uint32_t count;
    uint32_t *waits; /* messages that come before it and are not placed yet */
    struct edges {
        uint32_t *first; /* by place, count + 1 */
        uint32_t *to;
    } edges;
    uint32_t *ring; /* by place: index in rings + 1 of the configuration it was delivered in */
};

static uint32_t place(const struct table *t, struct payload_name name)
{
    return t->base[name.member] + name.number;
}

/*
 * Who comes before whom, says each reader: the message read before it, and for one that is sent,
 * what its sender had read by then.
 */
typedef void (*edge_fn)(struct table *t, uint32_t before, uint32_t after);

static void edges_of_readers(struct table *t, edge_fn edge)
{
    for (uint32_t i = 0; i < t->h->handles.count; i++) {
        uint32_t last = HIST_NOBODY;
        for (uint32_t k = 0; k < t->h->handles.at[i].log.count; k++) {
            struct payload_name name = t->names.of[i][k];
            if (name.member == HIST_NOBODY)
                continue;
            uint32_t now = place(t, name);
            if (last != HIST_NOBODY)
                edge(t, last, now);
            last = now;
        }
    }
}

/* The last message among the first `seen` events of a handle. */
static uint32_t last_read(const struct table *t, uint32_t handle, uint32_t seen)
{
    while (seen-- > 0) {
        struct payload_name name = t->names.of[handle][seen];
        if (name.member != HIST_NOBODY)
            return place(t, name);
    }
    return HIST_NOBODY;
}

static void edges_of_senders(struct table *t, edge_fn edge)
{
    for (uint32_t m = 0; m < t->h->members.count; m++) {
        const struct hist_member *member = &t->h->members.at[m];
        uint32_t seen = UINT32_MAX;
        for (uint32_t n = 0; n < member->sent.count; n++) {
            uint32_t now = t->base[m] + n;
            if (n > 0)
                edge(t, now - 1, now);
            if (member->sent.at[n].seen == seen)
                continue;
            seen = member->sent.at[n].seen;
            uint32_t last = last_read(t, member->handle, seen);
            if (last != HIST_NOBODY)
                edge(t, last, now);
        }
    }
}

static void edges_all(struct table *t, edge_fn edge)
{
    edges_of_readers(t, edge);
    edges_of_senders(t, edge);
}

static void edge_count(struct table *t, uint32_t before, uint32_t after)
{
    (void)after;
    t->edges.first[before + 1]++;
}

static void edge_put(struct table *t, uint32_t before, uint32_t after)
{
    t->edges.to[t->edges.first[before]++] = after;
    t->waits[after]++;
}

static void edges_make(struct table *t)
{
    t->edges.first = calloc(t->count + 2, sizeof(uint32_t));
    t->waits = calloc(t->count + 1, sizeof(uint32_t));
    INVARIANT(t->edges.first && t->waits);
    edges_all(t, edge_count);
    for (uint32_t i = 0; i < t->count; i++)
        t->edges.first[i + 1] += t->edges.first[i];
    t->edges.to = calloc(t->edges.first[t->count] + 1, sizeof(uint32_t));
    INVARIANT(t->edges.to);
    edges_all(t, edge_put); /* moves each first to the next one's */
}

static struct payload_name name_at(const struct table *t, uint32_t at)
{
    uint32_t m = 0;
    while (m + 1 < t->h->members.count && t->base[m + 1] <= at)
        m++;
    return (struct payload_name){ m, at - t->base[m] };
}

/* D1, D2: there is one order that all of them agree with. Take away what nobody comes before; what
 * is left goes in circles. */
static bool one_order(struct table *t)
{
    uint32_t *ready = calloc(t->count + 1, sizeof(uint32_t));
    uint32_t taken = 0, known = 0;
    INVARIANT(ready);
    edges_make(t);
    for (uint32_t i = 0; i < t->count; i++) {
        if (t->waits[i] == 0)
            ready[known++] = i;
    }
    for (; taken < known; taken++) {
        uint32_t at = ready[taken];
        for (uint32_t e = at ? t->edges.first[at - 1] : 0; e < t->edges.first[at]; e++) {
            if (--t->waits[t->edges.to[e]] == 0)
                ready[known++] = t->edges.to[e];
        }
    }
    free(ready);
    for (uint32_t i = 0; taken < t->count && i < t->count; i++) {
        if (t->waits[i] == 0)
            continue;
        struct payload_name name = name_at(t, i);
        return verdict_broken(t->v, "D1",
                              "no one order: %u messages come before each other, such "
                              "as %u.%u",
                              t->count - taken, name.member, name.number);
    }
    return true;
}

/* E5: a message is delivered in one configuration, the same wherever it is. */
static bool one_configuration(struct table *t)
{
    const struct history *h = t->h;
    t->ring = calloc(t->count + 1, sizeof(uint32_t));
    INVARIANT(t->ring);
    for (uint32_t i = 0; i < h->handles.count; i++) {
        uint32_t ring = 0;
        for (uint32_t k = 0; k < h->handles.at[i].log.count; k++) {
            const struct hist_event *event = &h->handles.at[i].log.at[k];
            struct payload_name name = t->names.of[i][k];
            if (event->kind == HIST_RING)
                ring = event->index + 1;
            if (name.member == HIST_NOBODY || ring == 0)
                continue;
            uint32_t *other = &t->ring[place(t, name)];
            if (*other == 0)
                *other = ring;
            struct ring_id a = h->rings.at[*other - 1].id, b = h->rings.at[ring - 1].id;
            if (!ring_id_equal(a, b))
                return verdict_broken(t->v, "E5",
                                      "handle %u: %u.%u in ring %" PRIu64
                                      ".%u, elsewhere in %" PRIu64 ".%u",
                                      i, name.member, name.number, b.seq, b.rep, a.seq, a.rep);
        }
    }
    return true;
}

/* C5: whoever reads what comes is not thrown out, whatever others do. */
static bool none_evicted_for_others(const struct table *t)
{
    for (uint32_t i = 0; i < t->h->handles.count; i++) {
        const struct hist_handle *handle = &t->h->handles.at[i];
        if (handle->evicted && !handle->slow)
            return verdict_broken(t->v, "C5", "handle %u of node %u always read, and was evicted",
                                  i, handle->node);
    }
    return true;
}

bool check_delivery(const struct history *h, struct verdict *v)
{
    struct table t = { .h = h, .v = v };
    t.base = calloc(h->members.count + 1, sizeof(*t.base));
    INVARIANT(t.base);
    for (uint32_t m = 0; m < h->members.count; m++) {
        t.base[m] = t.count;
        t.count += h->members.at[m].sent.count;
    }
    bool good = names_read(h, &t.names, v) && one_order(&t) && one_configuration(&t) &&
                none_evicted_for_others(&t);
    names_free(h, &t.names);
    free(t.base);
    free(t.waits);
    free(t.edges.first);
    free(t.edges.to);
    free(t.ring);
    return good;
}
