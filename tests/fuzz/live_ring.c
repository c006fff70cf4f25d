/* SPDX-License-Identifier: BSD-3-Clause */
#include "live_ring.h"

enum {
    CALLS_MAX = 64,        /* of ring_continue() until the ring is content */
    SILENCE_CALLS = 20000, /* of ring_expire() until it must be alone */
    MESSAGE_BYTES_MAX = 3200,
    PORT = 5,
};

enum { RX_SLOT_BYTES = (LIVE_FRAME_BYTES + CACHE_LINE_BYTES - 1) & -CACHE_LINE_BYTES };

const uint32_t live_nodes[LIVE_NODES] = { 1, 2, 3, 5 };

/* All that is large, used by one run after the other. */
static struct {
    _Alignas(CHAN_PAGE_BYTES) uint8_t tx[LIVE_TX_COUNT * RING_HEAD_BYTES];
    _Alignas(CHAN_PAGE_BYTES) uint8_t rx[LIVE_RX_COUNT * RX_SLOT_BYTES];
    _Alignas(CACHE_LINE_BYTES) struct ring ring;
    _Alignas(CACHE_LINE_BYTES) uint8_t payload[LIVE_MESSAGES_MAX * MESSAGE_BYTES_MAX];
} memory;

static void pool_make(struct zcb_pool *pool, uint8_t *slots, uint32_t slot_bytes, uint32_t count)
{
    struct zcb_arena arena = {
        .base = slots, .bytes = (size_t)slot_bytes * count, .id = 1, .fd = -1
    };
    int failed = zcb_pool_create(pool, &arena,
                                 &(struct zcb_pool_shape){ .slot_bytes = slot_bytes,
                                                           .count = count,
                                                           .slices_max = RING_SLICES_MAX });
    INVARIANT(!failed);
}

void live_open(struct live *l, uint32_t node_id, const uint8_t *data, size_t size)
{
    const char *why;
    struct ring_config config = {
        .node_id = node_id,
        .cluster_tag = LIVE_TAG,
        .nodes = live_nodes,
        .node_count = LIVE_NODES,
        .incarnation = 1000,
        .seed = 1,
        .detect_ns = 100 * NS_PER_MS,
        .frame_bytes_max = LIVE_FRAME_BYTES,
        .park = true,
    };
    *l = (struct live){ .in = { data, data + size }, .now_ns = NS_PER_S, .node_id = node_id };
    pool_make(&l->tx_pool, memory.tx, RING_HEAD_BYTES, LIVE_TX_COUNT);
    pool_make(&l->rx_pool, memory.rx, RX_SLOT_BYTES, LIVE_RX_COUNT);
    config.tx_pool = &l->tx_pool;
    INVARIANT(ring_bytes(&config) == sizeof(memory.ring));
    int failed = ring_init(&l->ring, &memory.ring, &config, l->now_ns, &why);
    INVARIANT(!failed);
}

/* What others receive: one run of bytes. */
static void flatten(const struct zcb *frame, struct live_frame *to)
{
    INVARIANT(frame->head_bytes + frame->payload_bytes <= LIVE_FRAME_BYTES); /* L2 */
    memcpy(to->byte, frame->head, frame->head_bytes);
    to->bytes = frame->head_bytes;
    for (uint32_t i = 0; i < frame->slice_count; i++) {
        memcpy(to->byte + to->bytes, frame->slice[i].data, frame->slice[i].bytes);
        to->bytes += frame->slice[i].bytes;
    }
    INVARIANT(to->bytes == frame->head_bytes + frame->payload_bytes);
}

static void token_sent(struct live *l, const struct wire_token *token)
{
    struct ring_id id = wire_ring_id(&token->head);
    if (!ring_id_equal(id, l->token_ring))
        l->token_seq = 0;
    l->token_ring = id;
    INVARIANT(token->token_seq >= l->token_seq);
    l->token_seq = token->token_seq;
}

/* L2, L3 */
static void sent(struct live *l, const struct zcb *frame)
{
    static struct live_frame flat;
    struct wire_view view = { 0 };
    flatten(frame, &flat);
    INVARIANT(wire_check(flat.byte, flat.bytes, LIVE_TAG, &view) == WIRE_OK);
    INVARIANT(ring_node_index(l->ring, view.head->sender) >= 0);
    INVARIANT(view.head->ring_seq <= l->disk_seq);
    if (view.head->type == WIRE_TOKEN)
        token_sent(l, view.token);
}

