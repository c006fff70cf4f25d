/* SPDX-License-Identifier: BSD-3-Clause */
#include "groups.h"

#include <stdarg.h>
#include <string.h>

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

/*
 * A world of nodes whose groups see what a test orders. Each node writes down, a line each, the
 * views its local members get:   g +1/10 -2/20.3 = 1/10    (joined, left.reason, members)
 */
enum { NODES = 3, LOG_BYTES = 8192 };

struct world_node {
    struct groups groups;
    char log[LOG_BYTES];
    uint32_t deaf_port; /* a join of it finds no client */
    uint32_t left_port, refused_port, completions;
};

static struct world_node node[NODES + 1]; /* by id */
static uint8_t fake_client[64];

static struct client *joined(void *context, uint32_t port)
{
    struct world_node *n = context;
    return port == n->deaf_port ? NULL : (struct client *)(void *)&fake_client[port % 64];
}

static void left(void *context, uint32_t port, bool refused)
{
    struct world_node *n = context;
    *(refused ? &n->refused_port : &n->left_port) = port;
}

static void say(struct world_node *n, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    size_t used = strlen(n->log);
    vsnprintf(n->log + used, LOG_BYTES - used, format, arguments);
    va_end(arguments);
}

static void view(void *context, const struct groups_view *v)
{
    struct world_node *n = context;
    say(n, "%.*s", (int)v->group->name.bytes, (const char *)v->group->name.value);
    for (uint32_t i = 0; i < v->joined_count; i++)
        say(n, " +%u/%u.%u", v->joined[i].nodeid, v->joined[i].pid, v->joined[i].reason);
    for (uint32_t i = 0; i < v->left_count; i++)
        say(n, " -%u/%u.%u", v->left[i].nodeid, v->left[i].pid, v->left[i].reason);
    say(n, " =");
    for (uint32_t i = 0; i < v->group->member_count; i++)
        say(n, " %u/%u", v->group->member[i]->node_id, v->group->member[i]->pid);
    say(n, "%s%s\n", v->begins ? " begins" : "", v->ends ? " ends" : "");
}

static void complete(void *context, struct ring_id ring_id, const uint32_t *members, int count)
{
    struct world_node *n = context;
    n->completions++;
    say(n, "ring %u.%u:", ring_id.rep, (uint32_t)ring_id.seq);
    for (int i = 0; i < count; i++)
        say(n, " %u", members[i]);
    say(n, "\n");
}

static const struct groups_ops ops = { joined, left, view, complete };

static void start(uint32_t id)
{
    static const uint32_t ids[] = { 1, 2, 3 };
    node[id] = (struct world_node){ 0 };
    cr_assert(eq(int, groups_create(&node[id].groups, id, ids, NODES, &ops, &node[id]), 0));
}

static void setup(void)
{
    for (uint32_t id = 1; id <= NODES; id++)
        start(id);
}

static void teardown(void)
{
    for (uint32_t id = 1; id <= NODES; id++) {
        groups_check(&node[id].groups);
        groups_destroy(&node[id].groups);
    }
}

/* `to` has bit 1 << id for each node that delivers. */
#define ALL        14u
#define ONLY(a)    (1u << (a))
#define BOTH(a, b) (ONLY(a) | ONLY(b))

static void order(uint32_t to, uint32_t from, uint32_t port, const uint8_t *data, uint32_t bytes)
{
    for (uint32_t id = 1; id <= NODES; id++) {
        struct groups *g = &node[id].groups;
        if (to & ONLY(id))
            groups_control(g, groups_node(g, from), port, data, bytes);
    }
}

static struct core_name name_of(const char *text)
{
    struct core_name name = { .bytes = (uint32_t)strlen(text) };
    memcpy(name.value, text, name.bytes);
    return name;
}

static void join(uint32_t to, uint32_t from, uint32_t port, uint32_t pid, const char *group)
{
    uint8_t bytes[256];
    struct core_name name = name_of(group);
    order(to, from, port, bytes, gwire_put_join(bytes, pid, &name));
}

static void leave(uint32_t to, uint32_t from, uint32_t port, enum leave_reason reason)
{
    uint8_t bytes[4];
    order(to, from, port, bytes, gwire_put_leave(bytes, reason));
}

