/* SPDX-License-Identifier: BSD-3-Clause */
#include "episodes.h"

#include <string.h>

#include "gwire.h"

uint32_t history_whose(const struct history *h, uint32_t group, uint32_t node, uint32_t pid,
                       uint64_t until_ns)
{
    uint32_t found = HIST_NOBODY;
    for (uint32_t i = 0; i < h->members.count; i++) {
        const struct hist_member *m = &h->members.at[i];
        if (m->node != node || m->pid != pid || m->group != group || m->since_ns > until_ns)
            continue;
        if (found != HIST_NOBODY)
            return HIST_NOBODY;
        found = i;
    }
    return found;
}

static uint32_t own_group(const struct scene *s)
{
    return s->h->members.at[s->own].group;
}

static struct episode *find(const struct scene *s, uint32_t node, uint32_t pid)
{
    for (uint32_t i = 0; i < s->open.count; i++) {
        if (s->open.at[i].node == node && s->open.at[i].pid == pid)
            return &s->open.at[i];
    }
    return NULL;
}

static void open_episode(struct scene *s, const struct chan_address *who, bool from_its_join,
                         uint64_t at_ns)
{
    if (s->open.count == s->open.room) {
        s->open.room = s->open.room ? 2 * s->open.room : 16;
        s->open.at = realloc(s->open.at, s->open.room * sizeof(*s->open.at));
        INVARIANT(s->open.at);
    }
    s->open.at[s->open.count++] = (struct episode){
        .node = who->nodeid,
        .pid = who->pid,
        .member = history_whose(s->h, own_group(s), who->nodeid, who->pid, at_ns),
        .counts = from_its_join,
    };
}

#define WHO         "handle %u, group %u, member %u/%u: "
#define WHOSE(s, e) (s)->handle->index, own_group(s), (e)->node, (e)->pid

static bool is_what_was_sent(struct scene *s, const struct episode *e, uint32_t index,
                             struct payload_name name)
{
    const struct hist_event *event = &s->handle->log.at[index];
    const struct hist_member *m = &s->h->members.at[name.member];
    if (name.number >= m->sent.count || m->sent.at[name.number].bytes != event->bytes ||
        (event->flags & HIST_UNNAMED && !payload_is(event->start, name, event->bytes)))
        return verdict_broken(s->v, "D10", WHO "message %u.%u is not what was sent", WHOSE(s, e),
                              name.member, name.number);
    s->name[index] = name;
    return true;
}

/* Those that were too short to say so are whom they must be. */
static bool name_unsaid(struct scene *s, struct episode *e)
{
    uint32_t number = e->first;
    for (uint32_t i = e->from; e->unsaid > 0; i++) {
        const struct hist_event *event = &s->handle->log.at[i];
        if (event->kind != HIST_MESSAGE || event->node != e->node || event->pid != e->pid)
            continue;
        if (!is_what_was_sent(s, e, i, (struct payload_name){ e->member, number++ }))
            return false;
        e->unsaid--;
    }
    return true;
}

static bool known(const struct episode *e)
{
    return e->member != HIST_NOBODY && e->counts;
}

static bool says_who(struct scene *s, struct episode *e, const struct hist_event *event)
{
    const struct hist_member *m =
        event->member < s->h->members.count ? &s->h->members.at[event->member] : NULL;
    if (!m)
        return verdict_broken(s->v, "D10", WHO "a message of nobody", WHOSE(s, e));
    if (m->node != e->node || m->pid != e->pid || m->group != own_group(s))
        return verdict_broken(s->v, "D8", WHO "a message of %u/%u, group %u", WHOSE(s, e), m->node,
                              m->pid, m->group);
    if (e->member == HIST_NOBODY)
        e->member = event->member;
    if (e->member != event->member)
        return verdict_broken(s->v, "D8", WHO "a message of membership %u, not %u", WHOSE(s, e),
                              event->member, e->member);
    return true;
}

/* D2, D10: one after the other, none twice, none left out. */
static bool says_which(struct scene *s, struct episode *e, const struct hist_event *event)
{
    if (!e->counts) {
        e->first = event->number - e->count;
        e->counts = true;
        if (event->number < e->count || e->first < s->highest[e->member])
            return verdict_broken(s->v, "D10 again", WHO "%u after %u messages, had come up to %u",
                                  WHOSE(s, e), event->number, e->count, s->highest[e->member]);
    }
    uint32_t due = e->first + e->count;
    if (event->number != due)
        return verdict_broken(s->v, event->number < due ? "D2" : "D10 gap",
                              WHO "number %u, and %u was due", WHOSE(s, e), event->number, due);
    return true;
}

static bool heard(struct scene *s, struct episode *e, uint32_t index)
{
    const struct hist_event *event = &s->handle->log.at[index];
    if (!(event->flags & HIST_UNNAMED) &&
        (!says_who(s, e, event) || !says_which(s, e, event) || !name_unsaid(s, e)))
        return false;
    if (!known(e)) {
        e->from = e->unsaid++ ? e->from : index;
        e->count++;
        return true;
    }
    uint32_t number = e->first + e->count++;
    if (s->highest[e->member] <= number)
        s->highest[e->member] = number + 1;
    return is_what_was_sent(s, e, index, (struct payload_name){ e->member, number });
}

