/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * check_ring.c - what rings delivered. A frame's name is its ring and its place there, so that two
 * who tell of the same place must tell of the same frame (E1 to E3, E5).
 */
#include <inttypes.h>

#include "check.h"

/* One life in one ring: from the regular configuration to the next. */
struct stay {
    uint32_t life, ring;
    uint32_t first, transitional,
        end;           /* in the life's log; end: of the next regular one, or none */
    uint32_t next;     /* ring; HIST_NOBODY: it is still there, or died there */
    uint64_t together; /* members of the transitional configuration */
};

struct ring {
    struct ring_id id;
    uint64_t members;
    uint64_t lives_seen; /* nodes of which a life was here */
    HIST_LIST(uint32_t) stays;
};

struct court {
    const struct history *h;
    struct verdict *v;
    HIST_LIST(struct stay) stays;
    HIST_LIST(struct ring) rings;
    bool forgetful; /* some node has forgotten its ring sequence */
};

#define NAME      "%" PRIu64 ".%u"
#define NAMED(id) (id).seq, (id).rep

static void *grown(void *list, uint32_t *room, uint32_t count, size_t bytes)
{
    if (count < *room)
        return list;
    *room = *room ? 2 * *room : 16;
    list = realloc(list, *room * bytes);
    INVARIANT(list);
    return list;
}

static uint64_t bit(uint32_t node)
{
    return UINT64_C(1) << (node - 1);
}

static const struct hist_life *life_of(const struct court *c, const struct stay *s)
{
    return &c->h->lives.at[s->life];
}

static const struct hist_delivery *entry(const struct court *c, const struct stay *s, uint32_t i)
{
    return &life_of(c, s)->log.at[i];
}

/*
 * The ring that a configuration means. An id is used once (E7) unless a node has forgotten what it
 * used: then another life of a node that was there already can only be in another ring.
 */
static uint32_t ring_of(struct court *c, const struct hist_delivery *d, uint32_t node)
{
    for (uint32_t i = 0; i < c->rings.count; i++) {
        struct ring *r = &c->rings.at[i];
        bool may_be = !c->forgetful || r->members == d->content;
        if (ring_id_equal(r->id, d->ring_id) && !(r->lives_seen & bit(node)) && may_be) {
            r->lives_seen |= bit(node);
            return i;
        }
    }
    c->rings.at = grown(c->rings.at, &c->rings.room, c->rings.count, sizeof(*c->rings.at));
    c->rings.at[c->rings.count] =
        (struct ring){ .id = d->ring_id, .members = d->content, .lives_seen = bit(node) };
    return c->rings.count++;
}

static bool any_forgets(const struct history *h)
{
    for (uint32_t i = 0; i < h->lives.count; i++) {
        if (h->lives.at[i].forgets)
            return true;
    }
    return false;
}

/* E7: of one life, configurations in their order and with the right members. */
static bool configuration(struct court *c, const struct hist_life *life, const struct stay *stay,
                          const struct hist_delivery *d, uint64_t together, bool in_transition,
                          uint64_t highest_seq)
{
    const char *who = "E7";
    uint64_t regular = stay ? c->rings.at[stay->ring].members : bit(life->node);
    if (!(d->content & bit(life->node)))
        return verdict_broken(c->v, who, "life %u: a configuration without itself", life->number);
    if (d->kind == RING_DELIVER_TRANSITIONAL) {
        if (in_transition)
            return verdict_broken(c->v, who, "life %u: two transitional configurations",
                                  life->number);
        if (d->content & ~regular)
            return verdict_broken(c->v, who, "life %u: %" PRIx64 " come along, of %" PRIx64,
                                  life->number, d->content, regular);
        return true;
    }
    if (!in_transition)
        return verdict_broken(c->v, who, "life %u: ring " NAME " without a transitional one",
                              life->number, NAMED(d->ring_id));
    if (together & ~d->content)
        return verdict_broken(c->v, who, "life %u: %" PRIx64 " came along, into %" PRIx64,
                              life->number, together, d->content);
    if (d->ring_id.seq <= highest_seq)
        return verdict_broken(c->v, who, "life %u: ring " NAME " after %" PRIu64, life->number,
                              NAMED(d->ring_id), highest_seq);
    if ((uint64_t)__builtin_ctzll(d->content) + 1 != d->ring_id.rep)
        return verdict_broken(c->v, who, "life %u: ring " NAME " has members %" PRIx64,
                              life->number, NAMED(d->ring_id), d->content);
    return true;
}

