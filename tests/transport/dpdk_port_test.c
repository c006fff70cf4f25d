/* SPDX-License-Identifier: BSD-3-Clause */
/* dpdk_port_test.c - what happens to the interface under a port of DPDK, or on it. */
#include <criterion/criterion.h>

#include <errno.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cluster.h"
#include "dpdk/burst.h"
#include "dpdk/dpdk.h"

static struct cluster c;

/* Until party i says that it can reach so many fewer; what comes meanwhile is dropped. */
static void unreachable_wait(int i, uint64_t peers)
{
    uint64_t begin_ns = clock_ns();
    struct zcb *frame;
    while (c.party[i].tp->ops->stats(c.party[i].tp)->unreachable_peers != peers) {
        if (transport_rx_burst(c.party[i].tp, &frame, 1) == 1)
            zcb_drop(frame, ZCB_HELD_OUT);
        pump(&c);
        deadline_check(begin_ns, "news of the link");
    }
}

static void exchange(void)
{
    struct zcb *frame;
    send_one(&c, 1, frame_make(&c, 1, c.party[0].node_id, 7, 60, 500, 2));
    frame = receive_one(&c, 0);
    frame_check(frame, c.party[1].node_id, 7, 560);
    zcb_drop(frame, ZCB_HELD_OUT);
}

Test(port, T3_an_interface_that_goes_down_costs_frames_and_holds_nobody_up)
{
    struct transport_caps caps;
    cluster_open(&c, DPDK_AF_PACKET_IPV4, &(struct options){ .parties = 2 });
    c.party[1].tp->ops->query(c.party[1].tp, &caps);
    exchange();
    cr_assert(command("ip link set p1 down"));
    unreachable_wait(1, 1);
    for (uint32_t k = 0; k < 6000; k++) /* more than any queue on the way has room for */
        send_one(&c, 1, frame_make(&c, 1, c.party[0].node_id, k, 60, 1000, 1));
    cr_assert_geq(c.party[1].tp->ops->stats(c.party[1].tp)->tx_errors, 6000);
    cr_assert(command("ip link set p1 up"));
    reachable_wait(&c);
    exchange();
    cr_assert_not(readable(caps.sleep_fd), "who sleeps would be woken for ever");
    cluster_close(&c);
}

Test(port, T3_an_interface_that_is_taken_away_breaks_the_backend)
{
    uint64_t begin_ns = clock_ns();
    struct zcb *frame;
    int got;
    cluster_open(&c, DPDK_AF_PACKET_IPV4, &(struct options){ .parties = 2 });
    cr_assert(command("ip link del p1"));
    while ((got = transport_rx_burst(c.party[1].tp, &frame, 1)) != -ENODEV) {
        cr_assert_eq(got, 0);
        frame = frame_make(&c, 1, c.party[0].node_id, 1, 60, 1000, 1);
        if (transport_tx_burst(c.party[1].tp, &frame, 1) == 0)
            zcb_drop(frame, ZCB_HELD_OUT);
        pump(&c);
        deadline_check(begin_ns, "word that the interface has gone");
    }
    cluster_close(&c);
}

/* Is party 1 said to think that party 0 is behind a link that is down? */
static void links_wait(bool down, uint32_t before)
{
    uint64_t begin_ns = clock_ns();
    const struct transport *tp = c.party[1].tp;
    uint32_t nodes[NODE_COUNT_MAX];
    struct zcb *frame;
    while (tp->links == before) {
        if (transport_rx_burst(c.party[1].tp, &frame, 1) == 1)
            zcb_drop(frame, ZCB_HELD_OUT);
        pump(&c);
        deadline_check(begin_ns, "other news of links");
    }
    cr_assert_eq(tp->ops->links_down(tp, nodes), down);
    cr_assert(!down || nodes[0] == c.party[0].node_id);
}

Test(port, a_peer_that_ends_is_behind_a_link_that_is_down)
{
    cluster_open(&c, DPDK_MEMIF_IPV4, &(struct options){ .parties = 2 });
    uint32_t before = c.party[1].tp->links;
    cr_assert_neq(before, 0);
    party_close(&c, 0);
    links_wait(true, before);
    before = c.party[1].tp->links;
    party_open(&c, 0);
    links_wait(false, before);
    cluster_close(&c);
}

