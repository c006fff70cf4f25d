/* SPDX-License-Identifier: BSD-3-Clause */
#include "crowd.h"

/* What a tape between ring and transport shows, of three poll cores under virtual time. */

enum { ALL = 14, SNAP = 1500, TEXT_BYTES = 40 };

static struct tape_writer writer[CROWD_NODES + 1];
static struct tape_reader reader[CROWD_NODES + 1];
static uint8_t *tape[CROWD_NODES + 1];
static struct tape_record record;
static uint8_t bytes[SNAP + 8];

static void three(void)
{
    crowd_open(3);
    CROWD_UNTIL(crowd_is_one(ALL));
    for (uint32_t id = 1; id <= 3; id++) {
        crowd_join(crowd_client(id, 0, id * 10, 0), "g");
        tape[id] = aligned_alloc(CACHE_LINE_BYTES, align_up(tape_bytes(SNAP), CACHE_LINE_BYTES));
        memset(tape[id], 0, tape_bytes(SNAP));
        tape_writer_init(&writer[id], tape[id], SNAP, &(struct tape_about){ .node_id = id });
        cr_assert(zero(int, tape_reader_open(&reader[id], tape[id], tape_bytes(SNAP))));
    }
    crowd_run(NS_PER_S);
}

static void teardown(void)
{
    for (uint32_t id = 1; id <= 3; id++) {
        zcb_pool_check(&world.node[id].core->rx_pool);
        zcb_pool_check(&world.node[id].core->tx_pool);
        free(tape[id]);
    }
    crowd_close();
}

TestSuite(capture, .init = three, .fini = teardown, .timeout = 120);

static struct core *core_of(uint32_t id)
{
    return world.node[id].core;
}

static uint32_t capture_begin(uint32_t id)
{
    return crowd_command(
        id, (struct core_command){ .type = CORE_CAPTURE_BEGIN, .in.tape = &writer[id] });
}

static uint32_t capture_end(uint32_t id)
{
    return crowd_command(id, (struct core_command){ .type = CORE_CAPTURE_END });
}

/* Small messages, and now and then one that takes many frames. */
static void send_some(int count)
{
    static const uint8_t large[100000];
    char text[TEXT_BYTES];
    for (int i = 0; i < count; i++) {
        for (uint32_t id = 1; id <= 3; id++) {
            snprintf(text, sizeof(text), "%u.%d", id, i);
            CROWD_UNTIL(crowd_send(&crowd[id].client[0], text));
        }
        if (i % 10 == 0)
            crowd_step(NS_PER_MS);
        if (i % 50 == 0)
            CROWD_UNTIL(
                fake_client_send(&crowd[1].client[0].fake, large, sizeof(large), GUARANTEE_AGREED));
    }
    crowd_run(NS_PER_S);
}

Test(capture, while_nobody_captures_nothing_is_copied)
{
    send_some(300);
    for (uint32_t id = 1; id <= 3; id++) {
        cr_assert(
            ne(u64, core_of(id)->transport->ops->stats(core_of(id)->transport)->tx_frames, 0));
        cr_assert(zero(u64, core_of(id)->stats.frames_captured));
    }
}

/* The next frame on node 1's tape that went to node 2. */
static bool next_sent(void)
{
    while (tape_read(&reader[1], &record, bytes)) {
        bool for_2 = record.peer == 2 || record.peer == ZCB_TO_ALL || record.peer == ZCB_TO_RING;
        if (record.direction == TAPE_SENT && for_2)
            return true;
    }
    return false;
}

/* The next frame on node 2's tape that came from node 1. */
static bool next_received(struct tape_record *r, uint8_t *to)
{
    while (tape_read(&reader[2], r, to)) {
        if (r->direction == TAPE_RECEIVED && r->peer == 1)
            return true;
    }
    return false;
}

/* A transport that is done with frames as soon as it has taken them. */
static int tx_burst_done(struct transport *tp, struct zcb **frames, int count)
{
    int sent = transport_sim.tx_burst(tp, frames, count);
    transport_sim.tx_reap(tp);
    for (int i = 0; i < sent; i++) {
        if (frames[i]->refs == 0)
            memset(frames[i]->head, 0xdd, frames[i]->head_bytes);
    }
    return sent;
}

/* The network loses nothing and keeps the order; the transport takes less than it is offered. */
Test(capture, what_one_node_sends_the_other_receives_byte_for_byte)
{
    struct tape_record came;
    uint8_t came_bytes[SNAP + 8];
    int count = 0, under_way = 0;
    struct transport_ops done = transport_sim;
    done.tx_burst = tx_burst_done;
    core_of(1)->transport->ops = &done;
    world.net->config.tx_short_ppm = 300000;
    cr_assert(eq(u32, capture_begin(2), CS_OK));
    cr_assert(eq(u32, capture_begin(1), CS_OK));
    send_some(300);
    cr_assert(next_sent());
    while (next_received(&came, came_bytes)) {
        bool same = came.frame_bytes == record.frame_bytes &&
                    memcmp(came_bytes, bytes, record.kept_bytes) == 0;
        if (count == 0 && !same) { /* sent before node 1's tape began */
            under_way++;
            continue;
        }
        cr_assert(same, "frame %d", count);
        cr_assert(eq(u32, record.kept_bytes, record.frame_bytes));
        count++;
        if (!next_sent())
            break;
    }
    cr_assert(lt(int, 50, count));
    cr_assert(lt(int, under_way, 10));
    cr_assert(not(next_received(&came, came_bytes)), "node 1 did not send it");
    core_of(1)->transport->ops = &transport_sim;
}

Test(capture, every_frame_of_the_transport_is_on_the_tape_once)
{
    const struct transport_stats *stats = core_of(3)->transport->ops->stats(core_of(3)->transport);
    capture_begin(3);
    uint64_t received = stats->rx_frames, sent = stats->tx_frames, on_tape[3] = { 0 };
    while (tape_read(&reader[3], &record, bytes))
        continue;
    send_some(300);
    while (tape_read(&reader[3], &record, bytes)) {
        bool for_many = record.peer == ZCB_TO_ALL || record.peer == ZCB_TO_RING;
        on_tape[record.direction] += record.direction == TAPE_SENT && for_many ? 2 : 1;
        cr_assert(le(u64, record.time_ns, core_of(3)->now_ns));
    }
    cr_assert(eq(u64, on_tape[TAPE_RECEIVED], stats->rx_frames - received));
    cr_assert(eq(u64, on_tape[TAPE_SENT], stats->tx_frames - sent));
    cr_assert(zero(u64, reader[3].lost));
}

Test(capture, K4_after_its_end_nothing_is_written)
{
    capture_begin(1);
    send_some(100);
    cr_assert(eq(u32, capture_end(1), CS_OK));
    uint64_t written = writer[1].written;
    cr_assert(ne(u64, written, 0));
    memset(&writer[1], 0, sizeof(writer[1])); /* it is ours again */
    send_some(100);
    cr_assert(eq(u64, core_of(1)->stats.frames_captured, written));
}

Test(capture, a_reader_that_sleeps_slows_nobody_and_knows_what_it_lost)
{
    uint64_t taken = 0;
    capture_begin(1);
    while (writer[1].written < 2 * reader[1].slot_count)
        send_some(1000);
    while (tape_read(&reader[1], &record, bytes))
        taken++;
    cr_assert(lt(u64, reader[1].slot_count / 2, reader[1].lost));
    cr_assert(eq(u64, taken + reader[1].lost, core_of(1)->stats.frames_captured));
}
