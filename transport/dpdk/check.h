/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TRANSPORT_DPDK_CHECK_H
#define TRANSPORT_DPDK_CHECK_H

/*
 * check.h - can there be such a port? What this machine says without DPDK, before anything is
 * opened.
 *
 * Knows:      interfaces, PCI devices and their drivers, memif's directory.
 * Knows not:  what only trying shows: queues, MTU, permissions.
 * Thread:     control thread
 */

#include <stddef.h>

#include "transport.h"

/* 0, or -errno, and `why` is one line: what is missing, and the command that mends it. */
int dpdk_check(const struct transport_config *config, char *why, size_t why_bytes);

/* Where memif's sockets meet: ours alone, if it is there. */
int dpdk_check_directory(const char *path, char *why, size_t why_bytes);

/* What follows `prefix` in `text`; NULL: it begins otherwise. */
const char *dpdk_after(const char *text, const char *prefix);

/* The kernel's name of the driver that a PCI device is bound to; "" none. */
enum { DPDK_DRIVER_BYTES = 64 };
void dpdk_driver_of(const char *address, char driver[DPDK_DRIVER_BYTES]);

/* domain:bus:device.function */
bool dpdk_is_pci(const char *port);

#endif
