/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_SIM_SHRINK_H
#define TESTS_SIM_SHRINK_H

/*
 * shrink.h - leave out of a plan what its failure does not need (ddmin: Zeller, Hildebrandt; TSE
 * 2002), as long as time allows.
 */
#include "workers.h"

/* Does it still fail without these steps? */
typedef bool (*still_fails_fn)(void *context, const bool *without);

/* without[count]: set for steps that are not needed. Returns how many are. */
uint32_t shrink(uint32_t count, bool *without, uint32_t seconds, still_fails_fn still_fails,
                void *context);

/* The steps of a plan without which this rule is not broken. */
uint32_t shrink_plan(const struct plan *plan, const struct verdict *verdict, bool *without,
                     uint32_t seconds);

#endif
