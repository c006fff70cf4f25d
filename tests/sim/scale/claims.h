/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_SIM_SCALE_CLAIMS_H
#define TESTS_SIM_SCALE_CLAIMS_H

/*
 * claims.h - what docs/scaling.md says of small and middle rings, as claims that can fail.
 *
 * They hold for the costs of the model, whatever machine runs it.
 */

#include "fabric.h"

/* All of them, for rings of 2 to 16 nodes; says on stderr which do not hold. */
bool claims_hold(const struct fabric_config *config);

#endif
