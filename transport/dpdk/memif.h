/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TRANSPORT_DPDK_MEMIF_H
#define TRANSPORT_DPDK_MEMIF_H

/*
 * memif.h - faults of DPDK's memif driver that end a process whose peer ends, mended from
 * outside: the linker puts our functions in front of those it calls (--wrap).
 *
 * When a peer goes, DPDK's interrupt thread marks the port unconnected and unmaps the memory at
 * once, though the poll core may be in the midst of a burst there. The linker gives us the
 * unmapping
 * (--wrap=memif_free_regions): it waits until the burst under way has ended. Later bursts see the
 * mark.
 *
 * Invariants: M1  no burst that began before the mark was set is under way when memory is unmapped
 *             M2  a peer that goes while it is being greeted is found gone, and nothing else
 *             M3  one thread at a time changes what a port's connection is
 *             M4  a peer that does not answer stops nobody's handshakes with others
 */

#include <stdatomic.h>
#include <stdint.h>

/* Odd: a burst is under way. One thread polls in a process that has memif ports. */
extern _Atomic uint32_t memif_bursts;

/* How many links have been lost so far, each before it can be made again. */
extern _Atomic uint32_t memif_losses;

/* The compiler keeps the order; membarrier() on the other side makes the processor keep it. */
static inline void memif_burst_begin(void)
{
    atomic_store_explicit(&memif_bursts,
                          atomic_load_explicit(&memif_bursts, memory_order_relaxed) + 1,
                          memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst);
}

static inline void memif_burst_end(void)
{
    atomic_store_explicit(&memif_bursts,
                          atomic_load_explicit(&memif_bursts, memory_order_relaxed) + 1,
                          memory_order_release);
}

/* Before the first burst. -errno: this kernel has no membarrier(). */
int memif_init(void);

/*
 * The driver's handlers run in EAL's interrupt thread and take no lock against calls from others.
 * So starting, stopping and closing a port is done there as well: M3.
 */
typedef void (*memif_fn)(void *arg);
int memif_post(memif_fn fn, void *arg);  /* as soon as may be. -errno: it will not be done */
void memif_call(memif_fn fn, void *arg); /* and wait for its end. Not from that thread */

#endif
