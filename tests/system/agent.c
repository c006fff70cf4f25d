/* SPDX-License-Identifier: BSD-3-Clause */
#include "agent.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { REFUSED_PAUSE_MS = 1 };

static uint64_t now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void nap(unsigned ms)
{
    struct timespec ts = { .tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000 };
    if (ms)
        nanosleep(&ts, NULL);
}

static struct agent_handle *handle_of(cpg_handle_t handle)
{
    void *context = NULL;
    cpg_context_get(handle, &context);
    return context;
}

/* Callbacks */

/* Messages of floods go to the record. */
static bool record(struct agent_handle *h, uint32_t nodeid, uint32_t pid, const char *label,
                   size_t bytes, bool whole)
{
    const char *colon = strchr(label, ':');
    if (!h->record || !colon)
        return false;
    struct agent_record r = {
        .nodeid = nodeid,
        .pid = pid,
        .number = (uint32_t)strtoul(colon + 1, NULL, 10),
        .bytes = (uint32_t)bytes | (whole ? 0 : 1u << 31),
    };
    h->recorded++;
    return fwrite(&r, sizeof(r), 1, h->record) == 1;
}

static void on_message(cpg_handle_t handle, const struct cpg_name *group, uint32_t nodeid,
                       uint32_t pid, void *msg, size_t bytes)
{
    struct agent_handle *h = handle_of(handle);
    char label[LABEL_BYTES + 1];
    bool whole = message_judge(msg, bytes, label);
    if (!record(h, nodeid, pid, label, bytes, whole)) {
        say(h->agent, "{\"e\":\"msg\",\"h\":\"%s\",\"t\":%" PRIu64 ",\"at\":%" PRIu64 ",\"g\":\"",
            h->name, now_ns(), h->recorded);
        say_hex(h->agent, group->value, group->length);
        say(h->agent, "\",\"n\":%u,\"p\":%u,\"b\":%zu,\"l\":\"%s\",\"ok\":%d,\"al\":%d}\n", nodeid,
            pid, bytes, label, whole, (int)((uintptr_t)msg % 16));
    }
    memset(msg, 0xee, bytes); /* D9: the bytes are ours to change, nobody else sees it */
    nap(h->nap_ms);
}

static void say_addresses(struct agent *agent, const char *key, const struct cpg_address *list,
                          size_t count)
{
    say(agent, ",\"%s\":[", key);
    for (size_t i = 0; i < count; i++)
        say(agent, "%s[%u,%u,%u]", i ? "," : "", list[i].nodeid, list[i].pid, list[i].reason);
    say(agent, "]");
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
    say(h->agent, "{\"e\":\"view\",\"h\":\"%s\",\"t\":%" PRIu64 ",\"at\":%" PRIu64 ",\"g\":\"",
        h->name, now_ns(), h->recorded);
    say_hex(h->agent, group->value, group->length);
    say(h->agent, "\",\"clean\":%d,\"null\":%d", clean, !member || !left || !joined); /* X9 */
    say_addresses(h->agent, "m", member, members);
    say_addresses(h->agent, "l", left, left_count);
    say_addresses(h->agent, "j", joined, joined_count);
    say(h->agent, "}\n");
    nap(h->nap_ms);
}

static void on_ring(cpg_handle_t handle, struct cpg_ring_id ring, uint32_t count,
                    const uint32_t *members)
{
    struct agent_handle *h = handle_of(handle);
    say(h->agent,
        "{\"e\":\"ring\",\"h\":\"%s\",\"at\":%" PRIu64 ",\"rep\":%u,\"seq\":%" PRIu64 ",\"m\":[",
        h->name, h->recorded, ring.nodeid, (uint64_t)ring.seq);
    for (uint32_t i = 0; i < count; i++)
        say(h->agent, "%s%u", i ? "," : "", members[i]);
    say(h->agent, "]}\n");
}

/* Commands */

