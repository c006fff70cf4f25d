/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * threads.c - many threads on one handle, and on handles that come and go: H1, H2, H5, H6, D2.
 *
 *   threads_wait.c       waiting, and what ends it: H7, H8, H9, X8
 *   threads_callbacks.c  what callbacks may do: X2 to X7, X9
 *   threads_fork.c       processes that split: H4, F1
 */
#include "member.h"

#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { SENDERS = 8, DISPATCHERS = 4, MESSAGES = 2000, BYTES_MAX = 100000 };

struct order {
    uint32_t sender, number;
};

struct crowd {
    struct member m;
    uint32_t next[SENDERS];
    _Atomic int inside;
    _Atomic uint32_t received;
};

struct task {
    pthread_t thread;
    struct crowd *crowd;
    uint32_t number;
    cs_error_t answer;
};

static void judge_order(struct member *m, const struct seen *event, void *msg)
{
    struct crowd *crowd = m->argument;
    EXPECT(atomic_fetch_add(&crowd->inside, 1) == 0); /* H6 */
    if (event->kind == SEEN_MESSAGE) {
        struct order order;
        memcpy(&order, msg, sizeof(order));
        CHECK(order.sender < SENDERS);
        EXPECT(order.number == crowd->next[order.sender]++);
        atomic_fetch_add(&crowd->received, 1);
    }
    atomic_fetch_sub(&crowd->inside, 1);
}

static void *send_run(void *argument)
{
    struct task *t = argument;
    uint64_t seed = t->number;
    uint8_t *bytes = calloc(1, BYTES_MAX);
    CHECK(bytes);
    for (uint32_t i = 0; i < MESSAGES; i++) {
        struct order order = { .sender = t->number, .number = i };
        size_t size = sizeof(order) + probe_draw(&seed, i % 200 ? 200 : BYTES_MAX - 8);
        memcpy(bytes, &order, sizeof(order));
        CHECK(TAKEN(send_bytes(t->crowd->m.handle, bytes, size)) == CS_OK);
    }
    free(bytes);
    return NULL;
}

/* Each thread in another way, all until the handle is finalized. */
static void *dispatch_run(void *argument)
{
    static const cs_dispatch_flags_t mode[DISPATCHERS] = { CS_DISPATCH_BLOCKING, CS_DISPATCH_ONE,
                                                           CS_DISPATCH_ALL,
                                                           CS_DISPATCH_ONE_NONBLOCKING };
    struct task *t = argument;
    do {
        t->answer = cpg_dispatch(t->crowd->m.handle, mode[t->number]);
        if (t->number >= 2 && t->answer != CS_ERR_BAD_HANDLE)
            probe_nap_us(50);
    } while (t->answer == CS_OK || (t->answer == CS_ERR_TRY_AGAIN && t->number == 3));
    return NULL;
}

static void start(struct task *tasks, uint32_t count, struct crowd *crowd, void *(*run)(void *))
{
    for (uint32_t i = 0; i < count; i++) {
        tasks[i] = (struct task){ .crowd = crowd, .number = i };
        CHECK(pthread_create(&tasks[i].thread, NULL, run, &tasks[i]) == 0);
    }
}

static void join(struct task *tasks, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        CHECK(pthread_join(tasks[i].thread, NULL) == 0);
}

CASE(H5_H6_D2_eight_senders_and_four_dispatchers_on_one_handle)
{
    static struct crowd crowd;
    struct task senders[SENDERS], dispatchers[DISPATCHERS];
    member_join(&crowd.m, "eight senders");
    crowd.m.then = judge_order;
    crowd.m.argument = &crowd;
    start(dispatchers, DISPATCHERS, &crowd, dispatch_run);
    start(senders, SENDERS, &crowd, send_run);
    join(senders, SENDERS);
    WAIT_FOR(atomic_load(&crowd.received) == SENDERS * MESSAGES);
    EXPECT_CS(cpg_finalize(crowd.m.handle), CS_OK);
    join(dispatchers, DISPATCHERS);
    for (int i = 0; i < DISPATCHERS; i++)
        EXPECT_CS(dispatchers[i].answer, CS_ERR_BAD_HANDLE);
    EXPECT(atomic_load(&crowd.received) == SENDERS * MESSAGES);
}

