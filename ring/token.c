/* SPDX-License-Identifier: BSD-3-Clause */
#include "internal.h"

/*
 * Receipt of the token, and what a visit of it does.
 *
 * Departure (accelerated ring): of the frames a visit adds, the last accelerated_frames go out
 * behind the token. The successor works while they travel; nobody takes them for lost, because gaps
 * are asked for only up to the seq that the token showed one rotation before (rtr.c).
 *
 * Departure: `quiet` counts the hops since a member sent something, missed something or did not yet
 * know that all have everything. A full rotation of it ends recovery, or lets the token rest.
 *
 * Invariants: T1  my_aru <= token.seq: token_receive() turns any other token away
 *             T2  while we neither hold the token nor saw a trace of it beyond us, it is repeated
 */

enum { URGENT_EXTRA = 4 }; /* urgent frames a visit may add where flow control says none */

/* Silence counts from now. */
void token_heard(struct ring *r)
{
    r->sign_ns = r->now_ns;
    r->away_ns = 0;
    r->returns = 0;
    r->resends = 0;
}

/* The ring lives: somebody did what only happens where the token is. */
void token_rests(struct ring *r)
{
    if (r->state != RING_OPERATIONAL && r->state != RING_RECOVERY)
        return;
    token_heard(r);
    if (!r->parked_here && !ring_alone(r))
        timer_set(r, TIMER_LOSS, r->now_ns + timer_loss_ns(r));
}

/* The token itself came: all members were alive within the last rotation. */
void token_sign(struct ring *r)
{
    token_rests(r);
    r->token_alive_ns = r->now_ns;
}

/* Before my_ring is another, or the members are looked at one by one: whom the token spoke for. */
void token_signs_spread(struct ring *r)
{
    SET_EACH(i, r->my_ring.memb)
    r->alive_ns[i] = max_u64(r->alive_ns[i], r->token_alive_ns);
}

/* A frame arrived that was given its place after the token left us: it need not be repeated. */
void token_seen_beyond(struct ring *r, uint64_t seq)
{
    token_rests(r);
    if (seq > r->token.seq) {
        timer_off(r, TIMER_RESEND);
        r->parked_by = NODE_NONE;
    }
}

void token_forget(struct ring *r)
{
    r->token = (struct token){ .free_min = UINT32_MAX, .free_next = UINT32_MAX };
    r->my_token_seq = 0;
    r->shown_seq = 0;
    r->my_last_aru = 0;
    r->passed_ns = 0;
    r->progress_ns = r->now_ns;
    r->parked_here = false;
    r->parked_by = NODE_NONE;
    timer_off(r, TIMER_RESEND);
    timer_off(r, TIMER_WANT);
    timer_off(r, TIMER_ALIVE);
}

/* Totem 1995, total ordering: lower the token's aru to ours; raise it if the low one was ours. */
static void token_update_aru(struct token *t, const struct ring *r)
{
    uint64_t my_aru = r->cur->my_aru;
    INVARIANT(my_aru <= t->seq); /* T1 */
    bool nobodys = !configuration_has(r, &r->my_ring, t->aru_id);
    if (my_aru < t->aru || t->aru_id == r->config.node_id || nobodys) {
        t->aru = my_aru;
        t->aru_id = t->aru == t->seq ? NODE_NONE : r->config.node_id;
    }
}

/* What two visits in a row have shown, all have. */
static void token_update_safe(const struct token *t, struct ring *r)
{
    uint64_t safe = min_u64(t->aru, r->my_last_aru);
    if (safe > r->cur->safe_seq)
        r->cur->safe_seq = min_u64(safe, r->cur->my_aru);
    r->my_last_aru = t->aru;
}

/* Give a frame the next place. Its one reference becomes the window's. */
void token_place(struct ring *r, struct token *t, struct zcb *frame)
{
    wire_data_finish(frame, r->config.cluster_tag, r->config.node_id, r->my_ring.id, ++t->seq);
    enum window_verdict verdict = window_put(r->cur, t->seq, frame);
    INVARIANT(verdict == WINDOW_NEW);
    zcb_drop(frame, ZCB_HELD_RING);
}

/* Who may send a bulk message that needs permission; an owner that went makes way. */
static bool bulk_permission(const struct ring *r, struct token *t)
{
    if (t->bulk_owner != NODE_NONE && !configuration_has(r, &r->my_ring, t->bulk_owner))
        t->bulk_owner = NODE_NONE;
    bool large = pack_bulk_bytes(&r->pack) > r->pack.bulk_free_bytes;
    if (large && r->gate_open && t->bulk_owner == NODE_NONE)
        t->bulk_owner = r->config.node_id;
    if (!large && t->bulk_owner == r->config.node_id)
        t->bulk_owner = NODE_NONE;
    return t->bulk_owner == r->config.node_id;
}

