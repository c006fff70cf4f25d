/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_SIM_SHRINK_H
#define TESTS_SIM_SHRINK_H

/*
 * shrink.h - leave out of a plan what its failure does not need (ddmin: Zeller, Hildebrandt; TSE
 * 2002), as long as time allows.
 */
#include "workers.h"

/* without[] has one entry for each step: set for those that are not needed. The rule that is still
 * broken is the same. Returns how many steps stay. */
uint32_t shrink(const struct plan *plan, const struct verdict *verdict, bool *without,
                uint32_t seconds);

#endif
