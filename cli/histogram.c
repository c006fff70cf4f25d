/* SPDX-License-Identifier: BSD-3-Clause */
#include "histogram.h"

enum { SUB_COUNT = 1 << HISTOGRAM_SUB_BITS };

static uint32_t bucket_of(uint64_t ns)
{
    ns = min_u64(ns, (UINT64_C(1) << HISTOGRAM_NS_BITS) - 1);
    if (ns < SUB_COUNT)
        return (uint32_t)ns;
    uint32_t shift = 63U - (uint32_t)__builtin_clzll(ns) - HISTOGRAM_SUB_BITS;
    return (shift << HISTOGRAM_SUB_BITS) + (uint32_t)(ns >> shift);
}

/* The longest time that falls into a bucket. */
static uint64_t bucket_end_ns(uint32_t bucket)
{
    if (bucket < 2 * SUB_COUNT)
        return bucket;
    uint32_t shift = (bucket >> HISTOGRAM_SUB_BITS) - 1;
    uint64_t sub = bucket - (shift << HISTOGRAM_SUB_BITS);
    return ((sub + 1) << shift) - 1;
}

/* One writer: a load and a store do what an atomic addition would, without its price. */
void histogram_add(struct histogram *histogram, uint64_t ns)
{
    _Atomic uint64_t *count = &histogram->count[bucket_of(ns)];
    uint64_t seen = atomic_load_explicit(count, memory_order_relaxed);
    atomic_store_explicit(count, seen + 1, memory_order_relaxed);
    if (ns > atomic_load_explicit(&histogram->max_ns, memory_order_relaxed))
        atomic_store_explicit(&histogram->max_ns, ns, memory_order_relaxed);
}

void histogram_sum_add(struct histogram_sum *sum, const struct histogram *histogram)
{
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        uint64_t count = atomic_load_explicit(&histogram->count[i], memory_order_relaxed);
        sum->count[i] += count;
        sum->total += count;
    }
    sum->max_ns =
        max_u64(sum->max_ns, atomic_load_explicit(&histogram->max_ns, memory_order_relaxed));
}

void histogram_sum_between(struct histogram_sum *between, const struct histogram_sum *before,
                           const struct histogram_sum *after)
{
    *between = (struct histogram_sum){ .total = after->total - before->total };
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        between->count[i] = after->count[i] - before->count[i];
        if (between->count[i] > 0)
            between->max_ns = bucket_end_ns(i);
    }
}

uint64_t histogram_quantile_ns(const struct histogram_sum *sum, double share)
{
    uint64_t wanted = (uint64_t)(share * (double)sum->total), seen = 0;
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += sum->count[i];
        if (seen > wanted || (seen > 0 && seen == sum->total))
            return min_u64(bucket_end_ns(i), sum->max_ns);
    }
    return 0;
}
