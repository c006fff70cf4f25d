/* SPDX-License-Identifier: BSD-3-Clause */
#include "crowd.h"

#include <poll.h>

#define ALL        14u
#define ONLY(a)    (1u << (a))
#define BOTH(a, b) (ONLY(a) | ONLY(b))

static void alone(void)
{
    crowd_open(1);
    CROWD_UNTIL(world.node[1].formed);
}

static void three(void)
{
    crowd_open(3);
    CROWD_UNTIL(crowd_is_one(ALL));
}

TestSuite(core_alone, .init = alone, .fini = crowd_finish, .timeout = 120);
TestSuite(core_three, .init = three, .fini = crowd_finish, .timeout = 120);

static void expect(struct crowd_client *c, const char *story)
{
    cr_assert(eq(str, c->story, (char *)story), "node %u", c->node);
}

Test(core_alone, a_client_joins_sends_to_itself_and_leaves)
{
    struct crowd_client *c = crowd_client(1, 0, 10, 0);
    cr_assert(eq(u32, crowd_join(c, "g"), CS_OK));
    crowd_send(c, "hello");
    crowd_send(c, "");
    CROWD_UNTIL(c->messages == 2);
    cr_assert(eq(u32, crowd_leave(c), CS_OK));
    CROWD_UNTIL(crowd_says(c, "ends"));
    expect(c, "view +1/10.1 = 1/10 begins\nmsg 1/10 hello\nmsg 1/10 \nview -1/10.2 = ends\n");
}

Test(core_alone, R3_the_first_join_brings_one_ring_event_right_after_its_view)
{
    uint32_t flags = CTL_HELLO_FIRST_RING | CTL_HELLO_WANT_RINGS;
    struct crowd_client *c = crowd_client(1, 0, 10, flags);
    crowd_join(c, "g");
    crowd_send(c, "x");
    CROWD_UNTIL(c->messages == 1);
    crowd_leave(c);
    crowd_join(c, "g");
    crowd_send(c, "y");
    CROWD_UNTIL(c->messages == 2);
    expect(c, "view +1/10.1 = 1/10 begins\nfirst ring 1: 1\nmsg 1/10 x\nview -1/10.2 = ends\n"
              "view +1/10.1 = 1/10 begins\nmsg 1/10 y\n");
}

Test(core_alone, everything_lent_comes_back)
{
    struct core *core = world.node[1].core;
    struct crowd_client *a = crowd_client(1, 0, 10, 0), *b = crowd_client(1, 1, 11, 0);
    crowd_run(NS_PER_S);
    uint32_t tx_free = core->tx_pool.free_count, rx_free = core->rx_pool.free_count;
    crowd_join(a, "g");
    crowd_join(b, "g");
    for (int i = 0; i < 20000; i++) {
        CROWD_UNTIL(crowd_send(a, "0123456789abcdef0123456789abcdef"));
    }
    CROWD_UNTIL(b->messages == 20000);
    crowd_run(NS_PER_S);
    cr_assert(eq(u64, atomic_load(&a->fake.down->tx_free[0]), a->fake.tx_end));
    cr_assert(eq(u32, core->tx_pool.free_count, tx_free));
    cr_assert(eq(u32, core->rx_pool.free_count, rx_free));
    cr_assert(eq(u64, a->hash, b->hash));
}

Test(core_alone, membership_and_iteration_answer_from_the_tables)
{
    struct crowd_client *c = crowd_client(1, 0, 10, 0);
    struct ctl_members members;
    struct ctl_iteration_entry entry[2];
    struct core_name name = { .bytes = 1, .value = "g" };
    crowd_join(c, "g");
    CROWD_UNTIL(crowd_says(c, "begins"));
    crowd_command(1, (struct core_command){
                         .type = CORE_MEMBERS, .in.name = &name, .out.members = &members });
    cr_assert(eq(u32, members.count, 1));
    cr_assert(eq(u32, members.entry[0].pid, 10));
    crowd_command(1, (struct core_command){ .type = CORE_ITERATE,
                                            .arg = 3,
                                            .in.name = &name,
                                            .out.entries = entry,
                                            .capacity = 2 });
    cr_assert(eq(u32, crowd[1].answer.arg, 1));
    cr_assert(eq(u32, entry[0].pid, 10));
}

