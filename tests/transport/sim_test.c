/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The simulated network beyond the contract: what goes wrong on it, and that it does so again.
 */
#include "cluster.h"

#include <criterion/criterion.h>

#include <string.h>

enum { MANY = 400 };

/* Send frames 0..count) from party 0 to party 1, 16 at a time, and let all of them come in. */
static void stream(struct cluster *c, uint32_t first, uint32_t count)
{
    struct zcb *frame[16];

    for (uint32_t k = first; k < first + count; k += 16) {
        for (uint32_t i = 0; i < 16; i++)
            frame[i] = frame_make(c, 0, c->party[1].node_id, k + i, 40, 0, 0);
        send_all(c, 0, frame, 16);
    }
    while (sim_net_next_ns(c->net) != NS_NEVER)
        sim_net_advance(c->net, sim_net_next_ns(c->net));
}

/* Which frame is it? Seeds are told apart by two bytes. */
static uint32_t seed_of(const struct zcb *frame)
{
    for (uint32_t seed = 0; seed < 256; seed++) {
        if (frame->head[0] == frame_byte(seed, 0))
            return seed;
    }
    return UINT32_MAX;
}

static int take_all(struct cluster *c, int i, uint32_t *seeds)
{
    struct zcb *frame[32];
    int count = 0;
    int n;

    while ((n = transport_rx_burst(c->party[i].tp, frame, 32)) > 0) {
        for (int k = 0; k < n && seeds != NULL; k++)
            seeds[count + k] = seed_of(frame[k]);
        drop_all(frame, n);
        count += n;
    }
    return count;
}

static void faults_set(struct cluster *c, struct sim_faults faults)
{
    sim_net_faults(c->net, &faults);
}

Test(sim_net, G1_without_faults_all_arrive_once_in_order_and_in_time)
{
    struct cluster c;
    struct zcb *frame;
    uint32_t seed = 0;

    cluster_open(&c, SIM_COPIES, &(struct options){ .parties = 2, .seed = 7 });
    faults_set(&c, (struct sim_faults){ .delay_ns_least = 1000, .delay_ns_most = 5000 });
    for (int round = 0; round < 50; round++) {
        uint64_t sent_ns = sim_net_now_ns(c.net);
        for (uint32_t k = 0; k < 4; k++) {
            frame = frame_make(&c, 0, c.party[1].node_id, seed + k, 40, 0, 0);
            cr_assert_eq(transport_tx_burst(c.party[0].tp, &frame, 1), 1);
        }
        sim_net_advance(c.net, sent_ns + 999);
        cr_assert_eq(sim_net_waiting(c.net, c.party[1].node_id), 0);
        cr_assert_geq(sim_net_next_ns(c.net), sent_ns + 1000);
        sim_net_advance(c.net, sent_ns + 5000);
        cr_assert_eq(sim_net_waiting(c.net, c.party[1].node_id), 4);
        cr_assert_eq(sim_net_next_ns(c.net), NS_NEVER);
        for (uint32_t k = 0; k < 4; k++, seed++) {
            frame = receive_one(&c, 1);
            frame_check(frame, c.party[0].node_id, seed, 40);
            zcb_drop(frame, ZCB_HELD_OUT);
        }
    }
    cluster_close(&c);
}

Test(sim_net, G2_what_takes_no_time_arrives_when_time_is_next_moved)
{
    struct cluster c;
    struct zcb *frame;

    cluster_open(&c, SIM_COPIES, NULL);
    faults_set(&c, (struct sim_faults){ 0 });
    sim_net_advance(c.net, 12345);
    frame = frame_make(&c, 0, c.party[1].node_id, 1, 40, 0, 0);
    cr_assert_eq(transport_tx_burst(c.party[0].tp, &frame, 1), 1);
    cr_assert_eq(sim_net_waiting(c.net, c.party[1].node_id), 0);
    cr_assert_eq(sim_net_next_ns(c.net), 12345);
    sim_net_advance(c.net, 12345);
    cr_assert_eq(take_all(&c, 1, NULL), 1);
    cluster_close(&c);
}

