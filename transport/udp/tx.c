/* SPDX-License-Identifier: BSD-3-Clause */
#include "udp.h"

#include <errno.h>
#include <string.h>

enum { TX_RETRIES_MAX = 16 }; /* of calls that only brought news of another peer */

/* A frame on its way into the batch. */
struct tx_frame {
    const struct zcb *zcb;
    int index; /* in the caller's array */
    struct iovec *iov;
    int iov_count; /* 0: its memory is not in the batch (yet, or any more) */
};

void udp_tx_init(struct udp *u)
{
    memset(&u->tx, 0, sizeof u->tx);
}

static void tx_count(struct udp *u, int first, int count)
{
    for (int i = first; i < first + count; i++)
        u->stats.tx_bytes += u->tx.bytes[i];
    u->stats.tx_frames += (uint64_t)count;
}

enum tx_verdict { TX_RETRY, TX_SKIP, TX_FULL };

/* Message i was refused. What concerns one destination may not disturb the others, nor what comes
 * later: our address or our link may be gone, and come back. */
__attribute__((noinline, cold)) static enum tx_verdict tx_failed(struct udp *u, int i, int error,
                                                                 int *retries)
{
    switch (error) {
    case EAGAIN:
    case ENOBUFS:
    case ENOMEM:
        u->stats.tx_again++;
        return TX_FULL;
    case EINTR:
        return TX_RETRY;
    case ECONNREFUSED: /* of a datagram sent before; this one was not looked at */
        if ((*retries)++ < TX_RETRIES_MAX)
            return TX_RETRY;
        break;
    default:
        break;
    }
    u->stats.tx_errors++;
    if (u->tx.peer[i] == u->peers.count)
        u->sockets.rejoin = true;
    return TX_SKIP;
}

/* Hand the batch to the kernel. -1: all of it went; else the first message there was no room for.
 * The batch is empty afterwards. */
static int tx_flush(struct udp *u)
{
    struct udp_tx *tx = &u->tx;
    int count = tx->message_count;
    int retries = 0;
    int i = 0;

    tx->message_count = 0;
    tx->iov_count = 0;
    while (i < count) {
        int sent = sendmmsg(u->sockets.own, tx->message + i, (unsigned)(count - i), MSG_DONTWAIT);
        u->stats.tx_calls++;
        if (sent > 0) {
            tx_count(u, i, sent);
            i += sent;
            continue;
        }
        switch (tx_failed(u, i, errno, &retries)) {
        case TX_RETRY:
            break;
        case TX_SKIP:
            i++;
            break;
        case TX_FULL:
            tx->fan_first = tx->peer[i];
            return tx->frame[i];
        }
    }
    return -1;
}

/* Name the frame's memory once, however many destinations it has. */
static void tx_gather(struct udp_tx *tx, struct tx_frame *f)
{
    struct iovec *iov = tx->iov + tx->iov_count;

    f->iov = iov;
    *iov++ = (struct iovec){ .iov_base = f->zcb->head, .iov_len = f->zcb->head_bytes };
    for (int i = 0; i < f->zcb->slice_count; i++) {
        const struct zcb_slice *slice = &f->zcb->slice[i];
        if (slice->bytes != 0)
            *iov++ = (struct iovec){ .iov_base = (void *)slice->data, .iov_len = slice->bytes };
    }
    f->iov_count = (int)(iov - f->iov);
    tx->iov_count += f->iov_count;
}

/* Add one datagram. -1, or the index of the frame the kernel had no room for. */
static int tx_add(struct udp *u, struct tx_frame *f, uint8_t peer)
{
    struct udp_tx *tx = &u->tx;
    int i;

    if (tx->message_count == UDP_TX_MESSAGES ||
        (f->iov_count == 0 && tx->iov_count + f->zcb->slice_count + 1 > UDP_TX_IOVS)) {
        int full = tx_flush(u);
        if (full >= 0)
            return full;
        f->iov_count = 0;
    }
    if (f->iov_count == 0)
        tx_gather(tx, f);
    i = tx->message_count++;
    tx->message[i].msg_hdr.msg_name = &u->peers.item[peer].address;
    tx->message[i].msg_hdr.msg_namelen = udp_address_bytes(&u->peers.item[peer].address);
    tx->message[i].msg_hdr.msg_iov = f->iov;
    tx->message[i].msg_hdr.msg_iovlen = (size_t)f->iov_count;
    tx->frame[i] = f->index;
    tx->peer[i] = peer;
    tx->bytes[i] = f->zcb->head_bytes + f->zcb->payload_bytes;
    return -1;
}

/* One datagram to each of the list. A fan-out that was cut short is offered whole again by the
 * caller; it then begins with those who got nothing. */
static int tx_fan(struct udp *u, struct tx_frame *f, const struct udp_list *list)
{
    int full = -1;
    int i = 0;

    while (i < list->count && list->peer[i] != u->tx.fan_first)
        i++;
    for (int left = list->count; left > 0 && full < 0; left--, i++)
        full = tx_add(u, f, list->peer[i < list->count ? i : (i = 0)]);
    return full;
}

static int tx_one(struct udp *u, struct tx_frame *f)
{
    bool multicast = udp_peers_multicast(&u->peers);
    uint8_t peer;

    switch (f->zcb->dest) {
    case ZCB_TO_ALL:
        if (multicast && u->peers.all.count > 0)
            return tx_add(u, f, (uint8_t)u->peers.count);
        return tx_fan(u, f, &u->peers.all);
    case ZCB_TO_RING:
        if (multicast && u->peers.ring.count > 1)
            return tx_add(u, f, (uint8_t)u->peers.count);
        return tx_fan(u, f, &u->peers.ring);
    default:
        peer = udp_peers_by_id(&u->peers, f->zcb->dest);
        if (peer == UDP_PEER_NONE || peer == u->peers.self) {
            u->stats.tx_errors++;
            return -1;
        }
        return tx_add(u, f, peer);
    }
}

/* Can it be sent at all? The receiver would cut what is longer. */
static bool tx_fits(const struct udp *u, const struct zcb *frame)
{
    return (uint64_t)frame->head_bytes + frame->payload_bytes <= u->frame_bytes_max &&
           frame->slice_count < UDP_TX_IOVS;
}

int udp_tx_burst(struct transport *tp, struct zcb **frames, int count)
{
    struct udp *u = udp_of(tp);
    int full = -1;

    if (__builtin_expect(u->sockets.rejoin, 0))
        udp_sockets_rejoin(&u->sockets, &u->peers);
    for (int i = 0; i < count && full < 0; i++) {
        if (tx_fits(u, frames[i]))
            full = tx_one(u, &(struct tx_frame){ .zcb = frames[i], .index = i });
        else
            u->stats.tx_errors++;
    }
    if (full < 0)
        full = tx_flush(u);
    count = full < 0 ? count : full;
    for (int i = 0; i < count; i++)
        zcb_drop(frames[i], ZCB_HELD_OUT);
    return count;
}
