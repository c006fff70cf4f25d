/* SPDX-License-Identifier: BSD-3-Clause */
#include "pack.h"

#include <errno.h>
#include <string.h>

/* Off the hot path: the one through pack_submit() keeps its registers. */
#define COLD __attribute__((noinline))

#define WHOLE_MESSAGE ((uint32_t)(WIRE_CHUNK_FIRST | WIRE_CHUNK_LAST))

static struct wire_data *data_of(const struct zcb *frame)
{
    return (struct wire_data *)(void *)frame->head;
}

/* Where the next piece may begin. */
static uint32_t aligned(uint32_t bytes)
{
    return (bytes + WIRE_PAYLOAD_ALIGN - 1) & ~(uint32_t)(WIRE_PAYLOAD_ALIGN - 1);
}

static uint32_t room_of(uint32_t frame_bytes_max)
{
    return frame_bytes_max - WIRE_RECOVERY_EXTRA_BYTES - (uint32_t)sizeof(struct wire_data);
}

uint32_t ring_piece_bytes(uint32_t frame_bytes_max)
{
    return aligned(room_of(frame_bytes_max) - (uint32_t)sizeof(struct wire_chunk) -
                   (WIRE_PAYLOAD_ALIGN - 1)); /* down */
}

uint32_t ring_bulk_free_bytes(int node_count)
{
    return min_u32(RING_BULK_FREE_BYTES, RING_BULK_FREE_ALL_BYTES / (uint32_t)node_count);
}

void pack_init(struct pack *pack, struct zcb_pool *tx_pool, uint32_t frame_bytes_max,
               uint32_t bulk_free_bytes)
{
    INVARIANT(frame_bytes_max >= RING_FRAME_BYTES_LEAST && frame_bytes_max < WIRE_PIECE_BYTES_MAX);
    INVARIANT(tx_pool->slot_bytes >= RING_HEAD_BYTES && tx_pool->slices_max >= RING_SLICES_MAX);
    *pack = (struct pack){ .pool = tx_pool, .bulk_free_bytes = bulk_free_bytes };
    pack->room_bytes = room_of(frame_bytes_max);
    pack->piece_bytes = ring_piece_bytes(frame_bytes_max);
}

/* Frames being filled. */

static bool open_start(struct pack *pack, struct pack_open *open, bool safe, uint32_t reserve)
{
    if (pack->pool->free_count <= reserve)
        return false;
    struct zcb *frame = zcb_get(pack->pool, ZCB_HELD_RING);
    struct wire_data *data = data_of(frame);
    frame->dest = ZCB_TO_RING;
    data->head.type = WIRE_DATA;
    data->chunk_count = 0;
    data->flags = safe ? WIRE_SAFE : 0;
    *open = (struct pack_open){ .frame = frame, .safe = safe };
    return true;
}

/* Payload lengthens the last slice instead of making a new one: its owner frees in order, so the
 * first message's cookie protects what follows; control messages have many owners. */
static bool open_continues(const struct pack_open *open, const struct ring_message *message)
{
    const struct zcb_slice *payload = &message->payload;
    return payload->data == open->end && payload->arena == open->arena && !message->control &&
           (open->counted || payload->cookie == 0);
}

static bool open_fits(const struct pack *pack, const struct pack_open *open,
                      const struct ring_message *message, bool continues)
{
    const struct zcb *frame = open->frame;
    uint32_t used = open->used + (uint32_t)sizeof(struct wire_chunk) + message->payload.bytes;
    return used <= pack->room_bytes && data_of(frame)->chunk_count < RING_CHUNKS_MAX &&
           open->safe == (message->guarantee == GUARANTEE_SAFE) &&
           (continues || frame->slice_count < RING_SLICES_MAX || message->payload.bytes == 0);
}

