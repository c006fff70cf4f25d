/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * race.c - the race for the descriptor (F2 to F4): a consumer that polls and dispatches one event a
 * wake, as pacemaker's main loop does, against producers at random pace.
 *
 *   race SECONDS SEED PID RUNTIME_DIR...
 *
 * A producer process at each of these services; at the first of them the consumer, and a thread
 * that sends on its handle. PID is that service: it and the consumer are stopped for moments at any
 * instruction, by a process that does nothing else, every other second.
 *
 * Time goes in rounds. In a round a random choice of producers sends a few messages in bursts and
 * with gaps of 0 to 3 ms; then all are quiet until the consumer has everything and is back in its
 * poll. What must hold:
 *
 *   no stale readiness   (F3) when poll says POLLIN, somebody has begun to send a message that has
 *                        not come yet; and nobody is in a dispatch while all is quiet and received
 *   no lost readiness    (F4) everything is received in every round, though nothing but poll wakes
 *   level                (F2) between two dispatches the descriptor is readable while events wait,
 *                        and not when none does
 *
 * Nothing is judged by how long it took: a dispatch that waits while all is quiet would wait for
 * ever, so the deadline is far away and only a failure reaches it.
 */
#include <corosync/cpg.h>

#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    PRODUCERS_MAX = 8,
    BURST_MAX = 24,
    BURSTS_MAX = 3,
    GAP_US_MAX = 3000,
    LARGE_BYTES = 120000,
    LARGE_ONE_IN = 400,
    STUCK_SECONDS_MAX = 20,
    JOLT_PAUSE_US_MAX = 700,
    JOLT_US_MAX = 250,
    NS_A_MS = 1000000,
};
#define NS_A_SECOND UINT64_C(1000000000)

enum where { ELSEWHERE, IN_POLL, IN_DISPATCH };

struct producer {
    sem_t go;
    uint64_t seed;
    cpg_handle_t handle;
    const char *runtime_dir; /* NULL: sends on the consumer's handle */
};

/* Shared by the processes. */
struct race {
    sem_t done; /* by a producer, once a round */
    _Atomic uint64_t begun, received;
    _Atomic bool over;
    _Atomic int ready;
    _Atomic int where; /* the consumer's */
    _Atomic uint64_t where_since_ns, dispatches, longest_ns, level_checks, jolts;
    int producer_count;
    struct producer producer[PRODUCERS_MAX];
};

static const struct cpg_name group = { .length = 4, .value = "race" };

static uint64_t now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * NS_A_SECOND + (uint64_t)ts.tv_nsec;
}

static void nap_us(uint32_t us)
{
    if (us > 0)
        nanosleep(&(struct timespec){ .tv_nsec = us * 1000L }, NULL);
}

static uint32_t draw(uint64_t *seed, uint32_t below)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((*seed >> 33) % below);
}

__attribute__((format(printf, 1, 2), noreturn)) static void fail(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    _exit(1);
}

static void must(cs_error_t error, const char *what)
{
    if (error != CS_OK)
        fail("%s: %d", what, (int)error);
}

/* Producers */

static void send_one(struct race *race, struct producer *p)
{
    static const uint8_t bytes[LARGE_BYTES];
    bool large = draw(&p->seed, LARGE_ONE_IN) == 0;
    struct iovec iov = { (void *)(uintptr_t)bytes, large ? LARGE_BYTES : 1 + draw(&p->seed, 60) };
    cs_error_t error;
    atomic_fetch_add(&race->begun, 1);
    while ((error = cpg_mcast_joined(p->handle, CPG_TYPE_AGREED, &iov, 1)) == CS_ERR_TRY_AGAIN)
        nap_us(50);
    must(error, "cpg_mcast_joined");
}

static void produce_round(struct race *race, struct producer *p)
{
    for (uint32_t bursts = 1 + draw(&p->seed, BURSTS_MAX); bursts > 0; bursts--) {
        for (uint32_t n = 1 + draw(&p->seed, draw(&p->seed, 4) ? 3 : BURST_MAX); n > 0; n--) {
            send_one(race, p);
            if (draw(&p->seed, 4) == 0)
                nap_us(draw(&p->seed, 60));
        }
        if (bursts > 1)
            nap_us(draw(&p->seed, 3) ? draw(&p->seed, 200) : draw(&p->seed, GAP_US_MAX));
    }
}