/* Totem 1995: broadcast of new messages. They lie in r->batch, placed; the caller sends them. */
static uint32_t take_new(struct ring *r, struct token *t)
{
    bool bulk = bulk_permission(r, t);
    uint32_t ready = pack_ready(&r->pack, r->gate_open, bulk);
    if (ready == 0)
        return 0;
    uint32_t allowed = flow_allow(r, t, ready);
    uint32_t count = 0;
    struct zcb *frame = NULL;
    while (count < allowed && (frame = pack_take(&r->pack, r->gate_open, bulk))) {
        token_place(r, t, frame);
        r->batch[count++] = frame;
    }
    uint32_t most = min_u32(allowed + URGENT_EXTRA, BATCH_MAX);
    while (count < most && t->seq - r->cur->low < RING_WINDOW_MAX / 2 &&
           (frame = pack_take(&r->pack, false, false))) {
        token_place(r, t, frame);
        r->batch[count++] = frame;
    }
    bulk_permission(r, t);
    r->stats.frames_sent += count;
    return count;
}

uint32_t ring_ready(const struct ring *r)
{
    return pack_ready(&r->pack, r->gate_open, true);
}

static void send_batch(struct ring *r, uint32_t from, uint32_t to)
{
    for (uint32_t i = from; i < to; i++)
        send_frame(r, r->batch[i], send_dest(r, r->batch[i]));
}

/* T2: the copy in r->token is what is repeated. */
static void token_pass(struct ring *r)
{
    r->my_token_seq = ++r->token.token_seq;
    r->passed_ns = r->now_ns;
    r->resend_ns = timer_resend_ns(r);
    timer_set(r, TIMER_RESEND, r->now_ns + r->resend_ns);
    send_token(r);
}

void token_resend(struct ring *r)
{
    bool ours = r->state == RING_OPERATIONAL || r->state == RING_RECOVERY;
    if (!ours || r->parked_here || ring_alone(r))
        return;
    r->stats.tokens_retransmitted++;
    r->resends++;
    r->passed_ns = 0;
    send_token(r);
    r->resend_ns = timer_longer(r, r->resend_ns);
    timer_set(r, TIMER_RESEND, r->now_ns + r->resend_ns);
}

/* All that a member can do is done here, and it misses nothing. */
static bool visit_quiet(const struct ring *r, const struct token *t)
{
    if (t->rtr_count > 0 || r->cur->my_aru != t->seq)
        return false;
    if (r->state == RING_RECOVERY)
        return recovery_quiet(r);
    return r->cur->safe_seq == t->seq && ring_ready(r) == 0;
}

/*
 * Departure: a ring that turns but gets nowhere is given up. A gap that nobody can fill, or a
 * recovery that does not come to its end, does not come from loss; it would last for ever.
 */
static bool stuck(struct ring *r, const struct token *t)
{
    uint64_t mark = r->cur->my_aru;
    bool moves = mark == t->seq;
    if (r->state == RING_RECOVERY) {
        mark += t->seq;
        moves = t->quiet > 0;
    }
    if (moves || mark != r->progress_mark) {
        r->progress_mark = mark;
        r->progress_ns = r->now_ns;
    }
    return r->now_ns - r->progress_ns > 2 * r->config.detect_ns;
}

/*
 * How many of a visit's frames go behind the token. Half goes before it: a lone message should not
 * wait behind it, nor should the successor find nothing yet of what it is to acknowledge.
 *
 * Where a frame goes out once for each receiver the token, and whoever would send next, would wait
 * for all copies, and the ring carry no more than one link can, divided by its members. So a batch
 * goes behind it whole, and the copies of several senders travel at the same time.
 */
static uint32_t send_behind(const struct ring *r, uint32_t sent)
{
    if (!r->config.fan_out || sent < 2)
        return min_u32(sent / 2, r->accelerated_frames);
    return r->config.accelerated_frames ? min_u32(sent, r->accelerated_frames) : sent;
}

