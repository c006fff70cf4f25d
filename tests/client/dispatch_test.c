/* SPDX-License-Identifier: BSD-3-Clause */
/* dispatch_test.c - modes, descriptor, callbacks that do things, threads that end each other. */
#include <criterion/criterion.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fake.h"
#include "recorder.h"

static struct fake *fake;
static struct recorder r, other;

static void setup(void)
{
    fake = fake_start();
    recorder_join(&r, "g");
}

static void teardown(void)
{
    cr_assert_eq(fake_offences(fake), 0);
    cpg_finalize(r.handle);
    fake_stop(fake);
}

TestSuite(dispatch, .init = setup, .fini = teardown);

static void send_many(int count)
{
    for (int i = 0; i < count; i++) {
        char text[16];
        snprintf(text, sizeof(text), "%d", i);
        cr_assert_eq(send_text(r.handle, text), CS_OK);
    }
}

static bool has_lease_for_each(void *count)
{
    return fake_leases_out(fake) >= *(uint32_t *)count;
}

/* Send, and wait until all of it is in the event queue. */
static void let_wait(uint32_t count)
{
    send_many((int)count);
    cr_assert(comes_true(has_lease_for_each, &count));
}

Test(dispatch, ONE_handles_one)
{
    let_wait(3);
    cr_assert_eq(cpg_dispatch(r.handle, CS_DISPATCH_ONE), CS_OK);
    cr_assert_eq(r.count, 2);
    cr_assert_eq(cpg_dispatch(r.handle, CS_DISPATCH_ONE), CS_OK);
    cr_assert_eq(r.count, 3);
}

Test(dispatch, ALL_handles_what_there_is_and_never_waits)
{
    cr_assert_eq(cpg_dispatch(r.handle, CS_DISPATCH_ALL), CS_OK);
    let_wait(50);
    cr_assert_eq(cpg_dispatch(r.handle, CS_DISPATCH_ALL), CS_OK);
    cr_assert_eq(r.count, 51);
    cr_assert_eq(cpg_dispatch(r.handle, CS_DISPATCH_ALL), CS_OK);
}

Test(dispatch, ONE_NONBLOCKING_says_when_there_is_none)
{
    cr_assert_eq(cpg_dispatch(r.handle, CS_DISPATCH_ONE_NONBLOCKING), CS_ERR_TRY_AGAIN);
    let_wait(2);
    cr_assert_eq(cpg_dispatch(r.handle, CS_DISPATCH_ONE_NONBLOCKING), CS_OK);
    cr_assert_eq(cpg_dispatch(r.handle, CS_DISPATCH_ONE_NONBLOCKING), CS_OK);
    cr_assert_eq(cpg_dispatch(r.handle, CS_DISPATCH_ONE_NONBLOCKING), CS_ERR_TRY_AGAIN);
}

Test(dispatch, X2_an_event_without_callback_is_the_one_event)
{
    cpg_handle_t h;
    struct cpg_name group = name_of("g");
    cr_assert_eq(cpg_initialize(&h, NULL), CS_OK);
    cr_assert_eq(cpg_join(h, &group), CS_OK);
    cr_assert_eq(cpg_dispatch(h, CS_DISPATCH_ONE), CS_OK);
    cr_assert_eq(send_text(h, "x"), CS_OK);
    cr_assert_eq(cpg_dispatch(h, CS_DISPATCH_ONE), CS_OK);
    cr_assert_eq(cpg_dispatch(h, CS_DISPATCH_ONE_NONBLOCKING), CS_ERR_TRY_AGAIN);
    cr_assert_eq(cpg_finalize(h), CS_OK);
}

Test(dispatch, F1_F6_the_descriptor)
{
    int fd, again, type;
    socklen_t bytes = sizeof(type);
    struct ucred peer;
    cr_assert_eq(cpg_fd_get(r.handle, &fd), CS_OK);
    cr_assert_eq(cpg_fd_get(r.handle, &again), CS_OK);
    cr_assert_eq(fd, again);
    cr_assert(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    cr_assert_eq(getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &type, &bytes), 0);
    cr_assert_eq(type, AF_UNIX);
    bytes = sizeof(peer);
    cr_assert_eq(getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &bytes), 0);
    cr_assert_eq(peer.uid, geteuid());
    cr_assert_eq(cpg_finalize(r.handle), CS_OK);
    cr_assert(fcntl(fd, F_GETFD) < 0 && errno == EBADF);
}

