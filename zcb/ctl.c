/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctl.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

union ctl_control {
    struct cmsghdr align;
    uint8_t bytes[CMSG_SPACE(CTL_FDS_MAX * sizeof(int)) + CMSG_SPACE(sizeof(struct ucred))];
};

/* What came beside the data. */
struct ctl_beside {
    int fds[CTL_FDS_MAX];
    int fd_count;
    uint32_t pid;
};

int ctl_send(int socket, const void *packet, size_t bytes, const int *fds, int fd_count)
{
    INVARIANT(fd_count >= 0 && fd_count <= CTL_FDS_MAX);
    struct iovec iov = { .iov_base = (void *)(uintptr_t)packet, .iov_len = bytes };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
    union ctl_control control = { 0 };
    if (fd_count > 0) {
        size_t fd_bytes = (size_t)fd_count * sizeof(int);
        msg.msg_control = control.bytes;
        msg.msg_controllen = CMSG_SPACE(fd_bytes);
        struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(fd_bytes);
        memcpy(CMSG_DATA(c), fds, fd_bytes);
    }
    ssize_t sent;
    do
        sent = sendmsg(socket, &msg, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent < 0 ? -errno : (int)sent;
}

static void take_fds(struct ctl_beside *beside, struct cmsghdr *c)
{
    size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; i++) {
        int fd;
        memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
        if (beside->fd_count < (int)ARRAY_COUNT(beside->fds))
            beside->fds[beside->fd_count++] = fd;
        else
            close(fd); /* without credentials there is room for more than we take */
    }
}

static void take_control(struct ctl_beside *beside, struct msghdr *msg)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
        if (c->cmsg_level != SOL_SOCKET)
            continue;
        if (c->cmsg_type == SCM_RIGHTS) {
            take_fds(beside, c);
        } else if (c->cmsg_type == SCM_CREDENTIALS) {
            struct ucred who;
            memcpy(&who, CMSG_DATA(c), sizeof(who));
            beside->pid = (uint32_t)who.pid;
        }
    }
}

/* Keep the first `keep` descriptors, close the others. */
static int close_surplus(struct ctl_beside *beside, int keep)
{
    while (beside->fd_count > keep)
        close(beside->fds[--beside->fd_count]);
    return beside->fd_count;
}

int ctl_recv(int socket, void *packet, size_t bytes, int *fds, int *fd_count, uint32_t *pid)
{
    struct iovec iov = { .iov_base = packet, .iov_len = bytes };
    union ctl_control control;
    struct msghdr msg = { .msg_iov = &iov,
                          .msg_iovlen = 1,
                          .msg_control = control.bytes,
                          .msg_controllen = sizeof(control.bytes) };
    int room = fd_count ? *fd_count : 0;
    if (fd_count)
        *fd_count = 0;
    if (pid)
        *pid = 0;
    ssize_t got;
    do
        got = recvmsg(socket, &msg, MSG_CMSG_CLOEXEC);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return -errno;

    struct ctl_beside beside = { 0 };
    take_control(&beside, &msg);
    if (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) {
        close_surplus(&beside, 0);
        return -EPROTO;
    }
    int kept = close_surplus(&beside, room);
    if (kept > 0)
        memcpy(fds, beside.fds, (size_t)kept * sizeof(int));
    if (fd_count)
        *fd_count = kept;
    if (pid)
        *pid = beside.pid;
    return (int)got;
}
