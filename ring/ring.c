/* SPDX-License-Identifier: BSD-3-Clause */
#include "internal.h"

#include <errno.h>
#include <string.h>

/* The door: set up, fold in what came, put out what came of it. States and mechanisms have files of
 * their own. */

int ring_node_index(const struct ring *r, uint32_t id)
{
    int low = 0, high = r->node_count - 1;
    while (low <= high) {
        int middle = (low + high) / 2;
        if (r->node[middle] == id)
            return middle;
        if (r->node[middle] < id)
            low = middle + 1;
        else
            high = middle - 1;
    }
    return -1;
}

void ring_state_set(struct ring *r, enum ring_state state, enum ring_reason reason)
{
    ring_trace_add(r, RING_TRACE_STATE, r->state, state, reason);
    r->state = state;
}

void ring_recent_add(struct ring *r, struct ring_id id)
{
    r->recent[r->recent_next++ % RECENT_MAX] = id;
}

void ring_seq_ask(struct ring *r)
{
    if (r->persist_wanted <= r->persisted)
        return;
    r->persist_ask = true;
    timer_set(r, TIMER_PERSIST, r->now_ns + 4 * timer_unit(r));
}

void ring_seq_ahead(struct ring *r, uint64_t seq)
{
    if (seq <= r->persisted || seq <= r->persist_wanted)
        return;
    r->persist_wanted = seq + PERSIST_BLOCK;
    ring_trace_add(r, RING_TRACE_PERSIST, r->persist_wanted, 0, 0);
    ring_seq_ask(r);
}

void ring_seq_want(struct ring *r, uint64_t seq)
{
    if (seq > r->persisted && r->persist_needed <= r->persisted)
        r->persist_ns = r->now_ns;
    r->persist_needed = max_u64(r->persist_needed, seq);
    ring_seq_ahead(r, seq);
}

bool ring_seq_late(const struct ring *r)
{
    return r->persist_needed > r->persisted && r->now_ns - r->persist_ns > r->config.detect_ns;
}

void configuration_set(const struct ring *r, struct configuration *c, struct ring_id id,
                       struct node_set memb)
{
    c->id = id;
    c->memb = memb;
    c->count = 0;
    SET_EACH(i, memb)
    c->member[c->count++] = ring_id_of(r, i);
}

/* Who comes after a member on the ring. */
uint32_t configuration_next(const struct configuration *c, uint32_t id)
{
    int low = 0, high = c->count; /* all before low are up to id, all from high on beyond */
    while (low < high) {
        int middle = (low + high) / 2;
        if (c->member[middle] > id)
            high = middle;
        else
            low = middle + 1;
    }
    return c->member[low < c->count ? low : 0];
}

bool configuration_has(const struct ring *r, const struct configuration *c, uint32_t id)
{
    int index = ring_node_index(r, id);
    return index >= 0 && set_has(c->memb, index);
}

static const char *nodes_wrong(const struct ring_config *c)
{
    bool us = false;
    if (c->node_id == NODE_NONE)
        return "node_id";
    if (c->node_count < 1 || c->node_count > NODE_COUNT_MAX || !c->nodes)
        return "node_count";
    for (int i = 0; i < c->node_count; i++) {
        if (c->nodes[i] == NODE_NONE || c->nodes[i] == UINT32_MAX ||
            (i > 0 && c->nodes[i] <= c->nodes[i - 1]))
            return "nodes";
        us |= c->nodes[i] == c->node_id;
    }
    return us ? NULL : "nodes";
}

static const char *config_wrong(const struct ring_config *c)
{
    const char *why = nodes_wrong(c);
    if (why)
        return why;
    if (c->frame_bytes_max < RING_FRAME_BYTES_LEAST ||
        c->frame_bytes_max < wire_join_bytes((uint32_t)c->node_count, 0))
        return "frame_bytes_max";
    if (c->detect_ns < 8 * NS_PER_MS)
        return "detect_ns";
    if (c->ring_seq >= UINT64_MAX / 2)
        return "ring_seq";
    if (c->incarnation == 0)
        return "incarnation";
    if (!c->tx_pool || c->tx_pool->slot_bytes < RING_HEAD_BYTES ||
        c->tx_pool->slices_max < RING_SLICES_MAX || c->tx_pool->count <= RING_TX_RESERVE)
        return "tx_pool";
    return NULL;
}

