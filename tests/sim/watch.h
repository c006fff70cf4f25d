/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_SIM_WATCH_H
#define TESTS_SIM_WATCH_H

/*
 * watch.h - what must hold from one moment to the next, so that no sweep over one moment sees it.
 *
 * Knows:      a ring from within, as it is after each call; what each client owed when it was last
 *             looked at.
 * Knows not:  histories: what is broken here may do no harm for a long time.
 * Rules:      sets     while one gathering goes on, proc_set and fail_set only grow
 *             debt     what is owed only grows until a ring is installed (V2 of ring/recovery.c)
 *             laggard  with the policy `block` a client that stops senders moves within
 *                      slow_client_ms, or goes
 *             large    of messages that need the token's permission one is under way at a time
 *             disk     what a ring takes for written is on its disk
 */
#include "internal.h"
#include "verdict.h"
#include "world.h"

/* One ring, as it was after the last call. Zero: nothing was seen yet. */
struct watch_ring {
    bool gathers, owes;
    uint64_t gathering, configurations; /* how many there have been */
    struct node_set proc_set, fail_set, deliver_memb;
};

/* Sets and debt. False when the verdict is spoken. */
bool watch_ring(struct watch_ring *w, const struct ring *r, struct verdict *v);

/* One client, by what it has read and given back. */
struct watch_client {
    uint64_t moved, since_ns; /* since_ns: so long it stops senders and does not move; 0: it does */
};

struct watch_slow {
    uint64_t looked_ns;
    struct watch_client client[WORLD_CLIENTS];
};

/* Laggards, of all clients of a node; at any time, and often. False when the verdict is spoken. */
bool watch_slow(struct watch_slow *w, const struct core *core, uint64_t now_ns, struct verdict *v);

/* One of them: how it stands now. False when it has stood for too long. */
bool watch_client(struct watch_client *c, bool stops, uint64_t moved, uint64_t most_ns,
                  uint64_t now_ns);

/* Large: at any time. False when the verdict is spoken. */
bool watch_large(const struct core *core, struct verdict *v);

/* Disk: at any time. False when the verdict is spoken. */
bool watch_disk(const struct ring *r, uint64_t disk_seq, struct verdict *v);

#endif
