/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * check_views.c - views and ring events of each handle: what one of them says, and what it may say
 * after the one before.
 */
#include <inttypes.h>
#include <string.h>

#include "along.h"
#include "check.h"
#include "gwire.h"

/* What a handle has been told so far. */
struct reader {
    const struct history *h;
    const struct hist_handle *handle;
    struct verdict *v;
    bool joined;
    uint32_t own; /* the membership it is in */
    HIST_LIST(struct chan_address) members;
    struct ring_id ring; /* of the last ring event; seq 0: none yet */
    /* since that event */
    uint64_t down, up;    /* nodes in a NODEDOWN, in a NODEUP view */
    bool first_ring_next; /* R3: the next event is the extra ring event */
    uint32_t joins;       /* own JOIN views so far */
};

#define HANDLE "handle %u of node %u: "
#define OF(r)  (r)->handle->index, (r)->handle->node

static uint64_t bit(uint32_t node)
{
    return node >= 1 && node <= 64 ? UINT64_C(1) << (node - 1) : 0;
}

static int order(const struct chan_address *a, const struct chan_address *b)
{
    if (a->nodeid != b->nodeid)
        return a->nodeid < b->nodeid ? -1 : 1;
    return a->pid < b->pid ? -1 : a->pid > b->pid;
}

static bool ascend(const struct chan_address *a, uint32_t count)
{
    for (uint32_t i = 1; i < count; i++) {
        if (order(&a[i - 1], &a[i]) >= 0)
            return false;
    }
    return true;
}

static bool has(const struct chan_address *a, uint32_t count, const struct chan_address *who)
{
    for (uint32_t i = 0; i < count; i++) {
        if (order(&a[i], who) == 0)
            return true;
    }
    return false;
}

static uint64_t nodes_of(const struct chan_address *a, uint32_t count)
{
    uint64_t nodes = 0;
    for (uint32_t i = 0; i < count; i++)
        nodes |= bit(a[i].nodeid);
    return nodes;
}

/* Three lists, as they lie one behind the other. */
struct lists {
    const struct hist_view *view;
    const struct chan_address *member, *left, *joined;
};

static struct lists lists_of(const struct history *h, const struct hist_view *view)
{
    const struct chan_address *a = history_addresses(h, view);
    return (struct lists){ view, a, a + view->member_count,
                           a + view->member_count + view->left_count };
}

/* V1 to V3, V5: of a view by itself. */
static bool view_alone(struct reader *r, const struct lists *l)
{
    const struct hist_view *view = l->view;
    const struct chan_address *change = view->left_count ? l->left : l->joined;
    uint32_t count = view->left_count + view->joined_count;
    if ((view->left_count == 0) == (view->joined_count == 0))
        return verdict_broken(r->v, "V3", HANDLE "%u left and %u joined", OF(r), view->left_count,
                              view->joined_count);
    if (!ascend(l->member, view->member_count))
        return verdict_broken(r->v, "V1", HANDLE "members do not ascend", OF(r));
    if (!ascend(change, count))
        return verdict_broken(r->v, "V2", HANDLE "changes do not ascend", OF(r));
    uint32_t reason = change->reason;
    bool comes = reason == REASON_JOIN || reason == REASON_NODEUP;
    bool nodes = reason == REASON_NODEDOWN || reason == REASON_NODEUP;
    if (reason < REASON_JOIN || reason > REASON_PROCDOWN || comes != (view->joined_count > 0))
        return verdict_broken(r->v, "V2", HANDLE "reason %u", OF(r), reason);
    if (!nodes && count != 1)
        return verdict_broken(r->v, "V5", HANDLE "%u at once, reason %u", OF(r), count, reason);
    for (uint32_t i = 0; i < count; i++) {
        if (change[i].reason != reason)
            return verdict_broken(r->v, "V5", HANDLE "reasons %u and %u in one view", OF(r), reason,
                                  change[i].reason);
        if (has(l->member, view->member_count, &change[i]) != comes)
            return verdict_broken(r->v, "V1", HANDLE "%u/%u, reason %u, and the members", OF(r),
                                  change[i].nodeid, change[i].pid, reason);
    }
    for (uint32_t i = 0; i < view->member_count; i++) {
        if (l->member[i].reason)
            return verdict_broken(r->v, "V1", HANDLE "a member with a reason", OF(r));
    }
    return true;
}