size_t ring_bytes(const struct ring_config *config)
{
    (void)config;
    return sizeof(struct ring);
}

int ring_init(struct ring **out, void *memory, const struct ring_config *config, uint64_t now_ns,
              const char **why)
{
    *why = config_wrong(config);
    if (*why)
        return -EINVAL;
    struct ring *r = memory;
    memset(r, 0, sizeof(*r));
    r->config = *config;
    r->node_count = config->node_count;
    memcpy(r->node, config->nodes, (size_t)config->node_count * sizeof(r->node[0]));
    r->config.nodes = r->node;
    r->my_index = ring_node_index(r, config->node_id);
    r->now_ns = now_ns;
    r->cur = &r->window[0];
    r->old = &r->window[1];
    r->rx_free = UINT32_MAX;
    r->random = (config->seed ^ config->node_id * UINT64_C(0x9e3779b97f4a7c15)) | 1;
    r->ring_seq_mine = config->ring_seq;
    r->persisted = config->ring_seq;
    timers_clear(r);
    timer_off(r, TIMER_PERSIST);
    pack_init(&r->pack, config->tx_pool, config->frame_bytes_max,
              ring_bulk_free_bytes(config->node_count));
    flow_reset(r);
    r->state = RING_GATHER;
    gather_enter(r, RING_REASON_START);
    timer_set(r, TIMER_PERSIST, now_ns); /* and so the first call is due */
    *out = r;
    return 0;
}

void call_begin(struct ring *r, uint64_t now_ns, struct ring_out *out)
{
    r->now_ns = max_u64(r->now_ns, now_ns);
    r->out = out;
    out->send_count = 0;
    out->deliver_count = 0;
    out->more = false;
    out->persist_seq = 0;
}

/* Alone: more waits than fits this call, or, with nothing taken, than there are buffers for now. */
static bool alone_goes_on(struct ring *r)
{
    uint32_t taken = alone_send(r);
    if (ring_ready(r) == 0)
        return false;
    if (taken == 0)
        timer_soon(r, TIMER_WANT, r->now_ns + timer_resend_ns(r));
    return taken > 0;
}

/* Messages that can go without the token's coming are sent now. Says whether to be called again. */
static bool send_ready(struct ring *r)
{
    if (r->state != RING_OPERATIONAL || r->left)
        return false;
    if (ring_alone(r))
        return alone_goes_on(r);
    if (!r->parked_here)
        want_check(r);
    else if (ring_ready(r) > 0)
        park_leave(r);
    return false;
}

void call_end(struct ring *r)
{
    bool more = send_ready(r);
    deliver_pump(r);
    send_flush(r);
    r->out->more = more || r->send_head != r->send_tail || deliver_pending(r);
    if (r->persist_ask && !r->left) {
        r->out->persist_seq = r->persist_wanted;
        r->persist_ask = false;
    }
    r->out = NULL;
}

/* It could not be sent again in recovery, which it would hold up for ever. */
static bool too_large(const struct ring *r, const struct wire_head *head)
{
    uint32_t most = r->config.frame_bytes_max;
    return head->frame_bytes > (head->type == WIRE_DATA ? most - WIRE_RECOVERY_EXTRA_BYTES : most);
}

/* Do others send it again for its sender? */
static bool passed_on(const struct wire_head *head)
{
    return head->type == WIRE_DATA || head->type == WIRE_RECOVERY || head->type == WIRE_INFO;
}

enum { IMPOSTOR_UNKNOWN = 1 }; /* which start of it: no JOIN of it was heard */

