/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TRANSPORT_DPDK_BURST_H
#define TRANSPORT_DPDK_BURST_H

/*
 * burst.h - drivers that would wait inside a burst do not.
 *
 * af_packet waits without end for room in its ring, af_xdp for a second when the kernel wants to be
 * woken; the poll core has timers to keep. While this thread is in a burst poll() looks and does
 * not wait: the linker puts our function in front of theirs (--wrap=poll).
 *
 * Thread:     poll core
 */

#include <stdbool.h>

extern _Thread_local bool dpdk_in_burst;

#endif
