/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SYNCHROTRON_TYPES_H
#define SYNCHROTRON_TYPES_H

/*
 * types.h - the plain types every room shares.
 *
 * Knows:      node ids, ring ids, guarantees, time units, INVARIANT.
 * Knows not:  anything that allocates, waits or includes another header of ours.
 */

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define NS_PER_US UINT64_C(1000)
#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S  UINT64_C(1000000000)
#define NS_NEVER  UINT64_MAX

enum {
    NODE_NONE = 0, /* no node: ids start at 1 */
    NODE_COUNT_MAX = 128,
    CACHE_LINE_BYTES = 64,
};

/* A ring's name: rep is the lowest node id in it, seq never repeats on a node. */
struct ring_id {
    uint64_t seq;
    uint32_t rep;
    uint32_t zero;
};

static inline bool ring_id_equal(struct ring_id a, struct ring_id b)
{
    return a.seq == b.seq && a.rep == b.rep;
}

/* Numbers are those of cpg_guarantee_t; FIFO and UNORDERED are served as AGREED. */
enum guarantee {
    GUARANTEE_UNORDERED = 0,
    GUARANTEE_FIFO = 1,
    GUARANTEE_AGREED = 2,
    GUARANTEE_SAFE = 3,
};

/* Stays in release builds: the group survives a node that stops, not one that lies. */
#define INVARIANT(x)                                  \
    do {                                              \
        if (__builtin_expect(!(x), 0))                \
            invariant_broken(#x, __FILE__, __LINE__); \
    } while (0)

__attribute__((noreturn, cold)) static inline void invariant_broken(const char *what,
                                                                    const char *file, int line)
{
    fprintf(stderr, "invariant broken: %s (%s:%d)\n", what, file, line);
    abort();
}

#define ARRAY_COUNT(a) (sizeof(a) / sizeof((a)[0]))

static inline uint64_t align_up(uint64_t value, uint64_t to)
{
    return (value + to - 1) & ~(to - 1);
}

static inline uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static inline uint64_t max_u64(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static inline uint32_t min_u32(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

#endif