/* All faults at once; the order and the bytes of what arrives, folded into one number. */
static uint64_t stormy_run(uint64_t seed)
{
    struct cluster c;
    struct zcb *frame[32];
    uint64_t fold = 0;
    int n;

    cluster_open(&c, SIM_COPIES, &(struct options){ .seed = seed });
    faults_set(&c, (struct sim_faults){ .loss_ppm = 100000,
                                        .duplicate_ppm = 100000,
                                        .reorder_ppm = 200000,
                                        .corrupt_ppm = 100000,
                                        .truncate_ppm = 100000,
                                        .delay_ns_most = 3000,
                                        .reorder_ns = 9000 });
    for (uint32_t round = 0; round < 60; round++) {
        for (int i = 0; i < 3; i++)
            send_one(&c, i, frame_make(&c, i, ZCB_TO_ALL, round, 30, 50, 2));
        for (int i = 0; i < 3; i++) {
            n = transport_rx_burst(c.party[i].tp, frame, 32);
            for (int k = 0; k < n; k++) {
                fold = fold * 31 + frame[k]->from + (uint64_t)i;
                for (uint32_t b = 0; b < frame[k]->head_bytes; b++)
                    fold = fold * 31 + frame[k]->head[b];
            }
            drop_all(frame, n);
        }
    }
    cluster_close(&c);
    return fold;
}

Test(sim_net, a_seed_repeats_a_run_to_the_bit)
{
    for (uint64_t seed = 1; seed <= 5; seed++)
        cr_assert_eq(stormy_run(seed), stormy_run(seed));
    cr_assert_neq(stormy_run(1), stormy_run(2));
}

Test(sim_net, loses_as_many_as_it_was_told)
{
    struct cluster c;

    cluster_open(&c, SIM_COPIES, NULL);
    faults_set(&c, (struct sim_faults){ .loss_ppm = 250000 });
    stream(&c, 0, MANY);
    int got = take_all(&c, 1, NULL);
    cr_assert(got > MANY / 2 && got < MANY * 9 / 10, "%d of %d", got, MANY);
    cr_assert_eq(sim_net_stats(c.net)->lost, (uint64_t)(MANY - got));
    cluster_close(&c);
}

Test(sim_net, duplicates_as_many_as_it_was_told)
{
    struct cluster c;

    cluster_open(&c, SIM_COPIES, &(struct options){ .rx_count = 1024 });
    faults_set(&c, (struct sim_faults){ .duplicate_ppm = 250000 });
    stream(&c, 0, MANY);
    int got = take_all(&c, 1, NULL);
    cr_assert(got > MANY * 11 / 10 && got < MANY * 3 / 2, "%d of %d", got, MANY);
    cr_assert_eq(sim_net_stats(c.net)->duplicated, (uint64_t)(got - MANY));
    cluster_close(&c);
}

Test(sim_net, reorders_and_loses_nothing_by_it)
{
    struct cluster c;
    uint32_t seeds[256];
    bool seen[256] = { false };
    int late = 0;

    cluster_open(&c, SIM_COPIES, NULL);
    faults_set(&c, (struct sim_faults){ .reorder_ppm = 300000, .reorder_ns = 20000 });
    stream(&c, 0, 256);
    cr_assert_eq(take_all(&c, 1, seeds), 256);
    for (int i = 0; i < 256; i++) {
        cr_assert(!seen[seeds[i]]);
        seen[seeds[i]] = true;
        late += i > 0 && seeds[i] < seeds[i - 1];
    }
    cr_assert_gt(late, 20);
    cluster_close(&c);
}

Test(sim_net, G4_corruption_turns_one_bit)
{
    struct cluster c;
    struct zcb *frame;
    int bits = 0;

    cluster_open(&c, SIM_COPIES, NULL);
    faults_set(&c, (struct sim_faults){ .corrupt_ppm = 1000000 });
    send_one(&c, 0, frame_make(&c, 0, c.party[1].node_id, 5, 40, 60, 1));
    frame = receive_one(&c, 1);
    cr_assert_eq(frame->head_bytes, 100);
    for (uint32_t k = 0; k < 100; k++)
        bits += __builtin_popcount(frame->head[k] ^ frame_byte(5, k));
    cr_assert_eq(bits, 1);
    zcb_drop(frame, ZCB_HELD_OUT);
    cluster_close(&c);
}

Test(sim_net, G4_truncation_leaves_the_beginning)
{
    struct cluster c;
    struct zcb *frame;

    cluster_open(&c, SIM_COPIES, NULL);
    faults_set(&c, (struct sim_faults){ .truncate_ppm = 1000000 });
    for (uint32_t k = 0; k < 50; k++) {
        send_one(&c, 0, frame_make(&c, 0, c.party[1].node_id, k, 40, 60, 1));
        frame = receive_one(&c, 1);
        cr_assert_lt(frame->head_bytes, 100);
        frame_check(frame, c.party[0].node_id, k, frame->head_bytes);
        zcb_drop(frame, ZCB_HELD_OUT);
    }
    cluster_close(&c);
}

