/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TRANSPORT_DPDK_INTERFACE_H
#define TRANSPORT_DPDK_INTERFACE_H

/*
 * interface.h - the kernel's interface under a port, and the socket that its driver has there.
 * DPDK's drivers say nothing of either: the kernel is asked.
 *
 * Thread:     open, close, hear: control thread. look: poll core, where it costs a system call, and
 *             three more when it asks.
 */

#include <stdbool.h>
#include <stdint.h>

#include "headers.h"

struct dpdk_interface {
    unsigned index; /* 0: the port has none */
    int family;     /* of the driver's socket; -1: it has none */
    int ours;       /* a packet socket: asks the kernel, and keeps its filter open; -1 */
    int driver;     /* the driver's, readable while packets wait; -1 */
    int news;       /* readable when some link of this machine has changed; -1 */
    bool up;
    bool gone; /* it was taken away, and does not come back */
    uint16_t looks;
    uint64_t missed; /* packets a packet socket had no room for, as of the last time it asked */
};

enum { DPDK_FAMILY_XDP = 44, DPDK_SOCKETS_MOST = 4096 }; /* older headers have no name for it */

/* The sockets of this process of the interface's family. */
struct dpdk_sockets {
    int count;
    int fd[DPDK_SOCKETS_MOST];
};
void dpdk_sockets_note(struct dpdk_sockets *sockets, int family);

/* The driver is open: its socket is the one that was not there before. */
void dpdk_interface_open(struct dpdk_interface *interface, const struct dpdk_sockets *before);
/* The driver is closed: af_xdp leaves its socket open, and bound to the queue. */
void dpdk_interface_close(struct dpdk_interface *interface);

/* Let packets to these group MACs in; that ends with the interface_close(). */
void dpdk_interface_hear(struct dpdk_interface *interface, const struct mac *list, int count);

/* Is it up? Asks the kernel when it has news, and once in some looks. */
bool dpdk_interface_look(struct dpdk_interface *interface);

#endif
