/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TRANSPORT_DPDK_PORTS_H
#define TRANSPORT_DPDK_PORTS_H

/*
 * ports.h - which ports an endpoint has, by the words of the configuration, and the node behind
 * each.
 *
 * Invariants: S1  one port that leads to all nodes, or a port for each other node (memif)
 *             S2  of two nodes the one with the lower id makes the memif socket, the other connects
 * Thread:     control thread
 */

#include "dpdk.h"

/* Errors: -errno, and `why` is one line. d->peers, d->all and d->slots are there already. */
int dpdk_ports_open(struct dpdk *d, const struct transport_config *config, char *why,
                    size_t why_bytes);
void dpdk_ports_close(struct dpdk *d);

#endif
