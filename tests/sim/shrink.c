/* SPDX-License-Identifier: BSD-3-Clause */
#include "shrink.h"

#include <string.h>
#include <time.h>

struct search {
    uint32_t count;
    time_t until;
    still_fails_fn still_fails;
    void *context;
};

/* Take away one run of `length` steps after the other, the latest first: they are least likely
 * needed. True: some could go. */
static bool take_away(const struct search *s, bool *without, uint32_t length)
{
    static bool tried[PLAN_STEPS_MAX];
    bool some = false;
    for (uint32_t i = s->count; i > 0 && time(NULL) < s->until;) {
        uint32_t taken = 0;
        memcpy(tried, without, s->count);
        while (i > 0 && taken < length) {
            taken += !tried[--i];
            tried[i] = true;
        }
        if (taken == 0 || !s->still_fails(s->context, tried))
            continue;
        memcpy(without, tried, s->count);
        some = true;
    }
    return some;
}

uint32_t shrink(uint32_t count, bool *without, uint32_t seconds, still_fails_fn still_fails,
                void *context)
{
    struct search s = { count, time(NULL) + seconds, still_fails, context };
    INVARIANT(count <= PLAN_STEPS_MAX);
    memset(without, 0, count);
    for (uint32_t length = (count + 1) / 2; length > 0 && time(NULL) < s.until;) {
        bool some = take_away(&s, without, length);
        if (length == 1 && !some)
            break;
        length = length > 1 ? length / 2 : 1;
    }
    uint32_t stay = 0;
    for (uint32_t i = 0; i < count; i++)
        stay += !without[i];
    return stay;
}

struct attempt {
    const struct plan *plan;
    const struct verdict *verdict;
};

static bool plan_still_fails(void *context, const bool *without)
{
    const struct attempt *a = context;
    struct run_result result;
    struct run_options options = { .without = without };
    run_apart(a->plan, &options, &result, NULL);
    return result.verdict.failed && strcmp(result.verdict.rule, a->verdict->rule) == 0;
}

uint32_t shrink_plan(const struct plan *plan, const struct verdict *verdict, bool *without,
                     uint32_t seconds)
{
    struct attempt attempt = { plan, verdict };
    return shrink(plan->step_count, without, seconds, plan_still_fails, &attempt);
}