static void own_pieces(struct live *l, const struct ring_delivery *d)
{
    struct ring_walk walk;
    struct ring_piece piece;
    ring_walk_start(&walk, d);
    while (ring_walk_next(&walk, &piece)) {
        INVARIANT(l->delivered < l->submitted); /* L5: in order, each once */
        if (piece.first)
            l->delivered_bytes = 0;
        const uint8_t *expect = memory.payload + l->start[l->delivered] + l->delivered_bytes;
        INVARIANT(piece.payload.data == expect || piece.payload.bytes == 0);
        l->delivered_bytes += piece.payload.bytes;
        l->delivered += piece.last;
    }
}

/* L4 */
static void delivered(struct live *l, const struct ring_delivery *d, int index)
{
    bool us = false;
    if (d->kind == RING_DELIVER_FRAME) {
        INVARIANT(ring_node_index(l->ring, d->sender) >= 0);
        INVARIANT(!ring_id_equal(d->ring_id, l->delivered_ring) || d->seq > l->delivered_seq);
        l->delivered_ring = d->ring_id;
        l->delivered_seq = d->seq;
        if (d->frame->pool == &l->tx_pool && d->sender == l->node_id)
            own_pieces(l, d);
        zcb_drop(d->frame, ZCB_HELD_OUT);
        return;
    }
    for (int i = 0; i < d->member_count; i++) {
        INVARIANT(i == 0 || d->members[i - 1] < d->members[i]);
        us |= d->members[i] == l->node_id;
    }
    INVARIANT(us);
    if (d->kind == RING_DELIVER_TRANSITIONAL) {
        INVARIANT(!l->transitional && ring_id_equal(d->ring_id, l->last_regular));
        l->transitional = true;
        return;
    }
    INVARIANT(l->transitional && index == 0);
    INVARIANT(d->ring_id.seq > l->last_regular.seq && d->ring_id.seq <= l->disk_seq);
    INVARIANT(d->ring_id.rep == d->members[0]);
    l->transitional = false;
    l->last_regular = d->ring_id;
    l->delivered_bytes = 0;
}

static void drain_once(struct live *l)
{
    for (int i = 0; i < l->out.send_count; i++) {
        sent(l, l->out.send[i]);
        zcb_drop(l->out.send[i], ZCB_HELD_OUT);
    }
    for (int i = 0; i < l->out.deliver_count; i++)
        delivered(l, &l->out.deliver[i], i);
    if (l->out.persist_seq) {
        INVARIANT(l->out.persist_seq > l->disk_seq);
        l->disk_waits = l->out.persist_seq;
    }
}

/* L1 */
static void drain(struct live *l)
{
    drain_once(l);
    for (int calls = 0; l->out.more || (l->disk_waits && !l->disk_slow); calls++) {
        INVARIANT(calls < CALLS_MAX);
        if (l->out.more) {
            ring_continue(l->ring, l->now_ns, &l->out);
        } else {
            l->disk_seq = max_u64(l->disk_seq, l->disk_waits);
            l->disk_waits = 0;
            ring_persisted(l->ring, l->now_ns, l->disk_seq, &l->out);
        }
        drain_once(l);
    }
}

/* What waits to be written is, unless the disk is slow. */
static void write_disk(struct live *l)
{
    l->out = (struct ring_out){ 0 };
    drain(l);
}

void live_receive(struct live *l, const struct live_frame *frame, uint32_t from)
{
    struct zcb *received = zcb_get(&l->rx_pool, ZCB_HELD_OUT);
    if (!received)
        return; /* lost, as in a full socket */
    memcpy(received->head, frame->byte, frame->bytes);
    received->head_bytes = frame->bytes;
    received->from = from;
    l->said[l->said_count++ % LIVE_REPLAYS] = *frame;
    ring_rx_free(l->ring, l->rx_pool.free_count);
    ring_recv(l->ring, l->now_ns, &received, 1, &l->out);
    drain(l);
}

static void time_passes(struct live *l, uint64_t ns)
{
    l->now_ns += ns;
    if (ring_deadline_ns(l->ring) > l->now_ns)
        return;
    ring_expire(l->ring, l->now_ns, &l->out);
    drain(l);
}

static void to_deadline(struct live *l)
{
    uint64_t due_ns = ring_deadline_ns(l->ring);
    if (due_ns != NS_NEVER)
        time_passes(l, due_ns > l->now_ns ? due_ns - l->now_ns : 0);
}