/* Padding comes from behind the piece before: see struct ring_message. */
static COLD void open_add_slice(struct pack_open *open, const struct zcb_slice *payload,
                                bool control)
{
    struct zcb *frame = open->frame;
    if (frame->slice_count > 0) {
        struct zcb_slice *last = &frame->slice[frame->slice_count - 1];
        last->bytes = aligned(last->bytes);
        frame->payload_bytes = aligned(frame->payload_bytes);
    }
    zcb_add_slice(frame, payload);
    open->arena = payload->arena;
    open->counted = payload->cookie != 0;
    open->end = control ? NULL : payload->data + aligned(payload->bytes);
}

/* `payload` is the message's, or a piece of it, and fits. */
static inline void open_add(struct pack_open *open, const struct ring_message *message,
                            const struct zcb_slice *payload, uint32_t flags, bool continues)
{
    struct zcb *frame = open->frame;
    struct wire_data *data = data_of(frame);
    flags |= message->control ? WIRE_CHUNK_CONTROL : 0u;
    data->chunk[data->chunk_count++] =
        wire_chunk_make(payload->bytes, flags, message->port, message->guarantee);
    open->used = aligned(open->used + (uint32_t)sizeof(struct wire_chunk) + payload->bytes);
    if (payload->bytes == 0)
        return;
    if (!continues) {
        open_add_slice(open, payload, message->control);
        return;
    }
    struct zcb_slice *last = &frame->slice[frame->slice_count - 1];
    last->bytes = aligned(last->bytes) + payload->bytes;
    frame->payload_bytes = aligned(frame->payload_bytes) + payload->bytes;
    open->end += aligned(payload->bytes);
}

static struct zcb *frame_done(struct zcb *frame)
{
    struct wire_data *data = data_of(frame);
    data->payload_bytes = frame->payload_bytes;
    frame->head_bytes = (uint32_t)(sizeof(*data) + data->chunk_count * sizeof(struct wire_chunk));
    return frame;
}

/* Messages that wait whole, and their pieces. */

static uint32_t frames_of(const struct pack *pack, uint32_t bytes)
{
    uint32_t count = bytes / pack->piece_bytes + (bytes % pack->piece_bytes != 0);
    return count > 0 ? count : 1;
}

static void whole_start(struct pack *pack, struct pack_whole *whole,
                        const struct ring_message *message)
{
    *whole = (struct pack_whole){
        .message = *message,
        .frames_left = frames_of(pack, message->payload.bytes),
    };
    if (message->payload.cookie && pack->pool->retain)
        pack->pool->retain(pack->pool->slice_context, message->payload.cookie);
}

static void whole_end(struct pack *pack, struct pack_whole *whole)
{
    uint64_t cookie = whole->message.payload.cookie;
    *whole = (struct pack_whole){ 0 };
    if (cookie && pack->pool->release)
        pack->pool->release(pack->pool->slice_context, cookie);
}

static void whole_restart(struct pack *pack, struct pack_whole *whole)
{
    whole->done = 0;
    whole->frames_left = frames_of(pack, whole->message.payload.bytes);
}

/* Add the next piece to a frame with room for it. True: it was the last. */
static bool whole_cut(struct pack *pack, struct pack_whole *whole, struct pack_open *open)
{
    struct zcb_slice piece = whole->message.payload;
    uint32_t left = piece.bytes - whole->done;
    bool last = left <= pack->piece_bytes;
    uint32_t flags = (whole->done == 0 ? WIRE_CHUNK_FIRST : 0u) | (last ? WIRE_CHUNK_LAST : 0u);
    if (piece.bytes > 0)
        piece.data += whole->done;
    piece.offset += whole->done;
    piece.bytes = last ? left : pack->piece_bytes;
    open_add(open, &whole->message, &piece, flags, false);
    whole->done += piece.bytes;
    whole->frames_left--;
    pack->pieces += flags != WHOLE_MESSAGE;
    pack->messages += last;
    return last;
}

/* Submission. */

static COLD int submit_urgent(struct pack *pack, const struct ring_message *message)
{
    INVARIANT(message->control);
    if (pack->urgent_count == PACK_URGENT_MAX)
        return -EAGAIN;
    uint32_t place = (pack->urgent_first + pack->urgent_count) % PACK_URGENT_MAX;
    whole_start(pack, &pack->urgent[place], message);
    pack->urgent_count++;
    return 0;
}

