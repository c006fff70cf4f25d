/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * When a peer whose MAC is not known is asked for: not at some time, which would be long, but when
 * there is reason to. Time is taken out of it: nobody is to be asked for until eternity.
 */
#include "cluster.h"
#include "dpdk/dpdk.h"

#include <criterion/criterion.h>

#include <string.h>

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

enum { GATEWAY = 2 }; /* behind the two nodes */
static const char gateway_address[] = "10.92.7.100";

/* What is known of the gateway is so old, until it is asked for and says that it has this MAC. */
static void confirm_wait(struct cluster *c, struct dpdk *d, const struct mac *mac, uint64_t age_ns)
{
    struct peer_entry *gateway = &d->peers.item[GATEWAY];
    uint64_t begin_ns = clock_ns(), asked_ns = d->link.asked_ns[GATEWAY];
    struct zcb *frame;
    while (d->link.asked_ns[GATEWAY] == asked_ns || !mac_equal(&gateway->mac, mac) ||
           gateway->heard_ns < d->link.asked_ns[GATEWAY]) {
        gateway->heard_ns = d->link.now_ns - age_ns;
        pump(c);
        while (transport_rx_burst(c->party[0].tp, &frame, 1) == 1)
            zcb_drop(frame, ZCB_HELD_OUT);
        deadline_check(begin_ns, "the gateway's answer");
    }
}

static struct mac template_mac(const struct packet_template *t)
{
    struct mac mac;
    memcpy(&mac, t->head + PACKET_HEAD_ROOM - t->head_bytes, sizeof(mac));
    return mac;
}

/* Packets go by the gateway's MAC, and it is not the peer's own frames that say which that is. */
Test(dpdk_link, K4_a_routed_peer_is_reached_by_the_gateway_which_is_asked_for_again)
{
    static const struct mac second = { { 2, 0, 0, 0, 7, 7 } };
    struct cluster c;
    cluster_open(&c, DPDK_AF_PACKET_IPV4,
                 &(struct options){ .parties = 2, .gateway = gateway_address });
    struct dpdk *d = dpdk_of(c.party[0].tp);
    struct mac first = d->peers.item[GATEWAY].mac, used = template_mac(&d->to[1]);
    cr_assert(mac_equal(&used, &first));

    /* Party 1 speaks from its own MAC: that changes nothing. */
    send_one(&c, 1, frame_make(&c, 1, c.party[0].node_id, 1, 40, 60, 1));
    struct zcb *frame = receive_one(&c, 0);
    zcb_drop(frame, ZCB_HELD_OUT);
    used = template_mac(&d->to[1]);
    cr_assert(mac_equal(&used, &first));

    confirm_wait(&c, d, &first, 31 * NS_PER_S);
    cr_assert(command("ip link set sw address 02:00:00:00:07:07"));
    confirm_wait(&c, d, &second, 34 * NS_PER_S);
    used = template_mac(&d->to[1]);
    cr_assert(mac_equal(&used, &second));
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