static int ids_of(uint32_t set, uint32_t *ids)
{
    int count = 0;
    for (uint32_t id = 1; id <= NODES; id++) {
        if (set & ONLY(id))
            ids[count++] = id;
    }
    return count;
}

static void transitional(uint32_t set)
{
    uint32_t ids[NODES];
    int count = ids_of(set, ids);
    for (int i = 0; i < count; i++)
        groups_transitional(&node[ids[i]].groups, ids, count);
}

static void regular(uint32_t set, uint64_t seq)
{
    uint32_t ids[NODES];
    int count = ids_of(set, ids);
    for (int i = 0; i < count; i++)
        groups_regular(&node[ids[i]].groups, (struct ring_id){ .seq = seq, .rep = ids[0] }, ids,
                       count);
}

/* One node says what it has to all of a set. */
static void sync_of(uint32_t set, uint32_t from)
{
    uint8_t part[GWIRE_PART_BYTES];
    uint32_t bytes;
    while ((bytes = groups_sync_part(&node[from].groups, part)) > 0) {
        cr_assert(le(u32, bytes, GWIRE_PART_BYTES));
        order(set, from, 0, part, bytes);
    }
}

static void exchange(uint32_t set)
{
    for (uint32_t id = 1; id <= NODES; id++) {
        if (set & ONLY(id))
            sync_of(set, id);
    }
}

/* All of `set` go on together in a new ring. */
static void configure(uint32_t set, uint64_t seq)
{
    regular(set, seq);
    exchange(set);
}

static void expect(uint32_t id, const char *log)
{
    cr_assert(eq(str, node[id].log, (char *)log), "node %u", id);
    node[id].log[0] = 0;
}

static void forget_logs(void)
{
    for (uint32_t id = 1; id <= NODES; id++)
        node[id].log[0] = 0;
}

TestSuite(groups, .init = setup, .fini = teardown);

/* Ports of the tests: the slot is the pid, the generation 1. */
#define PORT(pid) port_make(pid, 1)

Test(groups, the_first_configuration_completes_with_a_ring_event)
{
    configure(ALL, 4);
    for (uint32_t id = 1; id <= NODES; id++)
        expect(id, "ring 1.4: 1 2 3\n");
}

Test(groups, V4_the_joiner_begins_with_its_own_join_and_others_see_one_entry)
{
    configure(ALL, 4);
    forget_logs();
    join(ALL, 1, PORT(10), 10, "g");
    join(ALL, 2, PORT(20), 20, "g");
    expect(1, "g +1/10.1 = 1/10 begins\ng +2/20.1 = 1/10 2/20\n");
    expect(2, "g +2/20.1 = 1/10 2/20 begins\n");
    expect(3, "");
}

Test(groups, V1_members_are_ascending_by_node_then_process_unsigned)
{
    configure(ALL, 4);
    join(ALL, 3, PORT(30), 30, "g");
    join(ALL, 1, PORT(12), 0xfffffff0, "g");
    join(ALL, 1, PORT(11), 5, "g");
    struct ctl_members members;
    struct core_name name = name_of("g");
    groups_members(&node[2].groups, &name, &members);
    cr_assert(eq(u32, members.count, 3));
    cr_assert(eq(u32, members.entry[0].pid, 5));
    cr_assert(eq(u32, members.entry[1].pid, 0xfffffff0));
    cr_assert(eq(u32, members.entry[2].nodeid, 3));
    cr_assert(zero(u32, members.entry[2].reason));
}

Test(groups, V5_a_leave_and_a_death_give_one_view_each_with_their_reason)
{
    configure(ALL, 4);
    join(ALL, 1, PORT(10), 10, "g");
    join(ALL, 2, PORT(20), 20, "g");
    join(ALL, 3, PORT(30), 30, "g");
    forget_logs();
    leave(ALL, 2, PORT(20), REASON_LEAVE);
    leave(ALL, 3, PORT(30), REASON_PROCDOWN);
    expect(1, "g -2/20.2 = 1/10 3/30\ng -3/30.5 = 1/10\n");
    expect(2, "g -2/20.2 = 1/10 3/30 ends\n");
    cr_assert(eq(u32, node[2].left_port, PORT(20)));
}

