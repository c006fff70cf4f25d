/* SPDX-License-Identifier: BSD-3-Clause */
#include "dpdk.h"
#include "link.h"

#include <string.h>

enum { PAGE_BYTES = 4096 };

/* Where one frame goes. */
struct targets {
    const struct dpdk_list *list; /* or NULL: the one peer, or the group */
    struct dpdk_list one;
    bool group;
};

static bool goes_by_group(const struct dpdk *d, uint32_t dest)
{
    return d->local.has_group &&
           ((dest == ZCB_TO_ALL && d->all.count > 0) || (dest == ZCB_TO_RING && d->ring.count > 1));
}

static uint8_t peer_by_id(const struct dpdk *d, uint32_t node_id)
{
    for (int i = 0; i < d->node_count; i++)
        if (d->node_id[i] == node_id)
            return (uint8_t)i;
    return PEER_NONE;
}

/* False: nobody can be sent this. */
static bool find_targets(const struct dpdk *d, uint32_t dest, struct targets *to)
{
    *to = (struct targets){ .group = goes_by_group(d, dest) };
    if (to->group)
        return true;
    if (dest == ZCB_TO_ALL || dest == ZCB_TO_RING) {
        to->list = dest == ZCB_TO_ALL ? &d->all : &d->ring;
        return true;
    }
    to->one = (struct dpdk_list){ .count = 1, .peer = { peer_by_id(d, dest) } };
    to->list = &to->one;
    return to->one.peer[0] != PEER_NONE && to->one.peer[0] != d->self;
}

static struct dpdk_port *port_to(struct dpdk *d, uint8_t peer)
{
    return &d->port[d->port_of[peer]];
}

static bool has_room(struct dpdk_port *port, uint32_t packets)
{
    if (port->pending_count + packets <= DPDK_PENDING_MAX)
        return true;
    dpdk_port_flush(port);
    return port->pending_count + packets <= DPDK_PENDING_MAX || port->one_peer; /* D3 */
}

/* A port that leads to all takes all of a frame's packets, or none. */
static bool ports_have_room(struct dpdk *d, const struct targets *to)
{
    if (to->group)
        return has_room(&d->port[0], 1);
    if (!d->port[0].one_peer)
        return has_room(&d->port[0], to->list->count);
    for (int i = 0; i < to->list->count; i++)
        (void)has_room(port_to(d, to->list->peer[i]), 1);
    return true;
}

void dpdk_tx_flush(struct dpdk *d)
{
    bool busy = false;
    for (int i = 0; i < d->port_count; i++) {
        if (d->port[i].pending_count > 0 || d->port[i].unsent)
            dpdk_port_flush(&d->port[i]);
        busy = busy || d->port[i].pending_count > 0 || d->port[i].unsent;
    }
    d->base.busy = busy;
}

static uint32_t pieces_most(const struct dpdk_port *port, const struct zcb *frame)
{
    uint32_t pages = frame->slice_count + frame->payload_bytes / PAGE_BYTES;
    return frame->slice_count + (port->by_page ? pages : 0);
}

static bool buffers_suffice(const struct dpdk *d, uint32_t packets, uint32_t pieces)
{
    return rte_mempool_avail_count(d->heads) >= packets &&
           rte_mempool_avail_count(d->segments) >= packets * pieces;
}

static bool have_room(struct dpdk *d, const struct targets *to, const struct zcb *frame)
{
    uint32_t packets = to->group ? 1 : to->list->count;
    uint32_t pieces = pieces_most(&d->port[0], frame);
    if (!buffers_suffice(d, packets, pieces)) {
        dpdk_tx_flush(d);
        if (!buffers_suffice(d, packets, pieces))
            return false;
    }
    return ports_have_room(d, to);
}

/* D3: `port` takes the packet over, whatever becomes of it. */
static void port_add(struct dpdk *d, struct dpdk_port *port, struct rte_mbuf *m)
{
    if (port->up && port->pending_count < DPDK_PENDING_MAX) {
        port->pending[port->pending_count++] = m;
        return;
    }
    port->dropped++;
    d->stats.tx_errors++;
    rte_pktmbuf_free(m);
}

