/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * swarm - whole daemons, simulated: many seeds, or one again.
 */
#include <getopt.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "planted/planted.h"
#include "report.h"
#include "shrink.h"

enum { SHRUNK_MOST = 3, TRACE_LINES = 400, PLANTED_SEEDS = 2000 };

struct options {
    struct swarm swarm;
    uint64_t seed;
    bool one, json, debug, trace, until_caught, planted;
    uint32_t shrink_seconds;
    const char *steps;
};

static const char usage[] =
    "usage: swarm [--seeds N] [--from S] [--nodes A..B] [--seconds S] [--jobs N] [--json]\n"
    "       swarm --seed S [--steps A,B,...] [--trace] [--debug]   one, again\n"
    "       swarm --until-caught N                                 stop at the first failure\n"
    "       swarm --planted [--jobs N] [--json]                    is every planted bug caught?\n"
    "\n"
    "  --seeds N         so many seeds (100)\n"
    "  --from S          the first of them (1)\n"
    "  --nodes A..B      clusters of so many nodes (2..9)\n"
    "  --seconds S       simulated time of a seed, in the mean (60)\n"
    "  --jobs N          processes (one a processor)\n"
    "  --shrink S        seconds to shorten the plan of a failing seed (30; 0: do not)\n"
    "  --steps A,B,...   only these steps of the plan; `none` for none\n"
    "  --trace           print what rings and clients see\n"
    "  --debug           run it in this very process: for a debugger\n"
    "  --json            one object\n"
    "\n"
    "Exit status: 0 when no seed failed (--until-caught: when one did), 1 otherwise.\n";

static void __attribute__((noreturn)) leave(int status)
{
    fputs(usage, status ? stderr : stdout);
    exit(status);
}

static uint64_t number(const char *text)
{
    char *end;
    uint64_t value = strtoull(text, &end, 0);
    if (end == text || *end)
        leave(2);
    return value;
}

static void nodes(struct plan_wish *wish, const char *text)
{
    int matched = sscanf(text, "%u..%u", &wish->nodes_least, &wish->nodes_most);
    if (matched == 1)
        wish->nodes_most = wish->nodes_least;
    if (matched < 1 || wish->nodes_least < 1 || wish->nodes_most < wish->nodes_least ||
        wish->nodes_most > WORLD_NODES_MAX)
        leave(2);
}

static void parse(struct options *o, int argc, char **argv)
{
    enum {
        SEEDS = 256,
        SEED,
        FROM,
        NODES,
        SECONDS,
        JOBS,
        JSON,
        STEPS_,
        TRACE,
        DEBUG,
        CAUGHT,
        PLANTED,
        SHRINK
    };
    static const struct option known[] = {
        { "seeds", 1, NULL, SEEDS },
        { "seed", 1, NULL, SEED },
        { "from", 1, NULL, FROM },
        { "nodes", 1, NULL, NODES },
        { "seconds", 1, NULL, SECONDS },
        { "jobs", 1, NULL, JOBS },
        { "json", 0, NULL, JSON },
        { "steps", 1, NULL, STEPS_ },
        { "trace", 0, NULL, TRACE },
        { "debug", 0, NULL, DEBUG },
        { "until-caught", 1, NULL, CAUGHT },
        { "planted", 0, NULL, PLANTED },
        { "shrink", 1, NULL, SHRINK },
        { "help", 0, NULL, 'h' },
        { 0 },
    };
    for (int c; (c = getopt_long(argc, argv, "h", known, NULL)) != -1;) {
        switch (c) {
        case SEEDS:
            o->swarm.count = number(optarg);
            break;
        case SEED:
            o->one = true;
            o->seed = number(optarg);
            break;
        case FROM:
            o->swarm.from = number(optarg);
            break;
        case NODES:
            nodes(&o->swarm.wish, optarg);
            break;
        case SECONDS:
            o->swarm.wish.seconds = (uint32_t)number(optarg);
            break;
        case JOBS:
            o->swarm.jobs = (uint32_t)number(optarg);
            break;
        case JSON:
            o->json = true;
            break;
        case STEPS_:
            o->steps = optarg;
            break;
        case TRACE:
            o->trace = true;
            break;
        case DEBUG:
            o->debug = true;
            break;
        case CAUGHT:
            o->until_caught = o->swarm.stop_at_first = true;
            o->swarm.count = number(optarg);
            break;
        case PLANTED:
            o->planted = true;
            break;
        case SHRINK:
            o->shrink_seconds = (uint32_t)number(optarg);
            break;
        default:
            leave(c == 'h' ? 0 : 2);
        }
    }
    if (optind < argc || o->swarm.jobs < 1 || o->swarm.jobs > WORKERS_MAX ||
        o->swarm.wish.seconds == 0)
        leave(2);
}

