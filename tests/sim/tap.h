/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_SIM_TAP_H
#define TESTS_SIM_TAP_H

/*
 * tap.h - listens between the ring and the core: all that a ring takes and delivers goes into the
 * history before the core sees it, and after each call the ring itself is looked at (watch.h).
 *
 * The linker puts it there (--wrap), so that neither knows; therefore there is one tap in a
 * process, and whoever runs turns says whose they are.
 */
#include "history.h"
#include "watch.h"

struct tap {
    struct history *history;
    uint64_t now_ns;
    uint32_t life;            /* whose turn it is; HIST_NOBODY: not listening */
    struct watch_ring *watch; /* of its ring */
    struct verdict *verdict;
};

extern struct tap tap;

#endif
