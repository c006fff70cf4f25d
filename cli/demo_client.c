/* SPDX-License-Identifier: BSD-3-Clause */
#include "demo_client.h"

#include "demo_board.h"
#include "demo_log.h"

#include <corosync/cpg.h>

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    MESSAGE_MAGIC = 0x64656d6f,
    MESSAGE_LAST = 1 << 0, /* flag: the sender sends nothing behind this */
    FILL_SHIFT = 64,       /* as many different fills, in turn */
    WAIT_MS = 2,           /* between two looks at the command */
};

struct demo_message {
    uint32_t magic;
    uint32_t node, life; /* sender */
    uint32_t flags;
    uint64_t number;
    uint64_t sent_ns;
    uint64_t checksum; /* of the fields before and the fill behind */
};
static_assert(sizeof(struct demo_message) <= DEMO_MESSAGE_BYTES_LEAST, "a message has a fill");

struct client {
    struct demo_board *board;
    struct demo_seat *seat;
    struct demo_log log;
    cpg_handle_t handle;
    int fd;
    bool open, last_due;
    uint32_t node, life;
    uint64_t sent, own; /* in this life: accepted, delivered to ourselves */
    uint64_t nodes;     /* of the view */
    uint64_t done;      /* nodes whose last message came */
    size_t fill_bytes;
    uint8_t fill[DEMO_MESSAGE_BYTES_MAX + FILL_SHIFT * sizeof(uint64_t)];
};

static uint64_t hash(uint64_t seed, const void *data, size_t bytes)
{
    const uint8_t *at = data;
    uint64_t word, h = seed ^ UINT64_C(0x9e3779b97f4a7c15) ^ bytes;
    for (; bytes >= sizeof(word); bytes -= sizeof(word), at += sizeof(word)) {
        memcpy(&word, at, sizeof(word));
        h = (h ^ word) * UINT64_C(0xff51afd7ed558ccd);
        h ^= h >> 32;
    }
    word = 0;
    memcpy(&word, at, bytes);
    h = (h ^ word) * UINT64_C(0xff51afd7ed558ccd);
    return h ^ h >> 32;
}

static uint64_t message_hash(const struct demo_message *message, const void *fill, size_t bytes)
{
    return hash(hash(0, message, offsetof(struct demo_message, checksum)), fill, bytes);
}

/* Sending */

static bool commanded(const struct client *c, enum demo_command command)
{
    return atomic_load_explicit(&c->board->command, memory_order_acquire) == command;
}

static bool send_message(struct client *c, uint32_t flags)
{
    uint8_t *fill = c->fill + c->sent % FILL_SHIFT * sizeof(uint64_t);
    struct demo_message message = {
        .magic = MESSAGE_MAGIC,
        .node = c->node,
        .life = c->life,
        .flags = flags,
        .number = c->sent,
        .sent_ns = demo_now_ns(),
    };
    message.checksum = message_hash(&message, fill, c->fill_bytes);
    struct iovec iov[] = { { &message, sizeof(message) }, { fill, c->fill_bytes } };
    if (cpg_mcast_joined(c->handle, CPG_TYPE_AGREED, iov, ARRAY_COUNT(iov)) != CS_OK)
        return false; /* no room now, or the service is gone: the next dispatch says which */
    c->sent++;
    return true;
}

static void fill_window(struct client *c)
{
    while (commanded(c, DEMO_SEND) && c->sent - c->own < DEMO_WINDOW)
        if (!send_message(c, 0))
            return;
}

/* Once for everybody who can come to see it: again when somebody joins late. */
static void send_last(struct client *c)
{
    if (c->last_due && commanded(c, DEMO_DRAIN) && send_message(c, MESSAGE_LAST))
        c->last_due = false;
}

/* Receiving */

static void count(_Atomic uint64_t *counter)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + 1,
                          memory_order_relaxed);
}

static bool message_is_whole(const struct client *c, const struct demo_message *message,
                             uint32_t nodeid, const void *fill, size_t bytes)
{
    return message->magic == MESSAGE_MAGIC && message->node == nodeid &&
           bytes == sizeof(*message) + c->fill_bytes &&
           message->checksum == message_hash(message, fill, c->fill_bytes);
}

static void on_message(cpg_handle_t handle, const struct cpg_name *group, uint32_t nodeid,
                       uint32_t pid, void *data, size_t bytes)
{
    struct client *c = NULL;
    struct demo_message message = { 0 };
    cpg_context_get(handle, (void **)&c);
    memcpy(&message, data, min_u64(bytes, sizeof(message)));
    if (!message_is_whole(c, &message, nodeid, (uint8_t *)data + sizeof(message), bytes)) {
        count(&c->seat->damaged);
        return;
    }
    histogram_add(&c->seat->latency, demo_now_ns() - message.sent_ns);
    demo_log_message(&c->log, message.node, message.life, message.number);
    count(&c->seat->delivered);
    if (message.flags & MESSAGE_LAST)
        c->done |= UINT64_C(1) << nodeid;
    if (message.node == c->node && message.life == c->life) {
        c->own++;
        fill_window(c);
    }
    (void)group, (void)pid;
}

