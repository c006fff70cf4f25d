/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TRANSPORT_DPDK_UNPLUG_H
#define TRANSPORT_DPDK_UNPLUG_H

/*
 * unplug.h - a port whose device is taken away while we run.
 *
 * The kernel asks for a card that it is about to remove (vfio), or a driver says that its device
 * has gone. That is heard in EAL's interrupt thread; the poll core finds it at its next look, and
 * closes the port, for frames that its driver has must come back there. In EAL's thread the device
 * itself is let go then, which the kernel waits for.
 *
 * Knows:      devices that are to go, or have gone.
 * Knows not:  links that are down.
 * Invariants: U1  a port that was taken away has no burst any more, and all it had comes back
 *             U2  a card is let go before long, whoever still has memory registered with it
 */

#include "port.h"

/* Control thread. */
void dpdk_unplug_watch(struct dpdk_port *port);
/* Before the port is closed by us; waits for what is under way. */
void dpdk_unplug_ignore(struct dpdk_port *port);

/* Poll core: is it to go? */
static inline bool dpdk_unplug_asked(const struct dpdk_port *port)
{
    return atomic_load_explicit(&port->taken_away, memory_order_acquire);
}

/* Poll core, when the port is closed: soon, in EAL's thread, what dpdk_unplug_let_go() does. */
void dpdk_unplug_release(struct dpdk_port *port);
/* The device of a closed port. */
void dpdk_unplug_let_go(void *port);

#endif
