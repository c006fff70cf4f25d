/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * groups_fuzz.c - control messages that make no sense, in the order of a ring whose other nodes are
 * honest: nodes 1 to 3 have groups and clients, node 4 says anything.
 *
 * Claims:
 *   F1  what gwire_get() accepts is, written again, the same bytes
 *   F2  groups_check() holds after every step
 *   F3  a client's views follow from each other: members before, less who left, with who joined,
 *       are the members now; nothing changes in a group with clients but by a view
 *   F4  nodes that went through the same configurations have the same honest members (G1)
 */
#include "input.h"

#include "daemon/groups.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    HONEST = 3,
    LIAR = HONEST + 1,
    SLOTS = 8,    /* clients of an honest node */
    NAMES = 4,    /* groups they join */
    MEMBERS = 64, /* of a group that are looked at one by one */
    STEPS_MAX = 200,
    PID = 100,
};

static const uint32_t nodes[] = { 1, 2, 3, LIAR };

/* The members of a group as the views told. */
struct shadow {
    bool known;
    uint32_t count;
    struct chan_address member[MEMBERS];
};

struct replica {
    struct groups groups;
    uint32_t id;
    uint32_t together;                /* the configuration's nodes, one bit an id */
    uint32_t port[SLOTS], generation; /* port 0: not joined */
    bool deaf;                        /* its next client is gone before its join is ordered */
    struct shadow shadow[NAMES];
};

static struct {
    struct input in;
    struct replica replica[HONEST + 1]; /* by id */
    uint64_t ring_seq;
    uint32_t liar_parts; /* of its SYNC */
} world;

static struct core_name name_of(uint32_t index)
{
    static const char *const text[NAMES] = { "", "g", "g\0", "a longer name than the others" };
    struct core_name name = { .bytes = index == 2 ? 2 : (uint32_t)strlen(text[index]) };
    memcpy(name.value, text[index], name.bytes);
    return name;
}

static struct shadow *shadow_of(struct replica *r, const struct group *group)
{
    for (uint32_t i = 0; i < NAMES; i++) {
        struct core_name name = name_of(i);
        if (groups_find(&r->groups, &name) == group)
            return &r->shadow[i];
    }
    INVARIANT(!"a view of a group that no client joined");
    return NULL;
}

static bool listed(const struct chan_address *list, uint32_t count, const struct member *member)
{
    for (uint32_t i = 0; i < count; i++) {
        if (list[i].nodeid == member->node_id && list[i].pid == member->pid)
            return true;
    }
    return false;
}

static void learn(struct shadow *shadow, const struct group *group)
{
    shadow->known = group->member_count <= MEMBERS;
    shadow->count = shadow->known ? group->member_count : 0;
    for (uint32_t i = 0; i < shadow->count; i++)
        shadow->member[i] = (struct chan_address){ .nodeid = group->member[i]->node_id,
                                                   .pid = group->member[i]->pid };
}

/* F3 */
static void view(void *context, const struct groups_view *v)
{
    struct shadow *shadow = shadow_of(context, v->group);
    uint32_t kept = 0;
    INVARIANT((v->left_count > 0) != (v->joined_count > 0));
    for (uint32_t i = 0; i < v->group->member_count; i++) {
        const struct member *member = v->group->member[i];
        bool came = listed(v->joined, v->joined_count, member);
        INVARIANT(!listed(v->left, v->left_count, member));
        INVARIANT(!shadow->known || came != listed(shadow->member, shadow->count, member));
        kept += !came;
    }
    INVARIANT(!shadow->known || kept + v->left_count == shadow->count);
    INVARIANT(kept + v->joined_count == v->group->member_count);
    learn(shadow, v->group);
}

static struct client *joined(void *context, uint32_t port)
{
    struct replica *r = context;
    static char client[PORT_SLOTS];
    return r->deaf ? NULL : (struct client *)(void *)&client[port_slot(port)];
}

static void left(void *context, uint32_t port, bool refused)
{
    (void)context, (void)port;
    INVARIANT(!refused); /* honest joins are possible */
}

static void complete(void *context, struct ring_id ring_id, const uint32_t *members, int count)
{
    const struct replica *r = context;
    uint32_t set = 0;
    for (int i = 0; i < count; i++)
        set |= 1u << members[i];
    INVARIANT(set == r->together && ring_id.seq <= world.ring_seq);
}

static const struct groups_ops ops = {
    .joined = joined, .left = left, .view = view, .complete = complete
};

static void start(uint32_t id)
{
    struct replica *r = &world.replica[id];
    *r = (struct replica){ .id = id, .together = 1u << id };
    int failed = groups_create(&r->groups, id, nodes, ARRAY_COUNT(nodes), &ops, r);
    INVARIANT(!failed);
}

