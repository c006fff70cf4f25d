/* SPDX-License-Identifier: BSD-3-Clause */
#include "deliver.h"
#include "deliver_message.h"
#include "pages.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

int deliver_create(struct deliver *d, struct zcb_pool *rx_pool, uint32_t clients_max,
                   uint32_t waiting_count, struct core_stats *stats, const struct deliver_ops *ops,
                   void *context)
{
    *d = (struct deliver){
        .rx_pool = rx_pool,
        .ops = ops,
        .context = context,
        .stats = stats,
        .waiting_count = waiting_count,
        .waiting_free = waiting_count,
        .waiting_free_first = WAITING_NONE,
    };
    d->waiting = pages_take(waiting_count * sizeof(*d->waiting));
    d->in_frame = calloc(clients_max, sizeof(*d->in_frame));
    d->to_publish = calloc(clients_max, sizeof(*d->to_publish));
    if (!d->waiting || !d->in_frame || !d->to_publish || loans_create(&d->loans, rx_pool) != 0) {
        deliver_destroy(d);
        return -ENOMEM;
    }
    return 0;
}

void deliver_destroy(struct deliver *d)
{
    loans_destroy(&d->loans);
    free(d->waiting);
    free(d->in_frame);
    free(d->to_publish);
    *d = (struct deliver){ 0 };
}

void outlet_init(struct outlet *o, struct client *client, const struct core_client_setup *setup)
{
    struct chan_down *down = setup->down;
    struct chan_up *up = setup->up;
    *o = (struct outlet){
        .client = client,
        .frame_lease = CHAN_LEASE_NONE,
        .drain_lease = CHAN_LEASE_NONE,
        .waiting_first = WAITING_NONE,
        .waiting_last = WAITING_NONE,
        .lease_free_count = CHAN_LEASE_COUNT,
        .wake = setup->wake,
        .event_head = &up->words.event_head,
        .wake_socket = setup->wake_socket,
    };
    for (uint32_t i = 0; i < CHAN_LEASE_COUNT; i++)
        o->lease_free[i] = (uint16_t)(CHAN_LEASE_COUNT - 1 - i);
    spsc_producer_init(&o->events, down->event, sizeof(struct chan_event), CHAN_EVENT_COUNT,
                       &down->event_tail, &up->words.event_head);
    spsc_consumer_init(&o->done, up->done, sizeof(uint32_t), CHAN_DONE_COUNT, &up->words.done_tail,
                       &down->done_head);
}

static uint32_t lease_take(struct outlet *o, loan_word loan)
{
    uint32_t lease = o->lease_free[--o->lease_free_count];
    o->lease[lease] = loan;
    o->leases_out++;
    return lease;
}

static void lease_give_back(struct deliver *d, struct outlet *o, uint32_t lease)
{
    loan_word loan = o->lease[lease];
    o->lease[lease] = 0;
    o->lease_free[o->lease_free_count++] = (uint16_t)lease;
    o->leases_out--;
    o->frames_out -= loan_frames(&d->loans, loan);
    loan_drop(&d->loans, loan);
}

static void borrow(struct deliver *d, struct outlet *o, loan_word loan)
{
    loan_hold(&d->loans, loan);
    o->frames_out += loan_frames(&d->loans, loan);
}

/* Even a frame with very many readers is welcome now and then, while there is room for any. */
enum { FRAMES_TRICKLE = 64 };

uint32_t deliver_frames_welcome(const struct deliver *d)
{
    uint32_t kept_back = d->waiting_count / 4;
    if (d->waiting_free <= kept_back)
        return 0;
    uint32_t frames = (d->waiting_free - kept_back) / (d->events_a_frame + 1);
    return frames > FRAMES_TRICKLE ? frames : FRAMES_TRICKLE;
}

