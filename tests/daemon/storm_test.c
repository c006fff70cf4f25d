/* SPDX-License-Identifier: BSD-3-Clause */
#include "ring/storm.h"

#include <inttypes.h>
#include <string.h>

#include "groups.h"

#include <criterion/criterion.h>

/*
 * Groups on rings that lived through a storm. What the nodes of a storm delivered is played to
 * groups, in the order of time: each port's messages are taken for a join, data and a leave, over
 * and over, and control messages for the SYNC that their sender had to send. Then the views and
 * messages that members saw are compared.
 */

enum { SEEDS = 150, CYCLE = 12, GROUPS = 3, PID = 100, PARTS = 4 };

enum seen_kind { SEEN_VIEW, SEEN_DATA, SEEN_NOTHING }; /* NOTHING: from here on, nobody is left */

/* What the members of one group on one node saw. */
struct seen {
    enum seen_kind kind;
    uint64_t id;      /* DATA: the message; VIEW: the message or the ring that caused it */
    uint64_t change;  /* VIEW: of who came and went; DATA: 1 in a transitional configuration */
    uint64_t members; /* VIEW: of all, DATA: as of the view it came in */
};

struct told {
    struct seen *seen;
    uint32_t count, room;
    uint64_t members;
};

struct sync {
    uint64_t ring_seq;
    uint32_t count, bytes[PARTS];
    uint8_t part[PARTS][GWIRE_PART_BYTES];
};

struct player {
    const struct net *net;
    const struct net_life *life;
    struct groups groups;
    struct told told[GROUPS];
    struct sync *sync;
    uint32_t sync_count, next; /* next: entry of the log */
    uint64_t cause;
    uint32_t together; /* in a transitional configuration: its members; else 0 */
};

static uint8_t clients[NET_PORTS];

static uint64_t mix(uint64_t hash, uint64_t value)
{
    hash = (hash ^ value) * UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ hash >> 29;
}

static struct client *joined(void *context, uint32_t port)
{
    (void)context;
    return (struct client *)(void *)&clients[port_slot(port)];
}

static void left(void *context, uint32_t port, bool refused)
{
    (void)context, (void)port;
    INVARIANT(!refused);
}

static struct told *told_of(struct player *p, const struct group *group)
{
    return &p->told[group->name.value[0] - 'a'];
}

static void saw(struct told *told, struct seen seen)
{
    if (told->count == told->room) {
        told->room = told->room ? 2 * told->room : 64;
        told->seen = realloc(told->seen, told->room * sizeof(seen));
    }
    told->seen[told->count++] = seen;
}

/* V1, V3: who comes is in the list, who goes is not, and never both at once. */
static void view(void *context, const struct groups_view *v)
{
    struct player *p = context;
    uint64_t members = 0, change = 0;
    INVARIANT((v->left_count == 0) != (v->joined_count == 0));
    for (uint32_t i = 0; i < v->group->member_count; i++) {
        const struct member *m = v->group->member[i];
        members = mix(mix(members, m->node_id), m->pid);
        for (uint32_t k = 0; k < v->left_count; k++)
            INVARIANT(v->left[k].nodeid != m->node_id || v->left[k].pid != m->pid);
    }
    for (uint32_t i = 0; i < v->left_count; i++)
        change = mix(mix(mix(change, v->left[i].nodeid), v->left[i].pid), v->left[i].reason);
    for (uint32_t i = 0; i < v->joined_count; i++)
        change = mix(mix(mix(change, v->joined[i].nodeid), v->joined[i].pid), v->joined[i].reason);
    struct told *told = told_of(p, v->group);
    told->members = members;
    /* What two deliver each in a transitional configuration of its own is not one view. */
    uint64_t id = p->together ? mix(p->cause, p->together) : p->cause;
    saw(told, (struct seen){ SEEN_VIEW, id, change, members });
    if (v->ends && v->group->local_count == 1)
        saw(told, (struct seen){ .kind = SEEN_NOTHING, .id = (uint64_t)p->life->number });
}

static void complete(void *context, struct ring_id ring_id, const uint32_t *members, int count)
{
    (void)context, (void)ring_id, (void)members, (void)count;
}

