/* SPDX-License-Identifier: BSD-3-Clause */
#include "request_inner.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "capture.h"
#include "corosync/corotypes.h"
#include "handle.h"

uint32_t request_error(int error)
{
    switch (error) {
    case 0:
        return CS_OK;
    case -EAGAIN:
        return CS_ERR_TRY_AGAIN;
    case -EMFILE:
    case -ENFILE:
        return CS_ERR_NO_RESOURCES;
    case -EINVAL:
        return CS_ERR_INVALID_PARAM;
    default:
        return CS_ERR_NO_MEMORY;
    }
}

struct ask *request_ask(struct connection *conn, enum core_command_type type, ask_done_fn done)
{
    struct ask *ask = ask_new(conn->control, type, done);
    if (!ask) {
        connection_result(conn, CS_ERR_NO_MEMORY);
        return NULL;
    }
    ask->connection = conn;
    conn->ask = ask;
    if (conn->handle) {
        ask->slot = ask->command.slot = conn->handle->slot;
        ask->serial = conn->handle->serial;
    }
    return ask;
}

void request_give_up(struct connection *conn, struct ask *ask)
{
    ask_drop(ask);
    connection_result(conn, CS_ERR_NO_MEMORY);
}

void request_set_name(struct ask *ask, const struct ctl_request *request)
{
    ask->name.bytes = request->name_bytes;
    memcpy(ask->name.value, request->name, request->name_bytes);
    ask->command.in.name = &ask->name;
}

void request_done(struct ask *ask, const struct core_event *answer)
{
    if (ask->connection)
        connection_result(ask->connection, answer->error);
}

/* CTL_HELLO */

static void answer_hello(struct connection *conn, const struct handle *h)
{
    const struct control *c = conn->control;
    struct ctl_answer answer = {
        .error = CS_OK,
        .hello = { .nodeid = c->config->node_id,
                   .rx_arena = ARENA_ID_RX,
                   .rx_bytes = c->resources->rx.bytes,
                   .message_bytes_max = c->config->message_bytes_max,
                   .atomic_bytes_max = CONFIG_MESSAGE_BYTES_LEAST },
    };
    int fds[5];
    if (h) {
        fds[0] = h->channel.up.fd;
        fds[1] = h->channel.down.fd;
        fds[2] = c->resources->core_page.fd;
        fds[3] = c->resources->rx.fd;
        fds[4] = h->channel.wake_socket_peer;
    }
    connection_answer(conn, &answer, fds, h ? 5 : 0);
}

static void done_hello(struct ask *ask, const struct core_event *answer)
{
    struct control *c = ask->control;
    struct handle *h = handle_find(c, ask->slot, ask->serial);
    struct connection *conn = ask->connection;
    if (answer->error != CS_OK) {
        if (h && h->connection)
            h->connection->handle = NULL;
        if (h && !h->ending)
            handle_destroy(c, h);
        if (conn)
            connection_result(conn, answer->error);
        return;
    }
    if (conn) {
        conn->state = CONNECTION_CLIENT;
        answer_hello(conn, h);
    }
    if (h)
        channel_passed(&h->channel);
}

static void welcome(struct connection *conn, const struct ctl_request *request, uint32_t pid)
{
    struct handle *h;
    int failed = handle_create(conn->control, pid, request->arg, &h);
    if (failed) {
        connection_result(conn, failed == -EAGAIN ? CS_ERR_NO_RESOURCES : request_error(failed));
        return;
    }
    h->connection = conn;
    conn->handle = h;
    struct ask *ask = request_ask(conn, CORE_CLIENT_ADD, done_hello);
    if (!ask) {
        conn->handle = NULL;
        handle_destroy(conn->control, h);
        return;
    }
    ask->with.client = (struct core_client_setup){
        .slot = h->slot,
        .serial = h->serial,
        .pid = pid,
        .flags = request->arg,
        .up = (struct chan_up *)(void *)h->channel.up.base,
        .wake = h->channel.wake,
        .down = (struct chan_down *)(void *)h->channel.down.base,
        .wake_socket = h->channel.wake_socket,
    };
    ask->command.in.client = &ask->with.client;
    ask->command.pid = pid;
    ask_give(ask);
}

