/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cpg_race.c - the library under many threads, with the fake service as the other end.
 *
 *   descriptor  F2, F3, F4: a producer at random pace, a consumer that polls and dispatches ONE:
 *               every readiness has an event behind it, and every event becomes readable
 *   senders     H5, D2: several threads send on one handle while one dispatches
 *   dispatchers H6: several threads dispatch one handle: callbacks never overlap, none is lost
 *   endings     X8: handles are finalized while threads dispatch, send and ask
 *
 * Argument: seconds for the descriptor's part, 5 by default.
 */
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "fake.h"
#include "recorder.h"

enum { SENDERS = 3, SENT_EACH = 3000, DISPATCHERS = 4, ENDINGS = 300 };

static uint64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void pause_us(unsigned us)
{
    nanosleep(&(struct timespec){ .tv_nsec = us * 1000L }, NULL);
}

/* descriptor */

static struct fake *fake;
static _Atomic uint64_t produced;
static _Atomic bool stop;
static uint64_t consumed;

static void consume(cpg_handle_t handle, const struct cpg_name *group, uint32_t nodeid,
                    uint32_t pid, void *msg, size_t bytes)
{
    uint64_t number;
    INVARIANT(bytes == sizeof(number));
    memcpy(&number, msg, sizeof(number));
    INVARIANT(number == consumed);
    consumed++;
}

static void *produce(void *arg)
{
    unsigned seed = 4;
    while (!stop) {
        uint64_t number = produced;
        if (fake_inject(fake, 0, &number, sizeof(number)))
            produced++;
        unsigned pick = (unsigned)rand_r(&seed) % 100;
        if (pick < 30)
            pause_us(pick * 3);
        else if (pick < 40)
            sched_yield();
    }
    return NULL;
}

/* Poll and dispatch ONE; the watchdog is alarm(): a false POLLIN would block for ever. */
static int descriptor(unsigned seconds)
{
    pthread_t thread;
    cpg_handle_t h;
    cpg_callbacks_t callbacks = { .cpg_deliver_fn = consume };
    struct pollfd p = { .events = POLLIN };
    uint64_t end = now_us() + seconds * 1000000ull, longest = 0;
    fake = fake_start();
    INVARIANT(cpg_initialize(&h, &callbacks) == CS_OK);
    INVARIANT(cpg_fd_get(h, &p.fd) == CS_OK);
    pthread_create(&thread, NULL, produce, NULL);
    while (now_us() < end) {
        if (poll(&p, 1, 2000) == 0) {
            INVARIANT(produced == consumed); /* F4: nothing is waiting unseen */
            continue;
        }
        uint64_t before = consumed, start = now_us();
        INVARIANT(cpg_dispatch(h, CS_DISPATCH_ONE) == CS_OK);
        uint64_t took = now_us() - start;
        longest = took > longest ? took : longest;
        INVARIANT(consumed == before + 1);
    }
    stop = true;
    pthread_join(thread, NULL);
    while (consumed < produced) {
        INVARIANT(poll(&p, 1, 5000) == 1);
        INVARIANT(cpg_dispatch(h, CS_DISPATCH_ONE) == CS_OK);
    }
    INVARIANT(poll(&p, 1, 20) == 0);
    printf("descriptor: %llu events, longest dispatch %llu us, %u kicks\n",
           (unsigned long long)consumed, (unsigned long long)longest,
           fake_requests(fake, CTL_KICK));
    INVARIANT(cpg_finalize(h) == CS_OK);
    fake_stop(fake);
    return 0;
}

/* senders */

struct sender {
    pthread_t thread;
    cpg_handle_t handle;
    uint32_t number, next;
};

static struct sender sender[SENDERS];
static int received;

static void take_in_order(cpg_handle_t handle, const struct cpg_name *group, uint32_t nodeid,
                          uint32_t pid, void *msg, size_t bytes)
{
    uint32_t stamp[2];
    memcpy(stamp, msg, sizeof(stamp));
    INVARIANT(stamp[0] < SENDERS && sender[stamp[0]].next == stamp[1]);
    for (size_t i = sizeof(stamp); i < bytes; i++)
        INVARIANT(((uint8_t *)msg)[i] == (uint8_t)stamp[1]);
    sender[stamp[0]].next++;
    received++;
}

static void *send_numbers(void *arg)
{
    static uint8_t body[SENDERS][4000];
    struct sender *s = arg;
    for (uint32_t i = 0; i < SENT_EACH; i++) {
        uint32_t stamp[2] = { s->number, i };
        memset(body[s->number], (int)i, sizeof(body[0]));
        struct iovec iov[2] = { { stamp, sizeof(stamp) }, { body[s->number], i % 4000 } };
        cs_error_t error;
        while ((error = cpg_mcast_joined(s->handle, CPG_TYPE_AGREED, iov, 2)) == CS_ERR_TRY_AGAIN)
            pause_us(50);
        INVARIANT(error == CS_OK);
    }
    return NULL;
}

