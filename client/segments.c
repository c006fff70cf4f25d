/* SPDX-License-Identifier: BSD-3-Clause */
#include "segments.h"

#include <unistd.h>

#include "request.h"

#define DENIED_NS (2 * NS_PER_MS)
#define IDLE_NS   NS_PER_S
#define SOON_NS   (100 * NS_PER_MS)

static uint64_t free_position(struct handle *h, uint32_t index)
{
    return atomic_load_explicit(&h->down->tx_free[index], memory_order_acquire);
}

static bool exists(const struct tx_segment *s)
{
    return s->arena.bytes > 0;
}

static enum segment_kind kind_for(uint32_t bytes)
{
    if (bytes <= SEGMENT_SMALL_MESSAGE_MAX)
        return SEGMENT_SMALL;
    if (bytes <= SEGMENT_MEDIUM_MESSAGE_MAX)
        return SEGMENT_MEDIUM;
    return bytes <= SEGMENT_LARGE_MESSAGE_MAX ? SEGMENT_LARGE : SEGMENT_SINGLE;
}

static bool goes_idle(enum segment_kind kind)
{
    return kind == SEGMENT_MEDIUM || kind == SEGMENT_LARGE;
}

/* N1, N2. */
static bool fits(struct handle *h, uint32_t index, uint32_t bytes, struct segment_spot *spot)
{
    struct tx_segment *s = &h->send.segment[index];
    uint64_t size = s->arena.bytes;
    uint64_t need = align_up(bytes, CHAN_TX_ALIGN);
    uint64_t start = s->position;
    if (start % size + need > size)
        start += size - start % size;
    uint64_t end = start + need;
    if (end - free_position(h, index) > size)
        return false;
    *spot = (struct segment_spot){
        .segment = s, .index = index, .offset = (uint32_t)(start % size), .end = end
    };
    return true;
}

static bool find_in_kind(struct handle *h, enum segment_kind kind, uint32_t bytes,
                         struct segment_spot *spot)
{
    for (uint32_t i = 0; i < CHAN_SEGMENT_COUNT; i++) {
        const struct tx_segment *s = &h->send.segment[i];
        if (exists(s) && s->kind == kind && fits(h, i, bytes, spot))
            return true;
    }
    return false;
}

/* The small one first: what is idle behind it can go back. */
static bool find_in_existing(struct handle *h, uint32_t bytes, struct segment_spot *spot)
{
    enum segment_kind kind = kind_for(bytes);
    return (kind != SEGMENT_SINGLE && find_in_kind(h, kind, bytes, spot)) ||
           (kind == SEGMENT_SMALL && find_in_kind(h, SEGMENT_MEDIUM, bytes, spot));
}

static void give_back(struct handle *h, uint32_t index)
{
    struct tx_segment *s = &h->send.segment[index];
    request_plain(h, CTL_TX_PUT, index);
    h->send.count[s->kind]--;
    if (goes_idle(s->kind))
        atomic_fetch_sub_explicit(&h->send.idle_count, 1, memory_order_relaxed);
    zcb_arena_destroy(&s->arena);
}

/* The service gave this segment; where is it? CS_ERR_LIBRARY: it gave nonsense. */
static cs_error_t map_segment(struct handle *h, const struct ctl_answer *answer, int fd,
                              struct tx_segment **out)
{
    if (answer->arg >= CHAN_SEGMENT_COUNT || exists(&h->send.segment[answer->arg]) ||
        answer->arg64 % CHAN_TX_ALIGN != 0)
        return CS_ERR_LIBRARY;
    struct tx_segment *s = &h->send.segment[answer->arg];
    int failed = zcb_arena_map(&s->arena, fd, answer->arg64, answer->arena, ZCB_WRITE);
    if (failed) {
        request_plain(h, CTL_TX_PUT, answer->arg);
        return request_error(failed);
    }
    zcb_arena_close_fd(&s->arena);
    s->position = free_position(h, answer->arg);
    s->lent = answer->flags & CTL_TX_LENT;
    *out = s;
    return CS_OK;
}