Test(groups, D8_after_its_leave_a_handle_sees_no_view_of_the_group)
{
    configure(ALL, 4);
    join(ALL, 2, PORT(20), 20, "g");
    leave(ALL, 2, PORT(20), REASON_LEAVE);
    forget_logs();
    join(ALL, 1, PORT(10), 10, "g");
    expect(2, "");
    cr_assert_null(groups_member(groups_node(&node[1].groups, 2), PORT(20)));
}

Test(groups, a_handle_joins_again_under_a_new_port_and_old_messages_find_nobody)
{
    configure(ALL, 4);
    join(ALL, 1, PORT(10), 10, "g");
    leave(ALL, 1, PORT(10), REASON_LEAVE);
    join(ALL, 1, port_make(10, 2), 10, "h");
    struct groups_node *one = groups_node(&node[2].groups, 1);
    cr_assert_null(groups_member(one, PORT(10)));
    cr_assert_not_null(groups_member(one, port_make(10, 2)));
}

Test(groups, V5_a_node_that_goes_takes_all_its_members_in_one_view_a_group)
{
    configure(ALL, 4);
    join(ALL, 1, PORT(10), 10, "g");
    join(ALL, 2, PORT(21), 21, "g");
    join(ALL, 2, PORT(20), 20, "g");
    join(ALL, 3, PORT(30), 30, "other");
    forget_logs();
    transitional(BOTH(1, 3));
    configure(BOTH(1, 3), 8);
    expect(1, "g -2/20.3 -2/21.3 = 1/10\nring 1.8: 1 3\n");
    expect(3, "ring 1.8: 1 3\n"); /* V6 */
}

Test(groups, V6_a_merge_brings_all_of_the_other_side_in_one_view_on_both)
{
    configure(BOTH(1, 3), 4);
    configure(ONLY(2), 4);
    join(BOTH(1, 3), 1, PORT(10), 10, "g");
    join(BOTH(1, 3), 3, PORT(30), 30, "g");
    join(ONLY(2), 2, PORT(20), 20, "g");
    join(ONLY(2), 2, PORT(21), 21, "g");
    forget_logs();
    transitional(BOTH(1, 3));
    transitional(ONLY(2));
    configure(ALL, 8);
    expect(1, "g +2/20.4 +2/21.4 = 1/10 2/20 2/21 3/30\nring 1.8: 1 2 3\n");
    expect(2, "g +1/10.4 +3/30.4 = 1/10 2/20 2/21 3/30\nring 1.8: 1 2 3\n");
}

Test(groups, V7_who_never_noticed_sees_both_views_and_then_one_ring_event)
{
    configure(ALL, 4);
    join(ALL, 1, PORT(10), 10, "g");
    join(ALL, 2, PORT(20), 20, "g");
    join(ALL, 3, PORT(30), 30, "g");
    /* The others go on without node 2, which sleeps. */
    transitional(BOTH(1, 3));
    configure(BOTH(1, 3), 8);
    forget_logs();
    transitional(BOTH(1, 3));
    transitional(ONLY(2));
    configure(ALL, 12);
    expect(2, "g -1/10.3 -3/30.3 = 2/20\n"
              "g +1/10.4 +3/30.4 = 1/10 2/20 3/30\n"
              "ring 1.12: 1 2 3\n");
    expect(1, "g +2/20.4 = 1/10 2/20 3/30\nring 1.12: 1 2 3\n");
}

Test(groups, V8_who_died_while_cut_off_is_missing_at_the_merge)
{
    configure(ALL, 4);
    join(ALL, 1, PORT(10), 10, "g");
    join(ALL, 2, PORT(20), 20, "g");
    join(ALL, 2, PORT(21), 21, "g");
    transitional(BOTH(1, 3));
    configure(BOTH(1, 3), 8);
    transitional(ONLY(2));
    configure(ONLY(2), 8);
    leave(ONLY(2), 2, PORT(20), REASON_PROCDOWN);
    join(ONLY(2), 2, PORT(22), 22, "g");
    forget_logs();
    transitional(BOTH(1, 3));
    transitional(ONLY(2));
    configure(ALL, 12);
    expect(1, "g +2/21.4 +2/22.4 = 1/10 2/21 2/22\nring 1.12: 1 2 3\n");
}

