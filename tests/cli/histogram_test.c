/* SPDX-License-Identifier: BSD-3-Clause */
#include "histogram.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <string.h>

static struct histogram_sum sum_of(const struct histogram *histogram)
{
    struct histogram_sum sum = { 0 };
    histogram_sum_add(&sum, histogram);
    return sum;
}

Test(histogram, quantiles_are_right_to_three_percent)
{
    static struct histogram h;
    for (uint64_t i = 1; i <= 100000; i++)
        histogram_add(&h, i * 17);
    struct histogram_sum sum = sum_of(&h);
    static const double shares[] = { 0.01, 0.5, 0.9, 0.99 };
    for (size_t i = 0; i < ARRAY_COUNT(shares); i++) {
        double exact = shares[i] * 100000 * 17;
        double found = (double)histogram_quantile_ns(&sum, shares[i]);
        cr_assert(found >= exact * 0.999 && found <= exact * 1.035, "%f: %f, not %f", shares[i],
                  found, exact);
    }
    cr_assert(eq(u64, sum.max_ns, 1700000));
    cr_assert(eq(u64, histogram_quantile_ns(&sum, 1), 1700000));
}

Test(histogram, short_times_are_exact_and_the_longest_are_kept)
{
    static struct histogram h;
    histogram_add(&h, 0);
    histogram_add(&h, 63);
    histogram_add(&h, UINT64_MAX);
    struct histogram_sum sum = sum_of(&h);
    cr_assert(eq(u64, sum.total, 3));
    cr_assert(eq(u64, histogram_quantile_ns(&sum, 0.1), 0));
    cr_assert(eq(u64, histogram_quantile_ns(&sum, 0.5), 63));
    cr_assert(eq(u64, sum.max_ns, UINT64_MAX));
}

Test(histogram, nothing_has_no_quantile)
{
    static struct histogram h;
    struct histogram_sum sum = sum_of(&h);
    cr_assert(eq(u64, histogram_quantile_ns(&sum, 0.5), 0));
}

Test(histogram, between_two_moments_lies_what_came_between)
{
    static struct histogram h;
    struct histogram_sum between;
    histogram_add(&h, 1000000);
    struct histogram_sum before = sum_of(&h);
    for (int i = 0; i < 10; i++)
        histogram_add(&h, 50);
    struct histogram_sum after = sum_of(&h);
    histogram_sum_between(&between, &before, &after);
    cr_assert(eq(u64, between.total, 10));
    cr_assert(eq(u64, histogram_quantile_ns(&between, 0.99), 50));
}
