/* SPDX-License-Identifier: BSD-3-Clause */
#include "ask.h"

#include <inttypes.h>
#include <string.h>

#include "groups_names.h"

enum { ENTRIES_MAX = 1024, NAMES = 1, ONE_GROUP = 2, ALL = 3 }; /* cpg_iteration_type_t */

struct asked {
    const struct groups *groups;
    const struct history *h;
    struct verdict *v;
    struct ctl_iteration_entry entry[ENTRIES_MAX];
    struct core_status status;
};

static uint32_t members_in(const struct history *h, uint32_t group)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < h->members.count; i++) {
        const struct hist_member *m = &h->members.at[i];
        count += m->end == HIST_STAYS && (m->group == group || group == HIST_NOBODY);
    }
    return count;
}

static bool is_member(const struct history *h, uint32_t group, uint32_t node, uint32_t pid)
{
    for (uint32_t i = 0; i < h->members.count; i++) {
        const struct hist_member *m = &h->members.at[i];
        if (m->end == HIST_STAYS && m->group == group && m->node == node && m->pid == pid)
            return true;
    }
    return false;
}

static int order(const struct ctl_iteration_entry *a, const struct ctl_iteration_entry *b)
{
    int names = memcmp(a->name, b->name, min_u32(a->name_bytes, b->name_bytes));
    if (names || a->name_bytes != b->name_bytes)
        return names ? names : a->name_bytes < b->name_bytes ? -1 : 1;
    if (a->nodeid != b->nodeid)
        return a->nodeid < b->nodeid ? -1 : 1;
    return a->pid < b->pid ? -1 : a->pid > b->pid;
}

static bool iterate(struct asked *a, uint32_t type, uint32_t group, uint32_t expected)
{
    uint32_t count = 0;
    struct core_name name = group == HIST_NOBODY ? (struct core_name){ 0 } : group_name(group);
    int failed = groups_iterate(a->groups, type, &name, a->entry, ENTRIES_MAX, &count);
    if (failed || count != expected)
        return verdict_broken(a->v, "iteration", "node %u: %u entries of type %u, and there are %u",
                              a->groups->node_id, count, type, expected);
    for (uint32_t i = 0; i < count; i++) {
        const struct ctl_iteration_entry *e = &a->entry[i];
        if (i > 0 && order(&a->entry[i - 1], e) >= 0)
            return verdict_broken(a->v, "iteration", "node %u: entries of type %u do not ascend",
                                  a->groups->node_id, type);
        if (type != NAMES &&
            !is_member(a->h, group_named(e->name, e->name_bytes), e->nodeid, e->pid))
            return verdict_broken(a->v, "iteration", "node %u: %u/%u is no member",
                                  a->groups->node_id, e->nodeid, e->pid);
    }
    return true;
}

static bool one_group(struct asked *a, uint32_t group)
{
    struct ctl_members members;
    struct core_name name = group_name(group);
    uint32_t expected = members_in(a->h, group);
    groups_members(a->groups, &name, &members);
    bool good = members.count == expected;
    for (uint32_t i = 0; good && i < min_u32(members.count, CTL_MEMBERS_MAX); i++)
        good = is_member(a->h, group, members.entry[i].nodeid, members.entry[i].pid);
    if (!good)
        return verdict_broken(a->v, "membership", "node %u, group %u: %u members, and there are %u",
                              a->groups->node_id, group, members.count, expected);
    return iterate(a, ONE_GROUP, group, expected);
}

static bool one_node(struct asked *a, const struct core *core)
{
    uint32_t groups = 0;
    a->groups = &core->groups;
    for (uint32_t group = 0; group < HIST_GROUPS; group++) {
        groups += members_in(a->h, group) > 0;
        if (!one_group(a, group))
            return false;
    }
    if (a->groups->diverged + a->groups->malformed > 0)
        return verdict_broken(a->v, "G1", "node %u: %" PRIu64 " differences, %" PRIu64 " malformed",
                              a->groups->node_id, a->groups->diverged, a->groups->malformed);
    core_status_fill(core, &a->status);
    uint32_t all = members_in(a->h, HIST_NOBODY);
    if (a->status.group_count != groups || a->status.process_count != all)
        return verdict_broken(a->v, "status", "node %u: %u groups of %u processes, not %u of %u",
                              a->groups->node_id, a->status.group_count, a->status.process_count,
                              groups, all);
    return iterate(a, NAMES, HIST_NOBODY, groups) && iterate(a, ALL, HIST_NOBODY, all);
}

bool cores_answer(const struct world *w, const struct history *h, struct verdict *v)
{
    struct asked *a = calloc(1, sizeof(*a));
    bool good = true;
    INVARIANT(a);
    a->h = h;
    a->v = v;
    for (int i = 1; good && i <= w->count; i++)
        good = one_node(a, w->node[i].core);
    free(a);
    return good;
}
