/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CLIENT_ARENAS_H
#define CLIENT_ARENAS_H

/*
 * arenas.h - where the payload of events lies: the RX arena, and segments of clients of this node.
 *
 * The latter are mapped, read-only, when the first event in them comes, and unmapped when the
 * service says that some segment has gone: which one is not said, the living are mapped anew.
 *
 * Invariants: N1  an arena that an undelivered event names can be mapped: its lease holds it
 *             N2  mappings of large segments do not outlive the event: they would hold memory that
 *                 the service has long given up
 * Thread:     who has the handle's turn
 */

#include "handle.h"

/**
 * Copy an event's payload to `to`, which has room for event->bytes.
 *
 * Errors:  CS_ERR_NO_MEMORY, CS_ERR_NO_RESOURCES: try again later, the event is untouched;
 *          CS_ERR_LIBRARY: the service is gone, or what it wrote makes no sense
 */
cs_error_t arenas_gather(struct handle *h, const struct chan_event *event, uint8_t *to);

/* Drop the mappings if the service retired an arena since. */
void arenas_refresh(struct handle *h);

/* Unmap them all. */
void arenas_drop(struct handle *h);

#endif
