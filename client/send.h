/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CLIENT_SEND_H
#define CLIENT_SEND_H

/*
 * send.h - a message into a TX segment, and its descriptor into the submit queue.
 *
 * Knows:      what a send needs: a member, a size, an entry in the queue, room, in this order.
 * Knows not:  which segment a message goes to (segments.h); what the service does with it.
 * Invariants: D1  a refused send leaves nothing behind: neither bytes in use nor a descriptor
 *             D2  the order of messages is that of the submit queue, whichever segments they lie in
 *             D3  nothing is submitted after a leave or a finalize was asked for
 */

#include "handle.h"

/**
 * Send the concatenation of the entries. `guarantee` is valid, iov NULL only with count 0.
 *
 * Errors:  CS_ERR_TRY_AGAIN no room, the processor was yielded once; CS_ERR_NOT_EXIST not joined;
 *          CS_ERR_TOO_BIG; CS_ERR_INVALID_PARAM a NULL entry; CS_ERR_NO_MEMORY the service can
 *          never have that much; CS_ERR_LIBRARY; CS_ERR_BAD_HANDLE finalized meanwhile
 */
cs_error_t send_message(struct handle *h, cpg_guarantee_t guarantee, const struct iovec *iov,
                        unsigned int count);

/* Ask to join or leave; both decide what sends may do, so they are in order with them (D3). */
cs_error_t send_join(struct handle *h, const struct cpg_name *group);
cs_error_t send_leave(struct handle *h);

/* The last request of a handle, after which nobody sends. */
cs_error_t send_finalize(struct handle *h);

/* Would a send like the last refused one (or a small one) be refused now? */
bool send_is_refused(struct handle *h);

/* Dispatch met the message that lies there, which is perhaps the last of a stream of ours. */
void send_came_back(struct handle *h, uint32_t arena, uint64_t offset);

/* Give idle segments back, when nobody is sending just now; and whether there may be some. */
void send_trim(struct handle *h);
bool send_may_trim(const struct handle *h);

#endif
