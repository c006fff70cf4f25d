/* SPDX-License-Identifier: BSD-3-Clause */
#include "admin.h"

#include <corosync/corotypes.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

enum { ANSWER_S = 5 };

int admin_open(char dir[CTL_DIRECTORY_BYTES])
{
    struct ctl_answer answer = { 0 };
    int fd, control = dir[0] ? ctl_connect(dir, ANSWER_S) : ctl_find(dir, ANSWER_S);
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

static void explain_nobody(const char *command, const char *dir)
{
    char mine[32];
    snprintf(mine, sizeof(mine), "/tmp/synchrotron-%u", (unsigned)geteuid());
    fprintf(stderr,
            "synchrotron %s: no daemon runs at %s%s; start synchrotrond, or say\n"
            "with " CTL_RUNTIME_DIR_ENV " which one is meant\n",
            command, dir[0] ? dir : CTL_RUNTIME_DIR_DEFAULT ", in $XDG_RUNTIME_DIR or at ",
            dir[0] ? "" : mine);
}

void admin_explain(const char *command, const char *dir, int error)
{
    if (error == -ENOENT)
        explain_nobody(command, dir);
    else if (error == -EAGAIN)
        fprintf(stderr,
                "synchrotron %s: the daemon at %s does not answer within %d s: it is stopped, or\n"
                "hangs; `ss -xlp src %s/" CTL_SOCKET_NAME "` names its process\n",
                command, dir, ANSWER_S, dir);
    else if (error == -EACCES)
        fprintf(stderr,
                "synchrotron %s: the daemon at %s does not admit this user; be root or its\n"
                "own user, or name yours in its configuration: clients { uid: %u }\n",
                command, dir, (unsigned)geteuid());
    else if (error == -ECONNRESET || error == -EPIPE)
        fprintf(stderr, "synchrotron %s: the daemon at %s ended, or is of another release\n",
                command, dir);
    else
        fprintf(stderr, "synchrotron %s: the daemon at %s: %s\n", command, dir, strerror(-error));
}
