/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * UDP on links that go and come, that are too narrow, or on which nobody answers.
 */
#include "cluster.h"

#include <criterion/criterion.h>

#include <sys/socket.h>

/* A cluster on a link that the test can take away. */
static void open_on_link(struct cluster *c, enum backend_index backend, const char *address)
{
    if (!isolate() || (backend != UDP_IPV6_MULTICAST && !link_make()))
        cr_skip_test("needs a network namespace, veth and `ip`");
    cluster_open(c, backend, NULL);
    for (int i = 0; i < c->count; i++) {
        party_close(c, i);
        free_address(&c->nodes[i], address, c->party[i].node_id);
    }
    for (int i = 0; i < c->count; i++)
        party_open(c, i);
}

static void talk(struct cluster *c)
{
    for (int from = 0; from < c->count; from++)
        send_one(c, from, frame_make(c, from, ZCB_TO_ALL, 9, 40, 60, 1));
}

/* Everybody hears everybody, sooner or later: what a link takes with it is the ring's business. */
static void all_talk(struct cluster *c)
{
    bool heard[PARTIES_MAX][PARTIES_MAX] = { { false } };
    int missing = c->count * (c->count - 1);
    uint64_t begin_ns = clock_ns();
    struct zcb *frame[32];

    while (missing > 0) {
        talk(c);
        for (int i = 0; i < c->count; i++) {
            int n = transport_rx_burst(c->party[i].tp, frame, 32);
            cr_assert_geq(n, 0);
            for (int k = 0; k < n; k++) {
                int from = ((int)frame[k]->from - 10) / 7; /* see cluster_open() */
                missing -= !heard[from][i];
                heard[from][i] = true;
            }
            drop_all(frame, n);
        }
        cr_assert(clock_ns() - begin_ns < 5 * NS_PER_S, "%d ways are closed", missing);
    }
}

static void all_talk_across(struct cluster *c, const char *break_it, const char *mend_it)
{
    struct zcb *frame[32];

    all_talk(c);
    cr_assert(command(break_it));
    for (int round = 0; round < 3; round++)
        talk(c);
    for (int i = 0; i < c->count; i++) {
        int n;
        while ((n = transport_rx_burst(c->party[i].tp, frame, 32)) > 0)
            drop_all(frame, n);
        cr_assert_eq(n, 0);
    }
    cr_assert(command(mend_it));
    all_talk(c);
    cluster_close(c);
}

#define MAKE_IT                                                                           \
    "ip link add l0 type veth peer name l1 && ip link set l1 up && ip link set l0 up && " \
    "ip address add " LINK_V4 "/24 dev l0 && ip -6 address add " LINK_V6 "/64 dev l0 nodad"

static const char *link_address(enum backend_index backend)
{
    return backends[backend].family == AF_INET ? LINK_V4 : LINK_V6;
}

static void across(enum backend_index backend, const char *break_it, const char *mend_it)
{
    struct cluster c;

    open_on_link(&c, backend, link_address(backend));
    all_talk_across(&c, break_it, mend_it);
}