Test(sim_net, a_cut_has_a_direction_and_takes_what_is_under_way)
{
    struct cluster c;
    struct zcb *frame;

    cluster_open(&c, SIM_COPIES, NULL);
    frame = frame_make(&c, 0, ZCB_TO_ALL, 1, 40, 0, 0);
    cr_assert_eq(transport_tx_burst(c.party[0].tp, &frame, 1), 1); /* under way to 1 and 2 */
    sim_net_cut(c.net, c.party[0].node_id, c.party[1].node_id, true);
    stream(&c, 1, 16);
    cr_assert_eq(take_all(&c, 1, NULL), 0);
    cr_assert_eq(take_all(&c, 2, NULL), 1);
    cr_assert_eq(sim_net_stats(c.net)->cut, 17);
    cr_assert_eq(drain(&c, 1, 0), 0); /* the way back is open */
    sim_net_cut(c.net, c.party[0].node_id, c.party[1].node_id, false);
    cr_assert_eq(drain(&c, 0, 1), 0);
    cluster_close(&c);
}

Test(sim_net, one_link_may_be_worse_than_the_others)
{
    struct cluster c;

    cluster_open(&c, SIM_COPIES, NULL);
    sim_net_link(c.net, c.party[0].node_id, c.party[1].node_id,
                 &(struct sim_faults){ .loss_ppm = 1000000 });
    for (uint32_t k = 0; k < 20; k++)
        send_one(&c, 0, frame_make(&c, 0, ZCB_TO_ALL, k, 40, 0, 0));
    cr_assert_eq(take_all(&c, 1, NULL), 0);
    cr_assert_eq(drain(&c, 0, 2), 20);
    sim_net_heal(c.net);
    cr_assert_eq(drain(&c, 0, 1), 0);
    cluster_close(&c);
}

Test(sim_net, healing_takes_all_faults_away)
{
    struct cluster c;

    cluster_open(&c, SIM_COPIES, &(struct options){ .rx_count = 1024 });
    faults_set(&c, (struct sim_faults){ .loss_ppm = 500000, .duplicate_ppm = 500000 });
    sim_net_cut(c.net, c.party[0].node_id, c.party[1].node_id, true);
    stream(&c, 0, 64);
    (void)take_all(&c, 1, NULL);
    sim_net_heal(c.net);
    stream(&c, 0, MANY);
    cr_assert_eq(take_all(&c, 1, NULL), MANY);
    cluster_close(&c);
}

static struct zcb *frame_in_bare_net(struct zcb_pool *pool, uint32_t dest)
{
    struct zcb *frame = zcb_get(pool, ZCB_HELD_OUT);

    frame->dest = dest;
    frame->head_bytes = 8;
    memset(frame->head, 1, 8);
    return frame;
}

/* Two endpoints on a net of which the test chooses everything. */
struct pair {
    struct sim_net *net;
    struct sim_config sim;
    struct zcb_arena arena;
    struct zcb_pool pool;
    struct transport *tp[2];
};

static void pair_open(struct pair *p, const struct sim_net_config *config)
{
    static const struct transport_node nodes[2] = { { .node_id = 1 }, { .node_id = 2 } };
    char why[256];

    cr_assert_eq(sim_net_create(&p->net, config), 0);
    p->sim = (struct sim_config){ .net = p->net };
    cr_assert_eq(
        zcb_arena_create(&p->arena, "sim-test", 64 * 128, 1, ZCB_PAGES_SMALL, ZCB_WRITER_CREATOR),
        0);
    cr_assert_eq(zcb_pool_create(
                     &p->pool, &p->arena,
                     &(struct zcb_pool_shape){ .slot_bytes = 128, .count = 64, .slices_max = 1 }),
                 0);
    for (uint32_t i = 0; i < 2; i++) {
        struct transport_config tc = { .node_id = i + 1,
                                       .nodes = nodes,
                                       .node_count = 2,
                                       .frame_bytes_max = 100,
                                       .rx_pool = &p->pool,
                                       .backend = &p->sim };
        cr_assert_eq(transport_sim.open(&p->tp[i], &tc, why, sizeof why), 0);
    }
}

