/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CLI_DEMO_VERIFY_H
#define CLI_DEMO_VERIFY_H

/*
 * demo_verify.h - compares what all clients saw.
 *
 * A client's log falls into stretches, one between two changes. Ring and members name a stretch,
 * and the same name on two nodes means the same place in the order. Two clients that go on from a
 * stretch to the same next one must have seen the same in it; of two that part there (one was
 * killed, or cut off) each may have seen more than the other, but what both saw in one order.
 *
 * Invariants: V1  common messages of a stretch have one order everywhere
 *             V2  clients that go together from a stretch saw the same messages in it
 *             V3  nobody sees a message twice, nor a later one of a sender before an earlier one
 *             V4  a client whose service lived saw every message it sent
 *             V5  nothing is missing between two messages of a sender within a stretch
 */

#include "demo_board.h"
#include "demo_log.h"

struct demo_verdict {
    uint64_t messages;     /* different ones, delivered to anybody */
    uint64_t lost;         /* V2, V4, V5: missing where they had to be */
    uint64_t duplicates;   /* V3 */
    uint64_t misordered;   /* V1, V3: places where the order differs */
    uint32_t stretches;    /* different ones */
    char first_wrong[192]; /* "" when nothing is */
};

/**
 * Compare the logs of nodes 1 to node_count.
 *
 * Shapes:  history[node_count + 1], by node id; [0] is not looked at
 * Errors:  -ENOMEM; -EPROTO a log that no client writes
 */
int demo_verify(struct demo_verdict *verdict, const struct demo_history *history, int node_count);

#endif
