/* SPDX-License-Identifier: BSD-3-Clause */
#include "internal.h"

/*
 * Delivery in agreed order, and the end of an old ring.
 *
 * Invariants: D1  a REGULAR configuration is the first delivery of its call: what its caller does
 *                 about earlier ones (ring_open()) cannot be meant for it
 *             D2  where the old regular configuration ends is reckoned from what all that come
 *                 along know (aru after recovery, the highest safe_seq of any): the same everywhere
 */

static struct ring_delivery *deliver_slot(struct ring *r)
{
    if (r->out->deliver_count == RING_OUT_MAX)
        return NULL;
    return &r->out->deliver[r->out->deliver_count++];
}

static bool deliver_frame(struct ring *r, struct zcb *frame)
{
    struct ring_delivery *d = deliver_slot(r);
    if (!d)
        return false;
    struct wire_place place = wire_old_place(&frame_data(frame)->head);
    zcb_hold(frame, ZCB_HELD_OUT);
    *d = (struct ring_delivery){
        .kind = RING_DELIVER_FRAME,
        .sender = place.sender,
        .frame = frame,
        .seq = place.seq,
        .ring_id = place.ring_id,
    };
    r->stats.messages_delivered_frames++;
    return true;
}

static bool frame_safe(const struct zcb *frame)
{
    return frame_data(frame)->flags & WIRE_SAFE;
}

/* The next frame of the present ring whose turn has come, a message or not. */
static struct zcb *next_in_order(const struct ring *r)
{
    const struct window *w = r->cur;
    struct zcb *frame = window_at(w, w->high_delivered + 1);
    if (w->high_delivered == w->my_aru || !frame)
        return NULL;
    if (!frame_is_message(frame, r->my_ring.id))
        return frame;
    if (r->state == RING_RECOVERY || r->install.phase != INSTALL_NONE)
        return NULL;
    if (frame_safe(frame) && w->high_delivered + 1 > w->safe_seq)
        return NULL;
    return frame;
}

/* What others wait for, the token above all, goes before we tidy up: a window's worth of frames at
 * every hop would make the rotation longer by all of them. The next call, asked for, does it. */
static bool sends_wait(const struct ring *r)
{
    return r->send_head != r->send_tail;
}

static void deliver_in_order(struct ring *r)
{
    struct window *w = r->cur;
    struct zcb *frame = NULL;
    while ((frame = next_in_order(r))) {
        if (frame_is_message(frame, r->my_ring.id) && !deliver_frame(r, frame))
            break;
        w->high_delivered++;
    }
    if (!sends_wait(r))
        window_let_go(w);
}

/* D2. Frames up to here are there on all of us, and SAFE ones are known to be with all of the old
 * ring. */
static uint64_t old_regular_end(const struct ring *r)
{
    const struct window *w = r->old;
    for (uint64_t seq = w->high_delivered + 1; seq <= w->my_aru; seq++) {
        const struct zcb *frame = window_at(w, seq);
        if (seq > r->high_ring_safe && frame_is_message(frame, r->my_old_ring.id) &&
            frame_safe(frame))
            return seq - 1;
    }
    return w->my_aru;
}

void install_begin(struct ring *r)
{
    r->install = (struct install){
        .phase = INSTALL_OLD_REGULAR,
        .cut = old_regular_end(r),
        .old_id = r->my_old_ring.id,
    };
    SET_EACH(i, r->my_trans_memb)
    r->install.trans[r->install.trans_count++] = ring_id_of(r, i);
}

static bool deliver_old(struct ring *r, uint64_t end)
{
    struct window *w = r->old;
    while (w->high_delivered < end) {
        struct zcb *frame = window_at(w, w->high_delivered + 1);
        r->install.gap |= frame == NULL;
        bool wanted = frame && frame_is_message(frame, r->install.old_id);
        if (wanted && r->install.gap) {
            uint32_t sender = wire_old_place(&frame_data(frame)->head).sender;
            int index = ring_node_index(r, sender);
            wanted = index >= 0 && set_has(r->my_deliver_memb, index);
        }
        if (wanted && !deliver_frame(r, frame))
            return false;
        w->high_delivered++;
    }
    return true;
}

static bool deliver_transitional(struct ring *r)
{
    struct ring_delivery *d = deliver_slot(r);
    if (!d)
        return false;
    *d = (struct ring_delivery){
        .kind = RING_DELIVER_TRANSITIONAL,
        .ring_id = r->install.old_id,
        .members = r->install.trans,
        .member_count = r->install.trans_count,
    };
    return true;
}

static bool deliver_regular(struct ring *r)
{
    if (r->out->deliver_count > 0) /* D1 */
        return false;
    *deliver_slot(r) = (struct ring_delivery){
        .kind = RING_DELIVER_REGULAR,
        .ring_id = r->my_ring.id,
        .members = r->my_ring.member,
        .member_count = r->my_ring.count,
    };
    r->gate_open = false;
    window_reset(r->old);
    r->my_old_ring.id = (struct ring_id){ 0 };
    return true;
}

/* One phase; true when it is complete. */
static bool install_step(struct ring *r)
{
    switch (r->install.phase) {
    case INSTALL_OLD_REGULAR:
        return deliver_old(r, r->install.cut);
    case INSTALL_TRANSITIONAL:
        return deliver_transitional(r);
    case INSTALL_OLD_REST:
        return deliver_old(r, r->old->high_seq);
    case INSTALL_REGULAR:
        return deliver_regular(r);
    case INSTALL_NONE:
        break;
    }
    return false;
}

void deliver_pump(struct ring *r)
{
    if (r->left)
        return;
    while (r->install.phase != INSTALL_NONE && install_step(r)) {
        bool last = r->install.phase == INSTALL_REGULAR;
        r->install.phase = last ? INSTALL_NONE : r->install.phase + 1;
    }
    deliver_in_order(r);
}

bool deliver_pending(const struct ring *r)
{
    return !r->left &&
           (r->install.phase != INSTALL_NONE || next_in_order(r) || window_lets_go(r->cur));
}