/* Where the message is that has `before` others before it in line. */
static uint32_t bulk_at(const struct pack *pack, uint32_t before)
{
    return (pack->bulk_first + before) % PACK_BULK_MAX;
}

static COLD bool bulk_waits_in_class(const struct pack *pack, uint32_t port)
{
    for (uint32_t i = 0; i < pack->bulk_count; i++) {
        if (pack->bulk[bulk_at(pack, i)].message.port == port)
            return true;
    }
    return false;
}

/* Is bulk of this port in line, not taken to its last piece? */
static inline bool bulk_waits(const struct pack *pack, uint32_t port)
{
    return pack->bulk_ports[port % PACK_PORT_CLASSES] > 0 && bulk_waits_in_class(pack, port);
}

static bool needs_permission(const struct pack *pack, const struct pack_whole *whole)
{
    return whole->message.payload.bytes > pack->bulk_free_bytes;
}

/* The last in line needs the token's permission. */
static bool bulk_ends_large(const struct pack *pack)
{
    return pack->bulk_count > 0 &&
           needs_permission(pack, &pack->bulk[bulk_at(pack, pack->bulk_count - 1)]);
}

static COLD int submit_bulk(struct pack *pack, const struct ring_message *message)
{
    INVARIANT(!message->control); /* ring.h: such a control message is urgent */
    if (pack->bulk_count == PACK_BULK_MAX || bulk_ends_large(pack))
        return -EBUSY;
    struct pack_whole *whole = &pack->bulk[bulk_at(pack, pack->bulk_count++)];
    whole_start(pack, whole, message);
    whole->fence = pack->frames_begun;
    pack->bulk_frames += whole->frames_left;
    pack->bulk_ports[message->port % PACK_PORT_CLASSES]++;
    pack->open = (struct pack_open){ 0 }; /* B2: what comes later stays behind the fence */
    return 0;
}

/* The open frame takes no more: begin another at the end of the backlog. */
static COLD int submit_open(struct pack *pack, bool safe)
{
    struct pack_open open;
    if (pack->frame_count == PACK_BACKLOG_MAX || !open_start(pack, &open, safe, PACK_RESERVE))
        return -EAGAIN;
    if (pack->last)
        pack->last->next = open.frame;
    else
        pack->first = open.frame;
    pack->last = open.frame;
    pack->frame_count++;
    pack->frames_begun++;
    pack->open = open;
    return 0;
}

int pack_submit(struct pack *pack, const struct ring_message *message)
{
    INVARIANT(message->port <= WIRE_PORT_MAX && message->guarantee <= GUARANTEE_SAFE);
    if (message->urgent)
        return submit_urgent(pack, message);
    if (message->payload.bytes > pack->piece_bytes)
        return submit_bulk(pack, message);
    if (bulk_waits(pack, message->port))
        return -EBUSY; /* B2 */
    bool continues = open_continues(&pack->open, message);
    if (!pack->open.frame || !open_fits(pack, &pack->open, message, continues)) {
        int error = submit_open(pack, message->guarantee == GUARANTEE_SAFE);
        if (error)
            return error;
        continues = false;
    }
    open_add(&pack->open, message, &message->payload, WHOLE_MESSAGE, continues);
    return 0;
}

/* Taking. */

static struct zcb *take_urgent(struct pack *pack)
{
    struct pack_open open;
    struct pack_whole *whole = &pack->urgent[pack->urgent_first];
    bool safe = whole->message.guarantee == GUARANTEE_SAFE;
    if (!open_start(pack, &open, safe, PACK_RESERVE_URGENT))
        return NULL;
    while (whole_cut(pack, whole, &open)) {
        whole_end(pack, whole);
        pack->urgent_first = (pack->urgent_first + 1) % PACK_URGENT_MAX;
        whole = &pack->urgent[pack->urgent_first];
        if (--pack->urgent_count == 0 || whole->message.payload.bytes > pack->piece_bytes ||
            !open_fits(pack, &open, &whole->message, false))
            break;
    }
    return frame_done(open.frame);
}

