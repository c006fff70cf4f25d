/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef DAEMON_PLACE_H
#define DAEMON_PLACE_H

/*
 * place.h - where the poll core runs and where its memory lies: processors and NUMA nodes.
 *
 * Knows:      nodes of processors, of the transport's port, of memory.
 * Knows not:  what runs there, and what lies there.
 * Invariants: P1  on a machine of one node everything is on node 0
 * Thread:     control thread, before others are started: they inherit what it prefers
 */

#include <stddef.h>

#include "config.h"

enum { PLACE_NONE = -1, PLACE_SPREAD = -2, PLACE_TEXT_BYTES = 256 };

struct place {
    int cpu_node;    /* of poll.cpu; PLACE_NONE: it is not said */
    int port_node;   /* of the transport's port; PLACE_NONE: it has none, or none is known */
    int memory_node; /* where memory is wanted: the port's, else the processor's; PLACE_NONE */
};

void place_find(struct place *place, const struct config *config);

/* What this process takes from now on comes from the node wanted, while that has some. */
void place_prefer(const struct place *place);

/* The node that memory lies on; PLACE_SPREAD: on several; PLACE_NONE: the kernel does not say. */
int place_of(const void *base, size_t bytes);

/* False: there is nothing to be said against it. Else why it is slower than it could be, and what
 * to do, in one line. */
bool place_is_poor(const struct place *place, const struct config *config,
                   char text[PLACE_TEXT_BYTES]);

#endif
