/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef DAEMON_GROUPS_H
#define DAEMON_GROUPS_H

/*
 * groups.h - the CPG state machine: which process is in which group, the same on every node.
 *
 * A port names a handle on its node while it is in one group: the client's slot in the low bits,
 * so that the table (node, port) -> member is an index, and a generation above, so that a message
 * of an earlier membership finds nobody.
 *
 * Knows:      nodes, ports, members, groups, the exchange of members after a configuration, views.
 * Knows not:  queues, frames, clients but for an opaque pointer it was given.
 * Invariants: G1  what the tables say is a function of what was ordered
 *             G2  a node's slot has one member at most, a group one member a (node, process)
 *             G3  a group's members are ascending by (node, pid)
 *             G4  a group exists exactly while it has members, or an exchange is to bring some
 * Memory:     joins and configuration changes may allocate; lookups never do. A node without
 *             memory for an ordered join stops: the others would go on with other tables.
 * Thread:     poll core.
 */

#include "core.h"
#include "gwire.h"
#include "synchrotron/types.h"

enum {
    PORT_SLOT_BITS = 12,
    PORT_SLOTS = 1 << PORT_SLOT_BITS, /* the most clients of a daemon */
    PORT_GENERATION_MAX = (1 << 12) - 1,
    GROUPS_BUCKETS = 1024,
};

static inline uint32_t port_slot(uint32_t port)
{
    return port & (PORT_SLOTS - 1);
}

static inline uint32_t port_make(uint32_t slot, uint32_t generation)
{
    return generation << PORT_SLOT_BITS | slot;
}

/* Groups that a change of nodes touches. */
enum groups_list { GROUPS_LOSE, GROUPS_GAIN, GROUPS_LISTS };

struct client;

struct member {
    struct group *group;
    uint32_t port;
    uint32_t node_id, pid;
    bool going;           /* being taken out together with others */
    bool coming;          /* being put in together with others */
    struct client *local; /* ours, and it listens; else NULL */
    struct member *next;  /* free, or staged by the exchange */
};

struct group {
    struct core_name name;
    struct member **member; /* ascending: G3 */
    uint32_t member_count, member_room;
    struct client **local; /* members here, in no order */
    uint32_t local_count, local_room;
    struct group *next; /* same bucket */
    struct {
        struct group *next;
        bool in;
    } listed[GROUPS_LISTS];
};

/* One view of one group: the members are those of the group, left is gone from them already. */
struct groups_view {
    const struct group *group;
    const struct chan_address *left, *joined; /* ascending */
    uint32_t left_count, joined_count;
    struct client *begins, *ends; /* whose own membership it begins, or ends; NULL: nobody's here */
};

struct groups_ops {
    /* Our own join is ordered: its client, or NULL when that is gone. */
    struct client *(*joined)(void *context, uint32_t port);
    /* Our own leave is ordered, or a join of ours was refused by all. */
    void (*left)(void *context, uint32_t port, bool refused);
    /* To every client in view->group->local. */
    void (*view)(void *context, const struct groups_view *view);
    /* A configuration is complete: tell everybody, then open the gate. */
    void (*complete)(void *context, struct ring_id ring_id, const uint32_t *members, int count);
};

struct groups_node {
    uint32_t node_id;
    uint32_t slot_room;   /* of port[] */
    struct member **port; /* by slot */
    uint32_t member_count;
    /* The exchange: */
    bool along;    /* in every configuration with us since the last complete one */
    bool present;  /* in the new configuration */
    bool complete; /* its SYNC is here, whole */
    uint32_t parts;
    uint32_t staged_count; /* no more than it can have slots */
    struct member *staged;
};