/* The first in line is at its end. */
static void bulk_end(struct pack *pack)
{
    struct pack_whole *whole = &pack->bulk[pack->bulk_first];
    pack->bulk_ports[whole->message.port % PACK_PORT_CLASSES]--;
    pack->bulk_frames -= whole->frames_left;
    whole_end(pack, whole);
    pack->bulk_first = (pack->bulk_first + 1) % PACK_BULK_MAX;
    pack->bulk_count--;
}

static struct zcb *take_bulk(struct pack *pack)
{
    struct pack_open open;
    struct pack_whole *whole = &pack->bulk[pack->bulk_first];
    bool safe = whole->message.guarantee == GUARANTEE_SAFE;
    if (!open_start(pack, &open, safe, PACK_RESERVE))
        return NULL;
    pack->bulk_frames--;
    if (whole_cut(pack, whole, &open))
        bulk_end(pack);
    pack->bulk_turn = false;
    return frame_done(open.frame);
}

static struct zcb *take_backlog(struct pack *pack)
{
    struct zcb *frame = pack->first;
    if (frame == pack->open.frame)
        pack->open = (struct pack_open){ 0 };
    pack->first = frame->next;
    if (!pack->first)
        pack->last = NULL;
    frame->next = NULL;
    pack->frame_count--;
    pack->bulk_turn = true;
    pack->messages += data_of(frame)->chunk_count;
    return frame_done(frame);
}

/* Has the bulk lane a frame to give now? */
static bool bulk_may(const struct pack *pack, bool bulk_allowed)
{
    if (pack->bulk_count == 0)
        return false;
    const struct pack_whole *whole = &pack->bulk[pack->bulk_first];
    return whole->fence <= pack->frames_begun - pack->frame_count &&
           (bulk_allowed || !needs_permission(pack, whole));
}

struct zcb *pack_take(struct pack *pack, bool gate_open, bool bulk_allowed)
{
    struct zcb *frame = NULL;
    if (pack->urgent_count > 0)
        frame = take_urgent(pack);
    if (frame || !gate_open)
        return frame;
    if ((pack->bulk_turn || !pack->first) && bulk_may(pack, bulk_allowed))
        frame = take_bulk(pack);
    if (!frame && pack->first)
        frame = take_backlog(pack);
    return frame;
}

/* Waiting. */

static uint32_t urgent_frames(const struct pack *pack)
{
    uint64_t frames = 0;
    for (uint32_t i = 0; i < pack->urgent_count; i++)
        frames += pack->urgent[(pack->urgent_first + i) % PACK_URGENT_MAX].frames_left;
    return (uint32_t)min_u64(frames, PACK_BACKLOG_MAX);
}

uint32_t pack_ready(const struct pack *pack, bool gate_open, bool bulk_allowed)
{
    uint32_t frames = pack->urgent_count > 0 ? urgent_frames(pack) : 0;
    if (!gate_open)
        return frames;
    uint64_t bulk = pack->bulk_frames;
    if (!bulk_allowed && bulk_ends_large(pack))
        bulk -= pack->bulk[bulk_at(pack, pack->bulk_count - 1)].frames_left;
    return frames + (uint32_t)min_u64(bulk, PACK_BACKLOG_MAX) + pack->frame_count;
}

uint32_t pack_backlog(const struct pack *pack)
{
    return pack_ready(pack, true, true);
}

bool pack_bulk_restart(struct pack *pack)
{
    if (pack->urgent_count > 0)
        whole_restart(pack, &pack->urgent[pack->urgent_first]);
    struct pack_whole *bulk = &pack->bulk[pack->bulk_first];
    if (pack->bulk_count == 0 || bulk->done == 0)
        return false;
    pack->bulk_frames -= bulk->frames_left;
    whole_restart(pack, bulk);
    pack->bulk_frames += bulk->frames_left;
    pack->bulk_restarts++;
    return true;
}

