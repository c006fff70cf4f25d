/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef DAEMON_NOTICE_H
#define DAEMON_NOTICE_H

/*
 * notice.h - what the operator should know of a start: what was got, and what could be gained.
 */

#include "resources.h"

typedef void (*notice_fn)(void *context, const char *line);

/* Node, transport, the worst time to a new view: what follows from the configuration. */
void notice_config(const struct config *config, notice_fn say, void *context);

/* How and where the poll core runs: as it is to be, or as it does. */
struct notice_poll {
    const struct config *config;
    const struct place *place;
    bool pinned;
    int memory_node;      /* PLACE_NONE: none is taken yet */
    const char *woken_by; /* NULL: not known yet */
};
void notice_poll(const struct notice_poll *poll, notice_fn say, void *context);

/* Nothing when the kernel gave the buffers that were asked for. */
void notice_socket(const struct transport_caps *caps, notice_fn say, void *context);

/* What pages the memory came in. */
void notice_memory(const struct resources *resources, notice_fn say, void *context);

/* Nothing when a card reaches the memory, or the processor copies anyway. */
void notice_copies(const struct transport_caps *caps, notice_fn say, void *context);

#endif
