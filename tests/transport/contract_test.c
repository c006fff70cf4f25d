/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What every backend owes its callers (transport.h), claim by claim, on each of them.
 */
#include "cluster.h"

#include <criterion/criterion.h>

/* A claim is one function that is given the backend; a test of each backend runs it. Those of DPDK
 * have a program of their own, and so have cards, for machines that have them. */
#define RUN(suite, backend, name) \
    Test(suite, name)             \
    {                             \
        name(backend);            \
    }
#if defined ON_CARDS
#define CLAIM(name)                                        \
    static void name(enum backend_index backend);          \
    RUN(pci_ipv4, DPDK_PCI_IPV4, name)                     \
    RUN(pci_ipv6_multicast, DPDK_PCI_IPV6_MULTICAST, name) \
    static void name(enum backend_index backend)
#elif defined HAVE_DPDK
#define CLAIM(name)                                               \
    static void name(enum backend_index backend);                 \
    RUN(memif_ipv4, DPDK_MEMIF_IPV4, name)                        \
    RUN(memif_ipv6, DPDK_MEMIF_IPV6, name)                        \
    RUN(af_packet_ipv4, DPDK_AF_PACKET_IPV4, name)                \
    RUN(af_packet_ipv6, DPDK_AF_PACKET_IPV6, name)                \
    RUN(af_packet_ipv4_multicast, DPDK_AF_PACKET_MULTICAST, name) \
    RUN(af_xdp_ipv4, DPDK_AF_XDP_IPV4, name)                      \
    RUN(filtered_ipv6_multicast, DPDK_FILTERED, name)             \
    static void name(enum backend_index backend)
#else
#define CLAIM(name)                                   \
    static void name(enum backend_index backend);     \
    RUN(udp_ipv4, UDP_IPV4, name)                     \
    RUN(udp_ipv6, UDP_IPV6, name)                     \
    RUN(udp_ipv4_multicast, UDP_IPV4_MULTICAST, name) \
    RUN(udp_ipv6_multicast, UDP_IPV6_MULTICAST, name) \
    RUN(sim, SIM_COPIES, name)                        \
    RUN(sim_by_reference, SIM_BY_REFERENCE, name)     \
    static void name(enum backend_index backend)
#endif

CLAIM(frames_of_every_length_arrive_byte_for_byte)
{
    struct cluster c;
    struct zcb *frame[16];

    cluster_open(&c, backend, &(struct options){ .parties = 2 });
    for (uint32_t bytes = 0; bytes <= FRAME_BYTES_MAX - 32; bytes += 16) {
        for (uint32_t k = 0; k < 16; k++)
            frame[k] = frame_make(&c, 0, c.party[1].node_id, bytes + k, 17 + k, bytes, 1);
        send_all(&c, 0, frame, 16);
        receive(&c, 1, frame, 16);
        for (uint32_t k = 0; k < 16; k++)
            frame_check(frame[k], c.party[0].node_id, bytes + k, 17 + k + bytes);
        drop_all(frame, 16);
    }
    send_one(&c, 0, frame_make(&c, 0, c.party[1].node_id, 3, 32, FRAME_BYTES_MAX - 32, 1));
    frame[0] = receive_one(&c, 1);
    frame_check(frame[0], c.party[0].node_id, 3, FRAME_BYTES_MAX);
    drop_all(frame, 1);
    cluster_close(&c);
}

CLAIM(a_head_and_sixteen_slices_arrive_as_one_frame)
{
    struct cluster c;
    struct zcb *frame;

    cluster_open(&c, backend, NULL);
    for (uint32_t pieces = 1; pieces <= 16; pieces++) { /* 5 bytes in 16 pieces: most are empty */
        send_one(&c, 0, frame_make(&c, 0, c.party[2].node_id, pieces, 40, 1000, pieces));
        send_one(&c, 0, frame_make(&c, 0, c.party[2].node_id, pieces, 1, 5, pieces));
        frame = receive_one(&c, 2);
        frame_check(frame, c.party[0].node_id, pieces, 1040);
        zcb_drop(frame, ZCB_HELD_OUT);
        frame = receive_one(&c, 2);
        frame_check(frame, c.party[0].node_id, pieces, 6);
        zcb_drop(frame, ZCB_HELD_OUT);
    }
    cluster_close(&c);
}

