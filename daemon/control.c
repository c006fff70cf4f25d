/* SPDX-License-Identifier: BSD-3-Clause */
#include "control.h"

#include <errno.h>
#include <inttypes.h>
#include <qb/qbloop.h>
#include <string.h>

#include "ask.h"
#include "capture.h"
#include "connection.h"
#include "handle.h"
#include "listen.h"
#include "log.h"
#include "trace.h"

/* The core says goodbye for twice detect_ms at most; so much longer, and it is left behind. */
#define STOP_EXTRA_NS (5 * NS_PER_S)

static void done_persisted(struct ask *ask, const struct core_event *answer)
{
    (void)ask;
    (void)answer;
}

/* A write that fails is not answered: the ring asks again. */
static void persist(struct control *c, uint64_t ring_seq)
{
    int failing = c->state->failing;
    int failed = state_reserve(c->state, ring_seq);
    if (failed && -failed != failing)
        log_error("state directory %s: ring seq %" PRIu64 " not written: %s; the ring waits",
                  c->state->directory, ring_seq, strerror(-failed));
    if (failed)
        return;
    if (failing)
        log_notice("state directory %s: written again", c->state->directory);
    struct ask *ask = ask_new(c, CORE_PERSISTED, done_persisted);
    if (!ask)
        return;
    ask->command.arg64 = ring_seq;
    ask_give(ask);
}

void control_segment_destroy(struct control *c, struct tx_segment *segment)
{
    core_memory_drop(c->core, &segment->arena);
    tx_segment_destroy(c->resources, segment);
}

static void segment_gone(struct control *c, uint32_t arena_id)
{
    struct tx_segment *s = tx_segment_find(c->resources, arena_id);
    INVARIANT(s); /* K3 */
    struct handle *h = handle_find(c, s->slot, s->owner);
    if (h)
        h->segments &= ~(1u << s->index);
    control_segment_destroy(c, s);
}

static void log_trace(const struct ring_trace *trace)
{
    char text[192];
    int priority = trace_format(trace, text, sizeof(text));
    log_line(priority, __FILE__, __LINE__, "%s", text);
}

static void broken(struct control *c, uint32_t error)
{
    log_error("the transport failed for good: %s", strerror((int)error));
    c->failed = error ? (int)error : EIO;
    qb_loop_stop(c->loop);
}

static void take(struct control *c, const struct core_event *event)
{
    switch ((enum core_event_type)event->type) {
    case CORE_EVENT_ANSWER:
        ask_answered(c, event);
        break;
    case CORE_EVENT_PERSIST:
        persist(c, event->arg64);
        break;
    case CORE_EVENT_FORMED:
        log_notice("first ring formed: clients may come");
        c->formed = true;
        break;
    case CORE_EVENT_EVICT:
        handle_evicted(c, event);
        break;
    case CORE_EVENT_SEGMENT_GONE:
        segment_gone(c, event->arg);
        break;
    case CORE_EVENT_TRACE:
        log_trace(&event->trace);
        break;
    case CORE_EVENT_BROKEN:
        broken(c, event->error);
        break;
    }
}

void control_events(struct control *c)
{
    struct core_event event;
    while (core_event(c->core, &event))
        take(c, &event);
    ask_send_waiting(c);
    connection_sweep(c);
}

static int32_t core_spoke(int32_t fd, int32_t events, void *context)
{
    (void)fd;
    (void)events;
    control_events(context);
    return 0;
}

int control_open(struct control *c, char *why, size_t why_bytes)
{
    c->unsent_last = &c->unsent_first;
    c->handles = calloc(c->config->clients_max, sizeof(c->handles[0]));
    if (!c->handles) {
        snprintf(why, why_bytes, "no memory for %u clients", c->config->clients_max);
        return -ENOMEM;
    }
    int failed = listen_open(c, why, why_bytes);
    if (failed)
        goto free_handles;
    failed = qb_loop_poll_add(c->loop, QB_LOOP_HIGH, core_event_fd(c->core), POLLIN, c, core_spoke);
    if (!failed)
        return 0;
    snprintf(why, why_bytes, "the core cannot be waited for: %s", strerror(-failed));
    listen_close(c);
free_handles:
    free(c->handles);
    c->handles = NULL;
    return failed;
}

static void done_stop(struct ask *ask, const struct core_event *answer)
{
    (void)answer;
    ask->control->stopped = true;
    qb_loop_stop(ask->control->loop);
}

static void stop_too_slow(void *context)
{
    struct control *c = context;
    log_error("the poll core did not stop in time");
    c->failed = ETIMEDOUT;
    qb_loop_stop(c->loop);
}

void control_stop(struct control *c)
{
    qb_loop_timer_handle timer;
    if (c->stopping)
        return;
    struct ask *ask = ask_new(c, CORE_STOP, done_stop);
    INVARIANT(ask);
    c->stopping = true;
    listen_close(c);
    uint64_t wait_ns = 2 * c->config->detect_ms * NS_PER_MS + STOP_EXTRA_NS;
    qb_loop_timer_add(c->loop, QB_LOOP_HIGH, wait_ns, c, stop_too_slow, &timer);
    ask_give(ask);
}

void control_abandon(struct control *c)
{
    listen_close(c);
}

void control_close(struct control *c)
{
    if (!c->handles)
        return; /* control_open() failed, and has undone what it did */
    listen_close(c);
    for (uint32_t i = 0; i < c->config->clients_max; i++)
        if (c->handles[i])
            c->handles[i]->ending = true; /* the core has let go of everything */
    capture_close(c);
    while (c->connections)
        connection_close(c->connections);
    connection_sweep(c);
    ask_free_all(c);
    for (uint32_t i = 0; i < c->config->clients_max; i++)
        if (c->handles[i])
            handle_destroy(c, c->handles[i]);
    free(c->handles);
    c->handles = NULL;
}
