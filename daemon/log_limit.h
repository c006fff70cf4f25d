/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef DAEMON_LOG_LIMIT_H
#define DAEMON_LOG_LIMIT_H

/*
 * log_limit.h - how often one place in the sources may log.
 *
 * Some lines come as often as somebody else likes: a process that may not even be a client, a host
 * that sends what is none of ours. A disk that is full of such lines is what they would want.
 *
 * Knows:      for each place and priority how much of its allowance is used.
 * Knows not:  what is logged, nor where to.
 * Invariants: G1  a place logs LOG_LIMIT_BURST lines at once, and after that one each
 *                 LOG_LIMIT_INTERVAL_NS
 *             G2  what is left out is counted, and told with the next line of that place
 *             G3  no place takes from another's allowance, while there are no more of them than
 *                 LOG_LIMIT_PLACES
 */

#include "synchrotron/types.h"

enum { LOG_LIMIT_PLACES = 64, LOG_LIMIT_BURST = 200 };
#define LOG_LIMIT_INTERVAL_NS (UINT64_C(500) * NS_PER_MS)

struct log_limit {
    struct log_limit_place {
        const char *file;
        int line, priority;
        uint64_t used_until_ns; /* in the future: so much of the allowance is used */
        uint32_t left_out;
    } place[LOG_LIMIT_PLACES];
};

/* May it log now? *left_out: how many lines of its were left out since it last did. */
bool log_limit_take(struct log_limit *limit, const struct log_limit_place *who, uint64_t now_ns,
                    uint32_t *left_out);

#endif