#define ACROSS(name, break_it, mend_it)                \
    Test(udp_link, name##_ipv4)                        \
    {                                                  \
        across(UDP_IPV4, break_it, mend_it);           \
    }                                                  \
    Test(udp_link, name##_ipv6)                        \
    {                                                  \
        across(UDP_IPV6, break_it, mend_it);           \
    }                                                  \
    Test(udp_link, name##_ipv4_multicast)              \
    {                                                  \
        across(UDP_IPV4_MULTICAST, break_it, mend_it); \
    }                                                  \
    Test(udp_link, name##_ipv6_multicast)              \
    {                                                  \
        across(UDP_IPV6_MULTICAST, break_it, mend_it); \
    }

ACROSS(T3_works_again_when_the_link_is_up_again, "ip link set l0 down",
       "ip link set l0 up && ip -6 address replace " LINK_V6 "/64 dev l0 nodad")
ACROSS(T3_works_again_when_the_address_is_back, "ip address flush dev l0",
       "ip address add " LINK_V4 "/24 dev l0 && ip -6 address add " LINK_V6 "/64 dev l0 nodad")
ACROSS(T3_works_again_when_the_link_was_made_anew, "ip link delete l0", MAKE_IT)

/* Everybody thinks that so many others are behind links that are down. */
static void expect_links_down(const struct cluster *c, int count)
{
    uint32_t nodes[NODE_COUNT_MAX];

    for (int i = 0; i < c->count; i++)
        cr_assert_eq(c->party[i].tp->ops->links_down(c->party[i].tp, nodes), count);
}

/* What the kernel has no way for. */
static void links_go_down(enum backend_index backend)
{
    struct cluster c;

    open_on_link(&c, backend, link_address(backend));
    all_talk(&c);
    uint32_t before = c.party[0].tp->links;
    cr_assert(command("ip link delete l0"));
    talk(&c);
    expect_links_down(&c, 2);
    cr_assert_neq(c.party[0].tp->links, before);
    cr_assert(command(MAKE_IT));
    all_talk(&c);
    expect_links_down(&c, 0);
    cluster_close(&c);
}

Test(udp_link, without_a_way_all_are_behind_a_link_that_is_down)
{
    links_go_down(UDP_IPV4);
}

Test(udp_link, without_a_way_for_the_group_all_are_behind_a_link_that_is_down)
{
    links_go_down(UDP_IPV4_MULTICAST);
}

/* What does not fit the link whole is cut by IP; runs of it cannot go as one. */
Test(udp_link, frames_longer_than_the_mtu_arrive)
{
    struct cluster c;
    struct zcb *frame[20];

    if (!isolate())
        cr_skip_test("needs a network namespace");
    cr_assert(command("ip link set lo mtu 1400"));
    cluster_open(&c, UDP_IPV4, NULL);
    for (int round = 0; round < 3; round++) {
        for (uint32_t k = 0; k < 20; k++)
            frame[k] = frame_make(&c, 0, ZCB_TO_ALL, k, 72, k < 10 ? 1400 : 100, 1);
        cr_assert_eq(transport_tx_burst(c.party[0].tp, frame, 20), 20);
        for (int i = 1; i < 3; i++) {
            uint32_t next = 0;
            while (next < 20) { /* some may come twice: the first run was begun anew */
                struct zcb *one = receive_one(&c, i);
                if (one->head[0] == frame_byte(next, 0)) {
                    frame_check(one, c.party[0].node_id, next, next < 10 ? 1472 : 172);
                    next++;
                }
                zcb_drop(one, ZCB_HELD_OUT);
            }
        }
    }
    cr_assert_eq(c.party[0].tp->ops->stats(c.party[0].tp)->tx_errors, 0);
    cluster_close(&c);
}

static void link_local(const char *group)
{
    struct cluster c;

    if (!isolate() || !link_make() || !link_add_v6("fe80::92"))
        cr_skip_test("needs a network namespace, veth and `ip`");
    cluster_open(&c, UDP_IPV6, NULL);
    for (int i = 0; i < c.count; i++) {
        party_close(&c, i);
        snprintf(c.nodes[i].address, sizeof c.nodes[i].address, "fe80::92%%l0");
    }
    c.config.multicast = group;
    c.config.multicast_port = c.nodes[0].port;
    for (int i = 0; i < c.count; i++)
        party_open(&c, i);
    all_talk(&c);
    cluster_close(&c);
}

Test(udp_link, addresses_of_one_link_will_do)
{
    link_local(NULL);
}

Test(udp_link, groups_of_one_link_will_do_with_its_name_and_without)
{
    link_local("ff02::5c%l0");
    command("ip link delete l0");
    link_local("ff02::5c");
}

/* Send to node `dest` until our buffer is full, or `most` went. How many went. */
static int fill(struct cluster *c, uint32_t dest, int most)
{
    struct zcb *frame;
    int count = 0;

    for (;;) {
        frame = frame_make(c, 0, dest, 1, 100, 0, 0);
        if (count == most || transport_tx_burst(c->party[0].tp, &frame, 1) == 0)
            break;
        count++;
    }
    zcb_drop(frame, ZCB_HELD_OUT);
    return count;
}

/* Nobody answers for node 1: what we send to it stays in our socket's buffer. */
#define NOBODY    "10.92.0.99"
#define FORGET_IT "ip neigh delete " NOBODY " dev l0"

Test(udp_link, a_fan_out_offered_again_begins_with_who_got_nothing)
{
    struct cluster c;
    struct zcb *frame;
    int room;

    open_on_link(&c, UDP_IPV4, LINK_V4);
    for (int i = 0; i < 2; i++)
        party_close(&c, i);
    snprintf(c.nodes[1].address, sizeof c.nodes[1].address, NOBODY);
    c.config.socket_bytes = 2304; /* the least a socket may have */
    party_open(&c, 0);
    room = fill(&c, c.party[1].node_id, TX_COUNT - 1);
    cr_assert(room > 1 && room < TX_COUNT - 1, "%d", room);

    cr_assert(command(FORGET_IT));
    cr_assert_eq(fill(&c, c.party[1].node_id, room - 1), room - 1);
    frame = frame_make(&c, 0, ZCB_TO_ALL, 2, 100, 0, 0);
    cr_assert_eq(transport_tx_burst(c.party[0].tp, &frame, 1), 0); /* node 1 took the room */

    cr_assert(command(FORGET_IT));
    cr_assert_eq(fill(&c, c.party[1].node_id, room - 1), room - 1);
    cr_assert_eq(transport_tx_burst(c.party[0].tp, &frame, 1), 1); /* node 2 first now */
    cr_assert(command(FORGET_IT));
    cr_assert_eq(drain(&c, 0, 2), 1);
    cluster_close(&c);
}
