/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_SIM_ASK_H
#define TESTS_SIM_ASK_H

/*
 * ask.h - what each core answers when the end has come and it is asked who is where: the same as
 * the plan has it.
 */
#include "history.h"
#include "verdict.h"
#include "world.h"

bool cores_answer(const struct world *w, const struct history *h, struct verdict *v);

#endif