static struct agent_handle *find(struct agent *agent, const char *name)
{
    for (int i = 0; i < HANDLES_MAX; i++)
        if (agent->table[i].used && strcmp(agent->table[i].name, name) == 0)
            return &agent->table[i];
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
    /* What lies behind the name is nobody's business, and nobody may see it (N3). */
    if (name.length < sizeof(name.value))
        memset(name.value + name.length, 'G', sizeof(name.value) - name.length);
    return name;
}

/* ID init HANDLE FLAGS [plain]: plain handles dispatch only when told to */
static void do_init(struct agent *agent, const char *id, int argc, char **argv)
{
    cpg_model_v1_data_t model = {
        .model = CPG_MODEL_V1,
        .cpg_deliver_fn = on_message,
        .cpg_confchg_fn = on_view,
        .cpg_totem_confchg_fn = on_ring,
        .flags = argc > 1 ? (unsigned)atoi(argv[1]) : 0,
    };
    struct agent_handle *h = agent->table;
    while (h < agent->table + HANDLES_MAX && h->used)
        h++;
    if (h == agent->table + HANDLES_MAX) {
        say_answer(agent, id, -1);
        return;
    }
    *h = (struct agent_handle){ .agent = agent, .dispatches = argc < 3 };
    snprintf(h->name, sizeof(h->name), "%s", argv[0]);
    cs_error_t error =
        cpg_model_initialize(&h->handle, CPG_MODEL_V1, (cpg_model_data_t *)&model, h);
    h->used = error == CS_OK;
    if (h->used)
        cpg_fd_get(h->handle, &h->fd);
    say_answer(agent, id, (int)error);
}

/* ID send HANDLE GUARANTEE BYTES LABEL: one try */
static void do_send(struct agent_handle *h, const char *id, char **argv)
{
    size_t bytes = strtoull(argv[1], NULL, 0);
    uint8_t *payload = malloc(bytes + 1);
    if (!payload)
        abort();
    message_fill(payload, bytes, argv[2]);
    struct iovec iov[2] = { { payload, bytes / 2 }, { payload + bytes / 2, bytes - bytes / 2 } };
    cs_error_t error = cpg_mcast_joined(h->handle, (cpg_guarantee_t)atoi(argv[0]), iov, 2);
    memset(payload, 0x55, bytes); /* the caller's memory is its own again */
    free(payload);
    say_answer(h->agent, id, (int)error);
}

static void do_members(struct agent_handle *h, const char *id, const char *group)
{
    struct cpg_name name = parse_name(group);
    struct cpg_address list[CPG_MEMBERS_MAX];
    int count = 0;
    cs_error_t error = cpg_membership_get(h->handle, &name, list, &count);
    say(h->agent, "{\"a\":%s,\"r\":%d", id, (int)error);
    say_addresses(h->agent, "m", list, (size_t)count);
    say(h->agent, "}\n");
}

static void do_iterate(struct agent_handle *h, const char *id, int argc, char **argv)
{
    struct cpg_name name = parse_name(argc > 1 ? argv[1] : "-");
    cpg_iteration_handle_t iteration;
    struct cpg_iteration_description_t d;
    cs_error_t error = cpg_iteration_initialize(h->handle, (cpg_iteration_type_t)atoi(argv[0]),
                                                argc > 1 ? &name : NULL, &iteration);
    say(h->agent, "{\"a\":%s,\"r\":%d,\"i\":[", id, (int)error);
    for (int i = 0; error == CS_OK && cpg_iteration_next(iteration, &d) == CS_OK; i++) {
        say(h->agent, "%s[\"", i ? "," : "");
        say_hex(h->agent, d.group.value, d.group.length);
        say(h->agent, "\",%u,%u]", d.nodeid, d.pid);
    }
    say(h->agent, "]}\n");
    if (error == CS_OK)
        cpg_iteration_finalize(iteration);
}

/* ID record HANDLE [FILE]: messages to a file from now on; without a file, what is there is
 * written out */
