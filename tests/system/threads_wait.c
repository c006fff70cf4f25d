/* SPDX-License-Identifier: BSD-3-Clause */
/* threads_wait.c - a waiting dispatch, and what ends it and what does not: H7, H8, H9, X8. */
#include "member.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

struct waiter {
    pthread_t thread;
    struct member *m;
    cs_dispatch_flags_t mode;
    cs_error_t answer;
    _Atomic bool begun, ended;
};

static void *wait_run(void *argument)
{
    struct waiter *w = argument;
    atomic_store(&w->begun, true);
    w->answer = cpg_dispatch(w->m->handle, w->mode);
    atomic_store(&w->ended, true);
    return NULL;
}

static void start(struct waiter *w, struct member *m, cs_dispatch_flags_t mode)
{
    *w = (struct waiter){ .m = m, .mode = mode };
    CHECK(pthread_create(&w->thread, NULL, wait_run, w) == 0);
    WAIT_FOR(atomic_load(&w->begun));
    probe_nap_us(2000); /* it may have come to wait; both ways must work */
}

static const cs_dispatch_flags_t waiting_mode[] = { CS_DISPATCH_ONE, CS_DISPATCH_BLOCKING };

CASE(H8_a_cancelled_wait_leaves_a_handle_that_works)
{
    struct cpg_name name = name_of("cancelled");
    struct waiter w;
    for (int i = 0; i < 40; i++) {
        struct member m = { 0 };
        void *result;
        member_join(&m, "cancelled");
        start(&w, &m, waiting_mode[i % 2]);
        CHECK(pthread_cancel(w.thread) == 0);
        CHECK(pthread_join(w.thread, &result) == 0);
        EXPECT(result == PTHREAD_CANCELED);
        send_text(m.handle, "still here");
        member_see(&m, 2);
        EXPECT(strcmp(m.seen[1].text, "still here") == 0);
        start(&w, &m, waiting_mode[i / 2 % 2]); /* and once more, into a leave */
        CHECK(pthread_cancel(w.thread) == 0);
        CHECK(pthread_join(w.thread, NULL) == 0);
        EXPECT_CS(TAKEN(cpg_leave(m.handle, &name)), CS_OK);
        member_see(&m, 3);
        EXPECT(m.seen[2].left == 1 && m.seen[2].first_left.reason == CPG_REASON_LEAVE);
        member_close(&m);
    }
}

CASE(H8_finalize_right_after_a_cancelled_wait)
{
    struct waiter w;
    for (int i = 0; i < 40; i++) {
        struct member m = { 0 };
        member_join(&m, i % 4 < 2 ? "cancelled b" : "cancelled c");
        start(&w, &m, waiting_mode[i % 2]);
        CHECK(pthread_cancel(w.thread) == 0);
        CHECK(pthread_join(w.thread, NULL) == 0);
        member_close(&m);
    }
}

struct flood {
    struct member *m;
    _Atomic bool stop;
    uint32_t sent;
};

static void *flood_run(void *argument)
{
    struct flood *f = argument;
    uint64_t seed = 3;
    while (!atomic_load(&f->stop)) {
        uint32_t number = f->sent;
        if (send_bytes(f->m->handle, &number, sizeof(number)) == CS_OK)
            f->sent++;
        probe_nap_us(probe_draw(&seed, 300));
    }
    return NULL;
}

static void judge_number(struct member *m, const struct seen *event, void *msg)
{
    uint32_t number, *next = m->argument;
    if (event->kind != SEEN_MESSAGE)
        return;
    memcpy(&number, msg, sizeof(number));
    EXPECT(number == (*next)++);
}

