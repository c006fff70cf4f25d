/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef DAEMON_CONNECTION_H
#define DAEMON_CONNECTION_H

/*
 * connection.h - one control socket.
 *
 * Knows:      who is at the other end, what it may ask now, what it waits for.
 * Invariants: N1  at most one request is being answered (K1 of ctl.h); who sends a second one
 *                 meanwhile is disconnected. CTL_KICK has no answer and is welcome at any time
 *             N2  a request is one packet of exactly struct ctl_request, a reply one of exactly
 *                 struct ctl_answer
 */

#include "control.h"

enum connection_state {
    CONNECTION_STRANGER, /* has not said hello */
    CONNECTION_ADMIN,    /* hello without a channel */
    CONNECTION_CLIENT,   /* has a handle */
    CONNECTION_CLOSED,   /* waits for connection_sweep() */
};

struct connection {
    struct connection *next, **link;
    struct control *control;
    struct handle *handle; /* CONNECTION_CLIENT, or hello is being answered */
    struct ask *ask;       /* of the request that is being answered */
    enum connection_state state;
    uint32_t refusal; /* a cs_error_t: hello gets it, then the connection is closed */
    uint32_t pid;
    int fd;
    uint16_t request_type;
};

/* Somebody knocks. Takes fd. */
void connection_accept(struct control *c, int fd, bool spare);

/* Take what has come. Called by the loop. */
void connection_readable(struct connection *conn);

/* Answer the request under way. Closes the connection when the answer cannot be sent; does nothing
 * when it is closed. */
void connection_answer(struct connection *conn, struct ctl_answer *answer, const int *fds,
                       int fd_count);
/* The same, when there is nothing to say but the result. */
void connection_result(struct connection *conn, uint32_t error);

/* Close it now; the record stays until connection_sweep(), so that whoever is still at work on it
 * up the stack sees CONNECTION_CLOSED. Harmless the second time. */
void connection_close(struct connection *conn);
/* At the end of each callback of the loop. */
void connection_sweep(struct control *c);

/* By the kernel's word: may this process speak to us at all? */
bool connection_permitted(const struct config *config, int fd, uint32_t *pid);

#endif