Test(core_alone, status_says_what_is_there)
{
    static struct core_status status;
    struct crowd_client *c = crowd_client(1, 3, 10, 0);
    crowd_join(c, "g");
    crowd_send(c, "hello");
    CROWD_UNTIL(c->messages == 1);
    crowd_command(1, (struct core_command){ .type = CORE_STATUS, .out.status = &status });
    cr_assert(eq(u32, status.client_count, 1));
    cr_assert(eq(u32, status.client[0].slot, 3));
    cr_assert(eq(u32, status.client[0].joined, 1));
    cr_assert(eq(u64, status.client[0].messages_in, 1));
    cr_assert(eq(int, status.ring.member_count, 1));
    cr_assert(eq(u32, status.ring_members[0], 1));
    cr_assert(eq(u32, status.group_count, 1));
    cr_assert(lt(u64, status.private_bytes, 16 << 20));
}

static uint64_t private_bytes(void)
{
    static struct core_status status;
    crowd_command(1, (struct core_command){ .type = CORE_STATUS, .out.status = &status });
    return status.private_bytes;
}

Test(core_alone, status_counts_the_records_of_clients_and_their_segments)
{
    uint64_t before = private_bytes();
    struct crowd_client *c = crowd_client(1, 3, 10, 0); /* with a record made at start */
    cr_assert(eq(u64, private_bytes(), before + sizeof(struct client)));
    crowd_end(c);
    CROWD_UNTIL(private_bytes() == before);
}

Test(core_alone, status_counts_records_of_segments_beyond_those_made_at_start)
{
    struct clients *cs = &world.node[1].core->clients;
    struct segment *made = cs->spare;
    cs->spare = NULL;
    cs->spare_count = 0;
    uint64_t before = private_bytes(), record = sizeof(struct segment);
    struct crowd_client *c = crowd_client(1, 3, 10, 0);
    cr_assert(eq(u64, private_bytes(), before + sizeof(struct client) + record));
    crowd_end(c);
    CROWD_UNTIL(private_bytes() == before + record); /* it waits for the next */
    free(cs->spare);
    cs->spare = made;
    cs->spare_count = SPARE_SEGMENTS;
}

Test(core_alone, a_client_that_breaks_a_rule_is_evicted_and_others_see_procdown)
{
    struct crowd_client *a = crowd_client(1, 0, 10, 0), *b = crowd_client(1, 1, 11, 0);
    crowd_join(a, "g");
    crowd_join(b, "g");
    atomic_store(&a->fake.up->words.submit_tail, 99999);
    CROWD_UNTIL(a->evicted);
    cr_assert(eq(int, a->offence, CORE_OFFENCE_SUBMIT_TAIL));
    CROWD_UNTIL(crowd_says(b, "view -1/10.5 = 1/11\n"));
    crowd_end(a);
    cr_assert(eq(u64, world.node[1].core->stats.clients_evicted_rules, 1));
}

Test(core_alone, C5_a_reader_that_sleeps_stops_senders_for_a_while_and_then_goes)
{
    struct core *core = world.node[1].core;
    struct crowd_client *a = crowd_client(1, 0, 10, 0), *b = crowd_client(1, 1, 11, 0);
    uint64_t sent = 0;
    crowd_join(a, "g");
    crowd_join(b, "g");
    CROWD_UNTIL(crowd_says(a, "+1/11.1"));
    b->paused = true;
    uint64_t stop_ns = world.now_ns + 5 * NS_PER_S;
    while (!b->evicted && world.now_ns < stop_ns) {
        while (crowd_send(a, "some words that take place"))
            sent++;
        crowd_step(NS_PER_MS);
    }
    cr_assert(b->evicted);
    cr_assert(eq(int, b->offence, CORE_OFFENCE_SLOW));
    cr_assert(eq(u32, atomic_load(&b->fake.down->state), CHAN_EVICTED_SLOW));
    CROWD_UNTIL(a->messages == sent);
    CROWD_UNTIL(crowd_says(a, "view -1/11.5 = 1/10\n"));
    cr_assert(zero(u32, core->clients.count - 2));
    crowd_end(b);
    cr_assert(eq(u64, core->stats.clients_evicted_slow, 1));
    cr_assert(eq(u64, core->stats.backlog_events, 0));
}