Test(groups, V9_a_service_that_restarts_unnoticed_goes_down_and_up_in_one_change)
{
    configure(ALL, 4);
    join(ALL, 1, PORT(10), 10, "g");
    join(ALL, 2, PORT(20), 20, "g");
    groups_destroy(&node[2].groups);
    start(2);
    configure(ONLY(2), 2);
    join(ONLY(2), 2, PORT(20), 99, "g");
    forget_logs();
    transitional(BOTH(1, 3));
    transitional(ONLY(2));
    configure(ALL, 8);
    expect(1, "g -2/20.3 = 1/10\ng +2/99.4 = 1/10 2/99\nring 1.8: 1 2 3\n");
    expect(2, "g +1/10.4 = 1/10 2/99\nring 1.8: 1 2 3\n");
}

Test(groups, losses_add_up_when_an_exchange_is_cut_short)
{
    configure(ALL, 4);
    join(ALL, 1, PORT(10), 10, "g");
    join(ALL, 2, PORT(20), 20, "g");
    forget_logs();
    transitional(BOTH(1, 3)); /* without 2, */
    regular(BOTH(1, 3), 8);
    sync_of(BOTH(1, 3), 1); /* and before 3 has spoken 2 is back */
    transitional(BOTH(1, 3));
    transitional(ONLY(2));
    expect(1, "");
    configure(ALL, 12);
    expect(1, "g -2/20.3 = 1/10\ng +2/20.4 = 1/10 2/20\nring 1.12: 1 2 3\n");
    expect(2, "g -1/10.3 = 2/20\ng +1/10.4 = 1/10 2/20\nring 1.12: 1 2 3\n");
}

Test(groups, who_was_lost_once_does_not_come_along_later_in_the_same_exchange)
{
    configure(ALL, 4);
    join(ALL, 1, PORT(10), 10, "g");
    join(ALL, 2, PORT(20), 20, "g");
    forget_logs();
    transitional(BOTH(1, 3));
    transitional(ONLY(2));
    regular(ALL, 8);   /* together again, */
    transitional(ALL); /* and on together, but nothing was exchanged between */
    configure(ALL, 12);
    expect(1, "g -2/20.3 = 1/10\ng +2/20.4 = 1/10 2/20\nring 1.12: 1 2 3\n");
    expect(2, "g -1/10.3 = 2/20\ng +1/10.4 = 1/10 2/20\nring 1.12: 1 2 3\n");
}

Test(groups, the_sync_of_another_configuration_is_not_counted)
{
    uint8_t part[GWIRE_PART_BYTES];
    configure(ALL, 4);
    regular(ALL, 8);
    uint32_t bytes = groups_sync_part(&node[2].groups, part);
    transitional(ALL);
    regular(ALL, 12);
    order(ALL, 2, 0, part, bytes);
    sync_of(ALL, 1);
    sync_of(ALL, 3);
    cr_assert(eq(u32, node[1].completions, 1));
    sync_of(ALL, 2);
    cr_assert(eq(u32, node[1].completions, 2));
    cr_assert(zero(u64, node[1].groups.malformed));
}

Test(groups, a_sync_of_many_members_comes_in_parts_that_fit_any_frame)
{
    char name[CTL_NAME_BYTES + 1];
    configure(BOTH(1, 3), 4);
    configure(ONLY(2), 4);
    join(BOTH(1, 3), 1, PORT(3000), 7, "g000");
    for (uint32_t i = 0; i < 500; i++) {
        snprintf(name, sizeof(name), "g%03u%*s", i % 100, (int)(i % 120), "");
        name[i % 7 ? 4 : strlen(name)] = 0;
        join(ONLY(2), 2, PORT(1000 + i), 5000 + i, name);
    }
    transitional(BOTH(1, 3));
    transitional(ONLY(2));
    configure(ALL, 8);
    cr_assert(eq(u32, node[1].groups.process_count, 501));
    cr_assert(eq(u32, node[1].groups.process_count, node[2].groups.process_count));
    cr_assert(eq(u32, node[1].groups.group_count, node[2].groups.group_count));
    groups_check(&node[3].groups);
}

