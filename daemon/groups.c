/* SPDX-License-Identifier: BSD-3-Clause */
#include "groups.h"

#include <errno.h>
#include <string.h>

enum { CHUNK_MEMBERS = 256, SLOTS_LEAST = 64, LIST_LEAST = 4 };

struct chunk {
    void *next;
    struct member member[CHUNK_MEMBERS];
};

static void grow_members(struct groups *g)
{
    struct chunk *chunk = calloc(1, sizeof(*chunk));
    INVARIANT(chunk); /* see Memory in groups.h */
    chunk->next = g->chunks;
    g->chunks = chunk;
    for (int i = CHUNK_MEMBERS - 1; i >= 0; i--) {
        chunk->member[i].next = g->free;
        g->free = &chunk->member[i];
    }
}

/* Room for one more entry in a list that doubles. */
static void *grown(void *list, uint32_t *room, uint32_t used, size_t entry_bytes)
{
    if (used < *room)
        return list;
    *room = *room ? *room * 2 : LIST_LEAST;
    list = realloc(list, *room * entry_bytes);
    INVARIANT(list);
    return list;
}

int groups_create(struct groups *g, uint32_t node_id, const uint32_t *nodes, int node_count,
                  const struct groups_ops *ops, void *context)
{
    *g = (struct groups){ .node_id = node_id, .ops = ops, .context = context };
    INVARIANT(node_count > 0 && node_count <= NODE_COUNT_MAX);
    for (int i = 0; i < node_count; i++)
        g->node[i].node_id = nodes[i];
    g->node_count = node_count;
    g->own = groups_node(g, node_id);
    INVARIANT(g->own);
    g->own->along = true;
    grow_members(g);
    return 0;
}

void groups_destroy(struct groups *g)
{
    for (int i = 0; i < GROUPS_BUCKETS; i++) {
        for (struct group *group = g->bucket[i], *next; group; group = next) {
            next = group->next;
            free(group->member);
            free(group->local);
            free(group);
        }
    }
    for (int i = 0; i < g->node_count; i++)
        free(g->node[i].port);
    for (struct chunk *chunk = g->chunks, *next; chunk; chunk = next) {
        next = chunk->next;
        free(chunk);
    }
    free(g->scratch);
    *g = (struct groups){ 0 };
}

