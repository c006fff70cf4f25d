/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CLI_DEMO_NETWORK_H
#define CLI_DEMO_NETWORK_H

/*
 * demo_network.h - what the demo's daemons talk over, and what they are told of it.
 *
 *   udp        datagrams on the loopback device
 *   memif      DPDK, shared memory: neither privileges nor a network
 *   af_packet  DPDK, packet sockets on interfaces of a bridge } in a network namespace of the
 *   af_xdp     the same by AF_XDP                             } demo's own, which takes root
 */

#include "demo_cluster.h"

bool demo_network_known(const char *transport);

/* Make what it takes; before any process is started. Errors: -errno and cluster->why */
int demo_network_make(struct demo_cluster *cluster);

/* What a node's configuration says of it, the MTU in totem { } apart. */
void demo_network_write(FILE *file, const struct demo_cluster *cluster, int node);
int demo_network_mtu(const struct demo_cluster *cluster);
/* The address of node 1 without its last number, which is a node's. */
const char *demo_network_prefix(const struct demo_cluster *cluster);

#endif