Test(core_alone, C5_a_head_moved_to_and_fro_is_no_progress_that_senders_must_wait_for)
{
    struct crowd_client *a = crowd_client(1, 0, 10, 0), *b = crowd_client(1, 1, 11, 0);
    struct chan_event event;
    crowd_join(a, "g");
    crowd_join(b, "g");
    CROWD_UNTIL(crowd_says(a, "+1/11.1"));
    b->paused = true;
    uint64_t stop_ns = world.now_ns + 5 * NS_PER_S;
    for (uint32_t i = 0; !b->evicted && world.now_ns < stop_ns; i++) {
        while (crowd_send(a, "some words that take place"))
            ;
        while (fake_client_take(&b->fake, &event))
            ;
        atomic_store(&b->fake.up->words.event_head, b->fake.events.head - i % 2);
        crowd_step(NS_PER_MS);
    }
    cr_assert(b->evicted);
    cr_assert(eq(int, b->offence, CORE_OFFENCE_EVENT_HEAD));
}

Test(core_alone, two_that_wait_for_each_other_for_ever_are_parted)
{
    /* Each sends until it is accepted and reads nothing meanwhile, as from inside a callback. */
    struct crowd_client *c[2] = { crowd_client(1, 0, 10, 0), crowd_client(1, 1, 11, 0) };
    for (int i = 0; i < 2; i++)
        crowd_join(c[i], "g");
    CROWD_UNTIL(crowd_says(c[0], "+1/11.1"));
    c[0]->paused = c[1]->paused = true;
    uint64_t stop_ns = world.now_ns + 5 * NS_PER_S;
    while (!c[0]->evicted && !c[1]->evicted && world.now_ns < stop_ns) {
        for (int i = 0; i < 2; i++) {
            while (crowd_send(c[i], "for ever and ever"))
                ;
        }
        crowd_step(NS_PER_MS);
    }
    cr_assert(c[0]->evicted || c[1]->evicted);
}

Test(core_alone, a_reader_that_keeps_a_sender_waiting_for_memory_goes_though_within_its_bounds)
{
    static uint8_t large[300000];
    struct crowd_client *a = crowd_client(1, 0, 10, 0), *b = crowd_client(1, 1, 11, 0);
    crowd_join(a, "g");
    crowd_join(b, "g");
    CROWD_UNTIL(crowd_says(a, "+1/11.1"));
    b->paused = true;
    for (int i = 0; i < 6; i++)
        CROWD_UNTIL(fake_client_send(&a->fake, large, sizeof(large), GUARANTEE_AGREED));
    crowd_run(5 * NS_PER_S);
    cr_assert_not(b->evicted, "nobody waits for it");
    CROWD_UNTIL(fake_client_send(&a->fake, large, sizeof(large), GUARANTEE_AGREED));
    cr_assert(b->evicted);
    cr_assert_not(a->evicted);
    CROWD_UNTIL(a->messages == 7);
}

Test(core_alone, who_has_just_come_is_not_the_one_who_has_not_moved_for_longest)
{
    static uint8_t large[300000];
    struct crowd_client *a = crowd_client(1, 0, 10, 0), *b = crowd_client(1, 1, 11, 0), *c = NULL;
    crowd_join(a, "g");
    crowd_join(b, "g");
    CROWD_UNTIL(crowd_says(a, "+1/11.1"));
    b->paused = true;
    for (int i = 0; i < 6; i++)
        CROWD_UNTIL(fake_client_send(&a->fake, large, sizeof(large), GUARANTEE_AGREED));
    uint64_t start_ns = world.now_ns;
    while (!fake_client_send(&a->fake, large, sizeof(large), GUARANTEE_AGREED)) {
        cr_assert(lt(u64, world.now_ns, start_ns + 5 * NS_PER_S));
        if (!c && world.now_ns - start_ns > 250 * NS_PER_MS) {
            c = crowd_client(1, 2, 12, 0);
            c->paused = true; /* it holds the view of its join */
            crowd_join(c, "h");
        }
        crowd_step(NS_PER_MS);
    }
    cr_assert(b->evicted);
    cr_assert_not(c->evicted);
}

/* b says that it is kept waiting, for longer than it may be. */
static void complain(struct crowd_client *c, uint64_t ns)
{
    for (uint64_t end_ns = world.now_ns + ns; world.now_ns < end_ns;) {
        atomic_fetch_add(&c->fake.up->words.refused, 1);
        crowd_run(NS_PER_MS);
    }
}

Test(core_alone, C5_who_only_says_that_it_is_kept_waiting_moves_nobody)
{
    struct crowd_client *a = crowd_client(1, 0, 10, 0), *b = crowd_client(1, 1, 11, 0);
    crowd_join(a, "g");
    crowd_join(b, "g");
    CROWD_UNTIL(crowd_says(a, "+1/11.1"));
    a->paused = true;
    cr_assert(crowd_send(b, "something to keep"));
    CROWD_UNTIL(b->messages == 1);
    complain(b, 3 * NS_PER_S);
    cr_assert_not(a->evicted, "nobody waits for it");
    cr_assert(zero(u64, world.node[1].core->pressure_ns));
    a->paused = false;
    CROWD_UNTIL(a->messages == 1);
}