static void pair_close(struct pair *p)
{
    for (int i = 0; i < 2; i++) {
        if (p->tp[i] != NULL)
            transport_sim.close(p->tp[i]);
    }
    zcb_pool_destroy(&p->pool);
    zcb_arena_destroy(&p->arena);
    sim_net_destroy(p->net);
}

Test(sim_net, a_full_inbox_loses_what_comes)
{
    struct pair p;
    struct zcb *frame[10];

    pair_open(&p, &(struct sim_net_config){ .inbox_frames = 4 });
    for (int i = 0; i < 10; i++)
        frame[i] = frame_in_bare_net(&p.pool, 2);
    cr_assert_eq(transport_tx_burst(p.tp[0], frame, 10), 10);
    sim_net_advance(p.net, 1);
    cr_assert_eq(sim_net_waiting(p.net, 2), 4);
    cr_assert_eq(sim_net_stats(p.net)->overflowed, 6);
    cr_assert_eq(transport_rx_burst(p.tp[1], frame, 10), 4);
    drop_all(frame, 4);
    pair_close(&p);
}

Test(sim_net, a_burst_may_be_taken_in_part)
{
    struct pair p;
    struct zcb *frame[8];
    int n;

    pair_open(&p, &(struct sim_net_config){ .seed = 3, .tx_short_ppm = 1000000 });
    for (int i = 0; i < 8; i++)
        frame[i] = frame_in_bare_net(&p.pool, 2);
    n = transport_tx_burst(p.tp[0], frame, 8);
    cr_assert_lt(n, 8);
    cr_assert_eq(transport_sim.stats(p.tp[0])->tx_again, 1);
    cr_assert_eq(p.pool.held[ZCB_HELD_OUT], (uint64_t)(8 - n)); /* still ours */
    drop_all(frame + n, 8 - n);
    pair_close(&p);
}

Test(sim_net, a_node_that_is_closed_receives_nothing_and_may_come_back)
{
    struct pair p;
    struct zcb *frame;

    pair_open(&p, &(struct sim_net_config){ .seed = 3 });
    transport_sim.close(p.tp[1]);
    p.tp[1] = NULL;
    frame = frame_in_bare_net(&p.pool, 2);
    cr_assert_eq(transport_tx_burst(p.tp[0], &frame, 1), 1);
    sim_net_advance(p.net, 1);
    cr_assert_eq(sim_net_stats(p.net)->nobody_home, 1);
    pair_close(&p);
}

Test(sim_net, links_are_down_for_whom_is_told_so)
{
    struct pair p;
    uint32_t nodes[NODE_COUNT_MAX], before;

    pair_open(&p, &(struct sim_net_config){ .seed = 3 });
    before = p.tp[0]->links;
    cr_assert_eq(transport_sim.links_down(p.tp[0], nodes), 0);
    sim_net_tell(p.net, 1, 2, true);
    cr_assert_neq(p.tp[0]->links, before);
    cr_assert_eq(transport_sim.links_down(p.tp[0], nodes), 1);
    cr_assert_eq(nodes[0], 2);
    cr_assert_eq(transport_sim.links_down(p.tp[1], nodes), 0);
    before = p.tp[0]->links;
    sim_net_tell(p.net, 1, 2, true); /* no news */
    cr_assert_eq(p.tp[0]->links, before);
    sim_net_heal(p.net);
    cr_assert_neq(p.tp[0]->links, before);
    cr_assert_eq(transport_sim.links_down(p.tp[0], nodes), 0);
    pair_close(&p);
}

Test(sim_net, G3_a_frame_by_reference_is_read_when_it_arrives)
{
    struct cluster c;
    struct zcb *frame, *got;

    cluster_open(&c, SIM_BY_REFERENCE, NULL);
    frame = frame_make(&c, 0, c.party[1].node_id, 1, 40, 0, 0);
    zcb_hold(frame, ZCB_HELD_RING);
    cr_assert_eq(transport_tx_burst(c.party[0].tp, &frame, 1), 1);
    cr_assert_eq(frame->held[ZCB_HELD_TRANSPORT], 1);
    cr_assert_eq(c.party[0].tp->ops->tx_reap(c.party[0].tp), 0);
    frame->head[7] ^= 0xff;
    got = receive_one(&c, 1);
    cr_assert_eq(got->head[7], frame_byte(1, 7) ^ 0xff);
    cr_assert_eq(frame->held[ZCB_HELD_TRANSPORT], 0);
    zcb_drop(got, ZCB_HELD_OUT);
    zcb_drop(frame, ZCB_HELD_RING);
    cluster_close(&c);
}
