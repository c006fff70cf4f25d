/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef DAEMON_REQUEST_INNER_H
#define DAEMON_REQUEST_INNER_H

/* request_inner.h - between the files of request.h. */

#include "ask.h"
#include "request.h"

/* A negative errno as a cs_error_t: the one place where our errors become those of the API. */
uint32_t request_error(int error);

/* A command for the core whose answer this connection waits for; NULL: no memory, answered so. */
struct ask *request_ask(struct connection *conn, enum core_command_type type, ask_done_fn done);

/* No memory for what it should have carried: answered so. The ask was not given yet. */
void request_give_up(struct connection *conn, struct ask *ask);

void request_set_name(struct ask *ask, const struct ctl_request *request);

/* ask_done_fn: the core's result is the answer. */
void request_done(struct ask *ask, const struct core_event *answer);

/* request_files.c: answers that come as a file */
void request_iterate(struct connection *conn, const struct ctl_request *request);
void request_status(struct connection *conn);

/* request_segments.c: arenas */
void request_tx_get(struct connection *conn, const struct ctl_request *request);
void request_tx_put(struct connection *conn, const struct ctl_request *request);
void request_map(struct connection *conn, const struct ctl_request *request);

#endif
