/* SPDX-License-Identifier: BSD-3-Clause */
#include "segments.h"

#include <unistd.h>

#include "request.h"

#define DENIED_NS (5 * NS_PER_MS)
#define IDLE_NS   NS_PER_S

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
    return bytes <= SEGMENT_MEDIUM_MESSAGE_MAX ? SEGMENT_MEDIUM : SEGMENT_SINGLE;
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

/* The small one first: what is idle behind it can go back. */
static bool find_in_existing(struct handle *h, uint32_t bytes, struct segment_spot *spot)
{
    for (enum segment_kind kind = kind_for(bytes); kind < SEGMENT_SINGLE; kind++) {
        for (uint32_t i = 0; i < CHAN_SEGMENT_COUNT; i++) {
            const struct tx_segment *s = &h->send.segment[i];
            if (exists(s) && s->kind == kind && fits(h, i, bytes, spot))
                return true;
        }
    }
    return false;
}

static void give_back(struct handle *h, uint32_t index)
{
    struct tx_segment *s = &h->send.segment[index];
    request_plain(h, CTL_TX_PUT, index);
    if (s->kind == SEGMENT_MEDIUM)
        atomic_fetch_sub_explicit(&h->send.medium_count, 1, memory_order_relaxed);
    zcb_arena_destroy(&s->arena);
}

static cs_error_t ask_and_map(struct handle *h, uint64_t bytes, struct tx_segment **out)
{
    struct ctl_request question = { .type = CTL_TX_GET, .arg64 = bytes };
    struct ctl_answer answer;
    int fd;
    cs_error_t error = request(h, &question, &answer, &fd);
    if (error != CS_OK)
        return error;
    bool sane = answer.arg < CHAN_SEGMENT_COUNT && !exists(&h->send.segment[answer.arg]) &&
                answer.arg64 >= bytes && answer.arg64 % CHAN_TX_ALIGN == 0;
    struct tx_segment *s = sane ? &h->send.segment[answer.arg] : NULL;
    int failed = sane ? zcb_arena_map(&s->arena, fd, answer.arg64, answer.arena, ZCB_WRITE) : 0;
    if (!sane || failed) {
        if (fd >= 0)
            close(fd);
        if (sane)
            request_plain(h, CTL_TX_PUT, answer.arg);
        else
            handle_lose(h);
        return sane ? request_error(failed) : CS_ERR_LIBRARY;
    }
    zcb_arena_close_fd(&s->arena);
    s->position = free_position(h, answer.arg);
    *out = s;
    return CS_OK;
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
    cs_error_t error = ask_and_map(h, bytes, &s);
    pthread_setcancelstate(before, NULL);
    if (error != CS_OK)
        return denial(h, kind, error);
    s->kind = kind;
    s->used_ns = handle_now_ns();
    if (kind == SEGMENT_MEDIUM)
        atomic_fetch_add_explicit(&h->send.medium_count, 1, memory_order_relaxed);
    else if (kind == SEGMENT_SMALL)
        h->send.has_small = true;
    return CS_OK;
}

static cs_error_t find_in_single(struct handle *h, uint32_t bytes, struct segment_spot *spot)
{
    cs_error_t error = get_segment(h, SEGMENT_SINGLE, align_up(bytes, CHAN_PAGE_BYTES));
    for (uint32_t i = 0; error == CS_OK && i < CHAN_SEGMENT_COUNT; i++) {
        const struct tx_segment *s = &h->send.segment[i];
        if (exists(s) && s->kind == SEGMENT_SINGLE && fits(h, i, bytes, spot))
            return CS_OK;
    }
    return error == CS_OK ? CS_ERR_LIBRARY : error;
}

static bool may_get_medium(const struct handle *h)
{
    return atomic_load_explicit(&h->send.medium_count, memory_order_relaxed) < SEGMENT_MEDIUM_COUNT;
}

/* Another small or medium one. */
static cs_error_t get_shared(struct handle *h, enum segment_kind kind)
{
    if (kind == SEGMENT_SMALL && !h->send.has_small)
        return get_segment(h, SEGMENT_SMALL, SEGMENT_SMALL_BYTES);
    return may_get_medium(h) ? get_segment(h, SEGMENT_MEDIUM, SEGMENT_MEDIUM_BYTES)
                             : CS_ERR_TRY_AGAIN;
}

cs_error_t segments_find(struct handle *h, uint32_t bytes, struct segment_spot *spot)
{
    enum segment_kind kind = kind_for(bytes);
    if (kind == SEGMENT_SINGLE)
        return find_in_single(h, bytes, spot);
    if (find_in_existing(h, bytes, spot))
        return CS_OK;
    cs_error_t error = get_shared(h, kind);
    if (error == CS_OK)
        return find_in_existing(h, bytes, spot) ? CS_OK : CS_ERR_LIBRARY;
    bool none = atomic_load_explicit(&h->send.medium_count, memory_order_relaxed) == 0;
    if (error != CS_ERR_LIBRARY && kind == SEGMENT_MEDIUM && none)
        return find_in_single(h, bytes, spot); /* less than a medium one may still be had */
    return error;
}

void segments_use_spot(struct handle *h, const struct segment_spot *spot)
{
    spot->segment->position = spot->end;
    if (atomic_load_explicit(&h->send.medium_count, memory_order_relaxed) > 0)
        spot->segment->used_ns = handle_now_ns();
}

void segments_submitted(struct handle *h, const struct segment_spot *spot)
{
    if (spot->segment->kind == SEGMENT_SINGLE)
        give_back(h, spot->index);
}

bool segments_have_room(struct handle *h, uint32_t bytes)
{
    struct segment_spot spot;
    enum segment_kind kind = kind_for(bytes);
    if (find_in_existing(h, bytes, &spot))
        return true;
    if (kind == SEGMENT_SMALL && h->send.has_small)
        kind = SEGMENT_MEDIUM;
    if (kind == SEGMENT_MEDIUM && !may_get_medium(h))
        return false;
    return handle_now_ns() >= h->send.denied_until_ns[kind];
}

void segments_trim(struct handle *h)
{
    uint64_t now_ns = handle_now_ns();
    for (uint32_t i = 0; i < CHAN_SEGMENT_COUNT; i++) {
        const struct tx_segment *s = &h->send.segment[i];
        if (exists(s) && s->kind == SEGMENT_MEDIUM && now_ns - s->used_ns >= IDLE_NS)
            give_back(h, i);
    }
}
