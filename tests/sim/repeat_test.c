/* SPDX-License-Identifier: BSD-3-Clause */
#include "workers.h"

#include <string.h>

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

static const struct plan_wish wish = { 2, 9, 20 };

static struct plan *plan_of(uint64_t seed)
{
    struct plan *plan = malloc(sizeof(*plan));
    plan_draw(plan, seed, &wish);
    return plan;
}

static uint64_t hash_here(const struct plan *plan, const struct run_options *options)
{
    struct run_result result;
    run_plan(plan, options, &result);
    cr_assert(not(result.verdict.failed), "%s: %s", result.verdict.rule, result.verdict.text);
    return result.hash;
}

Test(repeat, W1_a_seed_means_one_history)
{
    const struct run_options options = { 0 };
    uint64_t before = 0;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        struct run_result apart;
        struct plan *plan = plan_of(seed), *again = plan_of(seed);
        cr_assert(zero(int, memcmp(plan, again, sizeof(*plan))));
        uint64_t hash = hash_here(plan, &options);
        cr_expect(eq(u64, hash, hash_here(again, &options)), "in one process");
        run_apart(plan, &options, &apart, NULL);
        cr_expect(eq(u64, hash, apart.hash), "in two processes");
        cr_expect(ne(u64, hash, before), "another seed");
        before = hash;
        free(plan);
        free(again);
    }
}

Test(repeat, a_plan_without_a_step_is_the_same_up_to_it)
{
    static bool without[PLAN_STEPS_MAX];
    struct plan *plan = plan_of(3);
    struct run_options options = { .without = without };
    struct run_result all, none;
    run_plan(plan, &options, &all);
    memset(without, 1, sizeof(without));
    run_plan(plan, &options, &none);
    cr_expect(not(none.verdict.failed), "nothing is done, and nothing goes wrong");
    cr_expect(zero(u64, none.stats.messages_sent));
    memset(without, 0, sizeof(without));
    without[plan->step_count - 1] = true;
    plan->end_ns = plan->step[plan->step_count - 1].at_ns - 1;
    uint64_t hash = hash_here(plan, &options);
    without[plan->step_count - 1] = false;
    cr_expect(eq(u64, hash, hash_here(plan, &options)), "it never came to that step");
    free(plan);
}

/* Nothing is done but the drill, and so many frames are lost on their way all the time. */
static struct run_result drill_only(uint64_t seed, uint32_t loss_ppm)
{
    static bool without[PLAN_STEPS_MAX];
    struct run_options options = { .without = without };
    struct run_result result;
    struct plan *plan = plan_of(seed);
    plan->lawless = false;
    plan->end_ns = NS_PER_S;
    plan->world.net.faults.loss_ppm = loss_ppm;
    plan->drill.kind = (enum drill_kind)(seed % DRILL_LOSS);
    memset(without, 1, sizeof(without));
    run_plan(plan, &options, &result);
    free(plan);
    return result;
}

Test(repeat, a_view_that_comes_later_than_promised_is_seen)
{
    int late = 0;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        struct run_result result = drill_only(seed, 0);
        cr_expect(not(result.verdict.failed), "%s: %s", result.verdict.rule, result.verdict.text);
        cr_expect(ne(u64, result.stats.view_permille, 0), "the drill took place");
        late += strcmp(drill_only(seed, 400000).verdict.rule, "view") == 0;
    }
    cr_expect(ne(int, late, 0));
}

static bool dies(const struct plan *plan, int how, struct verdict *verdict)
{
    static struct plan broken;
    struct run_result result;
    const struct run_options options = { 0 };
    broken = *plan;
    if (how == 0)
        broken.world.nodes = 0; /* breaks an invariant */
    else
        broken.world.each.netmtu = 100; /* no ring can be made of it */
    run_apart(&broken, &options, &result, NULL);
    *verdict = result.verdict;
    return result.verdict.failed;
}

Test(repeat, a_crash_is_a_verdict)
{
    struct verdict verdict;
    struct plan *plan = plan_of(1);
    cr_assert(dies(plan, 0, &verdict));
    cr_expect(eq(str, verdict.rule, (char *)"INVARIANT"));
    cr_expect(ne(ptr, strstr(verdict.text, "world.c"), NULL), "%s", verdict.text);
    cr_assert(dies(plan, 1, &verdict));
    cr_expect(eq(str, verdict.rule, (char *)"start"), "%s", verdict.text);
    free(plan);
}