void pack_clear(struct pack *pack)
{
    while (pack->first)
        zcb_drop(take_backlog(pack), ZCB_HELD_RING);
    while (pack->bulk_count > 0)
        bulk_end(pack);
    for (; pack->urgent_count > 0; pack->urgent_count--) {
        whole_end(pack, &pack->urgent[pack->urgent_first]);
        pack->urgent_first = (pack->urgent_first + 1) % PACK_URGENT_MAX;
    }
}

/* The sweep. */

/* Nothing in a frame of the backlog is of a port whose bulk was there before it. */
static void check_behind_bulk(const struct pack *pack, const struct zcb *frame, uint64_t place)
{
    const struct wire_data *data = data_of(frame);
    for (uint32_t i = 0; i < pack->bulk_count; i++) {
        const struct pack_whole *whole = &pack->bulk[bulk_at(pack, i)];
        for (uint32_t k = 0; place >= whole->fence && k < data->chunk_count; k++)
            INVARIANT(wire_chunk_port(&data->chunk[k]) != whole->message.port); /* B2 */
    }
}

static void check_frame(const struct pack *pack, const struct zcb *frame)
{
    const struct wire_data *data = data_of(frame);
    uint32_t table = data->chunk_count * (uint32_t)sizeof(struct wire_chunk);
    INVARIANT(frame->held[ZCB_HELD_RING] == 1 && frame->refs == 1);
    INVARIANT(data->head.type == WIRE_DATA && data->chunk_count >= 1);
    INVARIANT(data->chunk_count <= RING_CHUNKS_MAX);
    INVARIANT(table + frame->payload_bytes <= pack->room_bytes); /* B1 */

    uint32_t bytes = 0, end = 0;
    for (uint32_t i = 0; i < frame->slice_count; i++) {
        INVARIANT(bytes % WIRE_PAYLOAD_ALIGN == 0); /* B5 */
        bytes += frame->slice[i].bytes;
    }
    INVARIANT(bytes == frame->payload_bytes); /* B5 */
    for (uint32_t i = 0; i < data->chunk_count; i++) {
        const struct wire_chunk *chunk = &data->chunk[i];
        bool safe = wire_chunk_guarantee(chunk) == GUARANTEE_SAFE;
        INVARIANT(safe == ((data->flags & WIRE_SAFE) != 0)); /* B4 */
        if (wire_chunk_bytes(chunk) > 0)
            end = aligned(end) + wire_chunk_bytes(chunk);
    }
    INVARIANT(end == bytes); /* B5 */
}

static void check_bulk(const struct pack *pack)
{
    uint32_t ports[PACK_PORT_CLASSES] = { 0 };
    uint64_t frames = 0;
    INVARIANT(pack->bulk_count <= PACK_BULK_MAX);
    for (uint32_t i = 0; i < pack->bulk_count; i++) {
        const struct pack_whole *whole = &pack->bulk[bulk_at(pack, i)];
        INVARIANT(whole->done < whole->message.payload.bytes);
        INVARIANT(whole->done == 0 || i == 0); /* B6 */
        INVARIANT(whole->fence <= pack->frames_begun);
        INVARIANT(!needs_permission(pack, whole) || i + 1 == pack->bulk_count);
        frames += whole->frames_left;
        ports[whole->message.port % PACK_PORT_CLASSES]++;
    }
    INVARIANT(frames == pack->bulk_frames);
    for (uint32_t i = 0; i < PACK_PORT_CLASSES; i++)
        INVARIANT(ports[i] == pack->bulk_ports[i]);
}

void pack_check(const struct pack *pack)
{
    uint32_t count = 0;
    const struct zcb *last = NULL;
    for (const struct zcb *frame = pack->first; frame; frame = frame->next) {
        check_frame(pack, frame);
        check_behind_bulk(pack, frame, pack->frames_begun - pack->frame_count + count);
        INVARIANT(++count <= PACK_BACKLOG_MAX);
        last = frame;
    }
    INVARIANT(count == pack->frame_count && last == pack->last);
    INVARIANT(!pack->open.frame || pack->open.frame == pack->last);
    check_bulk(pack);
    INVARIANT(pack->urgent_count <= PACK_URGENT_MAX);
}
