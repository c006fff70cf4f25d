/* SPDX-License-Identifier: BSD-3-Clause */
#include "shrink.h"

#include <string.h>
#include <time.h>

struct attempt {
    const struct plan *plan;
    const struct verdict *verdict;
    time_t until;
};

static bool still_fails(const struct attempt *a, const bool *without)
{
    struct run_result result;
    struct run_options options = { .without = without };
    run_apart(a->plan, &options, &result, NULL);
    return result.verdict.failed && strcmp(result.verdict.rule, a->verdict->rule) == 0;
}

static uint32_t left(const struct plan *plan, const bool *without)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < plan->step_count; i++)
        count += !without[i];
    return count;
}

/* Take away one run of `length` steps after the other. True: some could go. */
static bool take_away(const struct attempt *a, bool *without, uint32_t length)
{
    static bool tried[PLAN_STEPS_MAX];
    bool some = false;
    for (uint32_t i = a->plan->step_count; i > 0 && time(NULL) < a->until;) {
        uint32_t taken = 0;
        memcpy(tried, without, a->plan->step_count);
        while (i > 0 && taken < length) { /* the latest first: they are least likely needed */
            taken += !tried[--i];
            tried[i] = true;
        }
        if (taken == 0 || !still_fails(a, tried))
            continue;
        memcpy(without, tried, a->plan->step_count);
        some = true;
    }
    return some;
}

uint32_t shrink(const struct plan *plan, const struct verdict *verdict, bool *without,
                uint32_t seconds)
{
    struct attempt a = { plan, verdict, time(NULL) + seconds };
    memset(without, 0, plan->step_count);
    for (uint32_t length = (plan->step_count + 1) / 2; length > 0 && time(NULL) < a.until;) {
        bool some = take_away(&a, without, length);
        if (length > 1)
            length /= 2;
        else if (!some)
            break;
    }
    return left(plan, without);
}