static const struct groups_ops ops = { joined, left, view, complete };

static int ids_of(uint32_t mask, uint32_t *ids)
{
    int count = 0;
    for (uint32_t i = 0; i < NET_NODES; i++) {
        if (mask >> i & 1)
            ids[count++] = i + 1;
    }
    return count;
}

static void configuration(struct player *p, const struct net_entry *e)
{
    uint32_t ids[NET_NODES];
    int count = ids_of(e->members, ids);
    p->together = e->kind == NET_TRANSITIONAL ? e->members : 0;
    if (e->kind == NET_TRANSITIONAL) {
        groups_transitional(&p->groups, ids, count);
        return;
    }
    groups_regular(&p->groups, e->ring_id, ids, count);
    p->sync = realloc(p->sync, (p->sync_count + 1) * sizeof(*p->sync));
    struct sync *sync = &p->sync[p->sync_count++];
    *sync = (struct sync){ .ring_seq = e->ring_id.seq };
    uint32_t bytes;
    while (sync->count < PARTS && (bytes = groups_sync_part(&p->groups, sync->part[sync->count])))
        sync->bytes[sync->count++] = bytes;
}

static void sync_arrives(struct player *p, const struct player *sender, uint64_t ring_seq)
{
    struct groups_node *node = groups_node(&p->groups, (uint32_t)sender->life->node + 1);
    for (uint32_t i = 0; i < sender->sync_count; i++) {
        const struct sync *sync = &sender->sync[i];
        for (uint32_t k = 0; sync->ring_seq == ring_seq && k < sync->count; k++)
            groups_control(&p->groups, node, 0, sync->part[k], sync->bytes[k]);
    }
}

static void message(struct player *p, const struct player *sender, uint64_t id)
{
    uint32_t port = (uint32_t)(id >> 40 & 0xff), number = (uint32_t)id;
    uint32_t life = (uint32_t)sender->life->number;
    uint32_t wire_port = port_make(port + 1, number / CYCLE % PORT_GENERATION_MAX + 1);
    struct groups_node *node = groups_node(&p->groups, (uint32_t)sender->life->node + 1);
    struct core_name name = { .bytes = 1, .value = { (uint8_t)('a' + (port + life) % GROUPS) } };
    uint8_t bytes[64];
    if (number % CYCLE == 0) {
        groups_control(&p->groups, node, wire_port, bytes,
                       gwire_put_join(bytes, PID + port, &name));
        return;
    }
    const struct member *member = groups_member(node, wire_port);
    INVARIANT(member); /* joins come first, and nobody speaks whom we do not know */
    if (number % CYCLE == CYCLE - 1) {
        groups_control(&p->groups, node, wire_port, bytes, gwire_put_leave(bytes, REASON_LEAVE));
    } else if (member->group->local_count > 0) {
        struct told *told = told_of(p, member->group);
        saw(told, (struct seen){ SEEN_DATA, id, p->together != 0, told->members });
    }
}

static void play(struct player *all, struct player *p)
{
    const struct net_entry *e = &p->life->log[p->next++];
    if (e->kind != NET_MESSAGE) {
        p->cause = e->kind == NET_REGULAR ? mix(e->ring_id.seq, e->ring_id.rep) : p->cause;
        configuration(p, e);
        return;
    }
    const struct player *sender = &all[e->id >> 48];
    if ((e->id >> 40 & 0xff) == NET_PORTS) {
        uint64_t ring = p->groups.exchange.ring_id.seq;
        p->cause = mix(ring, p->groups.exchange.ring_id.rep);
        sync_arrives(p, sender, e->value);
    } else {
        p->cause = e->id;
        message(p, sender, e->id);
    }
}

static struct player *earliest(struct player *all, int count)
{
    struct player *best = NULL;
    for (int i = 0; i < count; i++) {
        struct player *p = &all[i];
        if (p->next < p->life->count &&
            (!best || p->life->log[p->next].at_ns < best->life->log[best->next].at_ns))
            best = p;
    }
    return best;
}

static bool same(const struct seen *a, const struct seen *b)
{
    return a->kind == b->kind && a->id == b->id && a->members == b->members &&
           (a->change == b->change || a->kind == SEEN_DATA);
}

