/* SPDX-License-Identifier: BSD-3-Clause */
#include "clients.h"

#include <errno.h>

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "corosync/corotypes.h"
#include "fake_client.h"

/*
 * A ring of one node that a test drives: it takes so many messages, and gives them back in order
 * when told to.
 */
enum { TAKEN_MAX = 4096, CLIENTS = 3, SLOT_BYTES = 512, RX_COUNT = 64, TX_BYTES = 64 * 1024 };

static struct ring_message taken[TAKEN_MAX];
static uint32_t taken_count, ordered_count, room;
static uint32_t bulk_over;              /* messages of more bytes are bulk */
static const struct ring_message *bulk; /* of these the last one that waits; NULL: none */
static bool bulk_lines_up;

int ring_submit(struct ring *r, const struct ring_message *message)
{
    (void)r;
    bool large = message->payload.bytes > bulk_over;
    if (bulk && (large ? !bulk_lines_up : message->port == bulk->port))
        return -EBUSY;
    if (taken_count - ordered_count >= room)
        return -EAGAIN;
    if (large)
        bulk = &taken[taken_count];
    if (message->payload.cookie)
        record_hold(record_of_cookie(message->payload.cookie));
    taken[taken_count++] = *message;
    return 0;
}

static struct clients cs;
static struct groups groups;
static struct deliver deliver;
static struct core_stats stats;
static struct zcb_arena rx_arena;
static struct zcb_pool rx_pool;
static struct fake_client fake[CLIENTS];
static uint8_t control_memory[CONTROL_BYTES];
static const struct zcb_arena control = {
    .base = control_memory, .bytes = CONTROL_BYTES, .id = CONTROL_ARENA, .key = 7
};
static struct core_event event[64];
static int event_count;
static uint32_t views;

static void post(void *context, const struct core_event *e)
{
    (void)context;
    event[event_count++] = *e;
}

static struct client *joined(void *context, uint32_t port)
{
    (void)context;
    return clients_joined(&cs, port);
}

static void left(void *context, uint32_t port, bool refused)
{
    (void)context;
    clients_left(&cs, port, refused);
}

static void view(void *context, const struct groups_view *v)
{
    (void)context, (void)v;
    views++;
}

static void complete(void *context, struct ring_id ring_id, const uint32_t *members, int count)
{
    (void)context, (void)ring_id, (void)members, (void)count;
}

static bool relieve(void *context)
{
    (void)context;
    return false;
}

static void evict(void *context, struct client *c, enum core_offence offence, uint64_t value)
{
    (void)context;
    clients_evict(&cs, c, offence, value);
}

static const struct groups_ops groups_ops = { joined, left, view, complete };
static const struct deliver_ops deliver_ops = { relieve, evict };
static const uint32_t nodes[] = { 1 };

static void add(uint32_t slot)
{
    fake_client_open(&fake[slot], slot, 100 + slot, 0);
    cr_assert(eq(u32, clients_add(&cs, &fake[slot].setup), CS_OK));
    struct core_segment_setup segment = fake_client_segment(&fake[slot], TX_BYTES, 10 + slot);
    cr_assert(eq(u32, clients_segment_add(&cs, &segment), CS_OK));
}

static void setup(void)
{
    room = 1000;
    bulk_over = 4000;
    cr_assert(zero(int, zcb_arena_create(&rx_arena, "rx", RX_COUNT * SLOT_BYTES, 1, ZCB_PAGES_SMALL,
                                         ZCB_WRITER_CREATOR)));
    cr_assert(zero(int, zcb_pool_create(&rx_pool, &rx_arena,
                                        &(struct zcb_pool_shape){ .slot_bytes = SLOT_BYTES,
                                                                  .count = RX_COUNT,
                                                                  .slices_max = 1 })));
    cr_assert(zero(int, clients_create(&cs, 16, &control)));
    cr_assert(zero(int, groups_create(&groups, 1, nodes, 1, &groups_ops, NULL)));
    cr_assert(zero(int, deliver_create(&deliver, &rx_pool, 16, 100, &stats, &deliver_ops, NULL)));
    cs.deliver = &deliver;
    cs.groups = &groups;
    cs.stats = &stats;
    cs.post = post;
    cs.message_bytes_max = 32 * 1024;
    add(0);
}