/* V1: the members are those of before, and what this view says. */
static bool follows(struct reader *r, const struct lists *l)
{
    const struct hist_view *view = l->view;
    uint32_t before = r->members.count;
    bool good = view->member_count + view->left_count == before + view->joined_count;
    for (uint32_t i = 0; good && i < before; i++) {
        const struct chan_address *who = &r->members.at[i];
        good = has(l->member, view->member_count, who) || has(l->left, view->left_count, who);
    }
    for (uint32_t i = 0; good && i < view->joined_count; i++)
        good = !has(r->members.at, before, &l->joined[i]);
    for (uint32_t i = 0; good && i < view->left_count; i++)
        good = has(r->members.at, before, &l->left[i]);
    return good || verdict_broken(r->v, "V1", HANDLE "%u members do not follow from %u", OF(r),
                                  view->member_count, before);
}

static void remember(struct reader *r, const struct lists *l)
{
    uint32_t count = l->view->member_count;
    if (count > r->members.room) {
        r->members.room = count + 16;
        r->members.at = realloc(r->members.at, r->members.room * sizeof(*r->members.at));
        INVARIANT(r->members.at);
    }
    memcpy(r->members.at, l->member, count * sizeof(*l->member));
    r->members.count = count;
}

/* V10: is there a membership that came, or went, in this way by then? */
static bool happened(const struct reader *r, const struct chan_address *who, uint32_t group,
                     uint64_t at_ns)
{
    for (uint32_t i = 0; i < r->h->members.count; i++) {
        const struct hist_member *m = &r->h->members.at[i];
        if (m->node != who->nodeid || m->pid != who->pid || m->group != group ||
            m->since_ns > at_ns)
            continue;
        bool ends = m->end != HIST_STAYS && m->until_ns <= at_ns;
        if (who->reason == REASON_JOIN || who->reason == REASON_NODEUP)
            return true;
        if (who->reason == REASON_LEAVE && ends && m->end == HIST_LEFT)
            return true;
        if (who->reason == REASON_PROCDOWN && ends &&
            (m->end == HIST_DIED || m->end == HIST_EVICTED || m->end == HIST_STOPPED))
            return true;
    }
    return false;
}

/* V5, V7, V9, V10: whole nodes come and go, each way once in a change, and go before they come. */
static bool nodes_change(struct reader *r, const struct lists *l, uint64_t at_ns)
{
    const struct hist_view *view = l->view;
    uint64_t left = nodes_of(l->left, view->left_count);
    uint64_t joined = nodes_of(l->joined, view->joined_count);
    if (!r->handle->wants_rings)
        r->down = r->up = 0; /* nobody says where a change ends */
    if (left && (r->down || r->up))
        return verdict_broken(r->v, "V5", HANDLE "a second NODEDOWN, or after NODEUP", OF(r));
    if (joined && r->up)
        return verdict_broken(r->v, "V5", HANDLE "a second NODEUP", OF(r));
    if (left & nodes_of(l->member, view->member_count))
        return verdict_broken(r->v, "V6", HANDLE "nodes %" PRIx64 " are down but for some", OF(r),
                              left);
    if (joined & nodes_of(r->members.at, r->members.count))
        return verdict_broken(r->v, "V9", HANDLE "nodes %" PRIx64 " come up and were there", OF(r),
                              joined);
    if ((left | joined) & bit(r->handle->node))
        return verdict_broken(r->v, "V10", HANDLE "its own node comes or goes", OF(r));
    if (left && at_ns < r->h->calm_until_ns)
        return verdict_broken(r->v, "V10", HANDLE "nodes %" PRIx64 " are down, and nothing was",
                              OF(r), left);
    r->down |= left;
    r->up |= joined;
    return true;
}

