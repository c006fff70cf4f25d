/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TRANSPORT_DPDK_CARD_H
#define TRANSPORT_DPDK_CARD_H

/*
 * card.h - what sets cards apart from other ports: they read and write memory by themselves, reach
 * only what was registered with them, and have it until they have sent it.
 *
 * Knows:      which memory a card reaches, and how its driver lets go of what is sent.
 * Invariants: N1  a card that does not reach our memory, or does not let go of it soon after it was
 *                 sent, gets copies; why, and what to do about it, is said in one line
 * Thread:     control thread
 */

#include "port.h"

/* Buffers of whole KiB are what most cards have; they cut packets that do not fit into one. */
enum { DPDK_CARD_BUFFER = 1024 };

/* Does it reach our memory? Then the arena is registered, and it receives there. */
void dpdk_card_reach(struct dpdk_port *port, const struct dpdk_port_config *config,
                     const struct rte_eth_dev_info *info);

/* How its queue is to be set up, so that what was sent comes back soon. */
void dpdk_card_queue(const struct dpdk_port *port, struct rte_eth_txconf *conf);

/* Does it come back? Of a port that is started. */
void dpdk_card_started(struct dpdk_port *port, const struct rte_eth_dev_info *info);

#endif
