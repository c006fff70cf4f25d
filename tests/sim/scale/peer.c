/* SPDX-License-Identifier: BSD-3-Clause */
#include "peer.h"

#include "ring/wire.h"

#include <string.h>

enum {
    ARENA_TX = 1000,
    ARENA_RX = 2000,
    ARENA_CLIENT = 3000,
    PAYLOAD_BYTES =
        4 << 20, /* half of it is on its way at most, so that no number is overwritten */
};

struct packet *packet_make(struct packet_pool *pool, const struct zcb *frame)
{
    struct packet *packet = pool->free;
    if (packet)
        pool->free = packet->next;
    else
        packet = malloc(sizeof(*packet));
    pool->live++;
    INVARIANT(packet && frame->head_bytes <= PACKET_HEAD_BYTES);
    packet->next = NULL;
    packet->refs = 1;
    packet->dest = frame->dest;
    packet->bytes = frame->head_bytes + frame->payload_bytes;
    packet->kept = frame->head_bytes;
    memcpy(packet->head, frame->head, frame->head_bytes);
    if (frame->slice_count > 0 && frame->slice[0].bytes > 0) {
        uint32_t more = min_u32(frame->slice[0].bytes, PACKET_PAYLOAD_BYTES);
        memcpy(packet->head + packet->kept, frame->slice[0].data, more);
        packet->kept += more;
    }
    return packet;
}

void packet_drop(struct packet_pool *pool, struct packet *packet)
{
    if (--packet->refs > 0)
        return;
    packet->next = pool->free;
    pool->free = packet;
    pool->live--;
}

void packet_pool_free(struct packet_pool *pool)
{
    INVARIANT(pool->live == 0);
    while (pool->free) {
        struct packet *packet = pool->free;
        pool->free = packet->next;
        free(packet);
    }
}

uint8_t packet_type(const struct packet *packet)
{
    return ((const struct wire_head *)(const void *)packet->head)->type;
}

static void retain(void *context, uint64_t cookie)
{
    (void)cookie;
    ((struct peer *)context)->retained++;
}

static void release(void *context, uint64_t cookie)
{
    (void)cookie;
    ((struct peer *)context)->released++;
}

static struct zcb_arena arena(uint32_t id, size_t bytes)
{
    bytes = align_up(bytes, 4096);
    struct zcb_arena a = {
        .base = aligned_alloc(4096, bytes), .bytes = bytes, .page_bytes = 4096, .id = id, .fd = -1
    };
    INVARIANT(a.base);
    return a;
}

static void pools_make(struct peer *p)
{
    const struct peer_config *c = &p->config;
    p->tx_arena = arena(ARENA_TX + c->id, (size_t)c->tx_frames * RING_HEAD_BYTES);
    p->rx_arena = arena(ARENA_RX + c->id, (size_t)c->rx_frames * PEER_SLOT_BYTES);
    int error = zcb_pool_create(&p->tx_pool, &p->tx_arena,
                                &(struct zcb_pool_shape){ .slot_bytes = RING_HEAD_BYTES,
                                                          .count = c->tx_frames,
                                                          .slices_max = RING_SLICES_MAX });
    error |= zcb_pool_create(&p->rx_pool, &p->rx_arena,
                             &(struct zcb_pool_shape){ .slot_bytes = PEER_SLOT_BYTES,
                                                       .count = c->rx_frames,
                                                       .slices_max = 1 });
    INVARIANT(error == 0);
    p->tx_pool.retain = retain;
    p->tx_pool.release = release;
    p->tx_pool.slice_context = p;
    p->payload = calloc(1, PAYLOAD_BYTES);
    INVARIANT(p->payload);
}

void peer_start(struct peer *p, const struct peer_config *config, uint64_t now_ns)
{
    uint32_t ids[NODE_COUNT_MAX];
    for (int i = 0; i < config->nodes; i++)
        ids[i] = (uint32_t)i + 1;
    *p = (struct peer){ .config = *config };
    pools_make(p);
    struct ring_config ring = {
        .node_id = config->id,
        .cluster_tag = 0x5ca1e,
        .nodes = ids,
        .node_count = config->nodes,
        .ring_seq = config->ring_seq,
        .incarnation = config->incarnation,
        .seed = config->incarnation * 7919 + config->id,
        .detect_ns = config->detect_ns,
        .frame_bytes_max = config->frame_bytes_max,
        .window_frames = config->window_frames,
        .personal_frames = config->personal_frames,
        .park = config->park,
        .fan_out = config->fan_out,
        .tx_pool = &p->tx_pool,
    };
    const char *why = NULL;
    p->memory = malloc(ring_bytes(&ring));
    int error = ring_init(&p->ring, p->memory, &ring, now_ns, &why);
    INVARIANT(error == 0);
}

void peer_stop(struct peer *p)
{
    free(p->tx_pool.frames);
    free(p->rx_pool.frames);
    free(p->tx_arena.base);
    free(p->rx_arena.base);
    free(p->payload);
    free(p->memory);
    p->ring = NULL;
}