static bool hello(struct connection *conn, const struct ctl_request *request, uint32_t pid)
{
    const uint32_t known = CTL_HELLO_FIRST_RING | CTL_HELLO_WANT_RINGS | CTL_HELLO_ADMIN;
    uint32_t refusal = request->version != CTL_VERSION ? CS_ERR_VERSION
                       : request->arg & ~known         ? CS_ERR_INVALID_PARAM
                                                       : conn->refusal;
    if (conn->state != CONNECTION_STRANGER)
        return false;
    if (refusal) {
        connection_result(conn, refusal);
        connection_close(conn);
    } else if (request->arg & CTL_HELLO_ADMIN) {
        conn->state = CONNECTION_ADMIN;
        answer_hello(conn, NULL);
    } else if (!conn->control->formed) {
        connection_result(conn, CS_ERR_TRY_AGAIN);
    } else {
        welcome(conn, request, pid);
    }
    return true;
}

/* CTL_JOIN, CTL_LEAVE, CTL_MEMBERS */

static void join(struct connection *conn, const struct ctl_request *request, uint32_t pid)
{
    struct ask *ask = request_ask(conn, CORE_CLIENT_JOIN, request_done);
    if (!ask)
        return;
    request_set_name(ask, request);
    ask->command.pid = pid;
    ask_give(ask);
}

static void leave(struct connection *conn)
{
    struct ask *ask = request_ask(conn, CORE_CLIENT_LEAVE, request_done);
    if (ask)
        ask_give(ask);
}

static void done_members(struct ask *ask, const struct core_event *answer)
{
    if (!ask->connection)
        return;
    struct ctl_answer out = { .error = answer->error, .members = ask->with.members };
    connection_answer(ask->connection, &out, NULL, 0);
}

static void members(struct connection *conn, const struct ctl_request *request)
{
    struct ask *ask = request_ask(conn, CORE_MEMBERS, done_members);
    if (!ask)
        return;
    request_set_name(ask, request);
    ask->command.out.members = &ask->with.members;
    ask_give(ask);
}

/* CTL_FINALIZE, CTL_KICK */

static void finalize(struct connection *conn)
{
    connection_result(conn, CS_OK);
    connection_close(conn);
}

static void kick(const struct connection *conn)
{
    static const char byte = 1;
    if (conn->handle) /* a full socket has bytes enough */
        (void)!send(conn->handle->channel.wake_socket, &byte, 1, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static bool take_client(struct connection *conn, const struct ctl_request *request, uint32_t pid)
{
    switch (request->type) {
    case CTL_JOIN:
        join(conn, request, pid);
        return true;
    case CTL_LEAVE:
        leave(conn);
        return true;
    case CTL_TX_GET:
        request_tx_get(conn, request);
        return true;
    case CTL_TX_PUT:
        request_tx_put(conn, request);
        return true;
    case CTL_MAP:
        request_map(conn, request);
        return true;
    default:
        return false;
    }
}

static bool take_admin(struct connection *conn, const struct ctl_request *request)
{
    if (conn->state != CONNECTION_ADMIN || request->type != CTL_CAPTURE)
        return false;
    capture_request(conn, request);
    return true;
}

static bool take_known(struct connection *conn, const struct ctl_request *request, uint32_t pid)
{
    switch (request->type) {
    case CTL_MEMBERS:
        members(conn, request);
        return true;
    case CTL_ITERATE:
        request_iterate(conn, request);
        return true;
    case CTL_STATUS:
        request_status(conn);
        return true;
    case CTL_FINALIZE:
        finalize(conn);
        return true;
    default:
        return conn->state == CONNECTION_CLIENT ? take_client(conn, request, pid)
                                                : take_admin(conn, request);
    }
}

bool request_take(struct connection *conn, const struct ctl_request *request, size_t bytes,
                  uint32_t pid)
{
    /* A hello of another version is answered, whatever its size: it begins as ours does. */
    bool shaped = bytes >= offsetof(struct ctl_request, arg) && request->magic == CTL_MAGIC &&
                  (request->version == CTL_VERSION
                       ? bytes == sizeof(*request) && request->name_bytes <= CTL_NAME_BYTES
                       : request->type == CTL_HELLO);
    if (!shaped)
        return false;
    if (request->type == CTL_KICK) {
        kick(conn);
        return conn->state == CONNECTION_CLIENT;
    }
    if (conn->ask) /* N1 */
        return false;
    conn->request_type = request->type;
    if (request->type == CTL_HELLO)
        return hello(conn, request, pid ? pid : conn->pid);
    return conn->state != CONNECTION_STRANGER && take_known(conn, request, pid ? pid : conn->pid);
}
