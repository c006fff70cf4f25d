/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_SIM_CHECK_H
#define TESTS_SIM_CHECK_H

/*
 * check.h - what must hold of a history, whoever made it.
 *
 * The judges know what clients and rings were told and what was asked of them; nothing of how it
 * is done. Each returns false and says in the verdict what is broken, by the rule's own name. They
 * may be asked at any time, for what has not happened yet is no fault; history.settled says that
 * nothing more is to come.
 */
#include "history.h"
#include "verdict.h"

/* E1 to E7 of docs/architecture.md, as far as they are the ring's. */
bool check_ring(const struct history *h, struct verdict *v);
/* E8, and E1 message by message: what each ring took, and what all of them made of it. */
bool check_order(const struct history *h, struct verdict *v);
/* V1 to V3, V5 to V10, R2 to R4 and X7 of the contract: what each handle is told. */
bool check_views(const struct history *h, struct verdict *v);
/* R1 and R4: what all of them are told of rings. */
bool check_rings_told(const struct history *h, struct verdict *v);
/* V4 and D4: who goes together from one ring event to the next is told the same. */
bool check_together(const struct history *h, struct verdict *v);
/* D1 to D8 and D10 of the contract, and E5 as clients see it. */
bool check_delivery(const struct history *h, struct verdict *v);

/* All of them. */
bool check_history(const struct history *h, struct verdict *v);

#endif
