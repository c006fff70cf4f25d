/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TRANSPORT_DPDK_HOST_H
#define TRANSPORT_DPDK_HOST_H

/*
 * host.h - what a port on an interface takes of this process and of the interface. It is looked at
 * when the port is opened, before DPDK is asked: its drivers fail with EPERM whatever the matter
 * is. Whether there is such an interface was looked at before (check.h).
 *
 * Thread:     control thread
 */

#include <stddef.h>
#include <stdint.h>

/* `port` is the word of the configuration, `interface` what it names; `family` is that of the
 * sockets its driver takes, `mtu` what packets need. */
struct dpdk_host_interface {
    const char *port, *interface;
    int family;
    uint32_t mtu;
};
/* Errors: -errno, and `why` is one line: what, why, what to do */
int dpdk_host_interface(const struct dpdk_host_interface *about, char *why, size_t why_bytes);

#endif