static bool new_ring(struct court *c, const struct hist_life *life, const struct hist_delivery *d,
                     uint32_t *ring)
{
    *ring = ring_of(c, d, life->node);
    if (c->rings.at[*ring].members != d->content)
        return verdict_broken(c->v, "E7", "ring " NAME " has members %" PRIx64 " and %" PRIx64,
                              NAMED(d->ring_id), d->content, c->rings.at[*ring].members);
    return true;
}

/* E2, E5: frames of this ring, ascending; without a gap in the regular configuration. */
static bool frame(struct court *c, const struct hist_life *life, const struct stay *stay,
                  const struct hist_delivery *d, uint64_t last_seq, bool in_transition)
{
    if (!stay || !ring_id_equal(d->ring_id, c->rings.at[stay->ring].id))
        return verdict_broken(c->v, "E5", "life %u: frame %" PRIu64 " of ring " NAME " elsewhere",
                              life->number, d->seq, NAMED(d->ring_id));
    if (d->seq <= last_seq)
        return verdict_broken(c->v, "E2", "life %u, ring " NAME ": %" PRIu64 " after %" PRIu64,
                              life->number, NAMED(d->ring_id), d->seq, last_seq);
    if (last_seq > 0 && !in_transition && d->seq != last_seq + 1)
        return verdict_broken(c->v, "E4",
                              "life %u, ring " NAME ": %" PRIu64 " after %" PRIu64 " leaves a gap",
                              life->number, NAMED(d->ring_id), d->seq, last_seq);
    if (!(c->rings.at[stay->ring].members & bit(d->sender)))
        return verdict_broken(c->v, "E1", "life %u, ring " NAME ": a frame of %u, no member",
                              life->number, NAMED(d->ring_id), d->sender);
    return true;
}

static struct stay *stay_begins(struct court *c, uint32_t life, uint32_t ring, uint32_t first)
{
    c->stays.at = grown(c->stays.at, &c->stays.room, c->stays.count, sizeof(*c->stays.at));
    struct stay *s = &c->stays.at[c->stays.count];
    *s = (struct stay){ .life = life, .ring = ring, .first = first, .next = HIST_NOBODY };
    struct ring *r = &c->rings.at[ring];
    r->stays.at = grown(r->stays.at, &r->stays.room, r->stays.count, sizeof(*r->stays.at));
    r->stays.at[r->stays.count++] = c->stays.count++;
    return s;
}

static bool life_alone(struct court *c, const struct hist_life *life)
{
    struct stay *stay = NULL;
    uint64_t together = 0, last_seq = 0, highest_seq = 0;
    bool in_transition = false;
    for (uint32_t i = 0; i < life->log.count; i++) {
        const struct hist_delivery *d = &life->log.at[i];
        if (d->kind == RING_DELIVER_FRAME) {
            if (!frame(c, life, stay, d, last_seq, in_transition))
                return false;
            last_seq = d->seq;
            continue;
        }
        if (!configuration(c, life, stay, d, together, in_transition, highest_seq))
            return false;
        in_transition = d->kind == RING_DELIVER_TRANSITIONAL;
        if (in_transition) {
            together = d->content;
            if (stay) {
                stay->transitional = i;
                stay->together = together;
            }
            continue;
        }
        uint32_t ring;
        if (!new_ring(c, life, d, &ring))
            return false;
        if (stay) {
            stay->end = i;
            stay->next = ring;
        }
        stay = stay_begins(c, life->number, ring, i + 1);
        stay->transitional = stay->end = life->log.count;
        highest_seq = d->ring_id.seq;
        last_seq = 0;
    }
    return true;
}

