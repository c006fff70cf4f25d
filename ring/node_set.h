/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef RING_NODE_SET_H
#define RING_NODE_SET_H

/*
 * node_set.h - sets of configured nodes, by their index in the configuration.
 */

#include "synchrotron/types.h"

struct node_set {
    uint64_t word[NODE_COUNT_MAX / 64];
};

static_assert(NODE_COUNT_MAX == 128, "two words");

static inline bool set_has(struct node_set s, int index)
{
    return s.word[index >> 6] >> (index & 63) & 1;
}

static inline void set_add(struct node_set *s, int index)
{
    s->word[index >> 6] |= UINT64_C(1) << (index & 63);
}

static inline void set_remove(struct node_set *s, int index)
{
    s->word[index >> 6] &= ~(UINT64_C(1) << (index & 63));
}

static inline struct node_set set_of(int index)
{
    struct node_set s = { { 0 } };
    set_add(&s, index);
    return s;
}

static inline struct node_set set_or(struct node_set a, struct node_set b)
{
    return (struct node_set){ { a.word[0] | b.word[0], a.word[1] | b.word[1] } };
}

static inline struct node_set set_and(struct node_set a, struct node_set b)
{
    return (struct node_set){ { a.word[0] & b.word[0], a.word[1] & b.word[1] } };
}

static inline struct node_set set_minus(struct node_set a, struct node_set b)
{
    return (struct node_set){ { a.word[0] & ~b.word[0], a.word[1] & ~b.word[1] } };
}

static inline bool set_equal(struct node_set a, struct node_set b)
{
    return a.word[0] == b.word[0] && a.word[1] == b.word[1];
}

static inline bool set_empty(struct node_set a)
{
    return (a.word[0] | a.word[1]) == 0;
}

static inline bool set_within(struct node_set a, struct node_set b)
{
    return set_empty(set_minus(a, b));
}

static inline int set_count(struct node_set a)
{
    return __builtin_popcountll(a.word[0]) + __builtin_popcountll(a.word[1]);
}

/* The lowest member at or above index; NODE_COUNT_MAX when there is none. */
static inline int set_next(struct node_set s, int index)
{
    for (int i = index; i < NODE_COUNT_MAX; i = (i | 63) + 1) {
        uint64_t rest = s.word[i >> 6] >> (i & 63);
        if (rest)
            return i + __builtin_ctzll(rest);
    }
    return NODE_COUNT_MAX;
}

#define SET_EACH(i, s) for (int i = set_next(s, 0); i < NODE_COUNT_MAX; i = set_next(s, i + 1))

#endif