static void do_record(struct agent_handle *h, const char *id, int argc, char **argv)
{
    if (argc > 0)
        h->record = fopen(argv[0], "wb");
    else if (h->record)
        fflush(h->record);
    say_answer(h->agent, id, h->record ? CS_OK : -errno);
}

static void do_finalize(struct agent_handle *h, const char *id)
{
    flood_end(h, CS_ERR_BAD_HANDLE);
    say_answer(h->agent, id, (int)cpg_finalize(h->handle));
    if (h->record)
        fclose(h->record);
    h->record = NULL;
    h->used = false;
}

/* What the descriptor says, at the latest after so many ms. */
static void do_poll(struct agent_handle *h, const char *id, int ms)
{
    struct pollfd pollfd = { .fd = h->fd, .events = POLLIN };
    poll(&pollfd, 1, ms);
    say(h->agent, "{\"a\":%s,\"r\":1,\"revents\":%d}\n", id, pollfd.revents);
}

static void do_ask(struct agent_handle *h, const char *id, const char *verb)
{
    unsigned local = 0;
    uint32_t most = 0;
    cs_error_t error = strcmp(verb, "local") == 0 ? cpg_local_get(h->handle, &local)
                                                  : cpg_max_atomic_msgsize_get(h->handle, &most);
    say(h->agent, "{\"a\":%s,\"r\":%d,\"n\":%u}\n", id, (int)error, local + most);
}

static void do_with_handle(struct agent_handle *h, const char *id, const char *verb, int argc,
                           char **argv)
{
    struct cpg_name name = parse_name(argc > 0 ? argv[0] : "-");
    struct agent *agent = h->agent;
    if (strcmp(verb, "join") == 0) {
        say_answer(agent, id, (int)cpg_join(h->handle, &name));
    } else if (strcmp(verb, "leave") == 0) {
        say_answer(agent, id, (int)cpg_leave(h->handle, &name));
    } else if (strcmp(verb, "finalize") == 0) {
        do_finalize(h, id);
    } else if (strcmp(verb, "send") == 0 && argc >= 3) {
        do_send(h, id, argv);
    } else if (strcmp(verb, "flood") == 0 && argc >= 4) {
        flood_start(h, id, argc, argv);
    } else if (strcmp(verb, "halt") == 0) {
        flood_end(h, CS_OK);
        say_answer(agent, id, CS_OK);
    } else if (strcmp(verb, "members") == 0 && argc >= 1) {
        do_members(h, id, argv[0]);
    } else if (strcmp(verb, "iterate") == 0 && argc >= 1) {
        do_iterate(h, id, argc, argv);
    } else if (strcmp(verb, "local") == 0 || strcmp(verb, "most") == 0) {
        do_ask(h, id, verb);
    } else if (strcmp(verb, "dispatch") == 0 && argc >= 1) {
        say_answer(agent, id, (int)cpg_dispatch(h->handle, (cs_dispatch_flags_t)atoi(argv[0])));
    } else if (strcmp(verb, "auto") == 0 && argc >= 1) {
        h->dispatches = atoi(argv[0]) != 0;
        say_answer(agent, id, CS_OK);
    } else if (strcmp(verb, "nap") == 0 && argc >= 1) {
        h->nap_ms = (unsigned)atoi(argv[0]);
        say_answer(agent, id, CS_OK);
    } else if (strcmp(verb, "pace") == 0 && argc >= 1) {
        h->pace = (unsigned)atoi(argv[0]);
        say_answer(agent, id, CS_OK);
    } else if (strcmp(verb, "record") == 0) {
        do_record(h, id, argc, argv);
    } else if (strcmp(verb, "poll") == 0) {
        do_poll(h, id, argc > 0 ? atoi(argv[0]) : 0);
    } else {
        say_answer(agent, id, -2);
    }
}

