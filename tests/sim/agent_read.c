/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * agent_read.c - what an agent does with its events: it looks at every byte, writes down what it
 * saw, and gives back what it was lent, at once or later, having looked again.
 */
#include <string.h>

#include "agent.h"
#include "groups_names.h"
#include "payload.h"

enum { VIEW_BYTES_MAX = 64 * 1024, KEPT_FIRST = 64 };

/* One run after the other of an event's payload. */
struct runs {
    const struct agent_handle *h;
    const struct chan_event *event;
    const struct chan_list *list;
    uint32_t piece, got;
};

static const uint8_t *lent(const struct runs *r, uint32_t arena, uint64_t offset)
{
    const uint8_t *bytes = world_bytes(r->h->node, arena, offset);
    if (!bytes)
        verdict_broken(r->h->agent->all->verdict, "K3",
                       "node %u: an event names arena %u, which is gone", r->h->node->id, arena);
    return bytes;
}

static bool next_run(struct runs *r, const uint8_t **data, uint32_t *bytes)
{
    const struct chan_event *e = r->event;
    if (r->got >= e->bytes)
        return false;
    if (!(e->flags & CHAN_LISTED)) {
        *data = lent(r, e->arena, e->offset);
        *bytes = e->bytes;
    } else {
        while (!r->list || r->piece == r->list->count) {
            uint64_t at = r->list ? r->list->next : e->offset;
            r->list = (const struct chan_list *)(const void *)lent(r, e->arena, at);
            r->piece = 0;
            if (!r->list)
                return false;
        }
        const struct chan_piece *piece = &r->list->piece[r->piece++];
        *data = lent(r, piece->arena, piece->offset);
        *bytes = piece->bytes;
    }
    r->got += *bytes;
    return *data != NULL;
}

static uint64_t hash_of(const struct agent_handle *h, const struct chan_event *event)
{
    struct runs runs = { .h = h, .event = event };
    const uint8_t *data;
    uint32_t bytes;
    uint64_t hash = event->bytes;
    while (next_run(&runs, &data, &bytes)) {
        for (uint32_t at = 0; at < bytes; at += 8) {
            uint64_t word = 0;
            memcpy(&word, data + at, min_u32(8, bytes - at));
            hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
        }
        hash ^= hash >> 29;
    }
    return hash;
}

static bool read_message(struct agent_handle *h, const struct chan_event *event)
{
    struct agents *a = h->agent->all;
    struct runs runs = { .h = h, .event = event };
    struct payload_reader reader;
    const uint8_t *data;
    uint32_t bytes;
    payload_start(&reader, event->bytes);
    while (next_run(&runs, &data, &bytes))
        payload_read(&reader, data, bytes);
    if (!payload_sound(&reader))
        return verdict_broken(a->verdict, "D10",
                              "node %u handle %u: a message of %u bytes from %u/%u is damaged",
                              h->node->id, h->history, event->bytes, event->nodeid, event->pid);
    history_message(a->history, h->history,
                    &(struct hist_event){ .kind = HIST_MESSAGE,
                                          .flags = reader.named ? 0 : HIST_UNNAMED,
                                          .node = event->nodeid,
                                          .pid = event->pid,
                                          .member = reader.named ? reader.name.member : HIST_NOBODY,
                                          .number = reader.name.number,
                                          .bytes = event->bytes,
                                          .start = payload_short(&reader),
                                          .at_ns = a->world->now_ns });
    return true;
}

static bool gather(struct agent_handle *h, const struct chan_event *event, uint8_t *to)
{
    struct runs runs = { .h = h, .event = event };
    const uint8_t *data;
    uint32_t bytes, at = 0;
    while (next_run(&runs, &data, &bytes)) {
        if (bytes > VIEW_BYTES_MAX - at)
            return false;
        memcpy(to + at, data, bytes);
        at += bytes;
    }
    return at == event->bytes;
}

static bool name_is_padded(const struct chan_view *view)
{
    for (uint32_t i = view->name_bytes; i < sizeof(view->name); i++) {
        if (view->name[i])
            return false;
    }
    return true;
}

static bool read_view(struct agent_handle *h, const struct chan_event *event)
{
    static _Alignas(16) uint8_t bytes[VIEW_BYTES_MAX];
    struct agents *a = h->agent->all;
    const struct chan_view *view = (const struct chan_view *)(const void *)bytes;
    if (!gather(h, event, bytes) || event->bytes < sizeof(*view) ||
        event->bytes !=
            sizeof(*view) + sizeof(view->entry[0]) *
                                (view->member_count + view->left_count + view->joined_count))
        return verdict_broken(a->verdict, "V1", "handle %u: a view of %u bytes makes no sense",
                              h->history, event->bytes);
    if (!name_is_padded(view))
        return verdict_broken(a->verdict, "N3", "handle %u: bytes behind a name", h->history);
    history_view(a->history, h->history, view, group_named(view->name, view->name_bytes),
                 a->world->now_ns);
    return true;
}

