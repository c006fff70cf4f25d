/* SPDX-License-Identifier: BSD-3-Clause */
#include "send.h"

#include <sched.h>
#include <string.h>

#include "request.h"
#include "segments.h"
#include "wake_client.h"

#define TRIM_EVERY_NS (250 * NS_PER_MS)

/* The sum of the entries, as long as it does not pass `max`. */
static cs_error_t total_bytes(const struct iovec *iov, unsigned int count, uint32_t max,
                              uint32_t *total)
{
    uint32_t sum = 0;
    for (unsigned int i = 0; i < count; i++) {
        if (iov[i].iov_len > 0 && !iov[i].iov_base)
            return CS_ERR_INVALID_PARAM;
        if (iov[i].iov_len > max - sum)
            return CS_ERR_TOO_BIG;
        sum += (uint32_t)iov[i].iov_len;
    }
    *total = sum;
    return CS_OK;
}

/* The one copy on the way out. Lengths that grow under our hands do not lead beyond `bytes`. */
static void gather(uint8_t *to, uint32_t bytes, const struct iovec *iov, unsigned int count)
{
    size_t left = bytes;
    for (unsigned int i = 0; i < count && left > 0; i++) {
        size_t step = iov[i].iov_len < left ? iov[i].iov_len : left;
        if (step > 0)
            memcpy(to, iov[i].iov_base, step);
        to += step;
        left -= step;
    }
}

static cs_error_t may_send(struct handle *h)
{
    if (atomic_load_explicit(&h->finalized, memory_order_acquire))
        return CS_ERR_BAD_HANDLE;
    if (!handle_alive(h))
        return CS_ERR_LIBRARY;
    return h->send.joined ? CS_OK : CS_ERR_NOT_EXIST; /* O1 */
}

static cs_error_t find_room(struct handle *h, uint32_t bytes, struct segment_spot *spot)
{
    int room = spsc_room(&h->send.submit);
    if (room < 0) {
        handle_lose(h);
        return CS_ERR_LIBRARY;
    }
    return room > 0 ? segments_find(h, bytes, spot) : CS_ERR_TRY_AGAIN;
}

static void submit(struct handle *h, cpg_guarantee_t guarantee, uint32_t bytes,
                   const struct segment_spot *spot)
{
    struct chan_submit *entry = spsc_next(&h->send.submit);
    *entry = (struct chan_submit){
        .offset = spot->offset,
        .bytes = bytes,
        .end = spot->end,
        .segment = (uint8_t)spot->index,
        .guarantee = (uint8_t)guarantee,
    };
    segments_use_spot(h, spot);
    spsc_publish(&h->send.submit);
}

static void note_refusal(struct handle *h, cs_error_t error, uint32_t bytes)
{
    uint64_t refused = error == CS_ERR_TRY_AGAIN ? (uint64_t)bytes + 1 : 0;
    atomic_store_explicit(&h->send.refused_bytes, refused, memory_order_relaxed);
    if (refused > 0) /* so that the service knows who is kept waiting by a slow reader */
        atomic_fetch_add_explicit(&h->up->words.refused, 1, memory_order_relaxed);
}

static cs_error_t send_locked(struct handle *h, cpg_guarantee_t guarantee, const struct iovec *iov,
                              unsigned int count)
{
    uint32_t bytes;
    struct segment_spot spot;
    cs_error_t error = may_send(h);
    if (error == CS_OK)
        error = total_bytes(iov, count, h->hello.message_bytes_max, &bytes);
    if (error != CS_OK)
        return error;
    error = find_room(h, bytes, &spot);
    note_refusal(h, error, bytes);
    if (error == CS_ERR_TRY_AGAIN)
        wake_client_ring_bell(h); /* what we gave back is room, once the service has seen it */
    if (error != CS_OK)
        return error;
    gather(spot.segment->arena.base + spot.offset, bytes, iov, count);
    submit(h, guarantee, bytes, &spot);
    bool heard = wake_client_ring_bell(h);
    segments_submitted(h, &spot);
    return heard ? CS_OK : CS_ERR_LIBRARY;
}

