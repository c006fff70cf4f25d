/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CLIENT_WAKE_CLIENT_H
#define CLIENT_WAKE_CLIENT_H

/*
 * wake_client.h - the client's side of the wake socket, in both directions: its readiness, which
 * is that of the handle, and the bell that wakes a sleeping poll core.
 *
 * Knows:      when a byte has to be received, when one has to be sent.
 * Knows not:  events, messages.
 * Thread:     wake_client_settle: who has the handle's turn, or made the handle. The others: any
 */

#include "handle.h"

/* Make the descriptor say what the queue says: called when the queue looked empty after events
 * were taken and their head was published. Events may have come since. */
void wake_client_settle(struct handle *h);

/**
 * Wait until the descriptor is readable or the service is gone. A cancellation point; the caller
 * holds nothing.
 *
 * Errors:  CS_OK: look again; CS_ERR_BAD_HANDLE: finalized meanwhile
 */
cs_error_t wake_client_wait(struct handle *h, int timeout_ms);

/* After publishing something for the poll core: wake it when it sleeps. False: it is gone. */
bool wake_client_ring_bell(struct handle *h);

#endif
