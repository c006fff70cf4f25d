/* SPDX-License-Identifier: BSD-3-Clause */
#include "internal.h"

/* Frames with a place on a ring, and what shows that there is another ring. */

enum { REFUSALS_MOST = 5 };

/* Hardly a buffer is left. That we were told of none may also mean that senders are to wait. */
static bool rx_short(const struct ring *r, const struct zcb *frame)
{
    return r->rx_free < RX_RESERVE && frame->pool->free_count < frame->pool->count / 4;
}

/* Totem 1995: receipt of a message of the present ring, or of the ring that is being formed. */
static void ring_frame_receive(struct ring *r, struct zcb *frame, const struct wire_view *view)
{
    uint64_t seq = view->data->seq;
    bool token_here = r->parked_here || ring_alone(r);
    if (token_here && seq > r->token.seq) { /* nobody else can have given that place */
        r->stats.rx_malformed++;
        return;
    }
    if (rx_short(r, frame) && seq != r->cur->my_aru + 1) {
        r->stats.rx_no_room++;
        return;
    }
    if (view->head->type != WIRE_INFO)
        wire_split(frame, view);
    switch (window_put(r->cur, seq, frame)) {
    case WINDOW_NEW:
        r->stats.frames_received++;
        r->rx_free -= r->rx_free > 0 && r->rx_free != UINT32_MAX;
        if (r->state == RING_RECOVERY)
            recovery_accept(r, frame);
        token_seen_beyond(r, seq);
        break;
    case WINDOW_DUPLICATE:
        r->stats.frames_duplicate++;
        break;
    case WINDOW_FULL:
        r->stats.rx_no_room++;
        break;
    }
}

static bool recent(const struct ring *r, struct ring_id id)
{
    for (int i = 0; i < RECENT_MAX; i++) {
        if (r->recent[i].seq > 0 && ring_id_equal(r->recent[i], id))
            return true;
    }
    return false;
}

/*
 * A frame of a ring that is not ours. One that we left, or one older than ours with a sender that
 * is with us now, is merely late. Anything else shows a ring to merge with.
 */
void foreign_receive(struct ring *r, const struct wire_head *head, bool moves)
{
    struct ring_id id = wire_ring_id(head);
    bool with_us = configuration_has(r, &r->my_ring, head->sender);
    bool in_recent = recent(r, id);
    if ((in_recent && moves) || (with_us && id.seq <= r->my_ring.id.seq)) {
        r->stats.rx_stale++;
        return;
    }
    r->stats.rx_foreign++;
    int from = ring_node_index(r, head->sender);
    if (r->state == RING_OPERATIONAL && (with_us || (!r->installing && stranger_moves(r, from))))
        gather_enter_with(r, RING_REASON_FOREIGN, from);
}

/*
 * Departure: while the token goes round to have everybody install the ring, whoever is not in it is
 * not listened to. If some of us went to meet a stranger before the others have the ring, we would
 * part from them: each side would lose the other, though nothing has failed. A stranger says again
 * what it says.
 *
 * Departure: a node that we hear and that does not hear us would make us gather for ever. For one
 * that did not come along when we gathered for it we do so less and less often.
 */
bool stranger_moves(struct ring *r, int index)
{
    if (r->now_ns < r->shunned_ns[index])
        return false;
    set_add(&r->courted, index);
    return true;
}

static void strangers_judge(struct ring *r)
{
    SET_EACH(i, r->courted)
    {
        if (set_has(r->my_ring.memb, i)) {
            r->refusals[i] = 0;
            continue;
        }
        uint32_t doublings = min_u32(r->refusals[i]++, REFUSALS_MOST);
        if (doublings > 0) /* once is an accident */
            r->shunned_ns[i] =
                max_u64(r->shunned_ns[i], r->now_ns + (r->config.detect_ns << doublings));
    }
    r->courted = (struct node_set){ { 0 } };
}

void ordered_receive(struct ring *r, struct zcb *frame, const struct wire_view *view)
{
    struct ring_id id = wire_ring_id(view->head);
    if (r->state == RING_COMMIT && ring_id_equal(id, r->my_new_ring.id))
        recovery_enter(r); /* others are there already: the token went past us or is late */
    if (ring_id_equal(id, r->my_ring.id))
        ring_frame_receive(r, frame, view);
    else if (r->state == RING_RECOVERY && ring_id_equal(id, r->my_old_ring.id))
        r->stats.rx_stale++; /* what we have of the old ring is agreed on from here */
    else if (view->head->type == WIRE_DATA)
        foreign_receive(r, view->head, true);
    else
        r->stats.rx_stale++; /* recovery of others: they will be heard when they are done */
}

void beacon_receive(struct ring *r, const struct wire_beacon *beacon)
{
    if (!ring_id_equal(wire_ring_id(&beacon->head), r->my_ring.id))
        foreign_receive(r, &beacon->head, false);
}

static bool beacon_due(const struct ring *r)
{
    return r->state == RING_OPERATIONAL && r->my_ring.count < r->node_count &&
           r->my_ring.id.rep == r->config.node_id;
}

void beacon_expire(struct ring *r)
{
    if (!beacon_due(r))
        return;
    send_beacon(r);
    timer_set(r, TIMER_BEACON, r->now_ns + timer_spread(r, 2 * timer_unit(r)));
}

/* The new ring is ours: what recovery needed ends, what an operational ring needs begins. */
void operational_enter(struct ring *r)
{
    ring_state_set(r, RING_OPERATIONAL, RING_REASON_RECOVERED);
    r->gate_open = false;
    r->installing = !ring_alone(r);
    r->failed_before = (struct node_set){ { 0 } };
    strangers_judge(r);
    timer_off(r, TIMER_JOIN);
    timer_off(r, TIMER_CONSENSUS);
    timer_off(r, TIMER_FORM);
    if (beacon_due(r))
        timer_set(r, TIMER_BEACON, r->now_ns + timer_spread(r, 2 * timer_unit(r)));
    if (ring_alone(r))
        timer_off(r, TIMER_LOSS);
    if (pack_bulk_restart(&r->pack)) {
        r->stats.bulk_restarts++;
        ring_trace_add(r, RING_TRACE_BULK_RESTART, pack_bulk(&r->pack)->port, 0, 0);
    }
    r->stats.configurations++;
    ring_trace_add(r, RING_TRACE_CONFIGURATION, r->my_ring.id.seq, r->my_ring.id.rep,
                   (uint64_t)r->my_ring.count);
}
