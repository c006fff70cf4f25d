/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CLIENT_REQUEST_H
#define CLIENT_REQUEST_H

/*
 * request.h - ask the control thread of the service, and get the answer.
 *
 * Knows:      packets on the control socket, one question at a time.
 * Knows not:  what the questions mean.
 * Invariants: Q1  an answer goes to the caller that asked (several threads may ask at once)
 *             Q2  a call that has begun ends with an answer or with the loss of the service;
 *                 neither signals nor cancellation cut it short, so no answer is left in the socket
 *             Q3  nothing follows CTL_FINALIZE: a packet that the service has not read when it
 *                 closes would reset the connection, and take the answer with it
 */

#include "handle.h"

/**
 * Ask. magic and version are filled in here.
 *
 * Owner:   a descriptor that came with the answer is the caller's, in *fd (-1: none); fd NULL
 *          when none can come
 * Errors:  the answer's error; CS_ERR_LIBRARY when the service is gone; CS_ERR_NO_RESOURCES when
 *          the process has no descriptor free for the one that came: the answer is here all the
 *          same, and its own error is CS_OK
 */
cs_error_t request(struct handle *h, struct ctl_request *question, struct ctl_answer *answer,
                   int *fd);

/* A question that is nothing but its type and one number, and has no answer worth reading. */
cs_error_t request_plain(struct handle *h, enum ctl_type type, uint32_t arg);

/* A question about a name. */
void request_set_name(struct ctl_request *question, const struct cpg_name *name);

/* The first question on a new connection: several descriptors come back. */
cs_error_t request_hello(struct handle *h, uint32_t flags, struct ctl_answer *answer, int *fds,
                         int *fd_count);

/* CTL_KICK: one byte on the wake socket, please. */
void request_kick(struct handle *h);

/* The cs_error_t for a negative errno of ours. */
cs_error_t request_error(int error);

#endif