/* Two go by one id. Who is not where the others have it would only disturb the one who is. */
static bool impostor(struct ring *r, const struct zcb *frame, const struct wire_view *view)
{
    uint32_t claims = view->head->sender;
    if (passed_on(view->head) || frame->from == NODE_NONE || frame->from == claims)
        return false;
    bool join = view->head->type == WIRE_JOIN;
    uint64_t start = join ? view->join->incarnation : IMPOSTOR_UNKNOWN;
    if (r->impostor == 0 || (join && r->impostor != IMPOSTOR_UNKNOWN && r->impostor != start))
        ring_trace_add(r, RING_TRACE_IMPOSTOR, frame->from, claims, 0);
    if (r->impostor == 0 || join)
        r->impostor = start;
    return true;
}

/* A name that was mistyped looks like a node that is not there. */
static void other_cluster(struct ring *r, const struct zcb *frame)
{
    int from = frame->from == NODE_NONE ? -1 : ring_node_index(r, frame->from);
    r->stats.rx_foreign++;
    if (from < 0 || set_has(r->other_cluster, from))
        return;
    set_add(&r->other_cluster, from);
    ring_trace_add(r, RING_TRACE_OTHER_CLUSTER, frame->from, 0, 0);
}

/* Count what cannot be used; true: look at it. */
static bool frame_usable(struct ring *r, const struct zcb *frame, struct wire_view *view)
{
    switch (wire_check(frame->head, frame->head_bytes, r->config.cluster_tag, view)) {
    case WIRE_MALFORMED:
        r->stats.rx_malformed++;
        return false;
    case WIRE_FOREIGN:
        other_cluster(r, frame);
        return false;
    case WIRE_VERSION:
        r->stats.rx_version++;
        return false;
    case WIRE_OK:
        break;
    }
    if (too_large(r, view->head)) {
        r->stats.rx_malformed++;
        return false;
    }
    int from = ring_node_index(r, view->head->sender);
    if (from < 0 || impostor(r, frame, view)) {
        r->stats.rx_foreign++;
        return false;
    }
    /* Of ours: somebody sent it again, or it is an echo. */
    return from != r->my_index || passed_on(view->head);
}

/* Frames that only their sender sends are a sign of its life. */
static void sender_alive(struct ring *r, const struct wire_head *head)
{
    int from = ring_node_index(r, head->sender);
    r->alive_ns[from] = r->now_ns;
    set_remove(&r->failed_before, from);
}

static void control_receive(struct ring *r, const struct wire_view *view)
{
    bool ours = ring_id_equal(wire_ring_id(view->head), r->my_ring.id);
    if (view->head->type != WIRE_JOIN || !(view->join->flags & WIRE_LEAVING))
        sender_alive(r, view->head); /* a goodbye, said twice, is no sign of life */
    switch (view->head->type) {
    case WIRE_JOIN:
        join_receive(r, view->join);
        break;
    case WIRE_COMMIT:
        commit_receive(r, view->commit);
        break;
    case WIRE_BEACON:
        beacon_receive(r, view->beacon);
        break;
    case WIRE_WANT:
        if (ours && r->state == RING_OPERATIONAL)
            want_receive(r);
        else
            r->stats.rx_stale++;
        break;
    case WIRE_PARK:
        if (ours && r->state == RING_OPERATIONAL)
            park_receive(r, view->park);
        else
            r->stats.rx_stale++;
        break;
    default:
        break;
    }
}

static void token_dispatch(struct ring *r, const struct wire_token *token)
{
    struct ring_id id = wire_ring_id(&token->head);
    sender_alive(r, &token->head);
    if (r->state == RING_COMMIT && ring_id_equal(id, r->my_new_ring.id))
        recovery_enter(r);
    bool ours = ring_id_equal(id, r->my_ring.id);
    if (ours && (r->state == RING_OPERATIONAL || r->state == RING_RECOVERY))
        token_receive(r, token);
    else if (ours)
        r->stats.rx_stale++;
    else
        foreign_receive(r, &token->head, true);
}