static bool change(struct reader *r, const struct lists *l, uint64_t at_ns)
{
    const struct hist_view *view = l->view;
    const struct chan_address *who = view->left_count ? l->left : l->joined;
    uint32_t group = r->h->members.at[r->own].group;
    if (view->group != group)
        return verdict_broken(r->v, "X7", HANDLE "a view of group %u, it is in %u", OF(r),
                              view->group, group);
    for (uint32_t i = 0; i < view->left_count + view->joined_count; i++) {
        if (who[i].reason != REASON_NODEDOWN && !happened(r, &who[i], group, at_ns))
            return verdict_broken(r->v, "V10",
                                  HANDLE "%u/%u, reason %u: nothing of the kind "
                                         "happened",
                                  OF(r), who[i].nodeid, who[i].pid, who[i].reason);
    }
    if (who->reason == REASON_NODEDOWN || who->reason == REASON_NODEUP)
        return nodes_change(r, l, at_ns);
    if (r->down | r->up) /* R2: what nodes do ends with the ring event */
        return !r->handle->wants_rings ||
               verdict_broken(r->v, "R2", HANDLE "%u/%u, reason %u, before the ring event", OF(r),
                              who->nodeid, who->pid, who->reason);
    return true;
}

/* V4, X7: a membership begins and ends with a view of its own. */
static bool own_view(struct reader *r, const struct lists *l)
{
    bool begins = l->view->flags & CHAN_VIEW_OWN_JOIN, ends = l->view->flags & CHAN_VIEW_OWN_LEAVE;
    if (begins) {
        r->own = history_nth_member(r->h, r->handle->index, r->joins++);
        const struct hist_member *m = &r->h->members.at[r->own];
        if (r->joined || r->own == HIST_NOBODY || l->view->joined_count != 1 ||
            m->node != l->joined->nodeid || m->pid != l->joined->pid || m->group != l->view->group)
            return verdict_broken(r->v, "V4", HANDLE "%u/%u joins, and that is not itself", OF(r),
                                  l->joined->nodeid, l->joined->pid);
        r->first_ring_next = r->joins == 1 && r->handle->wants_first && r->handle->wants_rings;
        r->joined = true;
        r->members.count = 0;
        return true;
    }
    if (!r->joined)
        return verdict_broken(r->v, "X7", HANDLE "a view, and it is in no group", OF(r));
    const struct hist_member *own = &r->h->members.at[r->own];
    struct chan_address self = { own->node, own->pid, 0 };
    if (has(l->left, l->view->left_count, &self) != ends)
        return verdict_broken(r->v, "X7", HANDLE "goes by a view that is not its own", OF(r));
    r->joined = !ends;
    return true;
}

static bool on_view(struct reader *r, const struct hist_event *event)
{
    struct lists l = lists_of(r->h, &r->h->views.at[event->index]);
    bool begins = l.view->flags & CHAN_VIEW_OWN_JOIN;
    if (!view_alone(r, &l) || !own_view(r, &l) || !change(r, &l, event->at_ns) ||
        (!begins && !follows(r, &l)))
        return false;
    remember(r, &l);
    return true;
}

/* V6, V10: down are those who did not come along, up those in the new ring who did not. */
static bool nodes_are_right(struct reader *r, struct ring_id to, uint64_t nodes)
{
    uint64_t along = history_along(r->h, r->handle->life, r->ring, to);
    uint64_t there = nodes_of(r->members.at, r->members.count);
    if (r->joined && there & ~nodes)
        return verdict_broken(r->v, "V6", HANDLE "members on nodes %" PRIx64 ", not in the ring",
                              OF(r), there & ~nodes);
    if (r->ring.seq == 0)
        return true;
    if (along == 0)
        return verdict_broken(r->v, "R1", HANDLE "no way from ring %" PRIu64 " to %" PRIu64, OF(r),
                              r->ring.seq, to.seq);
    if (r->down & along || (r->joined && there & ~along & ~r->up))
        return verdict_broken(r->v, "V10",
                              HANDLE "down %" PRIx64 ", up %" PRIx64 ", there %" PRIx64
                                     ", and %" PRIx64 " came along",
                              OF(r), r->down, r->up, there, along);
    if (r->up & along)
        return verdict_broken(r->v, "V10", HANDLE "nodes %" PRIx64 " came along and come up", OF(r),
                              r->up & along);
    return true;
}

static bool ring_alone(struct reader *r, const struct hist_ring *ring, uint64_t *nodes)
{
    const uint32_t *node = r->h->nodes.at + ring->node;
    for (uint32_t i = 0; i < ring->member_count; i++) {
        if (bit(node[i]) == 0 || (i > 0 && node[i] <= node[i - 1]))
            return verdict_broken(r->v, "R4", HANDLE "nodes of a ring do not ascend", OF(r));
        *nodes |= bit(node[i]);
    }
    if (!(*nodes & bit(r->handle->node)) || ring->id.rep != node[0])
        return verdict_broken(r->v, "R4", HANDLE "ring %" PRIu64 ".%u has nodes %" PRIx64, OF(r),
                              ring->id.seq, ring->id.rep, *nodes);
    return true;
}