Test(dispatch, F2_readable_while_events_wait_and_only_then)
{
    cr_assert_eq(readiness(r.handle, 0), 0);
    let_wait(3);
    for (int left = 3; left > 0; left--) {
        cr_assert_eq(readiness(r.handle, 5000), POLLIN, "%d left", left);
        cr_assert_eq(cpg_dispatch(r.handle, CS_DISPATCH_ONE), CS_OK);
    }
    cr_assert_eq(readiness(r.handle, 0), 0);
}

static void look_at_readiness(struct recorder *who, const struct recorded *event, void *msg)
{
    *(short *)who->argument = readiness(who->handle, 0);
}

Test(dispatch, F2_inside_the_last_callback_nothing_waits)
{
    short seen = -1;
    let_wait(1);
    r.then = look_at_readiness;
    r.argument = &seen;
    cr_assert_eq(cpg_dispatch(r.handle, CS_DISPATCH_ALL), CS_OK);
    cr_assert_eq(seen, 0);
}

Test(dispatch, F4_an_event_that_comes_to_nobody_makes_it_readable)
{
    recorder_join(&other, "g");
    cr_assert_eq(cpg_dispatch(r.handle, CS_DISPATCH_ONE), CS_OK);
    cr_assert_eq(readiness(r.handle, 0), 0);
    cr_assert_eq(send_text(other.handle, "x"), CS_OK);
    cr_assert_eq(readiness(r.handle, 5000), POLLIN);
    cr_assert_eq(cpg_finalize(other.handle), CS_OK);
}

Test(dispatch, leases_are_back_before_the_callback_runs)
{
    uint32_t none = 0;
    let_wait(20);
    cr_assert_eq(cpg_dispatch(r.handle, CS_DISPATCH_ALL), CS_OK);
    cr_assert_eq(fake_leases_out(fake), none);
}

static bool no_segment_is_mapped(void *unused)
{
    char line[512];
    bool none = true;
    cpg_dispatch(r.handle, CS_DISPATCH_ALL);
    cpg_dispatch(other.handle, CS_DISPATCH_ALL);
    FILE *maps = fopen("/proc/self/maps", "r");
    cr_assert_not_null(maps);
    while (fgets(line, sizeof(line), maps))
        none = none && !strstr(line, "memfd:tx");
    fclose(maps);
    return none;
}

Test(dispatch, mappings_of_segments_that_have_gone_are_dropped)
{
    static uint8_t data[600000];
    struct iovec iov = { data, sizeof(data) };
    recorder_join(&other, "g");
    cr_assert_eq(cpg_mcast_joined(other.handle, CPG_TYPE_AGREED, &iov, 1), CS_OK);
    while (r.count < 3)
        cr_assert_eq(cpg_dispatch(r.handle, CS_DISPATCH_ONE), CS_OK);
    cr_assert_eq(r.seen[2].bytes, sizeof(data));
    cr_assert(comes_true(no_segment_is_mapped, NULL));
    cr_assert_eq(cpg_finalize(other.handle), CS_OK);
}

Test(dispatch, more_events_than_the_queue_holds_all_come)
{
    enum { COUNT = 3 * CHAN_EVENT_COUNT };
    static struct recorder sender;
    recorder_join(&sender, "g");
    cr_assert_eq(cpg_dispatch(r.handle, CS_DISPATCH_ONE), CS_OK);
    r.count = 0;
    for (int sent = 0; sent < COUNT;) {
        cs_error_t error = send_text(sender.handle, "x");
        sent += error == CS_OK;
        cr_assert(error == CS_OK || error == CS_ERR_TRY_AGAIN);
        cpg_dispatch(sender.handle, CS_DISPATCH_ALL);
        sender.count = 0;
        if (error == CS_ERR_TRY_AGAIN)
            cr_assert_eq(cpg_dispatch(r.handle, CS_DISPATCH_ONE), CS_OK);
    }
    while (r.count < COUNT)
        cr_assert_eq(cpg_dispatch(r.handle, CS_DISPATCH_ONE), CS_OK);
    cr_assert_eq(cpg_finalize(sender.handle), CS_OK);
}

