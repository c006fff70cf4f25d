/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * groups_query.c - what the tables say to those who ask: membership and iteration.
 */
#include <errno.h>
#include <string.h>

#include "groups.h"

enum { ITERATE_NAMES = 1, ITERATE_GROUP = 2, ITERATE_ALL = 3 }; /* cpg_iteration_type_t */

void groups_members(const struct groups *g, const struct core_name *name, struct ctl_members *out)
{
    const struct group *group = groups_find(g, name);
    *out = (struct ctl_members){ .count = group ? group->member_count : 0 };
    for (uint32_t i = 0; i < min_u32(out->count, CTL_MEMBERS_MAX); i++)
        out->entry[i] = (struct chan_address){ .nodeid = group->member[i]->node_id,
                                               .pid = group->member[i]->pid };
}

/* Where an answer is written; counts on when there is no more room. */
struct iteration {
    struct ctl_iteration_entry *entries;
    uint32_t room, count;
};

static void put(struct iteration *it, const struct group *group, const struct member *member)
{
    if (it->count < it->room) {
        struct ctl_iteration_entry *entry = &it->entries[it->count];
        *entry = (struct ctl_iteration_entry){
            .name_bytes = group->name.bytes,
            .nodeid = member ? member->node_id : 0,
            .pid = member ? member->pid : 0,
        };
        memcpy(entry->name, group->name.value, group->name.bytes);
    }
    it->count++;
}

static void put_members(struct iteration *it, const struct group *group)
{
    for (uint32_t i = 0; i < group->member_count; i++)
        put(it, group, group->member[i]);
}

/* Bytes first, then length. */
static int by_name(const void *left, const void *right)
{
    const struct core_name *a = &(*(const struct group *const *)left)->name;
    const struct core_name *b = &(*(const struct group *const *)right)->name;
    int order = memcmp(a->value, b->value, min_u32(a->bytes, b->bytes));
    return order ? order : (a->bytes > b->bytes) - (a->bytes < b->bytes);
}

static const struct group **sorted(const struct groups *g)
{
    const struct group **list = malloc((g->group_count + 1) * sizeof(*list));
    uint32_t count = 0;
    for (int b = 0; list && b < GROUPS_BUCKETS; b++) {
        for (const struct group *group = g->bucket[b]; group; group = group->next) {
            if (group->member_count > 0)
                list[count++] = group;
        }
    }
    if (!list)
        return NULL;
    qsort(list, count, sizeof(*list), by_name);
    list[count] = NULL;
    return list;
}

int groups_iterate(const struct groups *g, uint32_t type, const struct core_name *name,
                   struct ctl_iteration_entry *entries, uint32_t room, uint32_t *count)
{
    struct iteration it = { .entries = entries, .room = room };
    *count = 0;
    if (type == ITERATE_GROUP) {
        const struct group *group = groups_find(g, name);
        if (group)
            put_members(&it, group);
    } else if (type == ITERATE_NAMES || type == ITERATE_ALL) {
        const struct group **list = sorted(g);
        if (!list)
            return -ENOMEM;
        for (int i = 0; list[i]; i++) {
            if (type == ITERATE_NAMES)
                put(&it, list[i], NULL);
            else
                put_members(&it, list[i]);
        }
        free(list);
    }
    *count = it.count;
    return 0;
}