static cs_error_t ask_and_map(struct handle *h, enum segment_kind kind, uint64_t bytes,
                              struct tx_segment **out)
{
    struct ctl_request question = {
        .type = CTL_TX_GET,
        .arg = kind == SEGMENT_SMALL ? CTL_TX_STAYS : 0,
        .arg64 = bytes,
    };
    struct ctl_answer answer;
    int fd;
    cs_error_t error = request(h, &question, &answer, &fd);
    if (error == CS_ERR_NO_RESOURCES && answer.error == CS_OK)
        request_plain(h, CTL_TX_PUT, answer.arg); /* ours, but we never saw its descriptor */
    if (error != CS_OK)
        return error;
    error = map_segment(h, &answer, fd, out);
    if (error != CS_OK && fd >= 0)
        close(fd);
    if (error == CS_ERR_LIBRARY)
        handle_lose(h);
    return error;
}

/* What others have now may come back; what nobody can have never will. */
static cs_error_t denial(struct handle *h, enum segment_kind kind, cs_error_t error)
{
    if (error == CS_ERR_LIBRARY || error == CS_ERR_BAD_HANDLE)
        return error;
    h->send.denied_until_ns[kind] = handle_now_ns() + DENIED_NS;
    return error == CS_ERR_TOO_BIG ? CS_ERR_NO_MEMORY : CS_ERR_TRY_AGAIN;
}

static cs_error_t get_segment(struct handle *h, enum segment_kind kind, uint64_t bytes)
{
    struct tx_segment *s = NULL;
    int before;
    if (handle_now_ns() < h->send.denied_until_ns[kind])
        return CS_ERR_TRY_AGAIN;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
    cs_error_t error = ask_and_map(h, kind, bytes, &s);
    pthread_setcancelstate(before, NULL);
    if (error != CS_OK)
        return denial(h, kind, error);
    s->kind = kind;
    s->used_ns = handle_now_ns();
    h->send.count[kind]++;
    if (kind == SEGMENT_LARGE)
        h->send.large_stays = s->used_ns - h->send.large_back_ns < SOON_NS;
    if (goes_idle(kind))
        atomic_fetch_add_explicit(&h->send.idle_count, 1, memory_order_relaxed);
    return CS_OK;
}

/* What to ask for to make room for a message of a kind; SEGMENT_KINDS: nothing, wait. */
static enum segment_kind kind_to_get(struct handle *h, enum segment_kind kind)
{
    const struct send_state *send = &h->send;
    if (kind == SEGMENT_SMALL && send->count[SEGMENT_SMALL] > 0)
        kind = SEGMENT_MEDIUM;
    if (kind == SEGMENT_MEDIUM && send->count[SEGMENT_MEDIUM] == SEGMENT_MEDIUM_COUNT)
        return SEGMENT_KINDS;
    if (kind != SEGMENT_LARGE)
        return kind;
    if (send->count[SEGMENT_LARGE] > 0)
        return SEGMENT_KINDS;
    /* A stream, if the one before is still under way. */
    return atomic_load_explicit(&send->last_big, memory_order_relaxed) ? SEGMENT_LARGE
                                                                       : SEGMENT_SINGLE;
}

static uint64_t bytes_of_kind(enum segment_kind kind, uint32_t message_bytes)
{
    switch (kind) {
    case SEGMENT_SMALL:
        return SEGMENT_SMALL_BYTES;
    case SEGMENT_MEDIUM:
        return SEGMENT_MEDIUM_BYTES;
    case SEGMENT_LARGE:
        return SEGMENT_LARGE_BYTES;
    default:
        return align_up(message_bytes, CHAN_PAGE_BYTES);
    }
}

