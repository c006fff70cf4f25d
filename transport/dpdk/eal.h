/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TRANSPORT_DPDK_EAL_H
#define TRANSPORT_DPDK_EAL_H

/*
 * eal.h - DPDK's environment: once a process, whoever asks first.
 *
 * Knows:      EAL's words, its log, where its memory comes from.
 * Knows not:  ports.
 * Invariants: L1  the calling thread keeps its affinity, and no signal handler is installed
 *             L2  nothing is left on disk, unless dpdk.eal asks for it: no runtime directory, no
 *                 telemetry socket, no page files
 *             L3  what EAL and its drivers log goes nowhere but into dpdk_eal_said()
 * Thread:     control thread
 */

#include <stddef.h>

#include "transport.h"

/**
 * Start EAL, or find it started. It cannot be started again with other words: later callers get
 * what the first one got.
 *
 * Errors:  -errno, and `why` is one line
 */
int dpdk_eal_start(const struct transport_dpdk *config, char *why, size_t why_bytes);

/* The last complaint of EAL or a driver, without its line feed; "" when there was none since. */
enum { DPDK_SAID_BYTES = 200 };
void dpdk_eal_said(char said[DPDK_SAID_BYTES]);
void dpdk_eal_forget(void);

#endif
