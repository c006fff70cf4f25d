/* SPDX-License-Identifier: BSD-3-Clause */
/* threads_fork.c - processes that split while they have a handle: H3, H4, F1. */
#include "member.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* Sends, and gets what it sent: under the name of the process that joined. */
static void expect_to_work(struct member *m, uint32_t pid, const char *text)
{
    int seen = atomic_load(&m->count);
    send_text(m->handle, text);
    member_see(m, seen + 1);
    EXPECT(strcmp(m->seen[seen].text, text) == 0 && m->seen[seen].pid == pid);
}

static int last_child(void)
{
    int status = -1;
    CHECK(wait(&status) > 0);
    return status;
}

struct split {
    bool finalizes;
    int said[2];
};

/* As programs do that turn themselves into daemons. */
static void split_run(void *argument)
{
    struct split *s = argument;
    struct member m = { 0 };
    uint32_t pid = (uint32_t)getpid();
    member_join(&m, "daemons");
    expect_to_work(&m, pid, "before");
    if (fork() != 0)
        _exit(0);
    alarm(30);
    while (kill((pid_t)pid, 0) == 0) /* the first one is gone, and was waited for */
        probe_nap_us(1000);
    expect_to_work(&m, pid, "behind");
    EXPECT(is_member(&m, "daemons", (int)pid));
    struct member own = { 0 };
    member_join(&own, "daemons of their own");
    expect_to_work(&own, (uint32_t)getpid(), "new");
    CHECK(write(s->said[1], "", 1) == 1);
    if (s->finalizes)
        member_close(&m);
    probe_exit();
}

CASE(H3_H4_the_child_goes_on_and_the_parent_ends)
{
    char byte;
    CHECK(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
    for (int i = 0; i < 2; i++) {
        struct split s = { .finalizes = i == 0 };
        struct member observer = { 0 };
        CHECK(pipe(s.said) == 0);
        int pid = probe_fork(split_run, &s);
        probe_join_child(pid);
        CHECK(read(s.said[0], &byte, 1) == 1);
        EXPECT(last_child() == 0);
        member_open(&observer);
        WAIT_FOR(!is_member(&observer, "daemons", pid));
        member_close(&observer);
    }
}

CASE(H4_the_parent_goes_on_and_the_child_ends)
{
    struct member m = { 0 };
    member_join(&m, "parents");
    for (int i = 0; i < 20; i++) {
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0 && i % 2)
            kill(getpid(), SIGKILL);
        if (pid == 0)
            _exit(0);
        expect_to_work(&m, (uint32_t)getpid(), "beside it");
        last_child();
        expect_to_work(&m, (uint32_t)getpid(), "after it");
    }
    EXPECT(is_member(&m, "parents", getpid()));
    member_close(&m);
}

CASE(H4_finalize_ends_the_membership_while_a_child_still_has_the_descriptors)
{
    struct member m = { 0 }, observer = { 0 };
    int hold[2];
    char byte;
    member_open(&observer);
    member_join(&m, "held");
    CHECK(pipe(hold) == 0);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        close(hold[1]);
        _exit(read(hold[0], &byte, 1) != 0);
    }
    member_close(&m);
    WAIT_FOR(!is_member(&observer, "held", getpid()));
    close(hold[1]);
    EXPECT(last_child() == 0);
    member_close(&observer);
}

static void *wait_run(void *argument)
{
    struct member *m = argument;
    cpg_dispatch(m->handle, CS_DISPATCH_BLOCKING);
    return NULL;
}

CASE(H4_a_child_of_a_process_with_threads_opens_handles_of_its_own)
{
    struct member m = { 0 };
    pthread_t thread;
    member_join(&m, "threaded parent");
    CHECK(pthread_create(&thread, NULL, wait_run, &m) == 0);
    for (int i = 0; i < 20; i++) {
        send_text(m.handle, "the other thread is at work");
        fflush(NULL);
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
            struct member own = { 0 };
            alarm(30);
            member_join(&own, "its child");
            expect_to_work(&own, (uint32_t)getpid(), "x");
            member_close(&own);
            probe_exit();
        }
        EXPECT(last_child() == 0);
    }
    WAIT_FOR(atomic_load(&m.count) == 21);
    CHECK(cpg_finalize(m.handle) == CS_OK);
    CHECK(pthread_join(thread, NULL) == 0);
    member_forget(&m);
}

/* Parent and child use one handle at once, which no program may. */
static void fight_run(void *argument)
{
    struct member m = { 0 };
    uint64_t seed = (uint64_t)(uintptr_t)argument;
    member_join(&m, "fight");
    fork();
    for (;;) {
        int mode = probe_draw(&seed, 2) ? CS_DISPATCH_ALL : CS_DISPATCH_ONE_NONBLOCKING;
        cpg_dispatch(m.handle, (cs_dispatch_flags_t)mode);
        send_bytes(m.handle, &m, 1 + probe_draw(&seed, sizeof(m)));
    }
}

CASE(H4_what_both_do_with_one_handle_harms_nobody_else)
{
    struct member neighbour = { 0 };
    CHECK(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
    member_join(&neighbour, "in peace");
    for (uintptr_t i = 0; i < 6; i++) {
        fflush(NULL);
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
            setpgid(0, 0);
            freopen("/dev/null", "w", stderr);
            fight_run((void *)i);
        }
        setpgid(pid, pid);
        for (int j = 0; j < 50; j++)
            expect_to_work(&neighbour, (uint32_t)getpid(), "undisturbed");
        probe_nap_us(20000);
        kill(-pid, SIGKILL);
        while (wait(NULL) > 0)
            continue;
        WAIT_FOR(!is_member(&neighbour, "fight", pid));
    }
    expect_to_work(&neighbour, (uint32_t)getpid(), "at last");
    member_close(&neighbour);
}

CASE(F1_H4_a_program_that_a_child_starts_inherits_nothing)
{
    struct member m = { 0 };
    cpg_iteration_handle_t it;
    int before = probe_descriptors();
    char expected[16];
    member_join(&m, "starter");
    send_text(m.handle, "so that it has a segment");
    member_see(&m, 2);
    CHECK(cpg_iteration_initialize(m.handle, CPG_ITERATION_ALL, NULL, &it) == CS_OK);
    EXPECT(probe_descriptors() > before);
    snprintf(expected, sizeof(expected), "%d", before);
    fflush(NULL);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        /* . and .., and the folder itself, as probe_descriptors() counts them */
        execl("/bin/sh", "sh", "-c", "test $(ls -a /proc/self/fd | wc -l) = $0", expected, NULL);
        _exit(127);
    }
    EXPECT(last_child() == 0);
    expect_to_work(&m, (uint32_t)getpid(), "goes on");
    member_close(&m);
}
