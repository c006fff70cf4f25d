/* SPDX-License-Identifier: BSD-3-Clause */
#include "capture.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "corosync/corotypes.h"
#include "log.h"
#include "request_inner.h"

#define FITS(to, from) static_assert(sizeof(to) >= sizeof(from), "what is configured fits")

/* Where frames of these nodes go and come from. */
static void describe(struct tape_about *about, const struct config *config)
{
    FITS(about->node[0].address, config->nodes[0].address);
    FITS(about->multicast, config->multicast);
    FITS(about->transport, config->transport);
    FITS(about->cluster, config->cluster_name);
    about->node_id = config->node_id;
    about->node_count = (uint32_t)config->node_count;
    for (int i = 0; i < config->node_count; i++) {
        const struct transport_node *from = &config->nodes[i];
        struct tape_node *to = &about->node[i];
        to->node_id = from->node_id;
        to->port = from->port;
        memcpy(to->address, from->address, sizeof(from->address));
    }
    memcpy(about->multicast, config->multicast, sizeof(config->multicast));
    about->multicast_port = config->port;
    about->multicast_ttl = config->multicast_ttl;
    memcpy(about->transport, config->transport, sizeof(config->transport));
    memcpy(about->cluster, config->cluster_name, sizeof(config->cluster_name));
}

static int create(struct control *c, struct connection *conn, uint32_t wish)
{
    struct tape_about about = { 0 };
    uint32_t snap_bytes = tape_snap_bytes(wish, c->config->netmtu);
    struct capture *capture = calloc(1, sizeof(*capture));
    if (!capture)
        return -ENOMEM;
    int failed = zcb_arena_create(&capture->arena, "synchrotron-tape", tape_bytes(snap_bytes),
                                  ARENA_ID_TAPE, ZCB_PAGES_SMALL, ZCB_WRITER_CREATOR);
    if (failed) {
        free(capture);
        return failed;
    }
    describe(&about, c->config);
    tape_writer_init(&capture->tape, capture->arena.base, snap_bytes, &about);
    capture->connection = conn;
    capture->pid = conn->pid;
    c->capture = capture;
    return 0;
}

void capture_close(struct control *c)
{
    if (!c->capture)
        return;
    zcb_arena_destroy(&c->capture->arena);
    free(c->capture);
    c->capture = NULL;
}

static void done_begin(struct ask *ask, const struct core_event *answer)
{
    struct capture *capture = ask->control->capture;
    if (!ask->connection)
        return; /* it has gone, and the end is under way */
    log_notice("pid %u captures what this node sends and receives", capture->pid);
    struct ctl_answer out = { .error = answer->error, .arg64 = capture->arena.bytes };
    connection_answer(ask->connection, &out, &capture->arena.fd, 1);
    zcb_arena_close_fd(&capture->arena);
}

static void done_end(struct ask *ask, const struct core_event *answer)
{
    struct control *c = ask->control;
    (void)answer;
    log_notice("pid %u captures no more: %" PRIu64 " frames passed", c->capture->pid,
               c->capture->tape.written);
    capture_close(c);
}

/* Stricter than for clients: these see each their own group, and this is all of them. */
static bool may_capture(const struct connection *conn)
{
    struct ucred who;
    socklen_t bytes = sizeof(who);
    return getsockopt(conn->fd, SOL_SOCKET, SO_PEERCRED, &who, &bytes) == 0 &&
           (who.uid == 0 || who.uid == geteuid());
}

static void refuse(struct connection *conn, uint32_t error, uint32_t arg)
{
    connection_answer(conn, &(struct ctl_answer){ .error = error, .arg = arg }, NULL, 0);
}

void capture_request(struct connection *conn, const struct ctl_request *request)
{
    struct control *c = conn->control;
    if (!may_capture(conn)) {
        refuse(conn, CS_ERR_ACCESS, 0);
        return;
    }
    if (c->capture) {
        refuse(conn, CS_ERR_BUSY, c->capture->pid);
        return;
    }
    int failed = create(c, conn, request->arg);
    if (failed) {
        refuse(conn, request_error(failed), 0);
        return;
    }
    struct ask *ask = request_ask(conn, CORE_CAPTURE_BEGIN, done_begin);
    if (!ask) {
        capture_close(c);
        return;
    }
    ask->command.in.tape = &c->capture->tape;
    ask_give(ask);
}

void capture_connection_closed(struct connection *conn)
{
    struct capture *capture = conn->control->capture;
    if (!capture || capture->connection != conn)
        return;
    struct ask *ask = ask_new(conn->control, CORE_CAPTURE_END, done_end);
    INVARIANT(ask); /* without memory for a line like this there is no way back */
    capture->connection = NULL;
    ask_give(ask);
}

uint64_t capture_bytes(const struct control *c)
{
    return c->capture ? c->capture->arena.bytes : 0;
}
