/* SPDX-License-Identifier: BSD-3-Clause */
/* fake_core.c - the queues of the fake service. */
#include "fake_internal.h"

#include <string.h>
#include <sys/socket.h>

static int lease_find(struct client *c)
{
    for (int i = 0; i < CHAN_LEASE_COUNT; i++)
        if (!c->lease[i].out)
            return i;
    return -1;
}

int core_slot(struct fake *f)
{
    for (int i = 0; i < RX_SLOTS; i++)
        if (!f->rx_used[i])
            return i;
    return NO_SLOT;
}

bool core_can_tell(struct fake *f, const struct client *c)
{
    return c->open && c->down.base && spsc_room((struct spsc_producer *)&c->events) > 0 &&
           lease_find((struct client *)c) >= 0 && core_slot(f) != NO_SLOT;
}

bool core_push(struct client *c, const struct chan_event *event)
{
    if (!c->open || spsc_room(&c->events) <= 0)
        return false;
    memcpy(spsc_next(&c->events), event, sizeof(*event));
    spsc_publish(&c->events);
    struct chan_up *up = (void *)c->up.base;
    if (wake_service_published(c->wake_page, &up->words.event_head, c->events.tail) == WAKE_BYTE)
        send(c->wake, "w", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
    return true;
}

/* The event's payload, or its list, lies in the slot. */
bool core_push_slot(struct fake *f, struct client *c, struct chan_event event, int slot)
{
    int lease = lease_find(c);
    f->rx_used[slot] = true;
    c->lease[lease] = (struct lease){ .out = true, .slot = slot };
    event.lease = (uint32_t)lease;
    event.flags |= CHAN_LEASE_END;
    if (!(event.flags & CHAN_LISTED) || event.arena == 0)
        event.arena = f->rx.id;
    event.offset = (uint64_t)slot * RX_SLOT_BYTES;
    return core_push(c, &event);
}

static void tx_advance(struct client *c, uint32_t index)
{
    struct tx *tx = c->tx[index];
    struct chan_down *down = (void *)c->down.base;
    while (tx->head != tx->tail && tx->record[tx->head % RECORDS].refs == 0) {
        atomic_store_explicit(&down->tx_free[index], tx->record[tx->head % RECORDS].end,
                              memory_order_release);
        tx->head++;
    }
}

void core_free_tx(struct client *c, uint32_t index)
{
    zcb_arena_destroy(&c->tx[index]->arena);
    free(c->tx[index]);
    c->tx[index] = NULL;
}

static void record_drop(struct fake *f, struct tx *tx, uint32_t record)
{
    tx->record[record % RECORDS].refs--;
    for (uint32_t n = 0; n < f->client_count; n++)
        for (uint32_t i = 0; i < CHAN_SEGMENT_COUNT; i++)
            if (f->client[n]->tx[i] == tx)
                tx_advance(f->client[n], i);
}

static void lease_back(struct fake *f, struct client *c, uint32_t index)
{
    if (index >= CHAN_LEASE_COUNT || !c->lease[index].out) {
        f->offences++;
        return;
    }
    struct lease *lease = &c->lease[index];
    lease->out = false;
    if (lease->slot != NO_SLOT)
        f->rx_used[lease->slot] = false;
    if (lease->tx)
        record_drop(f, lease->tx, lease->record);
}

static bool take_leases(struct fake *f, struct client *c)
{
    bool any = false;
    while (spsc_waiting(&c->done) > 0) {
        uint32_t index;
        memcpy(&index, spsc_take(&c->done), sizeof(index));
        spsc_release(&c->done);
        lease_back(f, c, index);
        any = true;
    }
    return any;
}

/* M1 of the real service, and D3 of the library. */
static bool submit_is_fair(const struct client *c, const struct chan_submit *s)
{
    if (s->segment >= CHAN_SEGMENT_COUNT || !c->tx[s->segment] || !c->joined)
        return false;
    struct tx *tx = c->tx[s->segment];
    const struct chan_down *down = (const void *)c->down.base;
    uint64_t need = align_up(s->bytes, CHAN_TX_ALIGN);
    uint64_t freed = atomic_load_explicit(&down->tx_free[s->segment], memory_order_relaxed);
    return s->offset % CHAN_TX_ALIGN == 0 && s->offset + need <= tx->arena.bytes &&
           s->end - need >= tx->taken_end &&
           (s->end - need) % tx->arena.bytes == s->offset % tx->arena.bytes &&
           s->end - freed <= tx->arena.bytes && s->bytes <= FAKE_MESSAGE_MAX &&
           s->guarantee <= GUARANTEE_SAFE;
}

/* A list in a slot: as many pieces as it takes, which must fit into one slot here. */
static int write_list(struct fake *f, const struct chan_submit *s, uint32_t arena)
{
    int slot = core_slot(f);
    struct chan_list *list = (void *)(f->rx.base + (size_t)slot * RX_SLOT_BYTES);
    memset(list, 0, sizeof(*list));
    for (uint32_t done = 0; done < s->bytes; done += f->split_bytes)
        list->piece[list->count++] = (struct chan_piece){
            .offset = s->offset + done,
            .arena = arena,
            .bytes = min_u32(f->split_bytes, s->bytes - done),
        };
    return slot;
}

static void deliver(struct fake *f, struct client *from, const struct chan_submit *s,
                    struct client *to, uint32_t record)
{
    struct tx *tx = from->tx[s->segment];
    int lease = lease_find(to);
    bool split = f->split_bytes > 0 && s->bytes > f->split_bytes;
    int slot = split ? write_list(f, s, tx->arena.id) : NO_SLOT;
    struct chan_event event = {
        .kind = CHAN_MESSAGE,
        .flags = CHAN_LEASE_END | (split ? CHAN_LISTED : 0),
        .bytes = s->bytes,
        .arena = tx->arena.id,
        .lease = (uint32_t)lease,
        .offset = split ? (uint64_t)slot * RX_SLOT_BYTES : s->offset,
        .nodeid = FAKE_NODE,
        .pid = FAKE_PID + from->number,
    };
    to->lease[lease] = (struct lease){ .out = true, .slot = slot, .tx = tx, .record = record };
    if (slot != NO_SLOT)
        f->rx_used[slot] = true;
    tx->record[record % RECORDS].refs++;
    core_push(to, &event);
}

static bool all_can_take(struct fake *f, const struct client *from)
{
    for (uint32_t n = 0; n < f->client_count; n++)
        if (f->client[n]->open && same_group(f->client[n], from) && !core_can_tell(f, f->client[n]))
            return false;
    return true;
}

static void order_message(struct fake *f, struct client *from, const struct chan_submit *s)
{
    struct tx *tx = from->tx[s->segment];
    uint32_t record = tx->tail++;
    tx->record[record % RECORDS] = (struct record){ .end = s->end };
    tx->taken_end = s->end;
    for (uint32_t n = 0; n < f->client_count; n++)
        if (f->client[n]->open && same_group(f->client[n], from))
            deliver(f, from, s, f->client[n], record);
    tx_advance(from, s->segment);
}

static bool take_submits(struct fake *f, struct client *c)
{
    bool any = false;
    while (!f->paused && spsc_waiting(&c->submit) > 0 && all_can_take(f, c)) {
        struct chan_submit s;
        memcpy(&s, spsc_take(&c->submit), sizeof(s));
        if (submit_is_fair(c, &s))
            order_message(f, c, &s);
        else
            f->offences++;
        spsc_release(&c->submit);
        any = true;
    }
    return any;
}

/* Everybody is told that some arena has gone. */
static void close_segments(struct fake *f, struct client *c)
{
    for (uint32_t i = 0; i < CHAN_SEGMENT_COUNT; i++) {
        struct tx *tx = c->tx[i];
        if (!tx || !tx->closing || tx->head != tx->tail ||
            (int32_t)(c->submit.head - tx->barrier) < 0)
            continue;
        core_free_tx(c, i);
        for (uint32_t n = 0; n < f->client_count; n++) {
            struct chan_down *down = (void *)f->client[n]->down.base;
            if (down)
                atomic_fetch_add(&down->retired, 1);
        }
    }
}

bool core_turn(struct fake *f)
{
    bool any = false;
    for (uint32_t n = 0; n < f->client_count; n++) {
        struct client *c = f->client[n];
        if (!c->open || !c->down.base)
            continue; /* it has not said hello */
        any = take_leases(f, c) || any;
        any = take_submits(f, c) || any;
        close_segments(f, c);
    }
    return any;
}

static uint32_t fill_view(struct fake *f, struct chan_view *view, const struct client *who,
                          uint32_t reason)
{
    bool leaves = reason != CPG_REASON_JOIN;
    uint32_t at = 0;
    for (uint32_t n = 0; n < f->client_count; n++)
        if (same_group(f->client[n], who) && (!leaves || f->client[n] != who))
            view->entry[at++] = (struct chan_address){ FAKE_NODE, FAKE_PID + n, 0 };
    view->member_count = at;
    view->entry[at] = (struct chan_address){ FAKE_NODE, FAKE_PID + who->number, reason };
    *(leaves ? &view->left_count : &view->joined_count) = 1;
    view->name_bytes = who->group.length;
    memcpy(view->name, who->group.value, who->group.length);
    return (uint32_t)(sizeof(*view) + (at + 1) * sizeof(view->entry[0]));
}

/* Tell the group of `who`, which is still marked as joined, what becomes of it. */
bool core_view(struct fake *f, const struct client *who, uint32_t reason)
{
    bool all = true;
    for (uint32_t n = 0; n < f->client_count; n++) {
        struct client *c = f->client[n];
        if (!c->open || !same_group(c, who))
            continue;
        if (!core_can_tell(f, c)) {
            all = false;
            continue;
        }
        int slot = core_slot(f);
        struct chan_view *view = (void *)(f->rx.base + (size_t)slot * RX_SLOT_BYTES);
        memset(view, 0, sizeof(*view));
        uint32_t bytes = fill_view(f, view, who, reason);
        if (c == who)
            view->flags = reason == CPG_REASON_JOIN ? CHAN_VIEW_OWN_JOIN : CHAN_VIEW_OWN_LEAVE;
        core_push_slot(f, c, (struct chan_event){ .kind = CHAN_VIEW, .bytes = bytes }, slot);
    }
    return all;
}
