/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TRANSPORT_SIM_RANDOM_H
#define TRANSPORT_SIM_RANDOM_H

/*
 * random.h - a stream of numbers that is the same on every machine.
 *
 * SplitMix64 (Steele, Lea, Flood; OOPSLA 2014).
 */

#include "synchrotron/types.h"

struct sim_random {
    uint64_t state;
};

static inline uint64_t sim_random_next(struct sim_random *random)
{
    uint64_t z = random->state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

/* From 0 to limit - 1; the bias of the remainder is of no account here. */
static inline uint64_t sim_random_below(struct sim_random *random, uint64_t limit)
{
    return limit == 0 ? 0 : sim_random_next(random) % limit;
}

/* True in ppm of a million cases. Draws a number only when the outcome is open. */
static inline bool sim_random_chance(struct sim_random *random, uint32_t ppm)
{
    return ppm != 0 && sim_random_below(random, 1000000) < ppm;
}

#endif