static cs_error_t find_in_new(struct handle *h, enum segment_kind kind, uint32_t bytes,
                              struct segment_spot *spot)
{
    cs_error_t error = get_segment(h, kind, bytes_of_kind(kind, bytes));
    if (error != CS_OK)
        return error;
    if (find_in_kind(h, kind, bytes, spot))
        return CS_OK;
    /* A small one may be smaller than we wished. */
    return kind == SEGMENT_SMALL ? segments_find(h, bytes, spot) : CS_ERR_LIBRARY;
}

cs_error_t segments_find(struct handle *h, uint32_t bytes, struct segment_spot *spot)
{
    if (find_in_existing(h, bytes, spot))
        return CS_OK;
    enum segment_kind kind = kind_to_get(h, kind_for(bytes));
    if (kind == SEGMENT_KINDS)
        return CS_ERR_TRY_AGAIN;
    cs_error_t error = find_in_new(h, kind, bytes, spot);
    if (error != CS_ERR_TRY_AGAIN || !goes_idle(kind) || kind_for(bytes) != kind ||
        h->send.count[kind] > 0)
        return error;
    return find_in_new(h, SEGMENT_SINGLE, bytes, spot); /* less of it may still be had */
}

static bool is_empty(const struct segment_spot *spot)
{
    return spot->end % spot->segment->arena.bytes == spot->offset;
}

void segments_use_spot(struct handle *h, const struct segment_spot *spot)
{
    struct tx_segment *s = spot->segment;
    s->position = spot->end;
    if (atomic_load_explicit(&h->send.idle_count, memory_order_relaxed) > 0)
        s->used_ns = handle_now_ns();
    if (s->kind == SEGMENT_LARGE || s->kind == SEGMENT_SINGLE)
        atomic_store_explicit(&h->send.last_big, segment_key(s->arena.id, spot->offset),
                              memory_order_relaxed);
    else if (s->kind == SEGMENT_MEDIUM && !is_empty(spot)) /* which comes back without a place */
        atomic_store_explicit(&h->send.last_medium, segment_key(s->arena.id, spot->offset),
                              memory_order_relaxed);
}

void segments_submitted(struct handle *h, const struct segment_spot *spot)
{
    if (spot->segment->kind == SEGMENT_SINGLE)
        give_back(h, spot->index);
}

bool segments_have_room(struct handle *h, uint32_t bytes)
{
    struct segment_spot spot;
    if (find_in_existing(h, bytes, &spot))
        return true;
    enum segment_kind kind = kind_to_get(h, kind_for(bytes));
    return kind != SEGMENT_KINDS && handle_now_ns() >= h->send.denied_until_ns[kind];
}

/* Nothing in segments of this kind is under way: do they go back? */
static bool stream_ended(const struct handle *h, const struct tx_segment *s)
{
    const struct send_state *send = &h->send;
    if (s->kind == SEGMENT_MEDIUM)
        return s->lent && !atomic_load_explicit(&send->last_medium, memory_order_relaxed);
    return s->kind == SEGMENT_LARGE && (s->lent || !send->large_stays) &&
           !atomic_load_explicit(&send->last_big, memory_order_relaxed);
}

void segments_stream_ended(struct handle *h)
{
    for (uint32_t i = 0; i < CHAN_SEGMENT_COUNT; i++) {
        const struct tx_segment *s = &h->send.segment[i];
        if (!exists(s) || !stream_ended(h, s))
            continue;
        if (s->kind == SEGMENT_LARGE)
            h->send.large_back_ns = handle_now_ns();
        give_back(h, i);
    }
}

void segments_trim(struct handle *h)
{
    uint64_t now_ns = handle_now_ns();
    for (uint32_t i = 0; i < CHAN_SEGMENT_COUNT; i++) {
        const struct tx_segment *s = &h->send.segment[i];
        if (exists(s) && goes_idle(s->kind) && now_ns - s->used_ns >= IDLE_NS)
            give_back(h, i);
    }
}