Test(port, all_are_behind_an_interface_that_is_down)
{
    struct transport_caps caps;
    struct zcb *frame;
    cluster_open(&c, DPDK_AF_PACKET_IPV4, &(struct options){ .parties = 2 });
    c.party[1].tp->ops->query(c.party[1].tp, &caps);
    struct pollfd sleeper = { .fd = caps.sleep_fd, .events = POLLIN };
    while (readable(sleeper.fd)) { /* what is left of the beginning */
        cr_assert_eq(transport_rx_burst(c.party[1].tp, &frame, 1), 0);
        pump(&c);
    }
    uint32_t before = c.party[1].tp->links;
    cr_assert(command("ip link set s1 down")); /* the other end: p1 loses its carrier */
    cr_assert_eq(poll(&sleeper, 1, 5000), 1, "who sleeps is woken");
    links_wait(true, before);
    cr_assert_not(readable(sleeper.fd), "for ever");
    before = c.party[1].tp->links;
    cr_assert(command("ip link set s1 up"));
    links_wait(false, before);
    cluster_close(&c);
}

/* Broadcasts of a type that is nobody's, on the wire to p0. */
static void send_junk(int count)
{
    uint8_t packet[60] = { 255, 255, 255, 255, 255, 255, 2, 1, 1, 1, 1, 1, 0x88, 0xb5 };
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
    struct sockaddr_ll to = { .sll_family = AF_PACKET,
                              .sll_ifindex = (int)if_nametoindex("s0"),
                              .sll_halen = 6 };
    for (int i = 0; i < count; i++)
        cr_assert_eq(sendto(fd, packet, sizeof(packet), 0, (struct sockaddr *)&to, sizeof(to)),
                     sizeof(packet));
    close(fd);
}

Test(port, junk_in_front_of_a_frame_is_not_silence)
{
    struct zcb *frame;
    cluster_open(&c, DPDK_AF_PACKET_IPV4, &(struct options){ .parties = 2 });
    send_junk(4 * TRANSPORT_BURST);
    send_one(&c, 1, frame_make(&c, 1, c.party[0].node_id, 3, 60, 0, 0));
    cr_assert_eq(transport_rx_burst(c.party[0].tp, &frame, 1), 1);
    frame_check(frame, c.party[1].node_id, 3, 60);
    zcb_drop(frame, ZCB_HELD_OUT);
    cluster_close(&c);
}

static uint64_t counter(int i, const char *name)
{
    struct transport_counter list[TRANSPORT_COUNTERS_MAX];
    int count = c.party[i].tp->ops->counters(c.party[i].tp, list);
    for (int k = 0; k < count; k++)
        if (strcmp(list[k].name, name) == 0)
            return list[k].value;
    cr_assert(false, "no counter %s", name);
    return 0;
}

Test(port, the_state_of_its_link_is_told)
{
    cluster_open(&c, DPDK_AF_PACKET_IPV4, &(struct options){ .parties = 2 });
    cr_assert_eq(counter(1, "links"), 1);
    cr_assert_eq(counter(1, "links_up"), 1);
    cr_assert(command("ip link set p1 down"));
    unreachable_wait(1, 1);
    cr_assert_eq(counter(1, "links_up"), 0);
    cluster_close(&c);
}

Test(port, each_link_of_memif_is_told)
{
    cluster_open(&c, DPDK_MEMIF_IPV4, &(struct options){ .parties = 3 });
    cr_assert_eq(counter(0, "links"), 2);
    cr_assert_eq(counter(0, "links_up"), 2);
    party_close(&c, 2);
    unreachable_wait(0, 1);
    cr_assert_eq(counter(0, "links"), 2);
    cr_assert_eq(counter(0, "links_up"), 1);
    cluster_close(&c);
}