static int senders(void)
{
    cpg_handle_t h;
    struct cpg_name group = name_of("g");
    cpg_callbacks_t callbacks = { .cpg_deliver_fn = take_in_order };
    fake = fake_start();
    INVARIANT(cpg_initialize(&h, &callbacks) == CS_OK);
    INVARIANT(cpg_join(h, &group) == CS_OK);
    for (uint32_t i = 0; i < SENDERS; i++) {
        sender[i].handle = h;
        sender[i].number = i;
        pthread_create(&sender[i].thread, NULL, send_numbers, &sender[i]);
    }
    while (received < SENDERS * SENT_EACH)
        INVARIANT(cpg_dispatch(h, CS_DISPATCH_ONE) == CS_OK);
    for (uint32_t i = 0; i < SENDERS; i++)
        pthread_join(sender[i].thread, NULL);
    INVARIANT(fake_offences(fake) == 0);
    INVARIANT(cpg_finalize(h) == CS_OK);
    printf("senders: %d messages\n", received);
    fake_stop(fake);
    return 0;
}

/* dispatchers */

static _Atomic int inside, handled;
static int unguarded; /* the thread sanitizer sees callbacks that overlap here */

static void alone(cpg_handle_t handle, const struct cpg_name *group, uint32_t nodeid, uint32_t pid,
                  void *msg, size_t bytes)
{
    INVARIANT(atomic_fetch_add(&inside, 1) == 0);
    unguarded++;
    atomic_fetch_sub(&inside, 1);
    handled++;
}

static void *dispatch_some(void *arg)
{
    cpg_handle_t h = *(cpg_handle_t *)arg;
    unsigned seed = (unsigned)(uintptr_t)&seed;
    cs_error_t error = CS_OK;
    while (error == CS_OK || error == CS_ERR_TRY_AGAIN)
        error = cpg_dispatch(h, (cs_dispatch_flags_t)(1 + (unsigned)rand_r(&seed) % 4));
    INVARIANT(error == CS_ERR_BAD_HANDLE);
    return NULL;
}

static int dispatchers(void)
{
    enum { COUNT = 5000 };
    cpg_handle_t h;
    pthread_t thread[DISPATCHERS];
    struct cpg_name group = name_of("g");
    cpg_callbacks_t callbacks = { .cpg_deliver_fn = alone };
    fake = fake_start();
    INVARIANT(cpg_initialize(&h, &callbacks) == CS_OK);
    INVARIANT(cpg_join(h, &group) == CS_OK);
    for (int i = 0; i < DISPATCHERS; i++)
        pthread_create(&thread[i], NULL, dispatch_some, &h);
    for (int sent = 0; sent < COUNT;) {
        if (send_text(h, "x") == CS_OK)
            sent++;
        else
            pause_us(20);
    }
    uint64_t end = now_us() + 60 * 1000000ull;
    while (handled < COUNT && now_us() < end)
        pause_us(200);
    INVARIANT(handled == COUNT && unguarded == COUNT);
    INVARIANT(cpg_finalize(h) == CS_OK);
    for (int i = 0; i < DISPATCHERS; i++)
        pthread_join(thread[i], NULL);
    printf("dispatchers: %d messages\n", COUNT);
    fake_stop(fake);
    return 0;
}

/* endings */

static void *ask_things(void *arg)
{
    cpg_handle_t h = *(cpg_handle_t *)arg;
    struct cpg_name group = name_of("g");
    struct cpg_address list[CPG_MEMBERS_MAX];
    cpg_iteration_handle_t it;
    struct cpg_iteration_description_t d;
    int count;
    while (cpg_membership_get(h, &group, list, &count) == CS_OK) {
        if (cpg_iteration_initialize(h, CPG_ITERATION_ALL, NULL, &it) != CS_OK)
            break;
        cpg_iteration_next(it, &d);
        if (count % 2)
            cpg_iteration_finalize(it);
    }
    return NULL;
}

static void *send_on(void *arg)
{
    cpg_handle_t h = *(cpg_handle_t *)arg;
    cs_error_t error = CS_OK;
    void *buffer;
    while (error == CS_OK || error == CS_ERR_TRY_AGAIN) {
        error = send_text(h, "until the end");
        if (error == CS_OK && cpg_zcb_alloc(h, 100, &buffer) == CS_OK)
            cpg_zcb_free(h, buffer);
    }
    INVARIANT(error == CS_ERR_BAD_HANDLE || error == CS_ERR_NOT_EXIST);
    return NULL;
}

static int endings(void)
{
    struct cpg_name group = name_of("g");
    cpg_callbacks_t callbacks = { .cpg_deliver_fn = alone };
    fake = fake_start();
    for (int i = 0; i < ENDINGS; i++) {
        cpg_handle_t h;
        pthread_t thread[4];
        INVARIANT(cpg_initialize(&h, &callbacks) == CS_OK);
        INVARIANT(cpg_join(h, &group) == CS_OK);
        pthread_create(&thread[0], NULL, dispatch_some, &h);
        pthread_create(&thread[1], NULL, dispatch_some, &h);
        pthread_create(&thread[2], NULL, ask_things, &h);
        pthread_create(&thread[3], NULL, send_on, &h);
        pause_us((unsigned)i * 7 % 900);
        INVARIANT(cpg_finalize(h) == CS_OK);
        for (int t = 0; t < 4; t++)
            pthread_join(thread[t], NULL);
    }
    INVARIANT(fake_connections(fake) == 0);
    INVARIANT(fake_offences(fake) == 0);
    printf("endings: %d handles\n", ENDINGS);
    fake_stop(fake);
    return 0;
}

int main(int argc, char **argv)
{
    unsigned seconds = argc > 1 ? (unsigned)atoi(argv[1]) : 5;
    setvbuf(stdout, NULL, _IOLBF, 0);
    alarm(seconds + 200);
    return descriptor(seconds) || senders() || dispatchers() || endings();
}