struct groups_exchange {
    bool open;      /* between a regular configuration and its completion */
    bool changing;  /* between the first transitional one and completion */
    bool ever;      /* one was completed, and told */
    bool damaged;   /* what somebody said is not to be used: it will not be completed */
    uint32_t parts; /* had so far: grows for ever, and while it gets on */
    bool sending;   /* our own SYNC has parts left */
    uint32_t part;  /* next one of ours */
    uint32_t slot;  /* where it goes on */
    struct ring_id ring_id;
    uint32_t member[NODE_COUNT_MAX];
    int member_count;
    uint32_t missing; /* nodes whose SYNC is not whole */
};

struct groups {
    uint32_t node_id;
    const struct groups_ops *ops;
    void *context;
    struct groups_node node[NODE_COUNT_MAX]; /* ascending */
    int node_count;
    struct groups_node *own;
    struct group *bucket[GROUPS_BUCKETS];
    uint32_t group_count, process_count;
    struct groups_exchange exchange;
    struct ring_id ring_id; /* the last complete configuration, and who is in it */
    uint32_t ring_member[NODE_COUNT_MAX];
    int ring_member_count;
    struct member *free; /* member records, grown in chunks */
    void *chunks;
    struct group *listed[GROUPS_LISTS];
    struct chan_address *scratch;
    uint32_t scratch_room;
    uint64_t malformed, diverged;
};

/* nodes ascending, ours among them. Errors: -ENOMEM */
int groups_create(struct groups *g, uint32_t node_id, const uint32_t *nodes, int node_count,
                  const struct groups_ops *ops, void *context);
void groups_destroy(struct groups *g);

/* Who a node is; NULL: none of ours. */
struct groups_node *groups_node(struct groups *g, uint32_t node_id);

/* Whose port it is now; NULL: nobody's. */
static inline struct member *groups_member(const struct groups_node *node, uint32_t port)
{
    uint32_t slot = port_slot(port);
    if (slot >= node->slot_room)
        return NULL;
    struct member *member = node->port[slot];
    return member && member->port == port ? member : NULL;
}

/* NULL: it has no members. */
struct group *groups_find(const struct groups *g, const struct core_name *name);
/* The member (our node, pid) of a group, or NULL. */
struct member *groups_find_own(const struct groups *g, const struct core_name *name, uint32_t pid);

/* A control message in its place in the order. What makes no sense is counted and ignored. */
void groups_control(struct groups *g, struct groups_node *sender, uint32_t port,
                    const uint8_t *data, uint32_t bytes);

/* Our own client stops listening: no more views or messages for it. */
void groups_forget(struct groups *g, uint32_t port);

/* Configurations of the ring, as delivered. */
void groups_transitional(struct groups *g, const uint32_t *members, int count);
void groups_regular(struct groups *g, struct ring_id ring_id, const uint32_t *members, int count);

/* The next part of our own SYNC, GWIRE_PART_BYTES at most; 0: none is due. */
uint32_t groups_sync_part(struct groups *g, uint8_t *to);

/* What CORE_MEMBERS and CORE_ITERATE answer; type is a cpg_iteration_type_t. -ENOMEM */
void groups_members(const struct groups *g, const struct core_name *name, struct ctl_members *out);
int groups_iterate(const struct groups *g, uint32_t type, const struct core_name *name,
                   struct ctl_iteration_entry *entries, uint32_t room, uint32_t *count);

/* G2 to G4 over all tables; aborts when one is broken. */
void groups_check(const struct groups *g);

/* Between groups.c, sync.c and views.c: */
struct member *groups_member_new(struct groups *g, uint32_t node_id, uint32_t port, uint32_t pid);
void groups_member_free(struct groups *g, struct member *member);
struct group *groups_find_or_make(struct groups *g, const struct core_name *name);
bool groups_insert(struct groups *g, struct groups_node *node, struct member *member,
                   struct group *group);
void groups_take_out(struct groups *g, struct groups_node *node, struct member *member);
void groups_drop_if_empty(struct groups *g, struct group *group);
void groups_tell(struct groups *g, struct groups_view *view);
void groups_sync_arrived(struct groups *g, struct groups_node *sender,
                         struct gwire_message *message);

#endif