static void teardown(void)
{
    groups_check(&groups);
    clients_destroy(&cs);
    groups_destroy(&groups);
    deliver_destroy(&deliver);
    zcb_pool_destroy(&rx_pool);
    zcb_arena_destroy(&rx_arena);
    for (int i = 0; i < CLIENTS; i++) {
        if (fake[i].up)
            fake_client_close(&fake[i]);
    }
}

TestSuite(clients, .init = setup, .fini = teardown);

static struct core_name name_of(const char *text)
{
    struct core_name name = { .bytes = (uint32_t)strlen(text) };
    memcpy(name.value, text, name.bytes);
    return name;
}

static uint32_t join(uint32_t slot, uint32_t pid, const char *group)
{
    struct core_name name = name_of(group);
    return clients_join(&cs, slot, pid, &name);
}

static void turn(void)
{
    clients_turn(&cs, 1);
}

/* Everything taken so far gets its place. */
static void order(void)
{
    for (; ordered_count < taken_count; ordered_count++) {
        const struct ring_message *m = &taken[ordered_count];
        if (m->control)
            groups_control(&groups, groups.own, m->port, m->payload.data, m->payload.bytes);
        if (m->payload.cookie)
            record_drop(record_of_cookie(m->payload.cookie));
    }
}

/* What was taken since `from`: J, L, S(ync), or the first byte of a message. */
static const char *story(uint32_t from)
{
    static char text[TAKEN_MAX + 1];
    uint32_t n = 0;
    for (uint32_t i = from; i < taken_count; i++) {
        const struct ring_message *m = &taken[i];
        char first = m->payload.bytes ? (char)m->payload.data[0] : '0';
        text[n++] = m->control ? "?JLS"[(uint8_t)first & 3] : first;
    }
    text[n] = 0;
    return text;
}

static void send_text(uint32_t slot, const char *text)
{
    cr_assert(fake_client_send(&fake[slot], text, (uint32_t)strlen(text), GUARANTEE_AGREED));
}

static void start(uint32_t slot)
{
    cr_assert(eq(u32, join(slot, 100 + slot, "g"), CS_OK));
    turn();
    order();
}

Test(clients, D7_messages_sent_after_the_join_was_accepted_follow_it)
{
    cr_assert(eq(u32, join(0, 100, "g"), CS_OK));
    send_text(0, "a");
    send_text(0, "b");
    turn();
    cr_assert(eq(str, (char *)story(0), "Jab"));
    cr_assert(eq(u32, taken[1].port, taken[0].port));
}

Test(clients, payload_says_what_the_transport_knows_its_memory_by)
{
    cr_assert(eq(u32, join(0, 100, "g"), CS_OK));
    send_text(0, "a");
    turn();
    cr_assert(eq(u32, taken[0].payload.key, control.key));
    cr_assert(eq(u32, taken[1].payload.key, 1000 + fake[0].tx_arena));
}

Test(clients, D6_a_leave_goes_behind_what_was_sent_before_it)
{
    start(0);
    send_text(0, "a");
    cr_assert(eq(u32, clients_leave(&cs, 0), CS_OK));
    send_text(0, "x"); /* nobody's: it was pushed after the leave */
    turn();
    cr_assert(eq(str, (char *)story(1), "aL"));
    cr_assert(eq(u64, stats.unknown_sender, 1));
    order();
    cr_assert(eq(u64, atomic_load(&fake[0].down->tx_free[0]), fake[0].tx_end));
}

