/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CLIENT_DISPATCH_H
#define CLIENT_DISPATCH_H

/*
 * dispatch.h - from the event queue to the program's callbacks.
 *
 * Knows:      the four modes, the turn, payload buffers, when leases go back.
 * Knows not:  arguments of the API.
 * Invariants: P1  a payload is copied and its lease given back before the callback runs: how long a
 *                 callback takes is nothing to the service
 *             P2  an event that cannot be read for want of memory stays in the queue
 *             P3  whenever nobody has the turn, the descriptor says what the queue says (F2)
 */

#include "handle.h"

/**
 * The body of cpg_dispatch(); `mode` is valid. Runs callbacks, which may finalize the handle.
 *
 * Thread:  any; a cancellation point in the modes that wait
 * Errors:  CS_ERR_TRY_AGAIN (nonblocking one: none); CS_ERR_LIBRARY; CS_ERR_BAD_HANDLE
 *          (finalized); CS_ERR_NO_MEMORY, CS_ERR_NO_RESOURCES (the event is still there)
 */
cs_error_t dispatch(struct handle *h, cs_dispatch_flags_t mode);

#endif
