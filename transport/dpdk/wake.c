/* SPDX-License-Identifier: BSD-3-Clause */
#include "wake.h"

#include <sys/epoll.h>
#include <unistd.h>

enum { MISSED_MOST = 64 }; /* in a row, before W2 */

static bool add_socket(struct dpdk *d, int fd)
{
    struct epoll_event event = { .events = EPOLLIN }; /* EAL's own have a pointer in it */
    return fd >= 0 && epoll_ctl(d->wake.fd, EPOLL_CTL_ADD, fd, &event) == 0;
}

/* One descriptor for all ports; false as soon as one of them can only be polled. */
static bool add(struct dpdk *d, const struct dpdk_port *port)
{
    d->wake.by = port->interrupts ? DPDK_BY_INTERRUPT : DPDK_BY_SOCKET;
    if (port->interrupts)
        return rte_eth_dev_rx_intr_ctl_q(port->id, 0, d->wake.fd, RTE_INTR_EVENT_ADD, NULL) == 0;
    (void)add_socket(d, port->interface.news);
    return add_socket(d, port->interface.driver);
}

void dpdk_wake_open(struct dpdk *d)
{
    bool all = d->port_count > 0;
    d->base.watches = all && d->port[0].interface.news < 0;
    if (d->bell.page) {
        d->wake.fd = d->bell.fd;
        d->wake.by = DPDK_BY_BELL;
        return;
    }
    d->wake.fd = epoll_create1(EPOLL_CLOEXEC);
    for (int i = 0; i < d->port_count && all; i++)
        all = d->wake.fd >= 0 && add(d, &d->port[i]);
    if (!all)
        dpdk_wake_close(d);
}

void dpdk_wake_leave(struct dpdk *d)
{
    for (int i = 0; i < d->port_count; i++)
        if (d->port[i].interrupts && d->wake.fd >= 0)
            (void)rte_eth_dev_rx_intr_ctl_q(d->port[i].id, 0, d->wake.fd, RTE_INTR_EVENT_DEL, NULL);
}

void dpdk_wake_join(struct dpdk *d)
{
    for (int i = 0; i < d->port_count; i++)
        if (d->port[i].interrupts && d->wake.fd >= 0 && !add(d, &d->port[i]))
            d->wake.by = DPDK_BY_CLOCK;
}

void dpdk_wake_close(struct dpdk *d)
{
    dpdk_wake_leave(d);
    if (d->wake.fd >= 0 && d->wake.fd != d->bell.fd)
        close(d->wake.fd);
    d->wake.fd = -1;
    d->wake.by = DPDK_BY_CLOCK;
}

const char *dpdk_wake_by(const struct dpdk *d)
{
    static const char *const names[] = { [DPDK_BY_CLOCK] = "clock",
                                         [DPDK_BY_SOCKET] = "socket",
                                         [DPDK_BY_INTERRUPT] = "interrupt",
                                         [DPDK_BY_BELL] = "bell" };
    return names[d->wake.by];
}

/* Can all who may send to us wake us? Who has a link finds our bell as we find theirs. */
static bool bells_hang(const struct dpdk *d)
{
    bool all = true;
    for (int i = 0; i < d->port_count; i++)
        all = all && (!d->port[i].up || d->port[i].other.page);
    return all;
}

static enum transport_rest bell_arm(struct dpdk *d)
{
    if (!bells_hang(d))
        return TRANSPORT_NAP;
    bell_sleep(&d->bell);
    return TRANSPORT_LOOK;
}

/* W1 */
static bool tell(struct dpdk *d, bool wanted)
{
    bool all = true;
    for (int i = 0; i < d->port_count; i++)
        all = dpdk_port_interrupts(&d->port[i], wanted) && all;
    return all;
}

/* W3 */
static bool held_back(const struct dpdk *d)
{
    for (int i = 0; i < d->port_count; i++)
        if (d->link.now_ns - d->wake.rang_ns < d->port[i].interrupt_gap_ns)
            return true;
    return false;
}

static enum transport_rest interrupts_arm(struct dpdk *d)
{
    if (held_back(d))
        return TRANSPORT_NAP;
    if (tell(d, true)) {
        d->wake.state = DPDK_WAKE_ARMED;
        return TRANSPORT_LOOK;
    }
    (void)tell(d, false);
    d->wake.by = DPDK_BY_CLOCK;
    return TRANSPORT_NAP;
}

static void interrupts_disarm(struct dpdk *d)
{
    struct rte_epoll_event events[8]; /* EAL takes them from their descriptors as it tells them */
    bool slept = d->wake.state == DPDK_WAKE_LOOKED;
    int rang = rte_epoll_wait(d->wake.fd, events, ARRAY_COUNT(events), 0);
    (void)tell(d, false);
    d->wake.state = slept && rang <= 0 ? DPDK_WAKE_SILENT : DPDK_WAKE_IDLE;
    if (rang <= 0)
        return;
    d->wake.rang++;
    d->wake.rang_ns = d->link.now_ns;
    d->wake.missed_in_a_row = 0;
}

void dpdk_wake_looked(struct dpdk *d, bool found)
{
    struct dpdk_wake *wake = &d->wake;
    if (wake->state == DPDK_WAKE_SILENT) {
        wake->state = DPDK_WAKE_IDLE;
        wake->missed += found;
        wake->missed_in_a_row += found;
        if (wake->missed_in_a_row >= MISSED_MOST)
            wake->by = DPDK_BY_CLOCK;
    } else if (!found) {
        wake->state = DPDK_WAKE_LOOKED;
    }
}

enum transport_rest dpdk_wake_arm(struct transport *tp)
{
    struct dpdk *d = dpdk_of(tp);
    switch (d->wake.by) {
    case DPDK_BY_SOCKET:
        return TRANSPORT_SLEEP;
    case DPDK_BY_INTERRUPT:
        return interrupts_arm(d);
    case DPDK_BY_BELL:
        return bell_arm(d);
    case DPDK_BY_CLOCK:
        break;
    }
    return TRANSPORT_NAP;
}

void dpdk_wake_disarm(struct transport *tp)
{
    struct dpdk *d = dpdk_of(tp);
    if (d->wake.by == DPDK_BY_BELL)
        bell_wake(&d->bell);
    else
        interrupts_disarm(d);
}
