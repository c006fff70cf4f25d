/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * many.c - H1: many handles in one process and one loop, each in a group of its own.
 *
 * The word is how many. The test looks at the service's memory when it hears "idle" (all open and
 * joined, nothing sent) and "sent" (each has sent and received).
 */
#include "member.h"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ROUNDS = 3 };

struct loop {
    int count;
    struct member *member;
    struct pollfd *pollfd;
};

static struct cpg_name group_of(int n)
{
    char text[32];
    snprintf(text, sizeof(text), "many %d", n);
    return name_of(text);
}

static void open_all(struct loop *loop)
{
    loop->member = calloc((size_t)loop->count, sizeof(loop->member[0]));
    loop->pollfd = calloc((size_t)loop->count, sizeof(loop->pollfd[0]));
    CHECK(loop->member && loop->pollfd);
    for (int i = 0; i < loop->count; i++) {
        struct cpg_name name = group_of(i);
        member_open(&loop->member[i]);
        CHECK(TAKEN(cpg_join(loop->member[i].handle, &name)) == CS_OK);
        loop->pollfd[i].events = POLLIN;
        CHECK(cpg_fd_get(loop->member[i].handle, &loop->pollfd[i].fd) == CS_OK);
    }
}

/* Once around; how many have not seen so much. */
static int turn(struct loop *loop, int seen, int timeout_ms)
{
    int left = 0;
    CHECK(poll(loop->pollfd, (nfds_t)loop->count, timeout_ms) >= 0);
    for (int i = 0; i < loop->count; i++) {
        struct member *m = &loop->member[i];
        if (loop->pollfd[i].revents)
            CHECK(cpg_dispatch(m->handle, i % 2 ? CS_DISPATCH_ONE : CS_DISPATCH_ALL) == CS_OK);
        left += atomic_load(&m->count) < seen;
    }
    return left;
}

static void run_until(struct loop *loop, int seen)
{
    while (turn(loop, seen, 1000) > 0)
        continue;
}

static void send_all(struct loop *loop, int round)
{
    char text[32];
    for (int i = 0; i < loop->count; i++) {
        snprintf(text, sizeof(text), "%d, round %d", i, round);
        cs_error_t answer;
        while ((answer = send_bytes(loop->member[i].handle, text, sizeof(text))) ==
               CS_ERR_TRY_AGAIN)
            turn(loop, 0, 1); /* as a main loop does */
        CHECK(answer == CS_OK);
    }
}

static void expect_own_things(const struct loop *loop)
{
    for (int i = 0; i < loop->count; i++) {
        const struct member *m = &loop->member[i];
        struct cpg_name name = group_of(i);
        EXPECT(atomic_load(&m->count) == 1 + ROUNDS);
        for (int n = 0; n <= ROUNDS; n++) {
            EXPECT(m->seen[n].group.length == name.length &&
                   memcmp(m->seen[n].group.value, name.value, name.length) == 0);
            EXPECT(m->seen[n].kind == (n ? SEEN_MESSAGE : SEEN_VIEW));
            EXPECT(n == 0 || strtol(m->seen[n].text, NULL, 10) == i);
        }
    }
}

/* What the idle ones keep must not stand in the way of the largest message (the word says). */
static void send_largest(struct member *m, size_t size)
{
    char *bytes = calloc(1, size);
    CHECK(bytes);
    for (int i = 0; i < 2; i++) {
        CHECK(TAKEN(send_bytes(m->handle, bytes, size)) == CS_OK);
        member_see(m, atomic_load(&m->count) + 1);
    }
    free(bytes);
}

CASE(H1_many_handles_in_one_loop)
{
    static struct loop loop;
    loop.count = atoi(probe_word(0));
    open_all(&loop);
    run_until(&loop, 1);
    probe_say("idle");
    probe_hear();
    for (int round = 0; round < ROUNDS; round++)
        send_all(&loop, round);
    run_until(&loop, 1 + ROUNDS);
    expect_own_things(&loop);
    send_largest(&loop.member[0], strtoull(probe_word(1), NULL, 10));
    probe_say("sent");
    probe_hear();
    for (int i = 0; i < loop.count; i += 2) /* the others go with the process */
        member_close(&loop.member[i]);
    for (int i = 0; i < loop.count; i++)
        EXPECT((fcntl(loop.pollfd[i].fd, F_GETFD) == -1) == (i % 2 == 0));
}

/* Bursts take more memory than a handle keeps; a program that then waits in poll() for ever calls
 * nothing by which the library could give it back later. */
CASE(C3_handles_that_are_idle_after_a_burst_keep_nobody_from_sending)
{
    enum { BURST = 600 };
    static struct loop loop;
    static char bytes[1024];
    loop.count = atoi(probe_word(0));
    open_all(&loop);
    run_until(&loop, 1);
    for (int i = 0; i < loop.count; i++) {
        struct member *m = &loop.member[i];
        for (int n = 0; n < BURST; n++) {
            cs_error_t answer;
            while ((answer = send_bytes(m->handle, bytes, sizeof(bytes))) == CS_ERR_TRY_AGAIN)
                turn(&loop, 0, 1);
            CHECK(answer == CS_OK);
        }
    }
    run_until(&loop, 1 + BURST);
    send_largest(&loop.member[0], strtoull(probe_word(1), NULL, 10));
    for (int i = 0; i < loop.count; i++)
        member_close(&loop.member[i]);
}
