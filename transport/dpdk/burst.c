/* SPDX-License-Identifier: BSD-3-Clause */
#include "burst.h"

#include <poll.h>
#include <unistd.h>

int __real_poll(struct pollfd *fds, nfds_t count, int timeout_ms);
int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout_ms);

pid_t __real_getpid(void);
pid_t __wrap_getpid(void);

_Thread_local bool dpdk_in_burst;
_Thread_local int dpdk_pid_shift;

int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout_ms)
{
    return __real_poll(fds, count, dpdk_in_burst ? 0 : timeout_ms);
}

pid_t __wrap_getpid(void)
{
    return __real_getpid() + dpdk_pid_shift;
}
