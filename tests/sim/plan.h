/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_SIM_PLAN_H
#define TESTS_SIM_PLAN_H

/*
 * plan.h - what a seed means: a cluster, and a list of things done to it at given times.
 *
 * Steps draw nothing when they are done, and the network draws from a stream of its own: any of
 * them can be left out and the others mean what they meant.
 */
#include "agent.h"
#include "faults.h"
#include "triggers.h"

enum {
    PLAN_STEPS_MAX = 2000,
};

enum step_kind {
    STEP_CONNECT, /* agent; flags */
    STEP_JOIN,    /* agent; group */
    STEP_SEND,    /* agent; burst */
    STEP_STALL,   /* agent; ns: reads nothing */
    STEP_SLOW,    /* agent; ns, pace_ns: reads one event each */
    STEP_KEEP,    /* agent; ns, pace_ns: keeps so long what it reads */
    STEP_DIE,     /* agent */
    STEP_FAULT,   /* fault, for ns */
    STEP_PAUSE,   /* node; ns */
    STEP_CRASH,   /* node; ns until it starts again, forgets: without its state directory */
    STEP_STOP,    /* node; the same, after leaving in good order */
    STEP_CLOCK,   /* node; ppm */
    STEP_DISK,    /* node; ns: cannot be written */
    STEPS,
};
extern const char *const step_name[STEPS];

struct plan_step {
    uint64_t at_ns, ns, pace_ns;
    enum step_kind kind;
    uint32_t who;   /* agent, or node */
    uint32_t order; /* of its making: equal times keep it */
    int32_t value;
    bool forgets;
    enum trigger trigger; /* waits from its time on for that moment, and then so long */
    uint64_t lag_ns;
    struct agent_burst burst;
    struct fault fault;
};

/* What befalls a ring in which all is well, when all steps are done. */
enum drill_kind {
    DRILL_CRASH, /* their processes */
    DRILL_PAUSE, /* nothing runs there */
    DRILL_CUT,   /* those and the others do not hear each other */
    DRILL_LOSS,  /* nobody is gone: some frames are lost for a while */
    DRILL_STILL, /* the machine of all stands still for a while: nothing runs on any */
    DRILL_STOP,  /* those stop in good order */
    DRILL_DISK,  /* they start again, and cannot write their disks */
    DRILLS,
};
extern const char *const drill_name[DRILLS];

struct plan_drill {
    enum drill_kind kind;
    uint32_t nodes;            /* who is gone, one bit an id; 0: none, for there is only one */
    bool told;                 /* CUT: all transports know */
    uint64_t calm_ns, busy_ns; /* before it nobody sends so long, then every agent does */
    uint64_t still_ns;
    bool lossy;               /* STOP: some frames are lost meanwhile */
    struct agent_burst burst; /* count 0: nobody */
};

struct plan {
    uint64_t seed;
    struct world_config world;
    uint32_t agent_count, segment_bytes;
    struct {
        uint32_t node;
        bool pid_stays, wants_rings;
        uint32_t shares_pid; /* with this one; or its own index */
    } agent[AGENTS_MAX];
    uint64_t start_ns[WORLD_NODES_MAX + 1];
    int32_t clock_ppm[WORLD_NODES_MAX + 1]; /* so much fast from the start */
    uint64_t end_ns;
    bool lawless; /* frames lie: only that nothing breaks down is looked at */
    struct plan_step step[PLAN_STEPS_MAX]; /* by time */
    uint32_t step_count;
    struct plan_drill drill;
};

struct plan_wish {
    uint32_t nodes_least, nodes_most;
    uint32_t seconds; /* in the mean */
};

void plan_draw(struct plan *plan, uint64_t seed, const struct plan_wish *wish);

/* One line. */
void plan_print(FILE *to, const struct plan *plan);
void plan_print_step(FILE *to, const struct plan *plan, uint32_t index);

#endif
