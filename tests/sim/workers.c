/* SPDX-License-Identifier: BSD-3-Clause */
#include "workers.h"

#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    SEED_SECONDS_MOST = 300, /* of wall clock: then it hangs */
    LOOK_NS = 5 * 1000 * 1000,
};

/* What a worker writes and its parent reads. */
struct slot {
    pid_t pid;
    FILE *errors; /* what it says before it dies */
    uint64_t seed;
    _Atomic double since_s; /* when it began with that; 0: it has not */
    bool failed;            /* result holds a failure that the parent has not seen */
    struct run_result result;
    struct run_stats sum;
};

struct board {
    _Atomic uint64_t next; /* seed */
    _Atomic bool stop;
    struct slot slot[WORKERS_MAX];
};

static double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void *shared(size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    INVARIANT(memory != MAP_FAILED);
    return memory;
}

/* Memory once had is kept: nodes that come and go cost no page faults. */
static void keep_memory(void)
{
    mallopt(M_MMAP_THRESHOLD, 1 << 30);
    mallopt(M_TRIM_THRESHOLD, 1 << 30);
}

/* What this child ran counts, too, where that is counted. */
void __gcov_dump(void) __attribute__((weak));

static void __attribute__((noreturn)) end_child(void)
{
    if (__gcov_dump)
        __gcov_dump();
    _exit(0);
}

static void work(const struct swarm *swarm, struct board *board, struct slot *slot)
{
    struct plan *plan = malloc(sizeof(*plan));
    struct run_options options = { 0 };
    INVARIANT(plan);
    keep_memory();
    dup2(fileno(slot->errors), STDERR_FILENO);
    while (!board->stop) {
        uint64_t seed = atomic_fetch_add(&board->next, 1);
        if (seed >= swarm->from + swarm->count)
            break;
        (void)!ftruncate(STDERR_FILENO, 0);
        slot->seed = seed;
        slot->since_s = now_s();
        plan_draw(plan, seed, &swarm->wish);
        run_plan(plan, &options, &slot->result);
        run_stats_add(&slot->sum, &slot->result.stats);
        slot->failed = slot->result.verdict.failed;
        slot->since_s = 0;
        if (slot->failed)
            break; /* the parent takes it from here */
    }
    end_child();
}

static void hire(const struct swarm *swarm, struct board *board, struct slot *slot)
{
    slot->failed = false;
    slot->since_s = 0;
    fflush(NULL);
    pid_t pid = fork();
    INVARIANT(pid >= 0);
    if (pid == 0)
        work(swarm, board, slot);
    slot->pid = pid; /* the slot is shared: only the parent writes this */
}

/* The first line in which somebody says why. */
static void last_words(FILE *errors, char *text, size_t bytes)
{
    static const char *const signs[] = { "invariant broken", "ERROR", "runtime error", "abort" };
    char line[384];
    text[0] = 0;
    rewind(errors);
    while (fgets(line, sizeof(line), errors)) {
        line[strcspn(line, "\n")] = 0;
        for (size_t i = 0; i < ARRAY_COUNT(signs); i++) {
            if (strstr(line, signs[i])) {
                snprintf(text, bytes, "%s", line);
                return;
            }
        }
    }
}

/* A process ended otherwise than by itself: that is a verdict, too. */
static void judge_death(int status, FILE *errors, struct verdict *v)
{
    char words[400];
    last_words(errors, words, sizeof(words));
    const char *rule = strstr(words, "invariant broken") ? "INVARIANT" : "crash";
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
        verdict_broken(v, "hang", "no end after %d s", SEED_SECONDS_MOST);
    else if (WIFSIGNALED(status))
        verdict_broken(v, rule, "%s: %s", words, strsignal(WTERMSIG(status)));
    else if (WEXITSTATUS(status) != 0)
        verdict_broken(v, rule, "%s: exit status %d", words, WEXITSTATUS(status));
}

static void note(struct swarm *swarm, struct board *board, uint64_t seed, const struct verdict *v)
{
    if (swarm->failures < FAILURES_MAX)
        swarm->failure[swarm->failures] = (struct failure){ .seed = seed, .verdict = *v };
    swarm->failures++;
    if (swarm->stop_at_first)
        board->stop = true;
}

/* True: it may be hired again. */
static bool bury(struct swarm *swarm, struct board *board, struct slot *slot, int status)
{
    struct verdict verdict = { 0 };
    slot->pid = 0;
    if (slot->failed)
        verdict = slot->result.verdict;
    else
        judge_death(status, slot->errors, &verdict);
    if (verdict.failed)
        note(swarm, board, slot->seed, &verdict);
    return verdict.failed && !board->stop && board->next < swarm->from + swarm->count;
}

static bool all_gone(struct swarm *swarm, struct board *board)
{
    bool some = false;
    for (uint32_t i = 0; i < swarm->jobs; i++) {
        struct slot *slot = &board->slot[i];
        int status;
        if (!slot->pid)
            continue;
        double since_s = slot->since_s; /* once: the seed may end between two looks */
        if (since_s > 0 && now_s() - since_s > SEED_SECONDS_MOST)
            kill(slot->pid, SIGKILL);
        if (waitpid(slot->pid, &status, WNOHANG) == slot->pid && bury(swarm, board, slot, status))
            hire(swarm, board, slot);
        some = some || slot->pid;
    }
    return !some;
}

static int by_seed(const void *a, const void *b)
{
    const struct failure *x = a, *y = b;
    return x->seed < y->seed ? -1 : x->seed > y->seed;
}

void swarm_run(struct swarm *swarm)
{
    struct board *board = shared(sizeof(*board));
    double begin_s = now_s();
    board->next = swarm->from;
    for (uint32_t i = 0; i < swarm->jobs; i++) {
        board->slot[i].errors = tmpfile();
        INVARIANT(board->slot[i].errors);
        hire(swarm, board, &board->slot[i]);
    }
    while (!all_gone(swarm, board))
        nanosleep(&(struct timespec){ .tv_nsec = LOOK_NS }, NULL);
    for (uint32_t i = 0; i < swarm->jobs; i++) {
        run_stats_add(&swarm->stats, &board->slot[i].sum);
        fclose(board->slot[i].errors);
    }
    qsort(swarm->failure, min_u32(swarm->failures, FAILURES_MAX), sizeof(swarm->failure[0]),
          by_seed);
    swarm->wall_s = now_s() - begin_s;
    munmap(board, sizeof(*board));
}

void run_apart(const struct plan *plan, const struct run_options *options,
               struct run_result *result, FILE *output)
{
    struct run_result *out = shared(sizeof(*out));
    FILE *errors = tmpfile();
    int status;
    INVARIANT(errors);
    fflush(NULL);
    pid_t pid = fork();
    INVARIANT(pid >= 0);
    if (pid == 0) {
        dup2(fileno(errors), STDERR_FILENO);
        if (output)
            dup2(fileno(output), STDOUT_FILENO);
        setvbuf(stdout, NULL, _IOLBF, 0); /* all of it is wanted when it crashes */
        alarm(SEED_SECONDS_MOST);
        run_plan(plan, options, out);
        fflush(stdout);
        end_child();
    }
    while (waitpid(pid, &status, 0) < 0)
        INVARIANT(errno == EINTR);
    *result = *out;
    judge_death(status, errors, &result->verdict);
    fclose(errors);
    munmap(out, sizeof(*out));
}
