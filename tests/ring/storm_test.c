/* SPDX-License-Identifier: BSD-3-Clause */
#include "storm.h"

#include <criterion/criterion.h>

enum { SEEDS = 150 };

static void live(uint64_t seed)
{
    net_free(storm_live(seed));
}

Test(storm, attempts_that_fail_in_rows_break_nothing)
{
    storm_seeds(SEEDS, live);
}
