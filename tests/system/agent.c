/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * agent.c - a CPG program that does as it is told: the hands of the system tests.
 *
 * It knows nothing but corosync/cpg.h, so that the same source builds against Corosync's headers.
 * Commands come on standard input, one a line, `ID VERB HANDLE [ARGUMENT ...]`; each is answered by
 * one JSON line {"a": ID, "r": cs_error, ...}. Events of handles that dispatch by themselves are
 * JSON lines {"e": ...} in the order of the callbacks. Group names are written as hex.
 *
 * A message carries a label and a pattern that follows from label and position, so that a receiver
 * can say whether every byte is right.
 */

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <corosync/cpg.h>

enum { HANDLES_MAX = 512, LABEL_BYTES = 32, WORDS_MAX = 16, LINE_BYTES = 8192 };

struct agent_handle {
    char name[16];
    cpg_handle_t handle;
    bool used, dispatches;
    int fd;
    uint64_t delivered;
};

struct agent {
    struct agent_handle table[HANDLES_MAX];
    bool quit, quiet; /* quiet: messages are counted and hashed, not told one by one */
    char line[LINE_BYTES];
    size_t line_bytes;
};

/* The callbacks of CPG take no context but the handle's, which is the agent_handle. */
static struct agent agent;

static void say(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
}

static uint64_t now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void say_hex(const char *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        say("%02x", (unsigned char)bytes[i]);
}

static struct agent_handle *handle_of(cpg_handle_t handle)
{
    void *context = NULL;
    cpg_context_get(handle, &context);
    return context;
}

/* Byte `at` of a message: label first, then a pattern that repeats at no round number. */
static uint8_t pattern(uint32_t seed, size_t at)
{
    return (uint8_t)((seed * 2654435761u + at * 31u + (at >> 8) * 17u + (at >> 16)) >> 3);
}

static uint32_t label_seed(const char *label)
{
    uint32_t seed = 2166136261u;
    for (; *label; label++)
        seed = (seed ^ (uint8_t)*label) * 16777619u;
    return seed;
}

static void fill(uint8_t *bytes, size_t count, const char *label)
{
    char head[LABEL_BYTES] = { 0 };
    uint32_t seed = label_seed(label);
    snprintf(head, sizeof(head), "%s", label);
    for (size_t i = 0; i < count; i++)
        bytes[i] = i < LABEL_BYTES ? (uint8_t)head[i] : pattern(seed, i);
}

static bool intact(const uint8_t *bytes, size_t count, const char *label)
{
    uint32_t seed = label_seed(label);
    for (size_t i = LABEL_BYTES; i < count; i++)
        if (bytes[i] != pattern(seed, i))
            return false;
    return true;
}

static void on_message(cpg_handle_t handle, const struct cpg_name *group, uint32_t nodeid,
                       uint32_t pid, void *msg, size_t bytes)
{
    struct agent_handle *h = handle_of(handle);
    char label[LABEL_BYTES + 1] = { 0 };
    memcpy(label, msg, bytes < LABEL_BYTES ? bytes : LABEL_BYTES);
    for (char *c = label; *c; c++)
        if (*c < ' ' || *c > '~' || *c == '"' || *c == '\\')
            *c = '?';
    h->delivered++;
    say("{\"e\":\"msg\",\"h\":\"%s\",\"g\":\"", h->name);
    say_hex(group->value, group->length);
    say("\",\"n\":%u,\"p\":%u,\"b\":%zu,\"l\":\"%s\",\"ok\":%d,\"al\":%d}\n", nodeid, pid, bytes,
        label, intact(msg, bytes, label), (int)((uintptr_t)msg % 16));
    memset(msg, 0xee, bytes); /* D9: the bytes are ours to change, nobody else sees it */
}

static void say_addresses(const char *key, const struct cpg_address *list, size_t count)
{
    say(",\"%s\":[", key);
    for (size_t i = 0; i < count; i++)
        say("%s[%u,%u,%u]", i ? "," : "", list[i].nodeid, list[i].pid, list[i].reason);
    say("]");
}

