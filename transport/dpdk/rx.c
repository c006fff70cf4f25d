/* SPDX-License-Identifier: BSD-3-Clause */
#include "dpdk.h"
#include "link.h"
#include "wake.h"

#include <errno.h>
#include <string.h>

enum { JUNK_PACKETS = 512 }; /* looked at in a turn, of one port, for frames behind them */

/* NONE: the sum in the packet is not right, and what it would say was made sure of in another way,
 * as between two machines on one host. */
static bool is_checked(uint64_t verdict, uint64_t good, uint64_t none)
{
    return verdict == good || verdict == none;
}

static uint32_t card_checked(const struct rte_mbuf *m)
{
    bool udp = is_checked(m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK, RTE_MBUF_F_RX_L4_CKSUM_GOOD,
                          RTE_MBUF_F_RX_L4_CKSUM_NONE);
    bool ip = is_checked(m->ol_flags & RTE_MBUF_F_RX_IP_CKSUM_MASK, RTE_MBUF_F_RX_IP_CKSUM_GOOD,
                         RTE_MBUF_F_RX_IP_CKSUM_NONE);
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
        d->copied[DPDK_COPY_RX_MOVED] += view->payload_bytes;
    }
    zcb_pass(frame, ZCB_HELD_TRANSPORT, ZCB_HELD_OUT);
    return frame;
}

/* D2: the driver keeps its memory. */
static struct zcb *frame_copied(struct dpdk *d, struct rte_mbuf *m, const struct packet_view *view)
{
    struct zcb *frame = zcb_get(d->rx_pool, ZCB_HELD_OUT); /* frames_for() left one */
    memcpy(frame->head, view->payload, view->payload_bytes);
    d->copied[DPDK_COPY_RX_DRIVER] += view->payload_bytes;
    rte_pktmbuf_free(m);
    return frame;
}

static struct zcb *frame_finish(struct dpdk *d, struct zcb *frame, const struct packet_view *view)
{
    frame->head_bytes = view->payload_bytes;
    frame->from = d->node_id[view->source];
    zcb_add_slice(frame, &(struct zcb_slice){ .data = frame->head,
                                              .offset = zcb_slot_offset(frame),
                                              .arena = d->rx_pool->arena });
    d->stats.rx_frames++;
    d->stats.rx_bytes += view->payload_bytes;
    return frame;
}

/* Is it a frame? What is none is dealt with. */
static bool judge(struct dpdk *d, struct dpdk_port *port, const uint8_t *packet, uint32_t bytes,
                  uint32_t flags, struct packet_view *view)
{
    enum packet_verdict verdict = packet_parse(&d->local, packet, bytes, flags, view);
    d->verdict[verdict]++;
    if (verdict == PACKET_OURS && view->payload_bytes <= d->frame_bytes_max) {
        dpdk_link_heard(d, view->source, view->from);
        return true;
    }
    if (verdict == PACKET_OURS)
        d->stats.rx_too_long++;
    else if (verdict == PACKET_SOURCE_UNKNOWN)
        d->stats.rx_unknown_source++;
    else
        dpdk_link_control(d, port, verdict, view);
    return false;
}

/* The buffers of a packet one behind the other, so that its payload is where the frame's is. */
static uint8_t *join_buffers(const struct dpdk *d, const struct rte_mbuf *m, struct zcb *frame)
{
    uint8_t *packet = frame->head - d->head_bytes, *at = packet;
    for (; m; m = m->next) {
        memcpy(at, rte_pktmbuf_mtod(m, const void *), m->data_len);
        at += m->data_len;
    }
    return packet;
}

