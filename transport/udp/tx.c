/* SPDX-License-Identifier: BSD-3-Clause */
#include "udp.h"

#include <errno.h>
#include <netinet/udp.h>
#include <string.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

enum {
    TX_RETRIES_MAX = 16,  /* of calls that only brought news of another peer */
    TX_HOLDOFF = 1 << 12, /* bursts without trains after one was refused */
};

void udp_tx_init(struct udp *u)
{
    memset(&u->tx, 0, sizeof u->tx);
    for (int i = 0; i < UDP_TX_MESSAGES; i++) {
        struct cmsghdr *control = &u->tx.control[i].header;
        control->cmsg_level = IPPROTO_UDP;
        control->cmsg_type = UDP_SEGMENT;
        control->cmsg_len = CMSG_LEN(sizeof(uint16_t));
    }
}

/* The kernel drops without a word what a link without a carrier cannot take; but for an interface
 * that is down it has no way. What it says of the group is true of all. */
static void tx_link(struct udp *u, uint8_t peer, bool down)
{
    bool group = peer == u->peers.count;
    int first = group ? 0 : peer, end = group ? u->peers.count : peer + 1;

    for (int i = first; i < end; i++) {
        if (u->tx.down[i] == down || i == u->peers.self)
            continue;
        u->tx.down[i] = down;
        u->tx.down_count += down ? 1 : -1;
        u->base.links++;
    }
}

int udp_links_down(const struct transport *tp, uint32_t *nodes)
{
    const struct udp *u = (const void *)tp;
    int count = 0;

    for (int i = 0; i < u->peers.count; i++) {
        if (u->tx.down[i])
            nodes[count++] = u->peers.item[i].node_id;
    }
    return count;
}

enum tx_verdict { TX_RETRY, TX_SKIP, TX_FULL, TX_SINGLE };

/* Message i was refused. What concerns one destination may not disturb the others, nor what comes
 * later: our address or our link may be gone, and come back. */
__attribute__((noinline, cold)) static enum tx_verdict tx_failed(struct udp *u, int i, int error,
                                                                 int *retries)
{
    const struct udp_tx_message *about = &u->tx.about[i];

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
    case EINVAL:   /* frames longer than the MTU, a link without checksums of its own, an old */
    case EMSGSIZE: /* kernel: no trains there */
    case EIO:
    case ENOPROTOOPT:
    case EOPNOTSUPP:
        if (about->count > 1)
            return TX_SINGLE;
        break;
    case ENETDOWN:
    case ENETUNREACH:
        tx_link(u, about->peer, true);
        break;
    default:
        break;
    }
    u->stats.tx_errors += (uint64_t)about->count;
    if (about->peer == u->peers.count)
        u->sockets.rejoin = true;
    return TX_SKIP;
}

static void tx_count(struct udp *u, int first, int count)
{
    for (int i = first; i < first + count; i++) {
        u->stats.tx_bytes += u->tx.about[i].bytes;
        u->stats.tx_frames += (uint64_t)u->tx.about[i].count;
        if (__builtin_expect(u->tx.down_count > 0, 0))
            tx_link(u, u->tx.about[i].peer, false);
    }
}

/* Hand the batch to the kernel. -1: all of it went; else the index of the first frame that did not
 * go to all its destinations. The batch is empty afterwards. */
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
        case TX_SINGLE:
            tx->holdoff = TX_HOLDOFF;
            return tx->about[i].index;
        case TX_FULL:
            tx->fan_first = tx->about[i].peer;
            return tx->about[i].index;
        }
    }
    return -1;
}

static void message_fill(struct udp *u, int i, const struct udp_train *train, uint8_t peer)
{
    struct msghdr *header = &u->tx.message[i].msg_hdr;
    const union udp_address *address = &u->peers.item[peer].address;
    uint16_t cut = (uint16_t)train->frame_bytes;

    header->msg_name = (void *)address;
    header->msg_namelen = udp_address_bytes(address);
    header->msg_iov = train->iov;
    header->msg_iovlen = (size_t)train->iov_count;
    header->msg_control = NULL;
    header->msg_controllen = 0;
    if (train->count > 1) {
        memcpy(CMSG_DATA(&u->tx.control[i].header), &cut, sizeof cut);
        header->msg_control = &u->tx.control[i];
        header->msg_controllen = sizeof u->tx.control[i];
    }
    u->tx.about[i] = (struct udp_tx_message){ train->index, train->count, train->bytes, peer };
}