Test(clients, D6_a_client_that_ends_leaves_with_procdown_behind_its_messages)
{
    start(0);
    for (int i = 0; i < 200; i++)
        send_text(0, "m");
    cr_assert(clients_end(&cs, 0, 42));
    cr_assert(zero(int, event_count), "not before everything is sent");
    while (event_count == 0)
        turn();
    cr_assert(eq(u32, taken_count, 202));
    cr_assert(eq(u32, taken[201].payload.data[2], REASON_PROCDOWN));
    cr_assert(eq(u64, event[0].tag, 42));
    cr_assert_null(clients_find(&cs, 0));
    order();
    turn();
    cr_assert(eq(u32, groups.process_count, 0));
    cr_assert(eq(u32, event[1].type, CORE_EVENT_SEGMENT_GONE));
    cr_assert(eq(u32, event[1].arg, 10));
}

Test(clients, K3_segments_of_a_client_that_is_gone_stay_until_nobody_reads_them)
{
    start(0);
    send_text(0, "a");
    turn();
    clients_end(&cs, 0, 1);
    turn();
    cr_assert(eq(int, event_count, 1));
    turn();
    cr_assert(eq(int, event_count, 1));
    order();
    turn();
    cr_assert(eq(int, event_count, 2));
    cr_assert(eq(u32, event[1].type, CORE_EVENT_SEGMENT_GONE));
}

Test(clients, join_leave_and_join_again_are_ordered_under_ports_of_their_own)
{
    cr_assert(eq(u32, join(0, 100, "g"), CS_OK));
    send_text(0, "a");
    cr_assert(eq(u32, clients_leave(&cs, 0), CS_OK));
    cr_assert(eq(u32, join(0, 100, "g"), CS_OK));
    send_text(0, "b");
    turn();
    cr_assert(eq(str, (char *)story(0), "JaLJb"));
    cr_assert(eq(u32, taken[0].port, taken[2].port));
    cr_assert(eq(u32, taken[3].port, taken[4].port));
    cr_assert(ne(u32, taken[0].port, taken[3].port));
    order();
    cr_assert(eq(u32, groups.process_count, 1));
    cr_assert(zero(u64, groups.malformed));
    cr_assert_not_null(groups_member(groups.own, taken[3].port));
}

Test(clients, joins_and_leaves_for_ever_reuse_what_they_need)
{
    for (int i = 0; i < 10000; i++) {
        taken_count = ordered_count = 0;
        cr_assert(eq(u32, join(0, 100, "g"), CS_OK), "join %d", i);
        cr_assert(eq(u32, clients_leave(&cs, 0), CS_OK));
        turn();
        order();
    }
    cr_assert(zero(u32, groups.process_count));
    cr_assert(zero(u64, groups.malformed));
}

Test(clients, a_handle_with_too_many_memberships_under_way_tries_again)
{
    room = 0;
    for (int i = 0; i < CLIENT_MEMBERSHIPS; i++) {
        cr_assert(eq(u32, join(0, 100, "g"), CS_OK));
        cr_assert(eq(u32, clients_leave(&cs, 0), CS_OK));
    }
    cr_assert(eq(u32, join(0, 100, "g"), CS_ERR_TRY_AGAIN));
    room = 100;
    turn();
    order();
    cr_assert(eq(u32, join(0, 100, "g"), CS_OK));
}