/* What the kernel's ring has no room for; all others arrive. */
Test(port, what_nobody_fetches_in_time_is_missed)
{
    enum { SENT = 8000 };
    struct zcb *frame;
    cluster_open(&c, DPDK_AF_PACKET_IPV4, &(struct options){ .parties = 2 });
    for (uint32_t k = 0; k < SENT; k++)
        send_one(&c, 1, frame_make(&c, 1, c.party[0].node_id, k, 60, 1000, 1));
    uint64_t came = 0, begin_ns = clock_ns();
    for (; transport_rx_burst(c.party[0].tp, &frame, 1) == 1; came++)
        zcb_drop(frame, ZCB_HELD_OUT);
    came += (uint64_t)drain(&c, 1, 0);
    cr_assert_lt(came, SENT, "nothing was missed: this was no test");
    while (came + counter(0, "port_rx_missed") != SENT) {
        (void)c.party[0].tp->ops->tx_reap(c.party[0].tp); /* it asks now and then */
        deadline_check(begin_ns, "word of the others");
    }
    cluster_close(&c);
}

/* Frames that wait for a slot are counted where they wait, and come when there is one. */
Test(port, a_pool_that_is_empty_is_counted)
{
    struct zcb *held[RX_COUNT + 1];
    int count = 0;
    cluster_open(&c, DPDK_MEMIF_IPV4, &(struct options){ .parties = 2 });
    while (c.party[0].tp->ops->stats(c.party[0].tp)->rx_pool_empty == 0) {
        cr_assert_leq(count, RX_COUNT, "the pool is larger than it is");
        send_one(&c, 1, frame_make(&c, 1, c.party[0].node_id, 1, 60, 0, 0));
        count += transport_rx_burst(c.party[0].tp, held + count, 1);
    }
    drop_all(held, count);
    (void)drain(&c, 1, 0);
    cluster_close(&c);
}

/* A party with another MAC than the list says is not heard to have moved, and not reached. */
Test(port, a_fixed_mac_is_neither_learnt_nor_changed)
{
    cluster_open(&c, DPDK_AF_PACKET_IPV4, &(struct options){ .parties = 2 });
    party_close(&c, 1);
    snprintf(c.nodes[0].mac, sizeof(c.nodes[0].mac), "02:00:00:00:00:07");
    party_open(&c, 1);
    unreachable_wait(1, 0); /* it need not ask */
    for (uint32_t k = 0; k < 5; k++)
        send_one(&c, 1, frame_make(&c, 1, c.party[0].node_id, k, 60, 0, 0));
    cr_assert_eq(drain(&c, 0, 1), 0);
    cr_assert_gt(counter(1, "mac_refused"), 0, "the true one was heard, and not believed");
    struct zcb *frame;
    cr_assert_eq(transport_rx_burst(c.party[0].tp, &frame, 1), 0, "they went to nobody");
    cluster_close(&c);
}

static uint64_t removed_ports(int i)
{
    struct transport_counter counter[TRANSPORT_COUNTERS_MAX];
    int count = c.party[i].tp->ops->counters(c.party[i].tp, counter);
    for (int k = 0; k < count; k++)
        if (strcmp(counter[k].name, "port_removed") == 0)
            return counter[k].value;
    return UINT64_MAX;
}

/* As EAL says it in its own thread when the kernel wants a card back. */
Test(port, U1_a_device_that_is_taken_away_is_a_dead_link)
{
    struct zcb *frame;
    cluster_open(&c, DPDK_AF_PACKET_IPV4, &(struct options){ .parties = 2 });
    const struct dpdk_port *port = &dpdk_of(c.party[1].tp)->port[0];
    exchange();
    cr_assert_eq(removed_ports(1), 0);
    rte_dev_event_callback_process(port->name, RTE_DEV_EVENT_REMOVE);
    unreachable_wait(1, 1);
    cr_assert_eq(removed_ports(1), 1);
    for (uint32_t k = 0; k < 3000; k++)
        send_one(&c, 1, frame_make(&c, 1, c.party[0].node_id, k, 60, 1000, 1));
    cr_assert_eq(transport_rx_burst(c.party[1].tp, &frame, 1), 0);
    cr_assert_eq(taken(&c.party[1].rx), 0, "what the driver had has come back");
    cr_assert_eq(taken(&c.party[1].tx), 0);
    uint64_t begin_ns = clock_ns();
    while (rte_eth_dev_is_valid_port(port->id))
        deadline_check(begin_ns, "the end of the device");
    party_close(&c, 1);
    party_open(&c, 1);
    reachable_wait(&c);
    exchange();
    cluster_close(&c);
}