static void obey(struct agent *agent, char *line)
{
    char *words[WORDS_MAX], *rest = NULL;
    int count = 0;
    for (char *w = strtok_r(line, " \n", &rest); w && count < WORDS_MAX;
         w = strtok_r(NULL, " \n", &rest))
        words[count++] = w;
    if (count < 2)
        return;
    struct agent_handle *h = count >= 3 ? find(agent, words[2]) : NULL;
    if (strcmp(words[1], "quit") == 0) { /* without finalizing anything */
        agent->quit = true;
        say_answer(agent, words[0], CS_OK);
    } else if (strcmp(words[1], "spin") == 0) {
        agent->spins = true;
        say_answer(agent, words[0], CS_OK);
    } else if (strcmp(words[1], "init") == 0 && count >= 3) {
        do_init(agent, words[0], count - 2, words + 2);
    } else if (h) {
        do_with_handle(h, words[0], words[1], count - 3, words + 3);
    } else {
        say_answer(agent, words[0], -3);
    }
}

static void read_commands(struct agent *agent)
{
    ssize_t got = read(0, agent->line + agent->line_bytes, LINE_BYTES - 1 - agent->line_bytes);
    if (got <= 0) {
        agent->quit = true;
        return;
    }
    agent->line_bytes += (size_t)got;
    char *end;
    while (!agent->quit && (end = memchr(agent->line, '\n', agent->line_bytes)) != NULL) {
        size_t used = (size_t)(end - agent->line) + 1;
        char line[LINE_BYTES];
        memcpy(line, agent->line, used);
        line[used] = 0;
        memmove(agent->line, agent->line + used, agent->line_bytes - used);
        agent->line_bytes -= used;
        obey(agent, line);
    }
}

/* The loop */

static void dispatch_ready(struct agent_handle *h)
{
    cs_error_t error = cpg_dispatch(h->handle, CS_DISPATCH_ALL);
    if (h->record)
        fflush(h->record);
    if (error == CS_OK || error == CS_ERR_TRY_AGAIN)
        return;
    say(h->agent, "{\"e\":\"lost\",\"h\":\"%s\",\"r\":%d}\n", h->name, (int)error);
    h->dispatches = false;
}

/* How long the loop may wait after this: 0 while floods go on. */
static int go_on(struct agent *agent)
{
    int wait_ms = -1;
    for (int i = 0; i < HANDLES_MAX; i++) {
        struct agent_handle *h = &agent->table[i];
        if (!h->used || !h->flood.active)
            continue;
        if (flood_go_on(h) || agent->spins)
            wait_ms = 0;
        else if (wait_ms != 0)
            wait_ms = REFUSED_PAUSE_MS;
    }
    return wait_ms;
}

static void turn(struct agent *agent)
{
    struct pollfd pollfds[2 + HANDLES_MAX] = { { .fd = 0, .events = POLLIN } };
    struct agent_handle *ready[2 + HANDLES_MAX];
    int count = 2, wait_ms = go_on(agent);
    for (int i = 0; i < HANDLES_MAX; i++) {
        if (!agent->table[i].used || !agent->table[i].dispatches)
            continue;
        ready[count] = &agent->table[i];
        pollfds[count++] = (struct pollfd){ .fd = agent->table[i].fd, .events = POLLIN };
    }
    say_flush(agent, false);
    pollfds[1] = (struct pollfd){ .fd = agent->saying.used ? 1 : -1, .events = POLLOUT };
    if (poll(pollfds, (nfds_t)count, wait_ms) < 0)
        return;
    for (int i = 2; i < count; i++)
        if (pollfds[i].revents && ready[i]->used)
            dispatch_ready(ready[i]);
    if (pollfds[0].revents)
        read_commands(agent);
}

int main(void)
{
    struct agent *agent = calloc(1, sizeof(*agent));
    if (!agent || fcntl(1, F_SETFL, fcntl(1, F_GETFL) | O_NONBLOCK) < 0)
        return 1;
    while (!agent->quit)
        turn(agent);
    say_flush(agent, true);
    _exit(0); /* as a program that crashes would: nothing is finalized */
}