Test(core_alone, C5_who_holds_what_a_segment_is_wanted_for_goes)
{
    enum { SENDERS = 3, KEEPER = SENDERS, ASKER };
    static uint8_t large[300000];
    struct crowd_client *c[ASKER + 1];
    struct core_command denied = { .type = CORE_SEGMENT_DENIED, .slot = ASKER };
    for (uint32_t slot = 0; slot <= ASKER; slot++)
        c[slot] = crowd_client(1, slot, 10 + slot, 0);
    for (int i = 0; i <= KEEPER; i++)
        crowd_join(c[i], "g");
    CROWD_UNTIL(crowd_says(c[0], "+1/13.1"));
    c[KEEPER]->paused = true;
    for (int i = 0; i < SENDERS; i++) { /* the last of them makes it more than half */
        for (int k = 0; k < 6; k++)
            CROWD_UNTIL(fake_client_send(&c[i]->fake, large, sizeof(large), GUARANTEE_AGREED));
        for (int k = 0; k < 1000; k++) {
            core_command(world.node[1].core, &denied);
            complain(c[ASKER], NS_PER_MS);
        }
        cr_assert(eq(int, c[KEEPER]->evicted, i == SENDERS - 1));
    }
}

/* What b has sent does not come back. */
static struct record *hold_what_it_sends(struct crowd_client *b)
{
    static uint8_t large[300000];
    struct segment *s = clients_find(&world.node[1].core->clients, 1)->segment[0];
    CROWD_UNTIL(fake_client_send(&b->fake, large, sizeof(large), GUARANTEE_AGREED));
    CROWD_UNTIL(!segment_idle(s));
    struct record *record = &s->record[s->head % SEGMENT_RECORDS];
    record_hold(record);
    for (int i = 0; i < 4; i++)
        CROWD_UNTIL(fake_client_send(&b->fake, large, sizeof(large), GUARANTEE_AGREED));
    return record;
}

Test(core_alone, who_gets_something_after_the_service_stood_still_is_not_slow)
{
    struct crowd_client *a = crowd_client(1, 0, 10, 0), *b = crowd_client(1, 1, 11, 0);
    crowd_join(a, "g");
    crowd_join(b, "g");
    CROWD_UNTIL(crowd_says(a, "+1/11.1"));
    struct record *record = hold_what_it_sends(b);
    CROWD_UNTIL(a->messages == 5);
    complain(b, 400 * NS_PER_MS);
    cr_assert(ne(u64, world.node[1].core->pressure_ns, 0));
    world_pause(&world, 1, world.now_ns + NS_PER_S);
    cr_assert(crowd_send(a, "hello"));
    CROWD_UNTIL(a->messages == 6 && b->messages == 6);
    cr_assert_not(a->evicted || b->evicted);
    record_drop(record);
}

Test(core_alone, a_client_killed_in_any_state_leaves_nothing_behind)
{
    struct core *core = world.node[1].core;
    crowd_run(NS_PER_S);
    uint32_t tx_free = core->tx_pool.free_count, rx_free = core->rx_pool.free_count;
    struct crowd_client *watcher = crowd_client(1, 9, 99, 0);
    crowd_join(watcher, "g");
    for (uint32_t round = 0; round < 40; round++) {
        struct crowd_client *c = crowd_client(1, round % 3, 10 + round, 0);
        c->paused = round % 2;
        if (round % 5)
            crowd_join(c, "g");
        for (uint32_t i = 0; i < round * 13; i++)
            crowd_send(c, "last words");
        for (uint32_t i = 0; i < round % 7; i++)
            crowd_step(NS_PER_MS);
        if (round % 3 == 1)
            crowd_leave(c);
        crowd_end(c);
        crowd_unmap(c);
        CROWD_UNTIL(crowd[1].gone == round + 1);
    }
    crowd_run(NS_PER_S);
    cr_assert(eq(u32, core->clients.count, 1));
    cr_assert(eq(u32, core->groups.process_count, 1));
    cr_assert(eq(u32, core->tx_pool.free_count, tx_free));
    cr_assert(eq(u32, core->rx_pool.free_count, rx_free));
}

