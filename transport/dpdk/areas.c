/* SPDX-License-Identifier: BSD-3-Clause */
#include "areas.h"

#include <errno.h>
#include <sys/mman.h>

static int said(int result)
{
    if (result == 0)
        return 0;
    return rte_errno ? -rte_errno : errno ? -errno : -EIO;
}

/* A2. EAL has the IOMMU permit both, and for writing the kernel takes pages only that we may write.
 */
static int tell_card(struct rte_device *card, const struct zcb_arena *arena)
{
    bool lift = arena->access == ZCB_READ;
    if (lift && mprotect(arena->base, arena->bytes, PROT_READ | PROT_WRITE) != 0)
        return -errno;
    rte_errno = errno = 0;
    int failed = said(rte_dev_dma_map(card, arena->base, (uintptr_t)arena->base, arena->bytes));
    if (lift)
        INVARIANT(mprotect(arena->base, arena->bytes, PROT_READ) == 0);
    return failed;
}

void dpdk_areas_init(struct dpdk_areas *areas, struct rte_device *card)
{
    *areas = (struct dpdk_areas){ .card = card };
    pthread_mutex_init(&areas->lock, NULL);
}

static int add(struct dpdk_areas *areas, struct zcb_arena *arena)
{
    if (!areas->card)
        return -ENODEV;
    if (areas->count == DPDK_AREAS_MAX)
        return -ENOSPC;
    rte_errno = errno = 0;
    int failed = said(rte_extmem_register(arena->base, arena->bytes, NULL, 0, arena->page_bytes));
    if (failed)
        return failed;
    failed = tell_card(areas->card, arena);
    if (failed) {
        (void)rte_extmem_unregister(arena->base, arena->bytes);
        return failed;
    }
    areas->area[areas->count++] = (struct dpdk_area){ arena->base, arena->bytes };
    arena->key = 1; /* A1 */
    return 0;
}

int dpdk_areas_add(struct dpdk_areas *areas, struct zcb_arena *arena)
{
    arena->key = 0;
    pthread_mutex_lock(&areas->lock);
    int failed = add(areas, arena);
    pthread_mutex_unlock(&areas->lock);
    return failed;
}

static void forget(struct dpdk_areas *areas, uint32_t at)
{
    struct dpdk_area *area = &areas->area[at];
    (void)rte_dev_dma_unmap(areas->card, area->base, (uintptr_t)area->base, area->bytes);
    (void)rte_extmem_unregister(area->base, area->bytes);
    *area = areas->area[--areas->count];
}

void dpdk_areas_drop(struct dpdk_areas *areas, struct zcb_arena *arena)
{
    uint32_t at = 0;
    pthread_mutex_lock(&areas->lock);
    while (at < areas->count && areas->area[at].base != arena->base)
        at++;
    if (at < areas->count)
        forget(areas, at);
    pthread_mutex_unlock(&areas->lock);
    arena->key = 0;
}

/* A3 */
void dpdk_areas_leave(struct dpdk_areas *areas)
{
    pthread_mutex_lock(&areas->lock);
    while (areas->count > 0)
        forget(areas, areas->count - 1);
    areas->card = NULL;
    pthread_mutex_unlock(&areas->lock);
}
