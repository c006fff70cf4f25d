/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CLI_HISTOGRAM_H
#define CLI_HISTOGRAM_H

/*
 * histogram.h - times, counted in buckets that grow with the time: 3 % wide, up to 18 minutes.
 *
 * One process adds while another reads; a reader may miss the newest entries and nothing else.
 */

#include <stdatomic.h>

#include "synchrotron/types.h"

enum {
    HISTOGRAM_SUB_BITS = 5,
    HISTOGRAM_NS_BITS = 40, /* longer times count as the longest */
    HISTOGRAM_BUCKETS = (HISTOGRAM_NS_BITS - HISTOGRAM_SUB_BITS + 1) << HISTOGRAM_SUB_BITS,
};

struct histogram {
    _Atomic uint64_t count[HISTOGRAM_BUCKETS];
    _Atomic uint64_t max_ns;
};

/* Of one or more histograms, at one moment. */
struct histogram_sum {
    uint64_t count[HISTOGRAM_BUCKETS];
    uint64_t total;
    uint64_t max_ns;
};

void histogram_add(struct histogram *histogram, uint64_t ns);
void histogram_sum_add(struct histogram_sum *sum, const struct histogram *histogram);

/* What came between two sums of the same histograms; max_ns is then known to a bucket only. */
void histogram_sum_between(struct histogram_sum *between, const struct histogram_sum *before,
                           const struct histogram_sum *after);

/* The time that `share` of the entries do not exceed; 0 when there are none. */
uint64_t histogram_quantile_ns(const struct histogram_sum *sum, double share);

#endif