/* Two of one ring: the same frame in the same place. One that left it without having died has
 * delivered what it sent (E1) and what was safe (E6). */
static bool two_stays(struct court *c, const struct stay *a, const struct stay *b)
{
    const struct hist_life *owner = life_of(c, b);
    uint32_t j = b->first;
    for (uint32_t i = a->first; i < a->end; i++) {
        const struct hist_delivery *d = entry(c, a, i);
        if (d->kind != RING_DELIVER_FRAME)
            continue;
        while (j < b->end &&
               (entry(c, b, j)->kind != RING_DELIVER_FRAME || entry(c, b, j)->seq < d->seq))
            j++;
        bool has = j < b->end && entry(c, b, j)->seq == d->seq;
        if (has && (entry(c, b, j)->content != d->content || entry(c, b, j)->sender != d->sender ||
                    entry(c, b, j)->safe != d->safe))
            return verdict_broken(c->v, "E3", "ring " NAME ": lives %u and %u differ at %" PRIu64,
                                  NAMED(d->ring_id), a->life, b->life, d->seq);
        bool all_its_life = b->next != HIST_NOBODY || c->h->settled;
        if (has || !all_its_life || owner->over)
            continue;
        if (b->next == HIST_NOBODY)
            return verdict_broken(c->v, "E9",
                                  "ring " NAME ": life %u has not delivered %" PRIu64
                                  " at the end, life %u has",
                                  NAMED(d->ring_id), b->life, d->seq, a->life);
        if (d->sender == owner->node)
            return verdict_broken(c->v, "E1",
                                  "ring " NAME ": life %u did not deliver its own %" PRIu64
                                  ", life %u did",
                                  NAMED(d->ring_id), b->life, d->seq, a->life);
        if (d->safe && (i < a->transitional || a->together & bit(owner->node)))
            return verdict_broken(c->v, "E6",
                                  "ring " NAME ": life %u delivered safe %" PRIu64
                                  " that life %u did not",
                                  NAMED(d->ring_id), a->life, d->seq, b->life);
    }
    return true;
}

/* E4: together from one configuration to the next: the very same between. */
static bool together(struct court *c, const struct stay *a, const struct stay *b)
{
    if (a->next == HIST_NOBODY || a->next != b->next || !(a->together & bit(life_of(c, b)->node)) ||
        !(b->together & bit(life_of(c, a)->node)))
        return true;
    if (a->together != b->together)
        return verdict_broken(
            c->v, "E7",
            "ring " NAME ": %" PRIx64 " come along with life %u, %" PRIx64 " with life %u",
            NAMED(c->rings.at[a->ring].id), a->together, a->life, b->together, b->life);
    uint32_t count = a->end - a->first;
    bool same =
        count == b->end - b->first && a->transitional - a->first == b->transitional - b->first;
    for (uint32_t i = 0; same && i < count; i++) {
        const struct hist_delivery *x = entry(c, a, a->first + i), *y = entry(c, b, b->first + i);
        same = x->kind == y->kind && x->seq == y->seq && x->content == y->content;
    }
    if (!same)
        return verdict_broken(c->v, "E4",
                              "ring " NAME ": lives %u and %u go on together and differ",
                              NAMED(c->rings.at[a->ring].id), a->life, b->life);
    return true;
}

/* The first frame delivered in the regular configuration; 0: there was none. */
static uint64_t first_seq(const struct court *c, const struct stay *s)
{
    for (uint32_t i = s->first; i < s->transitional; i++) {
        if (entry(c, s, i)->kind == RING_DELIVER_FRAME)
            return entry(c, s, i)->seq;
    }
    return 0;
}

/* E4: in the regular configuration all begin with the same frame, and nobody leaves one out. */
static bool begin_alike(struct court *c, const struct stay *a, const struct stay *b)
{
    uint64_t x = first_seq(c, a), y = first_seq(c, b);
    if (x && y && x != y)
        return verdict_broken(c->v, "E4",
                              "ring " NAME ": life %u begins at %" PRIu64 ", life %u at %" PRIu64,
                              NAMED(c->rings.at[a->ring].id), a->life, x, b->life, y);
    return true;
}