Test(port, a_driver_that_waits_inside_a_burst_does_not)
{
    int pipes[2];
    cr_assert_eq(pipe(pipes), 0);
    struct pollfd never = { .fd = pipes[0], .events = POLLIN };
    dpdk_burst_begin();
    cr_assert_eq(poll(&never, 1, -1), 0); /* else this is where the test ends, by its time limit */
    dpdk_burst_end();
    uint64_t begin_ns = clock_ns();
    cr_assert_eq(poll(&never, 1, 20), 0);
    cr_assert_geq(clock_ns() - begin_ns, 19 * NS_PER_MS, "others wait as they like");
    close(pipes[0]);
    close(pipes[1]);
}

/* As af_xdp does it; a socket whose queue is full says what a stopped interface says. */
static int kick_until_done(int fd)
{
    int kicks = 1;
    for (; send(fd, NULL, 0, MSG_DONTWAIT) < 0 && errno == EAGAIN; kicks++)
        cr_assert_lt(kicks, 1000, "for ever");
    return kicks;
}

Test(port, a_driver_that_asks_again_and_again_is_let_go)
{
    int pair[2];
    char byte;
    cr_assert_eq(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair), 0);
    while (send(pair[0], NULL, 0, MSG_DONTWAIT) == 0)
        continue;
    dpdk_burst_begin();
    cr_assert_gt(kick_until_done(pair[0]), 1, "a queue that has no room now may have some soon");
    dpdk_burst_end();
    cr_assert(dpdk_burst.left);
    cr_assert_lt(send(pair[0], NULL, 0, MSG_DONTWAIT), 0, "others hear the truth");
    cr_assert_lt(send(pair[0], "x", 1, MSG_DONTWAIT), 0);
    cr_assert_eq(recv(pair[1], &byte, 1, 0), 0);
    dpdk_burst_begin();
    cr_assert_eq(kick_until_done(pair[0]), 1);
    dpdk_burst_end();
    cr_assert_not(dpdk_burst.left);
    close(pair[0]);
    close(pair[1]);
}

/* Without anything new to send. */
Test(port, what_the_kernel_did_not_take_is_asked_for_again)
{
    cluster_open(&c, DPDK_AF_XDP_IPV4, &(struct options){ .parties = 2 });
    struct dpdk *d = dpdk_of(c.party[0].tp);
    d->port[0].unsent = true;
    c.party[0].tp->ops->tx_reap(c.party[0].tp);
    cr_assert_not(d->port[0].unsent);
    cr_assert_not(d->base.busy);
    cluster_close(&c);
}

/* As the driver does it: so is the name of the next port's group taken. */
static int take_group(const char *interface)
{
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
    int index = (int)if_nametoindex(interface), other = (int)if_nametoindex("lo");
    struct sockaddr_ll to = { .sll_family = AF_PACKET,
                              .sll_protocol = 0x0300, /* all of them */
                              .sll_ifindex = other };
    uint32_t fanout = ((uint32_t)getpid() ^ (uint32_t)index) & 0xffff;
    cr_assert_eq(bind(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    cr_assert_eq(setsockopt(fd, SOL_PACKET, PACKET_FANOUT, &fanout, sizeof(fanout)), 0);
    return fd;
}

Test(port, several_daemons_of_one_namespace_have_groups_of_their_own)
{
    cluster_open(&c, DPDK_AF_PACKET_IPV4, &(struct options){ .parties = 2 });
    party_close(&c, 1);
    int fd = take_group("p1");
    party_open(&c, 1);
    reachable_wait(&c);
    exchange();
    close(fd);
    cluster_close(&c);
}