/* Only these steps. */
static void leave_out(const struct plan *plan, const char *steps, bool *without)
{
    memset(without, 1, plan->step_count);
    while (*steps && strcmp(steps, "none") != 0) {
        char *end;
        unsigned long step = strtoul(steps, &end, 10);
        if (end == steps || step >= plan->step_count)
            leave(2);
        without[step] = false;
        steps = *end == ',' ? end + 1 : end;
    }
}

static int run_one(const struct options *o, struct plan *plan)
{
    static bool without[PLAN_STEPS_MAX];
    struct run_options options = { .trace = o->trace };
    struct run_result result;
    plan_draw(plan, o->seed, &o->swarm.wish);
    if (!o->json)
        plan_print(stdout, plan);
    if (o->steps) {
        leave_out(plan, o->steps, without);
        options.without = without;
    }
    if (o->debug)
        run_plan(plan, &options, &result);
    else
        run_apart(plan, &options, &result, NULL);
    report_one(stdout, plan, &result, o->json);
    return result.verdict.failed;
}

/* What is left of the plan, and how it goes. */
static void explain(const struct options *o, const struct failure *f, struct plan *plan)
{
    static bool without[PLAN_STEPS_MAX];
    struct run_options options = { .without = without, .trace = true };
    struct run_result result;
    FILE *trace = tmpfile();
    plan_draw(plan, f->seed, &o->swarm.wish);
    plan_print(stdout, plan);
    uint32_t stay = shrink_plan(plan, &f->verdict, without, o->shrink_seconds);
    printf("%u of %u steps are enough; again: swarm --seed %" PRIu64, stay, plan->step_count,
           f->seed);
    report_wish(stdout, &o->swarm.wish);
    report_steps(stdout, plan, without);
    INVARIANT(trace);
    run_apart(plan, &options, &result, trace);
    printf("%s: %s\n", result.verdict.rule, result.verdict.text);
    report_tail(stdout, trace, TRACE_LINES);
    fclose(trace);
}

static int run_many(struct options *o, struct plan *plan)
{
    swarm_run(&o->swarm);
    if (o->json)
        report_json(stdout, &o->swarm);
    else
        report_text(stdout, &o->swarm);
    if (o->until_caught) {
        if (!o->json && o->swarm.failures)
            printf("caught by %s, %" PRIu64 " seeds\n", o->swarm.failure[0].verdict.rule,
                   o->swarm.failure[0].seed - o->swarm.from + 1);
        return o->swarm.failures == 0;
    }
    for (uint32_t i = 0; i < o->swarm.failures && i < SHRUNK_MOST; i++) {
        if (!o->json && o->shrink_seconds > 0)
            explain(o, &o->swarm.failure[i], plan);
    }
    return o->swarm.failures > 0;
}

int main(int argc, char **argv)
{
    static struct plan plan;
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    struct options o = {
        .swarm = { .wish = { 2, 9, 60 },
                   .from = 1,
                   .count = 100,
                   .jobs = processors > 0 ? min_u32((uint32_t)processors, WORKERS_MAX) : 1 },
        .shrink_seconds = 30,
    };
    parse(&o, argc, argv);
    if (o.planted)
        return planted_run(PLANTED_SEEDS, (int)o.swarm.jobs, o.json);
    return o.one ? run_one(&o, &plan) : run_many(&o, &plan);
}
