/* SPDX-License-Identifier: BSD-3-Clause */
#include "arenas.h"

#include <string.h>
#include <unistd.h>

#include "request.h"

enum { KEEP_BYTES_MAX = 4 << 20 }; /* N2 */

void arenas_drop(struct handle *h)
{
    struct receive_state *r = &h->receive;
    for (uint32_t i = 0; i < r->mapped_count; i++)
        zcb_arena_destroy(&r->mapped[i]);
    r->mapped_count = 0;
}

void arenas_refresh(struct handle *h)
{
    uint32_t retired = atomic_load_explicit(&h->down->retired, memory_order_acquire);
    if (retired == h->receive.retired_seen)
        return;
    h->receive.retired_seen = retired;
    arenas_drop(h);
}

static cs_error_t ask_and_map(struct handle *h, uint32_t id, struct zcb_arena *arena)
{
    struct ctl_request question = { .type = CTL_MAP, .arg = id };
    struct ctl_answer answer;
    int fd;
    cs_error_t error = request(h, &question, &answer, &fd);
    if (error != CS_OK)
        return error;
    int failed = zcb_arena_map(arena, fd, answer.arg64, id, ZCB_READ);
    if (failed) {
        if (fd >= 0)
            close(fd);
        return request_error(failed);
    }
    zcb_arena_close_fd(arena);
    return CS_OK;
}

/* close() is a cancellation point, and a thread cancelled there would take the mapping with it. */
static cs_error_t map_arena(struct handle *h, uint32_t id, struct zcb_arena *arena)
{
    int before;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
    cs_error_t error = ask_and_map(h, id, arena);
    pthread_setcancelstate(before, NULL);
    return error;
}

static bool make_room(struct receive_state *r)
{
    if (r->mapped_count < r->mapped_room)
        return true;
    uint32_t room = r->mapped_room ? r->mapped_room * 2 : 8;
    struct zcb_arena *more = realloc(r->mapped, room * sizeof(*more));
    if (!more)
        return false;
    r->mapped = more;
    r->mapped_room = room;
    return true;
}

/* Bring the i-th to the front, where the next search begins. */
static void to_front(struct receive_state *r, uint32_t i)
{
    struct zcb_arena found = r->mapped[i];
    memmove(&r->mapped[1], &r->mapped[0], i * sizeof(found));
    r->mapped[0] = found;
}

static cs_error_t find_arena(struct handle *h, uint32_t id, const struct zcb_arena **arena)
{
    struct receive_state *r = &h->receive;
    *arena = &h->rx_arena;
    if (id == h->rx_arena.id)
        return CS_OK;
    for (uint32_t i = 0; i < r->mapped_count; i++) {
        if (r->mapped[i].id == id) {
            if (i > 0)
                to_front(r, i);
            *arena = &r->mapped[0];
            return CS_OK;
        }
    }
    if (!make_room(r))
        return CS_ERR_NO_MEMORY;
    cs_error_t error = map_arena(h, id, &r->mapped[r->mapped_count]);
    if (error != CS_OK)
        return error;
    to_front(r, r->mapped_count++);
    *arena = &r->mapped[0];
    return CS_OK;
}

/* N2 */
static void forget_large(struct handle *h)
{
    struct receive_state *r = &h->receive;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < r->mapped_count; i++) {
        if (r->mapped[i].bytes > KEEP_BYTES_MAX)
            zcb_arena_destroy(&r->mapped[i]);
        else
            r->mapped[kept++] = r->mapped[i];
    }
    r->mapped_count = kept;
}

static bool in_arena(const struct zcb_arena *arena, uint64_t offset, uint64_t bytes)
{
    return offset <= arena->bytes && bytes <= arena->bytes - offset;
}

static cs_error_t broken(struct handle *h)
{
    handle_lose(h);
    return CS_ERR_LIBRARY;
}

static cs_error_t copy_piece(struct handle *h, uint32_t id, uint64_t offset, uint32_t bytes,
                             uint8_t *to)
{
    const struct zcb_arena *arena;
    cs_error_t error = find_arena(h, id, &arena);
    if (error != CS_OK)
        return error;
    if (!in_arena(arena, offset, bytes))
        return broken(h);
    memcpy(to, arena->base + offset, bytes);
    return CS_OK;
}

static const struct chan_list *list_at(struct handle *h, uint64_t offset)
{
    const struct zcb_arena *rx = &h->rx_arena;
    if (!in_arena(rx, offset, sizeof(struct chan_list)) || offset % _Alignof(struct chan_list) != 0)
        return NULL;
    const struct chan_list *list = (const struct chan_list *)(const void *)(rx->base + offset);
    return in_arena(rx, offset, sizeof(*list) + (uint64_t)list->count * sizeof(list->piece[0]))
               ? list
               : NULL;
}

static cs_error_t gather_list(struct handle *h, const struct chan_event *event, uint8_t *to)
{
    uint32_t done = 0;
    uint64_t next = event->offset;
    while (done < event->bytes) {
        const struct chan_list *list = list_at(h, next);
        if (!list || list->count == 0)
            return broken(h);
        for (uint32_t i = 0; i < list->count; i++) {
            struct chan_piece piece = list->piece[i];
            if (piece.bytes > event->bytes - done)
                return broken(h);
            cs_error_t error = copy_piece(h, piece.arena, piece.offset, piece.bytes, to + done);
            if (error != CS_OK)
                return error;
            done += piece.bytes;
        }
        next = list->next;
    }
    return CS_OK;
}

cs_error_t arenas_gather(struct handle *h, const struct chan_event *event, uint8_t *to)
{
    cs_error_t error;
    if (event->bytes == 0)
        return CS_OK;
    if (event->flags & CHAN_LISTED)
        error = gather_list(h, event, to);
    else
        error = copy_piece(h, event->arena, event->offset, event->bytes, to);
    if (h->receive.mapped_count > 0)
        forget_large(h);
    return error;
}
