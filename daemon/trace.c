/* SPDX-License-Identifier: BSD-3-Clause */
#include "trace.h"

#include <inttypes.h>
#include <syslog.h>

int trace_format(const struct ring_trace *t, char *text, size_t bytes)
{
    switch ((enum ring_trace_kind)t->kind) {
    case RING_TRACE_STATE:
        snprintf(text, bytes, "ring: %s, was %s: %s", ring_state_name[t->b], ring_state_name[t->a],
                 ring_reason_name[t->c]);
        return t->b == RING_GATHER && t->a == RING_OPERATIONAL ? LOG_INFO : LOG_DEBUG;
    case RING_TRACE_TOKEN_LOST:
        snprintf(text, bytes,
                 "ring: token lost after %" PRIu64 " ms, sent again %" PRIu64
                 " times; we did not run for %" PRIu64 " ms of it",
                 t->a / NS_PER_MS, t->b, t->c / NS_PER_MS);
        return LOG_INFO;
    case RING_TRACE_AWAY:
        snprintf(text, bytes,
                 "the poll core did not run for %" PRIu64
                 " ms: the machine stood still, or others had its processor",
                 t->a / NS_PER_MS);
        return LOG_WARNING;
    case RING_TRACE_LINKS:
        if (t->a == 1)
            snprintf(text, bytes, "the link to node %" PRIu64 " is %s", t->b,
                     t->c ? "back" : "down");
        else
            snprintf(text, bytes, "links to %" PRIu64 " nodes are %s", t->a,
                     t->c ? "back" : "down");
        return LOG_NOTICE;
    case RING_TRACE_JOIN:
        snprintf(text, bytes, "ring: join from node %" PRIu64, t->a);
        return LOG_DEBUG;
    case RING_TRACE_CONSENSUS:
        snprintf(text, bytes, "ring: consensus of %" PRIu64 " nodes", t->a);
        return LOG_DEBUG;
    case RING_TRACE_CONFIGURATION:
        snprintf(text, bytes, "ring %" PRIu64 ".%" PRIu64 ": %" PRIu64 " node%s", t->b, t->a, t->c,
                 t->c == 1 ? "" : "s");
        return LOG_NOTICE;
    case RING_TRACE_NODE_FAILED:
        if (t->a == t->b)
            snprintf(text, bytes, "ring: node %" PRIu64 " leaves", t->a);
        else
            snprintf(text, bytes, "ring: node %" PRIu64 " failed, says node %" PRIu64, t->a, t->b);
        return LOG_NOTICE;
    case RING_TRACE_REFUSED:
        snprintf(text, bytes,
                 "ring: node %" PRIu64 " refused: its version or frame size is %" PRIu64
                 ", ours is %" PRIu64 "; both nodes need the same release and the same netmtu",
                 t->a, t->b, t->c);
        return LOG_WARNING;
    case RING_TRACE_BULK_RESTART:
        snprintf(text, bytes, "ring: large message of port %" PRIu64 " starts again", t->a);
        return LOG_DEBUG;
    case RING_TRACE_PERSIST:
        snprintf(text, bytes, "ring: wants ring seq up to %" PRIu64 " on disk", t->a);
        return LOG_DEBUG;
    case RING_TRACE_OTHER_CLUSTER:
        snprintf(text, bytes,
                 "ring: the daemon at the address of node %" PRIu64
                 " is of another cluster: not heard; all nodes need the same cluster_name",
                 t->a);
        return LOG_WARNING;
    case RING_TRACE_IMPOSTOR:
        snprintf(text, bytes,
                 "ring: the daemon at the address of node %" PRIu64 " says it is node %" PRIu64
                 ": not heard; correct the node id there, or the address in the list of nodes",
                 t->a, t->b);
        return LOG_WARNING;
    }
    snprintf(text, bytes, "ring: event %u", t->kind);
    return LOG_DEBUG;
}
