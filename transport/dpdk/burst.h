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
 * af_xdp asks the kernel to send what is in its ring, and asks again as long as the kernel says
 * that it cannot now: for ever, if a queue of the interface is stopped. After some tries it is told
 * that all is well (--wrap=send); a later burst, even an empty one, asks for what is left.
 *
 * Thread:     each its own; bursts are the poll core's, the shift is the control thread's
 */

#include <stdbool.h>

struct dpdk_burst {
    bool under_way;
    int tries; /* to have the kernel send */
    bool left; /* in the driver's ring: ask again */
};
extern _Thread_local struct dpdk_burst dpdk_burst;

static inline void dpdk_burst_begin(void)
{
    dpdk_burst = (struct dpdk_burst){ .under_way = true };
}

static inline void dpdk_burst_end(void)
{
    dpdk_burst.under_way = false;
}

/*
 * af_packet names its fan-out group by the process id and the interface's index, and two processes
 * of one network namespace may well come to the same name: the second is refused. What getpid()
 * says to this thread is shifted by so much while it tries again (--wrap=getpid).
 */
extern _Thread_local int dpdk_pid_shift;

#endif
