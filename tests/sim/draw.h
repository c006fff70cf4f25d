/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_SIM_DRAW_H
#define TESTS_SIM_DRAW_H

/*
 * draw.h - numbers drawn from a seed, each purpose from a stream of its own: what one draws moves
 * no other.
 */
#include "sim/random.h"

struct draw {
    struct sim_random random;
};

static inline uint64_t draw_mix(uint64_t a, uint64_t b)
{
    struct sim_random mix = { a ^ (b * UINT64_C(0xd6e8feb86659fd93)) };
    return sim_random_next(&mix);
}

static inline struct draw draw_stream(uint64_t seed, uint64_t purpose)
{
    return (struct draw){ { draw_mix(seed, purpose) } };
}

static inline uint64_t draw64(struct draw *d)
{
    return sim_random_next(&d->random);
}

/* 0 to limit - 1 */
static inline uint32_t draw_below(struct draw *d, uint32_t limit)
{
    return (uint32_t)sim_random_below(&d->random, limit);
}

static inline uint32_t draw_between(struct draw *d, uint32_t least, uint32_t most)
{
    return least + draw_below(d, most - least + 1);
}

static inline bool draw_chance(struct draw *d, uint32_t permille)
{
    return draw_below(d, 1000) < permille;
}

/* About the same chance for each power of two between. */
static inline uint32_t draw_scale(struct draw *d, uint32_t least, uint32_t most)
{
    uint32_t levels = 1;
    while (((uint64_t)least + 1) << levels < most)
        levels++;
    uint64_t top = ((uint64_t)least + 1) << (1 + draw_below(d, levels));
    return draw_between(d, least, top > most ? most : (uint32_t)top);
}

#endif