static bool on_message(struct scene *s, uint32_t index)
{
    const struct hist_event *event = &s->handle->log.at[index];
    if (s->own == HIST_NOBODY)
        return verdict_broken(s->v, "D8", "handle %u: a message of %u/%u, and it is in no group",
                              s->handle->index, event->node, event->pid);
    struct episode *e = find(s, event->node, event->pid);
    if (!e)
        return verdict_broken(s->v, "D8", "handle %u: a message of %u/%u, who is not in the view",
                              s->handle->index, event->node, event->pid);
    return heard(s, e, index);
}

/* D3, D6: whoever goes in good order has been heard to the end. */
static bool heard_to_the_end(struct scene *s, const struct episode *e, const char *rule)
{
    if (!known(e))
        return true;
    const struct hist_member *m = &s->h->members.at[e->member];
    if (e->first + e->count != m->sent.count)
        return verdict_broken(s->v, rule, WHO "%u messages from %u on came, of %u", WHOSE(s, e),
                              e->count, e->first, m->sent.count);
    return true;
}

static bool close_episode(struct scene *s, const struct chan_address *who)
{
    struct episode *e = find(s, who->nodeid, who->pid);
    if (!e)
        return verdict_broken(s->v, "V1", "handle %u: %u/%u goes and was not there",
                              s->handle->index, who->nodeid, who->pid);
    bool good = who->reason == REASON_NODEDOWN || heard_to_the_end(s, e, "D6");
    *e = s->open.at[--s->open.count];
    return good;
}

static bool begins(struct scene *s, const struct hist_view *view, uint64_t at_ns)
{
    const struct chan_address *a = history_addresses(s->h, view);
    s->own = history_nth_member(s->h, s->handle->index, s->joins++);
    s->open.count = 0;
    if (s->own == HIST_NOBODY)
        return verdict_broken(s->v, "V4", "handle %u: it never asked to join", s->handle->index);
    const struct hist_member *own = &s->h->members.at[s->own];
    const struct chan_address *who = a + view->member_count;
    if (view->joined_count != 1 || who->nodeid != own->node || who->pid != own->pid ||
        view->group != own->group)
        return verdict_broken(s->v, "V4", "handle %u: its own view is not of its own join",
                              s->handle->index);
    for (uint32_t i = 0; i < view->member_count; i++) {
        bool self = a[i].nodeid == own->node && a[i].pid == own->pid;
        open_episode(s, &a[i], self, at_ns);
        if (self)
            s->open.at[s->open.count - 1].member = s->own;
    }
    return true;
}

static bool on_view(struct scene *s, const struct hist_event *event)
{
    const struct hist_view *view = &s->h->views.at[event->index];
    const struct chan_address *a = history_addresses(s->h, view) + view->member_count;
    if (view->flags & CHAN_VIEW_OWN_JOIN)
        return s->own == HIST_NOBODY
                   ? begins(s, view, event->at_ns)
                   : verdict_broken(s->v, "V4", "handle %u: it joins and has joined",
                                    s->handle->index);
    if (s->own == HIST_NOBODY)
        return verdict_broken(s->v, "X7", "handle %u: a view, and it is in no group",
                              s->handle->index);
    for (uint32_t i = 0; i < view->left_count; i++, a++) {
        if (!close_episode(s, a))
            return false;
    }
    for (uint32_t i = 0; i < view->joined_count; i++, a++) {
        if (find(s, a->nodeid, a->pid))
            return verdict_broken(s->v, "V1", "handle %u: %u/%u comes and is there already",
                                  s->handle->index, a->nodeid, a->pid);
        open_episode(s, a, a->reason == REASON_JOIN, event->at_ns);
    }
    if (view->flags & CHAN_VIEW_OWN_LEAVE)
        s->own = HIST_NOBODY;
    return true;
}

/* E9: at the end, whoever is still there has been heard to the end. */
static bool all_came(struct scene *s)
{
    if (!s->h->settled || s->handle->ended || s->own == HIST_NOBODY)
        return true;
    for (uint32_t i = 0; i < s->open.count; i++) {
        if (!heard_to_the_end(s, &s->open.at[i], "E9"))
            return false;
    }
    return true;
}

static bool read_handle(struct scene *s)
{
    uint32_t count = s->handle->log.count;
    s->name = calloc(count + 1, sizeof(*s->name));
    INVARIANT(s->name);
    for (uint32_t i = 0; i < count; i++) {
        const struct hist_event *event = &s->handle->log.at[i];
        s->name[i].member = HIST_NOBODY;
        if (event->kind == HIST_MESSAGE && !on_message(s, i))
            return false;
        if (event->kind == HIST_VIEW && !on_view(s, event))
            return false;
    }
    return all_came(s);
}

bool names_read(const struct history *h, struct names *names, struct verdict *v)
{
    bool good = true;
    names->of = calloc(h->handles.count + 1, sizeof(*names->of));
    uint32_t *highest = calloc(h->members.count + 1, sizeof(*highest));
    INVARIANT(names->of && highest);
    for (uint32_t i = 0; good && i < h->handles.count; i++) {
        struct scene s = {
            .h = h, .handle = &h->handles.at[i], .v = v, .own = HIST_NOBODY, .highest = highest
        };
        memset(highest, 0, h->members.count * sizeof(*highest));
        good = read_handle(&s);
        names->of[i] = s.name;
        free(s.open.at);
    }
    free(highest);
    return good;
}

void names_free(const struct history *h, struct names *names)
{
    for (uint32_t i = 0; i < h->handles.count; i++)
        free(names->of[i]);
    free(names->of);
}