CLAIM(a_frame_may_be_as_long_as_was_agreed)
{
    struct cluster c;
    struct zcb *frame;
    uint32_t most = backends[backend].frame_bytes_most ? backends[backend].frame_bytes_most : 60000;

    cluster_open(&c, backend, &(struct options){ .frame_bytes_max = most, .rx_count = 64 });
    send_one(&c, 0, frame_make(&c, 0, c.party[1].node_id, 9, 100, most - 100, 3));
    frame = receive_one(&c, 1);
    frame_check(frame, c.party[0].node_id, 9, most);
    zcb_drop(frame, ZCB_HELD_OUT);
    cluster_close(&c);
}

CLAIM(T2_a_received_frame_is_all_head_and_one_empty_slice)
{
    struct cluster c;
    struct zcb *frame;

    cluster_open(&c, backend, NULL);
    send_one(&c, 1, frame_make(&c, 1, c.party[0].node_id, 1, 24, 300, 2));
    frame = receive_one(&c, 0);
    cr_assert_eq(frame->pool, &c.party[0].rx);
    cr_assert_eq(frame->head, c.party[0].arena.base + zcb_slot_offset(frame));
    cr_assert_eq(frame->head_bytes, 324);
    cr_assert_eq(frame->slice_count, 1);
    cr_assert_eq(frame->slice[0].bytes, 0);
    cr_assert_eq(frame->slice[0].arena, c.party[0].arena.id);
    cr_assert_eq(frame->slice[0].cookie, 0);
    cr_assert_eq(frame->payload_bytes, 0);
    cr_assert_eq(frame->refs, 1);
    cr_assert_eq(frame->held[ZCB_HELD_OUT], 1);
    zcb_drop(frame, ZCB_HELD_OUT);
    cluster_close(&c);
}

CLAIM(a_frame_for_one_node_reaches_that_node_only)
{
    struct cluster c;
    struct zcb *frame;

    cluster_open(&c, backend, NULL);
    send_one(&c, 0, frame_make(&c, 0, c.party[2].node_id, 5, 60, 0, 0));
    frame = receive_one(&c, 2);
    frame_check(frame, c.party[0].node_id, 5, 60);
    zcb_drop(frame, ZCB_HELD_OUT);
    cr_assert_eq(drain(&c, 0, 1), 0);
    cr_assert_eq(drain(&c, 0, 2), 0);
    cr_assert_eq(drain(&c, 1, 0), 0);
    cluster_close(&c);
}

CLAIM(a_frame_for_all_reaches_every_other_node_once)
{
    struct cluster c;
    struct zcb *frame;

    cluster_open(&c, backend, &(struct options){ .parties = 5 });
    c.party[3].tp->ops->members(c.party[3].tp, &c.party[3].node_id, 1); /* of no account here */
    send_one(&c, 3, frame_make(&c, 3, ZCB_TO_ALL, 8, 60, 100, 1));
    for (int i = 0; i < 5; i++) {
        if (i == 3)
            continue;
        frame = receive_one(&c, i);
        frame_check(frame, c.party[3].node_id, 8, 160);
        zcb_drop(frame, ZCB_HELD_OUT);
        cr_assert_eq(drain(&c, 3, i), 0);
    }
    cr_assert_eq(drain(&c, 0, 3), 0);
    cluster_close(&c);
}

