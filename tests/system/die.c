/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * die.c - S6: processes that are killed at any instruction, in the middle of everything.
 *
 *   die COUNT SEED    one after the other; each says "PID" before it does anything
 *
 * A process opens, joins, sends small and large, with and without zero-copy buffers, leaves and
 * finalizes as it comes, until a thread of its own kills it, at the latest after some hundredths of
 * a second. What it says in a group is numbered without gaps from one of its joins to the next, and
 * each message tells whether it is whole (agent_message.c).
 */
#include "agent.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { GROUPS = 2, LARGE_BYTES = 3 << 20, LIFE_US_LEAST = 1024, LIFE_DOUBLINGS = 7 };

struct life {
    uint64_t seed;
    cpg_handle_t handle[GROUPS];
    bool open[GROUPS];
    uint32_t sent[GROUPS];
    uint8_t *bytes;
};

static const struct cpg_name group[GROUPS] = { { .length = 7, .value = "death a" },
                                               { .length = 7, .value = "death b" } };

static uint32_t draw(uint64_t *seed, uint32_t below)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((*seed >> 33) % below);
}

static void *death(void *argument)
{
    uint32_t us = *(uint32_t *)argument;
    nanosleep(&(struct timespec){ .tv_nsec = us * 1000L }, NULL);
    kill(getpid(), SIGKILL);
    return NULL;
}

static void on_message(cpg_handle_t handle, const struct cpg_name *name, uint32_t nodeid,
                       uint32_t pid, void *msg, size_t bytes)
{
    char label[LABEL_BYTES + 1];
    (void)handle, (void)name, (void)nodeid, (void)pid;
    if (!message_judge(msg, bytes, label))
        fprintf(stderr, "message %s of %u is not whole\n", label, pid);
}

static void open_one(struct life *life, int n)
{
    cpg_callbacks_t callbacks = { .cpg_deliver_fn = on_message };
    life->open[n] = cpg_initialize(&life->handle[n], &callbacks) == CS_OK;
}

static void send_one(struct life *life, int n, size_t size)
{
    char label[LABEL_BYTES];
    void *buffer = NULL;
    cs_error_t sent;
    snprintf(label, sizeof(label), "death:%u", life->sent[n]);
    message_fill(life->bytes, size, label);
    if (draw(&life->seed, 3) == 0 && cpg_zcb_alloc(life->handle[n], size, &buffer) == CS_OK) {
        memcpy(buffer, life->bytes, size);
        sent = cpg_zcb_mcast_joined(life->handle[n], CPG_TYPE_AGREED, buffer, size);
        cpg_zcb_free(life->handle[n], buffer);
    } else {
        struct iovec iov = { life->bytes, size };
        cpg_guarantee_t guarantee = draw(&life->seed, 4) ? CPG_TYPE_AGREED : CPG_TYPE_SAFE;
        sent = cpg_mcast_joined(life->handle[n], guarantee, &iov, 1);
    }
    life->sent[n] += sent == CS_OK;
}

static void send_some(struct life *life, int n)
{
    uint32_t kind = draw(&life->seed, 40);
    size_t least = LABEL_BYTES;
    if (kind == 0)
        send_one(life, n, least + draw(&life->seed, LARGE_BYTES));
    else if (kind < 4)
        send_one(life, n, least + draw(&life->seed, 200000));
    else
        for (uint32_t count = 1 + draw(&life->seed, 20); count > 0; count--)
            send_one(life, n, least + draw(&life->seed, 2000));
}

static void ask(const struct life *life, int n)
{
    struct cpg_address list[CPG_MEMBERS_MAX];
    struct cpg_iteration_description_t d;
    cpg_iteration_handle_t it;
    int count;
    cpg_membership_get(life->handle[n], (struct cpg_name *)(uintptr_t)&group[n], list, &count);
    if (cpg_iteration_initialize(life->handle[n], CPG_ITERATION_ALL, NULL, &it) == CS_OK)
        while (cpg_iteration_next(it, &d) == CS_OK)
            continue;
}

static void live(struct life *life)
{
    int n = (int)draw(&life->seed, GROUPS);
    uint32_t what = draw(&life->seed, 32);
    if (!life->open[n])
        open_one(life, n);
    else if (what == 0)
        life->open[n] = cpg_finalize(life->handle[n]) != CS_OK;
    else if (what == 1)
        cpg_leave(life->handle[n], &group[n]);
    else if (what < 6 && cpg_join(life->handle[n], &group[n]) == CS_OK)
        life->sent[n] = 0;
    else if (what < 8)
        ask(life, n);
    else if (what < 14)
        cpg_dispatch(life->handle[n], CS_DISPATCH_ALL);
    else
        send_some(life, n);
}

static void live_and_die(uint64_t seed)
{
    struct life life = { .seed = seed, .bytes = malloc(LARGE_BYTES + LABEL_BYTES) };
    uint32_t us = draw(&life.seed, LIFE_US_LEAST << draw(&life.seed, LIFE_DOUBLINGS));
    pthread_t thread;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    printf("%d\n", (int)getpid());
    fflush(stdout);
    if (!life.bytes || pthread_create(&thread, NULL, death, &us) != 0)
        abort();
    for (;;)
        live(&life);
}

int main(int argc, char **argv)
{
    int count = argc > 2 ? atoi(argv[1]) : 0;
    uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 0;
    for (int i = 0; i < count; i++) {
        int status = 0;
        pid_t pid = fork();
        if (pid == 0)
            live_and_die(seed + (uint64_t)i * 7919);
        if (pid < 0 || waitpid(pid, &status, 0) != pid)
            return 1;
        if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL) {
            fprintf(stderr, "%d ended by %#x and not by its own hand\n", (int)pid,
                    (unsigned)status);
            return 1;
        }
    }
    return 0;
}
