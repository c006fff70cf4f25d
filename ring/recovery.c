/* SPDX-License-Identifier: BSD-3-Clause */
#include "internal.h"

#include <string.h>

/*
 * Recovery: members that come from the same ring give each other what they have of it, on the new
 * ring, then end the old one together.
 *
 * Departure: what the paper's commit token gathers travels as INFO, the first frame of each member
 * on the new ring, which is ordered and repeated like any other: all members reckon with the same.
 * When all INFOs are here, each member in turn sends again, wrapped, what it has above the lowest
 * aru and has not seen on the new ring.
 *
 * A rotation in which all were quiet shows that everybody has everything: my_received_flag. From
 * then on we owe the messages of my_deliver_memb behind gaps, because another may have delivered
 * them already. After a second quiet rotation all owe it, and the first to see that installs the
 * ring and says so in the token. An attempt that fails leaves flag and debt standing: the next one
 * adds up what its members owe.
 *
 * Invariants: V1  raw frames of the old ring are not taken any more: what we have is what we told
 *             V2  my_deliver_memb, once owed, only grows until a ring is installed
 */

static void bit_set(uint64_t *bits, uint64_t seq)
{
    bits[(seq & WINDOW_MASK) >> 6] |= UINT64_C(1) << (seq & 63);
}

static bool bit_has(const uint64_t *bits, uint64_t seq)
{
    return bits[(seq & WINDOW_MASK) >> 6] >> (seq & 63) & 1;
}

void recovery_enter(struct ring *r)
{
    INVARIANT(r->install.phase == INSTALL_NONE);
    token_signs_spread(r);
    struct window *spare = r->old;
    r->old = r->cur;
    r->cur = spare;
    window_reset(r->cur);
    r->my_old_ring = r->my_ring;
    r->my_ring = r->my_new_ring;
    memset(r->info, 0, sizeof(r->info));
    memset(r->recovered, 0, sizeof(r->recovered));
    r->info_sent = false;
    r->infos_complete = false;
    timers_clear(r);
    token_forget(r);
    flow_reset(r);
    ring_state_set(r, RING_RECOVERY, RING_REASON_COMMIT);
    token_sign(r);
}

/* Back to the ring last installed, richer by what was recovered. */
void recovery_abort(struct ring *r)
{
    ring_recent_add(r, r->my_ring.id);
    window_reset(r->cur);
    struct window *spare = r->cur;
    r->cur = r->old;
    r->old = spare;
    r->my_ring = r->my_old_ring;
    r->my_old_ring.id = (struct ring_id){ 0 };
}

/* Members of the old ring by position, and by index. */
static struct node_set by_position(const struct ring *r, struct node_set memb)
{
    struct node_set set = { { 0 } };
    int position = 0;
    SET_EACH(i, r->my_old_ring.memb)
    {
        if (set_has(memb, i))
            set_add(&set, position);
        position++;
    }
    return set;
}

static struct node_set by_index(const struct ring *r, struct node_set positions)
{
    struct node_set set = { { 0 } };
    int position = 0;
    SET_EACH(i, r->my_old_ring.memb)
    {
        if (set_has(positions, position))
            set_add(&set, i);
        position++;
    }
    return set;
}

/*
 * It comes from our old ring. Departure: its id alone does not say so. A node that was started anew
 * without its state directory may give the id again, to a ring of its own.
 */
static bool comes_along(const struct ring *r, int index)
{
    const struct info *info = &r->info[index];
    return r->my_old_ring.id.seq > 0 && set_has(r->my_old_ring.memb, index) &&
           ring_id_equal(info->old_ring, r->my_old_ring.id) &&
           info->incarnation == r->ring_incarnation[index];
}

/* A frame of the old ring, sent again by one who comes along. */
static void take_recovered(struct ring *r, struct zcb *frame)
{
    const struct wire_head *head = &frame_data(frame)->head;
    int from = ring_node_index(r, head->sender);
    if (head->type != WIRE_RECOVERY || from < 0 || !set_has(r->my_trans_memb, from))
        return;
    struct wire_place place = wire_old_place(head);
    if (!ring_id_equal(place.ring_id, r->my_old_ring.id) || place.seq <= r->old->low ||
        place.seq > r->old->low + RING_WINDOW_MAX || ring_node_index(r, place.sender) < 0)
        return;
    bit_set(r->recovered, place.seq);
    if (window_put(r->old, place.seq, frame) == WINDOW_NEW)
        r->stats.recovered_frames++;
}

/* All INFOs are here: who comes along with us, what they all have, whose messages we will owe. */
static void recovery_plan(struct ring *r)
{
    struct node_set trans = set_of(r->my_index);
    struct node_set owed = { { 0 } };
    uint64_t aru = r->info[r->my_index].aru;
    uint64_t safe = r->info[r->my_index].safe_seq;
    SET_EACH(i, r->my_ring.memb)
    {
        const struct info *info = &r->info[i];
        if (!comes_along(r, i))
            continue;
        set_add(&trans, i);
        aru = min_u64(aru, info->aru);
        safe = max_u64(safe, info->safe_seq);
        if (info->received)
            owed = set_or(owed, by_index(r, info->deliver_memb));
    }
    r->my_trans_memb = trans;
    r->next_deliver_memb = set_or(trans, owed);
    r->low_ring_aru = aru;
    r->high_ring_safe = safe;
    bool comrades = set_count(trans) > 1;
    r->recover_next = comrades ? max_u64(aru, r->old->low) + 1 : r->old->high_seq + 1;
    r->infos_complete = true;
    for (uint64_t seq = r->cur->low + 1; seq <= r->cur->high_seq; seq++) {
        struct zcb *frame = window_at(r->cur, seq); /* came before the last INFO */
        if (frame)
            take_recovered(r, frame);
    }
}

