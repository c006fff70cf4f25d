/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>

#include "deliver_message.h"

/* Messages that come in pieces: gathered a node, given when whole, void when the ring changes. */

static void partial_void(struct deliver *d, struct partial *partial)
{
    if (!partial->active)
        return;
    list_void(&d->loans, &partial->list);
    if (partial->record)
        record_drop(partial->record);
    *partial = (struct partial){ 0 };
    d->stats->pieces_void++;
}

void deliver_void_partials(struct deliver *d)
{
    for (int i = 0; i < NODE_COUNT_MAX; i++)
        partial_void(d, &d->partial[i]);
}

static void partial_start(struct deliver *d, struct partial *partial,
                          const struct ring_piece *piece)
{
    partial_void(d, partial);
    partial->active = true;
    partial->port = piece->port;
    partial->own = d->frame->pool != d->rx_pool;
    if (!partial->own)
        return;
    partial->arena = piece->payload.arena;
    partial->offset = piece->payload.offset;
    partial->record = record_of_cookie(piece->payload.cookie);
    record_hold(partial->record); /* and with it all behind it: M2 */
}

static void partial_add(struct deliver *d, struct partial *partial, const struct ring_piece *piece)
{
    /* Ours lies in its segment as one run; others' in the frames that bring it. */
    if (!partial->own && !partial->broken) {
        int error = d->frame->pool == d->rx_pool ? -ENOBUFS : -EXDEV;
        while (error == -ENOBUFS) {
            error = list_add(&d->loans, &partial->list, &piece->payload, d->frame);
            if (error && !d->ops->relieve(d->context))
                break;
        }
        partial->broken = error != 0;
    }
    partial->bytes += piece->payload.bytes;
}

/* The event of a message whose pieces are all here, to every local member of the group. */
static void pieces_complete(struct deliver *d, const struct member *sender, struct partial *partial)
{
    struct group *group = sender->group;
    struct chan_event event = message_event(sender, (uint32_t)partial->bytes);
    loan_word loan;
    if (partial->own) {
        loan = loan_of_record(partial->record);
        event.arena = partial->arena;
        event.offset = partial->offset;
    } else {
        event.arena = d->rx_pool->arena;
        event.offset = zcb_slot_offset(partial->list.first);
        event.flags = CHAN_LISTED;
        loan = list_finish(&d->loans, &partial->list);
    }
    for (uint32_t i = 0; i < group->local_count; i++) {
        struct outlet *o = client_outlet(group->local[i]);
        deliver_one(d, o, &event, loan);
        count_out(d, o, event.bytes);
    }
    loan_drop(&d->loans, loan);
    *partial = (struct partial){ 0 };
}

/* Nothing is dropped in silence: whoever should have had it must go. */
static void evict_readers(struct deliver *d, const struct group *group)
{
    for (uint32_t i = 0; i < group->local_count; i++) {
        if (!client_outlet(group->local[i])->silent)
            d->ops->evict(d->context, group->local[i], CORE_OFFENCE_SLOW, 0);
    }
}

void deliver_part(struct deliver *d, const struct member *sender, struct partial *partial,
                  const struct ring_piece *piece)
{
    if (piece->first)
        partial_start(d, partial, piece);
    if (!partial->active || partial->port != piece->port) {
        d->stats->pieces_void++;
        return;
    }
    partial_add(d, partial, piece);
    if (!piece->last)
        return;
    if (partial->broken || partial->bytes > UINT32_MAX) {
        evict_readers(d, sender->group);
        partial_void(d, partial);
    } else {
        pieces_complete(d, sender, partial);
    }
}
