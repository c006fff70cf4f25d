/* SPDX-License-Identifier: BSD-3-Clause */
#include "shrink.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

enum { STEPS_HERE = 150 };

/* Fails with these steps, whatever else there is. */
struct culprits {
    uint32_t step[3], count, tries;
};

static bool fails(void *context, const bool *without)
{
    struct culprits *c = context;
    c->tries++;
    for (uint32_t i = 0; i < c->count; i++) {
        if (without[c->step[i]])
            return false;
    }
    return true;
}

Test(shrink, what_stays_is_what_it_takes)
{
    static struct culprits cases[] = {
        { { 0 }, 1, 0 },          { { 149 }, 1, 0 }, { { 3, 77 }, 2, 0 },
        { { 0, 74, 149 }, 3, 0 }, { { 0 }, 0, 0 },
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        bool without[STEPS_HERE];
        struct culprits *c = &cases[i];
        cr_expect(eq(u32, shrink(STEPS_HERE, without, 60, fails, c), c->count), "case %zu", i);
        for (uint32_t k = 0; k < c->count; k++)
            cr_expect(not(without[c->step[k]]));
        cr_expect(lt(u32, c->tries, 200), "case %zu", i);
    }
}

Test(shrink, without_time_everything_stays)
{
    bool without[STEPS_HERE];
    struct culprits c = { { 5 }, 1, 0 };
    cr_assert(eq(u32, shrink(STEPS_HERE, without, 0, fails, &c), STEPS_HERE));
    cr_assert(zero(u32, c.tries));
}