/* Up at once, down slowly: the figure is for the worst of what comes. */
static void learn_density(struct deliver *d)
{
    if (d->frame_events >= d->events_a_frame)
        d->events_a_frame = d->frame_events;
    else
        d->events_a_frame -= (d->events_a_frame - d->frame_events + 63) / 64;
    d->frame_events = 0;
}

void deliver_begin(struct deliver *d, struct zcb *frame)
{
    INVARIANT(!d->frame && d->in_frame_count == 0);
    d->frame = frame;
    d->serial++;
}

int outlet_room(struct deliver *d, struct outlet *o)
{
    int room = spsc_room(&o->events);
    if (room < 0)
        d->ops->evict(d->context, o->client, CORE_OFFENCE_EVENT_HEAD,
                      atomic_load_explicit(o->event_head, memory_order_relaxed));
    return room;
}

/* The first event of this frame for this client: where do they all go? */
static void outlet_begin(struct deliver *d, struct outlet *o)
{
    o->serial = d->serial;
    o->frame_last = NULL;
    o->frame_held = false;
    o->mode = OUTLET_SILENT;
    if (o->silent)
        return;
    int room = outlet_room(d, o);
    if (room < 0)
        return;
    bool direct = o->waiting_count == 0 && room >= DELIVER_FRAME_EVENTS &&
                  o->lease_free_count >= DELIVER_FRAME_EVENTS;
    o->mode = direct ? OUTLET_DIRECT : OUTLET_WAIT;
    d->in_frame[d->in_frame_count++] = o;
}

static void publish_later(struct deliver *d, struct outlet *o)
{
    if (o->published)
        return;
    o->published = true;
    d->to_publish[d->to_publish_count++] = o;
}

void deliver_end(struct deliver *d)
{
    for (uint32_t i = 0; i < d->in_frame_count; i++) {
        struct outlet *o = d->in_frame[i];
        if (o->frame_last)
            o->frame_last->flags |= CHAN_LEASE_END;
        if (o->mode == OUTLET_DIRECT)
            publish_later(d, o);
        o->frame_lease = CHAN_LEASE_NONE;
        o->frame_last = NULL;
        o->frame_held = false;
    }
    d->in_frame_count = 0;
    d->frame = NULL;
    learn_density(d);
}

static uint32_t *next_of(struct deliver *d, uint32_t index)
{
    return &d->waiting[index].event.lease;
}

/* At the end of the backlog. NULL: the client was silenced, being the worst laggard. */
static struct waiting *wait_append(struct deliver *d, struct outlet *o,
                                   const struct chan_event *event, loan_word loan)
{
    while (d->waiting_free == 0 && d->ops->relieve(d->context))
        ;
    if (o->mode == OUTLET_SILENT)
        return NULL;
    INVARIANT(d->waiting_free > 0); /* whoever holds one can be silenced */
    uint32_t index = d->waiting_free_first;
    if (index != WAITING_NONE)
        d->waiting_free_first = *next_of(d, index);
    else
        index = d->waiting_fresh++;
    struct waiting *entry = &d->waiting[index];
    d->waiting_free--;
    *entry = (struct waiting){ .event = *event, .loan = loan };
    *next_of(d, index) = WAITING_NONE;
    if (o->waiting_count++ == 0)
        o->waiting_first = index;
    else
        *next_of(d, o->waiting_last) = index;
    o->waiting_last = index;
    d->stats->backlog_events++;
    d->stats->backlog_events_max = max_u64(d->stats->backlog_events_max, d->stats->backlog_events);
    return entry;
}

static struct waiting wait_pop(struct deliver *d, struct outlet *o)
{
    uint32_t index = o->waiting_first;
    struct waiting entry = d->waiting[index];
    o->waiting_first = entry.event.lease;
    entry.event.lease = CHAN_LEASE_NONE;
    if (--o->waiting_count == 0)
        o->waiting_last = WAITING_NONE;
    *next_of(d, index) = d->waiting_free_first;
    d->waiting_free_first = index;
    d->waiting_free++;
    d->stats->backlog_events--;
    return entry;
}

