/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef DAEMON_HANDLE_H
#define DAEMON_HANDLE_H

/*
 * handle.h - a client of the core: its channel and its place, from hello until the core lets go.
 *
 * Invariants: H1  a slot has one handle from before CORE_CLIENT_ADD until after the answer to
 *                 CORE_CLIENT_END
 *             H2  CORE_CLIENT_END is given once
 */

#include "control.h"

struct handle {
    struct connection *connection; /* NULL: gone, the core is letting go */
    struct channel channel;
    uint32_t slot, serial, pid, flags;
    uint32_t segments; /* bit i: index i of the client's segment table is taken */
    bool ending;
};

/* -EAGAIN all slots are taken; -ENOMEM, -EMFILE, -ENFILE */
int handle_create(struct control *c, uint32_t pid, uint32_t flags, struct handle **out);

/* NULL: gone, or its slot is another's by now. */
struct handle *handle_find(const struct control *c, uint32_t slot, uint32_t serial);

/* Tell the core that its connection is gone; freed when the core has answered. */
void handle_end(struct control *c, struct handle *handle);

/* The core wants it gone, says why, and does not touch it any more. */
void handle_evicted(struct control *c, const struct core_event *event);

/* Free it at once: the core never had it, or has ended. */
void handle_destroy(struct control *c, struct handle *handle);

#endif
