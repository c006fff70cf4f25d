/* SPDX-License-Identifier: BSD-3-Clause */
#include "udp.h"

#include <errno.h>
#include <netinet/udp.h>
#include <string.h>
#include <unistd.h>

#ifndef UDP_GRO
#define UDP_GRO 104
#endif

static void message_reset(struct udp_rx *rx, int i)
{
    struct msghdr *header = &rx->message[i].msg_hdr;

    header->msg_namelen = sizeof rx->source[i]; /* the kernel shortened them */
    header->msg_controllen = sizeof rx->control[i];
}

/* Bytes of a message beyond the first frame's. In front of them is room for what of the message
 * lies behind the first datagram in that frame's slot. */
static uint8_t *tail(const struct udp *u, int i)
{
    return u->rx.tails + (size_t)i * u->rx.tail_bytes + u->frame_bytes_max;
}

int udp_rx_init(struct udp *u)
{
    struct udp_rx *rx = &u->rx;

    rx->tail_bytes = align_up(u->frame_bytes_max + UDP_RX_TAIL_BYTES, CACHE_LINE_BYTES);
    rx->tails = calloc(UDP_RX_MESSAGES, rx->tail_bytes);
    if (rx->tails == NULL)
        return -ENOMEM;
    for (int i = 0; i < UDP_RX_MESSAGES; i++) {
        rx->iov[i][0].iov_len = u->frame_bytes_max;
        rx->iov[i][1] = (struct iovec){ tail(u, i), UDP_RX_TAIL_BYTES };
        rx->message[i].msg_hdr = (struct msghdr){ .msg_name = &rx->source[i],
                                                  .msg_iov = rx->iov[i],
                                                  .msg_iovlen = 2,
                                                  .msg_control = &rx->control[i] };
        message_reset(rx, i);
    }
    return 0;
}

void udp_rx_close(struct udp *u)
{
    for (int i = 0; i < UDP_RX_MESSAGES; i++) {
        if (u->rx.slot[i] != NULL)
            zcb_drop(u->rx.slot[i], ZCB_HELD_TRANSPORT);
    }
    free(u->rx.tails);
}

/* V2: a frame to receive into, in the shape of T2; NULL when the pool is at its reserve. */
static struct zcb *frame_take(struct udp *u, enum zcb_holder holder)
{
    struct zcb *frame;

    if (u->pool->free_count <= u->rx_reserve)
        return NULL;
    frame = zcb_get(u->pool, holder);
    if (frame == NULL)
        return NULL;
    zcb_add_slice(frame, &(struct zcb_slice){ .data = frame->head,
                                              .offset = zcb_slot_offset(frame),
                                              .arena = u->pool->arena });
    return frame;
}

