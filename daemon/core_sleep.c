/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * core_sleep.c - for how long the poll core sleeps, and what wakes it.
 */
#include "core_inner.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    SLEEP_EVENTS = 64,
    /* A client that takes events without giving leases back rings no bell. */
    SLEEP_OWED_NS = 2 * NS_PER_MS,
    SLEEP_NAP_NS = NS_PER_MS, /* a transport that does not wake */
    SLEEP_BUSY_NS = 100 * NS_PER_US,
    SLEEP_AWAITS_NS = 10 * NS_PER_MS,
    SLEEP_WATCHES_NS = 50 * NS_PER_MS,
};

uint64_t core_clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

bool core_owed(const struct core *core)
{
    for (uint32_t i = 0; i < core->clients.count; i++) {
        const struct outlet *o = &core->clients.list[i]->outlet;
        if (o->waiting_count > 0 || o->leases_out > CHAN_LEASE_COUNT / 2)
            return true;
    }
    return core->stats.backlog_events > 0 || core->blocked || core->pressure_ns != 0;
}

static uint64_t sleep_ns(const struct core *core, uint64_t now_ns)
{
    uint64_t until = ring_deadline_ns(core->ring);
    if (core->stopping)
        until = min_u64(until, core->stop_deadline_ns);
    if (core_owed(core))
        until = min_u64(until, now_ns + SLEEP_OWED_NS);
    if (core->transport->busy)
        until = min_u64(until, now_ns + SLEEP_BUSY_NS);
    if (core->transport->awaits)
        until = min_u64(until, now_ns + SLEEP_AWAITS_NS);
    if (core->transport->watches)
        until = min_u64(until, now_ns + SLEEP_WATCHES_NS);
    if (core->rest == TRANSPORT_NAP)
        until = min_u64(until, now_ns + SLEEP_NAP_NS);
    if (until == NS_NEVER)
        return NS_PER_S;
    return until > now_ns ? until - now_ns : 0;
}

static void drain_doorbell(struct core *core, const struct epoll_event *event)
{
    uint8_t bytes[256];
    const struct client *c = clients_find(&core->clients, (uint32_t)event->data.u64);
    if (!c)
        return;
    int fd = c->setup.wake_socket;
    bool over = event->events & (EPOLLHUP | EPOLLERR);
    if (!over) /* what is left rings again */
        over = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT) == 0;
    if (over) /* it would ring for ever */
        (void)epoll_ctl(core->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
}

static void drain_doorbells(struct core *core, const struct epoll_event *events, int count)
{
    for (int i = 0; i < count; i++) {
        if (events[i].data.u64 == CORE_BELL_COMMAND)
            (void)!read(core->command_fd, &(uint64_t){ 0 }, sizeof(uint64_t));
        else if (events[i].data.u64 < CORE_BELL_COMMAND)
            drain_doorbell(core, &events[i]);
    }
}

void core_sleep(struct core *core)
{
    struct epoll_event events[SLEEP_EVENTS];
    atomic_store_explicit(&core->words->asleep, 1, memory_order_relaxed);
    atomic_thread_fence(memory_order_seq_cst); /* pairs with whoever pushes, then looks at asleep */
    if (!clients_have_work(&core->clients) && spsc_waiting(&core->commands.consumer) == 0) {
        uint64_t now_ns = core_clock_ns(), ns = sleep_ns(core, now_ns);
        struct timespec timeout = { .tv_sec = (time_t)(ns / NS_PER_S),
                                    .tv_nsec = (long)(ns % NS_PER_S) };
        core->stats.sleeps++;
        core->expected_ns = now_ns + ns;
        int count = epoll_pwait2(core->epoll_fd, events, SLEEP_EVENTS, &timeout, NULL);
        if (count > 0)
            drain_doorbells(core, events, count);
    }
    atomic_store_explicit(&core->words->asleep, 0, memory_order_relaxed);
}

void core_awake(struct core *core)
{
    if (core->rest == TRANSPORT_LOOK)
        core->transport->ops->disarm(core->transport);
    core->rest = TRANSPORT_SLEEP;
}

void core_rest(struct core *core)
{
    if (core->rest != TRANSPORT_LOOK) {
        core->rest = core->transport->ops->arm(core->transport);
        if (core->rest == TRANSPORT_LOOK)
            return;
    }
    core_sleep(core);
    core_awake(core);
}
