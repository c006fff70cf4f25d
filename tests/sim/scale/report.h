/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_SIM_SCALE_REPORT_H
#define TESTS_SIM_SCALE_REPORT_H

/*
 * report.h - all figures of one size of cluster, and how they are printed.
 */

#include "measure.h"

enum { REPORT_FLOODS = 2 * MEASURE_SIZES };

struct figures {
    struct fabric_config config;
    bool membership; /* the part above `flood` was measured, too */
    struct rotation rotation;
    struct latency here, elsewhere, turning, safe;
    struct change change;
    struct formation formation;
    struct idle idle;
    struct throughput flood[REPORT_FLOODS];
    size_t ring_bytes;
};

/* How much is measured: in the short form fewer samples are taken. */
void figures_measure(struct figures *figures, const struct fabric_config *config, bool membership,
                     bool brief);

void report_text(const struct figures *figures, FILE *file);
/* One object; they go between report_json_begin() and report_json_end(). */
void report_json_begin(const struct fabric_config *config, FILE *file);
void report_json(const struct figures *figures, bool first, FILE *file);
void report_json_end(FILE *file);

#endif