CASE(H8_nothing_is_lost_when_waits_are_cancelled_at_any_moment)
{
    struct member m = { 0 };
    uint32_t next = 0;
    uint64_t seed = 4;
    struct flood f = { .m = &m };
    struct waiter w;
    pthread_t sender;
    member_join(&m, "cancelled often");
    m.then = judge_number;
    m.argument = &next;
    CHECK(pthread_create(&sender, NULL, flood_run, &f) == 0);
    for (int i = 0; i < 300; i++) {
        w = (struct waiter){ .m = &m, .mode = CS_DISPATCH_BLOCKING };
        CHECK(pthread_create(&w.thread, NULL, wait_run, &w) == 0);
        probe_nap_us(probe_draw(&seed, 3000));
        CHECK(pthread_cancel(w.thread) == 0);
        CHECK(pthread_join(w.thread, NULL) == 0);
    }
    atomic_store(&f.stop, true);
    CHECK(pthread_join(sender, NULL) == 0);
    member_see(&m, 1 + (int)f.sent);
    EXPECT(next == f.sent && f.sent > 0);
    member_close(&m);
}

/* Signals at one thread, all the time. */
struct drizzle {
    pthread_t thread, at;
    _Atomic bool stop;
    int sent;
};

static _Atomic int signals;

static void count_signal(int number)
{
    (void)number;
    atomic_fetch_add(&signals, 1);
}

static void *drizzle_run(void *argument)
{
    struct drizzle *d = argument;
    while (!atomic_load(&d->stop)) {
        d->sent += pthread_kill(d->at, SIGUSR1) == 0;
        probe_nap_us(150);
    }
    return NULL;
}

static void drizzle_on(struct drizzle *d, pthread_t at)
{
    struct sigaction action = { .sa_handler = count_signal }; /* no SA_RESTART */
    *d = (struct drizzle){ .at = at };
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
    CHECK(pthread_create(&d->thread, NULL, drizzle_run, d) == 0);
}

static void drizzle_off(struct drizzle *d)
{
    atomic_store(&d->stop, true);
    CHECK(pthread_join(d->thread, NULL) == 0);
    EXPECT(atomic_load(&signals) > 0);
}

CASE(H9_signals_do_not_cut_a_waiting_dispatch_short)
{
    for (int i = 0; i < 2; i++) {
        struct member m = { 0 };
        struct waiter w;
        struct drizzle d;
        int before = atomic_load(&signals);
        member_join(&m, i ? "signals b" : "signals a");
        start(&w, &m, waiting_mode[i]);
        drizzle_on(&d, w.thread);
        WAIT_FOR(atomic_load(&signals) > before + 200);
        EXPECT(!atomic_load(&w.ended));
        send_text(m.handle, "now");
        WAIT_FOR(atomic_load(&m.count) == 2);
        if (i == 0) {
            WAIT_FOR(atomic_load(&w.ended)); /* ONE has had its one */
            drizzle_off(&d);
        } else {
            WAIT_FOR(atomic_load(&signals) > before + 400);
            EXPECT(!atomic_load(&w.ended));
            drizzle_off(&d);
        }
        EXPECT_CS(cpg_finalize(m.handle), CS_OK);
        CHECK(pthread_join(w.thread, NULL) == 0);
        EXPECT_CS(w.answer, i == 0 ? CS_OK : CS_ERR_BAD_HANDLE);
        member_forget(&m);
    }
}

CASE(H9_signals_do_not_cut_requests_short)
{
    static char bytes[600000];
    struct cpg_name name = name_of("signalled");
    struct drizzle d;
    drizzle_on(&d, pthread_self());
    for (int i = 0; i < 60; i++) {
        struct member m = { 0 };
        struct cpg_address list[CPG_MEMBERS_MAX];
        int count = 0;
        cpg_iteration_handle_t it;
        member_join(&m, "signalled");
        EXPECT_CS(cpg_membership_get(m.handle, &name, list, &count), CS_OK);
        EXPECT(count >= 1);
        EXPECT_CS(cpg_iteration_initialize(m.handle, CPG_ITERATION_ALL, NULL, &it), CS_OK);
        EXPECT_CS(TAKEN(send_bytes(m.handle, bytes, i % 4 ? 10 : sizeof(bytes))), CS_OK);
        EXPECT_CS(TAKEN(cpg_leave(m.handle, &name)), CS_OK);
        member_see(&m, 3);
        member_close(&m);
    }
    drizzle_off(&d);
}