Test(core_alone, a_core_does_not_fall_asleep_while_somebody_has_something_for_it)
{
    struct core *core = world.node[1].core;
    struct crowd_client *c = crowd_client(1, 0, 10, 0);
    crowd_join(c, "g");
    crowd_run(NS_PER_S);
    uint64_t sleeps = core->stats.sleeps;
    crowd_send(c, "hello");
    core_sleep(core);
    cr_assert(eq(u64, core->stats.sleeps, sleeps));
    CROWD_UNTIL(c->messages == 1);
    core_turn(core, world.now_ns);
    core_command(core, &(struct core_command){ .type = CORE_CLIENT_LEAVE, .slot = 5 });
    core_sleep(core);
    cr_assert(eq(u64, core->stats.sleeps, sleeps));
    cr_assert(zero(u32, atomic_load(&world.node[1].words.asleep)));
}

Test(core_alone, a_command_wakes_a_core_that_sleeps)
{
    struct core *core = world.node[1].core;
    struct pollfd fd = { .fd = core->command_fd, .events = POLLIN };
    core_command(core, &(struct core_command){ .type = CORE_CLIENT_LEAVE, .slot = 5 });
    cr_assert(zero(int, poll(&fd, 1, 0)), "one that is awake needs no bell");
    atomic_store(&world.node[1].words.asleep, 1);
    core_command(core, &(struct core_command){ .type = CORE_CLIENT_LEAVE, .slot = 5 });
    cr_assert(eq(int, poll(&fd, 1, 0), 1));
}

/* One member a node, in one group. */
static void members_of_three(struct crowd_client *c[4], uint32_t flags)
{
    for (uint32_t id = 1; id <= 3; id++) {
        c[id] = crowd_client(id, 0, id * 10, flags);
        cr_assert(eq(u32, crowd_join(c[id], "g"), CS_OK));
        CROWD_UNTIL(crowd_says(c[id], "begins"));
    }
    for (uint32_t id = 1; id <= 3; id++) {
        CROWD_UNTIL(crowd_says(c[id], "+3/30.1"));
        crowd_forget(c[id]);
    }
}

static int takes_nothing(struct transport *tp, struct zcb **frames, int count)
{
    (void)tp, (void)frames, (void)count;
    return 0;
}

/* Its frames wait, up to what there is room for; then the ring has to wait, too. */
Test(core_three, I2_a_transport_that_takes_nothing_for_a_while_loses_nothing)
{
    struct crowd_client *c[4];
    members_of_three(c, 0);
    struct core *core = world.node[2].core;
    const struct transport_ops *ops = core->transport->ops;
    struct transport_ops blocked = *ops;
    blocked.tx_burst = takes_nothing;
    core->transport->ops = &blocked;
    for (uint64_t end_ns = world.now_ns + 60 * NS_PER_S;
         world.now_ns < end_ns && core->tx_count <= CORE_TX_WAITING - RING_OUT_MAX;)
        crowd_run(NS_PER_S / 4);
    crowd_run(2 * NS_PER_S); /* it has more to say */
    cr_assert(lt(u32, CORE_TX_WAITING - RING_OUT_MAX, core->tx_count));
    core->transport->ops = ops;
    CROWD_UNTIL(crowd_is_one(ALL));
}

Test(core_three, V4_joins_are_seen_alike)
{
    struct crowd_client *c[4];
    for (uint32_t id = 1; id <= 3; id++) {
        c[id] = crowd_client(id, 0, id * 10, 0);
        crowd_join(c[id], "g");
        CROWD_UNTIL(crowd_says(c[id], "begins"));
    }
    CROWD_UNTIL(crowd_says(c[1], "+3/30.1"));
    expect(c[1], "view +1/10.1 = 1/10 begins\nview +2/20.1 = 1/10 2/20\n"
                 "view +3/30.1 = 1/10 2/20 3/30\n");
    CROWD_UNTIL(crowd_says(c[2], "+3/30.1"));
    expect(c[2], "view +2/20.1 = 1/10 2/20 begins\nview +3/30.1 = 1/10 2/20 3/30\n");
}

Test(core_three, D1_all_members_deliver_the_same_messages_in_the_same_order)
{
    struct crowd_client *c[4];
    char text[64];
    members_of_three(c, 0);
    for (int i = 0; i < 1000; i++) {
        for (uint32_t id = 1; id <= 3; id++) {
            snprintf(text, sizeof(text), "%u.%d", id, i);
            CROWD_UNTIL(crowd_send(c[id], text));
        }
        if (i % 10 == 0)
            crowd_step(NS_PER_MS);
    }
    for (uint32_t id = 1; id <= 3; id++)
        CROWD_UNTIL(c[id]->messages == 3000);
    cr_assert(eq(u64, c[1]->hash, c[2]->hash));
    cr_assert(eq(u64, c[1]->hash, c[3]->hash));
}