Test(clients, the_errors_of_join_and_leave)
{
    add(1);
    add(2);
    cr_assert(eq(u32, clients_leave(&cs, 0), CS_ERR_NOT_EXIST));
    cr_assert(eq(u32, join(0, 100, "g"), CS_OK));
    cr_assert(eq(u32, join(0, 100, "g"), CS_ERR_EXIST));
    cr_assert(eq(u32, join(0, 100, "other"), CS_ERR_EXIST));
    cr_assert(eq(u32, join(1, 100, "g"), CS_ERR_EXIST), "another handle of the process");
    cr_assert(eq(u32, join(1, 100, "other"), CS_OK));
    cr_assert(eq(u32, join(2, 102, "g"), CS_OK), "another process");
    turn();
    order();
    cr_assert(eq(u32, clients_leave(&cs, 0), CS_OK));
    cr_assert(eq(u32, clients_leave(&cs, 0), CS_ERR_NOT_EXIST));
    cr_assert(eq(u32, clients_leave(&cs, 1), CS_OK));
    cr_assert(eq(u32, join(1, 100, "g"), CS_ERR_TRY_AGAIN), "its departure is not ordered");
    turn();
    order();
    cr_assert(eq(u32, join(1, 100, "g"), CS_OK));
}

Test(clients, a_process_that_died_and_whose_leave_is_not_ordered_keeps_its_place)
{
    start(0);
    clients_end(&cs, 0, 1);
    turn();
    cr_assert_null(clients_find(&cs, 0));
    add(1);
    cr_assert(eq(u32, join(1, 100, "g"), CS_ERR_TRY_AGAIN));
    order();
    cr_assert(eq(u32, join(1, 100, "g"), CS_OK));
}

Test(clients, C3_what_the_ring_does_not_take_stays_in_the_queue)
{
    start(0);
    room = 2;
    send_text(0, "a");
    send_text(0, "b");
    send_text(0, "c");
    turn();
    cr_assert(eq(str, (char *)story(1), "ab"));
    cr_assert(eq(u32, atomic_load(&fake[0].down->submit_head), 2));
    turn();
    cr_assert(ne(u64, cs.full_since_ns, 0));
    order();
    turn();
    cr_assert(eq(str, (char *)story(1), "abc"));
    cr_assert(zero(u64, cs.full_since_ns));
}

Test(clients, no_client_starves_while_another_floods)
{
    add(1);
    start(0);
    start(1);
    room = 10;
    uint32_t of_other = 0, from = taken_count;
    for (int i = 0; i < 40; i++) {
        while (fake[0].submit.tail - atomic_load(&fake[0].down->submit_head) < 500)
            send_text(0, "f");
        send_text(1, "o");
        turn();
        order();
    }
    for (uint32_t i = from; i < taken_count; i++)
        of_other += taken[i].payload.data[0] == 'o';
    cr_assert(ge(u32, of_other, 15));
}

Test(clients, a_large_message_holds_up_only_what_its_client_sends_after_it)
{
    static char large[5000] = "l";
    add(1);
    start(0);
    start(1);
    uint32_t from = taken_count;
    cr_assert(fake_client_send(&fake[0], large, sizeof(large), GUARANTEE_AGREED));
    send_text(0, "a");
    clients_leave(&cs, 0);
    send_text(1, "b");
    cr_assert(fake_client_send(&fake[1], large, sizeof(large), GUARANTEE_AGREED));
    send_text(1, "c");
    turn();
    cr_assert(eq(str, (char *)story(from), "lb"));
    bulk = NULL;
    turn();
    cr_assert(eq(str, (char *)story(from), "lblaL"));
    bulk = NULL;
    turn();
    cr_assert(eq(str, (char *)story(from), "lblaLc"));
}

Test(clients, a_large_message_follows_another_at_once_where_the_ring_lets_it)
{
    static char large[5000] = "l";
    bulk_lines_up = true;
    add(1);
    start(0);
    start(1);
    uint32_t from = taken_count;
    cr_assert(fake_client_send(&fake[0], large, sizeof(large), GUARANTEE_AGREED));
    cr_assert(fake_client_send(&fake[0], large, sizeof(large), GUARANTEE_AGREED));
    send_text(0, "a");
    send_text(1, "b");
    cs.next = 0;
    turn();
    cr_assert(eq(str, (char *)story(from), "llb"));
    bulk = NULL;
    turn();
    cr_assert(eq(str, (char *)story(from), "llba"));
}

