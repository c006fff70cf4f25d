/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * control_fuzz.c - clients that send any packets, in any order, while the core answers when it
 * likes.
 *
 * Claims: the control thread survives it; requests are answered in order, each at most once, a kick
 * never, and descriptors come only with what was done (K1, K2 of ctl.h); and when all clients are
 * gone everything that was made for them is given back: resources_close() counts.
 */
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "corosync/corotypes.h"
#include "daemon/ask.h"
#include "daemon/connection.h"
#include "daemon/fake_core.h"
#include "daemon/log.h"
#include "daemon/loop.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SOCKETS = 4, STEPS_MAX = 64, CLIENTS_MAX = 3 };

/* What one connection has asked for, in order, and how much of it was answered. */
struct story {
    uint16_t asked[STEPS_MAX];
    int asked_count, answered;
};

struct fuzz {
    struct config config;
    struct state state;
    struct resources resources;
    struct core core;
    struct control control;
    int socket[SOCKETS]; /* the clients' ends */
    struct story story[SOCKETS];
    const uint8_t *at, *end;
};

static uint8_t next_byte(struct fuzz *f)
{
    return f->at < f->end ? *f->at++ : 0;
}

static void open_all(struct fuzz *f)
{
    char why[256];
    f->config = (struct config){ .rx_bytes = 4096,
                                 .tx_total_bytes = 8 << 20,
                                 .message_bytes_max = 4 << 20,
                                 .clients_max = CLIENTS_MAX,
                                 .cluster_name = "fuzz",
                                 .transport = "udp",
                                 .poll_cpu = -1 };
    fake_core_init(&f->core);
    int failed = resources_open(&f->resources, &f->config, why, sizeof(why));
    INVARIANT(!failed);
    f->control = (struct control){ .config = &f->config,
                                   .core = &f->core,
                                   .resources = &f->resources,
                                   .state = &f->state,
                                   .loop = loop_create(),
                                   .listener = { .fd = -1, .spare_fd = -1 } };
    f->control.unsent_last = &f->control.unsent_first;
    f->control.handles = calloc(CLIENTS_MAX, sizeof(f->control.handles[0]));
    for (int i = 0; i < SOCKETS; i++)
        f->socket[i] = -1;
}

static void close_all(struct fuzz *f)
{
    for (int i = 0; i < SOCKETS; i++)
        if (f->socket[i] >= 0)
            close(f->socket[i]);
    control_close(&f->control);
    INVARIANT(f->control.connection_count == 0);
    INVARIANT(f->control.handle_count == 0);
    loop_destroy(f->control.loop);
    resources_close(&f->resources);
    fake_core_free(&f->core);
}

static void step_connect(struct fuzz *f, int i)
{
    int pair[2];
    if (f->socket[i] >= 0)
        close(f->socket[i]);
    f->socket[i] = -1;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) != 0)
        return;
    f->socket[i] = pair[1];
    f->story[i] = (struct story){ 0 };
    connection_accept(&f->control, pair[0], false);
    connection_sweep(&f->control);
}

static void send_packet(struct fuzz *f, int i, const void *packet, size_t bytes)
{
    struct ctl_request request = { 0 };
    struct story *story = &f->story[i];
    memcpy(&request, packet, min_u64(bytes, sizeof(request)));
    if (ctl_send(f->socket[i], packet, bytes, NULL, 0) > 0 && request.type != CTL_KICK)
        story->asked[story->asked_count++] = request.type;
}

/* A request nearly as clients send it. */
static void step_request(struct fuzz *f, int i)
{
    struct ctl_request request = { .magic = CTL_MAGIC, .version = CTL_VERSION };
    request.type = next_byte(f) % 13;
    request.arg = next_byte(f);
    request.name_bytes = next_byte(f) % (CTL_NAME_BYTES + 2);
    request.arg64 = (uint64_t)next_byte(f) << (next_byte(f) % 40);
    request.name[0] = (uint8_t)request.arg;
    send_packet(f, i, &request, sizeof(request));
}

