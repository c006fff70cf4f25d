/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef DAEMON_ASK_H
#define DAEMON_ASK_H

/*
 * ask.h - a command to the core, with the memory it points to and what to do with the answer.
 *
 * Invariants: Q1  an ask lives until its answer (K1, K2 of core.h), whatever becomes of the
 *                 connection that wanted it
 *             Q2  commands reach the core in the order they were given, also when its queue was
 * full
 */

#include "control.h"

typedef void (*ask_done_fn)(struct ask *ask, const struct core_event *answer);

struct ask {
    struct ask *next, **link; /* control->asks */
    struct ask *unsent_next;
    struct control *control;
    struct connection *connection; /* waits for the answer; NULL: nobody any more */
    uint32_t slot, serial;         /* of the handle this is about */
    ask_done_fn done;
    struct core_command command;
    struct core_name name;
    union {
        struct core_client_setup client;
        struct core_segment_setup segment;
        struct ctl_members members;
    } with;
    struct core_status *status;          /* freed with the ask */
    struct ctl_iteration_entry *entries; /* freed with the ask */
};

/* NULL: no memory. The caller fills in and then gives it. */
struct ask *ask_new(struct control *c, enum core_command_type type, ask_done_fn done);

/* To the core, now or as soon as it has room. `done` is called once, then the ask is freed, unless
 * `done` has given it again. */
void ask_give(struct ask *ask);

/* One that was never given. */
void ask_drop(struct ask *ask);

void ask_answered(struct control *c, const struct core_event *answer);
void ask_send_waiting(struct control *c);
void ask_free_all(struct control *c);

#endif
