/* SPDX-License-Identifier: BSD-3-Clause */
#include "wake_client.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "request.h"

/* Plain recv(), poll() and send() would be cancellation points. */
static ssize_t receive_byte(int fd)
{
    uint8_t byte;
    ssize_t got = syscall(SYS_recvfrom, fd, &byte, sizeof(byte), MSG_DONTWAIT, NULL, NULL);
    return got < 0 ? -errno : got;
}

static void wait_readable(int fd)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };
    syscall(SYS_ppoll, &p, 1, NULL, NULL, 0);
}

/* The byte is there or certain to come. False: the socket has ended. */
static bool collect(struct handle *h)
{
    if (!gate_enter(&h->wake))
        return false;
    ssize_t got;
    while ((got = receive_byte(h->wake.fd)) == -EAGAIN || got == -EINTR)
        wait_readable(h->wake.fd);
    gate_leave(&h->wake);
    return got == 1;
}

void wake_client_settle(struct handle *h)
{
    struct wake_page *page = &h->up->wake_page;
    for (;;) {
        bool must_collect;
        enum wake_need need =
            wake_client_arm(page, &h->down->event_tail, h->receive.events.head, &must_collect);
        if (need == WAKE_BYTE)
            request_kick(h);
        if (!must_collect)
            return;
        if (!collect(h)) {
            if (!atomic_load_explicit(&h->finalized, memory_order_acquire))
                handle_lose(h);
            return;
        }
    }
}

static void leave_cleanup(void *gate)
{
    gate_leave(gate);
}

cs_error_t wake_client_wait(struct handle *h, int timeout_ms)
{
    struct pollfd p = { .fd = h->wake.fd, .events = POLLIN };
    if (!gate_enter(&h->wake))
        return CS_ERR_BAD_HANDLE;
    pthread_cleanup_push(leave_cleanup, &h->wake);
    int ready;
    do
        ready = poll(&p, 1, timeout_ms);
    while (ready < 0 && errno == EINTR); /* H9 */
    pthread_cleanup_pop(1);
    if (atomic_load_explicit(&h->finalized, memory_order_acquire))
        return CS_ERR_BAD_HANDLE;
    if (p.revents & (POLLHUP | POLLERR))
        handle_lose(h);
    return CS_OK;
}

/*
 * The tail was published, then asleep is read; the core publishes asleep, then reads the tails. One
 * of the two sees the other.
 */
static bool core_sleeps(struct handle *h)
{
#ifdef __SANITIZE_THREAD__ /* which knows no fences */
    atomic_fetch_add_explicit(&h->up->words.submit_tail, 0, memory_order_seq_cst);
#else
    atomic_thread_fence(memory_order_seq_cst);
#endif
    return atomic_load_explicit(&h->core->asleep, memory_order_seq_cst) != 0;
}

bool wake_client_ring_bell(struct handle *h)
{
    if (!core_sleeps(h) || !gate_enter(&h->wake))
        return true;
    static const uint8_t byte = 1;
    long sent;
    do
        sent = syscall(SYS_sendto, h->wake.fd, &byte, sizeof(byte), MSG_DONTWAIT | MSG_NOSIGNAL,
                       NULL, 0);
    while (sent < 0 && errno == EINTR);
    bool gone = sent < 0 && errno != EAGAIN; /* full: it has more than one byte to wake it */
    gate_leave(&h->wake);
    if (gone)
        handle_lose(h);
    return !gone;
}