static void *produce_run(void *argument)
{
    struct race *race = ((void **)argument)[0];
    struct producer *p = ((void **)argument)[1];
    for (;;) {
        while (sem_wait(&p->go) != 0)
            continue;
        if (atomic_load(&race->over))
            return NULL;
        produce_round(race, p);
        sem_post(&race->done);
    }
}

/* Takes what comes to it, which nobody looks at. */
static void *drain_run(void *argument)
{
    cpg_handle_t *handle = argument;
    cpg_dispatch(*handle, CS_DISPATCH_BLOCKING);
    return NULL;
}

static void open_and_join(cpg_handle_t *handle, cpg_callbacks_t *callbacks, void *context)
{
    cs_error_t error;
    must(cpg_initialize(handle, callbacks), "cpg_initialize");
    must(cpg_context_set(*handle, context), "cpg_context_set");
    while ((error = cpg_join(*handle, &group)) == CS_ERR_TRY_AGAIN)
        nap_us(1000);
    must(error, "cpg_join");
}

static void producer_main(struct race *race, struct producer *p)
{
    pthread_t drain;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    setenv("SYNCHROTRON_RUNTIME_DIR", p->runtime_dir, 1);
    open_and_join(&p->handle, NULL, NULL);
    if (pthread_create(&drain, NULL, drain_run, &p->handle) != 0)
        fail("pthread_create");
    atomic_fetch_add(&race->ready, 1);
    produce_run((void *[]){ race, p });
    cpg_finalize(p->handle);
    pthread_join(drain, NULL);
    exit(0);
}

/* What the scheduler does to everybody now and then, often: between two instructions there is time
 * for all that the other side may do. */
static void jolt_main(struct race *race, uint64_t seed, pid_t service, pid_t consumer)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    while (!atomic_load(&race->over)) {
        pid_t victim = draw(&seed, 3) ? service : consumer;
        nap_us(draw(&seed, JOLT_PAUSE_US_MAX));
        if (now_ns() / NS_A_SECOND % 2 == 0)
            continue;
        kill(victim, SIGSTOP);
        nap_us(draw(&seed, JOLT_US_MAX));
        kill(victim, SIGCONT);
        atomic_fetch_add(&race->jolts, 1);
    }
    _exit(0);
}

/* The consumer */

struct consumer {
    struct race *race;
    cpg_handle_t handle;
    struct pollfd pollfd;
    uint64_t seed;
    size_t members;
};

static void on_message(cpg_handle_t handle, const struct cpg_name *name, uint32_t nodeid,
                       uint32_t pid, void *msg, size_t bytes)
{
    struct consumer *c = NULL;
    (void)name, (void)nodeid, (void)pid, (void)msg, (void)bytes;
    must(cpg_context_get(handle, (void **)&c), "cpg_context_get");
    atomic_fetch_add(&c->race->received, 1);
}

static void on_view(cpg_handle_t handle, const struct cpg_name *name,
                    const struct cpg_address *member, size_t members,
                    const struct cpg_address *left, size_t left_count,
                    const struct cpg_address *joined, size_t joined_count)
{
    struct consumer *c = NULL;
    (void)name, (void)member, (void)left, (void)left_count, (void)joined, (void)joined_count;
    must(cpg_context_get(handle, (void **)&c), "cpg_context_get");
    c->members = members;
}

static void is_now(struct race *race, enum where where)
{
    atomic_store(&race->where, ELSEWHERE);
    atomic_store(&race->where_since_ns, now_ns());
    atomic_store(&race->where, where);
}

static bool poll_says(struct consumer *c, int timeout_ms)
{
    c->pollfd.revents = 0;
    if (poll(&c->pollfd, 1, timeout_ms) < 0)
        fail("poll");
    if (c->pollfd.revents & ~POLLIN)
        fail("F5: revents %#x though the service is there", (unsigned)c->pollfd.revents);
    return c->pollfd.revents & POLLIN;
}

/* F3: nothing can wait when everything that anybody has begun to send has come. */
static void judge_readiness(const struct race *race)
{
    uint64_t received = atomic_load(&race->received), begun = atomic_load(&race->begun);
    if (received == begun)
        fail("F3: readable with nothing to come: %" PRIu64 " messages sent and received", begun);
}

