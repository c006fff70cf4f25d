/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CLIENT_CONNECT_H
#define CLIENT_CONNECT_H

/*
 * connect.h - find the service's control socket and set up what it sends.
 */

#include "handle.h"

/**
 * Connect a fresh handle: sockets, channels, the answer to the hello, the descriptor armed.
 * The handle's model must be set.
 *
 * Owner:   what was opened belongs to the handle, also on failure
 * Errors:  CS_ERR_LIBRARY no service; CS_ERR_TRY_AGAIN no ring yet; CS_ERR_ACCESS, CS_ERR_VERSION,
 *          CS_ERR_NO_MEMORY, CS_ERR_NO_RESOURCES
 */
cs_error_t connect_handle(struct handle *h);

#endif
