/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * sync.c - the exchange of members after a configuration, and the views that come of it.
 *
 * Each node says once which processes it has. With all of that here, nodes that did not come along
 * with us are taken out and, where they are in the configuration, put in again as they say they
 * are: one NODEDOWN and one NODEUP view a group. Who came along needs no telling, since it ordered
 * what we ordered; what it says is compared and a difference counted.
 *
 * Who gets a SYNC damaged cannot go on, and the others have: so it asks for another ring of the
 * same nodes, on which all say again what they have.
 */
#include "groups.h"

#include <string.h>

static struct chan_address *scratch(struct groups *g, uint32_t count)
{
    if (count > g->scratch_room) {
        g->scratch = realloc(g->scratch, count * sizeof(*g->scratch));
        INVARIANT(g->scratch);
        g->scratch_room = count;
    }
    return g->scratch;
}

static void list_add(struct groups *g, struct group *group, enum groups_list list)
{
    if (group->listed[list].in)
        return;
    group->listed[list].in = true;
    group->listed[list].next = g->listed[list];
    g->listed[list] = group;
}

static struct group *list_take(struct groups *g, enum groups_list list)
{
    struct group *group = g->listed[list];
    if (group) {
        g->listed[list] = group->listed[list].next;
        group->listed[list].in = false;
    }
    return group;
}

/* Members that go leave the list, and one view says so. */
static void lose_members(struct groups *g, struct group *group)
{
    struct chan_address *left = scratch(g, group->member_count);
    uint32_t left_count = 0, kept = 0;
    for (uint32_t i = 0; i < group->member_count; i++) {
        struct member *member = group->member[i];
        if (!member->going) {
            group->member[kept++] = member;
            continue;
        }
        left[left_count++] = (struct chan_address){ member->node_id, member->pid, REASON_NODEDOWN };
        groups_member_free(g, member);
    }
    group->member_count = kept;
    g->process_count -= left_count;
    groups_tell(g, &(struct groups_view){ .group = group, .left = left, .left_count = left_count });
}

/* Everybody of the nodes that did not come along: one view a group. */
static void lose_nodes(struct groups *g)
{
    for (int n = 0; n < g->node_count; n++) {
        struct groups_node *node = &g->node[n];
        for (uint32_t slot = 0; !node->along && slot < node->slot_room; slot++) {
            struct member *member = node->port[slot];
            if (!member)
                continue;
            member->going = true;
            list_add(g, member->group, GROUPS_LOSE);
            node->port[slot] = NULL;
            node->member_count--;
        }
    }
    for (struct group *group; (group = list_take(g, GROUPS_LOSE));) {
        lose_members(g, group);
        groups_drop_if_empty(g, group);
    }
}

static void gain_members(struct groups *g, struct group *group)
{
    struct chan_address *joined = scratch(g, group->member_count);
    uint32_t joined_count = 0;
    for (uint32_t i = 0; i < group->member_count; i++) {
        struct member *member = group->member[i];
        if (!member->coming)
            continue;
        member->coming = false;
        joined[joined_count++] =
            (struct chan_address){ member->node_id, member->pid, REASON_NODEUP };
    }
    if (joined_count > 0) /* none: what was said of it made no sense */
        groups_tell(g, &(struct groups_view){
                           .group = group, .joined = joined, .joined_count = joined_count });
}

/* What nodes that did not come along say they have: one view a group. */
static void gain_nodes(struct groups *g)
{
    for (int n = 0; n < g->node_count; n++) {
        struct groups_node *node = &g->node[n];
        while (node->staged) {
            struct member *member = node->staged;
            node->staged = member->next;
            if (!groups_insert(g, node, member, member->group)) {
                g->malformed++;
                groups_member_free(g, member);
            } else {
                member->coming = true;
            }
        }
    }
    for (struct group *group; (group = list_take(g, GROUPS_GAIN));) {
        if (group->member_count > 0)
            gain_members(g, group);
        groups_drop_if_empty(g, group);
    }
}

static void unstage(struct groups *g)
{
    for (int n = 0; n < g->node_count; n++) {
        while (g->node[n].staged) {
            struct member *member = g->node[n].staged;
            g->node[n].staged = member->next;
            groups_member_free(g, member);
        }
    }
    for (struct group *group; (group = list_take(g, GROUPS_GAIN));)
        groups_drop_if_empty(g, group);
}

static void mark_present(struct groups *g, const uint32_t *members, int count)
{
    for (int n = 0; n < g->node_count; n++)
        g->node[n].present = false;
    for (int i = 0; i < count; i++) {
        struct groups_node *node = groups_node(g, members[i]);
        if (node)
            node->present = true;
    }
}