Test(clients, a_leave_behind_a_large_message_waits_for_it_and_others_do_not)
{
    static char large[5000] = "l";
    add(1);
    start(0);
    start(1);
    uint32_t from = taken_count;
    cr_assert(fake_client_send(&fake[0], large, sizeof(large), GUARANTEE_AGREED));
    clients_leave(&cs, 0);
    send_text(1, "b");
    cs.next = 0;
    turn();
    cr_assert(eq(str, (char *)story(from), "lb"));
    bulk = NULL;
    turn();
    cr_assert(eq(str, (char *)story(from), "lbL"));
}

Test(clients, tx_memory_comes_back_in_order_and_no_sooner)
{
    start(0);
    for (int i = 0; i < 3; i++)
        send_text(0, "12345678");
    turn();
    record_drop(record_of_cookie(taken[2].payload.cookie));
    cr_assert(zero(u64, atomic_load(&fake[0].down->tx_free[0])));
    record_drop(record_of_cookie(taken[1].payload.cookie));
    cr_assert(eq(u64, atomic_load(&fake[0].down->tx_free[0]), 16));
    record_drop(record_of_cookie(taken[3].payload.cookie));
    cr_assert(eq(u64, atomic_load(&fake[0].down->tx_free[0]), 24));
}

Test(clients, a_segment_turns_over_many_times_with_all_records_in_use)
{
    char text[64];
    uint32_t sent = 0;
    start(0);
    room = 900;
    for (int round = 0; round < 400; round++) {
        taken_count -= ordered_count;
        memmove(taken, taken + ordered_count, taken_count * sizeof(taken[0]));
        ordered_count = 0;
        for (int i = 0; i < 600; i++) {
            uint32_t bytes = (sent * 7 + (uint32_t)round) % 64;
            memset(text, 'a' + (int)(sent % 26), sizeof(text));
            if (!fake_client_send(&fake[0], text, bytes, GUARANTEE_AGREED))
                break;
            sent++;
        }
        turn();
        if (round % 3 == 2)
            order();
    }
    order();
    cr_assert(lt(u64, 10 * TX_BYTES, fake[0].tx_end));
    while (fake[0].submit.tail != atomic_load(&fake[0].down->submit_head)) {
        taken_count = ordered_count = 0;
        turn();
        order();
    }
    cr_assert(eq(u64, atomic_load(&fake[0].down->tx_free[0]), fake[0].tx_end));
    cr_assert(eq(u64, stats.messages_in, sent));
    cr_assert(zero(int, event_count));
}

/* A submit that breaks a rule, as it lies in the queue. */
static void push_raw(struct chan_submit s)
{
    *(struct chan_submit *)spsc_next(&fake[0].submit) = s;
    spsc_publish(&fake[0].submit);
}

static void expect_offence(enum core_offence offence)
{
    turn();
    cr_assert(eq(int, event_count, 1));
    cr_assert(eq(u32, event[0].type, CORE_EVENT_EVICT));
    cr_assert(eq(u32, event[0].error, CHAN_EVICTED_RULES));
    cr_assert(eq(u32, event[0].arg, offence));
    cr_assert(eq(u32, atomic_load(&fake[0].down->state), CHAN_EVICTED_RULES));
    cr_assert(eq(u64, stats.offence[offence], 1));
    cr_assert(eq(str, (char *)story(1), "aL"), "what came before counts, then PROCDOWN");
    cr_assert(eq(u32, taken[2].payload.data[2], REASON_PROCDOWN));
    turn();
    cr_assert(eq(int, event_count, 1));
    order();
    cr_assert(zero(u32, groups.process_count));
}

static struct chan_submit good(void)
{
    return (struct chan_submit){ .offset = 8, .bytes = 8, .end = 16, .guarantee = 2 };
}