static void on_view(cpg_handle_t handle, const struct cpg_name *group,
                    const struct cpg_address *member, size_t members,
                    const struct cpg_address *left, size_t left_count,
                    const struct cpg_address *joined, size_t joined_count)
{
    struct agent_handle *h = handle_of(handle);
    bool clean = true;
    for (size_t i = group->length; i < sizeof(group->value); i++)
        clean = clean && group->value[i] == 0; /* N3 */
    say("{\"e\":\"view\",\"h\":\"%s\",\"t\":%llu,\"g\":\"", h->name, (unsigned long long)now_ns());
    say_hex(group->value, group->length);
    say("\",\"clean\":%d,\"null\":%d", clean, !member || !left || !joined); /* X9 */
    say_addresses("m", member, members);
    say_addresses("l", left, left_count);
    say_addresses("j", joined, joined_count);
    say("}\n");
}

static void on_ring(cpg_handle_t handle, struct cpg_ring_id ring, uint32_t count,
                    const uint32_t *members)
{
    struct agent_handle *h = handle_of(handle);
    say("{\"e\":\"ring\",\"h\":\"%s\",\"rep\":%u,\"seq\":%llu,\"m\":[", h->name, ring.nodeid,
        (unsigned long long)ring.seq);
    for (uint32_t i = 0; i < count; i++)
        say("%s%u", i ? "," : "", members[i]);
    say("]}\n");
}

static struct agent_handle *find(const char *name)
{
    for (int i = 0; i < HANDLES_MAX; i++)
        if (agent.table[i].used && strcmp(agent.table[i].name, name) == 0)
            return &agent.table[i];
    return NULL;
}

static struct cpg_name parse_name(const char *hex)
{
    struct cpg_name name = { 0 };
    if (strcmp(hex, "-") == 0)
        return name;
    name.length = (uint32_t)strlen(hex) / 2;
    for (uint32_t i = 0; i < name.length && i < sizeof(name.value); i++) {
        unsigned byte = 0;
        sscanf(hex + 2 * i, "%2x", &byte);
        name.value[i] = (char)byte;
    }
    return name;
}

static void answer(const char *id, int result)
{
    say("{\"a\":%s,\"r\":%d}\n", id, result);
}

/* ID init HANDLE FLAGS [plain]: plain handles dispatch only when told to */
static void do_init(const char *id, int argc, char **argv)
{
    cpg_model_v1_data_t model = {
        .model = CPG_MODEL_V1,
        .cpg_deliver_fn = on_message,
        .cpg_confchg_fn = on_view,
        .cpg_totem_confchg_fn = on_ring,
        .flags = argc > 1 ? (unsigned)atoi(argv[1]) : 0,
    };
    for (int i = 0; i < HANDLES_MAX; i++) {
        struct agent_handle *h = &agent.table[i];
        if (h->used)
            continue;
        snprintf(h->name, sizeof(h->name), "%s", argv[0]);
        h->delivered = 0;
        cs_error_t error =
            cpg_model_initialize(&h->handle, CPG_MODEL_V1, (cpg_model_data_t *)&model, h);
        h->used = error == CS_OK;
        h->dispatches = argc < 3;
        if (h->used)
            cpg_fd_get(h->handle, &h->fd);
        answer(id, (int)error);
        return;
    }
    answer(id, -1);
}

/* ID send HANDLE GUARANTEE BYTES LABEL: one try */
static void do_send(const char *id, struct agent_handle *h, char **argv)
{
    size_t bytes = strtoull(argv[1], NULL, 0);
    uint8_t *payload = malloc(bytes + 1);
    fill(payload, bytes, argv[2]);
    struct iovec iov[2] = { { payload, bytes / 2 }, { payload + bytes / 2, bytes - bytes / 2 } };
    answer(id, (int)cpg_mcast_joined(h->handle, (cpg_guarantee_t)atoi(argv[0]), iov, 2));
    free(payload);
}

