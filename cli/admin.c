/* SPDX-License-Identifier: BSD-3-Clause */
#include "admin.h"

#include <corosync/corotypes.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

enum { ANSWER_S = 5 };

const char *admin_runtime_dir(void)
{
    const char *dir = getenv(CTL_RUNTIME_DIR_ENV);
    return dir && dir[0] ? dir : CTL_RUNTIME_DIR_DEFAULT;
}

/* A descriptor, or -errno. */
static int connect_to_daemon(const char *dir)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    struct timeval patience = { .tv_sec = ANSWER_S };
    int bytes = snprintf(address.sun_path, sizeof(address.sun_path), "%s/%s", dir, CTL_SOCKET_NAME);
    if (bytes < 0 || (size_t)bytes >= sizeof(address.sun_path))
        return -ENAMETOOLONG;
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
        return fd;
    int error = -errno;
    close(fd);
    return error;
}

int admin_open(const char *dir)
{
    struct ctl_answer answer = { 0 };
    int fd, control = connect_to_daemon(dir);
    if (control < 0)
        return control;
    int error = admin_ask(control, CTL_HELLO, CTL_HELLO_ADMIN, &answer, &fd);
    if (fd >= 0)
        close(fd);
    if (error == 0)
        return control;
    close(control);
    return error;
}

static int result(const struct ctl_answer *answer)
{
    switch (answer->error) {
    case CS_OK:
        return 0;
    case CS_ERR_ACCESS:
        return -EACCES;
    case CS_ERR_BUSY:
        return -EBUSY;
    case CS_ERR_NO_MEMORY:
        return -ENOMEM;
    default:
        return -EPROTO;
    }
}

int admin_ask(int control, enum ctl_type type, uint32_t arg, struct ctl_answer *answer, int *fd)
{
    struct ctl_request request = {
        .magic = CTL_MAGIC, .version = CTL_VERSION, .type = (uint16_t)type, .arg = arg
    };
    int fd_count = 1;
    *fd = -1;
    int bytes = ctl_send(control, &request, sizeof(request), NULL, 0);
    if (bytes >= 0)
        bytes = ctl_recv(control, answer, sizeof(*answer), fd, &fd_count, NULL);
    if (bytes < 0)
        return bytes;
    if (fd_count == 0)
        *fd = -1;
    if ((size_t)bytes < offsetof(struct ctl_answer, hello) || answer->magic != CTL_MAGIC)
        return bytes == 0 ? -ECONNRESET : -EPROTO;
    return result(answer);
}

void admin_explain(const char *command, const char *dir, int error)
{
    if (error == -ENOENT || error == -ECONNREFUSED)
        fprintf(stderr,
                "synchrotron %s: no daemon runs at %s; start synchrotrond, or say with %s\n"
                "which one is meant\n",
                command, dir, CTL_RUNTIME_DIR_ENV);
    else if (error == -EACCES)
        fprintf(stderr,
                "synchrotron %s: the daemon at %s does not admit this user; be root or its\n"
                "own user, or name yours in its configuration: clients { uid: %u }\n",
                command, dir, (unsigned)geteuid());
    else
        fprintf(stderr, "synchrotron %s: the daemon at %s: %s\n", command, dir, strerror(-error));
}
