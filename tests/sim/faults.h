/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_SIM_FAULTS_H
#define TESTS_SIM_FAULTS_H

/*
 * faults.h - what is wrong with the network for a while. Several things may be at once.
 */
#include "sim/sim.h"
#include "synchrotron/types.h"

enum { FAULTS_MAX = 64 };

enum fault_kind {
    FAULT_LOSS,
    FAULT_DUPLICATE,
    FAULT_REORDER,
    FAULT_DELAY,
    FAULT_CORRUPT, /* frames that a checksum throws away; in a lawless plan they arrive */
    FAULT_TRUNCATE,
    FAULT_CUT,   /* of all links from one set of nodes to another: one way only, or both */
    FAULT_FLAP,  /* cut, mended and cut again */
    FAULT_SHORT, /* the transport takes fewer frames than it is offered */
    FAULT_NEWS,  /* the transport says that links are down, which are not */
    FAULT_KINDS,
};
extern const char *const fault_name[FAULT_KINDS];

struct fault {
    enum fault_kind kind;
    uint32_t from, to; /* one bit a node id */
    uint32_t ppm;
    uint64_t ns; /* DELAY, REORDER: how much; FLAP: half a period */
    bool both;   /* CUT, FLAP, NEWS: in both directions */
    bool told;   /* CUT, FLAP: the transport of whoever cannot send says so */
};

struct faults {
    struct sim_net *net;
    struct sim_faults base;
    int nodes;
    bool lies;
    struct {
        struct fault fault;
        uint64_t since_ns, until_ns;
    } active[FAULTS_MAX];
    uint32_t count;
};

void faults_init(struct faults *f, struct sim_net *net, int nodes, const struct sim_faults *base,
                 bool lies);
void faults_begin(struct faults *f, const struct fault *fault, uint64_t now_ns, uint64_t until_ns);
/* What ends, or flaps, by now. */
void faults_update(struct faults *f, uint64_t now_ns);
uint64_t faults_next_ns(const struct faults *f, uint64_t now_ns);
void faults_heal(struct faults *f);

#endif
