/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_SIM_EPISODES_H
#define TESTS_SIM_EPISODES_H

/*
 * episodes.h - a handle's log, read once from its beginning: who is in its group at each moment,
 * for how long, and which message is which.
 *
 * An episode is the time that one membership of somebody spends in the views of one handle. In it
 * messages of that sender come one after the other: so those too short to say who they are have a
 * name, too.
 */
#include "history.h"
#include "payload.h"
#include "verdict.h"

struct episode {
    uint32_t node, pid;
    uint32_t member; /* of the history; HIST_NOBODY: cannot be told yet */
    bool counts;     /* `first` is known: seen from its JOIN on, or somebody said */
    uint32_t first;  /* number of the first message here */
    uint32_t count;  /* messages here */
    uint32_t unsaid; /* of these, the ones before anything said who they are, */
    uint32_t from;   /* from this event on */
};

/* What a handle's reader knows at one event. */
struct scene {
    const struct history *h;
    const struct hist_handle *handle;
    struct verdict *v;
    uint32_t own;                   /* membership it is in; HIST_NOBODY: none */
    uint32_t joins;                 /* own JOIN views so far */
    HIST_LIST(struct episode) open; /* ascending by node, pid */
    struct payload_name *name;      /* of each message of the log; member HIST_NOBODY: not known */
    uint32_t *highest; /* by membership: next number after the highest ever read here */
};

/* Names of all messages of all handles. Breaks D2, D3, D6 to D8 and D10, V1, X7. */
struct names {
    struct payload_name **of; /* by handle, by event */
};

bool names_read(const struct history *h, struct names *names, struct verdict *v);
void names_free(const struct history *h, struct names *names);

/* The one membership that (group, node, pid) can mean so far; HIST_NOBODY: several, or none. */
uint32_t history_whose(const struct history *h, uint32_t group, uint32_t node, uint32_t pid,
                       uint64_t until_ns);

#endif
