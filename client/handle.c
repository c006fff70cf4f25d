/* SPDX-License-Identifier: BSD-3-Clause */
#include "handle.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "arenas.h"
#include "zcb_v1.h"

enum { ALIVE_CHECK_NS = 100 * 1000 };

struct table handle_table = { .kind = 1, .destroy = handle_destroy };

static int init_locks(struct handle *h)
{
    pthread_mutex_t *lock[] = { &h->request_lock, &h->send.lock, &h->zcb_lock, &h->iterate_lock };
    for (size_t i = 0; i < ARRAY_COUNT(lock); i++) {
        int error = pthread_mutex_init(lock[i], NULL);
        if (error)
            return -error; /* glibc's never fails, and needs no destroying */
    }
    return turn_init(&h->receive.turn);
}

struct handle *handle_create(void)
{
    struct handle *h = calloc(1, sizeof(*h));
    if (!h)
        return NULL;
    if (init_locks(h)) {
        free(h);
        return NULL;
    }
    gate_init(&h->wake, -1);
    gate_init(&h->control, -1);
    return h;
}

static void destroy_segments(struct handle *h)
{
    for (int i = 0; i < CHAN_SEGMENT_COUNT; i++)
        zcb_arena_destroy(&h->send.segment[i].arena);
}

/* Nobody uses it any more, so nothing is locked. */
void handle_destroy(void *handle)
{
    struct handle *h = handle;
    if (h->control.fd >= 0)
        gate_shut(&h->control);
    if (h->wake.fd >= 0)
        gate_shut(&h->wake);
    destroy_segments(h);
    arenas_drop(h);
    free(h->receive.mapped);
    free(h->receive.spare);
    zcb_v1_destroy_all(h);
    zcb_arena_destroy(&h->rx_arena);
    zcb_arena_destroy(&h->core_arena);
    zcb_arena_destroy(&h->down_arena);
    zcb_arena_destroy(&h->up_arena);
    turn_destroy(&h->receive.turn);
    free(h);
}

int handle_publish(struct handle *h, void *context)
{
    /* Nobody knows the value before the caller's caller is told, so `value` may be set after. */
    h->value = table_add(&handle_table, h, context);
    return h->value ? 0 : -ENOMEM;
}

struct handle *handle_acquire(cpg_handle_t value)
{
    return table_acquire(&handle_table, value);
}

void handle_release(struct handle *h)
{
    table_release(&handle_table, h->value);
}

cs_error_t handle_end_call(struct handle *h, cs_error_t error)
{
    bool finalized = atomic_load_explicit(&h->finalized, memory_order_acquire);
    handle_release(h);
    return error == CS_ERR_LIBRARY && finalized ? CS_ERR_BAD_HANDLE : error;
}

void handle_release_cleanup(void *h)
{
    handle_release(h);
}

void handle_lose(struct handle *h)
{
    atomic_store_explicit(&h->lost, true, memory_order_release);
}

uint64_t handle_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

/* The plain poll() would be a cancellation point. */
static bool peer_is_gone(struct handle *h)
{
    if (!gate_enter(&h->wake))
        return false; /* finalized: that is for others to say */
    struct pollfd p = { .fd = h->wake.fd, .events = POLLRDHUP };
    struct timespec none = { 0 };
    bool gone = syscall(SYS_ppoll, &p, 1, &none, NULL, 0) == 1 &&
                (p.revents & (POLLHUP | POLLERR | POLLRDHUP));
    gate_leave(&h->wake);
    return gone;
}

bool handle_alive(struct handle *h)
{
    if (atomic_load_explicit(&h->lost, memory_order_acquire))
        return false;
    bool gone = atomic_load_explicit(&h->down->state, memory_order_acquire) != CHAN_OPEN;
    uint64_t now_ns = handle_now_ns();
    if (!gone &&
        now_ns - atomic_load_explicit(&h->alive_ns, memory_order_relaxed) >= ALIVE_CHECK_NS) {
        gone = peer_is_gone(h);
        atomic_store_explicit(&h->alive_ns, now_ns, memory_order_relaxed);
    }
    if (gone)
        handle_lose(h);
    return !gone;
}
