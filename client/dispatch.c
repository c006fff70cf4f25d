/* SPDX-License-Identifier: BSD-3-Clause */
#include "dispatch.h"

#include <string.h>

#include "arenas.h"
#include "send.h"
#include "wake_client.h"

enum {
    ALIVE_CHECK_EVENTS = 32,
    SPARE_BYTES_MAX = 1 << 20, /* larger buffers are not kept from one dispatch to the next */
    BUFFER_BYTES_MIN = 4096,
    /* Taken in one go, these say that the service may hold more back: see tell_service(). */
    BELL_EVENTS = CHAN_EVENT_COUNT / 2,
    BELL_BYTES = 256 * 1024,
    TRIM_WAIT_MS = 1000,
};

/* Layouts that go to callbacks as they came. */
static_assert(sizeof(struct chan_address) == sizeof(struct cpg_address), "same layout");
static_assert(offsetof(struct chan_address, pid) == offsetof(struct cpg_address, pid) &&
                  offsetof(struct chan_address, reason) == offsetof(struct cpg_address, reason),
              "same layout");

/* What one dispatch holds for the callback it runs; another one inside that has its own. */
struct level {
    struct handle *h;
    uint8_t *buffer; /* aligned to 16 by malloc */
    size_t buffer_bytes;
    struct chan_event event;
    struct cpg_name group;
    int handled;
};

static bool is_finalized(struct handle *h)
{
    return atomic_load_explicit(&h->finalized, memory_order_acquire);
}

/* With the turn: lend the spare buffer of the handle, and give back what is there at the end. */
static void level_begin(struct level *level, struct handle *h)
{
    struct receive_state *r = &h->receive;
    *level = (struct level){ .h = h, .buffer = r->spare, .buffer_bytes = r->spare_bytes };
    r->spare = NULL;
    r->spare_bytes = 0;
}

static void level_end(void *arg)
{
    struct level *level = arg;
    struct receive_state *r = &level->h->receive;
    if (!r->spare && level->buffer_bytes <= SPARE_BYTES_MAX) {
        r->spare = level->buffer;
        r->spare_bytes = level->buffer_bytes;
    } else {
        free(level->buffer);
    }
    turn_give(&r->turn);
}

static bool level_reserve(struct level *level, size_t bytes)
{
    bool oversized = level->buffer_bytes > SPARE_BYTES_MAX && bytes < level->buffer_bytes / 4;
    if (level->buffer && bytes <= level->buffer_bytes && !oversized)
        return true;
    size_t room = bytes > BUFFER_BYTES_MIN ? bytes : (size_t)BUFFER_BYTES_MIN;
    void *buffer = malloc(room);
    if (!buffer)
        return false;
    free(level->buffer);
    level->buffer = buffer;
    level->buffer_bytes = room;
    return true;
}

static bool wants(const struct handle *h, const struct chan_event *event)
{
    if (event->kind == CHAN_MESSAGE)
        return h->model.cpg_deliver_fn != NULL;
    return true; /* views change our group, ring events are small */
}

/* P1: the payload is ours now. */
static void give_lease_back(struct handle *h, const struct chan_event *event)
{
    struct spsc_producer *done = &h->receive.done;
    if (!(event->flags & CHAN_LEASE_END) || event->lease == CHAN_LEASE_NONE)
        return;
    if (spsc_room(done) <= 0) { /* leases are fewer than entries: the service miscounts */
        handle_lose(h);
        return;
    }
    memcpy(spsc_next(done), &event->lease, sizeof(event->lease));
    spsc_publish(done);
}

/*
 * The service waits with further events while the queue is full, and may have gone to sleep over
 * it. When the queue could have been full since it was last empty, the one who emptied it says so.
 */
static void tell_service(struct handle *h)
{
    struct receive_state *r = &h->receive;
    bool may_wait = r->taken_events >= BELL_EVENTS || r->taken_bytes >= BELL_BYTES;
    r->taken_events = 0;
    r->taken_bytes = 0;
    if (may_wait)
        wake_client_ring_bell(h);
}

