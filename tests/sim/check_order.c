/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * check_order.c - E8: what a node gives its ring on one port comes in that order, everywhere.
 *
 * A message is told by its first bytes, so short ones may look alike: who delivered what he did may
 * have meant the first that looks so, or a later one. A run is what one life delivered of a port in
 * one regular configuration, where nothing is left out: it must be found as a whole, behind all
 * that was delivered before. The first place where it can be is as good as any.
 */
#include <inttypes.h>
#include <string.h>

#include "check.h"

enum { SEVERAL = HIST_NOBODY - 1, NODES = 64 };

/* What one life submitted on one port: so many from there in `sent`. */
struct stream {
    uint32_t life, port, first, count;
};

/* How far one life has come in one stream. */
struct reader {
    uint32_t due;                  /* all before it were delivered, or left out */
    uint32_t run_first, run_count; /* run_count 0: it is in none */
    uint32_t stay;                 /* configurations it had had by then */
    bool begun;                    /* a message in pieces, */
    uint64_t name;                 /* and this is it */
};

struct order {
    const struct history *h;
    struct verdict *v;
    const struct hist_life *life; /* who delivers */
    HIST_LIST(struct stream) streams;
    uint64_t *sent;
    struct reader *reader; /* of this life, by stream */
    struct {
        struct ring_id id;
        uint32_t life;
    } owner[NODES]; /* of the last frame of each node */
    uint32_t stay;
    bool in_transition;
};

struct numbered {
    const struct hist_piece *piece;
    uint32_t number;
};

static int by_port(const void *a, const void *b)
{
    const struct numbered *x = a, *y = b;
    if (x->piece->port != y->piece->port)
        return x->piece->port < y->piece->port ? -1 : 1;
    return x->number < y->number ? -1 : 1;
}

static void add_stream(struct order *o, const struct stream *stream)
{
    if (o->streams.count == o->streams.room) {
        o->streams.room = o->streams.room ? 2 * o->streams.room : 64;
        o->streams.at = realloc(o->streams.at, o->streams.room * sizeof(*stream));
        INVARIANT(o->streams.at);
    }
    o->streams.at[o->streams.count++] = *stream;
}

/* Streams ascend by life and port. */
static void read_submitted(struct order *o, const struct hist_life *life, uint32_t *used)
{
    uint32_t count = life->submitted.count;
    struct numbered *all = calloc(count + 1, sizeof(*all));
    INVARIANT(all);
    for (uint32_t i = 0; i < count; i++)
        all[i] = (struct numbered){ &life->submitted.at[i], i };
    qsort(all, count, sizeof(*all), by_port);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t port = all[i].piece->port;
        if (i == 0 || port != all[i - 1].piece->port)
            add_stream(o, &(struct stream){ .life = life->number, .port = port, .first = *used });
        o->sent[(*used)++] = all[i].piece->name;
        o->streams.at[o->streams.count - 1].count++;
    }
    free(all);
}

static void read_all(struct order *o)
{
    uint64_t total = 1;
    uint32_t used = 0;
    for (uint32_t i = 0; i < o->h->lives.count; i++)
        total += o->h->lives.at[i].submitted.count;
    o->sent = calloc(total, sizeof(*o->sent));
    INVARIANT(o->sent);
    for (uint32_t i = 0; i < o->h->lives.count; i++)
        read_submitted(o, &o->h->lives.at[i], &used);
    o->reader = calloc(o->streams.count + 1, sizeof(*o->reader));
    INVARIANT(o->reader);
}

static bool was_in(const struct hist_life *life, struct ring_id id)
{
    for (uint32_t i = 0; i < life->log.count; i++) {
        if (life->log.at[i].kind == RING_DELIVER_REGULAR &&
            ring_id_equal(life->log.at[i].ring_id, id))
            return true;
    }
    return false;
}

/* The life that was this node in this ring; SEVERAL: somebody has forgotten its ring sequence, and
 * the id was given twice. */
static uint32_t owner_of(struct order *o, const struct hist_delivery *d)
{
    uint32_t found = HIST_NOBODY, place = d->sender % NODES;
    if (ring_id_equal(o->owner[place].id, d->ring_id))
        return o->owner[place].life;
    if (d->sender == o->life->node)
        return o->life->number; /* no ring has two lives of one node */
    for (uint32_t i = 0; i < o->h->lives.count; i++) {
        const struct hist_life *life = &o->h->lives.at[i];
        if (life->node == d->sender && was_in(life, d->ring_id))
            found = found == HIST_NOBODY ? i : SEVERAL;
    }
    o->owner[place].id = d->ring_id;
    o->owner[place].life = found;
    return found;
}

