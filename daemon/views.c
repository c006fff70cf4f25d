/* SPDX-License-Identifier: BSD-3-Clause */
#include "views.h"

#include <string.h>

/* Bytes that go into one RX slot while they fit, else into several with a list of them. */
struct writer {
    struct deliver *d;
    struct list list;
    struct zcb *frame; /* being filled; ours by ZCB_HELD_EVENT */
    uint32_t used;
    uint32_t bytes; /* in all */
    bool failed;
};

static void add_to_list(struct writer *w)
{
    struct zcb_slice slice = {
        .offset = zcb_slot_offset(w->frame),
        .bytes = w->used,
        .arena = w->d->rx_pool->arena,
    };
    while (list_add(&w->d->loans, &w->list, &slice, w->frame) != 0) {
        if (!w->d->ops->relieve(w->d->context)) {
            w->failed = true;
            break;
        }
    }
    zcb_drop(w->frame, ZCB_HELD_EVENT);
    w->frame = NULL;
}

static void next_frame(struct writer *w)
{
    if (w->frame)
        add_to_list(w);
    w->frame = deliver_frame_get(w->d);
    w->failed = w->failed || !w->frame;
    w->used = 0;
}

static void put(struct writer *w, const void *from, uint32_t bytes)
{
    const uint8_t *byte = from;
    uint32_t slot_bytes = w->d->rx_pool->slot_bytes;
    while (bytes > 0 && !w->failed) {
        if (!w->frame || w->used == slot_bytes)
            next_frame(w);
        if (w->failed)
            return;
        uint32_t part = min_u32(bytes, slot_bytes - w->used);
        memcpy(w->frame->head + w->used, byte, part);
        w->used += part;
        w->bytes += part;
        byte += part;
        bytes -= part;
    }
}

/* The event and a loan that the caller holds; 0 when it failed. */
static loan_word finish(struct writer *w, struct chan_event *event)
{
    struct deliver *d = w->d;
    event->bytes = w->bytes;
    event->arena = d->rx_pool->arena;
    event->lease = CHAN_LEASE_NONE;
    if (!w->failed && !w->list.first) {
        event->offset = zcb_slot_offset(w->frame);
        zcb_pass(w->frame, ZCB_HELD_EVENT, ZCB_HELD_CLIENT);
        return loan_of_frame(w->frame);
    }
    if (w->frame)
        add_to_list(w);
    if (w->failed) {
        list_void(&d->loans, &w->list);
        return 0;
    }
    event->offset = zcb_slot_offset(w->list.first);
    event->flags |= CHAN_LISTED;
    return list_finish(&d->loans, &w->list);
}

static loan_word write_view(struct deliver *d, const struct groups_view *view, uint32_t flags,
                            struct chan_event *event)
{
    const struct group *group = view->group;
    struct writer w = { .d = d };
    struct chan_view head = {
        .member_count = group->member_count,
        .left_count = view->left_count,
        .joined_count = view->joined_count,
        .flags = flags,
        .name_bytes = group->name.bytes,
    };
    memcpy(head.name, group->name.value, group->name.bytes);
    put(&w, &head, sizeof(head));
    for (uint32_t i = 0; i < group->member_count; i++) {
        struct chan_address entry = { .nodeid = group->member[i]->node_id,
                                      .pid = group->member[i]->pid };
        put(&w, &entry, sizeof(entry));
    }
    put(&w, view->left, view->left_count * (uint32_t)sizeof(*view->left));
    put(&w, view->joined, view->joined_count * (uint32_t)sizeof(*view->joined));
    *event = (struct chan_event){ .kind = CHAN_VIEW };
    return finish(&w, event);
}

static void give(struct deliver *d, struct client *client, const struct chan_event *event,
                 loan_word loan)
{
    struct outlet *o = client_outlet(client);
    if (loan) {
        deliver_one(d, o, event, loan);
        d->stats->views_out++;
    } else if (!o->silent) {
        d->ops->evict(d->context, client, CORE_OFFENCE_SLOW, 0);
    }
}

static void give_own(struct deliver *d, const struct groups_view *view, struct client *client,
                     uint32_t flags)
{
    struct chan_event event;
    loan_word loan = write_view(d, view, flags, &event);
    give(d, client, &event, loan);
    if (loan)
        loan_drop(&d->loans, loan);
}

void view_deliver(struct deliver *d, const struct groups_view *view)
{
    const struct group *group = view->group;
    struct client *own = view->begins ? view->begins : view->ends;
    if (own)
        give_own(d, view, own, view->begins ? CHAN_VIEW_OWN_JOIN : CHAN_VIEW_OWN_LEAVE);
    if (group->local_count == (own ? 1u : 0u))
        return;
    struct chan_event event;
    loan_word loan = write_view(d, view, 0, &event);
    for (uint32_t i = 0; i < group->local_count; i++) {
        if (group->local[i] != own)
            give(d, group->local[i], &event, loan);
    }
    if (loan)
        loan_drop(&d->loans, loan);
}

struct ring_event ring_event_make(struct deliver *d, struct ring_id ring_id,
                                  const uint32_t *members, int count, uint8_t flags)
{
    struct ring_event ring = { .event = { .kind = CHAN_RING, .flags = flags } };
    struct writer w = { .d = d };
    struct chan_ring head = { .ring_id = ring_id, .member_count = (uint32_t)count };
    put(&w, &head, sizeof(head));
    put(&w, members, (uint32_t)count * (uint32_t)sizeof(*members));
    ring.loan = finish(&w, &ring.event);
    return ring;
}

void ring_event_give(struct deliver *d, struct outlet *o, const struct ring_event *ring)
{
    if (o->silent)
        return;
    if (!ring->loan) {
        d->ops->evict(d->context, o->client, CORE_OFFENCE_SLOW, 0);
        return;
    }
    deliver_one(d, o, &ring->event, ring->loan);
    d->stats->ring_events_out++;
}

void ring_event_drop(struct deliver *d, struct ring_event *ring)
{
    if (ring->loan)
        loan_drop(&d->loans, ring->loan);
    ring->loan = 0;
}