/* ID flood HANDLE GUARANTEE BYTES LABEL COUNT: until all are accepted, dispatching in between; a
 * size of "rN" draws sizes from 0 to N. Answers with the number accepted. */
static void do_flood(const char *id, struct agent_handle *h, char **argv)
{
    bool random_size = argv[1][0] == 'r';
    size_t most = strtoull(argv[1] + random_size, NULL, 0);
    uint64_t count = strtoull(argv[3], NULL, 0), sent = 0;
    uint8_t *payload = malloc(most + LABEL_BYTES);
    uint32_t draw = label_seed(argv[2]) | 1;
    cs_error_t error = CS_OK;
    while (sent < count) {
        char label[LABEL_BYTES];
        size_t bytes = most;
        snprintf(label, sizeof(label), "%s:%llu", argv[2], (unsigned long long)sent);
        if (random_size) {
            draw = draw * 1664525u + 1013904223u;
            bytes = LABEL_BYTES + (most ? (draw >> 8) % most : 0);
        }
        fill(payload, bytes, label);
        struct iovec iov = { payload, bytes };
        do {
            error = cpg_mcast_joined(h->handle, (cpg_guarantee_t)atoi(argv[0]), &iov, 1);
            if (error == CS_ERR_TRY_AGAIN && h->dispatches)
                cpg_dispatch(h->handle, CS_DISPATCH_ALL);
        } while (error == CS_ERR_TRY_AGAIN || error == CS_ERR_INTERRUPT);
        if (error != CS_OK)
            break;
        sent++;
    }
    say("{\"a\":%s,\"r\":%d,\"sent\":%llu}\n", id, (int)error, (unsigned long long)sent);
    free(payload);
}

static void do_members(const char *id, struct agent_handle *h, char **argv)
{
    struct cpg_name name = parse_name(argv[0]);
    struct cpg_address list[CPG_MEMBERS_MAX];
    int count = 0;
    cs_error_t error = cpg_membership_get(h->handle, &name, list, &count);
    say("{\"a\":%s,\"r\":%d", id, (int)error);
    say_addresses("m", list, (size_t)count);
    say("}\n");
}

static void do_iterate(const char *id, struct agent_handle *h, int argc, char **argv)
{
    struct cpg_name name = parse_name(argc > 1 ? argv[1] : "-");
    cpg_iteration_handle_t iteration;
    struct cpg_iteration_description_t d;
    cs_error_t error = cpg_iteration_initialize(h->handle, (cpg_iteration_type_t)atoi(argv[0]),
                                                argc > 1 ? &name : NULL, &iteration);
    say("{\"a\":%s,\"r\":%d,\"i\":[", id, (int)error);
    for (int i = 0; error == CS_OK && cpg_iteration_next(iteration, &d) == CS_OK; i++) {
        say("%s[\"", i ? "," : "");
        say_hex(d.group.value, d.group.length);
        say("\",%u,%u]", d.nodeid, d.pid);
    }
    say("]}\n");
    if (error == CS_OK)
        cpg_iteration_finalize(iteration);
}