static void step_bytes(struct fuzz *f, int i)
{
    uint8_t packet[256];
    uint8_t bytes = next_byte(f);
    for (int j = 0; j < bytes; j++)
        packet[j] = next_byte(f);
    send_packet(f, i, packet, bytes);
}

static void answered(struct story *story, const struct ctl_answer *answer, int fd_count)
{
    INVARIANT(answer->magic == CTL_MAGIC && answer->version == CTL_VERSION);
    INVARIANT(story->answered < story->asked_count);
    INVARIANT(answer->type == story->asked[story->answered++]); /* K1 */
    INVARIANT(fd_count == 0 || answer->error == CS_OK);         /* K2 */
}

/* Answers that came to a client are looked at, their descriptors closed. */
static void step_drain(struct fuzz *f, int i)
{
    struct ctl_answer answer;
    int fds[CTL_FDS_MAX], fd_count = CTL_FDS_MAX, bytes;
    while ((bytes = ctl_recv(f->socket[i], &answer, sizeof(answer), fds, &fd_count, NULL)) > 0) {
        INVARIANT(bytes == sizeof(answer));
        answered(&f->story[i], &answer, fd_count);
        while (fd_count > 0)
            close(fds[--fd_count]);
        fd_count = CTL_FDS_MAX;
    }
}

static void step_core(struct fuzz *f)
{
    static const uint32_t held[] = { UINT32_MAX,       CORE_CLIENT_ADD, CORE_CLIENT_JOIN,
                                     CORE_SEGMENT_ADD, CORE_STATUS,     CORE_ITERATE };
    uint8_t what = next_byte(f);
    struct core_event event = { .type = what & 1 ? CORE_EVENT_FORMED : CORE_EVENT_EVICT,
                                .slot = what >> 4,
                                .error = CHAN_EVICTED_RULES,
                                .arg = what };
    if (what & 2)
        fake_say(&f->core, &event);
    f->core.full = what & 4;
    f->core.error = what & 8 ? 18 : 0;
    f->core.entry_count = what;
    f->core.held_type = held[(what >> 4) % ARRAY_COUNT(held)];
}

/* What the core did not answer then, it answers now. */
static void answer_all(struct fuzz *f)
{
    f->core.full = false;
    f->core.held_type = UINT32_MAX;
    f->core.error = 0;
    ask_send_waiting(&f->control);
    control_events(&f->control);
    for (struct ask *ask = f->control.asks, *next; ask; ask = next) {
        next = ask->next;
        if (ask->command.type == CORE_SEGMENT_ADD || ask->command.type == CORE_CLIENT_ADD)
            fake_answer(&f->core, &ask->command, 8, 0);
        else
            fake_answer(&f->core, &ask->command, 8, 0);
    }
    control_events(&f->control);
    INVARIANT(!f->control.asks);
}

static void let_control_run(struct fuzz *f)
{
    struct connection *next;
    control_events(&f->control);
    for (struct connection *conn = f->control.connections; conn; conn = next) {
        next = conn->next;
        connection_readable(conn);
    }
    control_events(&f->control);
}

static void step(struct fuzz *f)
{
    uint8_t what = next_byte(f);
    int i = what >> 6;
    switch (what % 6) {
    case 0:
        step_connect(f, i);
        break;
    case 1:
    case 2:
        step_request(f, i);
        break;
    case 3:
        step_bytes(f, i);
        break;
    case 4:
        step_core(f);
        break;
    case 5:
        let_control_run(f);
        step_drain(f, i);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct fuzz f;
    static const struct config quiet;
    static bool open;
    if (!open)
        log_open(&quiet, false);
    open = true;
    f.at = data;
    f.end = data + size;
    open_all(&f);
    for (int i = 0; i < STEPS_MAX && f.at < f.end; i++)
        step(&f);
    let_control_run(&f);
    answer_all(&f);
    for (int i = 0; i < SOCKETS; i++)
        step_drain(&f, i);
    close_all(&f);
    return 0;
}
