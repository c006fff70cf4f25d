/* SPDX-License-Identifier: BSD-3-Clause */
#include "dpdk.h"
#include "link.h"

#include <string.h>

static uint32_t card_checked(const struct rte_mbuf *m)
{
    bool udp = (m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) == RTE_MBUF_F_RX_L4_CKSUM_GOOD;
    bool ip = (m->ol_flags & RTE_MBUF_F_RX_IP_CKSUM_MASK) == RTE_MBUF_F_RX_IP_CKSUM_GOOD;
    uint32_t flags = (udp ? PACKET_UDP_CHECKED : 0u) | (ip ? PACKET_IP_CHECKED : 0u);
    if (m->ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED)
        flags |= packet_untagged(m->vlan_tci);
    return flags;
}

/* D2: the frame whose slot the packet came into. A driver that began elsewhere has it moved. */
static struct zcb *frame_in_place(struct dpdk *d, struct rte_mbuf *m,
                                  const struct packet_view *view)
{
    struct zcb *frame = dpdk_slots_leave(&d->slots, m);
    if (view->payload != frame->head) {
        memmove(frame->head, view->payload, view->payload_bytes);
        d->copied.rx_driver += view->payload_bytes;
    }
    zcb_pass(frame, ZCB_HELD_TRANSPORT, ZCB_HELD_OUT);
    return frame;
}

/* D2: the driver keeps its memory. */
static struct zcb *frame_copied(struct dpdk *d, struct rte_mbuf *m, const struct packet_view *view)
{
    struct zcb *frame = zcb_get(d->rx_pool, ZCB_HELD_OUT); /* frames_for() left one */
    memcpy(frame->head, view->payload, view->payload_bytes);
    d->copied.rx_driver += view->payload_bytes;
    rte_pktmbuf_free(m);
    return frame;
}

static struct zcb *frame_of(struct dpdk *d, const struct dpdk_port *port, struct rte_mbuf *m,
                            const struct packet_view *view)
{
    struct zcb *frame = port->own_memory ? frame_copied(d, m, view) : frame_in_place(d, m, view);
    frame->head_bytes = view->payload_bytes;
    frame->from = d->node_id[view->source];
    zcb_add_slice(frame, &(struct zcb_slice){ .data = frame->head,
                                              .offset = zcb_slot_offset(frame),
                                              .arena = d->rx_pool->arena });
    d->stats.rx_frames++;
    d->stats.rx_bytes += view->payload_bytes;
    return frame;
}

/* A packet in several buffers is longer than any of ours. */
static enum packet_verdict judge(struct dpdk *d, struct rte_mbuf *m, struct packet_view *view)
{
    enum packet_verdict verdict = packet_parse(&d->local, rte_pktmbuf_mtod(m, const uint8_t *),
                                               m->data_len, card_checked(m), view);
    d->verdict[verdict]++;
    return verdict;
}

/* The frame in the packet; NULL: there is none, and the packet is gone. */
static struct zcb *packet_take(struct dpdk *d, struct dpdk_port *port, struct rte_mbuf *m)
{
    struct packet_view view;
    if (m->nb_segs > 1) {
        d->stats.rx_too_long++;
        rte_pktmbuf_free(m);
        return NULL;
    }
    enum packet_verdict verdict = judge(d, m, &view);
    if (verdict == PACKET_OURS && view.payload_bytes <= d->frame_bytes_max) {
        dpdk_link_heard(d, view.source, view.from);
        return frame_of(d, port, m, &view);
    }
    if (verdict == PACKET_OURS)
        d->stats.rx_too_long++;
    else if (verdict == PACKET_SOURCE_UNKNOWN)
        d->stats.rx_unknown_source++;
    else
        dpdk_link_control(d, port, verdict, &view);
    rte_pktmbuf_free(m);
    return NULL;
}

/* How many packets may be taken from a port: one that has memory of its own does not ask the pool
 * (B2), and what it gave cannot be given back. */
static uint16_t frames_for(struct dpdk *d, const struct dpdk_port *port, int count)
{
    uint32_t spare = d->rx_pool->free_count - min_u32(d->rx_pool->free_count, d->slots.reserve);
    if (port->own_memory && spare < (uint32_t)count) {
        d->slots.refused += spare == 0;
        return (uint16_t)spare;
    }
    return (uint16_t)count;
}

static int port_receive(struct dpdk *d, struct dpdk_port *port, struct zcb **frames, int count)
{
    struct rte_mbuf *m[TRANSPORT_BURST];
    uint16_t got = dpdk_port_rx(port, m, frames_for(d, port, count));
    int taken = 0;
    d->stats.rx_calls++;
    for (uint16_t i = 0; i < got; i++)
        rte_prefetch0(rte_pktmbuf_mtod(m[i], void *));
    for (uint16_t i = 0; i < got; i++) {
        struct zcb *frame = packet_take(d, port, m[i]);
        if (frame)
            frames[taken++] = frame;
    }
    return taken;
}

/* Each port in turn, beginning behind the one that was last: none starves. */
int dpdk_rx_burst(struct transport *tp, struct zcb **frames, int count)
{
    struct dpdk *d = dpdk_of(tp);
    int got = 0;
    if (count > TRANSPORT_BURST)
        count = TRANSPORT_BURST;
    for (int i = 0; i < d->port_count && got < count; i++) {
        d->rx_next = d->rx_next + 1 < d->port_count ? d->rx_next + 1 : 0;
        got += port_receive(d, &d->port[d->rx_next], frames + got, count - got);
    }
    d->stats.rx_pool_empty = d->slots.refused;
    return got;
}