/* F1 */
static void write_again(const uint8_t *data, uint32_t bytes)
{
    uint8_t again[GWIRE_PART_BYTES];
    struct gwire_message message;
    struct gwire_entry entry;
    uint32_t count = 0;
    int more = 0;
    if (gwire_get(&message, data, bytes) != 0)
        return;
    switch (message.type) {
    case GWIRE_JOIN:
        count = gwire_put_join(again, message.pid, &message.name);
        break;
    case GWIRE_LEAVE:
        count = gwire_put_leave(again, message.reason);
        break;
    case GWIRE_SYNC:
        count = gwire_put_sync(again, message.ring_id, message.part);
        while ((more = gwire_entry_next(&message, &entry)) > 0)
            count += gwire_put_entry(again + count, entry.port, entry.pid, &entry.name);
        memcpy(again + count, data + count, bytes - count); /* what makes no sense */
        gwire_end_part(again, bytes, message.last);
        break;
    }
    INVARIANT(count == bytes || (more < 0 && count < bytes));
    INVARIANT(memcmp(again, data, count) == 0);
}

/* The bytes lie in memory of their own, so that each one read beyond is seen. */
static void order(uint32_t from, uint32_t port, const uint8_t *data, uint32_t bytes)
{
    uint8_t *exact = malloc(bytes > 0 ? bytes : 1);
    memcpy(exact, data, bytes);
    write_again(exact, bytes);
    for (uint32_t id = 1; id <= HONEST; id++) {
        struct replica *r = &world.replica[id];
        if (r->together >> from & 1)
            groups_control(&r->groups, groups_node(&r->groups, from), port, exact, bytes);
    }
    free(exact);
}

/* Only with an open gate, as their ring sees to. */
static void honest_client(void)
{
    uint8_t what = input_byte(&world.in);
    struct replica *r = &world.replica[1 + what % HONEST];
    uint32_t slot = (what >> 2) % SLOTS;
    uint8_t bytes[8 + CTL_NAME_BYTES];
    uint32_t port = r->port[slot];
    r->deaf = what >= 224;
    if (r->groups.exchange.open)
        return;
    if (port && what & 128 && groups_member(r->groups.own, port)->local) {
        groups_forget(&r->groups, port);
    } else if (port) {
        r->port[slot] = 0;
        order(r->id, port, bytes,
              gwire_put_leave(bytes, what & 64 ? REASON_LEAVE : REASON_PROCDOWN));
    } else {
        struct core_name name = name_of(input_below(&world.in, NAMES));
        r->port[slot] = port_make(slot, 1 + r->generation++ % PORT_GENERATION_MAX);
        order(r->id, r->port[slot], bytes, gwire_put_join(bytes, PID + slot, &name));
    }
}

static void honest_sync(void)
{
    uint8_t part[GWIRE_PART_BYTES];
    struct replica *r = &world.replica[1 + input_below(&world.in, HONEST)];
    uint32_t bytes = groups_sync_part(&r->groups, part);
    if (bytes > 0)
        order(r->id, 0, part, bytes);
}

static void lie_join(void)
{
    uint8_t bytes[8 + CTL_NAME_BYTES];
    uint8_t what = input_byte(&world.in);
    struct core_name name = name_of(what % NAMES);
    uint32_t port = (uint32_t)input_value(&world.in, port_make(what >> 2, 1)) & GWIRE_PORT_MAX;
    if (what & 128)
        order(LIAR, port, bytes, gwire_put_join(bytes, PID + (what >> 2) % SLOTS, &name));
    else
        order(LIAR, port, bytes, gwire_put_leave(bytes, REASON_LEAVE + what % 4));
}

/* Parts in their order, entries as they come. */
static void lie_sync(void)
{
    uint8_t part[GWIRE_PART_BYTES];
    uint8_t what = input_byte(&world.in);
    uint32_t id = 1;
    while (id < HONEST && !(world.replica[id].together >> LIAR & 1))
        id++;
    struct ring_id ring_id = world.replica[id].groups.exchange.ring_id;
    uint32_t number = what & 32 ? input_byte(&world.in) : world.liar_parts++;
    uint32_t bytes = gwire_put_sync(part, ring_id, number);
    for (uint8_t i = 0; i < what % 16 && bytes + GWIRE_ENTRY_BYTES_MAX <= sizeof(part); i++) {
        uint8_t entry = input_byte(&world.in);
        struct core_name name = name_of(entry % NAMES);
        bytes +=
            gwire_put_entry(part + bytes, port_make(entry >> 4, 1), PID + entry % SLOTS, &name);
    }
    if (what & 64)
        part[input_below(&world.in, bytes)] = input_byte(&world.in);
    if (what & 128)
        bytes -= input_below(&world.in, GWIRE_SYNC_HEAD_BYTES);
    if (bytes >= GWIRE_SYNC_HEAD_BYTES)
        gwire_end_part(part, bytes, what & 16);
    if (what & 8)
        part[input_below(&world.in, bytes)] ^= 1; /* on its way */
    order(LIAR, 0, part, bytes);
}