/* The stay of the same life before this one; NULL: it is the first. */
static const struct stay *before(const struct court *c, const struct stay *s)
{
    return s > c->stays.at && s[-1].life == s->life ? s - 1 : NULL;
}

/* E7: who comes along comes from the same ring, and is the one who was in it. */
static bool comes_from_there(struct court *c, const struct stay *a, const struct stay *b)
{
    const struct stay *x = before(c, a), *y = before(c, b);
    if (!x || !(x->together & bit(life_of(c, b)->node)) || (y && y->ring == x->ring))
        return true;
    return verdict_broken(
        c->v, "E7",
        "ring " NAME ": life %u says that life %u comes along from " NAME ", where it never was",
        NAMED(c->rings.at[a->ring].id), a->life, b->life, NAMED(c->rings.at[x->ring].id));
}

static bool safe_in(const struct court *c, const struct stay *s)
{
    for (uint32_t i = s->first; i < s->transitional; i++) {
        const struct hist_delivery *d = entry(c, s, i);
        if (d->kind == RING_DELIVER_FRAME && d->safe)
            return true;
    }
    return false;
}

/* E6: who is in a ring where something safe was delivered has been told of that ring. */
static bool all_were_told(struct court *c, const struct ring *ring, const struct stay *s)
{
    if (!safe_in(c, s))
        return true;
    for (uint32_t l = 0; l < c->h->lives.count; l++) {
        const struct hist_life *life = &c->h->lives.at[l];
        bool newer = life->since_ns > entry(c, s, s->first - 1)->at_ns;
        if (!(ring->members & bit(life->node)) || life->over || newer ||
            ring->lives_seen & bit(life->node))
            continue;
        const struct hist_delivery *last =
            life->log.count ? &life->log.at[life->log.count - 1] : NULL;
        if (last && last->kind == RING_DELIVER_REGULAR && last->ring_id.seq > ring->id.seq)
            return verdict_broken(c->v, "E6", "ring " NAME ": life %u was never told of it",
                                  NAMED(ring->id), l);
    }
    return true;
}

static bool rings_together(struct court *c)
{
    for (uint32_t i = 0; i < c->rings.count; i++) {
        const struct ring *r = &c->rings.at[i];
        for (uint32_t a = 0; a < r->stays.count; a++) {
            const struct stay *s = &c->stays.at[r->stays.at[a]];
            if (!all_were_told(c, r, s))
                return false;
            for (uint32_t b = 0; b < r->stays.count; b++) {
                const struct stay *t = &c->stays.at[r->stays.at[b]];
                if (a != b && (!two_stays(c, s, t) || !begin_alike(c, s, t) ||
                               !comes_from_there(c, s, t) || (a < b && !together(c, s, t))))
                    return false;
            }
        }
    }
    return true;
}

/* E7: an id names one ring. */
static bool ids_are_unique(struct court *c)
{
    if (c->forgetful)
        return true;
    for (uint32_t i = 0; i < c->rings.count; i++) {
        for (uint32_t k = 0; k < i; k++) {
            if (ring_id_equal(c->rings.at[i].id, c->rings.at[k].id))
                return verdict_broken(c->v, "E7", "ring " NAME " was formed twice",
                                      NAMED(c->rings.at[i].id));
        }
    }
    return true;
}

bool check_ring(const struct history *h, struct verdict *v)
{
    struct court c = { .h = h, .v = v, .forgetful = any_forgets(h) };
    bool good = true;
    for (uint32_t i = 0; good && i < h->lives.count; i++)
        good = life_alone(&c, &h->lives.at[i]);
    good = good && ids_are_unique(&c) && rings_together(&c);
    for (uint32_t i = 0; i < c.rings.count; i++)
        free(c.rings.at[i].stays.at);
    free(c.rings.at);
    free(c.stays.at);
    return good;
}