Test(dispatch, the_service_is_woken_when_a_full_queue_was_emptied)
{
    uint8_t byte = 1;
    while (fake_inject(fake, 0, &byte, 1) && fake_leases_out(fake) < 200)
        ;
    int waiting = (int)fake_leases_out(fake);
    cr_assert_geq(waiting, 200);
    r.count = 0;
    cr_assert_eq(cpg_dispatch(r.handle, CS_DISPATCH_ALL), CS_OK);
    cr_assert_eq(r.count, waiting);
}

Test(dispatch, V1_R2_views_and_ring_events_carry_what_came)
{
    cr_assert_eq(r.seen[0].members, 1);
    cr_assert_eq(r.seen[0].joined, 1);
    cr_assert_eq(r.seen[0].left, 0);
    cr_assert_eq(r.seen[0].first_joined.reason, CPG_REASON_JOIN);
    cr_assert_eq(r.seen[0].first_joined.pid, FAKE_PID);
    cr_assert_str_eq(r.seen[0].group.value, "g");
    cr_assert(fake_ring_event(fake, 0, 0x123456789abcdef0));
    cr_assert_eq(cpg_dispatch(r.handle, CS_DISPATCH_ONE), CS_OK);
    cr_assert_eq(r.seen[1].kind, RECORDED_RING);
    cr_assert_eq(r.seen[1].ring.seq, 0x123456789abcdef0);
    cr_assert_eq(r.seen[1].ring.nodeid, 3);
    cr_assert_eq(r.seen[1].members, 2);
}

Test(dispatch, X7_what_was_sent_before_a_leave_comes_and_then_the_own_view)
{
    struct cpg_name ignored = name_of("another name");
    struct cpg_name next = name_of("next");
    send_many(5);
    cr_assert_eq(cpg_leave(r.handle, &ignored), CS_OK);
    for (int i = 0; i < 6; i++)
        cr_assert_eq(cpg_dispatch(r.handle, CS_DISPATCH_ONE), CS_OK);
    cr_assert_eq(r.seen[5].kind, RECORDED_MESSAGE);
    cr_assert_eq(r.seen[6].kind, RECORDED_VIEW);
    cr_assert_eq(r.seen[6].first_left.reason, CPG_REASON_LEAVE);
    cr_assert_eq(r.seen[6].members, 0);
    cr_assert_str_eq(r.seen[6].group.value, "g");
    cr_assert_eq(cpg_dispatch(r.handle, CS_DISPATCH_ONE_NONBLOCKING), CS_ERR_TRY_AGAIN);
    cr_assert_eq(cpg_join(r.handle, &next), CS_OK);
    cr_assert_eq(send_text(r.handle, "there"), CS_OK);
    cr_assert_eq(cpg_dispatch(r.handle, CS_DISPATCH_ONE), CS_OK);
    cr_assert_eq(cpg_dispatch(r.handle, CS_DISPATCH_ONE), CS_OK);
    cr_assert_str_eq(r.seen[8].group.value, "next");
}

static void finalize_inside(struct recorder *who, const struct recorded *event, void *msg)
{
    char before[RECORD_TEXT];
    memcpy(before, event->text, sizeof(before));
    cr_assert_eq(cpg_finalize(who->handle), CS_OK);
    cr_assert_eq(cpg_finalize(who->handle), CS_ERR_BAD_HANDLE);
    cr_assert_eq(cpg_dispatch(who->handle, CS_DISPATCH_ALL), CS_ERR_BAD_HANDLE);
    cr_assert_arr_eq(msg, before, event->bytes, "X9: arguments live on");
    memset(msg, 1, event->bytes);
}