Test(core_three, L2_large_messages_arrive_whole_here_and_there)
{
    struct crowd_client *c[4];
    static uint8_t large[700000];
    for (size_t i = 0; i < sizeof(large); i++)
        large[i] = (uint8_t)(i * 13 + i / 251);
    members_of_three(c, 0);
    for (uint32_t id = 1; id <= 3; id++)
        c[id]->expect = large;
    for (uint32_t i = 0; i < 10; i++) {
        for (uint32_t id = 1; id <= 3; id++) {
            CROWD_UNTIL(fake_client_send(&c[id]->fake, large, 1000 + i * 70000, GUARANTEE_AGREED));
            CROWD_UNTIL(crowd_send(c[id], "small"));
        }
    }
    for (uint32_t id = 1; id <= 3; id++)
        CROWD_UNTIL(c[id]->messages == 60);
    cr_assert(eq(u64, c[1]->hash, c[2]->hash));
    cr_assert(eq(u64, c[1]->hash, c[3]->hash));
    crowd_run(NS_PER_S);
    for (uint32_t id = 1; id <= 3; id++)
        cr_assert(zero(u64, world.node[id].core->rx_pool.held[ZCB_HELD_PARTIAL]));
}

Test(core_three, V5_a_node_that_is_cut_off_goes_with_one_view_and_comes_back_with_one)
{
    struct crowd_client *c[4];
    members_of_three(c, CTL_HELLO_WANT_RINGS);
    struct crowd_client *more = crowd_client(3, 1, 31, 0);
    crowd_join(more, "g");
    CROWD_UNTIL(crowd_says(c[1], "+3/31.1"));
    CROWD_UNTIL(crowd_says(c[3], "+3/31.1"));
    crowd_forget(c[1]);
    crowd_forget(c[3]);
    for (uint32_t id = 1; id <= 2; id++) {
        sim_net_cut(world.net, id, 3, true);
        sim_net_cut(world.net, 3, id, true);
    }
    CROWD_UNTIL(crowd_is_one(BOTH(1, 2)) && crowd_is_one(ONLY(3)));
    expect(c[1], "view -3/30.3 -3/31.3 = 1/10 2/20\nring 1: 1 2\n");
    expect(c[3], "view -1/10.3 -2/20.3 = 3/30 3/31\nring 3: 3\n");
    crowd_forget(c[1]);
    crowd_forget(c[3]);
    crowd_send(c[1], "ours");
    crowd_send(c[3], "theirs");
    CROWD_UNTIL(c[1]->messages == 1 && c[3]->messages == 1);
    sim_net_heal(world.net);
    CROWD_UNTIL(crowd_is_one(ALL));
    CROWD_UNTIL(crowd_says(c[1], "ring") && crowd_says(c[3], "ring"));
    expect(c[1], "msg 1/10 ours\nview +3/30.4 +3/31.4 = 1/10 2/20 3/30 3/31\nring 1: 1 2 3\n");
    expect(c[3], "msg 3/30 theirs\nview +1/10.4 +2/20.4 = 1/10 2/20 3/30 3/31\nring 1: 1 2 3\n");
}

Test(core_three, evict_is_for_those_who_do_not_read_not_for_readers_of_large_messages)
{
    static uint8_t large[300000];
    struct crowd_client *c[4];
    members_of_three(c, 0);
    struct core *core = world.node[2].core;
    world.node[2].config.slow_policy = SLOW_EVICT;
    core->client_frames_max = 50; /* less than one of them takes */
    for (uint64_t i = 1; i <= 5; i++) {
        c[2]->paused = true;
        CROWD_UNTIL(fake_client_send(&c[1]->fake, large, sizeof(large), GUARANTEE_AGREED));
        CROWD_UNTIL(c[2]->evicted || core->clients.list[0]->over_ns); /* that is seen */
        cr_assert_not(c[2]->evicted, "it has not had the time to read");
        c[2]->paused = false;
        CROWD_UNTIL(c[2]->messages == i);
    }
    c[2]->paused = true;
    CROWD_UNTIL(fake_client_send(&c[1]->fake, large, sizeof(large), GUARANTEE_AGREED));
    uint64_t start_ns = world.now_ns;
    CROWD_UNTIL(c[2]->evicted);
    cr_assert(lt(u64, world.now_ns - start_ns, 100 * NS_PER_MS), "it is not waited for");
}