/* Add one message: the train to one peer. -1, or what tx_flush() says. */
static int tx_add(struct udp *u, struct udp_train *train, uint8_t peer)
{
    struct udp_tx *tx = &u->tx;

    if (tx->message_count == UDP_TX_MESSAGES ||
        (train->iov_count == 0 && tx->iov_count + train->pieces > UDP_TX_IOVS)) {
        int stopped = tx_flush(u);
        if (stopped >= 0)
            return stopped;
        train->iov_count = 0;
    }
    if (train->iov_count == 0) { /* once, however many destinations there are */
        udp_train_gather(train, tx->iov + tx->iov_count);
        tx->iov_count += train->iov_count;
    }
    message_fill(u, tx->message_count++, train, peer);
    return -1;
}

/* One message to each of the list. A fan-out that was cut short is offered whole again by the
 * caller; it then begins with those who got nothing. */
static int tx_fan(struct udp *u, struct udp_train *train, const struct udp_list *list)
{
    int stopped = -1;
    int i = 0;

    while (i < list->count && list->peer[i] != u->tx.fan_first)
        i++;
    for (int left = list->count; left > 0 && stopped < 0; left--, i++)
        stopped = tx_add(u, train, list->peer[i < list->count ? i : (i = 0)]);
    return stopped;
}

/* Nobody can be sent this. What is before it goes first: it is counted when it is certain to be
 * taken, and so once. */
__attribute__((noinline, cold)) static int tx_give_up(struct udp *u, const struct udp_train *train)
{
    int stopped = tx_flush(u);

    if (stopped < 0)
        u->stats.tx_errors += (uint64_t)train->count;
    return stopped;
}

static int tx_train(struct udp *u, struct udp_train *train)
{
    bool multicast = udp_peers_multicast(&u->peers);
    uint32_t dest = train->frames[0]->dest;
    uint8_t peer;

    switch (dest) {
    case ZCB_TO_ALL:
        if (multicast && u->peers.all.count > 0)
            return tx_add(u, train, (uint8_t)u->peers.count);
        return tx_fan(u, train, &u->peers.all);
    case ZCB_TO_RING:
        if (multicast && u->peers.ring.count > 1)
            return tx_add(u, train, (uint8_t)u->peers.count);
        return tx_fan(u, train, &u->peers.ring);
    default:
        peer = udp_peers_by_id(&u->peers, dest);
        if (peer == UDP_PEER_NONE || peer == u->peers.self)
            return tx_give_up(u, train);
        return tx_add(u, train, peer);
    }
}

/* Can it be sent at all? The receiver would cut what is longer. */
static bool tx_fits(const struct udp *u, const struct zcb *frame)
{
    return udp_frame_bytes(frame) <= u->frame_bytes_max && frame->slice_count < UDP_TX_IOVS;
}

/* Send frames[first..count). -1, or the index of the first that did not go to all. */
static int tx_pass(struct udp *u, struct zcb **frames, int first, int count)
{
    struct udp_train train;
    int stopped = -1;

    for (int i = first; i < count && stopped < 0; i += train.count) {
        udp_train_make(&train, frames, i, count, u->tx.holdoff == 0, u->frame_bytes_max,
                       UDP_TX_IOVS);
        stopped = tx_fits(u, frames[i]) ? tx_train(u, &train) : tx_give_up(u, &train);
    }
    return stopped >= 0 ? stopped : tx_flush(u);
}

int udp_tx_burst(struct transport *tp, struct zcb **frames, int count)
{
    struct udp *u = udp_of(tp);
    bool trains = u->tx.holdoff == 0;
    int stopped;

    if (__builtin_expect(u->sockets.rejoin, 0))
        udp_sockets_rejoin(&u->sockets, &u->peers);
    if (!trains)
        u->tx.holdoff--;
    stopped = tx_pass(u, frames, 0, count);
    if (__builtin_expect(stopped >= 0, 0) && trains && u->tx.holdoff > 0)
        stopped = tx_pass(u, frames, stopped, count); /* one by one */
    count = stopped >= 0 ? stopped : count;
    for (int i = 0; i < count; i++)
        zcb_drop(frames[i], ZCB_HELD_OUT);
    return count;
}
