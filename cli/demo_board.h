/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CLI_DEMO_BOARD_H
#define CLI_DEMO_BOARD_H

/*
 * demo_board.h - the page that the demo and its clients share: what to do, and how it goes.
 *
 * Knows:      one command for all clients; one seat a node, written by its client only.
 * Invariants: B1  views are appended, never changed: what lies below view_count is complete
 */

#include <stdatomic.h>
#include <time.h>

#include "histogram.h"
#include "synchrotron/types.h"

enum {
    DEMO_NODES_MAX = 16,
    DEMO_VIEWS_MAX = 1024, /* later ones are not shown, only logged */
};

enum demo_command {
    DEMO_WAIT,  /* join and listen */
    DEMO_SEND,  /* keep a window of messages under way */
    DEMO_DRAIN, /* send the last message, wait for everybody's */
    DEMO_QUIT,  /* write the log and end */
};

struct demo_view {
    uint64_t at_ns; /* CLOCK_MONOTONIC, when the callback ran */
    uint64_t nodes; /* bit i: node id i has a member */
};

struct demo_seat {
    _Alignas(CACHE_LINE_BYTES) _Atomic uint64_t delivered;
    _Atomic uint64_t damaged; /* delivered with a wrong checksum, length or sender */
    _Atomic uint32_t drained; /* everybody's last message is here */
    _Atomic uint32_t view_count;
    struct demo_view view[DEMO_VIEWS_MAX];
    struct histogram latency; /* from before the send to the callback, every message */
};

struct demo_board {
    _Alignas(CACHE_LINE_BYTES) _Atomic uint32_t command; /* enum demo_command */
    struct demo_seat seat[DEMO_NODES_MAX + 1];           /* by node id */
};

/* One clock for all processes of a machine. */
static inline uint64_t demo_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

#endif
