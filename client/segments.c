/* SPDX-License-Identifier: BSD-3-Clause */
#include "segments.h"

#include <unistd.h>

#include "request.h"
#include "send.h"

enum { SINGLE_COUNT_MAX = 2 };
#define DENIED_NS      (10 * NS_PER_MS)
#define IDLE_SINGLE_NS (1 * NS_PER_S)
#define IDLE_LARGE_NS  (10 * NS_PER_S)

static uint64_t free_position(struct handle *h, uint32_t index)
{
    return atomic_load_explicit(&h->down->tx_free[index], memory_order_acquire);
}

static bool exists(const struct tx_segment *s)
{
    return s->arena.bytes > 0;
}

static bool is_drained(struct handle *h, uint32_t index)
{
    return free_position(h, index) == h->send.segment[index].position;
}

/* D2, D3. */
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

/* A message goes into a segment of its kind, of which it takes a quarter at most. */
static bool suits(const struct tx_segment *s, uint32_t bytes)
{
    if (!exists(s) || s->single != (bytes > SEND_SINGLE_BYTES))
        return false;
    return s->single ? bytes <= s->arena.bytes : bytes <= s->arena.bytes / 4;
}

static bool find_in_existing(struct handle *h, uint32_t bytes, struct segment_spot *spot)
{
    for (uint32_t i = 0; i < CHAN_SEGMENT_COUNT; i++)
        if (suits(&h->send.segment[i], bytes) && fits(h, i, bytes, spot))
            return true;
    return false;
}

static void give_back(struct handle *h, uint32_t index)
{
    struct tx_segment *s = &h->send.segment[index];
    request_plain(h, CTL_TX_PUT, index);
    if (s->arena.bytes > SEND_SMALL_BYTES)
        atomic_fetch_sub_explicit(&h->send.segments_large, 1, memory_order_relaxed);
    zcb_arena_destroy(&s->arena);
}

static int count_of(const struct send_state *send, bool single)
{
    int count = 0;
    for (int i = 0; i < CHAN_SEGMENT_COUNT; i++)
        if (exists(&send->segment[i]) && send->segment[i].single == single)
            count++;
    return count;
}

/* What to ask the service for; 0: there is enough, wait for it to drain. */
static uint64_t bytes_to_get(const struct send_state *send, uint32_t bytes)
{
    if (bytes > SEND_SINGLE_BYTES)
        return count_of(send, true) < SINGLE_COUNT_MAX ? align_up(bytes, CHAN_PAGE_BYTES) : 0;
    int count = count_of(send, false);
    if (count == 0 && bytes <= SEND_SMALL_BYTES / 4)
        return SEND_SMALL_BYTES;
    for (int i = 0; i < CHAN_SEGMENT_COUNT; i++)
        if (send->segment[i].arena.bytes >= SEND_LARGE_BYTES && !send->segment[i].single)
            return 0;
    return SEND_LARGE_BYTES;
}

static cs_error_t ask_and_map(struct handle *h, uint64_t bytes, bool single)
{
    struct ctl_request question = { .type = CTL_TX_GET, .arg64 = bytes };
    struct ctl_answer answer;
    int fd;
    cs_error_t error = request(h, &question, &answer, &fd);
    if (error != CS_OK)
        return error;
    if (answer.arg >= CHAN_SEGMENT_COUNT || exists(&h->send.segment[answer.arg])) {
        if (fd >= 0)
            close(fd);
        handle_lose(h);
        return CS_ERR_LIBRARY;
    }
    struct tx_segment *s = &h->send.segment[answer.arg];
    int failed = zcb_arena_map(&s->arena, fd, answer.arg64, answer.arena, ZCB_WRITE);
    if (failed) {
        if (fd >= 0)
            close(fd);
        request_plain(h, CTL_TX_PUT, answer.arg);
        return request_error(failed);
    }
    zcb_arena_close_fd(&s->arena);
    s->position = free_position(h, answer.arg);
    s->single = single;
    s->used_ns = handle_now_ns();
    if (s->arena.bytes > SEND_SMALL_BYTES)
        atomic_fetch_add_explicit(&h->send.segments_large, 1, memory_order_relaxed);
    return CS_OK;
}

/* A drained segment for large messages that is too small for this one makes way for another. */
static void make_way(struct handle *h, uint32_t bytes)
{
    struct send_state *send = &h->send;
    if (bytes <= SEND_SINGLE_BYTES || count_of(send, true) < SINGLE_COUNT_MAX)
        return;
    for (uint32_t i = 0; i < CHAN_SEGMENT_COUNT; i++) {
        struct tx_segment *s = &send->segment[i];
        if (exists(s) && s->single && s->arena.bytes < bytes && is_drained(h, i)) {
            give_back(h, i);
            return;
        }
    }
}

static bool anything_in_use(struct handle *h)
{
    for (uint32_t i = 0; i < CHAN_SEGMENT_COUNT; i++)
        if (exists(&h->send.segment[i]) && !is_drained(h, i))
            return true;
    return false;
}

/* The service's memory is shared: what it lacks now it may have later, unless nobody has any. */
static cs_error_t get_segment(struct handle *h, uint32_t bytes)
{
    struct send_state *send = &h->send;
    make_way(h, bytes);
    uint64_t wanted = bytes_to_get(send, bytes);
    if (wanted == 0 || handle_now_ns() < send->denied_until_ns)
        return CS_ERR_TRY_AGAIN;
    int before;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
    cs_error_t error = ask_and_map(h, wanted, bytes > SEND_SINGLE_BYTES);
    pthread_setcancelstate(before, NULL);
    if (error == CS_OK || error == CS_ERR_LIBRARY || error == CS_ERR_BAD_HANDLE)
        return error;
    send->denied_until_ns = handle_now_ns() + DENIED_NS;
    return error == CS_ERR_NO_MEMORY && !anything_in_use(h) ? error : CS_ERR_TRY_AGAIN;
}

cs_error_t segments_find(struct handle *h, uint32_t bytes, struct segment_spot *spot)
{
    if (find_in_existing(h, bytes, spot))
        return CS_OK;
    cs_error_t error = get_segment(h, bytes);
    if (error != CS_OK)
        return error;
    return find_in_existing(h, bytes, spot) ? CS_OK : CS_ERR_TRY_AGAIN;
}

void segments_use_spot(struct handle *h, const struct segment_spot *spot)
{
    spot->segment->position = spot->end;
    if (send_may_trim(h))
        spot->segment->used_ns = handle_now_ns();
}

bool segments_have_room(struct handle *h, uint32_t bytes)
{
    struct segment_spot spot;
    return find_in_existing(h, bytes, &spot) ||
           (bytes_to_get(&h->send, bytes) > 0 && handle_now_ns() >= h->send.denied_until_ns);
}

void segments_trim(struct handle *h)
{
    uint64_t now_ns = handle_now_ns();
    for (uint32_t i = 0; i < CHAN_SEGMENT_COUNT; i++) {
        struct tx_segment *s = &h->send.segment[i];
        uint64_t idle_ns = s->single ? IDLE_SINGLE_NS : IDLE_LARGE_NS;
        if (exists(s) && s->arena.bytes > SEND_SMALL_BYTES && is_drained(h, i) &&
            now_ns - s->used_ns >= idle_ns)
            give_back(h, i);
    }
}
