/* SPDX-License-Identifier: BSD-3-Clause */
#include "burst.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

int __real_poll(struct pollfd *fds, nfds_t count, int timeout_ms);
int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout_ms);

ssize_t __real_send(int fd, const void *bytes, size_t count, int flags);
ssize_t __wrap_send(int fd, const void *bytes, size_t count, int flags);

pid_t __real_getpid(void);
pid_t __wrap_getpid(void);

enum { SEND_TRIES = 16 }; /* each takes up to 32 packets where all is well */

_Thread_local struct dpdk_burst dpdk_burst;
_Thread_local int dpdk_pid_shift;

int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout_ms)
{
    return __real_poll(fds, count, dpdk_burst.under_way ? 0 : timeout_ms);
}

static bool not_now(int error)
{
    return error == EAGAIN || error == EBUSY || error == EINTR;
}

ssize_t __wrap_send(int fd, const void *bytes, size_t count, int flags)
{
    ssize_t sent = __real_send(fd, bytes, count, flags);
    if (sent >= 0 || count > 0 || !dpdk_burst.under_way || !not_now(errno) ||
        ++dpdk_burst.tries < SEND_TRIES)
        return sent;
    dpdk_burst.left = true;
    return 0;
}

pid_t __wrap_getpid(void)
{
    return __real_getpid() + dpdk_pid_shift;
}