/* A card has buffers of its own sizes, and cuts what does not fit in one of them. */
__attribute__((noinline)) static struct zcb *chain_take(struct dpdk *d, struct dpdk_port *port,
                                                        struct rte_mbuf *m)
{
    struct packet_view view;
    struct zcb *frame = NULL;
    if (m->pkt_len > d->head_bytes + d->frame_bytes_max)
        d->stats.rx_too_long++;
    else if (d->rx_pool->free_count <= d->slots.reserve ||
             !(frame = zcb_get(d->rx_pool, ZCB_HELD_OUT)))
        d->slots.refused++;
    if (frame) {
        const uint8_t *packet = join_buffers(d, m, frame);
        d->copied[DPDK_COPY_RX_CUT] += m->pkt_len;
        bool ours = judge(d, port, packet, m->pkt_len, card_checked(m), &view) &&
                    view.payload == frame->head;
        if (!ours)
            zcb_drop(frame, ZCB_HELD_OUT);
        frame = ours ? frame_finish(d, frame, &view) : NULL;
    }
    rte_pktmbuf_free(m);
    return frame;
}

/* The frame in the packet; NULL: there is none, and the packet is gone. */
static struct zcb *packet_take(struct dpdk *d, struct dpdk_port *port, struct rte_mbuf *m)
{
    struct packet_view view;
    if (__builtin_expect(m->nb_segs > 1, 0))
        return chain_take(d, port, m);
    if (!judge(d, port, rte_pktmbuf_mtod(m, const uint8_t *), m->data_len, card_checked(m),
               &view)) {
        rte_pktmbuf_free(m);
        return NULL;
    }
    struct zcb *frame = port->own_memory ? frame_copied(d, m, &view) : frame_in_place(d, m, &view);
    return frame_finish(d, frame, &view);
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

/* One burst of the driver: how many packets it had. *taken grows by those that are frames. */
static int port_burst(struct dpdk *d, struct dpdk_port *port, struct zcb **frames, int count,
                      int *taken)
{
    struct rte_mbuf *m[TRANSPORT_BURST];
    uint16_t got = dpdk_port_rx(port, m, frames_for(d, port, count - *taken));
    d->stats.rx_calls++;
    for (uint16_t i = 0; i < got; i++)
        rte_prefetch0(rte_pktmbuf_mtod(m[i], void *));
    for (uint16_t i = 0; i < got; i++) {
        struct zcb *frame = packet_take(d, port, m[i]);
        if (frame)
            frames[(*taken)++] = frame;
    }
    return got;
}

/* Packets that are no frames must not look like silence: who sends many would put the core to sleep
 * while frames wait behind them. */
static int port_receive(struct dpdk *d, struct dpdk_port *port, struct zcb **frames, int count)
{
    int taken = 0, got = 1;
    for (int junk = 0; got > 0 && taken < count && junk < JUNK_PACKETS; junk += got)
        got = port_burst(d, port, frames, count, &taken);
    return taken;
}

/*
 * Each port in turn, beginning behind the one that was last: none starves. A frame may tell of
 * others that were put into other ports before it. So the turn ends when every port was seen empty
 * after the last frame was taken, if the burst has room for what there is: then it has all that its
 * frames can tell of.
 */
int dpdk_rx_burst(struct transport *tp, struct zcb **frames, int count)
{
    struct dpdk *d = dpdk_of(tp);
    int got = 0;
    if (count > TRANSPORT_BURST)
        count = TRANSPORT_BURST;
    for (int empty = 0; empty < d->port_count && got < count;) {
        d->rx_next = d->rx_next + 1 < d->port_count ? d->rx_next + 1 : 0;
        int taken = port_receive(d, &d->port[d->rx_next], frames + got, count - got);
        got += taken;
        empty = taken > 0 ? 0 : empty + 1;
    }
    if (__builtin_expect(dpdk_wake_curious(d), 0))
        dpdk_wake_looked(d, got > 0);
    d->stats.rx_pool_empty = d->slots.refused;
    if (__builtin_expect(d->port_count == 1 && d->port[0].interface.gone, 0))
        return got > 0 ? got : -ENODEV;
    return got;
}
