/* SPDX-License-Identifier: BSD-3-Clause */
#include "inner.h"

#include <string.h>

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

/* What keeps a rotation of a large ring short, and its gathering cheap. */

enum { MEMBERS = 8, FRAMES = 100 };

static struct inner in;
static struct ring *r;

static void setup(void)
{
    r = inner_make(&in, MEMBERS);
    while (r->send_head != r->send_tail) /* its first JOIN */
        zcb_drop(r->send[r->send_head++ % SENDS_MAX], ZCB_HELD_OUT);
}

static void teardown(void)
{
    inner_end(&in);
}

TestSuite(large, .init = setup, .fini = teardown);

/* All have these, and so have our clients. */
static void frames_to_let_go(void)
{
    for (uint64_t seq = 1; seq <= FRAMES; seq++)
        inner_put(&in, r->cur, seq);
    r->cur->high_delivered = r->cur->safe_seq = FRAMES;
}

static void drop_sends(struct ring_out *out)
{
    for (int i = 0; i < out->send_count; i++)
        zcb_drop(out->send[i], ZCB_HELD_OUT);
}

Test(large, the_token_goes_out_before_frames_are_let_go)
{
    static struct ring_out out;
    frames_to_let_go();
    cr_assert(send_token(r));
    ring_continue(r, r->now_ns, &out);
    cr_assert(eq(int, out.send_count, 1));
    cr_assert(eq(u64, in.pool.held[ZCB_HELD_RING], FRAMES));
    cr_assert(out.more, "or they would stay until somebody calls");
    drop_sends(&out);

    ring_continue(r, r->now_ns, &out);
    cr_assert(eq(u64, in.pool.held[ZCB_HELD_RING], 0));
    cr_assert(not(out.more));
}

Test(large, without_anything_to_send_frames_are_let_go_at_once)
{
    static struct ring_out out;
    frames_to_let_go();
    ring_continue(r, r->now_ns, &out);
    cr_assert(eq(u64, in.pool.held[ZCB_HELD_RING], 0));
    cr_assert(not(out.more));
}

Test(large, who_comes_next_is_found_in_a_ring_of_any_size)
{
    for (int count = 1; count <= NODE_COUNT_MAX; count++) {
        struct configuration c = { .count = count };
        for (int i = 0; i < count; i++)
            c.member[i] = 10 + 3 * (uint32_t)i;
        for (int i = 0; i < count; i++) {
            uint32_t next = c.member[(i + 1) % count];
            cr_assert(eq(u32, configuration_next(&c, c.member[i]), next), "%d of %d", i, count);
        }
        cr_assert(eq(u32, configuration_next(&c, 1), 10));
        cr_assert(eq(u32, configuration_next(&c, 11), count > 1 ? 13 : 10));
    }
}

Test(large, the_token_speaks_for_all_members_and_for_nobody_else)
{
    const uint64_t token_ns = 5 * NS_PER_S;
    struct node_set memb = r->my_ring.memb;
    set_remove(&memb, 6);
    configuration_set(r, &r->my_ring, r->my_ring.id, memb);
    r->alive_ns[3] = token_ns + 7; /* heard by itself since */
    r->now_ns = token_ns;
    token_sign(r);
    r->now_ns += NS_PER_MS;
    gather_enter(r, RING_REASON_TOKEN_LOST);
    for (int i = 0; i < MEMBERS; i++) {
        uint64_t alive_ns = i == 6 ? 0 : token_ns + (i == 3 ? 7 : 0);
        cr_assert(eq(u64, r->alive_ns[i], alive_ns), "%d", i);
    }
}

Test(large, the_token_of_a_ring_speaks_no_more_when_the_next_one_is_formed)
{
    const uint64_t token_ns = 5 * NS_PER_S;
    r->now_ns = token_ns;
    token_sign(r);
    struct node_set memb = set_or(set_of(0), set_of(1));
    configuration_set(r, &r->my_new_ring, (struct ring_id){ .seq = 8, .rep = 1 }, memb);
    r->state = RING_COMMIT;
    r->now_ns += NS_PER_MS;
    recovery_enter(r);
    gather_enter(r, RING_REASON_RECOVERY_LOST);
    for (int i = 0; i < MEMBERS; i++)
        cr_assert(eq(u64, r->alive_ns[i], token_ns + (i < 2 ? NS_PER_MS : 0)), "%d", i);
}

/* Of a visit that sends so many frames, those that go before the token. */
static int frames_before_token(uint32_t frames)
{
    static const uint8_t payload[INNER_FRAME_BYTES];
    struct ring_message message = { .payload = { .data = payload, .bytes = 1300, .arena = 1 },
                                    .guarantee = GUARANTEE_AGREED };
    int all = 0, token_at = -1;
    r->token = (struct token){ .free_min = 10000, .free_next = 10000 };
    r->gate_open = true;
    for (uint32_t i = 0; i < frames; i++)
        cr_assert(eq(int, ring_submit(r, &message), 0));
    token_visit(r, false);
    for (uint32_t i = r->send_head; i != r->send_tail; i++, all++) {
        const struct wire_data *data = frame_data(r->send[i % SENDS_MAX]);
        token_at = data->head.type == WIRE_TOKEN ? all : token_at;
    }
    cr_assert(ne(int, token_at, -1));
    cr_assert(eq(int, all, (int)frames + 1));
    return token_at;
}

