/* SPDX-License-Identifier: BSD-3-Clause */
#include "demo_verify.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <errno.h>

/* Logs of three clients, written entry by entry. */
enum { NODES = 3, ENTRIES_MAX = 64 };

struct logs {
    struct demo_entry entry[NODES + 1][ENTRIES_MAX];
    size_t count[NODES + 1];
};

static void say(struct logs *logs, int node, struct demo_entry entry)
{
    logs->entry[node][logs->count[node]++] = entry;
}

static void life(struct logs *logs, int node, uint32_t number)
{
    say(logs, node, (struct demo_entry){ .kind = DEMO_LOG_LIFE, .life = number });
}

static void ring(struct logs *logs, int node, uint64_t seq)
{
    say(logs, node, (struct demo_entry){ .kind = DEMO_LOG_RING, .node = 1, .number = seq });
}

static void view(struct logs *logs, int node, uint64_t nodes)
{
    say(logs, node, (struct demo_entry){ .kind = DEMO_LOG_VIEW, .number = nodes });
}

/* `count` messages of life 0 of a sender, from `number` on. */
static void run(struct logs *logs, int node, uint32_t sender, uint64_t number, uint32_t count)
{
    say(logs, node,
        (struct demo_entry){
            .kind = DEMO_LOG_RUN, .node = sender, .number = number, .count = count });
}

static void end(struct logs *logs, int node, enum demo_entry_kind how, uint64_t accepted)
{
    say(logs, node, (struct demo_entry){ .kind = how, .number = accepted });
}

static struct demo_verdict verdict_of(const struct logs *logs)
{
    struct demo_history history[NODES + 1];
    struct demo_verdict verdict;
    for (int node = 1; node <= NODES; node++)
        history[node] = (struct demo_history){ logs->entry[node], logs->count[node] };
    cr_assert(eq(int, demo_verify(&verdict, history, NODES), 0));
    return verdict;
}

enum { N1 = 1 << 1, N2 = 1 << 2, N3 = 1 << 3 };

/* All on ring 8, in one view. */
static void begin(struct logs *logs)
{
    for (int node = 1; node <= NODES; node++) {
        life(logs, node, 0);
        view(logs, node, N1 | N2 | N3);
        ring(logs, node, 8);
    }
}

static void end_all(struct logs *logs, uint64_t one, uint64_t two, uint64_t three)
{
    end(logs, 1, DEMO_LOG_END, one);
    end(logs, 2, DEMO_LOG_END, two);
    end(logs, 3, DEMO_LOG_END, three);
}

Test(verify, agreement_however_the_runs_are_cut)
{
    struct logs logs = { 0 };
    begin(&logs);
    run(&logs, 1, 1, 0, 10);
    run(&logs, 1, 2, 0, 5);
    run(&logs, 2, 1, 0, 4);
    run(&logs, 2, 1, 4, 6);
    run(&logs, 2, 2, 0, 5);
    run(&logs, 3, 1, 0, 10);
    run(&logs, 3, 2, 0, 1);
    run(&logs, 3, 2, 1, 4);
    end_all(&logs, 10, 5, 0);
    struct demo_verdict v = verdict_of(&logs);
    cr_assert(eq(u64, v.messages, 15));
    cr_assert(eq(u64, v.lost + v.duplicates + v.misordered, 0));
    cr_assert(eq(u32, v.stretches, 1));
    cr_assert(eq(str, v.first_wrong, ""));
}

Test(verify, V1_two_messages_the_other_way_round_are_seen)
{
    struct logs logs = { 0 };
    begin(&logs);
    run(&logs, 1, 1, 0, 1);
    run(&logs, 1, 2, 0, 1);
    run(&logs, 2, 2, 0, 1);
    run(&logs, 2, 1, 0, 1);
    run(&logs, 3, 1, 0, 1);
    run(&logs, 3, 2, 0, 1);
    end_all(&logs, 1, 1, 0);
    struct demo_verdict v = verdict_of(&logs);
    cr_assert(ne(u64, v.misordered, 0));
    cr_assert(eq(u64, v.lost + v.duplicates, 0));
}

Test(verify, V1_order_is_compared_inside_long_runs_too)
{
    struct logs logs = { 0 };
    begin(&logs);
    run(&logs, 1, 1, 0, 100);
    run(&logs, 1, 2, 0, 1);
    run(&logs, 2, 1, 0, 50);
    run(&logs, 2, 2, 0, 1);
    run(&logs, 2, 1, 50, 50);
    run(&logs, 3, 1, 0, 100);
    run(&logs, 3, 2, 0, 1);
    end_all(&logs, 100, 1, 0);
    cr_assert(ne(u64, verdict_of(&logs).misordered, 0));
}

