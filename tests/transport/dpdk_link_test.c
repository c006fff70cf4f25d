/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * When a peer whose MAC is not known is asked for: not at some time, which would be long, but when
 * there is reason to. Time is taken out of it: nobody is to be asked for until eternity.
 */
#include "cluster.h"
#include "dpdk/dpdk.h"

#include <criterion/criterion.h>

static struct dpdk *forgetful(struct cluster *c, enum backend_index backend)
{
    cluster_open(c, backend, &(struct options){ .parties = 2 });
    struct dpdk *d = dpdk_of(c->party[0].tp);
    d->peers.item[1].state = PEER_UNKNOWN;
    d->link.ask_ns[1] = NS_NEVER;
    return d;
}

static void end(struct cluster *c)
{
    (void)drain(c, 0, 1);
    cluster_close(c);
}

static void wait_for_mac(struct cluster *c, struct dpdk *d)
{
    uint64_t begin_ns = clock_ns();
    struct zcb *frame;
    while (!peer_map_mac(&d->peers, 1)) {
        for (int i = 0; i < c->count; i++)
            while (transport_rx_burst(c->party[i].tp, &frame, 1) == 1)
                zcb_drop(frame, ZCB_HELD_OUT);
        pump(c);
        deadline_check(begin_ns, "a question, and the answer to it");
    }
}

Test(dpdk_link, K1_a_frame_for_a_peer_without_a_MAC_has_it_asked_for)
{
    struct cluster c;
    struct dpdk *d = forgetful(&c, DPDK_AF_PACKET_IPV4);

    send_one(&c, 0, frame_make(&c, 0, c.party[1].node_id, 1, 40, 60, 1));
    wait_for_mac(&c, d);
    end(&c);
}

/* memif, as packet sockets never say that their link is down. */
Test(dpdk_link, K1_a_link_that_comes_up_has_peers_without_a_MAC_asked_for)
{
    struct cluster c;
    struct dpdk *d = forgetful(&c, DPDK_MEMIF_IPV4);
    uint64_t begin_ns = clock_ns();

    party_close(&c, 1);
    while (d->link.ask_ns[1] > d->link.now_ns) {
        pump(&c);
        deadline_check(begin_ns, "readiness to ask");
    }
    cr_assert_not(d->port[0].up);
    cluster_close(&c);
}

/* A hundred of them in a row are one reason, not a hundred. */
Test(dpdk_link, K1_frames_for_a_peer_do_not_make_a_storm_of_questions)
{
    struct cluster c;
    struct dpdk *d = forgetful(&c, DPDK_AF_PACKET_IPV4);
    uint64_t asked_ns;

    party_close(&c, 1);
    send_one(&c, 0, frame_make(&c, 0, c.party[1].node_id, 1, 40, 60, 1));
    for (uint64_t begin_ns = clock_ns(); d->link.ask_ns[1] > d->link.now_ns + NS_PER_S;) {
        pump(&c);
        deadline_check(begin_ns, "a question");
    }
    asked_ns = d->link.asked_ns[1];
    for (int i = 0; i < 100; i++)
        send_one(&c, 0, frame_make(&c, 0, c.party[1].node_id, 1, 40, 60, 1));
    pump(&c);
    cr_assert(d->link.asked_ns[1] == asked_ns || d->link.asked_ns[1] >= asked_ns + 90 * NS_PER_MS);
    cluster_close(&c);
}
