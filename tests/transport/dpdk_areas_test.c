/* SPDX-License-Identifier: BSD-3-Clause */
/* dpdk_areas_test.c - memory that a card is told of. The card is ours: the linker gives us what
 * would be said to it (--wrap). */
#include <criterion/criterion.h>

#include <errno.h>
#include <string.h>

#include "dpdk/areas.h"
#include "dpdk/eal.h"

enum { AREA_BYTES = 16384, MANY = 2 * DPDK_AREAS_MAX };

static struct {
    uint32_t maps, unmaps;
    bool refuses;
    bool writable; /* the last map, when it was made */
} card;

int __wrap_rte_dev_dma_map(struct rte_device *device, void *base, uint64_t iova, size_t bytes);
int __wrap_rte_dev_dma_unmap(struct rte_device *device, void *base, uint64_t iova, size_t bytes);

/* Of the mapping at `base`, as the kernel has it: "r--s" */
static bool is_writable(const void *base)
{
    char line[256], flags[8];
    unsigned long begin, end;
    bool found = false, writable = false;
    FILE *maps = fopen("/proc/self/maps", "r");
    while (!found && fgets(line, sizeof(line), maps)) {
        cr_assert_eq(sscanf(line, "%lx-%lx %7s", &begin, &end, flags), 3);
        found = begin <= (uintptr_t)base && (uintptr_t)base < end;
        writable = found && flags[1] == 'w';
    }
    fclose(maps);
    cr_assert(found);
    return writable;
}

int __wrap_rte_dev_dma_map(struct rte_device *device, void *base, uint64_t iova, size_t bytes)
{
    (void)device;
    cr_assert_eq(iova, (uintptr_t)base);
    cr_assert_eq(bytes, AREA_BYTES);
    cr_assert_not_null(rte_mem_virt2memseg_list(base), "EAL is told first");
    card.writable = is_writable(base);
    rte_errno = ENOMEM;
    card.maps += !card.refuses;
    return card.refuses ? -1 : 0;
}

int __wrap_rte_dev_dma_unmap(struct rte_device *device, void *base, uint64_t iova, size_t bytes)
{
    (void)device;
    cr_assert_eq(iova, (uintptr_t)base);
    cr_assert_eq(bytes, AREA_BYTES);
    cr_assert_not_null(rte_mem_virt2memseg_list(base), "EAL is told last");
    card.unmaps++;
    return 0;
}

static struct dpdk_areas areas;

static void setup(void)
{
    struct transport_dpdk words = { .port = "memif", .memory_bytes = 32 << 20 };
    char why[512] = "";
    cr_assert_eq(dpdk_eal_start(&words, why, sizeof(why)), 0, "%s", why);
    dpdk_areas_init(&areas, (struct rte_device *)&card);
}

TestSuite(areas, .init = setup);

static struct zcb_arena arena_of(enum zcb_writer writer)
{
    struct zcb_arena arena;
    cr_assert_eq(zcb_arena_create(&arena, "areas", AREA_BYTES, 7, ZCB_PAGES_SMALL, writer), 0);
    return arena;
}

Test(areas, A1_an_arena_has_a_key_while_the_card_knows_it)
{
    struct zcb_arena arena = arena_of(ZCB_WRITER_CREATOR);
    cr_assert_eq(dpdk_areas_add(&areas, &arena), 0);
    cr_assert_neq(arena.key, 0);
    cr_assert_eq(card.maps, 1);
    dpdk_areas_drop(&areas, &arena);
    cr_assert_eq(arena.key, 0);
    cr_assert_eq(card.unmaps, 1);
    cr_assert_null(rte_mem_virt2memseg_list(arena.base));
    dpdk_areas_drop(&areas, &arena); /* again, or never added */
    cr_assert_eq(card.unmaps, 1);
    zcb_arena_destroy(&arena);
}

Test(areas, A1_what_a_card_refuses_has_no_key_and_takes_no_place)
{
    struct zcb_arena arena = arena_of(ZCB_WRITER_CREATOR);
    card.refuses = true;
    for (int i = 0; i < MANY; i++) {
        cr_assert_eq(dpdk_areas_add(&areas, &arena), -ENOMEM);
        cr_assert_eq(arena.key, 0);
        cr_assert_null(rte_mem_virt2memseg_list(arena.base));
    }
    card.refuses = false;
    cr_assert_eq(dpdk_areas_add(&areas, &arena), 0);
    dpdk_areas_leave(&areas);
    zcb_arena_destroy(&arena);
}

Test(areas, A2_what_clients_write_is_lent_writable_and_stays_for_reading)
{
    struct zcb_arena clients = arena_of(ZCB_WRITER_PEER), ours = arena_of(ZCB_WRITER_CREATOR);
    cr_assert_not(is_writable(clients.base));
    cr_assert_eq(dpdk_areas_add(&areas, &clients), 0);
    cr_assert(card.writable, "the kernel would refuse it");
    cr_assert_not(is_writable(clients.base));
    cr_assert_eq(dpdk_areas_add(&areas, &ours), 0);
    cr_assert(is_writable(ours.base));
    card.refuses = true;
    dpdk_areas_drop(&areas, &clients);
    cr_assert_eq(dpdk_areas_add(&areas, &clients), -ENOMEM);
    cr_assert_not(is_writable(clients.base));
    dpdk_areas_leave(&areas);
    zcb_arena_destroy(&clients);
    zcb_arena_destroy(&ours);
}

Test(areas, there_is_an_end_and_who_is_dropped_makes_room)
{
    static struct zcb_arena arena[MANY];
    int got = 0, failed = 0;
    while (!failed && got < MANY) {
        arena[got] = arena_of(ZCB_WRITER_PEER);
        failed = dpdk_areas_add(&areas, &arena[got]);
        got += !failed;
    }
    cr_assert_eq(failed, -ENOSPC);
    cr_assert_gt(got, 100);
    cr_assert_eq(arena[got].key, 0);
    cr_assert_eq(card.maps, (uint32_t)got);
    dpdk_areas_drop(&areas, &arena[got / 2]);
    cr_assert_eq(dpdk_areas_add(&areas, &arena[got]), 0);
    dpdk_areas_leave(&areas);
    cr_assert_eq(card.unmaps, card.maps);
}

Test(areas, A3_a_card_that_has_gone_hears_of_nothing)
{
    struct zcb_arena arena = arena_of(ZCB_WRITER_PEER), other = arena_of(ZCB_WRITER_PEER);
    cr_assert_eq(dpdk_areas_add(&areas, &arena), 0);
    dpdk_areas_leave(&areas);
    cr_assert_eq(card.unmaps, 1);
    cr_assert_eq(dpdk_areas_add(&areas, &other), -ENODEV);
    cr_assert_eq(other.key, 0);
    dpdk_areas_drop(&areas, &arena);
    cr_assert_eq(card.maps + card.unmaps, 2);
    zcb_arena_destroy(&arena);
    zcb_arena_destroy(&other);
}