Test(core_three, V7_a_node_that_slept_sees_both_changes_in_one_go)
{
    struct crowd_client *c[4];
    members_of_three(c, CTL_HELLO_WANT_RINGS);
    world_pause(&world, 3, NS_NEVER);
    CROWD_UNTIL(crowd_is_one(BOTH(1, 2)));
    world_pause(&world, 3, 0);
    CROWD_UNTIL(crowd_is_one(ALL));
    CROWD_UNTIL(crowd_says(c[3], "ring"));
    expect(c[3], "view -1/10.3 -2/20.3 = 3/30\nview +1/10.4 +2/20.4 = 1/10 2/20 3/30\n"
                 "ring 1: 1 2 3\n");
}

Test(core_three, R3_who_opens_while_a_change_completes_is_told_of_the_ring_once)
{
    const struct groups *g = &world.node[1].core->groups;
    uint32_t flags = CTL_HELLO_FIRST_RING | CTL_HELLO_WANT_RINGS;
    struct crowd_client *was_here = crowd_client(1, 0, 10, flags);
    crowd_kill(3);
    CROWD_UNTIL(g->exchange.open);
    struct crowd_client *c = crowd_client(1, 1, 11, flags);
    cr_assert(g->exchange.open, "it opens too late");
    crowd_join(c, "g");
    CROWD_UNTIL(crowd_says(c, "first ring"));
    crowd_kill(2);
    CROWD_UNTIL(crowd_is_one(ONLY(1)));
    crowd_run(NS_PER_MS);
    expect(c, "view +1/11.1 = 1/11 begins\nfirst ring 1: 1 2\nring 1: 1\n");
    expect(was_here, "ring 1: 1 2\nring 1: 1\n");
}

Test(core_three, R3_whose_first_join_waits_for_a_change_is_told_of_the_ring_once)
{
    uint32_t flags = CTL_HELLO_FIRST_RING | CTL_HELLO_WANT_RINGS;
    struct crowd_client *c = crowd_client(1, 0, 10, flags);
    struct ring_status status = { .state = RING_OPERATIONAL };
    crowd_kill(3);
    CROWD_UNTIL((ring_status(world.node[1].core->ring, &status), status.state == RING_GATHER));
    crowd_join(c, "g");
    CROWD_UNTIL(crowd_says(c, "first ring"));
    expect(c, "view +1/10.1 = 1/10 begins\nfirst ring 1: 1 2\n");
}

/* Its SYNC came damaged, or not at all as far as node 1 can see. */
Test(core_three, an_exchange_of_members_that_does_not_get_on_is_begun_again)
{
    struct groups *g = &world.node[1].core->groups;
    for (int silent = 0; silent < 2; silent++) {
        crowd_kill(3);
        CROWD_UNTIL(g->exchange.open);
        groups_node(g, 2)->parts += !silent;
        g->exchange.missing += (uint32_t)silent;
        CROWD_UNTIL(crowd_is_one(BOTH(1, 2)));
        cr_assert(eq(u64, g->malformed, 1));
        crowd_start(3);
        CROWD_UNTIL(crowd_is_one(ALL));
    }
    g->malformed = 0;
}

Test(core_three, V9_a_killed_service_is_nodedown_and_what_joins_after_its_restart_nodeup_or_join)
{
    struct crowd_client *c[4];
    members_of_three(c, CTL_HELLO_WANT_RINGS);
    crowd_kill(3);
    crowd_start(3);
    CROWD_UNTIL(crowd_is_one(ALL));
    CROWD_UNTIL(crowd_says(c[1], "ring"));
    cr_assert(crowd_says(c[1], "view -3/30.3 = 1/10 2/20\n"));
    cr_assert_not(crowd_says(c[1], ".5"));
    struct crowd_client *again = crowd_client(3, 0, 33, 0);
    crowd_join(again, "g");
    CROWD_UNTIL(crowd_says(c[1], "view +3/33.1 = 1/10 2/20 3/33\n"));
}