static void *ask_run(void *argument)
{
    struct task *t = argument;
    cpg_handle_t h = t->crowd->m.handle;
    struct cpg_name name = name_of("many asking");
    for (int i = 0; i < 200; i++) {
        unsigned node = 0;
        int count = 0;
        void *buffer;
        struct cpg_address list[CPG_MEMBERS_MAX];
        struct cpg_iteration_description_t d;
        cpg_iteration_handle_t it;
        EXPECT_CS(cpg_local_get(h, &node), CS_OK);
        EXPECT(node == t->crowd->m.node);
        EXPECT_CS(cpg_membership_get(h, &name, list, &count), CS_OK);
        EXPECT(count == 1 && list[0].nodeid == node);
        CHECK(cpg_iteration_initialize(h, CPG_ITERATION_ONE_GROUP, &name, &it) == CS_OK);
        EXPECT_CS(cpg_iteration_next(it, &d), CS_OK);
        EXPECT(d.nodeid == node && d.group.length == name.length);
        EXPECT_CS(cpg_iteration_next(it, &d), CS_ERR_NO_SECTIONS);
        EXPECT_CS(cpg_iteration_finalize(it), CS_OK);
        CHECK(cpg_zcb_alloc(h, 100, &buffer) == CS_OK);
        EXPECT_CS(TAKEN(cpg_zcb_mcast_joined(h, CPG_TYPE_AGREED, buffer, 100)), CS_OK);
        EXPECT_CS(cpg_zcb_free(h, buffer), CS_OK);
    }
    return NULL;
}

CASE(H5_eight_threads_ask_on_one_handle)
{
    static struct crowd crowd;
    struct task asking[SENDERS], dispatcher[1];
    member_join(&crowd.m, "many asking");
    start(dispatcher, 1, &crowd, dispatch_run);
    start(asking, SENDERS, &crowd, ask_run);
    join(asking, SENDERS);
    WAIT_FOR(atomic_load(&crowd.m.count) == 1 + SENDERS * 200);
    EXPECT_CS(cpg_finalize(crowd.m.handle), CS_OK);
    join(dispatcher, 1);
}

/* A callback that takes its time. */
static void dally(struct member *m, const struct seen *event, void *msg)
{
    _Atomic bool *released = m->argument;
    (void)msg;
    if (event->kind == SEEN_MESSAGE)
        WAIT_FOR(atomic_load(released));
}

CASE(H5_senders_do_not_wait_for_a_callback)
{
    static struct crowd crowd;
    static _Atomic bool released;
    struct task dispatcher[1];
    member_join(&crowd.m, "slow callback");
    crowd.m.then = dally;
    crowd.m.argument = &released;
    start(dispatcher, 1, &crowd, dispatch_run);
    send_text(crowd.m.handle, "first");
    WAIT_FOR(atomic_load(&crowd.m.count) == 2);
    for (int i = 0; i < 50; i++)
        EXPECT_CS(send_bytes(crowd.m.handle, "more", 4), CS_OK);
    unsigned node;
    EXPECT_CS(cpg_local_get(crowd.m.handle, &node), CS_OK);
    EXPECT(atomic_load(&crowd.m.count) == 2);
    EXPECT_CS(cpg_dispatch(crowd.m.handle, CS_DISPATCH_ONE_NONBLOCKING), CS_ERR_TRY_AGAIN);
    atomic_store(&released, true);
    WAIT_FOR(atomic_load(&crowd.m.count) == 52);
    EXPECT_CS(cpg_finalize(crowd.m.handle), CS_OK);
    join(dispatcher, 1);
}