static void dispatch(struct consumer *c)
{
    struct race *race = c->race;
    uint32_t kind = draw(&c->seed, 16);
    cs_dispatch_flags_t mode = kind > 1    ? CS_DISPATCH_ONE
                               : kind == 1 ? CS_DISPATCH_ONE_NONBLOCKING
                                           : CS_DISPATCH_ALL;
    uint64_t before = atomic_load(&race->received);
    is_now(race, IN_DISPATCH);
    must(cpg_dispatch(c->handle, mode), "F3: cpg_dispatch of a readable handle");
    uint64_t took_ns = now_ns() - atomic_load(&race->where_since_ns);
    is_now(race, ELSEWHERE);
    uint64_t got = atomic_load(&race->received) - before;
    if (mode == CS_DISPATCH_ALL ? got == 0 : got != 1)
        fail("X3: %" PRIu64 " messages by one dispatch in mode %d", got, (int)mode);
    atomic_fetch_add(&race->dispatches, 1);
    if (took_ns > atomic_load(&race->longest_ns))
        atomic_store(&race->longest_ns, took_ns);
}

static void *consume_run(void *argument)
{
    struct consumer *c = argument;
    while (!atomic_load(&c->race->over)) {
        is_now(c->race, IN_POLL);
        bool readable = poll_says(c, 100);
        is_now(c->race, ELSEWHERE);
        if (!readable || atomic_load(&c->race->over)) /* at the end producers leave: a view */
            continue;
        judge_readiness(c->race);
        if (draw(&c->seed, 8) == 0)
            nap_us(draw(&c->seed, 150));
        dispatch(c);
    }
    return NULL;
}

/* The watchdog: after each round, all is quiet. */

static void watch(struct race *race)
{
    uint64_t deadline_ns = now_ns() + STUCK_SECONDS_MAX * NS_A_SECOND;
    uint64_t begun = atomic_load(&race->begun);
    while (atomic_load(&race->received) < begun || atomic_load(&race->where) != IN_POLL) {
        if (now_ns() < deadline_ns) {
            nap_us(20);
            continue;
        }
        uint64_t received = atomic_load(&race->received);
        if (atomic_load(&race->where) == IN_DISPATCH)
            fail("F3: a dispatch of a readable handle waits since %" PRIu64
                 " ms while nothing comes: %" PRIu64 " of %" PRIu64 " messages received",
                 (now_ns() - atomic_load(&race->where_since_ns)) / NS_A_MS, received, begun);
        fail("F4: %" PRIu64 " of %" PRIu64 " messages received, and the descriptor is not readable",
             received, begun);
    }
}

/* F2, with the consumer standing aside: so many dispatches, so many times readable. */
static void judge_level(struct consumer *c, struct producer *p)
{
    struct race *race = c->race;
    uint32_t count = 1 + draw(&c->seed, BURST_MAX);
    for (uint32_t i = 0; i < count; i++)
        send_one(race, p);
    for (uint32_t i = 0; i < count; i++) {
        if (!poll_says(c, STUCK_SECONDS_MAX * 1000))
            fail("F2: message %" PRIu32 " of %" PRIu32 " waits and nothing is readable", i, count);
        is_now(race, IN_DISPATCH);
        must(cpg_dispatch(c->handle, CS_DISPATCH_ONE), "cpg_dispatch");
        is_now(race, ELSEWHERE);
    }
    if (atomic_load(&race->received) != atomic_load(&race->begun))
        fail("X3: %" PRIu32 " dispatches of one each have not taken %" PRIu32 " messages", count,
             count);
    if (poll_says(c, (int)draw(&c->seed, 3)))
        fail("F2: readable with nothing waiting");
    atomic_fetch_add(&race->level_checks, count);
}

/* So long do rounds go on. How many there were. */
static uint64_t run_rounds(struct race *race, uint64_t seconds, uint64_t *seed)
{
    uint64_t rounds = 0, end_ns = now_ns() + seconds * NS_A_SECOND;
    for (; now_ns() < end_ns; rounds++) {
        uint32_t all = (1u << race->producer_count) - 1, chosen = 0;
        chosen = 1 + draw(seed, all);
        for (int i = 0; i < race->producer_count; i++)
            if (chosen & 1u << i)
                sem_post(&race->producer[i].go);
        for (int i = 0; i < race->producer_count; i++)
            while (chosen & 1u << i && sem_wait(&race->done) != 0)
                continue;
        watch(race);
        nap_us(draw(seed, 4) ? 0 : draw(seed, GAP_US_MAX));
    }
    return rounds;
}

