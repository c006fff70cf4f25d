/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_SIM_RUN_INNER_H
#define TESTS_SIM_RUN_INNER_H

/*
 * run_inner.h - between run.c and drill.c.
 */
#include "agent.h"
#include "faults.h"
#include "history.h"
#include "run.h"
#include "triggers.h"
#include "watch.h"

enum { UPS_MAX = WORLD_NODES_MAX + 1 };

/* A node that is to start. */
struct up {
    uint64_t at_ns; /* NS_NEVER: it is up, or nobody asked */
    bool forgets;
};

struct run {
    const struct plan *plan;
    const struct run_options *options;
    struct run_result *result;
    struct world world;
    struct history history;
    struct agents agents;
    struct faults faults;
    struct triggers triggers;
    struct up up[UPS_MAX];
    uint32_t life[UPS_MAX];
    struct watch_ring watch_ring[UPS_MAX];
    struct watch_slow watch_slow[UPS_MAX];
    uint64_t swept;
    uint32_t next_step;
    bool settling;
};

static inline struct verdict *verdict(struct run *r)
{
    return &r->result->verdict;
}

/* Until then, or until the verdict is spoken. */
void run_until(struct run *r, uint64_t until_ns);
/* A step of the plan that befalls a node, now. */
void run_node_step(struct run *r, const struct plan_step *s);
/* From now on things happen that processes may be told of. */
void run_not_calm(struct run *r);
/* Mend everything, and wait until all is one and delivered. */
void run_settle(struct run *r);
/* One bit for each. */
uint32_t run_all_nodes(const struct run *r);

/* The drill of the plan (drill.c). */
void run_drill(struct run *r);

#endif
