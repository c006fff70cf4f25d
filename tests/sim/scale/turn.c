/* SPDX-License-Identifier: BSD-3-Clause */
#include "fabric.h"

#include "ring/wire.h"

#include <math.h>

/* One turn of a node's poll core, and what it costs. */

enum {
    SUBMIT_MAX = 64, /* messages taken from the client in one turn */
    CONTINUE_MAX = 16,
    RX_RESERVE_PART = 16, /* of the receive frames the ring is not told */
};

struct turn {
    struct fabric *f;
    struct fabric_node *n;
    uint64_t start_ns;
    double spent_ns;
    uint64_t held; /* by the ring, before the call under way, and what came with it */
};

static uint64_t reached(const struct turn *t)
{
    return t->start_ns + (uint64_t)llround(t->spent_ns);
}

static int index_of(const struct turn *t)
{
    return (int)(t->n - t->f->node);
}

static const struct wire_head *head_of(const struct zcb *frame)
{
    return (const struct wire_head *)(const void *)frame->head;
}

/* What the ring does with a frame that came. */
static double receive_cost(const struct turn *t, const struct zcb *frame)
{
    const struct costs *c = &t->f->config.costs;
    const struct wire_head *head = head_of(frame);
    const struct wire_data *data = (const struct wire_data *)(const void *)head;
    const struct wire_join *join = (const struct wire_join *)(const void *)head;
    switch (head->type) {
    case WIRE_DATA:
    case WIRE_RECOVERY:
        return c->data + c->chunk * data->chunk_count;
    case WIRE_TOKEN:
        return c->token + c->token_member * t->n->peer.member_count;
    case WIRE_JOIN:
        return c->join + c->join_member * (join->proc_count + join->fail_count);
    case WIRE_INFO:
        return c->data;
    default:
        return c->control;
    }
}

static bool is_ordered(uint8_t type)
{
    return type == WIRE_DATA || type == WIRE_RECOVERY || type == WIRE_INFO;
}

/* And with one that it sends; what a token takes is in its receipt. */
static double send_cost(const struct turn *t, const struct zcb *frame)
{
    const struct costs *c = &t->f->config.costs;
    uint8_t type = head_of(frame)->type;
    if (type == WIRE_TOKEN)
        return 0;
    return is_ordered(type) ? c->send : c->control;
}

static uint64_t held(const struct turn *t)
{
    const struct peer *p = &t->n->peer;
    return p->rx_pool.held[ZCB_HELD_RING] + p->tx_pool.held[ZCB_HELD_RING];
}

static void call_begin(struct turn *t, uint64_t ordered)
{
    t->held = held(t) + ordered;
    t->spent_ns += t->f->config.costs.call;
}

/* Whoever measures hears what the ring says of itself. */
static void tell(struct turn *t)
{
    struct fabric_node *n = t->n;
    const struct fabric_ops *ops = t->f->config.ops;
    struct ring_trace trace;
    while (ring_trace_next(n->peer.ring, &trace))
        ops->traced(t->f->config.context, index_of(t), &trace);
    if (n->peer.gate && !n->gate_seen)
        ops->opened(t->f->config.context, index_of(t), reached(t));
    n->gate_seen = n->peer.gate;
}

/* The call has run; what it gave goes out after it, then to the clients. */
static void call_end(struct turn *t, struct ring_out *out)
{
    const struct costs *c = &t->f->config.costs;
    const struct fabric_ops *ops = t->f->config.ops;
    if (t->held > held(t))
        t->spent_ns += c->let_go * (double)(t->held - held(t));
    for (int i = 0; i < out->send_count; i++)
        t->spent_ns += send_cost(t, out->send[i]);
    for (int i = 0; i < out->send_count; i++)
        fabric_send(t->f, t->n, out->send[i], t->start_ns, &t->spent_ns);
    for (int i = 0; i < out->deliver_count; i++) {
        bool frame = out->deliver[i].kind == RING_DELIVER_FRAME;
        uint32_t messages = peer_deliver(&t->n->peer, &out->deliver[i]);
        t->spent_ns += frame ? c->walk : 0;
        t->spent_ns += messages > 0 ? c->lend : 0;
        t->spent_ns += messages * (c->walk_chunk + c->deliver);
        if (messages > 0)
            ops->delivered(t->f->config.context, index_of(t), messages, reached(t));
    }
    if (out->persist_seq)
        event_add(t->f, (struct event){ .at_ns = reached(t) + t->f->config.persist_ns,
                                        .value = out->persist_seq,
                                        .node = index_of(t),
                                        .life = t->n->life,
                                        .kind = EVENT_PERSISTED });
    tell(t);
}

