/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_SIM_RUN_H
#define TESTS_SIM_RUN_H

/*
 * run.h - one plan from its beginning to the verdict.
 *
 * All steps are done, then everything that is wrong is mended, and the cluster has a bounded time
 * to become one ring that has delivered everything it accepted (E9). Then comes the drill:
 * something befalls a ring in which all is well, and must end as promised; and once more all is
 * mended. The sweeps over each core's structures run in between all the time, the checkers at the
 * end.
 */
#include "plan.h"
#include "verdict.h"

struct run_options {
    const bool *without; /* one for each step: leave it out; NULL: none */
    bool trace;          /* print what rings and agents see, as it comes */
};

/* What became of frames that did not simply arrive. */
enum frame_fate {
    FATE_LOST,
    FATE_CUT,
    FATE_DUPLICATED,
    FATE_REORDERED,
    FATE_CORRUPTED,
    FATE_TRUNCATED,
    FATE_OVERFLOWED,
    FATE_NOBODY_HOME,
    FATES,
};
extern const char *const fate_name[FATES];

struct run_stats {
    uint64_t seeds, simulated_ns, turns, frames, events_read, messages_sent, configurations;
    uint64_t settle_ns_most;  /* how long it took to become one */
    uint64_t rest_permille;   /* frames of a ring at rest, of what is allowed, at the most */
    uint64_t settle_permille; /* the same, of what is allowed, at the most */
    uint64_t view_permille;   /* time to a view without those that are gone, at the most */
    uint64_t lives, evictions, lawless;
    uint64_t step[STEPS], fault[FAULT_KINDS], fate[FATES];
};

struct run_result {
    struct verdict verdict;
    struct run_stats stats;
    uint64_t hash; /* of the history */
};

void run_plan(const struct plan *plan, const struct run_options *options,
              struct run_result *result);

void run_stats_add(struct run_stats *sum, const struct run_stats *one);

#endif