Test(groups, N1_names_are_bytes_and_a_length)
{
    uint8_t bytes[256];
    struct core_name plain = { .bytes = 3, .value = "grp" };
    struct core_name with_nul = { .bytes = 4, .value = "grp" };
    struct core_name empty = { 0 };
    configure(ALL, 4);
    order(ALL, 1, PORT(10), bytes, gwire_put_join(bytes, 10, &plain));
    order(ALL, 1, PORT(11), bytes, gwire_put_join(bytes, 10, &with_nul));
    order(ALL, 1, PORT(12), bytes, gwire_put_join(bytes, 10, &empty));
    cr_assert(eq(u32, node[2].groups.group_count, 3));
    /* A merge keeps them apart. */
    groups_destroy(&node[3].groups);
    start(3);
    transitional(BOTH(1, 2));
    configure(ALL, 8);
    cr_assert(eq(u32, node[3].groups.group_count, 3));
    cr_assert(eq(u32, groups_find(&node[3].groups, &with_nul)->member_count, 1));
}

Test(groups, G2_a_join_that_would_double_a_member_or_a_slot_is_refused_everywhere)
{
    configure(ALL, 4);
    join(ALL, 1, PORT(10), 10, "g");
    join(ALL, 1, PORT(11), 10, "g");         /* same process, same group */
    join(ALL, 1, port_make(10, 2), 12, "h"); /* same slot */
    for (uint32_t id = 1; id <= NODES; id++) {
        cr_assert(eq(u64, node[id].groups.malformed, 2));
        cr_assert(eq(u32, node[id].groups.process_count, 1));
        cr_assert(eq(u32, node[id].groups.group_count, 1));
    }
    cr_assert(eq(u32, node[1].refused_port, port_make(10, 2)));
}

Test(groups, a_client_that_is_gone_before_its_join_is_ordered_is_a_member_without_ears)
{
    configure(ALL, 4);
    node[1].deaf_port = PORT(10);
    join(ALL, 1, PORT(10), 10, "g");
    forget_logs();
    join(ALL, 1, PORT(11), 11, "g");
    expect(1, "g +1/11.1 = 1/10 1/11 begins\n");
    struct core_name name = name_of("g");
    cr_assert(eq(u32, groups_find(&node[1].groups, &name)->local_count, 1));
}

Test(groups, a_client_that_is_forgotten_gets_no_more_views)
{
    configure(ALL, 4);
    join(ALL, 1, PORT(10), 10, "g");
    groups_forget(&node[1].groups, PORT(10));
    forget_logs();
    join(ALL, 2, PORT(20), 20, "g");
    leave(ALL, 1, PORT(10), REASON_PROCDOWN);
    expect(1, "");
    expect(2, "g +2/20.1 = 1/10 2/20 begins\ng -1/10.5 = 2/20\n");
}

Test(groups, nonsense_is_counted_and_ignored)
{
    uint8_t bytes[64] = { 0 };
    configure(ALL, 4);
    struct core_name name = name_of("g");
    order(ALL, 1, PORT(10), bytes, 0);
    order(ALL, 1, PORT(10), bytes, 4);
    uint32_t count = gwire_put_join(bytes, 10, &name);
    order(ALL, 1, PORT(10), bytes, count - 1);
    order(ALL, 1, PORT(10), bytes, count + 1);
    order(ALL, 1, 0, bytes, count);           /* nobody's port */
    leave(ALL, 1, PORT(10), REASON_LEAVE);    /* of nobody */
    leave(ALL, 1, PORT(10), REASON_NODEDOWN); /* not for a node to say */
    cr_assert(eq(u64, node[2].groups.malformed, 7));
    cr_assert(zero(u32, node[2].groups.process_count));
}

Test(groups, a_sync_without_end_costs_no_memory_without_end)
{
    uint8_t part[GWIRE_PART_BYTES];
    configure(ALL, 4);
    groups_destroy(&node[3].groups);
    start(3);
    transitional(BOTH(1, 2));
    regular(ALL, 8);
    for (uint32_t i = 0; i < 2 * PORT_SLOTS; i++) {
        struct core_name name = { .bytes = sizeof(i) };
        memcpy(name.value, &i, sizeof(i));
        uint32_t bytes = gwire_put_sync(part, (struct ring_id){ .seq = 8, .rep = 1 }, i);
        bytes += gwire_put_entry(part + bytes, port_make(i % PORT_SLOTS, 1), i, &name);
        gwire_end_part(part, bytes, false);
        order(ONLY(1), 3, 0, part, bytes);
    }
    cr_expect(eq(u32, node[1].groups.group_count, PORT_SLOTS));
    cr_expect(eq(u64, node[1].groups.malformed, PORT_SLOTS));
}