Test(dispatch, X6_finalize_inside_a_callback_ends_the_dispatch_in_every_mode)
{
    for (int mode = CS_DISPATCH_ONE; mode <= CS_DISPATCH_ONE_NONBLOCKING; mode++) {
        static struct recorder one;
        one = (struct recorder){ 0 };
        recorder_join(&one, "x");
        cr_assert_eq(send_text(one.handle, "first"), CS_OK);
        cr_assert_eq(send_text(one.handle, "second"), CS_OK);
        cr_assert_eq(readiness(one.handle, 5000), POLLIN);
        one.then = finalize_inside;
        cr_assert_eq(cpg_dispatch(one.handle, (cs_dispatch_flags_t)mode), CS_ERR_BAD_HANDLE);
        cr_assert_eq(one.count, 2, "no further callback");
    }
}

static void dispatch_inside(struct recorder *who, const struct recorded *event, void *msg)
{
    char before[RECORD_TEXT];
    struct cpg_name group = event->group;
    memcpy(before, event->text, sizeof(before));
    if (who->count < 6)
        cr_assert_eq(cpg_dispatch(who->handle, CS_DISPATCH_ONE), CS_OK);
    cr_assert_arr_eq(msg, before, event->bytes, "X9: not overwritten by the one inside");
    cr_assert_eq(group.length, 1);
}

Test(dispatch, X5_dispatch_inside_a_callback_goes_on_with_the_next_event)
{
    let_wait(8);
    r.then = dispatch_inside;
    cr_assert_eq(cpg_dispatch(r.handle, CS_DISPATCH_ONE), CS_OK);
    cr_assert_eq(r.count, 6);
    for (int i = 1; i < 6; i++)
        cr_assert_eq(r.seen[i].text[0], '0' + i - 1);
    r.then = NULL;
    cr_assert_eq(cpg_dispatch(r.handle, CS_DISPATCH_ALL), CS_OK);
    cr_assert_eq(r.count, 9);
}

static void use_everything(struct recorder *who, const struct recorded *event, void *msg)
{
    unsigned node;
    int count;
    cpg_iteration_handle_t it;
    struct cpg_iteration_description_t d;
    struct cpg_address list[CPG_MEMBERS_MAX];
    struct cpg_name group = name_of("inside"), own = event->group;
    static struct recorder inside;
    if (who->count != 2)
        return;
    cr_assert_eq(cpg_local_get(who->handle, &node), CS_OK);
    cr_assert_eq(cpg_membership_get(who->handle, &own, list, &count), CS_OK);
    cr_assert_eq(cpg_iteration_initialize(who->handle, CPG_ITERATION_ALL, NULL, &it), CS_OK);
    cr_assert_eq(cpg_iteration_next(it, &d), CS_OK);
    cr_assert_eq(cpg_iteration_finalize(it), CS_OK);
    cr_assert_eq(send_text(who->handle, "from inside"), CS_OK);
    recorder_join(&inside, "inside");
    cr_assert_eq(cpg_leave(inside.handle, &group), CS_OK);
    cr_assert_eq(cpg_finalize(inside.handle), CS_OK);
}

Test(dispatch, X4_every_function_works_inside_a_callback)
{
    let_wait(1);
    r.then = use_everything;
    cr_assert_eq(cpg_dispatch(r.handle, CS_DISPATCH_ONE), CS_OK);
    cr_assert_eq(cpg_dispatch(r.handle, CS_DISPATCH_ONE), CS_OK);
    cr_assert_str_eq(r.seen[2].text, "from inside");
}

/* A thread that dispatches, and what it got. */
struct waiter {
    pthread_t thread;
    cs_dispatch_flags_t mode;
    cs_error_t result;
    _Atomic bool started;
};

