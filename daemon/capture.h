/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef DAEMON_CAPTURE_H
#define DAEMON_CAPTURE_H

/*
 * capture.h - the one program that captures: its tape, from CTL_CAPTURE to the end of its
 * connection.
 *
 * What passes is everybody's payload, so only root and the daemon's own user may see it, whoever
 * else may be a client. One at a time: two would cost the core twice, and who wants two files can
 * copy one.
 *
 * Invariants: P1  the arena is there from before CORE_CAPTURE_BEGIN until CORE_CAPTURE_END is
 *                 answered (K4 of core.h), whatever becomes of the connection
 *             P2  no byte of it is taken while nobody captures
 * Thread:     control thread
 */

#include "connection.h"

struct capture {
    struct zcb_arena arena; /* its descriptor is closed once it is passed on */
    struct tape_writer tape;
    struct connection *connection; /* NULL: it is being ended */
    uint32_t pid;
};

/* CTL_CAPTURE */
void capture_request(struct connection *conn, const struct ctl_request *request);

/* A connection closes: if it is the one that captures, so ends that. */
void capture_connection_closed(struct connection *conn);

/* Of the arena; 0: nobody captures. */
uint64_t capture_bytes(const struct control *c);

/* The core has ended. */
void capture_close(struct control *c);

#endif