/* Whatever bit it is that turns on its way. */
Test(groups, a_damaged_sync_is_not_believed)
{
    uint8_t part[GWIRE_PART_BYTES];
    struct core_name name = name_of("g");
    configure(ALL, 4);
    transitional(BOTH(1, 2));
    regular(ALL, 8);
    sync_of(ALL, 1);
    sync_of(ALL, 2);
    uint32_t bytes = gwire_put_sync(part, (struct ring_id){ .seq = 8, .rep = 1 }, 0);
    bytes += gwire_put_entry(part + bytes, PORT(30), 30, &name);
    gwire_end_part(part, bytes, true);
    for (uint32_t bit = 0; bit < 8 * bytes; bit++) {
        node[1].groups.exchange.damaged = false;
        part[bit / 8] ^= (uint8_t)(1 << bit % 8);
        order(ONLY(1), 3, 0, part, bytes);
        part[bit / 8] ^= (uint8_t)(1 << bit % 8);
        cr_assert(node[1].groups.exchange.damaged, "bit %u", bit);
        cr_assert(node[1].groups.exchange.open, "bit %u", bit);
    }
    transitional(ALL); /* another ring: all say it again */
    regular(ALL, 12);
    cr_assert_not(node[1].groups.exchange.damaged);
    for (uint32_t from = 1; from <= NODES; from++)
        sync_of(ALL, from);
    cr_assert_not(node[1].groups.exchange.open);
}

Test(groups, a_sync_that_brings_nobody_makes_no_view)
{
    uint8_t part[GWIRE_PART_BYTES];
    struct core_name name = name_of("g");
    configure(ALL, 4);
    join(ALL, 1, PORT(10), 10, "g");
    forget_logs();
    transitional(BOTH(1, 2));
    regular(ALL, 8);
    sync_of(ALL, 1);
    sync_of(ALL, 2);
    /* Two members in one slot, and the one that is not put in says that it is in g. */
    uint32_t bytes = gwire_put_sync(part, (struct ring_id){ .seq = 8, .rep = 1 }, 0);
    bytes += gwire_put_entry(part + bytes, PORT(30), 30, &name);
    struct core_name other = name_of("h");
    bytes += gwire_put_entry(part + bytes, PORT(30), 31, &other);
    gwire_end_part(part, bytes, true);
    order(BOTH(1, 2), 3, 0, part, bytes);
    expect(1, "ring 1.8: 1 2 3\n");
    cr_assert(eq(u64, node[1].groups.malformed, 1));
    groups_check(&node[1].groups);
}

Test(groups, iteration_is_by_name_and_members_ascending)
{
    struct ctl_iteration_entry entry[8];
    uint32_t count;
    configure(ALL, 4);
    join(ALL, 3, PORT(30), 30, "b");
    join(ALL, 2, PORT(20), 20, "b");
    join(ALL, 2, PORT(21), 21, "ab");
    join(ALL, 1, PORT(10), 10, "a");
    cr_assert(zero(int, groups_iterate(&node[1].groups, 3, NULL, entry, 8, &count)));
    cr_assert(eq(u32, count, 4));
    cr_assert(eq(str, (char *)entry[0].name, "a"));
    cr_assert(eq(str, (char *)entry[1].name, "ab"));
    cr_assert(eq(u32, entry[2].nodeid, 2));
    cr_assert(eq(u32, entry[3].nodeid, 3));
    cr_assert(zero(int, groups_iterate(&node[1].groups, 1, NULL, entry, 2, &count)));
    cr_assert(eq(u32, count, 3), "counts on where there is no more room");
    cr_assert(zero(u32, entry[0].pid));
    struct core_name name = name_of("b");
    cr_assert(zero(int, groups_iterate(&node[1].groups, 2, &name, entry, 8, &count)));
    cr_assert(eq(u32, count, 2));
    name = name_of("nobody");
    cr_assert(zero(int, groups_iterate(&node[1].groups, 2, &name, entry, 8, &count)));
    cr_assert(zero(u32, count));
}
