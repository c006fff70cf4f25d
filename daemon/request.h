/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef DAEMON_REQUEST_H
#define DAEMON_REQUEST_H

/*
 * request.h - what each request of ctl.h does. Some are answered at once, most when the core has
 * answered.
 */

#include "connection.h"

/* A packet has come. false: the protocol does not allow it, disconnect. `pid` is the kernel's word
 * for who sent it. */
bool request_take(struct connection *conn, const struct ctl_request *request, size_t bytes,
                  uint32_t pid);

#endif