static void broken(const struct player *a, const struct player *b, const char *rule, uint64_t id)
{
    fprintf(stderr, "seed %" PRIu64 ": %s: lives %d and %d at %" PRIx64 "\n", a->net->seed, rule,
            a->life->number, b->life->number, id);
    abort();
}

static uint32_t view_after(const struct told *t, uint32_t i)
{
    while (++i < t->count && t->seen[i].kind == SEEN_DATA)
        continue;
    return i;
}

/* D4: who goes from one view to the next together saw the same between. */
static void check_between(const struct player *a, const struct player *b, const struct told *s,
                          uint32_t i, const struct told *t, uint32_t j)
{
    uint32_t i_end = view_after(s, i), j_end = view_after(t, j);
    if (i_end == s->count || j_end == t->count || !same(&s->seen[i_end], &t->seen[j_end]))
        return;
    if (i_end - i != j_end - j)
        broken(a, b, "D4, count", s->seen[i].id);
    for (uint32_t k = 1; i + k < i_end; k++) {
        if (!same(&s->seen[i + k], &t->seen[j + k]))
            broken(a, b, "D4", s->seen[i + k].id);
    }
}

static void compare(const struct player *a, const struct player *b, int group)
{
    const struct told *s = &a->told[group], *t = &b->told[group];
    for (uint32_t i = 0; i < s->count; i++) {
        for (uint32_t j = 0; j < t->count; j++) {
            const struct seen *x = &s->seen[i], *y = &t->seen[j];
            bool both = x->kind == SEEN_DATA && y->kind == SEEN_DATA && x->id == y->id;
            if (both && !x->change && !y->change && x->members != y->members)
                broken(a, b, "D5", x->id); /* in one view wherever it comes */
            if (x->kind == SEEN_VIEW && same(x, y))
                check_between(a, b, s, i, t, j);
        }
    }
}

/* After the storm all know the same. */
static void check_tables(const struct player *a, const struct player *b)
{
    for (int n = 0; n < a->groups.node_count; n++) {
        const struct groups_node *x = &a->groups.node[n], *y = &b->groups.node[n];
        if (x->member_count != y->member_count)
            broken(a, b, "tables", x->node_id);
        for (uint32_t slot = 0; slot < x->slot_room; slot++) {
            const struct member *m = x->port[slot];
            const struct member *o = m ? groups_member(y, m->port) : NULL;
            if (m && (!o || o->pid != m->pid || o->group->name.value[0] != m->group->name.value[0]))
                broken(a, b, "tables, member", m->pid);
        }
    }
}

static void players_check(struct player *all, const struct net *net)
{
    for (int a = 0; a < net->life_count; a++) {
        groups_check(&all[a].groups);
        if (all[a].groups.diverged + all[a].groups.malformed > 0)
            broken(&all[a], &all[a], "diverged", all[a].groups.malformed);
        for (int b = 0; b < a; b++) {
            for (int group = 0; group < GROUPS; group++)
                compare(&all[a], &all[b], group);
            if (!all[a].life->crashed && !all[b].life->crashed)
                check_tables(&all[a], &all[b]);
        }
    }
}

static void live(uint64_t seed)
{
    struct net *net = storm_live(seed);
    struct player *all = calloc((size_t)net->life_count, sizeof(*all));
    uint32_t ids[NET_NODES];
    ids_of((1u << net->node_count) - 1, ids);
    for (int i = 0; i < net->life_count; i++) {
        struct player *p = &all[i];
        p->net = net;
        p->life = &net->life[i];
        groups_create(&p->groups, (uint32_t)p->life->node + 1, ids, net->node_count, &ops, p);
    }
    for (struct player *p; (p = earliest(all, net->life_count));)
        play(all, p);
    players_check(all, net);
    for (int i = 0; i < net->life_count; i++) {
        groups_destroy(&all[i].groups);
        for (int group = 0; group < GROUPS; group++)
            free(all[i].told[group].seen);
        free(all[i].sync);
    }
    free(all);
    net_free(net);
}

Test(storm, D4_D5_V4_views_and_messages_agree_after_any_row_of_changes)
{
    storm_seeds(SEEDS, live);
}