/* Losses add up until an exchange is complete; one that was under way will not be. */
void groups_transitional(struct groups *g, const uint32_t *members, int count)
{
    g->exchange.open = false;
    g->exchange.changing = true;
    g->exchange.sending = false;
    unstage(g);
    mark_present(g, members, count);
    for (int n = 0; n < g->node_count; n++)
        g->node[n].along = g->node[n].along && g->node[n].present;
    INVARIANT(g->own->along);
}

void groups_regular(struct groups *g, struct ring_id ring_id, const uint32_t *members, int count)
{
    struct groups_exchange *exchange = &g->exchange;
    unstage(g);
    mark_present(g, members, count);
    INVARIANT(g->own->present);
    exchange->open = true;
    exchange->damaged = false;
    exchange->changing = true;
    exchange->sending = true;
    exchange->part = 0;
    exchange->slot = 0;
    exchange->ring_id = ring_id;
    exchange->member_count = count;
    exchange->missing = 0;
    memcpy(exchange->member, members, (size_t)count * sizeof(*members));
    for (int n = 0; n < g->node_count; n++) {
        struct groups_node *node = &g->node[n];
        /* Who left without a transitional configuration between is gone too. */
        node->along = node->along && node->present;
        node->parts = 0;
        node->staged_count = 0;
        node->complete = !node->present;
        exchange->missing += node->present;
    }
}

uint32_t groups_sync_part(struct groups *g, uint8_t *to)
{
    struct groups_exchange *exchange = &g->exchange;
    if (!exchange->sending)
        return 0;
    uint32_t bytes = gwire_put_sync(to, exchange->ring_id, exchange->part++);
    for (; exchange->slot < g->own->slot_room; exchange->slot++) {
        const struct member *member = g->own->port[exchange->slot];
        if (!member)
            continue;
        if (bytes + GWIRE_ENTRY_BYTES_MAX > GWIRE_PART_BYTES) {
            gwire_end_part(to, bytes, false);
            return bytes;
        }
        bytes += gwire_put_entry(to + bytes, member->port, member->pid, &member->group->name);
    }
    gwire_end_part(to, bytes, true);
    exchange->sending = false;
    return bytes;
}

static void complete(struct groups *g)
{
    struct groups_exchange *exchange = &g->exchange;
    exchange->open = false;
    exchange->changing = false;
    lose_nodes(g);
    gain_nodes(g);
    for (int n = 0; n < g->node_count; n++)
        g->node[n].along = g->node[n].present;
    g->ring_id = exchange->ring_id;
    g->ring_member_count = exchange->member_count;
    memcpy(g->ring_member, exchange->member, sizeof(g->ring_member));
    g->ops->complete(g->context, g->ring_id, g->ring_member, g->ring_member_count);
    exchange->ever = true;
}

static void stage(struct groups *g, struct groups_node *node, const struct gwire_entry *entry)
{
    if (node->staged_count == PORT_SLOTS) {
        g->malformed++; /* a SYNC without end must not cost memory without end */
        return;
    }
    node->staged_count++;
    struct member *member = groups_member_new(g, node->node_id, entry->port, entry->pid);
    member->group = groups_find_or_make(g, &entry->name);
    list_add(g, member->group, GROUPS_GAIN);
    member->next = node->staged;
    node->staged = member;
}

static void compare(struct groups *g, const struct groups_node *node,
                    const struct gwire_entry *entry)
{
    const struct member *member = groups_member(node, entry->port);
    if (!member || member->pid != entry->pid || groups_find(g, &entry->name) != member->group)
        g->diverged++;
}

void groups_sync_arrived(struct groups *g, struct groups_node *sender,
                         struct gwire_message *message)
{
    struct groups_exchange *exchange = &g->exchange;
    if (!exchange->open || !ring_id_equal(message->ring_id, exchange->ring_id))
        return; /* of an exchange that will not be completed */
    if (!sender->present || sender->complete || message->part != sender->parts) {
        g->malformed++;
        exchange->damaged |= sender->present && !sender->complete;
        return;
    }
    sender->parts++;
    exchange->parts++;
    struct gwire_entry entry;
    int more;
    while ((more = gwire_entry_next(message, &entry)) > 0) {
        if (sender->along)
            compare(g, sender, &entry);
        else
            stage(g, sender, &entry);
    }
    if (more < 0)
        g->malformed++; /* all see the same bytes and stop at the same entry */
    if (!message->last)
        return;
    sender->complete = true;
    if (--exchange->missing == 0)
        complete(g);
}