static void info_accept(struct ring *r, const struct wire_info *info)
{
    int from = ring_node_index(r, info->head.sender);
    if (from < 0 || !set_has(r->my_ring.memb, from) || r->info[from].known)
        return;
    r->info[from] = (struct info){
        .old_ring = { .seq = info->old_ring_seq, .rep = info->old_ring_rep },
        .aru = info->aru,
        .safe_seq = info->safe_seq,
        .incarnation = info->incarnation,
        .deliver_memb = { { info->deliver_low, info->deliver_high } },
        .known = true,
        .received = info->received_flag != 0,
    };
    SET_EACH(i, r->my_ring.memb)
    {
        if (!r->info[i].known)
            return;
    }
    recovery_plan(r);
}

/* A frame of the new ring, from others or our own, seen for the first time. */
void recovery_accept(struct ring *r, struct zcb *frame)
{
    const struct wire_head *head = &frame_data(frame)->head;
    if (head->type == WIRE_INFO)
        info_accept(r, (const struct wire_info *)(const void *)head);
    else if (r->infos_complete)
        take_recovered(r, frame);
}

static struct zcb *info_make(struct ring *r)
{
    struct zcb *frame = zcb_get(r->config.tx_pool, ZCB_HELD_RING);
    if (!frame)
        return NULL;
    wire_control_head(frame, WIRE_INFO, r->config.cluster_tag, r->config.node_id, r->my_ring.id,
                      sizeof(struct wire_info));
    struct node_set owed = by_position(r, r->my_deliver_memb);
    struct wire_info *info = (struct wire_info *)(void *)frame->head;
    info->old_ring_rep = r->my_old_ring.id.rep;
    info->old_ring_seq = r->my_old_ring.id.seq;
    info->received_flag = r->my_received_flag;
    info->aru = r->old->my_aru;
    info->safe_seq = r->old->safe_seq;
    info->incarnation = r->config.incarnation;
    info->deliver_low = r->my_received_flag ? owed.word[0] : 0;
    info->deliver_high = r->my_received_flag ? owed.word[1] : 0;
    return frame;
}

static struct zcb *wrap(struct ring *r, struct zcb *old)
{
    if (r->config.tx_pool->free_count <= TX_RESERVE)
        return NULL; /* each stays until all have it, and for that the token must go on */
    struct zcb *frame = zcb_get(r->config.tx_pool, ZCB_HELD_RING);
    wire_recovery_wrap(frame, old);
    for (uint32_t i = 0; i < old->slice_count; i++)
        zcb_add_slice(frame, &old->slice[i]);
    zcb_set_base(frame, old);
    return frame;
}

/* The next frame that nobody has sent again yet; NULL when there is none, or no buffer for it. */
static struct zcb *recover_one(struct ring *r)
{
    while (r->recover_next <= r->old->high_seq) {
        struct zcb *old = window_at(r->old, r->recover_next);
        if (old && frame_is_message(old, r->my_old_ring.id) &&
            !bit_has(r->recovered, r->recover_next)) {
            struct zcb *frame = wrap(r, old);
            r->recover_next += frame != NULL;
            return frame;
        }
        r->recover_next++;
    }
    return NULL;
}

/* What a visit of the token in recovery adds. */
uint32_t recovery_take(struct ring *r, struct token *t, uint32_t allowed)
{
    uint32_t count = 0;
    struct zcb *frame = NULL;
    if (t->seq - r->cur->low >= RING_WINDOW_MAX / 2)
        return 0;
    if (!r->info_sent && (frame = info_make(r))) {
        token_place(r, t, frame);
        r->batch[count++] = frame;
        r->info_sent = true;
        recovery_accept(r, frame);
    }
    while (r->infos_complete && count < allowed && (frame = recover_one(r))) {
        token_place(r, t, frame);
        r->batch[count++] = frame;
        recovery_accept(r, frame);
    }
    r->stats.frames_sent += count;
    return count;
}

bool recovery_quiet(const struct ring *r)
{
    return r->infos_complete && r->recover_next > r->old->high_seq;
}

static void recovery_install(struct ring *r)
{
    r->my_deliver_memb = r->next_deliver_memb;
    SET_EACH(i, r->my_ring.memb)
    r->ring_incarnation[i] = r->info[i].incarnation;
    install_begin(r);
    r->my_received_flag = false;
    r->token.quiet = 0;
    ring_recent_add(r, r->my_old_ring.id);
    operational_enter(r);
}

void recovery_progress(struct ring *r, struct token *t)
{
    uint32_t members = (uint32_t)r->my_ring.count;
    if (t->flags & WIRE_INSTALL) {
        if (recovery_quiet(r) && r->my_received_flag)
            recovery_install(r);
        else /* a token that claims what cannot be */
            gather_enter(r, RING_REASON_RECOVERY_LOST);
        return;
    }
    if (t->quiet >= members) {
        r->my_received_flag = true;
        r->my_deliver_memb = r->next_deliver_memb;
    }
    if (t->quiet >= 2 * members) {
        t->flags |= WIRE_INSTALL;
        recovery_install(r);
    }
}

/* Alone there is nobody to ask, and nothing to wait for. */
void recovery_alone(struct ring *r)
{
    r->info[r->my_index] = (struct info){
        .old_ring = r->my_old_ring.id,
        .aru = r->old->my_aru,
        .safe_seq = r->old->safe_seq,
        .incarnation = r->config.incarnation,
        .deliver_memb = by_position(r, r->my_deliver_memb),
        .known = true,
        .received = r->my_received_flag,
    };
    recovery_plan(r);
    recovery_install(r);
}
