/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_SIM_SCALE_CALIBRATE_H
#define TESTS_SIM_SCALE_CALIBRATE_H

/*
 * calibrate.h - what the calls of a ring cost on the machine this runs on.
 *
 * Real rings pass frames to each other in one process without a network. Calls of one of them, the
 * subject, are timed one by one and sorted by what they did; the figures are medians over calls and
 * lines through medians. Its memory is walked through before each call, for with many rings in one
 * process the others would have pushed it out of the cache that a daemon has for itself.
 */

#include "costs.h"

/* Prints what it measures as it goes, to stderr. */
void calibrate(struct costs *costs);

#endif
