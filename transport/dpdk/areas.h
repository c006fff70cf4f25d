/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TRANSPORT_DPDK_AREAS_H
#define TRANSPORT_DPDK_AREAS_H

/*
 * areas.h - memory that is not DPDK's, and that a card reads and writes by itself: EAL is told of
 * it, and the IOMMU in front of the card.
 *
 * Knows:      what they have been told.
 * Knows not:  what lies there, and when nobody uses it any more.
 * Invariants: A1  an arena has a key when the card reaches all of it, at the addresses we see it at
 *             A2  what we may not write before we may not write after
 *             A3  a card that goes takes its areas along, and hears of no others
 * Thread:     control thread; dpdk_areas_leave(): EAL's
 */

#include <pthread.h>
#include <stddef.h>

#include "rte.h"
#include "zcb.h"

enum { DPDK_AREAS_MAX = RTE_MAX_MEMSEG_LISTS }; /* EAL has a few of them, so fewer are to be had */

struct dpdk_area {
    void *base;
    size_t bytes;
};

struct dpdk_areas {
    pthread_mutex_t lock;    /* a card may go while it is told of something */
    struct rte_device *card; /* NULL: it has gone */
    uint32_t count;
    struct dpdk_area area[DPDK_AREAS_MAX];
};

void dpdk_areas_init(struct dpdk_areas *areas, struct rte_device *card);

/**
 * Errors:  -ENODEV the card has gone; -ENOSPC EAL has no place for more; -ENOTSUP no IOMMU in
 *          front of the card; -ENOMEM too many of them, or more than may be locked; -errno
 */
int dpdk_areas_add(struct dpdk_areas *areas, struct zcb_arena *arena);
/* One that was never added is no matter. */
void dpdk_areas_drop(struct dpdk_areas *areas, struct zcb_arena *arena);
/* The card goes, or nobody needs it any more. */
void dpdk_areas_leave(struct dpdk_areas *areas);

#endif
