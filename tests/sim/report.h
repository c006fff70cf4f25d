/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_SIM_REPORT_H
#define TESTS_SIM_REPORT_H

/*
 * report.h - what a swarm has to say, for people and for programs.
 */
#include "workers.h"

void report_text(FILE *to, const struct swarm *swarm);
void report_json(FILE *to, const struct swarm *swarm);
void report_one(FILE *to, const struct plan *plan, const struct run_result *result, bool json);
/* Options that differ from the usual. */
void report_wish(FILE *to, const struct plan_wish *wish);
/* --steps, and each of them in a line. */
void report_steps(FILE *to, const struct plan *plan, const bool *without);
/* The last lines of a file. */
void report_tail(FILE *to, FILE *from, uint32_t lines);

#endif