/* A message that lies in the frame. */
static void give_message(struct deliver *d, struct outlet *o, const struct chan_event *event)
{
    if (o->serial != d->serial)
        outlet_begin(d, o);
    struct chan_event *place;
    if (o->mode == OUTLET_DIRECT) {
        place = spsc_next(&o->events);
        *place = *event;
        if (event->bytes > 0) {
            if (o->frame_lease == CHAN_LEASE_NONE) {
                borrow(d, o, loan_of_frame(d->frame));
                o->frame_lease = lease_take(o, loan_of_frame(d->frame));
            }
            place->lease = o->frame_lease;
        }
    } else {
        loan_word loan = event->bytes > 0 ? loan_of_frame(d->frame) : 0;
        struct waiting *entry = o->mode == OUTLET_WAIT ? wait_append(d, o, event, loan) : NULL;
        if (!entry)
            return;
        if (loan && !o->frame_held) {
            borrow(d, o, loan);
            o->frame_held = true;
        }
        place = &entry->event;
    }
    if (event->bytes > 0)
        o->frame_last = place;
}

void deliver_one(struct deliver *d, struct outlet *o, const struct chan_event *event,
                 loan_word loan)
{
    if (o->serial != d->serial)
        outlet_begin(d, o);
    if (o->mode == OUTLET_DIRECT) {
        borrow(d, o, loan);
        struct chan_event *place = spsc_next(&o->events);
        *place = *event;
        place->lease = lease_take(o, loan);
        place->flags |= CHAN_LEASE_END;
        return;
    }
    struct waiting *entry = o->mode == OUTLET_WAIT ? wait_append(d, o, event, loan) : NULL;
    if (!entry)
        return;
    borrow(d, o, loan);
    entry->event.flags |= CHAN_LEASE_END;
}

static void whole_message(struct deliver *d, const struct member *sender,
                          const struct ring_piece *piece)
{
    struct group *group = sender->group;
    struct chan_event event = message_event(sender, piece->payload.bytes);
    if (event.bytes > 0) {
        event.arena = piece->payload.arena;
        event.offset = piece->payload.offset;
    }
    for (uint32_t i = 0; i < group->local_count; i++) {
        struct outlet *o = client_outlet(group->local[i]);
        give_message(d, o, &event);
        count_out(d, o, event.bytes);
    }
}

void deliver_piece(struct deliver *d, const struct member *member, uint32_t node_index,
                   const struct ring_piece *piece)
{
    if (piece->first && piece->last)
        whole_message(d, member, piece);
    else
        deliver_part(d, member, &d->partial[node_index], piece);
}

struct zcb *deliver_frame_get(struct deliver *d)
{
    struct zcb *frame;
    while (!(frame = zcb_get(d->rx_pool, ZCB_HELD_EVENT)) && d->ops->relieve(d->context))
        ;
    return frame;
}

void deliver_drain(struct deliver *d, struct outlet *o)
{
    int room = outlet_room(d, o);
    if (room < 0)
        return;
    bool some = false;
    for (; room > 0 && o->waiting_count > 0 && o->lease_free_count > 0; room--) {
        struct waiting entry = wait_pop(d, o);
        if (entry.loan && loan_is_frame(entry.loan) && entry.event.kind == CHAN_MESSAGE) {
            if (o->drain_lease == CHAN_LEASE_NONE)
                o->drain_lease = lease_take(o, entry.loan);
            entry.event.lease = o->drain_lease;
            if (entry.event.flags & CHAN_LEASE_END)
                o->drain_lease = CHAN_LEASE_NONE;
        } else if (entry.loan) {
            entry.event.lease = lease_take(o, entry.loan);
        }
        *(struct chan_event *)spsc_next(&o->events) = entry.event;
        some = true;
    }
    if (some)
        publish_later(d, o);
}