static void submit(struct live *l)
{
    uint8_t what = input_byte(&l->in);
    if (l->submitted == LIVE_MESSAGES_MAX)
        return;
    uint32_t start = l->start[l->submitted], bytes = (what & 31) * (what & 32 ? 100u : 9u);
    struct ring_message message = {
        .payload = { .data = memory.payload + start, .offset = start, .bytes = bytes, .arena = 7 },
        .port = PORT,
        .guarantee = what >> 6,
    };
    if (ring_submit(l->ring, &message) == 0)
        l->start[++l->submitted] = start + (uint32_t)align_up(bytes, CHAN_TX_ALIGN);
    ring_continue(l->ring, l->now_ns, &l->out);
    drain(l);
}

static void step(struct live *l, enum wire_type subject)
{
    uint8_t what = input_byte(&l->in);
    switch (what % 12) {
    case 0:
        to_deadline(l);
        break;
    case 1:
        time_passes(l, (what >> 4) * (what >> 4) * NS_PER_MS / 4);
        break;
    case 2:
        submit(l);
        break;
    case 3:
    case 4:
        live_honest(l);
        break;
    case 5:
        ring_open(l->ring);
        break;
    case 6:
        l->disk_slow = what & 16;
        write_disk(l);
        break;
    case 7:
        live_lie(l, (enum wire_type)(1 + input_below(&l->in, WIRE_TYPES - 1)));
        break;
    case 8:
        live_raw(l, subject);
        break;
    case 9:
        live_receive(l, &l->said[(what >> 4) % LIVE_REPLAYS], NODE_NONE);
        break;
    default:
        live_lie(l, subject);
        break;
    }
}

void live_form(struct live *l)
{
    struct input script = l->in;
    l->in = (struct input){ 0 };
    for (int i = 0; i < 200 && l->last_regular.seq == 0; i++) {
        live_honest(l);
        time_passes(l, NS_PER_MS);
    }
    INVARIANT(l->ring->state == RING_OPERATIONAL && l->ring->my_ring.count == LIVE_NODES);
    ring_open(l->ring);
    l->in = script;
}

void live_run(struct live *l, enum wire_type subject)
{
    for (int i = 0; i < LIVE_STEPS_MAX && input_left(&l->in); i++) {
        step(l, subject);
        if (i % 8 == 7)
            ring_check(l->ring);
    }
    ring_check(l->ring);
}

/* L5 */
static void fall_silent(struct live *l)
{
    l->disk_slow = false;
    write_disk(l);
    ring_rx_free(l->ring, LIVE_RX_COUNT);
    uint64_t end_ns = l->now_ns + 40 * l->ring->config.detect_ns;
    for (int i = 0; i < SILENCE_CALLS && l->now_ns < end_ns; i++) {
        uint64_t due_ns = ring_deadline_ns(l->ring);
        bool alone = l->ring->state == RING_OPERATIONAL && l->ring->my_ring.count == 1;
        if (alone && l->delivered == l->submitted)
            break;
        INVARIANT(due_ns != NS_NEVER || alone);
        time_passes(l, due_ns > l->now_ns && due_ns != NS_NEVER ? due_ns - l->now_ns : NS_PER_MS);
        ring_open(l->ring);
        ring_continue(l->ring, l->now_ns, &l->out);
        drain(l);
    }
    INVARIANT(l->ring->state == RING_OPERATIONAL && l->ring->my_ring.count == 1);
    INVARIANT(l->delivered == l->submitted);
    ring_check(l->ring);
}

/* L6 */
void live_close(struct live *l)
{
    struct ring *r = l->ring;
    fall_silent(l);
    window_reset(r->cur);
    window_reset(r->old);
    pack_clear(&r->pack);
    while (r->send_head != r->send_tail)
        zcb_drop(r->send[r->send_head++ % SENDS_MAX], ZCB_HELD_OUT);
    zcb_pool_destroy(&l->tx_pool); /* they count */
    zcb_pool_destroy(&l->rx_pool);
}

int live_fuzz(const uint8_t *data, size_t size, enum wire_type subject, enum live_start start)
{
    static struct live live;
    if (size == 0)
        return 0;
    live_open(&live, 1 + data[0] % 2, data + 1, size - 1);
    if (start == LIVE_FORMED || data[0] & 2)
        live_form(&live);
    live_run(&live, subject);
    live_close(&live);
    return 0;
}
