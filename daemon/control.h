/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef DAEMON_CONTROL_H
#define DAEMON_CONTROL_H

/*
 * control.h - the control thread: everything that needs a system call and can wait.
 *
 *   control.c     what the core says
 *   ask.c         commands to the core that wait for their answers
 *   listen.c      the socket in the runtime directory
 *   connection.c  one control socket: packets in, answers out
 *   request.c     what each request does
 *   capture.c     who watches what the node sends and receives
 *   handle.c      a client of the core, from CORE_CLIENT_ADD to the answer to CORE_CLIENT_END
 *
 * Knows:      which clients there are and what each waits for.
 * Knows not:  groups, queues, messages.
 * Invariants: T1  no call waits for a client: a socket that would block is closed
 *             T2  what the core may still touch is not freed: handles until CORE_CLIENT_END is
 *                 answered, segments until CORE_EVENT_SEGMENT_GONE, memory of a command until its
 *                 answer (K1 to K3 of core.h)
 *             T3  a handle's end of the wake socket stays open as long as the handle, so that its
 *                 number is nobody else's while the core may write to it
 * Thread:     control thread
 */

#include "core.h"
#include "resources.h"
#include "state.h"

struct qb_loop;
struct ask;
struct capture;
struct connection;
struct handle;

enum { CONTROL_STRANGERS_MAX = 64 }; /* connections without permission that say nothing */

struct listener {
    int fd, spare_fd;
    char path[CONFIG_PATH_BYTES + 32];
    uint64_t device, inode; /* of the socket file: only our own is removed */
    bool paused;            /* out of descriptors: nobody is accepted */
};

struct control {
    const struct config *config;
    struct qb_loop *loop;
    struct core *core;
    struct resources *resources;
    struct state *state;

    struct listener listener;
    struct connection *connections; /* newest first */
    struct connection *closed;      /* to be freed when nobody is at work on them */
    uint32_t connection_count;
    struct handle **handles; /* by slot */
    uint32_t handle_count, last_serial;
    struct capture *capture; /* NULL: nobody captures */

    struct ask *asks;                        /* all that are not answered */
    struct ask *unsent_first, **unsent_last; /* of these, what the core's queue had no room for */
    bool retrying;                           /* a timer is under way for them */

    bool formed, stopping, stopped;
    int failed;             /* errno the core broke with */
    uint64_t refused_count; /* callers without permission */
    bool copying_said;      /* that a segment is none the transport can be told of */
};

/**
 * Listen, and attach to the loop and to the core's events. The core need not run yet.
 *
 * Owner:   borrows everything it is given until control_close()
 * Errors:  -EADDRINUSE another daemon listens; -errno; `why` is one line
 */
int control_open(struct control *c, char *why, size_t why_bytes);

/* Processes leave, then the node; then the loop stops, after some seconds in any case. */
void control_stop(struct control *c);

/* The core has ended: close all connections, free what was its. */
void control_close(struct control *c);

/* The core hangs: take the socket away and leave everything else to the kernel. */
void control_abandon(struct control *c);

/* A segment that the core has let go of, or never had. */
void control_segment_destroy(struct control *c, struct tx_segment *segment);

/* Whatever the core has to say now. Called by the loop. */
void control_events(struct control *c);

#endif
