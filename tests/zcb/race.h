/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_ZCB_RACE_H
#define TESTS_ZCB_RACE_H

/* race.h - what the plain test programs check with, from any of their threads. */

#include <stdio.h>
#include <stdlib.h>

#define CHECK(x)                                                            \
    do {                                                                    \
        if (!(x)) {                                                         \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #x); \
            _Exit(1);                                                       \
        }                                                                   \
    } while (0)

#endif
