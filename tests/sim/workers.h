/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_SIM_WORKERS_H
#define TESTS_SIM_WORKERS_H

/*
 * workers.h - seeds run in processes of their own: one that crashes or never ends is a failing
 * seed, and the others go on.
 */
#include "run.h"

enum { WORKERS_MAX = 64, FAILURES_MAX = 64 };

struct failure {
    uint64_t seed;
    struct verdict verdict;
};

struct swarm {
    struct plan_wish wish;
    uint64_t from, count;
    uint32_t jobs;
    bool stop_at_first;
    /* what came of it */
    struct run_stats stats; /* of the seeds that ended */
    struct failure failure[FAILURES_MAX];
    uint32_t failures; /* all; the first FAILURES_MAX are kept */
    double wall_s;
};

/* Draw and run each seed. */
void swarm_run(struct swarm *swarm);

/* One plan in a process of its own, with a word for a crash. `output`: where what it prints goes,
 * NULL: nowhere. */
void run_apart(const struct plan *plan, const struct run_options *options,
               struct run_result *result, FILE *output);

#endif
