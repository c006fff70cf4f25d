/* SPDX-License-Identifier: BSD-3-Clause */
/* dpdk_tx_test.c - which payload goes where it lies, and why other is copied (D1). A port of memif
 * stands for a card. */
#include <criterion/criterion.h>

#include <string.h>

#include "cluster.h"
#include "dpdk/dpdk.h"

enum { HEAD = 40, PAYLOAD = 1000, PIECES = 4 };

static struct cluster c;
static struct dpdk *d;

static void setup(void)
{
    cluster_open(&c, DPDK_MEMIF_IPV4, &(struct options){ .parties = 2 });
    d = dpdk_of(c.party[0].tp);
}

static void teardown(void)
{
    cluster_close(&c);
}

TestSuite(tx, .init = setup, .fini = teardown);

static void exchange(uint32_t keys)
{
    struct zcb *frame = frame_make(&c, 0, c.party[1].node_id, 9, HEAD, PAYLOAD, PIECES);
    for (uint32_t i = 0; i < PIECES; i++)
        frame->slice[i].key = keys >> i & 1;
    send_one(&c, 0, frame);
    frame = receive_one(&c, 1);
    frame_check(frame, c.party[0].node_id, 9, HEAD + PAYLOAD);
    zcb_drop(frame, ZCB_HELD_OUT);
}

static uint64_t counter_of(const char *name)
{
    struct transport_counter list[TRANSPORT_COUNTERS_MAX];
    int count = c.party[0].tp->ops->counters(c.party[0].tp, list);
    for (int i = 0; i < count; i++)
        if (strcmp(list[i].name, name) == 0)
            return list[i].value;
    return UINT64_MAX;
}

static uint64_t copied(void)
{
    uint64_t sum = 0;
    for (int i = 0; i < DPDK_COPIES; i++)
        sum += d->copied[i];
    return sum;
}

Test(tx, D1_the_processor_reads_all_memory)
{
    exchange(0);
    cr_assert_eq(copied(), 0);
}

Test(tx, D1_a_card_reads_memory_it_was_told_of_and_no_other)
{
    d->port[0].picky = true;
    exchange(15);
    cr_assert_eq(copied(), 0);
    exchange(11);
    cr_assert_eq(counter_of("copied_tx_unreached"), PAYLOAD);
    cr_assert_eq(copied(), PAYLOAD);
}

Test(tx, D1_more_pieces_than_a_port_takes_go_in_one)
{
    d->port[0].pieces_most = PIECES;
    exchange(15);
    cr_assert_eq(counter_of("copied_tx_pieces"), PAYLOAD);
    d->port[0].pieces_most = PIECES + 1;
    exchange(15);
    cr_assert_eq(copied(), PAYLOAD);
}

static uint32_t crossing; /* pieces that lie in two pages */

static uint16_t look_at_pieces(uint16_t port, uint16_t queue, struct rte_mbuf **m, uint16_t count,
                               void *arg)
{
    for (uint16_t i = 0; i < count; i++)
        for (const struct rte_mbuf *s = m[i]; s; s = s->next) {
            uintptr_t first = rte_pktmbuf_mtod(s, uintptr_t), last = first + s->data_len - 1;
            crossing += RTE_MBUF_HAS_EXTBUF(s) && first / 4096 != last / 4096;
        }
    return count;
}

Test(tx, D1_what_lies_in_two_pages_goes_in_two_pieces_where_a_card_wants_it)
{
    cr_assert_not_null(rte_eth_add_tx_callback(d->port[0].id, 0, look_at_pieces, NULL));
    for (int i = 0; i < 50; i++)
        exchange(15);
    cr_assert_gt(crossing, 0);
    crossing = 0;
    d->port[0].by_page = true;
    for (int i = 0; i < 50; i++) /* over 12 pages */
        exchange(15);
    cr_assert_eq(crossing, 0);
    cr_assert_eq(copied(), 0);
    d->port[0].pieces_most = 2 * PIECES; /* what it may come to, and no head */
    exchange(15);
    cr_assert_eq(counter_of("copied_tx_pieces"), PAYLOAD);
}

Test(tx, D1_a_driver_that_keeps_what_it_sent_gets_copies)
{
    d->port[0].tx_copy = DPDK_COPY_TX_KEPT;
    exchange(15);
    cr_assert_eq(counter_of("copied_tx_kept"), PAYLOAD);
    cr_assert_eq(copied(), PAYLOAD);
}