static void show_view(struct client *c)
{
    uint32_t index = atomic_load_explicit(&c->seat->view_count, memory_order_relaxed);
    if (index == DEMO_VIEWS_MAX)
        return;
    c->seat->view[index] = (struct demo_view){ demo_now_ns(), c->nodes };
    atomic_store_explicit(&c->seat->view_count, index + 1, memory_order_release);
}

static void on_view(cpg_handle_t handle, const struct cpg_name *group,
                    const struct cpg_address *members, size_t member_count,
                    const struct cpg_address *left, size_t left_count,
                    const struct cpg_address *joined, size_t joined_count)
{
    struct client *c = NULL;
    cpg_context_get(handle, (void **)&c);
    c->nodes = 0;
    for (size_t i = 0; i < member_count; i++)
        c->nodes |= UINT64_C(1) << (members[i].nodeid & 63);
    demo_log_entry(&c->log, (struct demo_entry){ .kind = DEMO_LOG_VIEW, .number = c->nodes });
    if (joined_count > 0)
        c->last_due = true;
    show_view(c);
    (void)group, (void)left, (void)left_count, (void)joined;
}

static void on_ring(cpg_handle_t handle, struct cpg_ring_id ring, uint32_t member_count,
                    const uint32_t *members)
{
    struct client *c = NULL;
    cpg_context_get(handle, (void **)&c);
    demo_log_entry(&c->log, (struct demo_entry){
                                .kind = DEMO_LOG_RING, .node = ring.nodeid, .number = ring.seq });
    (void)member_count, (void)members;
}

/* A life: from the opening of a handle to its end */

static bool open_life(struct client *c)
{
    cpg_model_v1_data_t model = {
        .model = CPG_MODEL_V1,
        .cpg_deliver_fn = on_message,
        .cpg_confchg_fn = on_view,
        .cpg_totem_confchg_fn = on_ring,
        .flags = CPG_MODEL_V1_DELIVER_INITIAL_TOTEM_CONF,
    };
    struct cpg_name group = { .length = 4, .value = "demo" };
    cs_error_t error =
        cpg_model_initialize(&c->handle, CPG_MODEL_V1, (cpg_model_data_t *)&model, c);
    if (error != CS_OK)
        return false; /* no service yet, or its first ring is not formed */
    while ((error = cpg_join(c->handle, &group)) == CS_ERR_TRY_AGAIN && !commanded(c, DEMO_QUIT))
        poll(NULL, 0, WAIT_MS);
    if (error != CS_OK || cpg_fd_get(c->handle, &c->fd) != CS_OK) {
        cpg_finalize(c->handle);
        return false;
    }
    c->open = true;
    c->sent = c->own = c->nodes = 0;
    demo_log_entry(&c->log, (struct demo_entry){ .kind = DEMO_LOG_LIFE, .life = c->life });
    return true;
}

static void end_life(struct client *c, enum demo_entry_kind how)
{
    demo_log_entry(&c->log, (struct demo_entry){ .kind = how, .number = c->sent });
    cpg_finalize(c->handle);
    c->open = false;
    c->life++;
}

static void look_if_drained(struct client *c)
{
    bool all = c->nodes != 0 && (c->done & c->nodes) == c->nodes && c->own == c->sent;
    atomic_store_explicit(&c->seat->drained, all, memory_order_release);
}

static void turn(struct client *c)
{
    if (!c->open && !open_life(c)) {
        poll(NULL, 0, WAIT_MS);
        return;
    }
    if (c->nodes != 0) { /* our own join was ordered */
        fill_window(c);
        send_last(c);
    }
    struct pollfd ready = { .fd = c->fd, .events = POLLIN };
    poll(&ready, 1, WAIT_MS);
    if (cpg_dispatch(c->handle, CS_DISPATCH_ALL) != CS_OK)
        end_life(c, DEMO_LOG_LOST);
    look_if_drained(c);
}

static int client_setup(struct client *c, char **argv)
{
    c->node = (uint32_t)atoi(argv[1]);
    c->fill_bytes = (size_t)atol(argv[4]) - sizeof(struct demo_message);
    c->board = mmap(NULL, sizeof(*c->board), PROT_READ | PROT_WRITE, MAP_SHARED, atoi(argv[2]), 0);
    if (c->board == MAP_FAILED)
        return -errno;
    if (c->node < 1 || c->node > DEMO_NODES_MAX || c->fill_bytes > DEMO_MESSAGE_BYTES_MAX)
        return -EINVAL;
    c->seat = &c->board->seat[c->node];
    for (size_t i = 0; i < sizeof(c->fill); i++)
        c->fill[i] = (uint8_t)(i * 131 + c->node * 29);
    return demo_log_open(&c->log, argv[3]);
}

int demo_client_main(int argc, char **argv)
{
    struct client *c = argc == 5 ? calloc(1, sizeof(*c)) : NULL;
    int error = c ? client_setup(c, argv) : -EINVAL;
    if (error == 0) {
        while (!commanded(c, DEMO_QUIT))
            turn(c);
        if (c->open)
            end_life(c, DEMO_LOG_END);
        error = demo_log_close(&c->log);
    }
    if (error)
        fprintf(stderr, "client: %s\n", strerror(-error));
    free(c);
    return error ? 1 : 0;
}
