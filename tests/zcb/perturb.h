/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_ZCB_PERTURB_H
#define TESTS_ZCB_PERTURB_H

/*
 * perturb.h - makes every atomic access of a source it is included before come late, at random, so
 * that what can go wrong between two of them does.
 */

#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>

static inline void perturb(void)
{
    static _Thread_local unsigned seed;
    if (seed == 0)
        seed = (unsigned)(uintptr_t)&seed;
    int kind = rand_r(&seed) % 16;
    if (kind == 0)
        sched_yield();
    else if (kind < 4)
        for (volatile int spin = rand_r(&seed) % 4000; spin > 0; spin--)
            ;
}

static inline uint32_t late_load_32(const _Atomic uint32_t *word, memory_order order)
{
    perturb();
    return atomic_load_explicit(word, order);
}

static inline uint64_t late_load_64(const _Atomic uint64_t *word, memory_order order)
{
    perturb();
    return atomic_load_explicit(word, order);
}

static inline void late_store_32(_Atomic uint32_t *word, uint32_t value, memory_order order)
{
    perturb();
    atomic_store_explicit(word, value, order);
}

static inline void late_store_64(_Atomic uint64_t *word, uint64_t value, memory_order order)
{
    perturb();
    atomic_store_explicit(word, value, order);
}

static inline uint64_t late_exchange(_Atomic uint64_t *word, uint64_t value, memory_order order)
{
    perturb();
    return atomic_exchange_explicit(word, value, order);
}

static inline _Bool late_compare_exchange(_Atomic uint64_t *word, uint64_t *expected,
                                          uint64_t value, memory_order order, memory_order failed)
{
    perturb();
    return atomic_compare_exchange_strong_explicit(word, expected, value, order, failed);
}

#undef atomic_load_explicit
#undef atomic_store_explicit
#undef atomic_exchange_explicit
#undef atomic_compare_exchange_strong_explicit
/* clang-format off */
#define atomic_load_explicit(word, order)         \
    _Generic((word),                              \
        _Atomic uint64_t *: late_load_64,         \
        const _Atomic uint64_t *: late_load_64,   \
        _Atomic uint32_t *: late_load_32,         \
        const _Atomic uint32_t *: late_load_32)(word, order)
#define atomic_store_explicit(word, value, order) \
    _Generic((word),                              \
        _Atomic uint64_t *: late_store_64,        \
        _Atomic uint32_t *: late_store_32)(word, value, order)
/* clang-format on */
#define atomic_exchange_explicit                late_exchange
#define atomic_compare_exchange_strong_explicit late_compare_exchange

#endif