static void lie_bytes(void)
{
    uint8_t bytes[256];
    uint8_t count = input_byte(&world.in);
    input_bytes(&world.in, bytes, count);
    if (count > 1)
        bytes[1] = GWIRE_VERSION;
    order(LIAR, (uint32_t)input_value(&world.in, 0) & GWIRE_PORT_MAX, bytes, count);
}

static int ids_of(uint32_t set, uint32_t *ids)
{
    int count = 0;
    for (uint32_t id = 1; id <= LIAR; id++) {
        if (set >> id & 1)
            ids[count++] = id;
    }
    return count;
}

/* All nodes of a set go on in a new ring, each with those that were with it and did not restart. */
static void configure(uint32_t set, const uint32_t *before, uint32_t restarted)
{
    uint32_t ids[LIAR], along[LIAR];
    int count = ids_of(set, ids);
    world.ring_seq += 4;
    for (int i = 0; i < count && ids[i] != LIAR; i++) {
        struct replica *r = &world.replica[ids[i]];
        uint32_t with = 1u << r->id;
        if (!(restarted & with))
            with |= before[r->id] & set & ~restarted;
        groups_transitional(&r->groups, along, ids_of(with, along));
        r->together = set;
        groups_regular(&r->groups, (struct ring_id){ .seq = world.ring_seq, .rep = ids[0] }, ids,
                       count);
    }
}

static void reconfigure(void)
{
    uint32_t everybody = (1u << (LIAR + 1)) - 2;
    uint32_t set = (uint32_t)input_byte(&world.in) & everybody;
    uint8_t what = input_byte(&world.in);
    uint32_t restarted = what & 1 ? what & everybody : 0, before[HONEST + 1];
    for (uint32_t id = 1; id <= HONEST; id++) {
        before[id] = world.replica[id].together;
        if (!(restarted >> id & 1))
            continue;
        groups_destroy(&world.replica[id].groups);
        start(id);
    }
    world.liar_parts = 0;
    configure(set, before, restarted);
    configure(everybody & ~set, before, restarted);
}

static void ask(void)
{
    struct ctl_members members;
    struct ctl_iteration_entry entry[8];
    uint32_t count;
    uint8_t what = input_byte(&world.in);
    const struct groups *g = &world.replica[1 + what % HONEST].groups;
    struct core_name name = name_of((what >> 2) % NAMES);
    groups_members(g, &name, &members);
    INVARIANT(members.count <= g->process_count);
    int failed = groups_iterate(g, 1 + (what >> 4) % 3, &name, entry, what >> 6, &count);
    INVARIANT(!failed && count <= g->process_count);
}

/* F3, second half */
static void check_shadows(struct replica *r)
{
    for (uint32_t i = 0; i < NAMES; i++) {
        struct core_name name = name_of(i);
        const struct group *group = groups_find(&r->groups, &name);
        struct shadow *shadow = &r->shadow[i];
        if (!group || group->local_count == 0)
            shadow->known = false;
        if (!shadow->known)
            continue;
        INVARIANT(group->member_count == shadow->count);
        for (uint32_t m = 0; m < group->member_count; m++)
            INVARIANT(listed(shadow->member + m, 1, group->member[m]));
    }
}

/* F4 */
static void check_same(struct replica *a, struct replica *b)
{
    if (!(a->together >> b->id & 1) || a->groups.exchange.open || b->groups.exchange.open)
        return;
    for (uint32_t id = 1; id <= HONEST; id++) {
        struct groups_node *with_a = groups_node(&a->groups, id);
        struct groups_node *with_b = groups_node(&b->groups, id);
        INVARIANT(with_a->member_count == with_b->member_count);
        for (uint32_t slot = 0; slot < SLOTS; slot++) {
            uint32_t port = world.replica[id].port[slot];
            struct member *in_a = port ? groups_member(with_a, port) : NULL;
            struct member *in_b = port ? groups_member(with_b, port) : NULL;
            INVARIANT(!in_a == !in_b);
            INVARIANT(!in_a || (in_a->pid == in_b->pid &&
                                in_a->group->name.bytes == in_b->group->name.bytes));
        }
    }
}

static void check(void)
{
    for (uint32_t id = 1; id <= HONEST; id++) {
        groups_check(&world.replica[id].groups); /* F2 */
        check_shadows(&world.replica[id]);
    }
    check_same(&world.replica[1], &world.replica[2]);
    check_same(&world.replica[2], &world.replica[3]);
    check_same(&world.replica[1], &world.replica[3]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const step[])(void) = {
        honest_client, honest_client, honest_sync, honest_sync, lie_join,
        lie_sync,      lie_sync,      lie_bytes,   reconfigure, ask,
    };
    world.in = (struct input){ data, data + size };
    world.ring_seq = 0;
    for (uint32_t id = 1; id <= HONEST; id++)
        start(id);
    reconfigure();
    for (int i = 0; i < STEPS_MAX && input_left(&world.in); i++) {
        step[input_below(&world.in, ARRAY_COUNT(step))]();
        check();
    }
    for (uint32_t id = 1; id <= HONEST; id++)
        groups_destroy(&world.replica[id].groups);
    return 0;
}