/* NULL: it submitted nothing on this port. */
static const struct stream *find_stream(const struct order *o, uint32_t life, uint32_t port)
{
    uint32_t low = 0, high = o->streams.count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const struct stream *s = &o->streams.at[middle];
        if (s->life < life || (s->life == life && s->port < port))
            low = middle + 1;
        else
            high = middle;
    }
    bool there = low < o->streams.count && o->streams.at[low].life == life &&
                 o->streams.at[low].port == port;
    return there ? &o->streams.at[low] : NULL;
}

/* Can the run be here, and this message at its end? Where it was till now it is. */
static bool run_fits(const struct reader *r, const uint64_t *sent, uint32_t at, uint64_t name)
{
    if (sent[at + r->run_count] != name)
        return false;
    return r->run_count == 0 || at == r->run_first ||
           memcmp(sent + at, sent + r->run_first, r->run_count * sizeof(*sent)) == 0;
}

static bool delivered(const struct order *o, const struct stream *s, struct reader *r,
                      uint64_t name)
{
    const uint64_t *sent = o->sent + s->first;
    bool own = s->life == o->life->number; /* E1: of its own it leaves nothing out */
    if (o->in_transition)
        r->run_count = 0;
    uint32_t at = r->run_count > 0 ? r->run_first : r->due;
    while (at + r->run_count < s->count && !run_fits(r, sent, at, name)) {
        if (own)
            return false;
        at++;
    }
    if (at + r->run_count >= s->count)
        return false;
    r->run_first = at;
    r->due = at + ++r->run_count;
    return true;
}

static bool piece(struct order *o, const struct hist_delivery *d, const struct hist_piece *p,
                  uint32_t owner)
{
    const struct stream *s = find_stream(o, owner, p->port);
    if (!s)
        return verdict_broken(o->v, "E1",
                              "life %u: frame %" PRIu64 " of port %u of life %d, "
                              "which gave its ring nothing there",
                              o->life->number, d->seq, p->port, (int)owner);
    struct reader *r = &o->reader[s - o->streams.at];
    if (r->stay != o->stay) {
        r->stay = o->stay;
        r->run_count = 0;
        r->begun = false;
    }
    r->name = p->first ? p->name : r->name;
    r->begun = r->begun || p->first;
    if (!p->last)
        return true;
    bool whole = r->begun;
    r->begun = false;
    if (!whole && o->in_transition)
        return true; /* it began behind a gap */
    uint32_t due = r->due;
    if (whole && delivered(o, s, r, r->name))
        return true;
    return verdict_broken(o->v, "E8",
                          "life %u, frame %" PRIu64 ": port %u of life %u is out of order, after "
                          "%u of %u messages",
                          o->life->number, d->seq, p->port, s->life, due, s->count);
}

static bool frame(struct order *o, const struct hist_delivery *d, const struct hist_piece *pieces)
{
    uint32_t owner = d->pieces > 0 ? owner_of(o, d) : SEVERAL;
    for (uint32_t i = 0; i < d->pieces && owner != SEVERAL; i++) {
        if (!piece(o, d, &pieces[i], owner))
            return false;
    }
    return true;
}

/* E1: at the end everybody has delivered all that it gave its own ring. */
static bool all_came(struct order *o)
{
    if (!o->h->settled || o->life->over)
        return true;
    for (uint32_t i = 0; i < o->streams.count; i++) {
        const struct stream *s = &o->streams.at[i];
        if (s->life == o->life->number && o->reader[i].due != s->count)
            return verdict_broken(o->v, "E1", "life %u delivered %u of its own %u of port %u",
                                  s->life, o->reader[i].due, s->count, s->port);
    }
    return true;
}

static bool life_reads(struct order *o, const struct hist_life *life)
{
    const struct hist_piece *next = life->pieces.at;
    o->life = life;
    o->in_transition = false;
    memset(o->reader, 0, o->streams.count * sizeof(*o->reader));
    memset(o->owner, 0, sizeof(o->owner));
    for (uint32_t i = 0; i < life->log.count; i++) {
        const struct hist_delivery *d = &life->log.at[i];
        if (d->kind == RING_DELIVER_FRAME) {
            if (!frame(o, d, next))
                return false;
            next += d->pieces;
            continue;
        }
        o->in_transition = d->kind == RING_DELIVER_TRANSITIONAL;
        o->stay += !o->in_transition;
    }
    return all_came(o);
}

bool check_order(const struct history *h, struct verdict *v)
{
    struct order o = { .h = h, .v = v };
    bool good = true;
    read_all(&o);
    for (uint32_t i = 0; good && i < h->lives.count; i++)
        good = life_reads(&o, &h->lives.at[i]);
    free(o.streams.at);
    free(o.sent);
    free(o.reader);
    return good;
}
