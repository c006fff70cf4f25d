/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef DAEMON_CLIENTS_INNER_H
#define DAEMON_CLIENTS_INNER_H

/*
 * clients_inner.h - between clients.c, clients_segments.c and intake.c.
 */

#include "clients.h"

/* Up to where the client has pushed; submits are sure to be taken up to there (S1 of spsc.h), or
 * mistrusted says that none will be. Nonsense: evicted, and its word is not used. */
uint32_t client_pushed(struct clients *cs, struct client *c);

/* Closing segments of a client that no submit names any more, and that are drained. */
void client_close_segments(struct clients *cs, struct client *c);
/* The client's record goes; its segments stay until they are drained. */
void client_orphan_segments(struct clients *cs, struct client *c);
/* The record of a segment that is gone waits for the next. */
void clients_record_keep(struct clients *cs, struct segment *segment);
/* Orphans that are drained. */
bool clients_retire(struct clients *cs);

#endif