Test(core_three, S5_a_clean_stop_is_procdown_for_each_process)
{
    struct crowd_client *c[4];
    members_of_three(c, CTL_HELLO_WANT_RINGS);
    struct crowd_client *more = crowd_client(3, 1, 31, 0);
    crowd_join(more, "g");
    CROWD_UNTIL(crowd_says(c[1], "+3/31.1"));
    crowd_forget(c[1]);
    crowd_send(c[3], "goodbye");
    cr_assert(eq(u32, crowd_command(3, (struct core_command){ .type = CORE_STOP }), CS_OK));
    cr_assert(world.node[3].core->stopped);
    CROWD_UNTIL(crowd_says(c[1], "ring"));
    cr_assert(crowd_says(c[1], "msg 3/30 goodbye\n"));
    cr_assert(crowd_says(c[1], "-3/30.5"));
    cr_assert(crowd_says(c[1], "-3/31.5"));
    cr_assert_not(crowd_says(c[1], ".3 "));
    cr_assert(crowd_says(c[1], "ring 1: 1 2\n"));
    cr_assert(eq(u32, atomic_load(&c[3]->fake.down->state), CHAN_CLOSED));
}

Test(core_three, D6_messages_of_a_killed_client_come_before_its_procdown_everywhere)
{
    struct crowd_client *c[4];
    members_of_three(c, 0);
    for (int i = 0; i < 900; i++)
        cr_assert(crowd_send(c[2], "last words"));
    crowd_end(c[2]);
    for (uint32_t id = 1; id <= 3; id += 2) {
        CROWD_UNTIL(crowd_says(c[id], "-2/20.5"));
        cr_assert(eq(u64, c[id]->messages, 900));
        cr_assert(eq(str, c[id]->story + c[id]->used - strlen("view -2/20.5 = 1/10 3/30\n"),
                     "view -2/20.5 = 1/10 3/30\n"));
    }
}

Test(core_three, D4_a_reader_that_sleeps_far_away_is_evicted_and_nobody_misses_anything)
{
    struct crowd_client *c[4];
    uint64_t sent = 0;
    members_of_three(c, 0);
    c[3]->paused = true;
    uint64_t stop_ns = world.now_ns + 20 * NS_PER_S;
    while (!c[3]->evicted && world.now_ns < stop_ns) {
        while (crowd_send(c[1], "some words that take place"))
            sent++;
        crowd_step(NS_PER_MS);
    }
    cr_assert(c[3]->evicted);
    /* Meanwhile the senders stood still: what came after the bound is what was under way. */
    uint64_t most = world.node[3].core->stats.backlog_events_max;
    cr_assert(ge(u64, most, world.node[3].config.client_events_max));
    cr_assert(lt(u64, most, 3 * world.node[3].config.client_events_max));
    for (uint32_t id = 1; id <= 2; id++) {
        CROWD_UNTIL(c[id]->messages == sent);
        CROWD_UNTIL(crowd_says(c[id], "-3/30.5") || c[id]->used >= CROWD_STORY_BYTES / 2);
    }
    cr_assert(eq(u64, c[1]->hash, c[2]->hash));
}

Test(core_three, L5_pieces_from_a_node_that_dies_in_the_middle_are_let_go)
{
    static uint8_t large[700000];
    struct crowd_client *c[4];
    members_of_three(c, 0);
    cr_assert(fake_client_send(&c[3]->fake, large, sizeof(large), GUARANTEE_AGREED));
    struct zcb_pool *pool = &world.node[1].core->rx_pool;
    CROWD_UNTIL(pool->held[ZCB_HELD_PARTIAL] > 20);
    crowd_kill(3);
    CROWD_UNTIL(crowd_says(c[1], "view -3/30.3 = 1/10 2/20\n"));
    cr_assert(zero(u64, pool->held[ZCB_HELD_PARTIAL]));
    cr_assert(zero(u64, c[1]->messages));
    cr_assert(eq(u64, world.node[1].core->stats.pieces_void, 1));
}

Test(core_three, under_loss_everything_still_comes_once_and_in_order)
{
    struct crowd_client *c[4];
    members_of_three(c, 0);
    struct sim_faults faults = { .loss_ppm = 20000,
                                 .duplicate_ppm = 10000,
                                 .reorder_ppm = 20000,
                                 .delay_ns_least = 20 * NS_PER_US,
                                 .delay_ns_most = 60 * NS_PER_US,
                                 .reorder_ns = 200 * NS_PER_US };
    sim_net_faults(world.net, &faults);
    for (int i = 0; i < 3000; i++) {
        CROWD_UNTIL(crowd_send(c[1 + i % 3], "through the storm"));
        crowd_step(NS_PER_MS);
    }
    sim_net_heal(world.net);
    for (uint32_t id = 1; id <= 3; id++)
        CROWD_UNTIL(c[id]->messages == 3000);
    cr_assert(eq(u64, c[1]->hash, c[2]->hash));
    cr_assert(eq(u64, c[1]->hash, c[3]->hash));
}
