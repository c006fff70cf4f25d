/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef DAEMON_LISTEN_H
#define DAEMON_LISTEN_H

/*
 * listen.h - the socket in the runtime directory, from making it to taking it away.
 *
 * Knows:      whether another daemon is alive behind a socket that is there already.
 * Invariants: L1  the socket appears under its name complete: permitted for all, listening
 *             L2  only a socket that is ours is removed at the end
 *             L3  out of descriptors it still answers: one is kept for saying so
 */

#include "control.h"

/* Before anything is touched: -EADDRINUSE a daemon is alive behind the socket of this
 * configuration; `why` is one line. */
int listen_check(const struct config *config, char *why, size_t why_bytes);

/* -EADDRINUSE a daemon is alive there; -errno; `why` is one line. */
int listen_open(struct control *c, char *why, size_t why_bytes);
void listen_close(struct control *c);

/* A descriptor has become free. */
void listen_resume(struct control *c);

#endif
