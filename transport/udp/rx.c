/* SPDX-License-Identifier: BSD-3-Clause */
#include "udp.h"

#include <errno.h>
#include <string.h>

static void message_reset(struct udp_rx *rx, int i)
{
    rx->message[i].msg_hdr.msg_namelen = sizeof rx->source[i]; /* the kernel shortened it */
}

void udp_rx_init(struct udp *u)
{
    struct udp_rx *rx = &u->rx;

    for (int i = 0; i < UDP_RX_SLOTS; i++) {
        rx->iov[i].iov_len = u->frame_bytes_max;
        rx->message[i].msg_hdr =
            (struct msghdr){ .msg_name = &rx->source[i], .msg_iov = &rx->iov[i], .msg_iovlen = 1 };
        message_reset(rx, i);
    }
}

void udp_rx_close(struct udp *u)
{
    while (u->rx.slot_count > 0)
        zcb_drop(u->rx.slot[--u->rx.slot_count], ZCB_HELD_TRANSPORT);
}

/* V2: a frame to receive into, in the shape of T2; NULL when the pool is at its reserve. */
static struct zcb *slot_take(struct udp *u)
{
    struct zcb *frame;

    if (u->pool->free_count <= u->rx_reserve)
        return NULL;
    frame = zcb_get(u->pool, ZCB_HELD_TRANSPORT);
    if (frame == NULL)
        return NULL;
    zcb_add_slice(frame, &(struct zcb_slice){ .data = frame->head,
                                              .offset = zcb_slot_offset(frame),
                                              .arena = u->pool->arena });
    return frame;
}

static void slot_set(struct udp_rx *rx, int i, struct zcb *frame)
{
    rx->slot[i] = frame;
    rx->iov[i].iov_base = frame->head;
}

static void slots_fill(struct udp *u)
{
    struct udp_rx *rx = &u->rx;
    struct zcb *frame;

    while (rx->slot_count < UDP_RX_SLOTS && (frame = slot_take(u)) != NULL)
        slot_set(rx, rx->slot_count++, frame);
}

/* Slot i was given away: put a new frame there, or the last one when the pool is short. Going down
 * from the highest slot given away, the last one is never itself given away (V1). */
static void slot_replace(struct udp *u, int i)
{
    struct udp_rx *rx = &u->rx;
    struct zcb *frame = slot_take(u);

    if (frame == NULL) {
        frame = rx->slot[--rx->slot_count];
        if (i == rx->slot_count)
            return;
    }
    slot_set(rx, i, frame);
}

/* Count frames that wait in the kernel because we had no slot for them. */
__attribute__((noinline, cold)) static void rx_short(struct udp *u, int fd)
{
    if (recv(fd, NULL, 0, MSG_PEEK | MSG_DONTWAIT) >= 0)
        u->stats.rx_pool_empty++;
}

/* Of the errors of a socket only those of our own making last; all others are news of some peer
 * or link. */
__attribute__((noinline, cold)) static int rx_error(int error)
{
    switch (error) {
    case EBADF:
    case ENOTSOCK:
    case EFAULT:
    case EINVAL:
        return -error;
    default:
        return 0;
    }
}

/* Is datagram i a frame of a node other than ourselves? */
static bool rx_accept(struct udp *u, int i)
{
    const struct msghdr *header = &u->rx.message[i].msg_hdr;
    struct zcb *frame = u->rx.slot[i];
    uint8_t peer = udp_peers_by_address(&u->peers, &u->rx.source[i]);

    if (peer == u->peers.self) /* our own multicast */
        return false;
    if (peer == UDP_PEER_NONE) {
        u->stats.rx_unknown_source++;
        return false;
    }
    if ((header->msg_flags & MSG_TRUNC) != 0) {
        u->stats.rx_too_long++;
        return false;
    }
    frame->head_bytes = u->rx.message[i].msg_len;
    frame->from = u->peers.item[peer].node_id;
    u->stats.rx_frames++;
    u->stats.rx_bytes += frame->head_bytes;
    return true;
}

/* Sort a received burst into frames for the caller and slots to use again. */
static int rx_sort(struct udp *u, struct zcb **frames, int received)
{
    bool given[UDP_RX_SLOTS];
    int count = 0;

    for (int i = 0; i < received; i++) {
        message_reset(&u->rx, i);
        given[i] = rx_accept(u, i);
        if (given[i]) {
            zcb_pass(u->rx.slot[i], ZCB_HELD_TRANSPORT, ZCB_HELD_OUT);
            frames[count++] = u->rx.slot[i];
        }
    }
    for (int i = received - 1; i >= 0; i--) {
        if (given[i])
            slot_replace(u, i);
    }
    return count;
}

/* *received: datagrams taken from the socket, whether or not they are frames of ours. */
static int rx_socket(struct udp *u, int fd, struct zcb **frames, int count, int *received)
{
    int want = count < u->rx.slot_count ? count : u->rx.slot_count;

    *received = 0;
    if (want > 0) {
        *received = recvmmsg(fd, u->rx.message, (unsigned)want, MSG_DONTWAIT, NULL);
        u->stats.rx_calls++;
        if (*received < 0) {
            *received = 0;
            return errno == EAGAIN ? 0 : rx_error(errno);
        }
    }
    if (*received == want && want < count && u->rx.slot_count < UDP_RX_SLOTS)
        rx_short(u, fd);
    return rx_sort(u, frames, *received);
}

/* The group's socket first: what was multicast before a token was passed is handed up before it.
 * Unless it filled a whole burst: then the other one may not starve. */
static int rx_both(struct udp *u, struct zcb **frames, int count)
{
    bool own_first = u->rx.group_filled;
    int first = own_first ? u->sockets.own : u->sockets.group;
    int second = own_first ? u->sockets.group : u->sockets.own;
    int received, got, more;

    got = rx_socket(u, first, frames, count, &received);
    if (got < 0)
        return got;
    u->rx.group_filled = !own_first && received == count;
    if (got == count)
        return got;
    slots_fill(u);
    more = rx_socket(u, second, frames + got, count - got, &received);
    if (more < 0)
        return got > 0 ? got : more;
    return got + more;
}

int udp_rx_burst(struct transport *tp, struct zcb **frames, int count)
{
    struct udp *u = udp_of(tp);
    int received;

    if (count > UDP_RX_SLOTS)
        count = UDP_RX_SLOTS;
    if (u->rx.slot_count < UDP_RX_SLOTS)
        slots_fill(u);
    if (u->sockets.group < 0)
        return rx_socket(u, u->sockets.own, frames, count, &received);
    return rx_both(u, frames, count);
}