/* Client 1 sees the change to ring 8 before it joins; its first view brings that ring. */
static void begin_early(struct logs *logs, uint32_t between, int times)
{
    life(logs, 1, 0);
    ring(logs, 1, 8);
    view(logs, 1, N1);
    if (between > 0)
        run(logs, 1, 1, 0, between);
    for (int i = 0; i < times; i++)
        ring(logs, 1, 8);
    run(logs, 1, 1, between, 4 - between);
    for (int node = 2; node <= NODES; node++)
        life(logs, node, 0);
    end_all(logs, 4, 0, 0);
}

Test(verify, a_ring_heard_of_before_the_first_view_is_no_change)
{
    struct logs logs = { 0 };
    begin_early(&logs, 0, 1);
    struct demo_verdict v = verdict_of(&logs);
    cr_assert(eq(u64, v.misordered, 0));
    cr_assert(eq(str, v.first_wrong, ""));
    cr_assert(eq(u64, v.messages, 4));
}

Test(verify, V3_a_ring_told_twice_for_one_view_is_seen)
{
    struct logs logs = { 0 };
    begin_early(&logs, 0, 2);
    cr_assert(eq(u64, verdict_of(&logs).misordered, 1));
}

Test(verify, V3_a_message_between_the_view_and_the_ring_is_seen)
{
    struct logs logs = { 0 };
    begin_early(&logs, 1, 1);
    cr_assert(eq(u64, verdict_of(&logs).misordered, 1));
}

Test(verify, V2_a_message_that_one_of_them_missed_is_lost)
{
    struct logs logs = { 0 };
    begin(&logs);
    run(&logs, 1, 1, 0, 10);
    run(&logs, 2, 1, 0, 10);
    run(&logs, 3, 1, 0, 7);
    run(&logs, 3, 1, 8, 2);
    end_all(&logs, 10, 0, 0);
    struct demo_verdict v = verdict_of(&logs);
    cr_assert(eq(u64, v.lost, 1));
    cr_assert(eq(u64, v.misordered + v.duplicates, 0));
}

Test(verify, V3_a_message_seen_twice_is_a_duplicate)
{
    struct logs logs = { 0 };
    begin(&logs);
    for (int node = 1; node <= NODES; node++)
        run(&logs, node, 1, 0, 10);
    run(&logs, 2, 1, 8, 2);
    end_all(&logs, 10, 0, 0);
    cr_assert(eq(u64, verdict_of(&logs).duplicates, 2));
}

Test(verify, V4_what_a_living_sender_never_saw_itself_is_lost)
{
    struct logs logs = { 0 };
    begin(&logs);
    for (int node = 1; node <= NODES; node++)
        run(&logs, node, 1, 0, 10);
    end_all(&logs, 13, 0, 0);
    cr_assert(eq(u64, verdict_of(&logs).lost, 3));
}

/* Node 3 is killed; it may have seen less, or more, than those that go on. */
static void kill_three(struct logs *logs)
{
    end(logs, 3, DEMO_LOG_LOST, 100);
    for (int node = 1; node <= 2; node++) {
        view(logs, node, N1 | N2);
        ring(logs, node, 12);
        run(logs, node, 2, 0, 3);
        end(logs, node, DEMO_LOG_END, node == 1 ? 10 : 3);
    }
}

Test(verify, a_killed_node_may_have_seen_less)
{
    struct logs logs = { 0 };
    begin(&logs);
    run(&logs, 1, 1, 0, 10);
    run(&logs, 2, 1, 0, 10);
    run(&logs, 3, 1, 0, 4);
    kill_three(&logs);
    struct demo_verdict v = verdict_of(&logs);
    cr_assert(eq(u64, v.lost + v.duplicates + v.misordered, 0));
    cr_assert(eq(u64, v.messages, 13));
    cr_assert(eq(u32, v.stretches, 2));
}

Test(verify, a_killed_node_may_have_seen_its_own_messages_before_it_died)
{
    struct logs logs = { 0 };
    begin(&logs);
    run(&logs, 1, 1, 0, 10);
    run(&logs, 2, 1, 0, 10);
    run(&logs, 3, 1, 0, 10);
    run(&logs, 3, 3, 0, 20);
    kill_three(&logs);
    struct demo_verdict v = verdict_of(&logs);
    cr_assert(eq(u64, v.lost + v.duplicates + v.misordered, 0));
    cr_assert(eq(u64, v.messages, 33));
}