struct zcb *peer_take_in(struct peer *p, const struct packet *packet)
{
    struct zcb *frame = zcb_get(&p->rx_pool, ZCB_HELD_OUT);
    if (!frame)
        return NULL;
    memcpy(frame->head, packet->head, packet->kept);
    frame->head_bytes = packet->bytes;
    frame->slice_count = 1;
    frame->slice[0] = (struct zcb_slice){ .arena = frame->pool->arena };
    return frame;
}

/* L2 */
static void log_check(struct peer *p, const struct ring_delivery *d)
{
    struct peer_log *log = p->config.log;
    uint64_t place = (uint64_t)d->sender << 40 | d->seq;
    if (!log || !ring_id_equal(log->ring_id, p->ring_id) || !ring_id_equal(d->ring_id, p->ring_id))
        return;
    if (p->log_at == log->count) {
        if (log->count == log->capacity) {
            log->capacity = log->capacity ? 2 * log->capacity : 4096;
            log->place = realloc(log->place, log->capacity * sizeof(log->place[0]));
            INVARIANT(log->place);
        }
        log->place[log->count++] = place;
    }
    INVARIANT(log->place[p->log_at] == place); /* L2 */
    p->log_at++;
}

/* L1: the first message of a frame has its number; those behind it count on. */
static void number_check(struct peer *p, const struct ring_delivery *d, uint32_t messages,
                         const uint8_t *first)
{
    uint64_t *next = &p->next_number[d->sender - 1];
    if (first) {
        uint64_t number;
        memcpy(&number, first, sizeof(number));
        INVARIANT(number == *next); /* L1 */
    }
    *next += messages;
}

static uint32_t deliver_frame(struct peer *p, const struct ring_delivery *d)
{
    struct ring_walk walk;
    struct ring_piece piece;
    uint32_t messages = 0, ended = 0;
    const uint8_t *first = NULL;
    bool any = false;
    log_check(p, d);
    ring_walk_start(&walk, d);
    while (ring_walk_next(&walk, &piece)) {
        if (piece.control) {
            p->sync_have += ring_id_equal(d->ring_id, p->ring_id);
            continue;
        }
        if (!any && piece.first && d->frame->slice_count > 0 &&
            piece.payload.data == d->frame->slice[0].data)
            first = piece.payload.data;
        any = true;
        messages += piece.first;
        ended += piece.last;
        p->delivered_bytes += piece.payload.bytes;
    }
    number_check(p, d, messages, first);
    p->delivered_messages += ended;
    p->delivered_frames++;
    p->delivered_own += d->sender == p->config.id ? ended : 0;
    if (!p->gate && p->sync_have == (uint32_t)p->member_count) {
        p->gate = true;
        ring_open(p->ring);
    }
    zcb_drop(d->frame, ZCB_HELD_OUT);
    return ended;
}

static void regular(struct peer *p, const struct ring_delivery *d)
{
    struct peer_log *log = p->config.log;
    p->ring_id = d->ring_id;
    p->member_count = d->member_count;
    memcpy(p->member, d->members, (size_t)d->member_count * sizeof(p->member[0]));
    p->sync_have = 0;
    p->sync_due = true;
    p->gate = false;
    p->log_at = 0;
    if (log && d->ring_id.seq > log->ring_id.seq) {
        log->ring_id = d->ring_id;
        log->count = 0;
    }
}

uint32_t peer_deliver(struct peer *p, const struct ring_delivery *d)
{
    switch (d->kind) {
    case RING_DELIVER_FRAME:
        return deliver_frame(p, d);
    case RING_DELIVER_TRANSITIONAL:
        break;
    case RING_DELIVER_REGULAR:
        regular(p, d);
        break;
    }
    return 0;
}

bool peer_sync(struct peer *p)
{
    struct ring_message message = {
        .payload = { .data = p->sync, .bytes = PEER_SYNC_BYTES, .arena = ARENA_CLIENT },
        .guarantee = GUARANTEE_AGREED,
        .control = 1,
        .urgent = 1,
    };
    if (!p->sync_due || ring_submit(p->ring, &message) != 0)
        return false;
    p->sync_due = false;
    return true;
}

bool peer_submit(struct peer *p, uint32_t bytes, uint8_t guarantee)
{
    uint64_t waiting = (p->submitted - p->delivered_own) * align_up(bytes, CHAN_TX_ALIGN);
    if (waiting > PAYLOAD_BYTES / 2)
        return false;
    if (p->payload_at + bytes > PAYLOAD_BYTES)
        p->payload_at = 0;
    uint8_t *data = p->payload + p->payload_at;
    struct ring_message message = {
        .payload = { .data = data, .bytes = bytes, .arena = ARENA_CLIENT, .cookie = 1 },
        .port = PEER_PORT,
        .guarantee = guarantee,
    };
    memcpy(data, &p->submitted, sizeof(p->submitted));
    if (ring_submit(p->ring, &message) != 0)
        return false;
    p->submitted++;
    p->payload_at += (uint32_t)align_up(bytes, CHAN_TX_ALIGN);
    return true;
}
