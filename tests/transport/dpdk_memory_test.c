/* SPDX-License-Identifier: BSD-3-Clause */
/* dpdk_memory_test.c - payload that is lent to drivers, which give it back when they like. */
#include <criterion/criterion.h>

#include "dpdk/eal.h"
#include "dpdk/memory.h"

enum { FRAMES = 4, SEGMENTS = 3, SLOT_BYTES = 2048 };

static struct zcb_arena arena;
static struct zcb_pool frames;
static struct dpdk_loans loans;
static struct rte_mempool *segments;

static void setup(void)
{
    struct transport_dpdk words = { .port = "memif", .memory_bytes = 32 << 20 };
    char why[512] = "";
    cr_assert_eq(dpdk_eal_start(&words, why, sizeof(why)), 0, "%s", why);
    cr_assert_eq(zcb_arena_create(&arena, "loans", FRAMES * SLOT_BYTES, 1, ZCB_PAGES_SMALL,
                                  ZCB_WRITER_CREATOR),
                 0);
    cr_assert_eq(zcb_pool_create(&frames, &arena,
                                 &(struct zcb_pool_shape){
                                     .slot_bytes = SLOT_BYTES, .count = FRAMES, .slices_max = 1 }),
                 0);
    cr_assert_eq(dpdk_loans_create(&loans, FRAMES), 0);
    segments = rte_pktmbuf_pool_create("segments", 63, 0, 0, 0, SOCKET_ID_ANY);
    cr_assert_not_null(segments);
}

static void teardown(void)
{
    dpdk_loans_destroy(&loans); /* B3 */
    zcb_pool_destroy(&frames);
    zcb_arena_destroy(&arena);
}

TestSuite(memory, .init = setup, .fini = teardown);

/* In so many segments, which a driver has now. */
static struct zcb *lend(struct rte_mbuf **m, int count)
{
    struct zcb *frame = zcb_get(&frames, ZCB_HELD_OUT);
    struct dpdk_loan *loan = dpdk_loan_take(&loans, frame);
    for (int i = 0; i < count; i++) {
        m[i] = rte_pktmbuf_alloc(segments);
        rte_mbuf_ext_refcnt_update(&loan->shared, 1);
        rte_pktmbuf_attach_extbuf(m[i], frame->head, (uintptr_t)frame->head, 100, &loan->shared);
    }
    dpdk_loan_sealed(loan);
    return frame;
}

Test(memory, B3_a_frame_comes_back_with_the_last_segment)
{
    struct rte_mbuf *m[SEGMENTS];
    struct zcb *frame = lend(m, SEGMENTS);
    for (int i = 0; i < SEGMENTS; i++) {
        cr_assert_eq(frame->held[ZCB_HELD_TRANSPORT], 1);
        cr_assert_eq(loans.open, 1);
        rte_pktmbuf_free(m[i]);
    }
    cr_assert_eq(frame->refs, 0);
    cr_assert_eq(loans.open, 0);
    cr_assert_eq(loans.returned, 1);
}

Test(memory, B3_what_has_been_sent_comes_back_though_its_segments_do_not)
{
    struct rte_mbuf *m[2][SEGMENTS];
    (void)lend(m[0], SEGMENTS);
    (void)lend(m[1], 1);
    dpdk_loans_end(&loans);
    cr_assert_eq(frames.free_count, FRAMES);
    cr_assert_eq(loans.returned, 2);
    cr_assert_eq(loans.free_count, FRAMES - 2, "segments still point to them");
    dpdk_loans_end(&loans);
    struct zcb *again = zcb_get(&frames, ZCB_HELD_RING); /* somebody else's by now */
    rte_pktmbuf_free(m[1][0]);
    for (int i = 0; i < SEGMENTS; i++)
        rte_pktmbuf_free(m[0][i]);
    cr_assert_eq(loans.free_count, FRAMES);
    cr_assert_eq(loans.returned, 2);
    cr_assert_eq(again->refs, 1);
    zcb_drop(again, ZCB_HELD_RING);
}