/* The head of a packet: room for its headers, and the frame's own head behind them. */
static struct rte_mbuf *head_mbuf(struct dpdk *d, const struct zcb *frame)
{
    struct rte_mbuf *m = rte_pktmbuf_alloc(d->heads);
    if (!m)
        return NULL;
    m->data_off = RTE_PKTMBUF_HEADROOM + PACKET_HEAD_ROOM;
    m->data_len = (uint16_t)frame->head_bytes;
    m->pkt_len = frame->head_bytes;
    memcpy(rte_pktmbuf_mtod(m, uint8_t *), frame->head, frame->head_bytes);
    return m;
}

/* One more segment, behind `last`. NULL: none is to be had. */
static struct rte_mbuf *attach(struct dpdk *d, struct rte_mbuf *last, const uint8_t *data,
                               uint32_t bytes, struct dpdk_loan *loan)
{
    struct rte_mbuf *s = rte_pktmbuf_alloc(d->segments);
    if (!s)
        return NULL;
    rte_mbuf_ext_refcnt_update(&loan->shared, 1);
    rte_pktmbuf_attach_extbuf(s, (void *)(uintptr_t)data, (uintptr_t)data, (uint16_t)bytes,
                              &loan->shared);
    s->data_len = (uint16_t)bytes;
    last->next = s;
    return s;
}

static uint32_t piece_bytes(const struct dpdk_port *port, const uint8_t *data, uint32_t left)
{
    uint32_t page_left = PAGE_BYTES - (uint32_t)((uintptr_t)data % PAGE_BYTES);
    return port->by_page ? min_u32(left, page_left) : left;
}

/* D1: the payload where it lies. False: no segment is to be had. */
static bool attach_slices(struct dpdk *d, const struct dpdk_port *port, struct rte_mbuf *m,
                          const struct zcb *frame, struct dpdk_loan *loan)
{
    struct rte_mbuf *last = m;
    for (uint32_t i = 0; i < frame->slice_count; i++) {
        const uint8_t *data = frame->slice[i].data, *end = data + frame->slice[i].bytes;
        while (data < end) {
            uint32_t bytes = piece_bytes(port, data, (uint32_t)(end - data));
            last = attach(d, last, data, bytes, loan);
            if (!last)
                return false;
            m->nb_segs++;
            m->pkt_len += bytes;
            data += bytes;
        }
    }
    return true;
}

static bool reached(const struct zcb *frame)
{
    for (uint32_t i = 0; i < frame->slice_count; i++)
        if (frame->slice[i].key == 0)
            return false;
    return true;
}

/* Why this payload is to be copied. A sum that is made here must be that of the bytes that go,
 * whatever a client does to its memory meanwhile. */
static enum dpdk_copy copy_for(const struct dpdk_port *port, const struct packet_template *t,
                               const struct zcb *frame)
{
    if (port->tx_copy != DPDK_COPY_NOT)
        return port->tx_copy;
    if (t->checksum == PACKET_CHECKSUM_FULL)
        return DPDK_COPY_TX_SUMMED;
    if (pieces_most(port, frame) >= port->pieces_most) /* and its head */
        return DPDK_COPY_TX_PIECES;
    return port->picky && !reached(frame) ? DPDK_COPY_TX_UNREACHED : DPDK_COPY_NOT;
}

/* In one piece, by a copy of some 50 ns a kilobyte. */
static void copy_slices(struct rte_mbuf *m, const struct zcb *frame)
{
    for (uint32_t i = 0; i < frame->slice_count; i++) {
        const struct zcb_slice *slice = &frame->slice[i];
        memcpy(rte_pktmbuf_append(m, (uint16_t)slice->bytes), slice->data, slice->bytes);
    }
}

static void put_headers(const struct packet_template *t, struct rte_mbuf *m)
{
    uint8_t *payload = rte_pktmbuf_mtod(m, uint8_t *);
    packet_stamp(t, payload, m->pkt_len);
    if (t->checksum == PACKET_CHECKSUM_FULL) /* all in one piece: copy_slices() */
        packet_sum(t, payload, &(struct iovec){ payload, m->data_len }, 1);
    if (t->checksum == PACKET_CHECKSUM_PSEUDO) {
        m->ol_flags |= RTE_MBUF_F_TX_UDP_CKSUM | (t->v6 ? RTE_MBUF_F_TX_IPV6 : RTE_MBUF_F_TX_IPV4);
        m->l2_len = t->l2_bytes;
        m->l3_len = t->l3_bytes;
    }
    m->data_off = (uint16_t)(m->data_off - t->head_bytes);
    m->data_len = (uint16_t)(m->data_len + t->head_bytes);
    m->pkt_len += t->head_bytes;
}

