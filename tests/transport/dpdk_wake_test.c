/* SPDX-License-Identifier: BSD-3-Clause */
/* dpdk_wake_test.c - interrupts that come late, or never: a card that is not there, and time made
 * up. */
#include <criterion/criterion.h>

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "dpdk/wake.h"

enum { ENOUGH = 64 }; /* sleeps in a row that no interrupt ended: then nobody relies on them */

static struct dpdk d;
static struct rte_epoll_event about;
static int card;

static void open_card(void)
{
    d = (struct dpdk){ .bell.fd = -1,
                       .wake.fd = epoll_create1(EPOLL_CLOEXEC),
                       .wake.by = DPDK_BY_INTERRUPT };
    card = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    about = (struct rte_epoll_event){ .epdata.event = EPOLLIN };
    cr_assert_eq(rte_epoll_ctl(d.wake.fd, EPOLL_CTL_ADD, card, &about), 0);
    d.link.now_ns = NS_PER_S;
}

static void close_card(void)
{
    cr_assert_eq(rte_epoll_ctl(d.wake.fd, EPOLL_CTL_DEL, card, &about), 0);
    dpdk_wake_close(&d);
    close(card);
}

/* As the poll core goes about it: arm, look, sleep, awake, look. */
static void sleep_once(bool rings, bool found)
{
    cr_assert_eq(dpdk_wake_arm(&d.base), TRANSPORT_LOOK);
    cr_assert(dpdk_wake_curious(&d));
    dpdk_wake_looked(&d, false);
    if (rings)
        cr_assert_eq(eventfd_write(card, 1), 0);
    dpdk_wake_disarm(&d.base);
    if (rings)
        cr_assert_eq(eventfd_read(card, &(eventfd_t){ 0 }), 0);
    if (dpdk_wake_curious(&d))
        dpdk_wake_looked(&d, found);
    cr_assert_not(dpdk_wake_curious(&d));
}

Test(dpdk_wake, W2_a_card_whose_interrupts_never_come_is_looked_at)
{
    open_card();
    for (int i = 0; i < ENOUGH; i++)
        sleep_once(false, true);
    cr_assert_eq(dpdk_wake_arm(&d.base), TRANSPORT_NAP);
    cr_assert_eq(d.wake.missed, ENOUGH);
    cr_assert_eq(d.wake.rang, 0);
    close_card();
}

Test(dpdk_wake, W2_one_that_misses_some_or_has_nothing_to_tell_is_trusted)
{
    open_card();
    for (int i = 0; i < 10 * ENOUGH; i++) {
        sleep_once(i % ENOUGH == 0, true);
        sleep_once(false, false);
    }
    cr_assert_eq(d.wake.rang, 10);
    cr_assert_gt(d.wake.missed, 9 * ENOUGH);
    close_card();
}

Test(dpdk_wake, W2_frames_that_the_look_before_sleeping_finds_are_not_missed)
{
    open_card();
    for (int i = 0; i < 10 * ENOUGH; i++) {
        cr_assert_eq(dpdk_wake_arm(&d.base), TRANSPORT_LOOK);
        dpdk_wake_looked(&d, true);
        dpdk_wake_disarm(&d.base);
        cr_assert_not(dpdk_wake_curious(&d));
    }
    cr_assert_eq(d.wake.missed, 0);
    close_card();
}

Test(dpdk_wake, W3_an_interrupt_that_would_be_held_back_is_not_waited_for)
{
    open_card();
    sleep_once(true, true);
    d.port_count = 1;
    d.port[0].interrupt_gap_ns = 10;
    cr_assert_eq(dpdk_wake_arm(&d.base), TRANSPORT_NAP);
    d.link.now_ns += 9;
    cr_assert_eq(dpdk_wake_arm(&d.base), TRANSPORT_NAP);
    d.link.now_ns += 1;
    d.port_count = 0; /* a real one would be asked for interrupts */
    cr_assert_eq(dpdk_wake_arm(&d.base), TRANSPORT_LOOK);
    dpdk_wake_disarm(&d.base);
    close_card();
}
