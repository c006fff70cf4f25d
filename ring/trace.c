/* SPDX-License-Identifier: BSD-3-Clause */
#include "internal.h"

/* What happened, in records of one size, for those who print. */

const char *const ring_state_name[] = {
    [RING_OPERATIONAL] = "operational",
    [RING_GATHER] = "gather",
    [RING_COMMIT] = "commit",
    [RING_RECOVERY] = "recovery",
};

const char *const ring_reason_name[] = {
    [RING_REASON_START] = "start",
    [RING_REASON_TOKEN_LOST] = "token lost",
    [RING_REASON_JOIN] = "join received",
    [RING_REASON_FOREIGN] = "another ring heard",
    [RING_REASON_CONSENSUS_TIMEOUT] = "no consensus in time",
    [RING_REASON_COMMIT_LOST] = "commit token lost",
    [RING_REASON_RECOVERY_LOST] = "token lost in recovery",
    [RING_REASON_LEAVE] = "a node leaves",
    [RING_REASON_LINK] = "a link is down",
    [RING_REASON_CONSENSUS] = "consensus",
    [RING_REASON_COMMIT] = "committed",
    [RING_REASON_RECOVERED] = "recovered",
    [RING_REASON_AGAIN] = "members not exchanged",
};

void ring_trace_add(struct ring *r, enum ring_trace_kind kind, uint64_t a, uint64_t b, uint64_t c)
{
    if (r->trace_tail - r->trace_head == RING_TRACE_COUNT)
        r->trace_head++;
    r->trace[r->trace_tail++ % RING_TRACE_COUNT] =
        (struct ring_trace){ .now_ns = r->now_ns, .kind = kind, .a = a, .b = b, .c = c };
}

bool ring_trace_next(struct ring *r, struct ring_trace *trace)
{
    if (r->trace_head == r->trace_tail)
        return false;
    *trace = r->trace[r->trace_head++ % RING_TRACE_COUNT];
    return true;
}