Test(large, half_of_a_batch_goes_before_the_token)
{
    cr_assert(eq(int, frames_before_token(8), 4));
}

Test(large, a_batch_that_is_sent_to_each_goes_behind_the_token)
{
    r->config.fan_out = true;
    cr_assert(eq(int, frames_before_token(8), 0));
}

Test(large, of_a_batch_that_is_sent_to_each_no_more_goes_behind_the_token_than_was_configured)
{
    r->config.fan_out = true;
    r->config.accelerated_frames = 3;
    flow_reset(r);
    cr_assert(eq(int, frames_before_token(8), 5));
}

Test(large, a_lone_frame_goes_before_the_token_whether_it_is_sent_to_each_or_not)
{
    r->config.fan_out = true;
    cr_assert(eq(int, frames_before_token(1), 1));
}

static uint8_t bulk_payload[RING_BULK_FREE_BYTES + 1];

static void submit_bulk(uint32_t bytes)
{
    struct ring_message message = { .payload = { .data = bulk_payload, .bytes = bytes, .arena = 1 },
                                    .guarantee = GUARANTEE_AGREED };
    cr_assert(eq(int, ring_submit(r, &message), 0));
}

/* The token comes, and nothing was in its way since the last time. Messages that end with it. */
static uint64_t visit(void)
{
    uint64_t before = r->pack.messages;
    r->token.fcc = r->my_sent;
    r->cur->safe_seq = r->cur->high_delivered = r->cur->my_aru;
    window_let_go(r->cur);
    token_visit(r, false);
    while (r->send_head != r->send_tail)
        zcb_drop(r->send[r->send_head++ % SENDS_MAX], ZCB_HELD_OUT);
    return r->pack.messages - before;
}

static void visits_begin(void)
{
    r->token = (struct token){ .free_min = 10000, .free_next = 10000 };
    r->gate_open = true;
}

Test(large, a_visit_of_the_token_takes_as_many_bulk_messages_as_its_window_has_room_for)
{
    visits_begin();
    r->config.personal_frames = 10;
    flow_reset(r);
    for (int i = 0; i < 5; i++)
        submit_bulk(3 * 1300);
    cr_assert(eq(u64, visit(), 3)); /* and one frame of the next */
    cr_assert(eq(u64, r->token.seq, 10));
    cr_assert(eq(u64, visit(), 2));
    cr_assert(eq(u64, r->token.seq, 15));
}

Test(large, permission_is_asked_for_when_it_is_the_large_message_s_turn_and_given_back_with_it)
{
    visits_begin();
    submit_bulk(3 * 1300);
    submit_bulk(RING_BULK_FREE_BYTES + 1);
    r->token.bulk_owner = r->my_ring.member[1];
    cr_assert(eq(u64, visit(), 1));
    cr_assert(eq(u64, visit(), 0)); /* another has it */
    cr_assert(eq(u64, r->token.seq, 3));
    r->token.bulk_owner = NODE_NONE;
    cr_assert(eq(u64, visit(), 0));
    cr_assert(eq(u32, r->token.bulk_owner, r->config.node_id));
    while (visit() == 0)
        cr_assert(eq(u32, r->token.bulk_owner, r->config.node_id));
    cr_assert(eq(u32, r->token.bulk_owner, NODE_NONE));
}

/* A JOIN of node 4 that names ids we do and do not have. */
Test(large, of_a_join_we_take_the_nodes_that_we_know)
{
    static const uint32_t node[MEMBERS] = { 1, 4, 6, 9, 20, 21, 300, 4000 };
    static const uint32_t named[] = { 2, 4, 5, 9, 21, 22, 4000, 5000, /* failed: */ 3, 6, 301 };
    struct {
        struct wire_join join;
        uint32_t id[ARRAY_COUNT(named)];
    } wire = { .join = { .head = { .sender = 4, .ring_seq = 4, .ring_rep = 1 },
                         .proc_count = 8,
                         .fail_count = 3,
                         .version_low = WIRE_VERSION_LOW,
                         .version_high = WIRE_VERSION_HIGH,
                         .frame_bytes_max = INNER_FRAME_BYTES,
                         .incarnation = 5 } };
    memcpy(r->node, node, sizeof(node));
    memcpy(wire.join.id, named, sizeof(named));
    configuration_set(r, &r->my_ring, (struct ring_id){ .seq = 4, .rep = 1 }, set_of(0));
    gather_enter(r, RING_REASON_TOKEN_LOST);
    join_receive(r, &wire.join);

    struct node_set proc = { { 1 | 1 << 1 | 1 << 2 | 1 << 3 | 1 << 5 | 1 << 7 } };
    cr_assert(set_equal(r->gather.my_proc_set, proc));
    cr_assert(set_equal(r->gather.my_fail_set, set_of(2)));
}
