/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_CLIENT_FAKE_H
#define TESTS_CLIENT_FAKE_H

/*
 * fake.h - a service in a thread of the test: one node, no ring, the real channels and packets.
 *
 * Messages are ordered as they are taken and delivered from their TX segments; views and lists lie
 * in an RX arena. Every client seems to be a process of its own: pid FAKE_PID plus the number of
 * its connection. It sleeps when it has nothing to do, until a socket wakes it, so a bell that is
 * not rung shows.
 */

#include <corosync/cpg.h>

#include "zcb.h"

enum {
    FAKE_NODE = 7,
    FAKE_PID = 1000,
    FAKE_MESSAGE_MAX = 32 << 20,
    FAKE_ATOMIC_MAX = 1047552,
};

struct fake;

/* Start, in a new directory that the library will find by its environment. */
struct fake *fake_start(void);
/* As if it were killed: all its sockets close at once. Idempotent. */
void fake_die(struct fake *fake);
/* Die, if need be, and free everything. */
void fake_stop(struct fake *fake);

/* From now on requests of this type are answered with this error; CS_OK serves them again. */
void fake_refuse(struct fake *fake, enum ctl_type type, cs_error_t error);
/* Take no more submissions (true), or take them again. */
void fake_pause(struct fake *fake, bool paused);
/* Deliver messages as lists of pieces of this many bytes; 0: as they lie. */
void fake_split(struct fake *fake, uint32_t piece_bytes);
/* Give no segment larger than this; 0: no limit. */
void fake_limit(struct fake *fake, uint64_t segment_bytes);
/* Say "congested" to all clients. */
void fake_congest(struct fake *fake, bool congested);
/* Throw client n out, with this reason. */
void fake_evict(struct fake *fake, uint32_t n, enum chan_state why);

/* A message to client n from nobody it knows; false when its queue is full. */
bool fake_inject(struct fake *fake, uint32_t n, const void *payload, uint32_t bytes);
/* A ring event to client n. */
bool fake_ring_event(struct fake *fake, uint32_t n, uint64_t seq);

/* Requests of this type seen so far. */
uint32_t fake_requests(struct fake *fake, enum ctl_type type);
/* Leases out, over all clients. */
uint32_t fake_leases_out(struct fake *fake);
/* Segments that exist, over all clients, and their bytes. */
uint32_t fake_segments(struct fake *fake);
/* Connections still open. */
uint32_t fake_connections(struct fake *fake);
/* Submissions that broke a rule of channel.h. */
uint32_t fake_offences(struct fake *fake);

#endif
