/* SPDX-License-Identifier: BSD-3-Clause */
#include "dpdk/bell.h"

#include <criterion/criterion.h>

#include <dirent.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PACKETS = 100000, PATIENCE_MS = 10000 };

static char directory[32];
static struct bell ours, theirs;
static struct bell_other them; /* as we see them */

static void set_up(void)
{
    snprintf(directory, sizeof directory, "/tmp/bell-XXXXXX");
    cr_assert_not_null(mkdtemp(directory));
    cr_assert_eq(bell_open(&ours, directory, 1), 0);
    cr_assert_eq(bell_open(&theirs, directory, 2), 0);
    bell_other_name(&them, directory, 2);
    cr_assert(bell_meet(&them));
}

/* G3: nothing is left of it, so the folder can go. */
static void tear_down(void)
{
    bell_part(&them);
    bell_close(&ours);
    bell_close(&theirs);
    cr_assert_eq(rmdir(directory), 0);
}

static bool readable(int fd, int timeout_ms)
{
    struct pollfd pollfd = { .fd = fd, .events = POLLIN };
    return poll(&pollfd, 1, timeout_ms) == 1;
}

static int calls_waiting(void)
{
    char byte;
    int count = 0;
    while (recv(theirs.fd, &byte, 1, 0) == 1)
        count++;
    return count;
}

TestSuite(bell, .init = set_up, .fini = tear_down, .timeout = 60);

Test(bell, G1_who_sleeps_is_woken)
{
    bell_sleep(&theirs);
    cr_assert_not(readable(theirs.fd, 0));
    bell_look(&ours, &them);
    cr_assert(readable(theirs.fd, 0));
    bell_wake(&theirs);
    cr_assert_not(readable(theirs.fd, 0), "it would be woken for ever");
}

Test(bell, G2_who_is_awake_is_not_called)
{
    for (int i = 0; i < 10; i++)
        bell_look(&ours, &them);
    cr_assert_eq(calls_waiting(), 0);
    bell_sleep(&theirs);
    bell_wake(&theirs);
    bell_look(&ours, &them);
    cr_assert_eq(calls_waiting(), 0);
}

Test(bell, G2_who_sleeps_is_called_once)
{
    bell_sleep(&theirs);
    for (int i = 0; i < 10; i++)
        bell_look(&ours, &them);
    cr_assert_eq(calls_waiting(), 1);
}

Test(bell, G3_one_that_is_not_there_is_not_met)
{
    struct bell_other nobody;
    bell_other_name(&nobody, directory, 3);
    cr_assert_not(bell_meet(&nobody));
    bell_look(&ours, &nobody);
    bell_part(&nobody);
}

/* As a daemon that is killed in its sleep, and started again. */
Test(bell, G3_one_that_was_killed_is_called_in_vain_and_then_met_again)
{
    bell_close(&theirs);
    pid_t child = fork();
    if (child == 0) {
        if (bell_open(&theirs, directory, 2) == 0)
            bell_sleep(&theirs);
        _exit(0);
    }
    cr_assert_eq(waitpid(child, NULL, 0), child);
    cr_assert(bell_meet(&them));
    bell_look(&ours, &them);
    cr_assert_eq(bell_open(&theirs, directory, 2), 0);
    bell_sleep(&theirs);
    bell_look(&ours, &them); /* by the old page */
    cr_assert_not(readable(theirs.fd, 0));
    cr_assert(bell_meet(&them));
    bell_look(&ours, &them);
    cr_assert(readable(theirs.fd, 0));
    bell_wake(&theirs);
}

Test(bell, a_folder_that_is_not_there_is_refused)
{
    struct bell none;
    cr_assert_lt(bell_open(&none, "/nowhere/at/all", 1), 0);
    bell_close(&none);
}

/* The ring of a link: how many were put there, and taken. */
static _Atomic uint32_t put, taken;

/* Each at the moment, more or less, at which the other lies down; no fence but bell_look()'s. */
static void *put_packets(void *unused)
{
    for (uint32_t i = 0; i < PACKETS; i++) {
        for (int looks = 0; atomic_load_explicit(&taken, memory_order_relaxed) < i; looks++)
            if (looks > 1000)
                sched_yield();
        for (uint32_t late = i * 7 % 61; late > 0; late--)
            atomic_signal_fence(memory_order_seq_cst);
        atomic_store_explicit(&put, i + 1, memory_order_release);
        bell_look(&ours, &them);
    }
    return unused;
}

static bool take(void)
{
    uint32_t there = atomic_load_explicit(&put, memory_order_acquire);
    bool some = there != atomic_load_explicit(&taken, memory_order_relaxed);
    atomic_store_explicit(&taken, there, memory_order_relaxed);
    return some;
}

Test(bell, G1_no_packet_is_slept_through)
{
    pthread_t thread;
    cr_assert_eq(pthread_create(&thread, NULL, put_packets, NULL), 0);
    while (atomic_load(&taken) < PACKETS) {
        if (take())
            continue;
        bell_sleep(&theirs);
        if (!take())
            cr_assert(readable(theirs.fd, PATIENCE_MS), "asleep for good, with %u of %u taken",
                      atomic_load(&taken), PACKETS);
        bell_wake(&theirs);
    }
    pthread_join(thread, NULL);
}