void ring_recv(struct ring *r, uint64_t now_ns, struct zcb **frames, int count,
               struct ring_out *out)
{
    INVARIANT(count <= RING_BURST);
    call_begin(r, now_ns, out);
    const struct wire_token *tokens[RING_BURST];
    int token_count = 0;
    for (int i = 0; i < count && !r->left; i++) {
        struct wire_view view;
        if (!frame_usable(r, frames[i], &view))
            continue;
        switch (view.head->type) {
        case WIRE_TOKEN: /* behind the frames that came with it, and that it tells of */
            tokens[token_count++] = view.token;
            break;
        case WIRE_DATA:
        case WIRE_RECOVERY:
        case WIRE_INFO:
            ordered_receive(r, frames[i], &view);
            break;
        default:
            control_receive(r, &view);
        }
    }
    for (int i = 0; i < token_count; i++)
        token_dispatch(r, tokens[i]);
    for (int i = 0; i < count; i++)
        zcb_drop(frames[i], ZCB_HELD_OUT);
    call_end(r);
}

bool ring_is_token(const struct zcb *frame)
{
    const struct wire_head *head = (const void *)frame->head;
    return frame->head_bytes >= sizeof(*head) && head->type == WIRE_TOKEN;
}

void ring_expire(struct ring *r, uint64_t now_ns, struct ring_out *out)
{
    call_begin(r, now_ns, out);
    if (!r->left)
        timers_expire(r);
    call_end(r);
}

void ring_continue(struct ring *r, uint64_t now_ns, struct ring_out *out)
{
    call_begin(r, now_ns, out);
    call_end(r);
}

int ring_submit(struct ring *r, const struct ring_message *message)
{
    return r->left ? -EAGAIN : pack_submit(&r->pack, message);
}

void ring_open(struct ring *r)
{
    if (r->state == RING_OPERATIONAL && r->install.phase == INSTALL_NONE)
        r->gate_open = true;
}

void ring_persisted(struct ring *r, uint64_t now_ns, uint64_t seq, struct ring_out *out)
{
    call_begin(r, now_ns, out);
    r->persisted = max_u64(r->persisted, seq);
    if (r->persist_wanted <= r->persisted)
        timer_off(r, TIMER_PERSIST);
    gather_try(r);
    call_end(r);
}

void ring_rx_free(struct ring *r, uint32_t frames)
{
    r->rx_free = frames;
}

/* Twice, for the network may lose one; then silence. */
void ring_leave(struct ring *r, uint64_t now_ns, struct ring_out *out)
{
    call_begin(r, now_ns, out);
    if (!r->left) {
        r->gather.my_proc_set = set_of(r->my_index);
        r->gather.my_fail_set = (struct node_set){ { 0 } };
        send_join(r, WIRE_LEAVING, ZCB_TO_ALL);
        send_join(r, WIRE_LEAVING, ZCB_TO_ALL);
        r->left = true;
        timers_clear(r);
        timer_off(r, TIMER_PERSIST);
    }
    call_end(r);
}

void ring_again(struct ring *r, uint64_t now_ns, struct ring_out *out)
{
    call_begin(r, now_ns, out);
    if (r->state == RING_OPERATIONAL && !r->left && !ring_alone(r))
        gather_enter(r, RING_REASON_AGAIN);
    call_end(r);
}

const struct ring_stats *ring_stats(const struct ring *r)
{
    return &r->stats;
}

void ring_status(const struct ring *r, struct ring_status *status)
{
    *status = (struct ring_status){
        .state = r->state,
        .ring_id = r->my_ring.id,
        .members = r->my_ring.member,
        .member_count = r->my_ring.count,
        .aru = r->cur->my_aru,
        .seq = max_u64(r->cur->high_seq, r->token.seq),
        .safe_seq = r->cur->safe_seq,
        .rotation_ns = r->rotation_ns,
        .window_frames = r->window_frames,
        .personal_frames = r->personal_frames,
        .backlog_frames = pack_backlog(&r->pack),
        .parked_here = r->parked_here,
    };
}