/* With multicast others may hear it too: the ring tells foreign frames by itself. */
CLAIM(a_frame_for_the_ring_reaches_its_members)
{
    struct cluster c;
    uint32_t ring[4];
    struct transport_caps caps;
    const struct transport_stats *stats;
    uint64_t sent;

    cluster_open(&c, backend, &(struct options){ .parties = 5 });
    stats = c.party[0].tp->ops->stats(c.party[0].tp);
    c.party[0].tp->ops->query(c.party[0].tp, &caps);
    cr_assert_eq(caps.multicast, c.backend->multicast);
    send_one(&c, 0, frame_make(&c, 0, ZCB_TO_RING, 1, 60, 0, 0));
    for (int i = 1; i < 5; i++)
        cr_assert_eq(drain(&c, 0, i), 1); /* before the first members(): all */

    ring[0] = c.party[0].node_id;
    ring[1] = c.party[2].node_id;
    ring[2] = c.party[4].node_id;
    ring[3] = 999; /* no node */
    c.party[0].tp->ops->members(c.party[0].tp, ring, 4);
    send_one(&c, 0, frame_make(&c, 0, ZCB_TO_RING, 2, 60, 0, 0));
    cr_assert_eq(drain(&c, 0, 2), 1);
    cr_assert_eq(drain(&c, 0, 4), 1);
    if (!caps.multicast) {
        cr_assert_eq(drain(&c, 0, 1), 0);
        cr_assert_eq(drain(&c, 0, 3), 0);
    }
    c.party[0].tp->ops->members(c.party[0].tp, ring, 1); /* alone */
    sent = stats->tx_frames;
    send_one(&c, 0, frame_make(&c, 0, ZCB_TO_RING, 3, 60, 0, 0));
    cr_assert_eq(stats->tx_frames, sent);
    cr_assert_eq(drain(&c, 0, 2), 0);
    cr_assert_eq(drain(&c, 0, 4), 0);
    cluster_close(&c);
}

CLAIM(a_frame_that_cannot_go_is_counted_and_given_back)
{
    struct cluster c;
    struct zcb *frame[5];
    const struct transport_stats *stats;

    cluster_open(&c, backend, NULL);
    stats = c.party[0].tp->ops->stats(c.party[0].tp);
    frame[0] = frame_make(&c, 0, c.party[1].node_id, 1, 64, FRAME_BYTES_MAX - 63, 1); /* too long */
    frame[1] = frame_make(&c, 0, 12345, 2, 64, 0, 0);              /* to nobody */
    frame[2] = frame_make(&c, 0, c.party[0].node_id, 3, 64, 0, 0); /* to ourselves */
    frame[3] = frame_make(&c, 0, c.party[1].node_id, 4, 64, FRAME_BYTES_MAX - 64, 1);
    frame[4] = frame_make(&c, 0, ZCB_TO_ALL, 5, 64, FRAME_BYTES_MAX, 1); /* too long for all */
    send_all(&c, 0, frame, 5);
    frame[0] = receive_one(&c, 1);
    frame_check(frame[0], c.party[0].node_id, 4, FRAME_BYTES_MAX);
    zcb_drop(frame[0], ZCB_HELD_OUT);
    cr_assert_eq(stats->tx_errors, 4);
    cr_assert_eq(drain(&c, 0, 1), 0);
    cr_assert_eq(drain(&c, 1, 0), 0);
    cluster_close(&c);
}

CLAIM(T1_a_sent_frame_loses_one_reference_and_no_other)
{
    struct cluster c;
    struct zcb *frame;
    uint64_t begin_ns = clock_ns();

    cluster_open(&c, backend, NULL);
    frame = frame_make(&c, 0, ZCB_TO_ALL, 1, 64, 100, 1);
    zcb_hold(frame, ZCB_HELD_RING); /* as the window does until it is stable */
    for (int round = 1; round <= 3; round++) {
        if (round > 1)
            zcb_hold(frame, ZCB_HELD_OUT);
        send_one(&c, 0, frame);
        while (frame->refs > 1) {
            pump(&c);
            deadline_check(begin_ns, "the end of sending");
        }
        cr_assert_eq(frame->held[ZCB_HELD_RING], 1);
        zcb_pool_check(&c.party[0].tx);
        cr_assert_eq(drain(&c, 0, 1), 1);
        cr_assert_eq(drain(&c, 0, 2), 1);
    }
    zcb_drop(frame, ZCB_HELD_RING);
    pump(&c);
    cr_assert_eq(taken(&c.party[0].tx), 0);
    cluster_close(&c);
}

