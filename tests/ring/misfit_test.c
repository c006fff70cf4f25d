/* SPDX-License-Identifier: BSD-3-Clause */
#include "inner.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

/* Nodes that are set up wrongly disturb nobody but themselves. We are node 1. */

enum { ANY_INCARNATION = 77 };

static struct inner in;
static struct ring_out out;

/* How many JOINs of ours alone were the answer. */
static int receive(struct ring *r, struct zcb *frame, uint32_t address_of)
{
    int answers = 0;
    frame->from = address_of;
    ring_recv(r, r->now_ns + NS_PER_MS, &frame, 1, &out);
    for (int i = 0; i < out.send_count; i++) {
        const struct wire_join *join = (const struct wire_join *)(const void *)out.send[i]->head;
        answers += join->head.type == WIRE_JOIN && out.send[i]->dest == address_of &&
                   join->proc_count == 1 && join->id[0] == 1;
        zcb_drop(out.send[i], ZCB_HELD_OUT);
    }
    return answers;
}

static struct wire_join *join_of(struct zcb *frame, uint32_t sender, uint32_t frame_bytes_max)
{
    uint32_t bytes = wire_join_bytes(1, 0);
    wire_control_head(frame, WIRE_JOIN, 1, sender, (struct ring_id){ .seq = 8, .rep = sender },
                      bytes);
    struct wire_join *join = (struct wire_join *)(void *)frame->head;
    memset(&join->proc_count, 0, bytes - sizeof(join->head));
    join->proc_count = 1;
    join->version_low = WIRE_VERSION_LOW;
    join->version_high = WIRE_VERSION_HIGH;
    join->frame_bytes_max = frame_bytes_max;
    join->incarnation = ANY_INCARNATION;
    join->id[0] = sender;
    return join;
}

static struct zcb *beacon_of(uint32_t sender)
{
    struct zcb *frame = zcb_get(&in.pool, ZCB_HELD_OUT);
    wire_control_head(frame, WIRE_BEACON, 1, sender, (struct ring_id){ .seq = 8, .rep = sender },
                      sizeof(struct wire_beacon));
    struct wire_beacon *beacon = (struct wire_beacon *)(void *)frame->head;
    beacon->member_count = 1;
    beacon->zero = 0;
    return frame;
}

static int count_traces(struct ring *r, enum ring_trace_kind kind)
{
    struct ring_trace trace;
    int count = 0;
    while (ring_trace_next(r, &trace))
        count += trace.kind == (uint32_t)kind;
    return count;
}

Test(misfit, who_goes_by_the_id_of_another_is_not_heard_and_told_of_once)
{
    struct ring *r = inner_make(&in, 3);
    for (int i = 0; i < 5; i++) {
        struct zcb *frame = zcb_get(&in.pool, ZCB_HELD_OUT);
        join_of(frame, i == 4 ? 1 : 2, INNER_FRAME_BYTES);
        receive(r, frame, 3);
        receive(r, beacon_of(2), 3);
    }
    cr_expect(eq(int, (int)r->state, RING_OPERATIONAL));
    cr_expect(eq(u64, r->stats.rx_foreign, 10));
    cr_expect(eq(int, count_traces(r, RING_TRACE_IMPOSTOR), 1));

    struct zcb *frame = zcb_get(&in.pool, ZCB_HELD_OUT);
    join_of(frame, 2, INNER_FRAME_BYTES);
    receive(r, frame, 2);
    cr_expect(eq(int, (int)r->state, RING_GATHER));
    inner_end(&in);
}

Test(misfit, a_node_of_another_cluster_is_told_of_once)
{
    struct ring *r = inner_make(&in, 3);
    for (int i = 0; i < 3; i++) {
        struct zcb *frame = beacon_of(3);
        ((struct wire_head *)(void *)frame->head)->cluster_tag++;
        receive(r, frame, 3);
    }
    cr_expect(eq(int, (int)r->state, RING_OPERATIONAL));
    cr_expect(eq(u64, r->stats.rx_foreign, 3));
    cr_expect(eq(int, count_traces(r, RING_TRACE_OTHER_CLUSTER), 1));
    inner_end(&in);
}

Test(misfit, who_goes_by_the_id_of_another_is_told_of_though_its_join_was_missed)
{
    struct ring *r = inner_make(&in, 3);
    receive(r, beacon_of(2), 3);
    receive(r, beacon_of(2), 3);
    cr_expect(eq(int, count_traces(r, RING_TRACE_IMPOSTOR), 1));
    struct zcb *frame = zcb_get(&in.pool, ZCB_HELD_OUT);
    join_of(frame, 2, INNER_FRAME_BYTES);
    receive(r, frame, 3);
    cr_expect(eq(int, count_traces(r, RING_TRACE_IMPOSTOR), 0));
    frame = zcb_get(&in.pool, ZCB_HELD_OUT);
    join_of(frame, 2, INNER_FRAME_BYTES)->incarnation++;
    receive(r, frame, 3);
    cr_expect(eq(int, count_traces(r, RING_TRACE_IMPOSTOR), 1));
    inner_end(&in);
}

Test(misfit, who_is_refused_hears_what_we_are_at_its_start_and_when_it_gathers_for_us)
{
    struct ring *r = inner_make(&in, 3);
    struct node_set two = { { 3 } };
    configuration_set(r, &r->my_ring, r->my_ring.id, two);
    for (int i = 0; i < 4; i++) {
        struct zcb *frame = zcb_get(&in.pool, ZCB_HELD_OUT);
        struct wire_join *join = join_of(frame, 3, INNER_FRAME_BYTES - 200);
        if (i == 2) { /* it heard our beacon, and wants us */
            join->id[0] = 1;
        }
        int answers = receive(r, frame, 3);
        cr_expect(eq(int, answers, i == 0 || i == 2), "JOIN %d", i);
    }
    inner_end(&in);
}

Test(misfit, who_was_refused_for_its_frames_does_not_make_us_gather)
{
    struct ring *r = inner_make(&in, 3);
    struct node_set two = { { 3 } };
    configuration_set(r, &r->my_ring, r->my_ring.id, two);
    for (int i = 0; i < 5; i++) {
        struct zcb *frame = zcb_get(&in.pool, ZCB_HELD_OUT);
        join_of(frame, 3, INNER_FRAME_BYTES - 200);
        receive(r, frame, 3);
        receive(r, beacon_of(3), 3);
        cr_assert(eq(int, (int)r->state, RING_OPERATIONAL));
    }
    cr_expect(eq(int, count_traces(r, RING_TRACE_REFUSED), 1));

    /* Set right and started again it is as welcome as anybody. */
    struct zcb *frame = zcb_get(&in.pool, ZCB_HELD_OUT);
    join_of(frame, 3, INNER_FRAME_BYTES)->incarnation++;
    receive(r, frame, 3);
    cr_expect(eq(int, (int)r->state, RING_GATHER));
    inner_end(&in);
}