static void *wait_in_dispatch(void *arg)
{
    struct waiter *w = arg;
    w->started = true;
    w->result = cpg_dispatch(r.handle, w->mode);
    return NULL;
}

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void start_waiter(struct waiter *w, cs_dispatch_flags_t mode)
{
    *w = (struct waiter){ .mode = mode };
    cr_assert_eq(pthread_create(&w->thread, NULL, wait_in_dispatch, w), 0);
    while (!w->started)
        ;
}

Test(dispatch, X8_finalize_in_another_thread_wakes_who_waits)
{
    for (int mode = CS_DISPATCH_ONE; mode <= CS_DISPATCH_BLOCKING; mode += 2) {
        struct waiter w[3];
        static struct recorder fresh;
        for (int i = 0; i < 3; i++)
            start_waiter(&w[i], (cs_dispatch_flags_t)mode);
        uint64_t start = now_ms();
        cr_assert_eq(cpg_finalize(r.handle), CS_OK);
        for (int i = 0; i < 3; i++) {
            pthread_join(w[i].thread, NULL);
            cr_assert_eq(w[i].result, CS_ERR_BAD_HANDLE);
        }
        cr_assert_lt(now_ms() - start, 500);
        fresh = (struct recorder){ 0 };
        recorder_join(&fresh, "g");
        r.handle = fresh.handle;
    }
}

static _Atomic int in_callback;
static _Atomic bool go_on;

static void stay_inside(struct recorder *who, const struct recorded *event, void *msg)
{
    in_callback++;
    while (!go_on)
        ;
    cr_assert_str_eq(event->text, "0");
    cr_assert_arr_eq(msg, "0", 1, "X8: arguments live on");
}

Test(dispatch, X8_finalize_does_not_wait_for_a_callback_elsewhere)
{
    struct waiter w;
    r.then = stay_inside;
    let_wait(2);
    start_waiter(&w, CS_DISPATCH_ALL);
    while (in_callback == 0)
        ;
    cr_assert_eq(cpg_finalize(r.handle), CS_OK);
    go_on = true;
    pthread_join(w.thread, NULL);
    cr_assert_eq(w.result, CS_ERR_BAD_HANDLE);
    cr_assert_eq(r.count, 2, "no other callback starts");
}

Test(dispatch, H6_who_does_not_wait_does_not_wait_for_anothers_callback)
{
    struct waiter w;
    r.then = stay_inside;
    let_wait(1);
    start_waiter(&w, CS_DISPATCH_ONE);
    while (in_callback == 0)
        ;
    cr_assert_eq(cpg_dispatch(r.handle, CS_DISPATCH_ALL), CS_OK);
    cr_assert_eq(cpg_dispatch(r.handle, CS_DISPATCH_ONE_NONBLOCKING), CS_ERR_TRY_AGAIN);
    cr_assert_eq(send_text(r.handle, "sends do not wait either"), CS_OK);
    go_on = true;
    pthread_join(w.thread, NULL);
    cr_assert_eq(w.result, CS_OK);
}

Test(dispatch, H8_a_waiting_thread_can_be_cancelled_and_the_handle_works_on)
{
    struct cpg_name group = name_of("g");
    for (int round = 0; round < 50; round++) {
        struct waiter w;
        void *ended;
        start_waiter(&w, round % 2 ? CS_DISPATCH_ONE : CS_DISPATCH_BLOCKING);
        if (round % 3 == 0)
            sched_yield();
        pthread_cancel(w.thread);
        pthread_join(w.thread, &ended);
        cr_assert_eq(ended, PTHREAD_CANCELED);
        r.count = 0;
        cr_assert_eq(send_text(r.handle, "x"), CS_OK);
        cr_assert_eq(cpg_dispatch(r.handle, CS_DISPATCH_ONE), CS_OK);
        cr_assert_eq(r.count, 1);
    }
    cr_assert_eq(cpg_leave(r.handle, &group), CS_OK);
    cr_assert_eq(cpg_dispatch(r.handle, CS_DISPATCH_ONE), CS_OK);
    cr_assert_eq(cpg_finalize(r.handle), CS_OK);
}

static void end_thread(struct recorder *who, const struct recorded *event, void *msg)
{
    who->then = NULL;
    pthread_exit(NULL);
}