CLAIM(an_empty_pool_leaves_frames_for_later)
{
    struct cluster c;
    struct zcb *held[64], *frame[24];

    cluster_open(&c, backend, &(struct options){ .parties = 2, .rx_count = 64 });
    for (int i = 0; i < 64; i++)
        held[i] = zcb_get(&c.party[1].rx, ZCB_HELD_CLIENT);
    for (uint32_t k = 0; k < 24; k++)
        frame[k] = frame_make(&c, 0, c.party[1].node_id, k, 200, 0, 0);
    send_all(&c, 0, frame, 24);
    pump(&c);
    for (int turn = 0; turn < 100; turn++)
        cr_assert_eq(transport_rx_burst(c.party[1].tp, frame, 24), 0);
    cr_assert_gt(c.party[1].tp->ops->stats(c.party[1].tp)->rx_pool_empty, 0);
    zcb_drop(held[0], ZCB_HELD_CLIENT); /* one slot: frames come one by one */
    for (uint32_t k = 0; k < 8; k++) {
        struct zcb *one = receive_one(&c, 1);
        cr_assert_eq(transport_rx_burst(c.party[1].tp, frame, 24), 0);
        frame_check(one, c.party[0].node_id, k, 200);
        zcb_drop(one, ZCB_HELD_OUT);
    }
    for (int i = 1; i < 64; i++)
        zcb_drop(held[i], ZCB_HELD_CLIENT);
    receive(&c, 1, frame, 16);
    for (uint32_t k = 0; k < 16; k++)
        frame_check(frame[k], c.party[0].node_id, k + 8, 200);
    drop_all(frame, 16);
    zcb_pool_check(&c.party[1].rx);
    cluster_close(&c);
}

CLAIM(the_reserve_stays_in_the_pool)
{
    struct cluster c;
    struct zcb *frame[80];
    int got = 0, n;

    cluster_open(&c, backend, &(struct options){ .parties = 2, .rx_count = 64, .rx_reserve = 20 });
    for (uint32_t k = 0; k < 80; k++)
        frame[k] = frame_make(&c, 0, c.party[1].node_id, k, 100, 0, 0);
    send_all(&c, 0, frame, 80);
    receive(&c, 1, frame, 40); /* 64 - 20, and some may lie in the transport yet */
    for (got = 40; (n = transport_rx_burst(c.party[1].tp, frame + got, 80 - got)) > 0; got += n)
        ;
    cr_assert_leq(got, 44);
    cr_assert_eq(c.party[1].rx.free_count, c.backend->family != 0 ? 20 : 64 - (uint32_t)got);
    for (int k = 0; k < got; k++)
        frame_check(frame[k], c.party[0].node_id, (uint32_t)k, 100);
    drop_all(frame, got);
    for (uint64_t begin_ns = clock_ns(); got < 80; got += n) {
        n = transport_rx_burst(c.party[1].tp, frame, 80 - got);
        for (int k = 0; k < n; k++)
            frame_check(frame[k], c.party[0].node_id, (uint32_t)(got + k), 100);
        drop_all(frame, n);
        deadline_check(begin_ns, "the rest of the frames");
    }
    cr_assert_geq(c.party[1].rx.free_least, 20);
    cluster_close(&c);
}

CLAIM(more_than_a_burst_may_be_offered_and_asked_for)
{
    struct cluster c;
    struct zcb *frame[200];
    struct transport_caps caps;

    cluster_open(&c, backend, &(struct options){ .parties = 5 });
    c.party[0].tp->ops->query(c.party[0].tp, &caps);
    cr_assert_lt(caps.burst_max, 200);
    for (uint32_t k = 0; k < 200; k++) /* one node, all, one node, all */
        frame[k] = frame_make(&c, 0, k % 2 ? ZCB_TO_ALL : c.party[1].node_id, k, 60, 40, 16);
    send_all(&c, 0, frame, 200);
    cr_assert_eq(c.party[0].tp->ops->stats(c.party[0].tp)->tx_frames,
                 c.backend->multicast ? 200 : 500);
    if (!c.backend->multicast) { /* else order between the two ways is not kept */
        receive(&c, 1, frame, 200);
        for (uint32_t k = 0; k < 200; k++)
            frame_check(frame[k], c.party[0].node_id, k, 100);
        drop_all(frame, 200);
    } else {
        cr_assert_eq(drain(&c, 0, 1), 200);
    }
    for (int i = 2; i < 5; i++) {
        receive(&c, i, frame, 100);
        for (uint32_t k = 0; k < 100; k++)
            frame_check(frame[k], c.party[0].node_id, 2 * k + 1, 100);
        drop_all(frame, 100);
    }
    cluster_close(&c);
}

