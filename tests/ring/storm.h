/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_RING_STORM_H
#define TESTS_RING_STORM_H

/*
 * storm.h - trouble where it hurts, drawn from a seed.
 *
 * While any node commits or recovers the next fault comes soon, and sooner when a ring is installed
 * here and not yet there: so attempts fail in rows and what is owed adds up. Frames of any age come
 * again, kinds of frames are lost by themselves, and links fail in one direction.
 */

#include "net.h"

/* A network that lived through a storm, has healed, settled and been checked. The caller frees. */
struct net *storm_live(uint64_t seed);

/* Seeds 1 to `seeds`; RING_SEED, or RING_FROM and RING_COUNT, of the environment say others. */
void storm_seeds(uint64_t seeds, void (*live)(uint64_t seed));

#endif
