/* SPDX-License-Identifier: BSD-3-Clause */
#include "burst.h"

#include <poll.h>

int __real_poll(struct pollfd *fds, nfds_t count, int timeout_ms);
int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout_ms);

_Thread_local bool dpdk_in_burst;

int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout_ms)
{
    return __real_poll(fds, count, dpdk_in_burst ? 0 : timeout_ms);
}