/* One packet. NULL: no buffer is to be had, which the ring will see as a loss. */
static struct rte_mbuf *packet_make(struct dpdk *d, const struct dpdk_port *port,
                                    const struct packet_template *t, const struct zcb *frame,
                                    struct dpdk_loan *loan)
{
    struct rte_mbuf *m = head_mbuf(d, frame);
    if (!m)
        return NULL;
    enum dpdk_copy copy = copy_for(port, t, frame);
    if (copy != DPDK_COPY_NOT) {
        copy_slices(m, frame);
        d->copied[copy] += frame->payload_bytes;
    } else if (frame->payload_bytes > 0 && !attach_slices(d, port, m, frame, loan)) {
        rte_pktmbuf_free(m);
        return NULL;
    }
    put_headers(t, m);
    return m;
}

static void send_packet(struct dpdk *d, struct dpdk_port *port, const struct packet_template *t,
                        const struct zcb *frame, struct dpdk_loan *loan)
{
    struct rte_mbuf *m = port->up ? packet_make(d, port, t, frame, loan) : NULL;
    if (!m) {
        port->dropped++;
        d->stats.tx_errors++;
        return;
    }
    d->stats.tx_frames++;
    d->stats.tx_bytes += frame->head_bytes + frame->payload_bytes;
    port_add(d, port, m);
}

static void send_to_peer(struct dpdk *d, uint8_t peer, const struct zcb *frame,
                         struct dpdk_loan *loan)
{
    if (peer_map_mac(&d->peers, peer)) {
        send_packet(d, port_to(d, peer), &d->to[peer], frame, loan);
        return;
    }
    d->stats.tx_errors++; /* nobody has answered at that address yet */
    dpdk_link_wanted(d, peer);
}

static void send_to_all(struct dpdk *d, const struct targets *to, const struct zcb *frame,
                        struct dpdk_loan *loan)
{
    if (to->group)
        send_packet(d, &d->port[0], &d->to_group, frame, loan);
    else
        for (int i = 0; i < to->list->count; i++)
            send_to_peer(d, to->list->peer[i], frame, loan);
}

static bool fits(const struct dpdk *d, const struct zcb *frame)
{
    return frame->head_bytes + frame->payload_bytes <= d->frame_bytes_max &&
           frame->slice_count < UINT8_MAX;
}

/* False: there is no room now. Else the frame is ours, and may be gone already. */
static bool send_frame(struct dpdk *d, struct zcb *frame)
{
    struct targets to;
    if (!fits(d, frame) || !find_targets(d, frame->dest, &to)) {
        d->stats.tx_errors++;
        zcb_drop(frame, ZCB_HELD_OUT);
        return true;
    }
    if (!have_room(d, &to, frame))
        return false;
    struct dpdk_loan *loan = dpdk_loan_take(&d->loans, frame);
    if (!loan)
        return false;
    send_to_all(d, &to, frame, loan);
    dpdk_loan_sealed(loan);
    return true;
}

int dpdk_tx_burst(struct transport *tp, struct zcb **frames, int count)
{
    struct dpdk *d = dpdk_of(tp);
    int taken = 0;
    d->stats.tx_calls++;
    while (taken < count && send_frame(d, frames[taken]))
        taken++;
    dpdk_tx_flush(d);
    if (taken < count)
        d->stats.tx_again++;
    return taken;
}

struct rte_mbuf *dpdk_tx_control_mbuf(struct dpdk *d)
{
    return rte_pktmbuf_alloc(d->heads);
}

void dpdk_tx_control(struct dpdk *d, struct dpdk_port *port, struct rte_mbuf *m)
{
    port_add(d, port, m);
    dpdk_port_flush(port);
}