static void meet(struct member *m, const struct seen *event, void *msg)
{
    (void)msg;
    if (event->kind == SEEN_MESSAGE)
        pthread_barrier_wait(m->argument);
}

CASE(H6_callbacks_of_different_handles_run_at_once)
{
    static struct crowd crowd[2];
    static const char *const group[2] = { "at once a", "at once b" };
    struct task dispatcher[2];
    pthread_barrier_t barrier;
    CHECK(pthread_barrier_init(&barrier, NULL, 2) == 0);
    for (int i = 0; i < 2; i++) {
        member_join(&crowd[i].m, group[i]);
        crowd[i].m.then = meet;
        crowd[i].m.argument = &barrier;
        start(&dispatcher[i], 1, &crowd[i], dispatch_run);
        send_text(crowd[i].m.handle, "x");
    }
    for (int i = 0; i < 2; i++) {
        WAIT_FOR(atomic_load(&crowd[i].m.count) == 2);
        EXPECT_CS(cpg_finalize(crowd[i].m.handle), CS_OK);
        join(&dispatcher[i], 1);
    }
}

/* Handles that others finalize under our hands. */
struct market {
    _Atomic cpg_handle_t handle[4];
    _Atomic bool closed;
};

static bool is_among(cs_error_t answer, const cs_error_t *good)
{
    while (*good && *good != answer)
        good++;
    return *good != 0;
}

static void try_all(cpg_handle_t h)
{
    static const cs_error_t good[] = {
        CS_OK, CS_ERR_TRY_AGAIN, CS_ERR_BAD_HANDLE, CS_ERR_NOT_EXIST, CS_ERR_EXIST, 0
    };
    unsigned node;
    int fd;
    void *buffer = NULL;
    cpg_iteration_handle_t it = 0;
    struct cpg_name name = name_of("market");
    EXPECT(is_among(cpg_local_get(h, &node), good));
    EXPECT(is_among(cpg_fd_get(h, &fd), good));
    EXPECT(is_among(cpg_join(h, &name), good));
    EXPECT(is_among(send_bytes(h, "goods", 5), good));
    EXPECT(is_among(cpg_dispatch(h, CS_DISPATCH_ALL), good));
    EXPECT(is_among(cpg_zcb_alloc(h, 1000, &buffer), good));
    EXPECT(is_among(cpg_iteration_initialize(h, CPG_ITERATION_ALL, NULL, &it), good));
    EXPECT(is_among(cpg_iteration_finalize(it), good));
    EXPECT(is_among(cpg_leave(h, &name), good));
}

static void *use_run(void *argument)
{
    struct market *market = argument;
    uint64_t seed = (uintptr_t)&seed;
    while (!atomic_load(&market->closed))
        try_all(atomic_load(&market->handle[probe_draw(&seed, 4)]));
    return NULL;
}

CASE(H2_H5_handles_are_finalized_while_others_use_them)
{
    enum { USERS = 4, ROUNDS = 200 };
    static struct market market;
    pthread_t user[USERS];
    uint64_t seed = 2;
    for (int i = 0; i < USERS; i++)
        CHECK(pthread_create(&user[i], NULL, use_run, &market) == 0);
    for (int i = 0; i < ROUNDS; i++) {
        cpg_handle_t fresh = 0;
        CHECK(TAKEN(cpg_initialize(&fresh, NULL)) == CS_OK);
        cpg_handle_t old = atomic_exchange(&market.handle[i % 4], fresh);
        probe_nap_us(probe_draw(&seed, 2000));
        EXPECT_CS(cpg_finalize(old), i < 4 ? CS_ERR_BAD_HANDLE : CS_OK);
    }
    atomic_store(&market.closed, true);
    for (int i = 0; i < USERS; i++)
        CHECK(pthread_join(user[i], NULL) == 0);
    for (int i = 0; i < 4; i++)
        EXPECT_CS(cpg_finalize(atomic_load(&market.handle[i])), CS_OK);
}
