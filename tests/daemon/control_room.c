/* SPDX-License-Identifier: BSD-3-Clause */
#include "control_room.h"

#include <qb/qbloop.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "log.h"

static int32_t stop_asked(int32_t fd, int32_t events, void *context)
{
    struct control_room *room = context;
    qb_loop_poll_del(room->control.loop, fd);
    control_stop(&room->control);
    return 0;
}

static void *run(void *context)
{
    struct control_room *room = context;
    qb_loop_run(room->control.loop);
    return NULL;
}

void room_prepare(struct control_room *room)
{
    memset(room, 0, sizeof(*room));
    strcpy(room->directory, "/tmp/synchrotron-control-XXXXXX");
    INVARIANT(mkdtemp(room->directory));
    INVARIANT(chmod(room->directory, 0755) == 0);
    room->config = (struct config){
        .cluster_name = "test",
        .detect_ms = 1000,
        .netmtu = 1500,
        .node_id = 1,
        .node_count = 1,
        .rx_bytes = 1 << 20,
        .tx_total_bytes = 40 << 20,
        .message_bytes_max = 32 << 20,
        .clients_max = 1024,
        .poll_cpu = -1,
        .transport = "udp",
    };
    strcpy(room->config.runtime_dir, room->directory);
    strcpy(room->config.state_dir, room->directory);
    fake_core_init(&room->core);
}

void room_start(struct control_room *room)
{
    char why[512];
    int failed = state_open(&room->state, &room->config, why, sizeof(why));
    INVARIANT(!failed);
    failed = resources_open(&room->resources, &room->config, why, sizeof(why));
    INVARIANT(!failed);
    room->control = (struct control){ .config = &room->config,
                                      .core = &room->core,
                                      .resources = &room->resources,
                                      .state = &room->state,
                                      .loop = qb_loop_create() };
    failed = control_open(&room->control, why, sizeof(why));
    INVARIANT(!failed);
    INVARIANT(pipe(room->stop_pipe) == 0);
    qb_loop_poll_add(room->control.loop, QB_LOOP_LOW, room->stop_pipe[0], POLLIN, room, stop_asked);
    INVARIANT(pthread_create(&room->thread, NULL, run, room) == 0);
}

void room_stop(struct control_room *room)
{
    char command[128], path[128];
    INVARIANT(write(room->stop_pipe[1], "", 1) == 1);
    pthread_join(room->thread, NULL);
    control_close(&room->control);
    qb_loop_destroy(room->control.loop);
    resources_close(&room->resources);
    state_close(&room->state);
    fake_core_free(&room->core);
    close(room->stop_pipe[0]);
    close(room->stop_pipe[1]);
    snprintf(path, sizeof(path), "%s/%s", room->directory, CTL_SOCKET_NAME);
    room->socket_left = access(path, F_OK) == 0;
    snprintf(command, sizeof(command), "rm -rf %s", room->directory);
    INVARIANT(system(command) == 0);
}

void room_form(struct control_room *room)
{
    static const struct core_event formed = { .type = CORE_EVENT_FORMED };
    /* The answer to a persist request comes after what was said before it. */
    const struct core_event persist = { .type = CORE_EVENT_PERSIST, .arg64 = 1 };
    int before = fake_count(&room->core, CORE_PERSISTED);
    fake_say(&room->core, &formed);
    fake_say(&room->core, &persist);
    fake_wait(&room->core, CORE_PERSISTED, before + 1);
}

void client_connect(struct client *client, const struct control_room *room)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    memset(client, 0, sizeof(*client));
    snprintf(address.sun_path, sizeof(address.sun_path), "%.64s/%s", room->directory,
             CTL_SOCKET_NAME);
    client->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    INVARIANT(client->fd >= 0);
    INVARIANT(connect(client->fd, (struct sockaddr *)&address, sizeof(address)) == 0);
}

struct ctl_request client_request(enum ctl_type type, uint32_t arg, uint64_t arg64)
{
    return (struct ctl_request){
        .magic = CTL_MAGIC, .version = CTL_VERSION, .type = type, .arg = arg, .arg64 = arg64
    };
}

void client_send(struct client *client, const struct ctl_request *request)
{
    ctl_send(client->fd, request, sizeof(*request), NULL, 0);
}

int client_wait(struct client *client)
{
    client_close_fds(client);
    client->fd_count = CTL_FDS_MAX;
    int bytes = ctl_recv(client->fd, &client->answer, sizeof(client->answer), client->fds,
                         &client->fd_count, NULL);
    if (bytes <= 0)
        client->fd_count = 0;
    return bytes == sizeof(client->answer) ? (int)client->answer.error : -1;
}

int client_ask(struct client *client, const struct ctl_request *request)
{
    client_send(client, request);
    return client_wait(client);
}

int client_do(struct client *client, enum ctl_type type, uint32_t arg, uint64_t arg64)
{
    struct ctl_request request = client_request(type, arg, arg64);
    return client_ask(client, &request);
}

void client_close_fds(struct client *client)
{
    for (int i = 0; i < client->fd_count; i++)
        close(client->fds[i]);
    client->fd_count = 0;
}

void client_close(struct client *client)
{
    client_close_fds(client);
    close(client->fd);
}