Test(dispatch, H8_a_thread_that_ends_in_a_callback_leaves_the_handle_usable)
{
    struct waiter w;
    r.then = end_thread;
    let_wait(2);
    start_waiter(&w, CS_DISPATCH_ALL);
    pthread_join(w.thread, NULL);
    cr_assert_eq(cpg_dispatch(r.handle, CS_DISPATCH_ONE), CS_OK);
    cr_assert_eq(r.count, 3);
    cr_assert_eq(cpg_finalize(r.handle), CS_OK);
}

static _Atomic int signals;

static void count_signal(int number)
{
    signals++;
}

Test(dispatch, H9_a_signal_does_not_end_a_wait)
{
    struct waiter w;
    struct sigaction action = { .sa_handler = count_signal }; /* no SA_RESTART */
    sigaction(SIGUSR1, &action, NULL);
    start_waiter(&w, CS_DISPATCH_ONE);
    for (int i = 1; i <= 20; i++) {
        pthread_kill(w.thread, SIGUSR1);
        while (signals < i)
            sched_yield();
    }
    cr_assert_eq(r.count, 1);
    cr_assert_eq(send_text(r.handle, "at last"), CS_OK);
    pthread_join(w.thread, NULL);
    cr_assert_eq(w.result, CS_OK);
    cr_assert_eq(r.count, 2);
}

Test(dispatch, H4_a_child_may_go_on_with_the_handle)
{
    pid_t child = fork();
    if (child == 0) {
        if (send_text(r.handle, "from the child") != CS_OK)
            _exit(1);
        if (cpg_dispatch(r.handle, CS_DISPATCH_ONE) != CS_OK)
            _exit(2);
        if (strcmp(r.seen[1].text, "from the child") != 0)
            _exit(3);
        if (readiness(r.handle, 0) != 0)
            _exit(4);
        _exit(cpg_finalize(r.handle) == CS_OK ? 0 : 5);
    }
    int status;
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert_eq(status, 0);
}

Test(dispatch, H7_signal_masks_and_handlers_are_left_alone)
{
    sigset_t before, after;
    struct sigaction pipe_before, pipe_after;
    pthread_sigmask(SIG_SETMASK, NULL, &before);
    sigaction(SIGPIPE, NULL, &pipe_before);
    send_many(3);
    cr_assert_eq(cpg_dispatch(r.handle, CS_DISPATCH_ONE), CS_OK);
    pthread_sigmask(SIG_SETMASK, NULL, &after);
    sigaction(SIGPIPE, NULL, &pipe_after);
    for (int i = 1; i < NSIG; i++)
        cr_assert_eq(sigismember(&before, i), sigismember(&after, i));
    cr_assert_eq(pipe_before.sa_handler, pipe_after.sa_handler);
}

Test(dispatch, H1_300_handles_at_once)
{
    enum { HANDLES = 300 };
    static cpg_handle_t h[HANDLES];
    struct cpg_name group = name_of("many");
    for (int i = 0; i < HANDLES; i++)
        cr_assert_eq(cpg_initialize(&h[i], NULL), CS_OK, "handle %d", i);
    for (int i = 0; i < HANDLES; i += 100)
        cr_assert_eq(cpg_join(h[i], &group), CS_OK);
    for (int i = 0; i < HANDLES; i++)
        cr_assert_eq(cpg_finalize(h[i]), CS_OK);
}

Test(dispatch, contexts_are_kept)
{
    void *context;
    int mine;
    cr_assert_eq(cpg_context_get(r.handle, &context), CS_OK);
    cr_assert_eq(context, &r);
    cr_assert_eq(cpg_context_set(r.handle, &mine), CS_OK);
    cr_assert_eq(cpg_context_get(r.handle, &context), CS_OK);
    cr_assert_eq(context, &mine);
    cr_assert_eq(cpg_context_set(r.handle, NULL), CS_OK);
    cr_assert_eq(cpg_context_get(r.handle, &context), CS_OK);
    cr_assert_null(context);
}
