/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TRANSPORT_DPDK_WAKE_H
#define TRANSPORT_DPDK_WAKE_H

/*
 * wake.h - what wakes who sleeps on the ports: sockets under kernel interfaces, receive interrupts
 * of cards, the bell of memif.
 *
 * Knows:      descriptors, and which drivers' interrupts are to be trusted how far.
 * Knows not:  packets.
 * Invariants: W1  cards are asked for interrupts between arm() and disarm() only
 *             W2  a card whose interrupts do not come though packets do is looked at as one that
 *                 has none, from then on
 *             W3  a driver that holds an interrupt back for long after the last is asked for none
 *                 until that is over
 * Thread:     open and close: control thread. All others: poll core.
 */

#include "dpdk.h"

/* When the ports are open, and before they are closed. */
void dpdk_wake_open(struct dpdk *d);
void dpdk_wake_close(struct dpdk *d);
/* Around a new beginning of ports. */
void dpdk_wake_leave(struct dpdk *d);
void dpdk_wake_join(struct dpdk *d);

/* For people. */
const char *dpdk_wake_by(const struct dpdk *d);

enum transport_rest dpdk_wake_arm(struct transport *tp);
void dpdk_wake_disarm(struct transport *tp);

/* W2: a look that found packets, or none, while armed or the first since. */
void dpdk_wake_looked(struct dpdk *d, bool found);

static inline bool dpdk_wake_curious(const struct dpdk *d)
{
    return d->wake.state != DPDK_WAKE_IDLE;
}

#endif