Test(verify, V1_a_killed_node_saw_the_common_ones_in_the_same_order)
{
    struct logs logs = { 0 };
    begin(&logs);
    for (int node = 1; node <= 2; node++) {
        run(&logs, node, 1, 0, 10);
        run(&logs, node, 3, 0, 1);
    }
    run(&logs, 3, 3, 0, 1);
    run(&logs, 3, 1, 0, 10);
    kill_three(&logs);
    cr_assert(ne(u64, verdict_of(&logs).misordered, 0));
}

Test(verify, V5_nobody_may_miss_a_message_of_a_killed_node_and_see_a_later_one)
{
    struct logs logs = { 0 };
    begin(&logs);
    for (int node = 1; node <= 2; node++) {
        run(&logs, node, 1, 0, 10);
        run(&logs, node, 3, 0, 5);
        run(&logs, node, 3, 7, 5);
    }
    run(&logs, 3, 1, 0, 10);
    kill_three(&logs);
    cr_assert(eq(u64, verdict_of(&logs).lost, 4)); /* two messages, on two nodes */
}

Test(verify, sides_of_a_partition_see_what_is_theirs)
{
    struct logs logs = { 0 };
    begin(&logs);
    for (int node = 1; node <= NODES; node++) {
        run(&logs, node, 1, 0, node == 3 ? 1 : 2); /* the second did not reach node 3 any more */
        view(&logs, node, node == 3 ? N3 : N1 | N2);
        ring(&logs, node, node == 3 ? 13 : 12);
        run(&logs, node, node == 3 ? 3 : 2, 0, 4);
        view(&logs, node, N1 | N2 | N3);
        ring(&logs, node, 16);
        run(&logs, node, 1, 2, 2);
    }
    end_all(&logs, 4, 4, 4);
    struct demo_verdict v = verdict_of(&logs);
    cr_assert(eq(u64, v.lost + v.duplicates + v.misordered, 0));
    cr_assert(eq(u32, v.stretches, 4));
}

Test(verify, a_client_that_comes_back_sees_what_comes_after_its_join)
{
    struct logs logs = { 0 };
    begin(&logs);
    end(&logs, 3, DEMO_LOG_LOST, 0);
    life(&logs, 3, 1);
    view(&logs, 3, N1 | N2 | N3);
    ring(&logs, 3, 16);
    for (int node = 1; node <= 2; node++) {
        view(&logs, node, N1 | N2);
        ring(&logs, node, 12);
        run(&logs, node, 1, 0, 5);
        ring(&logs, node, 16);
        run(&logs, node, 1, 5, 5);
        view(&logs, node, N1 | N2 | N3);
    }
    for (int node = 1; node <= NODES; node++)
        run(&logs, node, 1, 10, 5);
    end_all(&logs, 15, 0, 0);
    struct demo_verdict v = verdict_of(&logs);
    cr_assert(eq(u64, v.lost + v.duplicates + v.misordered, 0), "%s", v.first_wrong);
    cr_assert(eq(u64, v.messages, 15));
}

Test(verify, messages_between_a_view_and_its_ring_event_are_out_of_order)
{
    struct logs logs = { 0 };
    begin(&logs);
    for (int node = 1; node <= NODES; node++) {
        run(&logs, node, 1, 0, 2);
        view(&logs, node, N1);
        view(&logs, node, N1 | N2 | N3);
        run(&logs, node, 1, 2, 2);
        ring(&logs, node, 12);
    }
    end_all(&logs, 4, 0, 0);
    cr_assert(ne(u64, verdict_of(&logs).misordered, 0));
}

Test(verify, a_log_that_no_client_writes_is_refused)
{
    static const struct demo_entry cases[][2] = {
        { { .kind = DEMO_LOG_RUN, .node = 1, .count = 1 }, { .kind = DEMO_LOG_END } },
        { { .kind = DEMO_LOG_LIFE, .life = UINT32_MAX }, { .kind = DEMO_LOG_END } },
        { { .kind = DEMO_LOG_LIFE }, { .kind = DEMO_LOG_RUN, .node = 99, .count = 1 } },
        { { .kind = DEMO_LOG_LIFE }, { .kind = DEMO_LOG_VIEW } }, /* no end */
        { { .kind = DEMO_LOG_LIFE }, { .kind = 77 } },
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct demo_history history[2] = { [1] = { cases[i], 2 } };
        struct demo_verdict verdict;
        cr_assert(eq(int, demo_verify(&verdict, history, 1), -EPROTO), "case %zu", i);
    }
}