/* Backends send such runs as one; nobody may notice. */
CLAIM(frames_in_a_row_arrive_one_by_one_whatever_their_lengths)
{
    static const uint16_t bytes[] = { 100, 100, 100, 60, 60,  61,   61,   0,    0,    1,
                                      1,   1,   700, 0,  700, 1472, 1472, 1472, 1471, 1472,
                                      9,   9,   9,   9,  8,   8,    1473, 1473, 8,    8 };
    enum { COUNT = ARRAY_COUNT(bytes) };
    struct cluster c;
    struct zcb *frame[COUNT];

    cluster_open(&c, backend, NULL);
    for (int round = 0; round < 12; round++) {
        uint32_t dest = round % 3 == 0 ? ZCB_TO_ALL : c.party[1].node_id;
        int got = 0;

        for (uint32_t k = 0; k < COUNT; k++) {
            uint32_t head = bytes[k] < 40 ? bytes[k] : 40;
            frame[k] = frame_make(&c, 0, dest, k, head, bytes[k] - head, k % 17);
            if (k % 17 == 0) { /* all in the head */
                zcb_drop(frame[k], ZCB_HELD_OUT);
                frame[k] = frame_make(&c, 0, dest, k, bytes[k], 0, 0);
            }
        }
        send_all(&c, 0, frame, COUNT);
        receive(&c, 1, frame, COUNT - 2);
        for (uint32_t k = 0; k < COUNT; k++) {
            if (bytes[k] <= FRAME_BYTES_MAX)
                frame_check(frame[got++], c.party[0].node_id, k, bytes[k]);
        }
        drop_all(frame, COUNT - 2);
        cr_assert_eq(drain(&c, 0, 2), dest == ZCB_TO_ALL ? COUNT - 2 : 0);
    }
    cr_assert_eq(c.party[0].tp->ops->stats(c.party[0].tp)->tx_errors, 24);
    cluster_close(&c);
}

CLAIM(a_long_run_of_full_frames_arrives_in_order)
{
    struct cluster c;
    struct zcb *frame[96];

    cluster_open(&c, backend, NULL);
    for (int round = 0; round < 4; round++) {
        for (uint32_t k = 0; k < 96; k++)
            frame[k] = frame_make(&c, 0, ZCB_TO_RING, k, 64, FRAME_BYTES_MAX - 64, k % 15 + 1);
        send_all(&c, 0, frame, 96);
        for (int i = 1; i < 3; i++) {
            receive(&c, i, frame, 96);
            for (uint32_t k = 0; k < 96; k++)
                frame_check(frame[k], c.party[0].node_id, k, FRAME_BYTES_MAX);
            drop_all(frame, 96);
        }
    }
    cluster_close(&c);
}

CLAIM(closing_with_frames_in_flight_leaks_nothing)
{
    struct cluster c;
    struct zcb *frame[50];

    cluster_open(&c, backend, NULL);
    for (uint32_t k = 0; k < 50; k++)
        frame[k] = frame_make(&c, 0, ZCB_TO_ALL, k, 60, 40, 2);
    cr_assert_eq(transport_tx_burst(c.party[0].tp, frame, 50), 50);
    party_close(&c, 0);
    cr_assert_eq(taken(&c.party[0].tx), 0);
    pump(&c);
    if (!c.backend->forgets) {
        frame[0] = receive_one(&c, 1); /* what was sent before still arrives, whole */
        frame_check(frame[0], c.party[0].node_id, 0, 100);
        zcb_drop(frame[0], ZCB_HELD_OUT);
    }
    party_close(&c, 1); /* 49 more wait there */
    cr_assert_eq(taken(&c.party[1].rx), 0);
    party_open(&c, 1);
    reachable_wait(&c);
    send_one(&c, 2, frame_make(&c, 2, c.party[1].node_id, 77, 10, 0, 0));
    frame[0] = receive_one(&c, 1);
    frame_check(frame[0], c.party[2].node_id, 77, 10);
    zcb_drop(frame[0], ZCB_HELD_OUT);
    cluster_close(&c); /* pools are checked here */
}