/* V1: close the gaps, then take new frames as far as the pool goes. */
static void slots_fill(struct udp *u)
{
    struct udp_rx *rx = &u->rx;
    int count = 0;

    for (int i = 0; i < UDP_RX_MESSAGES; i++) {
        struct zcb *frame = rx->slot[i];
        rx->slot[i] = NULL;
        if (frame != NULL)
            rx->slot[count++] = frame;
    }
    while (count < UDP_RX_MESSAGES) {
        rx->slot[count] = frame_take(u, ZCB_HELD_TRANSPORT);
        if (rx->slot[count] == NULL)
            break;
        count++;
    }
    for (int i = 0; i < count; i++)
        rx->iov[i][0].iov_base = rx->slot[i]->head;
    rx->slot_count = count;
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

/* Count frames that wait in the kernel because we had no slot for them. */
__attribute__((noinline, cold)) static void rx_short(struct udp *u, int fd)
{
    if (recv(fd, NULL, 0, MSG_PEEK | MSG_DONTWAIT) >= 0)
        u->stats.rx_pool_empty++;
}

/* Take messages from a socket; all that were taken before have been handed up. */
static int rx_receive(struct udp *u, int fd, int count)
{
    struct udp_rx *rx = &u->rx;
    int want, got = 0;

    if (rx->slot_count < UDP_RX_MESSAGES)
        slots_fill(u);
    want = count < rx->slot_count ? count : rx->slot_count;
    rx->next = rx->received = 0;
    if (want > 0) {
        got = recvmmsg(fd, rx->message, (unsigned)want, MSG_DONTWAIT, NULL);
        u->stats.rx_calls++;
        if (got < 0)
            return errno == EAGAIN ? 0 : rx_error(errno);
    }
    if (got == want && want < count && want < UDP_RX_MESSAGES)
        rx_short(u, fd);
    rx->received = got;
    return got;
}

/* Length of the datagrams that the kernel put together in a message; the last may be shorter. */
static uint32_t message_cut(struct msghdr *header, uint32_t bytes)
{
    struct cmsghdr *control = CMSG_FIRSTHDR(header);
    int cut;

    if (control == NULL || control->cmsg_level != IPPROTO_UDP || control->cmsg_type != UDP_GRO)
        return bytes;
    memcpy(&cut, CMSG_DATA(control), sizeof cut);
    return cut > 0 ? (uint32_t)cut : bytes;
}

/* The counter of what cannot be handed up; NULL: frames of another node of the cluster. */
static uint64_t *refusal(struct udp *u, int i, uint8_t peer, uint32_t cut)
{
    if (peer == u->peers.self)
        return &u->rx.own; /* our own multicast */
    if (peer == UDP_PEER_NONE)
        return &u->stats.rx_unknown_source;
    if (cut > u->frame_bytes_max || (u->rx.message[i].msg_hdr.msg_flags & MSG_TRUNC) != 0)
        return &u->stats.rx_too_long;
    return NULL;
}

static void frame_finish(struct udp *u, struct zcb *frame, uint32_t bytes, uint32_t from)
{
    frame->head_bytes = bytes;
    frame->from = from;
    u->stats.rx_frames++;
    u->stats.rx_bytes += bytes;
}

/* What follows the first datagram, in one piece: behind it in its slot, then in the tail. */
static void rest_begin(struct udp *u, int i, uint32_t bytes, uint32_t cut, uint32_t from)
{
    uint32_t behind = u->frame_bytes_max - cut;
    struct udp_rest *rest = &u->rx.rest;

    if (bytes <= cut)
        return;
    *rest = (struct udp_rest){ tail(u, i) - behind, bytes - cut, cut, from };
    memcpy(tail(u, i) - behind, u->rx.slot[i]->head + cut,
           min_u32(behind, rest->bytes)); /* once a message, and nothing when frames are full */
}

/* Hand up the first datagram of a message where it lies. NULL: not for us. */
static struct zcb *message_frame(struct udp *u, int i)
{
    struct udp_rx *rx = &u->rx;
    struct zcb *frame = rx->slot[i];
    uint32_t bytes = rx->message[i].msg_len;
    uint32_t cut = message_cut(&rx->message[i].msg_hdr, bytes);
    uint8_t peer = udp_peers_by_address(&u->peers, &rx->source[i]);
    uint64_t *refused = refusal(u, i, peer, cut);

    message_reset(rx, i);
    if (refused != NULL) {
        *refused += cut > 0 ? (bytes + cut - 1) / cut : 1;
        return NULL;
    }
    rest_begin(u, i, bytes, cut, u->peers.item[peer].node_id);
    frame_finish(u, frame, min_u32(bytes, cut), u->peers.item[peer].node_id);
    zcb_pass(frame, ZCB_HELD_TRANSPORT, ZCB_HELD_OUT);
    rx->slot[i] = NULL;
    rx->slot_count--;
    return frame;
}

/* The pool is at its reserve: a slot that no message lies in, of those taken to receive. */
__attribute__((noinline, cold)) static struct zcb *slot_spare(struct udp *u)
{
    struct udp_rx *rx = &u->rx;

    for (int i = UDP_RX_MESSAGES - 1; i >= 0; i--) {
        struct zcb *frame = rx->slot[i];
        if (frame == NULL || (i >= rx->next && i < rx->received))
            continue;
        rx->slot[i] = NULL;
        rx->slot_count--;
        zcb_pass(frame, ZCB_HELD_TRANSPORT, ZCB_HELD_OUT);
        return frame;
    }
    u->stats.rx_pool_empty++;
    return NULL;
}

/* Hand up one of the datagrams that follow. The copy of a hot 1.5 KB costs some 50 ns; to have the
 * kernel deliver each by itself costs 200 and more. NULL: no frame to be had. */
static struct zcb *rest_frame(struct udp *u)
{
    struct udp_rest *rest = &u->rx.rest;
    struct zcb *frame = frame_take(u, ZCB_HELD_OUT);
    uint32_t bytes = min_u32(rest->cut, rest->bytes);

    if (frame == NULL)
        frame = slot_spare(u);
    if (frame == NULL)
        return NULL;
    memcpy(frame->head, rest->at, bytes);
    frame_finish(u, frame, bytes, rest->from);
    rest->at += bytes;
    rest->bytes -= bytes;
    return frame;
}

/* Hand up what was received. Returns how many; fewer than count when all is, or the pool is short
 * (rx_waits() tells). */
static int rx_give(struct udp *u, struct zcb **frames, int count)
{
    struct udp_rx *rx = &u->rx;
    int got = 0;

    while (got < count) {
        if (rx->rest.bytes > 0)
            frames[got] = rest_frame(u);
        else if (rx->next < rx->received)
            frames[got] = message_frame(u, rx->next++);
        else
            break;
        if (frames[got] != NULL)
            got++;
        else if (rx->rest.bytes > 0)
            break;
    }
    return got;
}

static bool rx_waits(const struct udp_rx *rx)
{
    return rx->rest.bytes > 0 || rx->next < rx->received;
}

/* Nothing may be taken from a socket: there is enough, or it would overtake. */
static bool rx_full(const struct udp *u, int got, int count)
{
    return got == count || rx_waits(&u->rx);
}

static int rx_more(struct udp *u, int fd, struct zcb **frames, int got, int count)
{
    int received;

    if (rx_full(u, got, count))
        return got;
    received = rx_receive(u, fd, count - got);
    if (received < 0)
        return got > 0 ? got : received;
    return got + rx_give(u, frames + got, count - got);
}

/* The group's socket first: what was multicast before a token was passed is handed up before it.
 * Unless it left no room for the other the last time: then that one may not starve. */
static int rx_both(struct udp *u, struct zcb **frames, int got, int count)
{
    bool own_first = u->rx.group_filled;
    int first = own_first ? u->sockets.own : u->sockets.group;
    int second = own_first ? u->sockets.group : u->sockets.own;

    if (rx_full(u, got, count))
        return got;
    got = rx_more(u, first, frames, got, count);
    if (got < 0)
        return got;
    u->rx.group_filled = !own_first && rx_full(u, got, count);
    return rx_more(u, second, frames, got, count);
}

/* Frames wait that the kernel no longer has, and the caller may sleep: it shall not. */
__attribute__((noinline, cold)) static void rx_alarm(struct udp *u, bool on)
{
    uint64_t value = 1;
    ssize_t done = on ? write(u->sockets.alarm, &value, sizeof value)
                      : read(u->sockets.alarm, &value, sizeof value);

    INVARIANT(done == sizeof value);
    u->rx.alarm = on;
}

int udp_rx_burst(struct transport *tp, struct zcb **frames, int count)
{
    struct udp *u = udp_of(tp);
    int got;

    if (count > TRANSPORT_BURST)
        count = TRANSPORT_BURST;
    got = rx_give(u, frames, count);
    if (u->sockets.group < 0)
        got = rx_more(u, u->sockets.own, frames, got, count);
    else
        got = rx_both(u, frames, got, count);
    if (__builtin_expect(u->rx.alarm != (got < count && rx_waits(&u->rx)), 0))
        rx_alarm(u, !u->rx.alarm);
    return got;
}