static void break_rule(struct chan_submit s, enum core_offence offence)
{
    start(0);
    send_text(0, "a");
    push_raw(s);
    push_raw(good()); /* is not taken any more */
    expect_offence(offence);
}

#define RULE(name, change, what)            \
    Test(clients, C2_##name)                \
    {                                       \
        struct chan_submit s = good();      \
        s.change;                           \
        break_rule(s, CORE_OFFENCE_##what); \
    }
RULE(segment_that_is_none, segment = 1, SUBMIT_SEGMENT)
RULE(segment_beyond_the_table, segment = CHAN_SEGMENT_COUNT, SUBMIT_SEGMENT)
RULE(offset_not_aligned, offset = 12, SUBMIT_RANGE)
RULE(offset_outside, offset = TX_BYTES + 8, SUBMIT_RANGE)
RULE(bytes_outside, offset = TX_BYTES, SUBMIT_RANGE)
RULE(offset_that_overflows, offset = 0xfffffff8, SUBMIT_RANGE)
RULE(bytes_over_the_largest, bytes = 32 * 1024 + 1, SUBMIT_SIZE)
RULE(end_that_goes_back, end = 0, SUBMIT_END)
RULE(end_that_covers_too_little, end = 15, SUBMIT_END)
RULE(end_that_overlaps_what_is_in_use, end = TX_BYTES + 9, SUBMIT_END)
RULE(end_that_overflows, end = UINT64_MAX, SUBMIT_END)
RULE(unknown_guarantee, guarantee = 4, SUBMIT_FIELD)
RULE(bytes_that_are_not_zero, zero[5] = 1, SUBMIT_FIELD)

Test(clients, C2_tail_out_of_range)
{
    start(0);
    send_text(0, "a");
    turn();
    atomic_store(&fake[0].up->words.submit_tail, 5000);
    expect_offence(CORE_OFFENCE_SUBMIT_TAIL);
}

Test(clients, C2_a_tail_that_breaks_between_leave_and_intake_does_not_hang_the_leave)
{
    start(0);
    atomic_store(&fake[0].up->words.submit_tail, 5000);
    cr_assert(eq(u32, clients_leave(&cs, 0), CS_OK));
    turn();
    order();
    cr_assert(zero(u32, groups.process_count));
    cr_assert(clients_end(&cs, 0, 1));
    turn();
    cr_assert_null(clients_find(&cs, 0));
}

/* More than one turn takes, so that some wait when the tail goes back behind them. */
static void send_many(void)
{
    for (int i = 0; i < 2 * CLIENTS_BATCH; i++)
        send_text(0, "m");
}

static void take_back(uint32_t count)
{
    atomic_store(&fake[0].up->words.submit_tail, fake[0].submit.tail - count);
}

Test(clients, C2_a_tail_that_goes_back_does_not_hang_the_leave_behind_it)
{
    start(0);
    send_many();
    cr_assert(eq(u32, clients_leave(&cs, 0), CS_OK));
    turn();
    take_back(1);
    turn();
    cr_assert(eq(int, event_count, 1));
    cr_assert(eq(u32, event[0].type, CORE_EVENT_EVICT));
    cr_assert(eq(u32, event[0].arg, CORE_OFFENCE_SUBMIT_TAIL));
    order();
    cr_assert(zero(u32, groups.process_count));
    cr_assert(clients_end(&cs, 0, 1));
    turn();
    cr_assert_null(clients_find(&cs, 0));
}

Test(clients, C2_a_tail_that_goes_back_when_the_client_has_ended_does_not_keep_its_record)
{
    start(0);
    send_many();
    cr_assert(clients_end(&cs, 0, 42)); /* somebody may still have the channel mapped */
    turn();
    take_back(1);
    turn();
    cr_assert_null(clients_find(&cs, 0));
    cr_assert(eq(u64, event[0].tag, 42));
    order();
    cr_assert(zero(u32, groups.process_count));
}

Test(clients, C2_a_rule_broken_before_a_leave_that_waits_does_not_hang_it)
{
    start(0);
    send_text(0, "a");
    push_raw((struct chan_submit){ .segment = 5 });
    push_raw(good());
    cr_assert(eq(u32, clients_leave(&cs, 0), CS_OK));
    turn();
    cr_assert(eq(str, (char *)story(1), "aL"));
}

Test(clients, a_closing_segment_goes_when_what_was_pushed_before_is_drained)
{
    start(0);
    send_text(0, "a");
    cr_assert(eq(u32, clients_segment_end(&cs, 0, 0), CS_OK));
    turn();
    cr_assert(zero(int, event_count));
    order();
    send_text(0, "b"); /* now it is no segment any more */
    turn();
    cr_assert(eq(u32, event[0].type, CORE_EVENT_EVICT));
    cr_assert(eq(u32, event[0].arg, CORE_OFFENCE_SUBMIT_SEGMENT));
}

Test(clients, an_idle_closing_segment_goes_by_itself)
{
    start(0);
    cr_assert(eq(u32, clients_segment_end(&cs, 0, 0), CS_OK));
    turn();
    cr_assert(eq(int, event_count, 1));
    cr_assert(eq(u32, event[0].type, CORE_EVENT_SEGMENT_GONE));
    cr_assert(eq(u32, atomic_load(&fake[0].down->retired), 1));
}

Test(clients, control_messages_wait_for_room_and_are_never_dropped)
{
    struct core_name name = { .bytes = CTL_NAME_BYTES };
    uint32_t joins = 0;
    for (int i = 0; i < 2000; i++) {
        if (clients_join(&cs, 0, 100, &name) == CS_OK)
            joins++;
        clients_leave(&cs, 0);
        turn();
        if (i % 700 == 699)
            order();
    }
    turn();
    order();
    turn();
    order();
    uint32_t seen = 0;
    for (uint32_t i = 0; i < taken_count; i++)
        seen += taken[i].payload.bytes == 8 + CTL_NAME_BYTES;
    cr_assert(eq(u32, seen, joins));
    cr_assert(zero(u32, groups.process_count));
    cr_assert(zero(u64, groups.malformed));
}

Test(clients, our_sync_is_urgent_and_comes_in_parts)
{
    char name[8];
    for (uint32_t i = 0; i < 2; i++)
        add(i + 1);
    for (uint32_t i = 0; i < 3; i++) {
        snprintf(name, sizeof(name), "g%u", i);
        join(i, 100 + i, name);
    }
    turn();
    order();
    uint32_t from = taken_count;
    groups_regular(&groups, (struct ring_id){ .seq = 4, .rep = 1 }, nodes, 1);
    turn();
    cr_assert(eq(str, (char *)story(from), "S"));
    cr_assert(eq(int, taken[from].urgent, 1));
    cr_assert(zero(u32, taken[from].port));
}

Test(clients, when_the_service_stops_everybody_leaves_safely)
{
    add(1);
    start(0);
    start(1);
    send_text(0, "a");
    clients_stop(&cs);
    cr_assert(eq(u32, atomic_load(&fake[0].down->state), CHAN_CLOSED));
    cr_assert_not(clients_all_sent(&cs));
    turn();
    cr_assert(clients_all_sent(&cs));
    cr_assert(eq(u32, taken[taken_count - 1].guarantee, GUARANTEE_SAFE));
    groups_regular(&groups, (struct ring_id){ .seq = 4, .rep = 1 }, nodes, 1);
    turn();
    cr_assert(eq(u32, taken[taken_count - 1].port, 0), "our SYNC,");
    cr_assert(eq(u32, taken[taken_count - 1].guarantee, GUARANTEE_AGREED), "and never SAFE");
    order();
    cr_assert(zero(u32, groups.process_count));
    cr_assert(eq(u32, join(0, 100, "g"), CS_ERR_TRY_AGAIN));
}
