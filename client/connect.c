/* SPDX-License-Identifier: BSD-3-Clause */
#include "connect.h"

#include <unistd.h>

#include "request.h"
#include "wake_client.h"

enum { HELLO_FDS = 5 };
enum hello_fd { FD_UP, FD_DOWN, FD_CORE, FD_RX, FD_WAKE };

static uint32_t hello_flags(const struct handle *h)
{
    if (!h->model.cpg_totem_confchg_fn)
        return 0;
    bool first = h->model.flags & CPG_MODEL_V1_DELIVER_INITIAL_TOTEM_CONF;
    return (uint32_t)CTL_HELLO_WANT_RINGS | (first ? (uint32_t)CTL_HELLO_FIRST_RING : 0u);
}

/* Takes the descriptor, whatever comes of it. */
static int map_and_close(struct zcb_arena *arena, int *fd, size_t bytes, uint32_t id,
                         enum zcb_access access)
{
    int error = zcb_arena_map(arena, *fd, bytes, id, access);
    if (error)
        close(*fd);
    else
        zcb_arena_close_fd(arena);
    *fd = -1;
    return error;
}

/* Channels have no ids among the arenas; any number but 0 does. */
static int map_regions(struct handle *h, int *fds)
{
    int error = map_and_close(&h->up_arena, &fds[FD_UP], CHAN_UP_BYTES, 1, ZCB_WRITE);
    if (!error)
        error = map_and_close(&h->down_arena, &fds[FD_DOWN], CHAN_DOWN_BYTES, 1, ZCB_READ);
    if (!error)
        error = map_and_close(&h->core_arena, &fds[FD_CORE], CHAN_CORE_BYTES, 1, ZCB_READ);
    if (!error)
        error = map_and_close(&h->rx_arena, &fds[FD_RX], h->hello.rx_bytes, h->hello.rx_arena,
                              ZCB_READ);
    return error;
}

static void start_queues(struct handle *h)
{
    h->up = (void *)h->up_arena.base;
    h->down = (void *)h->down_arena.base;
    h->core = (const void *)h->core_arena.base;
    spsc_producer_init(&h->send.submit, h->up->submit, sizeof(h->up->submit[0]), CHAN_SUBMIT_COUNT,
                       &h->up->words.submit_tail, &h->down->submit_head);
    spsc_producer_init(&h->receive.done, h->up->done, sizeof(h->up->done[0]), CHAN_DONE_COUNT,
                       &h->up->words.done_tail, &h->down->done_head);
    spsc_consumer_init(&h->receive.events, h->down->event, sizeof(h->down->event[0]),
                       CHAN_EVENT_COUNT, &h->down->event_tail, &h->up->words.event_head);
    h->receive.retired_seen = atomic_load_explicit(&h->down->retired, memory_order_acquire);
}

static cs_error_t use_hello(struct handle *h, int *fds, int count)
{
    if (count != HELLO_FDS)
        return CS_ERR_LIBRARY;
    int error = map_regions(h, fds);
    if (error)
        return request_error(error);
    start_queues(h);
    gate_init(&h->wake, fds[FD_WAKE]);
    fds[FD_WAKE] = -1;
    wake_client_settle(h); /* from now on the descriptor says whether events wait */
    return CS_OK;
}

static cs_error_t say_hello(struct handle *h)
{
    int fds[HELLO_FDS];
    int count = HELLO_FDS;
    struct ctl_answer answer;
    cs_error_t error = request_hello(h, hello_flags(h), &answer, fds, &count);
    if (error != CS_OK)
        return error;
    h->hello = answer.hello;
    error = use_hello(h, fds, count);
    for (int i = 0; i < count; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    return error;
}

cs_error_t connect_handle(struct handle *h)
{
    char directory[CTL_DIRECTORY_BYTES];
    int fd = ctl_find(directory, 0);
    if (fd < 0)
        return request_error(fd);
    gate_init(&h->control, fd);
    return say_hello(h);
}
