/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TRANSPORT_DPDK_CONFIG_H
#define TRANSPORT_DPDK_CONFIG_H

/*
 * dpdk_config.h - what the configuration says to the DPDK backend: transport_config.backend.
 *
 * A port is one of
 *   memif                 a link of shared memory to each other node, all on this machine
 *   af_packet:INTERFACE   a kernel interface, by packet sockets
 *   af_xdp:INTERFACE      the same, by AF_XDP
 *   0000:3b:00.0          a PCI device
 *   net_DRIVER,ARGUMENTS  any virtual device, in DPDK's own words
 */

#include <stdbool.h>
#include <stdint.h>

enum { DPDK_PORT_BYTES = 256, DPDK_PATH_BYTES = 96, DPDK_EAL_BYTES = 512, DPDK_ADDRESS_BYTES = 64 };

struct transport_dpdk {
    char port[DPDK_PORT_BYTES];
    char memif_dir[DPDK_PATH_BYTES]; /* where the nodes' sockets meet: the same for all */
    char eal[DPDK_EAL_BYTES];        /* more words for EAL, which come last and win */
    uint64_t memory_bytes;           /* EAL's own: headers of packets, and the driver's rings */
    bool hugepages;                  /* where there are some */
    uint16_t vlan_id;                /* 0: untagged */
    uint8_t vlan_priority;
    uint8_t dscp;
    char gateway[DPDK_ADDRESS_BYTES]; /* of nodes that are routed: numeric, on our link; "": none */
    uint8_t prefix; /* bits of our address that all on our link have; 0: not said */
};

#endif