/* Who has the lock looks again when he gives it back. */
static void end_stream(struct handle *h)
{
    if (pthread_mutex_trylock(&h->send.lock) != 0)
        return;
    bool over = atomic_exchange(&h->send.stream_over, false);
    if (over && !atomic_load_explicit(&h->finalized, memory_order_acquire))
        segments_stream_ended(h);
    pthread_mutex_unlock(&h->send.lock);
}

cs_error_t send_message(struct handle *h, cpg_guarantee_t guarantee, const struct iovec *iov,
                        unsigned int count)
{
    pthread_mutex_lock(&h->send.lock);
    cs_error_t error = send_locked(h, guarantee, iov, count);
    pthread_mutex_unlock(&h->send.lock);
    if (atomic_load(&h->send.stream_over))
        end_stream(h);
    if (error == CS_ERR_TRY_AGAIN)
        sched_yield(); /* C1: callers that spin let the service have the processor */
    if (send_may_trim(h))
        send_trim(h);
    return error;
}

cs_error_t send_join(struct handle *h, const struct cpg_name *group)
{
    struct ctl_request question = { .type = CTL_JOIN };
    struct ctl_answer answer;
    request_set_name(&question, group);
    pthread_mutex_lock(&h->send.lock);
    cs_error_t error = request(h, &question, &answer, NULL);
    if (error == CS_OK)
        h->send.joined = true;
    pthread_mutex_unlock(&h->send.lock);
    return error;
}

cs_error_t send_leave(struct handle *h)
{
    pthread_mutex_lock(&h->send.lock);
    cs_error_t error = request_plain(h, CTL_LEAVE, 0);
    if (error == CS_OK)
        h->send.joined = false;
    pthread_mutex_unlock(&h->send.lock);
    return error;
}

cs_error_t send_finalize(struct handle *h)
{
    pthread_mutex_lock(&h->send.lock);
    cs_error_t error = request_plain(h, CTL_FINALIZE, 0);
    h->send.joined = false;
    pthread_mutex_unlock(&h->send.lock);
    return error;
}

bool send_is_refused(struct handle *h)
{
    uint64_t refused = atomic_load_explicit(&h->send.refused_bytes, memory_order_relaxed);
    uint32_t bytes = refused > 0 ? (uint32_t)(refused - 1) : 0;
    pthread_mutex_lock(&h->send.lock);
    bool is_refused =
        spsc_room(&h->send.submit) <= 0 || (refused > 0 && !segments_have_room(h, bytes));
    pthread_mutex_unlock(&h->send.lock);
    return is_refused || atomic_load_explicit(&h->down->congested, memory_order_relaxed) != 0;
}

bool send_may_trim(const struct handle *h)
{
    return atomic_load_explicit(&h->send.idle_count, memory_order_relaxed) > 0;
}

void send_trim(struct handle *h)
{
    uint64_t now_ns = handle_now_ns();
    if (now_ns < atomic_load_explicit(&h->send.trim_ns, memory_order_relaxed) ||
        pthread_mutex_trylock(&h->send.lock) != 0)
        return;
    atomic_store_explicit(&h->send.trim_ns, now_ns + TRIM_EVERY_NS, memory_order_relaxed);
    if (!atomic_load_explicit(&h->finalized, memory_order_acquire))
        segments_trim(h);
    pthread_mutex_unlock(&h->send.lock);
}

/* True once for each message: it was the last of its kind. */
static bool was_last(_Atomic uint64_t *last, uint64_t key)
{
    return atomic_load_explicit(last, memory_order_relaxed) == key &&
           atomic_compare_exchange_strong_explicit(last, &key, 0, memory_order_relaxed,
                                                   memory_order_relaxed);
}

void send_came_back(struct handle *h, uint32_t arena, uint64_t offset)
{
    uint64_t key = segment_key(arena, offset);
    if (!was_last(&h->send.last_big, key) && !was_last(&h->send.last_medium, key))
        return;
    atomic_store(&h->send.stream_over, true);
    end_stream(h);
}
