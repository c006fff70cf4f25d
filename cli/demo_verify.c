/* SPDX-License-Identifier: BSD-3-Clause */
#include "demo_verify.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

enum { LIVES_MAX = 64 }; /* of one client: it opens a new handle only when its service died */

enum ending { ENDS_NOT, ENDS_LOST, ENDS_WELL };

/* Between two changes on one client. */
struct stretch {
    uint32_t node, life;
    struct ring_id ring;
    uint64_t nodes;
    const struct demo_entry *run; /* run[count], all DEMO_LOG_RUN */
    size_t count;
    enum ending ending; /* the life ends with this stretch */
    bool compared;
};

struct sender {    /* one life of one node, as one receiver sees it */
    uint64_t next; /* number after the highest seen */
    bool seen;
};

struct verify {
    struct demo_verdict *verdict;
    struct stretch *stretch; /* in the order of nodes, and of each one's log */
    size_t count, room;
    uint64_t accepted[DEMO_NODES_MAX + 1][LIVES_MAX];
    uint64_t highest[DEMO_NODES_MAX + 1][LIVES_MAX];     /* number after it, by anybody */
    uint64_t own[DEMO_NODES_MAX + 1][LIVES_MAX];         /* delivered to the sender itself */
    bool lived[DEMO_NODES_MAX + 1][LIVES_MAX];           /* the life ended well */
    struct sender sender[DEMO_NODES_MAX + 1][LIVES_MAX]; /* of the receiver in hand */
};

__attribute__((format(printf, 2, 3))) static void wrong(struct verify *v, const char *format, ...)
{
    if (v->verdict->first_wrong[0])
        return;
    va_list args;
    va_start(args, format);
    vsnprintf(v->verdict->first_wrong, sizeof(v->verdict->first_wrong), format, args);
    va_end(args);
}

/* Reading logs */

static struct stretch *add_stretch(struct verify *v, struct stretch stretch)
{
    if (v->count == v->room) {
        size_t room = v->room ? 2 * v->room : 64;
        struct stretch *grown = realloc(v->stretch, room * sizeof(*grown));
        if (!grown)
            return NULL;
        v->stretch = grown;
        v->room = room;
    }
    v->stretch[v->count] = stretch;
    return &v->stretch[v->count++];
}

static bool entry_is_sound(const struct demo_entry *e)
{
    bool names_life = e->kind == DEMO_LOG_LIFE || e->kind == DEMO_LOG_RUN;
    if (e->kind < DEMO_LOG_LIFE || e->kind > DEMO_LOG_END)
        return false;
    if (names_life && e->life >= LIVES_MAX)
        return false;
    return e->kind != DEMO_LOG_RUN || (e->node >= 1 && e->node <= DEMO_NODES_MAX && e->count > 0);
}

/*
 * A change begins a stretch; a run belongs to the one that is open; an end closes the life. Changes
 * of rings that a client sees before its first view begin nothing: behind that view it is told of
 * its ring again.
 */
static int read_entry(struct verify *v, struct stretch **open, const struct demo_entry *e,
                      uint32_t node)
{
    struct stretch next = *open ? **open : (struct stretch){ .node = node };
    next.run = e + 1;
    next.count = 0;
    if (!entry_is_sound(e) || (!*open && e->kind != DEMO_LOG_LIFE))
        return -EPROTO;
    switch (e->kind) {
    case DEMO_LOG_RUN:
        (*open)->count++;
        return 0;
    case DEMO_LOG_LIFE:
        next = (struct stretch){ .node = node, .life = e->life, .run = e + 1 };
        break;
    case DEMO_LOG_RING:
        if (next.nodes == 0)
            return 0;
        next.ring = (struct ring_id){ .seq = e->number, .rep = e->node };
        break;
    case DEMO_LOG_VIEW:
        next.nodes = e->number;
        break;
    default:
        (*open)->ending = e->kind == DEMO_LOG_END ? ENDS_WELL : ENDS_LOST;
        v->accepted[node][(*open)->life] = e->number;
        v->lived[node][(*open)->life] = e->kind == DEMO_LOG_END;
        *open = NULL;
        return 0;
    }
    *open = add_stretch(v, next);
    return *open ? 0 : -ENOMEM;
}