CASE(H7_signal_handlers_and_masks_stay_what_they_were)
{
    struct sigaction before[65], after;
    sigset_t mask, mask_after;
    struct cpg_name name = name_of("handlers");
    for (int i = 1; i < 65; i++)
        sigaction(i, NULL, &before[i]);
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    struct member m = { 0 };
    member_join(&m, "handlers");
    send_text(m.handle, "x");
    member_see(&m, 2);
    CHECK(TAKEN(cpg_leave(m.handle, &name)) == CS_OK);
    member_close(&m);
    pthread_sigmask(SIG_SETMASK, NULL, &mask_after);
    EXPECT(memcmp(&mask, &mask_after, sizeof(mask)) == 0);
    for (int i = 1; i < 65; i++)
        if (sigaction(i, NULL, &after) == 0)
            EXPECT(after.sa_handler == before[i].sa_handler &&
                   after.sa_flags == before[i].sa_flags);
}

CASE(X8_finalize_wakes_whoever_waits_and_ends_the_membership)
{
    struct member observer = { 0 };
    struct waiter w[3];
    member_open(&observer);
    for (int i = 0; i < 30; i++) {
        struct member m = { 0 };
        member_join(&m, "woken");
        for (int j = 0; j < 3; j++)
            start(&w[j], &m, waiting_mode[(i + j) % 2]);
        uint64_t begin = probe_now_ns();
        EXPECT_CS(cpg_finalize(m.handle), CS_OK);
        for (int j = 0; j < 3; j++) {
            CHECK(pthread_join(w[j].thread, NULL) == 0);
            EXPECT_CS(w[j].answer, CS_ERR_BAD_HANDLE);
        }
        EXPECT(probe_now_ns() - begin < 2000000000u);
        WAIT_FOR(!is_member(&observer, "woken", getpid()));
        member_forget(&m);
    }
    member_close(&observer);
}

struct stage {
    _Atomic bool inside, go_on;
    _Atomic int intact;
};

static void play(struct member *m, const struct seen *event, void *msg)
{
    struct stage *stage = m->argument;
    if (event->kind != SEEN_MESSAGE)
        return;
    uint8_t *bytes = msg;
    memset(bytes, 0x3c, event->bytes);
    atomic_store(&stage->inside, true);
    WAIT_FOR(atomic_load(&stage->go_on));
    int intact = 0;
    for (size_t i = 0; i < event->bytes; i++)
        intact += bytes[i] == 0x3c;
    atomic_store(&stage->intact, intact);
}

CASE(X8_finalize_does_not_wait_for_a_running_callback)
{
    static char bytes[200000];
    struct member m = { 0 };
    struct stage stage = { 0 };
    struct waiter w;
    int fd;
    member_join(&m, "running callback");
    m.then = play;
    m.argument = &stage;
    CHECK(TAKEN(send_bytes(m.handle, bytes, sizeof(bytes))) == CS_OK);
    CHECK(TAKEN(send_bytes(m.handle, bytes, sizeof(bytes))) == CS_OK);
    start(&w, &m, CS_DISPATCH_BLOCKING);
    WAIT_FOR(atomic_load(&stage.inside));
    uint64_t begin = probe_now_ns();
    EXPECT_CS(cpg_finalize(m.handle), CS_OK);
    EXPECT(probe_now_ns() - begin < 2000000000u);
    EXPECT_CS(cpg_fd_get(m.handle, &fd), CS_ERR_BAD_HANDLE);
    EXPECT(!atomic_load(&w.ended));
    atomic_store(&stage.go_on, true);
    CHECK(pthread_join(w.thread, NULL) == 0);
    EXPECT_CS(w.answer, CS_ERR_BAD_HANDLE);
    EXPECT(atomic_load(&stage.intact) == (int)sizeof(bytes));
    EXPECT(atomic_load(&m.count) == 2); /* no other started */
    member_forget(&m);
}
