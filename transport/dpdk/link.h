/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TRANSPORT_DPDK_LINK_H
#define TRANSPORT_DPDK_LINK_H

/*
 * link.h - what a link needs besides frames: answers to neighbours, questions for those whose MAC
 * is not known, group reports, and whether it is up.
 *
 * Knows:      when to ask again.
 * Invariants: K1  a peer is asked for while its MAC is not known: at once when its link comes up,
 *                 then less and less often, but while frames are to go to it never seldom
 *             K2  while all links are up and all MACs known, looking at the clock is all the work
 *             K3  queries for our group are answered within the time they give, and once for all
 *                 that came meanwhile
 *             K4  a router is asked for again before what is known of it is old, at its MAC first
 * and then at large: the frames behind it say nothing of it Thread:     poll core
 */

#include "dpdk.h"

void dpdk_link_init(struct dpdk *d);

/* A sound frame of `peer` came from `mac`. */
void dpdk_link_heard(struct dpdk *d, uint8_t peer, const struct mac *mac);

/* A frame could not go to `peer`, for nobody knows its MAC. */
void dpdk_link_wanted(struct dpdk *d, uint8_t peer);

/* A packet that was no frame. */
void dpdk_link_control(struct dpdk *d, struct dpdk_port *port, enum packet_verdict verdict,
                       const struct packet_view *view);

/* What is due. */
void dpdk_link_chores(struct dpdk *d);

/* Leave the group, so that the switch need not find out. */
void dpdk_link_close(struct dpdk *d);

#endif