static int read_history(struct verify *v, const struct demo_history *history, uint32_t node)
{
    struct stretch *open = NULL;
    for (size_t i = 0; i < history->count; i++) {
        int error = read_entry(v, &open, &history->entry[i], node);
        if (error)
            return error;
    }
    return open ? -EPROTO : 0;
}

/* One client by itself: V3, V4, and what was delivered at all */

static void check_run(struct verify *v, const struct stretch *s, const struct demo_entry *e)
{
    struct sender *sender = &v->sender[e->node][e->life];
    uint64_t end = e->number + e->count;
    if (sender->seen && e->number < sender->next) {
        uint64_t again = min_u64(end, sender->next) - e->number;
        v->verdict->duplicates += again;
        wrong(v, "node %u saw %llu messages of node %u again, from number %llu", s->node,
              (unsigned long long)again, e->node, (unsigned long long)e->number);
    }
    sender->seen = true;
    sender->next = max_u64(sender->next, end);
    v->highest[e->node][e->life] = max_u64(v->highest[e->node][e->life], end);
    if (e->node == s->node && e->life == s->life)
        v->own[e->node][e->life] += e->count;
}

static void check_lives(struct verify *v, int node_count)
{
    uint32_t node = 0;
    for (size_t i = 0; i < v->count; i++) {
        const struct stretch *s = &v->stretch[i];
        bool first = s->node != node || s->life != v->stretch[i - 1].life;
        node = s->node;
        if (first)
            memset(v->sender, 0, sizeof(v->sender));
        for (size_t k = 0; k < s->count; k++)
            check_run(v, s, &s->run[k]);
    }
    for (int n = 1; n <= node_count; n++)
        for (int life = 0; life < LIVES_MAX; life++) {
            v->verdict->messages += v->highest[n][life];
            if (!v->lived[n][life] || v->own[n][life] >= v->accepted[n][life])
                continue;
            uint64_t missing = v->accepted[n][life] - v->own[n][life];
            v->verdict->lost += missing;
            wrong(v, "node %d did not see %llu of the messages it sent", n,
                  (unsigned long long)missing);
        }
}

/* Two clients in one stretch */

struct common {
    uint64_t count;   /* messages both saw */
    uint64_t crossed; /* places where they saw them in different order */
};

/* Runs of one sender in `b`, found again from where the last search ended. */
struct cursor {
    size_t index;      /* into b->run */
    uint64_t position; /* messages of b before that run */
};

static bool run_is_of(const struct demo_entry *run, const struct demo_entry *other)
{
    return run->node == other->node && run->life == other->life;
}

/* Where the messages of one run of `a` lie in `b`; V1 says that they lie behind *last. */
static void find_run(const struct demo_entry *run, const struct stretch *b, struct cursor *at,
                     uint64_t *last, struct common *common)
{
    uint64_t end = run->number + run->count;
    for (; at->index < b->count; at->position += b->run[at->index++].count) {
        const struct demo_entry *other = &b->run[at->index];
        if (!run_is_of(other, run) || other->number + other->count <= run->number)
            continue;
        if (other->number >= end)
            return;
        uint64_t from = max_u64(run->number, other->number);
        uint64_t to = min_u64(end, other->number + other->count);
        uint64_t position = at->position + (from - other->number);
        common->crossed += common->count > 0 && position <= *last;
        common->count += to - from;
        *last = position + (to - from) - 1;
        if (other->number + other->count > end)
            return; /* the next run of `a` may lie in the rest of it */
    }
}

static struct common compare(const struct stretch *a, const struct stretch *b)
{
    struct common common = { 0 };
    struct cursor at[DEMO_NODES_MAX + 1][LIVES_MAX] = { 0 };
    uint64_t last = 0;
    for (size_t i = 0; i < a->count; i++) {
        const struct demo_entry *run = &a->run[i];
        find_run(run, b, &at[run->node][run->life], &last, &common);
    }
    return common;
}

static uint64_t message_count(const struct stretch *s)
{
    uint64_t count = 0;
    for (size_t i = 0; i < s->count; i++)
        count += s->run[i].count;
    return count;
}

static bool same_name(const struct stretch *a, const struct stretch *b)
{
    return ring_id_equal(a->ring, b->ring) && a->nodes == b->nodes;
}

/* The next one of the same life; only asked where the life does not end. */
static bool go_together(const struct stretch *a, const struct stretch *b)
{
    if (a->ending != ENDS_NOT || b->ending != ENDS_NOT)
        return a->ending == ENDS_WELL && b->ending == ENDS_WELL;
    return same_name(a + 1, b + 1);
}