CLAIM(a_peer_that_is_not_there_disturbs_nobody)
{
    struct cluster c;

    cluster_open(&c, backend, &(struct options){ .parties = 4 });
    party_close(&c, 1);
    for (uint32_t k = 0; k < 50; k++) {
        send_one(&c, 0, frame_make(&c, 0, c.party[1].node_id, k, 60, 0, 0));
        send_one(&c, 0, frame_make(&c, 0, ZCB_TO_ALL, k, 60, 0, 0));
        cr_assert_eq(drain(&c, 0, 2), 1);
        cr_assert_eq(drain(&c, 0, 3), 1);
        cr_assert_eq(drain(&c, 3, 0), 0); /* and we still receive */
    }
    cluster_close(&c);
}

static enum transport_rest rest_once(struct transport *tp)
{
    struct zcb *frame;
    enum transport_rest rest = tp->ops->arm(tp);
    if (rest == TRANSPORT_LOOK)
        cr_assert_eq(transport_rx_burst(tp, &frame, 1), 0);
    return rest;
}

/* Who has to be told first, is; and nothing came before he was. A card may want a pause behind an
 * interrupt, and give another for what it has told already: who sleeps would be back at once. */
static enum transport_rest rest(struct transport *tp, int sleep_fd)
{
    uint64_t begin_ns = clock_ns();
    enum transport_rest rest;
    while ((rest = rest_once(tp)) == TRANSPORT_NAP || readable(sleep_fd)) {
        cr_assert_neq(rest, TRANSPORT_SLEEP);
        if (rest == TRANSPORT_LOOK)
            tp->ops->disarm(tp);
        (void)tp->ops->tx_reap(tp);
        deadline_check(begin_ns, "rest");
    }
    return rest;
}

/* Party `to` lies down, and is to get up for a frame of party `from`. */
static void check_woken(struct cluster *c, int from, int to, uint32_t seed)
{
    struct transport *tp = c->party[to].tp;
    uint32_t dest = seed % 2 ? ZCB_TO_ALL : c->party[to].node_id;
    uint64_t begin_ns = clock_ns();
    struct transport_caps caps;

    tp->ops->query(tp, &caps);
    if (caps.sleep_fd < 0) {
        cr_assert_eq(tp->ops->arm(tp), TRANSPORT_NAP);
        return;
    }
    enum transport_rest told = rest(tp, caps.sleep_fd);
    send_one(c, from, frame_make(c, from, dest, seed, 60, 0, 0));
    while (!readable(caps.sleep_fd))
        deadline_check(begin_ns, "readiness");
    cr_assert(readable(caps.sleep_fd));
    if (told == TRANSPORT_LOOK)
        tp->ops->disarm(tp);
    zcb_drop(receive_one(c, to), ZCB_HELD_OUT);
    cr_assert(told == TRANSPORT_LOOK || !readable(caps.sleep_fd));
}

CLAIM(the_sleep_descriptor_is_readable_while_frames_wait)
{
    struct cluster c;

    cluster_open(&c, backend, NULL);
    for (uint32_t k = 0; k < 6; k++)
        check_woken(&c, 0, 1, k);
    cluster_close(&c);
}

CLAIM(T3_who_began_anew_wakes_others_and_is_woken)
{
    struct cluster c;

    cluster_open(&c, backend, NULL);
    party_close(&c, 0);
    party_open(&c, 0);
    reachable_wait(&c);
    check_woken(&c, 0, 1, 0);
    check_woken(&c, 1, 0, 2);
    cluster_close(&c);
}

CLAIM(counters_tell_what_went_and_came)
{
    struct cluster c;
    const struct transport_stats *tx, *rx;
    struct zcb *frame[10];

    cluster_open(&c, backend, NULL);
    tx = c.party[0].tp->ops->stats(c.party[0].tp);
    rx = c.party[1].tp->ops->stats(c.party[1].tp);
    for (uint32_t k = 0; k < 10; k++)
        frame[k] = frame_make(&c, 0, ZCB_TO_ALL, k, 60, 40, 2);
    send_all(&c, 0, frame, 10);
    receive(&c, 1, frame, 10);
    drop_all(frame, 10);
    cr_assert_eq(tx->tx_frames, c.backend->multicast ? 10 : 20);
    cr_assert_eq(tx->tx_bytes, tx->tx_frames * 100);
    cr_assert_eq(rx->rx_frames, 10);
    cr_assert_eq(rx->rx_bytes, 1000);
    cr_assert_eq(tx->tx_errors + tx->tx_again + rx->rx_pool_empty + rx->rx_too_long, 0);
    cluster_close(&c);
}
