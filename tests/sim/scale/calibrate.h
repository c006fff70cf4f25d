/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_SIM_SCALE_CALIBRATE_H
#define TESTS_SIM_SCALE_CALIBRATE_H

/*
 * calibrate.h - what the calls of a ring, and of the poll core around it, cost on the machine this
 * runs on.
 *
 * Real rings pass frames to each other in one process without a network. Calls of one of them, the
 * subject, are timed one by one and sorted by what they did; the figures are medians over calls and
 * lines through medians. Its memory is walked through before each call, for with many rings in one
 * process the others would have pushed it out of the cache that a daemon has for itself.
 */

#include <stdint.h>

#include "costs.h"

/* Those under COSTS_MEASURED. Says on stderr what it sees. */
void calibrate(struct costs *costs);

/* calibrate_core.c: of these `turn`, `submit`, `lend` and `deliver`; the others are known. */
void calibrate_core(struct costs *costs, uint32_t clock_cost_ns);

/* A line through points; of one point, it lies flat. */
struct line {
    double at_zero, slope;
};
struct line calibrate_line(const double *x, const double *y, int points);
uint32_t calibrate_median(uint32_t *value, uint32_t count); /* sorts them */

#endif