static void start_consumer(struct consumer *c, const char *runtime_dir)
{
    cpg_callbacks_t callbacks = { .cpg_deliver_fn = on_message, .cpg_confchg_fn = on_view };
    struct race *race = c->race;
    setenv("SYNCHROTRON_RUNTIME_DIR", runtime_dir, 1);
    open_and_join(&c->handle, &callbacks, c);
    must(cpg_fd_get(c->handle, &c->pollfd.fd), "cpg_fd_get");
    c->pollfd.events = POLLIN;
    while (c->members < (size_t)race->producer_count) /* we are one, and its thread is none */
        must(cpg_dispatch(c->handle, CS_DISPATCH_ONE), "cpg_dispatch");
    if (poll_says(c, 50))
        fail("F2: readable with no event left");
}

static int end_all(struct race *race, const pid_t *pids, int count)
{
    int failed = 0;
    atomic_store(&race->over, true);
    for (int i = 0; i < race->producer_count; i++)
        sem_post(&race->producer[i].go);
    for (int i = 0; i < count; i++) {
        int status = -1;
        waitpid(pids[i], &status, 0);
        failed += status != 0;
    }
    return failed;
}

static struct race *race_create(uint64_t seed, char **dirs, int dir_count)
{
    struct race *race =
        mmap(NULL, sizeof(*race), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (race == MAP_FAILED || dir_count < 1 || dir_count >= PRODUCERS_MAX)
        fail("race SECONDS SEED PID RUNTIME_DIR...");
    race->producer_count = dir_count + 1;
    sem_init(&race->done, 1, 0);
    for (int i = 0; i < race->producer_count; i++) {
        struct producer *p = &race->producer[i];
        sem_init(&p->go, 1, 0);
        p->seed = seed * 31 + (uint64_t)i;
        p->runtime_dir = i < dir_count ? dirs[i] : NULL;
    }
    return race;
}

static int start_processes(struct race *race, uint64_t seed, pid_t service, pid_t *pids)
{
    int count = 0;
    pid_t consumer = getpid();
    for (; count < race->producer_count - 1; count++)
        if ((pids[count] = fork()) == 0)
            producer_main(race, &race->producer[count]);
    if ((pids[count++] = fork()) == 0)
        jolt_main(race, seed, service, consumer);
    while (atomic_load(&race->ready) < race->producer_count - 1)
        nap_us(1000);
    return count;
}

static void report(struct race *race, uint64_t rounds)
{
    printf("{\"rounds\":%" PRIu64 ",\"messages\":%" PRIu64 ",\"dispatches\":%" PRIu64
           ",\"longest_us\":%" PRIu64 ",\"level_checks\":%" PRIu64 ",\"jolts\":%" PRIu64 "}\n",
           rounds, atomic_load(&race->received), atomic_load(&race->dispatches),
           atomic_load(&race->longest_ns) / 1000, atomic_load(&race->level_checks),
           atomic_load(&race->jolts));
}

int main(int argc, char **argv)
{
    uint64_t seconds = argc > 4 ? strtoull(argv[1], NULL, 10) : 0;
    uint64_t seed = argc > 4 ? strtoull(argv[2], NULL, 10) : 0;
    struct race *race = race_create(seed, argv + 4, argc - 4);
    pid_t pids[PRODUCERS_MAX];
    int processes = start_processes(race, seed, atoi(argv[3]), pids);

    struct consumer c = { .race = race, .seed = seed };
    struct producer *own = &race->producer[race->producer_count - 1];
    pthread_t consumer, sender;
    start_consumer(&c, race->producer[0].runtime_dir);
    own->handle = c.handle;
    for (int i = 0; i < 50; i++)
        judge_level(&c, own);
    pthread_create(&sender, NULL, produce_run, (void *[]){ race, own });
    pthread_create(&consumer, NULL, consume_run, &c);
    uint64_t rounds = run_rounds(race, seconds, &seed);
    int failed = end_all(race, pids, processes);
    pthread_join(sender, NULL);
    pthread_join(consumer, NULL);
    must(cpg_finalize(c.handle), "cpg_finalize");
    report(race, rounds);
    return failed != 0;
}
