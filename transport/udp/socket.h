/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TRANSPORT_UDP_SOCKET_H
#define TRANSPORT_UDP_SOCKET_H

/*
 * socket.h - the one or two sockets of the backend, and their place in a multicast group.
 *
 * `own` is bound to our address and port; everything is sent from it, so that the source of a
 * datagram names the node, and what is addressed to us alone arrives there. `group` exists with
 * multicast only and is bound to the group's address and port, which daemons on one host share.
 *
 * Knows:      options, buffers, binding, joining.
 * Knows not:  frames.
 */

#include "address.h"
#include "peers.h"
#include "transport.h"

struct udp_sockets {
    int own;
    int group;    /* -1 without multicast */
    int alarm;    /* an eventfd: frames wait here, not in the kernel */
    int sleep_fd; /* an epoll descriptor that nests all of them */
    bool rejoin;  /* sending to the group failed: the link, and our place in it, may be gone */
    uint8_t ttl;
    struct udp_interface interface; /* multicast only */
    uint64_t bytes;                 /* of own's receive buffer, as the kernel granted it */
    uint64_t bytes_wanted;          /* what was asked for */
};

/**
 * Open, bind and, with multicast, join.
 *
 * Thread:  control thread
 * Errors:  -errno, `why` says what failed and what to do; nothing is left open
 */
int udp_sockets_open(struct udp_sockets *sockets, struct udp_peers *peers,
                     const struct transport_config *config, char *why, size_t why_bytes);
void udp_sockets_close(struct udp_sockets *sockets);

/* Find the interface again and take our place in the group again. Clears `rejoin` on success. */
void udp_sockets_rejoin(struct udp_sockets *sockets, struct udp_peers *peers);

#endif
