/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TRANSPORT_DPDK_SYSFS_H
#define TRANSPORT_DPDK_SYSFS_H

/*
 * sysfs.h - what the kernel says of a port's card before DPDK has it.
 *
 * Thread:     control thread
 */

#include <stdbool.h>

#include "transport.h"

/* Interrupts of a card in a uio driver's hands, one line for all causes, are lost now and then. */
bool dpdk_sysfs_has_interrupts(const char *address);

/* The NUMA node of a port's card, or of the card under its interface; -1: none. */
int dpdk_sysfs_node(const struct transport_config *config);

/* A card that has MSI-X, by which its interrupts do not come since its driver gives them no vector:
 * by MSI they do. */
bool dpdk_sysfs_wants_msi(const char *address);

#endif