static void event_taken(struct handle *h, const struct chan_event *event)
{
    struct receive_state *r = &h->receive;
    if (event->kind == CHAN_MESSAGE && event->nodeid == h->hello.nodeid)
        send_came_back(h, event->arena, event->offset);
    r->taken_events++;
    r->taken_bytes += event->bytes;
    spsc_release(&r->events);
    if (spsc_waiting(&r->events) != 0)
        return;
    wake_client_settle(h);
    tell_service(h);
}

/* Sizes are the service's word; a wrong one would let a callback read beyond the buffer. */
static bool view_is_whole(const struct level *level)
{
    const struct chan_view *view = (const void *)level->buffer;
    uint64_t bytes = level->event.bytes;
    if (bytes < sizeof(*view) || view->name_bytes > CPG_MAX_NAME_LENGTH)
        return false;
    uint64_t entries = (uint64_t)view->member_count + view->left_count + view->joined_count;
    return entries <= (bytes - sizeof(*view)) / sizeof(view->entry[0]);
}

static bool ring_is_whole(const struct level *level)
{
    const struct chan_ring *ring = (const void *)level->buffer;
    uint64_t bytes = level->event.bytes;
    return bytes >= sizeof(*ring) &&
           ring->member_count <= (bytes - sizeof(*ring)) / sizeof(ring->member[0]);
}

/* The group name that the callback sees: a view's own, or that of the membership so far. */
static void note_group(struct level *level)
{
    struct receive_state *r = &level->h->receive;
    const struct chan_view *view = (const void *)level->buffer;
    if (level->event.kind != CHAN_VIEW) {
        level->group = r->group;
        return;
    }
    level->group = (struct cpg_name){ .length = view->name_bytes };
    memcpy(level->group.value, view->name, view->name_bytes); /* N3: zero behind it */
    if (view->flags & CHAN_VIEW_OWN_JOIN)
        r->group = level->group;
}

static bool is_whole(const struct level *level)
{
    switch (level->event.kind) {
    case CHAN_MESSAGE:
        return true;
    case CHAN_VIEW:
        return view_is_whole(level);
    case CHAN_RING:
        return ring_is_whole(level);
    default:
        return false;
    }
}

/* Read the event at the head of the queue, all of it, into the level. P2: or none of it. */
static cs_error_t read_event(struct level *level)
{
    struct handle *h = level->h;
    struct chan_event *event = &level->event;
    memcpy(event, spsc_take(&h->receive.events), sizeof(*event));
    h->receive.events.head--; /* taken when it has been read */
    if (!wants(h, event))
        return CS_OK;
    if (!level_reserve(level, event->bytes))
        return CS_ERR_NO_MEMORY;
    return arenas_gather(h, event, level->buffer);
}

/*
 * Whoever is thrown out has no leases any more: what we copied since may be somebody else's. Asked
 * behind the copy, which is whole when the answer is no: the service says so before it lets go of
 * anything.
 */
static bool is_thrown_out(struct handle *h)
{
#ifndef __SANITIZE_THREAD__ /* which knows no fences */
    atomic_thread_fence(memory_order_acquire);
#endif
    return atomic_load_explicit(&h->down->state, memory_order_acquire) != CHAN_OPEN;
}

/* CS_ERR_TRY_AGAIN: there is none. */
static cs_error_t take_event(struct level *level)
{
    struct handle *h = level->h;
    struct receive_state *r = &h->receive;
    int waiting = spsc_waiting(&r->events);
    arenas_refresh(h);
    if (waiting == 0)
        return CS_ERR_TRY_AGAIN;
    cs_error_t error = waiting > 0 ? read_event(level) : CS_ERR_LIBRARY;
    if (error == CS_OK && (is_thrown_out(h) || !is_whole(level)))
        error = CS_ERR_LIBRARY;
    if (error == CS_OK) {
        note_group(level);
        give_lease_back(h, &level->event);
        spsc_take(&r->events);
        event_taken(h, &level->event);
    } else if (error == CS_ERR_LIBRARY) {
        handle_lose(h);
    }
    return error;
}

