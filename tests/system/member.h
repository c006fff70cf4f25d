/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SYSTEM_MEMBER_H
#define SYSTEM_MEMBER_H

/*
 * member.h - a handle whose callbacks write down what they see, and may do something on the way.
 *
 * The member is the handle's context. Callbacks of a handle never run at once (H6), so that they
 * may write without a lock; while they may run, other threads look at `count` only.
 */

#include <stdatomic.h>

#include "probe.h"

enum { SEEN_TEXT = 40 };

enum seen_kind { SEEN_MESSAGE = 1, SEEN_VIEW, SEEN_RING };

struct seen {
    enum seen_kind kind;
    struct cpg_name group;
    uint32_t nodeid, pid;
    size_t bytes;
    char text[SEEN_TEXT]; /* how the message begins, NUL-terminated */
    size_t members, left, joined;
    struct cpg_address first_left, first_joined; /* read of empty lists too: X9 */
};

struct member {
    cpg_handle_t handle;
    unsigned node;
    _Atomic int count;
    int room;
    struct seen *seen;
    /* The last thing in each callback. */
    void (*then)(struct member *m, const struct seen *event, void *msg);
    void *argument;
};

/* With all callbacks; TRY_AGAIN is repeated. */
void member_open(struct member *m);
/* Open, join and dispatch the own view. */
void member_join(struct member *m, const char *group);
/* Finalize, with this answer, and free what was written down. */
void member_end(struct member *m, cs_error_t answer);
/* The same, and the answer is CS_OK. */
void member_close(struct member *m);
/* It has been finalized: free what was written down. */
void member_forget(struct member *m);

/* Dispatch one by one until so much was seen. */
void member_see(struct member *m, int count);

struct cpg_name name_of(const char *text);
/* One try. */
cs_error_t send_bytes(cpg_handle_t handle, const void *bytes, size_t count);
/* Until it is taken. */
void send_text(cpg_handle_t handle, const char *text);

/* What poll() says of the handle's descriptor, waiting so long at most. */
short readiness(cpg_handle_t handle, int timeout_ms);

/* Is (node of m, pid) among the group's members, as the service has them now? */
bool is_member(struct member *m, const char *group, int pid);

#endif