void token_visit(struct ring *r, bool may_park)
{
    struct token *t = &r->token;
    bool recovery = r->state == RING_RECOVERY;
    if (!recovery) { /* it went round: all have installed the ring */
        t->flags &= ~(uint32_t)WIRE_INSTALL;
        r->installing = false;
    }
    bool asked = t->rtr_count > 0;
    flow_tune(r, t);
    uint32_t resent = rtr_answer(r, t, min_u32(r->personal_frames, send_room(r)));
    uint32_t sent = recovery ? recovery_take(r, t, flow_allow_recovery(r, t)) : take_new(r, t);
    uint32_t behind = recovery ? 0 : send_behind(r, sent);
    send_batch(r, 0, sent - behind);
    if (sent > 0)
        t->seq_owner = r->config.node_id;

    token_update_aru(t, r);
    token_update_safe(t, r);
    rtr_fill(r, t);
    uint32_t backlog = recovery ? 0 : ring_ready(r);
    r->stats.flow_limited += backlog > 0;
    flow_update(r, t, sent + resent, backlog);
    bool quiet = sent + resent == 0 && !asked && visit_quiet(r, t);
    t->quiet = quiet ? min_u32(t->quiet, UINT32_MAX / 2) + 1 : 0;
    if (t->quiet >= (uint32_t)r->my_ring.count)
        t->backlog = 0; /* nobody has any, whatever it says */
    r->shown_seq = t->seq;
    if (stuck(r, t))
        gather_enter(r, recovery ? RING_REASON_RECOVERY_LOST : RING_REASON_TOKEN_LOST);
    else if (recovery)
        recovery_progress(r, t);
    if (r->state == RING_GATHER)
        return;
    if (may_park && park_due(r)) {
        park_here(r);
        return;
    }
    token_pass(r);
    send_batch(r, sent - behind, sent);
}

/* Totem 1995: only the representative makes a token, when its commit token came round. */
void token_first(struct ring *r)
{
    token_forget(r);
    token_sign(r);
    token_visit(r, false);
}

static void token_load(struct token *t, const struct wire_token *wire)
{
    *t = (struct token){
        .token_seq = wire->token_seq,
        .seq = wire->seq,
        .aru = wire->aru,
        .aru_id = wire->aru_id,
        .seq_owner = wire->seq_owner,
        .fcc = wire->fcc,
        .backlog = wire->backlog,
        .free_min = wire->free_min,
        .free_next = wire->free_next,
        .bulk_owner = wire->bulk_owner,
        .quiet = wire->quiet,
        .flags = wire->flags,
        .rtr_count = wire->rtr_count,
    };
    for (uint32_t i = 0; i < wire->rtr_count; i++)
        t->rtr[i] = wire->rtr[i];
}

static void rotation_measure(struct ring *r)
{
    if (r->passed_ns == 0)
        return;
    uint64_t sample = r->now_ns - r->passed_ns;
    r->rotation_ns = r->rotation_ns ? (7 * r->rotation_ns + sample) / 8 : sample;
    r->stats.rotations++;
}

void token_receive(struct ring *r, const struct wire_token *wire)
{
    r->stats.tokens_received++;
    if (wire->token_seq <= r->my_token_seq) {
        r->stats.tokens_duplicate++;
        if (r->parked_here) /* its sender has not heard that it rests */
            send_park(r);
        return;
    }
    /* While it rests here, or we are alone, nobody has a newer one. */
    if (r->parked_here || ring_alone(r) || wire->seq < r->cur->high_seq ||
        wire->token_seq >= UINT64_MAX / 2 || wire->seq >= UINT64_MAX / 2) {
        r->stats.rx_malformed++;
        return;
    }
    rotation_measure(r);
    token_load(&r->token, wire);
    flow_judge(r, &r->token);
    r->my_token_seq = wire->token_seq;
    r->parked_by = NODE_NONE;
    timer_off(r, TIMER_RESEND);
    timer_off(r, TIMER_WANT);
    token_sign(r);
    token_visit(r, true);
}

/* A ring of one needs no wire: what is submitted is ordered, safe and delivered where it stands.
 * Says how many frames that were. */
uint32_t alone_send(struct ring *r)
{
    struct token *t = &r->token;
    struct window *w = r->cur;
    uint32_t count = 0;
    bool open = r->gate_open && r->rx_free > 0; /* our own clients may make us wait, too */
    while (t->seq - w->low < RING_OUT_MAX) {
        struct zcb *frame = pack_take(&r->pack, open, true);
        if (!frame)
            break;
        token_place(r, t, frame);
        count++;
    }
    w->safe_seq = w->my_aru;
    r->stats.frames_sent += count;
    return count;
}