static void call_view(struct level *level)
{
    static const struct cpg_address none; /* X9: a list is never NULL */
    struct handle *h = level->h;
    const struct chan_view *view = (const void *)level->buffer;
    const struct cpg_address *members = (const void *)view->entry;
    const struct cpg_address *left = members + view->member_count;
    const struct cpg_address *joined = left + view->left_count;
    if (h->model.cpg_confchg_fn)
        h->model.cpg_confchg_fn(h->value, &level->group, view->member_count ? members : &none,
                                view->member_count, view->left_count ? left : &none,
                                view->left_count, view->joined_count ? joined : &none,
                                view->joined_count);
}

static void call_ring(struct level *level)
{
    struct handle *h = level->h;
    const struct chan_ring *ring = (const void *)level->buffer;
    struct cpg_ring_id id = { .nodeid = ring->ring_id.rep, .seq = ring->ring_id.seq };
    if (h->model.cpg_totem_confchg_fn)
        h->model.cpg_totem_confchg_fn(h->value, id, ring->member_count, ring->member);
}

static void call_program(struct level *level)
{
    struct handle *h = level->h;
    const struct chan_event *event = &level->event;
    if (event->kind == CHAN_VIEW)
        call_view(level);
    else if (event->kind == CHAN_RING)
        call_ring(level);
    else if (h->model.cpg_deliver_fn)
        h->model.cpg_deliver_fn(h->value, &level->group, event->nodeid, event->pid, level->buffer,
                                event->bytes);
}

/* With the turn: one event. CS_ERR_TRY_AGAIN: there is none. */
static cs_error_t handle_event(struct level *level)
{
    struct handle *h = level->h;
    if (is_finalized(h))
        return CS_ERR_BAD_HANDLE;
    if (atomic_load_explicit(&h->lost, memory_order_acquire))
        return CS_ERR_LIBRARY;
    cs_error_t error = take_event(level);
    if (error != CS_OK)
        return error;
    if (is_finalized(h))
        return CS_ERR_BAD_HANDLE; /* X8: no other callback starts */
    call_program(level);
    level->handled++;
    return is_finalized(h) ? CS_ERR_BAD_HANDLE : CS_OK;
}

/* With the turn: one event, or all until the queue is seen empty (CS_ERR_TRY_AGAIN). */
static cs_error_t handle_events(struct level *level, bool one)
{
    cs_error_t error;
    do {
        if (level->handled % ALIVE_CHECK_EVENTS == 0)
            handle_alive(level->h);
        error = handle_event(level);
    } while (error == CS_OK && !one);
    return error;
}

/* Take the turn, handle what there is, give it back; so too when the thread ends in a callback. */
static cs_error_t take_turn(struct handle *h, bool one, bool wait)
{
    struct level level;
    cs_error_t error;
    switch (turn_take(&h->receive.turn, wait)) {
    case TURN_CLOSED:
        return CS_ERR_BAD_HANDLE;
    case TURN_BUSY:
        return CS_ERR_TRY_AGAIN; /* another thread sees to it */
    case TURN_MINE:
        break;
    }
    level_begin(&level, h);
    pthread_cleanup_push(level_end, &level);
    error = handle_events(&level, one);
    pthread_cleanup_pop(1);
    return error;
}

static cs_error_t wait_for_events(struct handle *h)
{
    return wake_client_wait(h, send_may_trim(h) ? TRIM_WAIT_MS : -1);
}

cs_error_t dispatch(struct handle *h, cs_dispatch_flags_t mode)
{
    bool one = mode == CS_DISPATCH_ONE || mode == CS_DISPATCH_ONE_NONBLOCKING;
    bool wait = mode == CS_DISPATCH_ONE || mode == CS_DISPATCH_BLOCKING;
    for (;;) {
        if (send_may_trim(h))
            send_trim(h);
        cs_error_t error = take_turn(h, one, wait);
        if (error == CS_ERR_TRY_AGAIN && mode == CS_DISPATCH_ALL)
            return CS_OK;
        if (error != CS_ERR_TRY_AGAIN || !wait)
            return error;
        error = wait_for_events(h);
        if (error != CS_OK)
            return error;
    }
}