enum core_offence deliver_done(struct deliver *d, struct outlet *o, uint64_t *value)
{
    int waiting = spsc_waiting(&o->done);
    if (waiting < 0) {
        *value = atomic_load_explicit(o->done.tail_shared, memory_order_relaxed);
        return CORE_OFFENCE_DONE_TAIL;
    }
    if (waiting == 0)
        return CORE_OFFENCE_NONE;
    for (; waiting > 0; waiting--) {
        uint32_t lease = *(const volatile uint32_t *)spsc_take(&o->done); /* once: it may change */
        if (lease >= CHAN_LEASE_COUNT || !o->lease[lease] || lease == o->drain_lease) {
            *value = lease;
            return CORE_OFFENCE_DONE_LEASE;
        }
        lease_give_back(d, o, lease);
        o->returned++;
    }
    spsc_release(&o->done);
    return CORE_OFFENCE_NONE;
}

void deliver_publish(struct deliver *d)
{
    for (uint32_t i = 0; i < d->to_publish_count; i++) {
        struct outlet *o = d->to_publish[i];
        o->published = false;
        spsc_publish(&o->events);
        /* One byte at most is under way, so the socket has room; other errors mean that the client
         * is going, which the control thread sees too. */
        if (wake_service_published(o->wake, o->event_head, o->events.tail) == WAKE_BYTE) {
            (void)!send(o->wake_socket, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
            d->stats->wakes_sent++;
        }
    }
    d->to_publish_count = 0;
}

static void drop_waiting(struct deliver *d, struct outlet *o)
{
    while (o->waiting_count > 0) {
        struct waiting entry = wait_pop(d, o);
        if (!entry.loan || !(entry.event.flags & CHAN_LEASE_END))
            continue;
        bool shares = loan_is_frame(entry.loan) && entry.event.kind == CHAN_MESSAGE;
        if (shares && o->drain_lease != CHAN_LEASE_NONE) {
            o->drain_lease = CHAN_LEASE_NONE; /* the lease holds it */
            continue;
        }
        loan_drop(&d->loans, entry.loan);
    }
    if (o->serial == d->serial && o->frame_held)
        loan_drop(&d->loans, loan_of_frame(d->frame)); /* its last event is not marked yet */
}

static void unpublish(struct deliver *d, struct outlet *o)
{
    if (!o->published)
        return;
    uint32_t i = 0;
    while (d->to_publish[i] != o)
        i++;
    d->to_publish[i] = d->to_publish[--d->to_publish_count];
    o->published = false;
}

void deliver_silence(struct deliver *d, struct outlet *o)
{
    if (o->silent)
        return;
    o->silent = true;
    unpublish(d, o);
    drop_waiting(d, o);
    o->mode = OUTLET_SILENT;
    o->frame_held = false;
    o->frame_last = NULL;
    o->frame_lease = CHAN_LEASE_NONE;
    for (uint32_t lease = 0; lease < CHAN_LEASE_COUNT; lease++) {
        if (o->lease[lease])
            lease_give_back(d, o, lease);
    }
    o->frames_out = 0;
}

uint32_t outlet_backlog(const struct outlet *o)
{
    uint32_t head = atomic_load_explicit(o->event_head, memory_order_relaxed);
    return o->waiting_count + min_u32(o->events.tail - head, CHAN_EVENT_COUNT);
}

void deliver_check(const struct deliver *d, struct outlet *const *outlets, uint32_t count)
{
    uint32_t used = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t leases = 0;
        for (uint32_t lease = 0; lease < CHAN_LEASE_COUNT; lease++)
            leases += outlets[i]->lease[lease] != 0;
        INVARIANT(leases == outlets[i]->leases_out);
        INVARIANT(leases + outlets[i]->lease_free_count == CHAN_LEASE_COUNT); /* D2 */
        used += outlets[i]->waiting_count;
    }
    INVARIANT(used + d->waiting_free == d->waiting_count); /* D3 */
    INVARIANT(d->stats->backlog_events == used);
}
