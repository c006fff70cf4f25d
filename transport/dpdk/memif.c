/* SPDX-License-Identifier: BSD-3-Clause */
#include "memif.h"

#include "rte.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/membarrier.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

struct rte_eth_dev;
int rte_thread_is_intr(void);
void __real_memif_free_regions(struct rte_eth_dev *dev);
void __wrap_memif_free_regions(struct rte_eth_dev *dev);
int __real_connect(int fd, const struct sockaddr *address, socklen_t bytes);
int __wrap_connect(int fd, const struct sockaddr *address, socklen_t bytes);
ssize_t __real_sendmsg(int fd, const struct msghdr *message, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags);

_Atomic uint32_t memif_bursts, memif_losses;

int memif_init(void)
{
    long failed = syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0);
    return failed ? -errno : 0;
}

/* M1. Also called by the thread that polls, when it closes a port: then no burst is under way. */
void __wrap_memif_free_regions(struct rte_eth_dev *dev)
{
    (void)syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
    uint32_t seen = atomic_load_explicit(&memif_bursts, memory_order_acquire);
    while (seen % 2 == 1 && atomic_load_explicit(&memif_bursts, memory_order_acquire) == seen)
        sched_yield();
    __real_memif_free_regions(dev);
    atomic_fetch_add_explicit(&memif_losses, 1, memory_order_release);
}

/*
 * M2. A peer that connects and is gone before it is greeted: the driver closes the socket and
 * leaves it in the list that EAL waits on, and EAL panics over it. Told that all is well, it hears
 * of the end in the ordinary way, and cleans up.
 */
ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags)
{
    bool intr = rte_thread_is_intr();
    ssize_t sent = __real_sendmsg(fd, message, intr ? flags | MSG_NOSIGNAL : flags);
    if (sent >= 0 || !intr || (errno != EPIPE && errno != ECONNRESET))
        return sent;
    return (ssize_t)message->msg_iov->iov_len;
}

/* M4. A server that is stopped, its queue of connections full, would stop us with it. */
int __wrap_connect(int fd, const struct sockaddr *address, socklen_t bytes)
{
    if (!rte_thread_is_intr())
        return __real_connect(fd, address, bytes);
    int flags = fcntl(fd, F_GETFL);
    (void)fcntl(fd, F_SETFL, flags | O_NONBLOCK);
    int failed = __real_connect(fd, address, bytes);
    int error = errno;
    (void)fcntl(fd, F_SETFL, flags);
    errno = error;
    return failed;
}

int memif_post(memif_fn fn, void *arg)
{
    return rte_eal_alarm_set(1, fn, arg);
}

struct call {
    memif_fn fn;
    void *arg;
    atomic_bool done;
};

static void run_call(void *arg)
{
    struct call *call = arg;
    call->fn(call->arg);
    atomic_store_explicit(&call->done, true, memory_order_release);
}

void memif_call(memif_fn fn, void *arg)
{
    struct call call = { .fn = fn, .arg = arg };
    if (memif_post(run_call, &call) != 0) {
        fn(arg); /* no timer to be had: better at the wrong place than not at all */
        return;
    }
    while (!atomic_load_explicit(&call.done, memory_order_acquire))
        usleep(100);
}