static void do_with_handle(const char *id, const char *verb, struct agent_handle *h, int argc,
                           char **argv)
{
    struct cpg_name name = parse_name(argc > 0 ? argv[0] : "-");
    unsigned local = 0;
    if (strcmp(verb, "join") == 0) {
        answer(id, (int)cpg_join(h->handle, &name));
    } else if (strcmp(verb, "leave") == 0) {
        answer(id, (int)cpg_leave(h->handle, &name));
    } else if (strcmp(verb, "finalize") == 0) {
        answer(id, (int)cpg_finalize(h->handle));
        h->used = false;
    } else if (strcmp(verb, "send") == 0 && argc >= 3) {
        do_send(id, h, argv);
    } else if (strcmp(verb, "flood") == 0 && argc >= 4) {
        do_flood(id, h, argv);
    } else if (strcmp(verb, "members") == 0) {
        do_members(id, h, argv);
    } else if (strcmp(verb, "iterate") == 0 && argc >= 1) {
        do_iterate(id, h, argc, argv);
    } else if (strcmp(verb, "local") == 0) {
        cs_error_t error = cpg_local_get(h->handle, &local);
        say("{\"a\":%s,\"r\":%d,\"n\":%u}\n", id, (int)error, local);
    } else if (strcmp(verb, "dispatch") == 0 && argc >= 1) {
        cs_error_t error = cpg_dispatch(h->handle, (cs_dispatch_flags_t)atoi(argv[0]));
        answer(id, (int)error);
    } else if (strcmp(verb, "auto") == 0 && argc >= 1) {
        h->dispatches = atoi(argv[0]) != 0;
        answer(id, 1);
    } else if (strcmp(verb, "poll") == 0) { /* what does the descriptor say now? */
        struct pollfd pollfd = { .fd = h->fd, .events = POLLIN };
        poll(&pollfd, 1, argc > 0 ? atoi(argv[0]) : 0);
        say("{\"a\":%s,\"r\":1,\"revents\":%d}\n", id, pollfd.revents);
    } else {
        answer(id, -2);
    }
}

static void obey(char *line)
{
    char *words[WORDS_MAX];
    int count = 0;
    for (char *w = strtok(line, " \n"); w && count < WORDS_MAX; w = strtok(NULL, " \n"))
        words[count++] = w;
    if (count < 2)
        return;
    if (strcmp(words[1], "quit") == 0) {
        agent.quit = true;
        answer(words[0], 1);
    } else if (strcmp(words[1], "init") == 0 && count >= 3) {
        do_init(words[0], count - 2, words + 2);
    } else if (count >= 3 && find(words[2])) {
        do_with_handle(words[0], words[1], find(words[2]), count - 3, words + 3);
    } else {
        answer(words[0], -3);
    }
}

static void read_commands(void)
{
    ssize_t got = read(0, agent.line + agent.line_bytes, LINE_BYTES - 1 - agent.line_bytes);
    if (got <= 0) {
        agent.quit = true;
        return;
    }
    agent.line_bytes += (size_t)got;
    char *end;
    while ((end = memchr(agent.line, '\n', agent.line_bytes)) != NULL) {
        size_t used = (size_t)(end - agent.line) + 1;
        char line[LINE_BYTES];
        memcpy(line, agent.line, used);
        line[used] = 0;
        memmove(agent.line, agent.line + used, agent.line_bytes - used);
        agent.line_bytes -= used;
        obey(line);
    }
}

static void dispatch_ready(struct agent_handle *h)
{
    cs_error_t error = cpg_dispatch(h->handle, CS_DISPATCH_ALL);
    if (error == CS_OK || error == CS_ERR_TRY_AGAIN)
        return;
    say("{\"e\":\"lost\",\"h\":\"%s\",\"r\":%d}\n", h->name, (int)error);
    h->dispatches = false;
}

int main(void)
{
    setvbuf(stdout, NULL, _IOFBF, 1 << 20);
    while (!agent.quit) {
        struct pollfd pollfds[1 + HANDLES_MAX] = { { .fd = 0, .events = POLLIN } };
        struct agent_handle *ready[1 + HANDLES_MAX];
        int count = 1;
        for (int i = 0; i < HANDLES_MAX; i++) {
            if (!agent.table[i].used || !agent.table[i].dispatches)
                continue;
            ready[count] = &agent.table[i];
            pollfds[count++] = (struct pollfd){ .fd = agent.table[i].fd, .events = POLLIN };
        }
        fflush(stdout);
        if (poll(pollfds, (nfds_t)count, -1) < 0)
            continue;
        for (int i = 1; i < count; i++)
            if (pollfds[i].revents && ready[i]->used)
                dispatch_ready(ready[i]);
        if (pollfds[0].revents)
            read_commands();
    }
    fflush(stdout);
    return 0;
}