/* V1 for any two, V2 where `together` says that they went on as one. */
static void compare_pair(struct verify *v, const struct stretch *a, const struct stretch *b,
                         bool together)
{
    struct common common = compare(a, b);
    if (common.crossed > 0) {
        v->verdict->misordered += common.crossed;
        wrong(v, "nodes %u and %u saw messages of ring %u.%llu in different order", a->node,
              b->node, a->ring.rep, (unsigned long long)a->ring.seq);
    }
    uint64_t only_a = message_count(a) - common.count, only_b = message_count(b) - common.count;
    if (!together || only_a + only_b == 0)
        return;
    v->verdict->lost += only_a + only_b;
    wrong(v, "on ring %u.%llu %llu messages reached node %u and not %u, %llu node %u and not %u",
          a->ring.rep, (unsigned long long)a->ring.seq, (unsigned long long)only_a, a->node,
          b->node, (unsigned long long)only_b, b->node, a->node);
}

/* The same stretch on another client; a name that comes twice in a log was first the real one. */
static struct stretch *find_stretch(struct verify *v, const struct stretch *s, uint32_t node)
{
    for (size_t i = 0; i < v->count; i++) {
        struct stretch *other = &v->stretch[i];
        if (other->node == node && same_name(other, s))
            return other;
    }
    return NULL;
}

/* V5, for what no comparison with the sender's own log covers: it or we parted in this stretch. */
static void check_gaps(struct verify *v, const struct stretch *s)
{
    memset(v->sender, 0, sizeof(v->sender));
    for (size_t i = 0; i < s->count; i++) {
        const struct demo_entry *e = &s->run[i];
        struct sender *sender = &v->sender[e->node][e->life];
        const struct stretch *own = find_stretch(v, s, e->node);
        bool covered = own && own->life == e->life && (own == s || go_together(own, s));
        if (!covered && sender->seen && e->number > sender->next) {
            v->verdict->lost += e->number - sender->next;
            wrong(v, "node %u missed %llu messages of node %u, from number %llu", s->node,
                  (unsigned long long)(e->number - sender->next), e->node,
                  (unsigned long long)sender->next);
        }
        sender->seen = true;
        sender->next = max_u64(sender->next, e->number + e->count);
    }
}

/* Order is compared between all, sets with the first that went the same way: once a client. */
static void compare_stretch(struct verify *v, const struct stretch *name, int node_count)
{
    struct stretch *seen[DEMO_NODES_MAX + 1];
    int seen_count = 0;
    for (int node = 1; node <= node_count; node++) {
        struct stretch *s = find_stretch(v, name, (uint32_t)node);
        if (!s || s->compared)
            continue;
        s->compared = true;
        check_gaps(v, s);
        bool alone = true;
        for (int i = 0; i < seen_count; i++) {
            bool together = alone && go_together(seen[i], s);
            alone = alone && !together;
            compare_pair(v, seen[i], s, together);
        }
        seen[seen_count++] = s;
    }
    v->verdict->stretches += seen_count > 0;
}

/* Between a view and the ring event of one change nothing is delivered, nor is a name used twice.
 */
static void check_name_is_new(struct verify *v, const struct stretch *s)
{
    if (s->ring.seq > 0 && find_stretch(v, s, s->node) == s)
        return;
    v->verdict->misordered++;
    wrong(v, "node %u saw messages in the midst of a change after ring %u.%llu", s->node,
          s->ring.rep, (unsigned long long)s->ring.seq);
}

int demo_verify(struct demo_verdict *verdict, const struct demo_history *history, int node_count)
{
    *verdict = (struct demo_verdict){ 0 };
    struct verify *v = calloc(1, sizeof(*v));
    if (!v)
        return -ENOMEM;
    v->verdict = verdict;
    int error = 0;
    for (int node = 1; node <= node_count && error == 0; node++)
        error = read_history(v, &history[node], (uint32_t)node);
    if (error == 0) {
        check_lives(v, node_count);
        for (size_t i = 0; i < v->count; i++) {
            if (v->stretch[i].compared || v->stretch[i].count == 0)
                continue;
            check_name_is_new(v, &v->stretch[i]);
            compare_stretch(v, &v->stretch[i], node_count);
        }
    }
    free(v->stretch);
    free(v);
    return error;
}
