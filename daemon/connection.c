/* SPDX-License-Identifier: BSD-3-Clause */
#include "connection.h"

#include <errno.h>
#include <qb/qbloop.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ask.h"
#include "capture.h"
#include "corosync/corotypes.h"
#include "handle.h"
#include "listen.h"
#include "log.h"
#include "request.h"

enum { PEER_GROUPS_MAX = 256, PACKETS_AT_ONCE = 16 };

static bool in_groups(const struct config *config, gid_t gid)
{
    for (int i = 0; i < config->gid_count; i++)
        if (config->gids[i] == gid)
            return true;
    return false;
}

static bool user_permitted(const struct config *config, const struct ucred *who)
{
    if (who->uid == 0 || who->gid == 0 || who->uid == geteuid() || in_groups(config, who->gid))
        return true;
    for (int i = 0; i < config->uid_count; i++)
        if (config->uids[i] == who->uid)
            return true;
    return false;
}

bool connection_permitted(const struct config *config, int fd, uint32_t *pid)
{
    struct ucred who;
    gid_t groups[PEER_GROUPS_MAX];
    socklen_t bytes = sizeof(who);
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &bytes) != 0)
        return false;
    *pid = (uint32_t)who.pid;
    if (user_permitted(config, &who))
        return true;
    bytes = sizeof(groups);
    if (config->gid_count == 0 || getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &bytes) != 0)
        return false;
    for (size_t i = 0; i < bytes / sizeof(groups[0]); i++)
        if (in_groups(config, groups[i]))
            return true;
    return false;
}

static bool may_become_client(const struct connection *conn)
{
    return conn->refusal != CS_ERR_ACCESS;
}

/*
 * Of those who may not come a few may be silent, of those who may as many as there can be clients:
 * a crowd that starts all at once is told from a crowd that means harm. Who has been silent for
 * longest makes room.
 */
static void limit_strangers(struct control *c, const struct connection *latest)
{
    struct connection *oldest = NULL;
    uint32_t count = 0, most = CONTROL_STRANGERS_MAX;
    if (may_become_client(latest))
        most = (uint32_t)max_u64(most, c->config->clients_max);
    for (struct connection *conn = c->connections; conn; conn = conn->next) {
        if (conn->state == CONNECTION_STRANGER && !conn->ask &&
            may_become_client(conn) == may_become_client(latest)) {
            oldest = conn;
            count++;
        }
    }
    if (count > most)
        connection_close(oldest);
}

/* true: there may be more to read */
static bool read_one(struct connection *conn)
{
    struct ctl_request request;
    uint32_t pid = 0;
    int bytes = ctl_recv(conn->fd, &request, sizeof(request), NULL, NULL, &pid);
    if (bytes == -EAGAIN)
        return false;
    if (bytes > 0 && request_take(conn, &request, (size_t)bytes, pid))
        return conn->state != CONNECTION_CLOSED;
    if (bytes > 0 || bytes == -EPROTO)
        log_warning("pid %u: disconnected: sent what no client of ours sends",
                    pid ? pid : conn->pid);
    connection_close(conn);
    return false;
}

void connection_readable(struct connection *conn)
{
    struct control *c = conn->control;
    for (int i = 0; i < PACKETS_AT_ONCE && read_one(conn); i++)
        continue;
    connection_sweep(c);
}

static int32_t readable(int32_t fd, int32_t events, void *context)
{
    (void)fd;
    (void)events;
    connection_readable(context);
    return 0;
}

void connection_accept(struct control *c, int fd, bool spare)
{
    struct connection *conn = calloc(1, sizeof(*conn));
    int on = 1;
    if (!conn || setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) != 0) {
        free(conn);
        close(fd);
        return;
    }
    conn->control = c;
    conn->fd = fd;
    if (!connection_permitted(c->config, fd, &conn->pid)) {
        conn->refusal = CS_ERR_ACCESS;
        c->refused_count++;
    } else if (spare) {
        conn->refusal = CS_ERR_NO_RESOURCES;
    }
    if (qb_loop_poll_add(c->loop, QB_LOOP_MED, fd, POLLIN, conn, readable) != 0) {
        free(conn);
        close(fd);
        return;
    }
    conn->next = c->connections;
    conn->link = &c->connections;
    if (conn->next)
        conn->next->link = &conn->next;
    c->connections = conn;
    c->connection_count++;
    limit_strangers(c, conn);
}

void connection_answer(struct connection *conn, struct ctl_answer *answer, const int *fds,
                       int fd_count)
{
    if (conn->state == CONNECTION_CLOSED)
        return;
    answer->magic = CTL_MAGIC;
    answer->version = CTL_VERSION;
    answer->type = conn->request_type;
    conn->ask = NULL;
    int sent = ctl_send(conn->fd, answer, sizeof(*answer), fds, fd_count);
    if (sent == -EAGAIN)
        log_warning("pid %u: disconnected: does not read what it asked for", conn->pid);
    if (sent < 0)
        connection_close(conn); /* T1 */
}

void connection_result(struct connection *conn, uint32_t error)
{
    struct ctl_answer answer = { .error = error };
    connection_answer(conn, &answer, NULL, 0);
}

void connection_close(struct connection *conn)
{
    struct control *c = conn->control;
    if (conn->state == CONNECTION_CLOSED)
        return;
    if (conn->ask)
        conn->ask->connection = NULL;
    conn->ask = NULL;
    if (conn->handle) {
        conn->handle->connection = NULL;
        handle_end(c, conn->handle);
    }
    capture_connection_closed(conn);
    qb_loop_poll_del(c->loop, conn->fd);
    close(conn->fd);
    *conn->link = conn->next;
    if (conn->next)
        conn->next->link = conn->link;
    c->connection_count--;
    conn->state = CONNECTION_CLOSED;
    conn->next = c->closed;
    c->closed = conn;
    listen_resume(c);
}

void connection_sweep(struct control *c)
{
    while (c->closed) {
        struct connection *conn = c->closed;
        c->closed = conn->next;
        free(conn);
    }
}