struct groups_node *groups_node(struct groups *g, uint32_t node_id)
{
    int low = 0, high = g->node_count;
    while (low < high) {
        int middle = (low + high) / 2;
        if (g->node[middle].node_id < node_id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < g->node_count && g->node[low].node_id == node_id ? &g->node[low] : NULL;
}

/* FNV-1a */
static uint32_t bucket_of(const struct core_name *name)
{
    uint32_t hash = 2166136261u;
    for (uint32_t i = 0; i < name->bytes; i++)
        hash = (hash ^ name->value[i]) * 16777619u;
    return hash % GROUPS_BUCKETS;
}

/* N1: names are bytes and a length. */
static bool name_equal(const struct core_name *a, const struct core_name *b)
{
    return a->bytes == b->bytes && memcmp(a->value, b->value, a->bytes) == 0;
}

struct group *groups_find(const struct groups *g, const struct core_name *name)
{
    struct group *group = g->bucket[bucket_of(name)];
    while (group && !name_equal(&group->name, name))
        group = group->next;
    return group;
}

struct group *groups_find_or_make(struct groups *g, const struct core_name *name)
{
    struct group *group = groups_find(g, name);
    if (group)
        return group;
    group = calloc(1, sizeof(*group));
    INVARIANT(group);
    group->name.bytes = name->bytes;
    memcpy(group->name.value, name->value, name->bytes);
    struct group **bucket = &g->bucket[bucket_of(name)];
    group->next = *bucket;
    *bucket = group;
    g->group_count++;
    return group;
}

void groups_drop_if_empty(struct groups *g, struct group *group)
{
    if (group->member_count > 0 || group->listed[GROUPS_LOSE].in || group->listed[GROUPS_GAIN].in)
        return;
    struct group **link = &g->bucket[bucket_of(&group->name)];
    while (*link != group)
        link = &(*link)->next;
    *link = group->next;
    g->group_count--;
    free(group->member);
    free(group->local);
    free(group);
}

struct member *groups_member_new(struct groups *g, uint32_t node_id, uint32_t port, uint32_t pid)
{
    if (!g->free)
        grow_members(g);
    struct member *member = g->free;
    g->free = member->next;
    *member = (struct member){ .node_id = node_id, .port = port, .pid = pid };
    return member;
}

void groups_member_free(struct groups *g, struct member *member)
{
    member->group = NULL;
    member->next = g->free;
    g->free = member;
}

/* The first place whose member is not less. */
static uint32_t place_of(const struct group *group, uint32_t node_id, uint32_t pid)
{
    uint32_t low = 0, high = group->member_count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        const struct member *member = group->member[middle];
        if (member->node_id < node_id || (member->node_id == node_id && member->pid < pid))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool is_at(const struct group *group, uint32_t at, uint32_t node_id, uint32_t pid)
{
    return at < group->member_count && group->member[at]->node_id == node_id &&
           group->member[at]->pid == pid;
}

struct member *groups_find_own(const struct groups *g, const struct core_name *name, uint32_t pid)
{
    const struct group *group = groups_find(g, name);
    if (!group)
        return NULL;
    uint32_t at = place_of(group, g->node_id, pid);
    return is_at(group, at, g->node_id, pid) ? group->member[at] : NULL;
}

/* False, and nothing done, when G2 would break. */
bool groups_insert(struct groups *g, struct groups_node *node, struct member *member,
                   struct group *group)
{
    uint32_t slot = port_slot(member->port);
    uint32_t at = place_of(group, member->node_id, member->pid);
    if ((slot < node->slot_room && node->port[slot]) ||
        is_at(group, at, member->node_id, member->pid))
        return false;
    if (slot >= node->slot_room) {
        uint32_t room = node->slot_room ? node->slot_room : SLOTS_LEAST;
        while (room <= slot)
            room *= 2;
        node->port = realloc(node->port, room * sizeof(struct member *));
        INVARIANT(node->port);
        memset(node->port + node->slot_room, 0, (room - node->slot_room) * sizeof(struct member *));
        node->slot_room = room;
    }
    node->port[slot] = member;
    node->member_count++;
    group->member =
        grown(group->member, &group->member_room, group->member_count, sizeof(struct member *));
    memmove(group->member + at + 1, group->member + at,
            (group->member_count - at) * sizeof(struct member *));
    group->member[at] = member;
    group->member_count++;
    member->group = group;
    g->process_count++;
    return true;
}

static void local_add(struct member *member, struct client *local)
{
    struct group *group = member->group;
    group->local =
        grown(group->local, &group->local_room, group->local_count, sizeof(struct client *));
    group->local[group->local_count++] = local;
    member->local = local;
}

static void local_remove(struct member *member)
{
    struct group *group = member->group;
    if (!member->local)
        return;
    uint32_t i = 0;
    while (group->local[i] != member->local)
        i++;
    group->local[i] = group->local[--group->local_count];
    member->local = NULL;
}

/* Out of its node's and its group's table; the record and an empty group stay. */
void groups_take_out(struct groups *g, struct groups_node *node, struct member *member)
{
    struct group *group = member->group;
    uint32_t at = place_of(group, member->node_id, member->pid);
    INVARIANT(group->member[at] == member); /* G2, G3 */
    memmove(group->member + at, group->member + at + 1,
            (group->member_count - at - 1) * sizeof(struct member *));
    group->member_count--;
    node->port[port_slot(member->port)] = NULL;
    node->member_count--;
    g->process_count--;
}

void groups_tell(struct groups *g, struct groups_view *view)
{
    if (view->group->local_count > 0)
        g->ops->view(g->context, view);
}

static void ordered_join(struct groups *g, struct groups_node *node, uint32_t port,
                         const struct gwire_message *message)
{
    struct group *group = groups_find_or_make(g, &message->name);
    struct member *member = groups_member_new(g, node->node_id, port, message->pid);
    if (port == 0 || !groups_insert(g, node, member, group)) {
        groups_member_free(g, member);
        groups_drop_if_empty(g, group);
        g->malformed++;
        if (node == g->own)
            g->ops->left(g->context, port, true);
        return;
    }
    struct client *local = node == g->own ? g->ops->joined(g->context, port) : NULL;
    if (local)
        local_add(member, local);
    struct chan_address who = { member->node_id, member->pid, REASON_JOIN };
    groups_tell(g, &(struct groups_view){
                       .group = group, .joined = &who, .joined_count = 1, .begins = local });
}

/* The one who goes sees its own LEAVE view, as the last of its membership (X7). */
static void ordered_leave(struct groups *g, struct groups_node *node, uint32_t port,
                          enum leave_reason reason)
{
    struct member *member = groups_member(node, port);
    if (!member) {
        /* A leave after a join that all refused; or nonsense. */
        g->malformed++;
        if (node == g->own)
            g->ops->left(g->context, port, false);
        return;
    }
    struct group *group = member->group;
    groups_take_out(g, node, member);
    struct chan_address who = { member->node_id, member->pid, reason };
    groups_tell(g, &(struct groups_view){
                       .group = group, .left = &who, .left_count = 1, .ends = member->local });
    local_remove(member);
    groups_member_free(g, member);
    groups_drop_if_empty(g, group);
    if (node == g->own)
        g->ops->left(g->context, port, false);
}

void groups_control(struct groups *g, struct groups_node *sender, uint32_t port,
                    const uint8_t *data, uint32_t bytes)
{
    struct gwire_message message;
    if (gwire_get(&message, data, bytes) != 0) {
        g->malformed++;
        g->exchange.damaged |= g->exchange.open && sender->present && !sender->complete;
        return;
    }
    switch (message.type) {
    case GWIRE_JOIN:
        ordered_join(g, sender, port, &message);
        break;
    case GWIRE_LEAVE:
        ordered_leave(g, sender, port, message.reason);
        break;
    case GWIRE_SYNC:
        groups_sync_arrived(g, sender, &message);
        break;
    }
}

void groups_forget(struct groups *g, uint32_t port)
{
    struct member *member = groups_member(g->own, port);
    if (member)
        local_remove(member);
}

void groups_check(const struct groups *g)
{
    uint32_t in_groups = 0, in_nodes = 0, groups = 0;
    for (int b = 0; b < GROUPS_BUCKETS; b++) {
        for (const struct group *group = g->bucket[b]; group; group = group->next) {
            INVARIANT(group->member_count > 0 || group->listed[GROUPS_GAIN].in); /* G4 */
            groups++;
            in_groups += group->member_count;
            uint32_t locals = 0;
            for (uint32_t i = 0; i < group->member_count; i++) {
                const struct member *member = group->member[i];
                INVARIANT(member->group == group);
                INVARIANT(place_of(group, member->node_id, member->pid) == i); /* G2, G3 */
                locals += member->local != NULL;
            }
            INVARIANT(locals == group->local_count);
        }
    }
    for (int n = 0; n < g->node_count; n++) {
        uint32_t staged = 0;
        for (const struct member *member = g->node[n].staged; member; member = member->next)
            staged++;
        INVARIANT(!g->exchange.open || staged == g->node[n].staged_count);
        for (uint32_t slot = 0; slot < g->node[n].slot_room; slot++) {
            const struct member *member = g->node[n].port[slot];
            INVARIANT(!member ||
                      (member->node_id == g->node[n].node_id && port_slot(member->port) == slot));
            in_nodes += member != NULL;
        }
    }
    INVARIANT(in_groups == in_nodes && in_groups == g->process_count && groups == g->group_count);
}