static void drain(struct turn *t, struct ring_out *out)
{
    call_end(t, out);
    for (int i = 0; out->more && i < CONTINUE_MAX; i++) {
        call_begin(t, 0);
        ring_continue(t->n->peer.ring, t->start_ns, out);
        call_end(t, out);
    }
}

static void receive(struct turn *t, struct ring_out *out)
{
    struct fabric_node *n = t->n;
    struct zcb *frames[RING_BURST];
    int count = 0;
    uint64_t ordered = 0;
    while (count < RING_BURST && n->head != n->tail) {
        struct arrival *a = &n->arrival[n->head % FABRIC_RX_RING];
        if (a->at_ns > t->start_ns)
            break;
        n->head++;
        frames[count] = peer_take_in(&n->peer, a->packet);
        packet_drop(&t->f->packets, a->packet);
        INVARIANT(frames[count]); /* flow control knows how many there are */
        if (head_of(frames[count])->type == WIRE_TOKEN) {
            n->token_first_ns = n->tokens++ == 0 ? t->start_ns : n->token_first_ns;
            n->token_ns = t->start_ns;
        }
        t->spent_ns += t->f->config.costs.nic_rx + receive_cost(t, frames[count]);
        ordered += is_ordered(head_of(frames[count])->type);
        count++;
    }
    t->f->count.received += (uint64_t)count;
    if (count == 0)
        return;
    call_begin(t, ordered);
    ring_recv(n->peer.ring, t->start_ns, frames, count, out);
    drain(t, out);
}

static void expire(struct turn *t, struct ring_out *out)
{
    if (ring_deadline_ns(t->n->peer.ring) > t->start_ns)
        return;
    call_begin(t, 0);
    ring_expire(t->n->peer.ring, t->start_ns, out);
    drain(t, out);
}

/* What clients and groups have for the ring. True: the client may have more. */
static bool submit(struct turn *t, struct ring_out *out)
{
    struct fabric_load *load = &t->n->load;
    uint32_t count = 0;
    bool sync = peer_sync(&t->n->peer);
    while (t->n->peer.gate && count < SUBMIT_MAX && (load->flood || load->waiting > 0) &&
           peer_submit(&t->n->peer, load->bytes, load->guarantee)) {
        load->waiting -= load->waiting > 0;
        count++;
    }
    t->spent_ns += t->f->config.costs.submit * (count + sync);
    if (count > 0 || sync) {
        call_begin(t, 0);
        ring_continue(t->n->peer.ring, t->start_ns, out);
        drain(t, out);
    }
    return count == SUBMIT_MAX;
}

void fabric_turn(struct fabric *f, struct fabric_node *n)
{
    static _Thread_local struct ring_out out;
    struct turn t = { .f = f, .n = n, .start_ns = f->now_ns, .spent_ns = f->config.costs.turn };
    uint32_t reserve = n->peer.rx_pool.count / RX_RESERVE_PART, free = n->peer.rx_pool.free_count;
    ring_rx_free(n->peer.ring, free > reserve ? free - reserve : 0);
    receive(&t, &out);
    expire(&t, &out);
    bool more = submit(&t, &out);
    n->busy_ns = reached(&t);
    n->worked_ns += n->busy_ns - t.start_ns;
    f->count.turns++;
    fabric_turn_at(f, n, max_u64(n->busy_ns, ring_deadline_ns(n->peer.ring)));
    if (more || n->peer.sync_due)
        fabric_turn_at(f, n, n->busy_ns);
    if (n->head != n->tail)
        fabric_turn_at(f, n, fabric_noticed_ns(f, n, n->arrival[n->head % FABRIC_RX_RING].at_ns));
}

void fabric_persisted(struct fabric *f, struct fabric_node *n, uint64_t seq)
{
    static _Thread_local struct ring_out out;
    struct turn t = { .f = f, .n = n, .start_ns = max_u64(f->now_ns, n->busy_ns) };
    call_begin(&t, 0);
    ring_persisted(n->peer.ring, t.start_ns, seq, &out);
    drain(&t, &out);
    n->busy_ns = reached(&t);
    fabric_turn_at(f, n, n->busy_ns);
}