static bool on_ring(struct reader *r, const struct hist_event *event)
{
    const struct hist_ring *ring = &r->h->rings.at[event->index];
    bool first = event->flags & HIST_FIRST_RING;
    uint64_t nodes = 0;
    if (!r->handle->wants_rings || first != r->first_ring_next)
        return verdict_broken(r->v, "R3", HANDLE "a ring event out of place", OF(r));
    if (!ring_alone(r, ring, &nodes))
        return false;
    if (first && r->ring.seq && !ring_id_equal(r->ring, ring->id))
        return verdict_broken(r->v, "R3", HANDLE "first told of ring %" PRIu64 ", in %" PRIu64,
                              OF(r), ring->id.seq, r->ring.seq);
    if (!first && ring->id.seq <= r->ring.seq)
        return verdict_broken(r->v, "R4", HANDLE "ring %" PRIu64 " after %" PRIu64, OF(r),
                              ring->id.seq, r->ring.seq);
    if (!first && !nodes_are_right(r, ring->id, nodes))
        return false;
    r->first_ring_next = false;
    r->ring = ring->id;
    r->down = r->up = 0;
    return true;
}

/* R2: between the views of a change and its ring event there is nothing. */
static bool on_message(struct reader *r)
{
    if ((r->down | r->up) && r->handle->wants_rings)
        return verdict_broken(r->v, "R2", HANDLE "a message before the ring event", OF(r));
    return true;
}

static bool read_handle(struct reader *r)
{
    for (uint32_t i = 0; i < r->handle->log.count; i++) {
        const struct hist_event *event = &r->handle->log.at[i];
        if (r->first_ring_next && event->kind != HIST_RING)
            return verdict_broken(r->v, "R3", HANDLE "no ring event after its first join", OF(r));
        bool good = event->kind == HIST_VIEW   ? on_view(r, event)
                    : event->kind == HIST_RING ? on_ring(r, event)
                                               : on_message(r);
        if (!good)
            return false;
    }
    return true;
}

/* What was told and what is true, at the end. */
static bool truth(struct reader *r)
{
    if (!r->h->settled || r->handle->ended)
        return true;
    if ((r->down | r->up) && r->handle->wants_rings)
        return verdict_broken(r->v, "R2", HANDLE "no ring event after views of nodes", OF(r));
    uint32_t count = 0, own = HIST_NOBODY;
    for (uint32_t i = 0; i < r->h->members.count; i++) {
        const struct hist_member *m = &r->h->members.at[i];
        if (m->handle == r->handle->index && m->end == HIST_STAYS)
            own = i;
    }
    if ((own != HIST_NOBODY) != r->joined || (r->joined && own != r->own))
        return verdict_broken(r->v, "V4", HANDLE "joined as %d, and it wants %d", OF(r),
                              r->joined ? (int)r->own : -1, (int)own);
    for (uint32_t i = 0; r->joined && i < r->h->members.count; i++) {
        const struct hist_member *m = &r->h->members.at[i];
        if (m->end != HIST_STAYS || m->group != r->h->members.at[own].group)
            continue;
        struct chan_address who = { m->node, m->pid, 0 };
        count++;
        if (!has(r->members.at, r->members.count, &who))
            return verdict_broken(r->v, "V8", HANDLE "%u/%u is missing at the end", OF(r), m->node,
                                  m->pid);
    }
    if (r->joined && count != r->members.count)
        return verdict_broken(r->v, "V8", HANDLE "%u members at the end, and there are %u", OF(r),
                              r->members.count, count);
    return true;
}

bool check_views(const struct history *h, struct verdict *v)
{
    bool good = true;
    for (uint32_t i = 0; good && i < h->handles.count; i++) {
        struct reader r = { .h = h, .handle = &h->handles.at[i], .v = v, .own = HIST_NOBODY };
        good = read_handle(&r) && truth(&r);
        free(r.members.at);
    }
    return good;
}
