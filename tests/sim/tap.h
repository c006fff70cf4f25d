/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_SIM_TAP_H
#define TESTS_SIM_TAP_H

/*
 * tap.h - listens between the ring and the core: all that a ring delivers goes into the history
 * before the core sees it.
 *
 * The linker puts it there (--wrap), so that neither knows; therefore there is one tap in a
 * process, and whoever runs turns says whose they are.
 */
#include "history.h"

struct tap {
    struct history *history;
    uint64_t now_ns;
    uint32_t life; /* whose turn it is; HIST_NOBODY: not listening */
};

extern struct tap tap;

#endif
