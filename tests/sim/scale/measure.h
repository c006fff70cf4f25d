/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_SIM_SCALE_MEASURE_H
#define TESTS_SIM_SCALE_MEASURE_H

/*
 * measure.h - the figures of one size of cluster.
 *
 * Each figure comes from a cluster of its own that starts cold. All of them end with the demand
 * that whatever was submitted has been delivered everywhere, once, in one order (peer.h).
 */

#include "fabric.h"

enum { MEASURE_SIZES = 3, MEASURE_PHASES = 5 };
extern const uint32_t measure_bytes[MEASURE_SIZES];

/* Microseconds from the client's push to the event in a client's queue. */
struct spread {
    double p50, p99;
};

struct latency {
    struct spread own, last; /* at the sender, and at the last of all */
};

struct throughput {
    uint32_t bytes;
    bool all;              /* from all nodes; false: from one */
    double messages, gbps; /* a second; goodput that each node receives */
    double rotation_us;
    double processor, link;        /* of the busiest, parts of one */
    uint32_t rx_frames, tx_frames; /* held at once, most */
};

struct change {
    double total_ms;          /* from the end of a node to the last gate that opens */
    double found_ms;          /* to the first who puts it out */
    double join_us;           /* from there to the first commit token */
    double commit_us;         /* to the last who begins recovery */
    double recover_us;        /* to the last who installs */
    double open_us;           /* to the last gate */
    double joins, join_bytes; /* on the wire, from all nodes */
    double frames;            /* of all kinds, from the first who puts it out */
};

struct formation {
    double ms; /* from the start of the last node to the last gate */
    double joins, join_bytes, frames;
};

struct idle {
    double frames, bytes;           /* a second, the whole cluster */
    double node_frames, node_bytes; /* received by one node */
};

struct rotation {
    double us, predicted_us; /* of a token that finds nothing to do */
};

struct rotation measure_rotation(const struct fabric_config *config);
/* Where the token is when the message comes. */
enum token_place { TOKEN_HERE, TOKEN_ELSEWHERE, TOKEN_TURNS };
struct latency measure_latency(const struct fabric_config *config, enum token_place place,
                               uint8_t guarantee, int samples);
struct throughput measure_throughput(const struct fabric_config *config, uint32_t bytes, bool all);
struct change measure_change(const struct fabric_config *config, int samples);
struct formation measure_formation(const struct fabric_config *config);
struct idle measure_idle(const struct fabric_config *config);

#endif