static bool read_ring(struct agent_handle *h, const struct chan_event *event)
{
    static _Alignas(16) uint8_t bytes[VIEW_BYTES_MAX];
    struct agents *a = h->agent->all;
    const struct chan_ring *ring = (const struct chan_ring *)(const void *)bytes;
    if (!gather(h, event, bytes) || event->bytes < sizeof(*ring) ||
        event->bytes != sizeof(*ring) + ring->member_count * sizeof(ring->member[0]))
        return verdict_broken(a->verdict, "R1", "handle %u: a ring of %u bytes makes no sense",
                              h->history, event->bytes);
    history_ring(a->history, h->history, ring, event->flags & CHAN_FIRST_RING ? HIST_FIRST_RING : 0,
                 a->world->now_ns);
    return true;
}

static bool read_one(struct agent_handle *h, const struct chan_event *event)
{
    h->agent->all->read++;
    if (h->agent->all->lawless)
        return true;
    bool good = false;
    if (event->kind == CHAN_MESSAGE)
        good = read_message(h, event);
    else if (event->kind == CHAN_VIEW)
        good = read_view(h, event);
    else if (event->kind == CHAN_RING)
        good = read_ring(h, event);
    else
        verdict_broken(h->agent->all->verdict, "event", "an event of kind %u", event->kind);
    if (good && h->agent->all->trace)
        history_print(stdout, h->agent->all->history, h->history);
    return good;
}

static void keep(struct agent_handle *h, const struct chan_event *event, uint64_t until_ns)
{
    if (h->kept_count == h->kept_room) {
        uint32_t room = h->kept_room ? 2 * h->kept_room : KEPT_FIRST;
        struct agent_kept *kept = calloc(room, sizeof(*kept));
        INVARIANT(kept);
        for (uint32_t i = 0; i < h->kept_count; i++)
            kept[i] = h->kept[(h->kept_first + i) % h->kept_room];
        free(h->kept);
        h->kept = kept;
        h->kept_first = 0;
        h->kept_room = room;
    }
    h->kept[(h->kept_first + h->kept_count++) % h->kept_room] =
        (struct agent_kept){ .event = *event, .until_ns = until_ns, .hash = hash_of(h, event) };
}

static void give_back(struct agent_handle *h, const struct chan_event *event)
{
    if (!(event->flags & CHAN_LEASE_END))
        return;
    fake_client_give_back(&h->fake, event->lease);
    world_wake(h->node);
}

/* When it may read: NS_NEVER is never reached, 0 is now. */
static uint64_t reads_at(const struct agent *g, uint64_t now_ns)
{
    if (now_ns < g->stalled_ns)
        return g->stalled_ns;
    return now_ns < g->slow_ns ? max_u64(g->read_ns, now_ns) : now_ns;
}

bool agent_read(struct agent_handle *h, uint64_t *again_ns)
{
    struct agent *g = h->agent;
    uint64_t now_ns = g->all->world->now_ns;
    struct chan_event event;
    while (fake_client_waiting(&h->fake) > 0) {
        uint64_t at_ns = reads_at(g, now_ns);
        if (at_ns > now_ns) {
            *again_ns = min_u64(*again_ns, at_ns);
            return true;
        }
        (void)fake_client_take(&h->fake, &event);
        if (!read_one(h, &event))
            return false;
        if (now_ns < g->keeps_ns || h->kept_count > 0)
            keep(h, &event, now_ns < g->keeps_ns ? now_ns + g->keep_ns : now_ns);
        else
            give_back(h, &event);
        if (now_ns < g->slow_ns)
            g->read_ns = now_ns + g->pace_ns;
    }
    return true;
}

bool agent_give_back(struct agent_handle *h, uint64_t now_ns, uint64_t *again_ns)
{
    bool open = atomic_load_explicit(&h->fake.down->state, memory_order_acquire) == CHAN_OPEN;
    while (h->kept_count > 0) {
        const struct agent_kept *kept = &h->kept[h->kept_first];
        if (kept->until_ns > now_ns) {
            *again_ns = min_u64(*again_ns, kept->until_ns);
            return true;
        }
        if (open && hash_of(h, &kept->event) != kept->hash)
            return verdict_broken(h->agent->all->verdict, "D2 lease",
                                  "node %u handle %u: what is lent to it has changed", h->node->id,
                                  h->history);
        give_back(h, &kept->event);
        h->kept_first = (h->kept_first + 1) % h->kept_room;
        h->kept_count--;
    }
    return true;
}
