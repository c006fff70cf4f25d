/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * clients_segments.c - TX segments of clients: from CORE_SEGMENT_ADD until nobody refers to them.
 */
#include "clients_inner.h"
#include "corosync/corotypes.h"

static void count_bytes(const struct segment *s, uint64_t *bytes, uint64_t *used)
{
    *bytes += s->bytes;
    *used += s->taken_end - s->free_end;
}

void clients_segment_bytes(const struct clients *cs, uint64_t *bytes, uint64_t *used)
{
    *bytes = *used = 0;
    for (uint32_t i = 0; i < cs->count; i++) {
        for (int k = 0; k < CHAN_SEGMENT_COUNT; k++) {
            const struct segment *s = cs->list[i]->segment[k];
            if (s && !s->closing)
                count_bytes(s, bytes, used);
        }
    }
    for (const struct segment *s = cs->retired; s; s = s->next)
        count_bytes(s, bytes, used);
}

static struct segment *record_take(struct clients *cs)
{
    struct segment *segment = cs->spare;
    if (!segment)
        return malloc(sizeof(*segment));
    cs->spare = segment->next;
    cs->spare_count--;
    return segment;
}

void clients_record_keep(struct clients *cs, struct segment *segment)
{
    if (cs->spare_count == SPARE_SEGMENTS) {
        free(segment);
        return;
    }
    segment->next = cs->spare;
    cs->spare = segment;
    cs->spare_count++;
}

uint32_t clients_segment_add(struct clients *cs, const struct core_segment_setup *setup)
{
    struct client *c = clients_find(cs, setup->client_slot);
    if (!c || setup->index >= CHAN_SEGMENT_COUNT || c->segment[setup->index])
        return CS_ERR_INVALID_PARAM;
    struct segment *segment = record_take(cs);
    if (!segment)
        return CS_ERR_NO_MEMORY;
    _Atomic uint64_t *free_shared = &c->setup.down->tx_free[setup->index];
    atomic_store_explicit(free_shared, 0, memory_order_release);
    segment_init(segment, &setup->arena, free_shared);
    segment->index = setup->index;
    c->segment[setup->index] = segment;
    c->tx_bytes += segment->bytes;
    return CS_OK;
}

uint32_t clients_segment_end(struct clients *cs, uint32_t slot, uint32_t index)
{
    struct client *c = clients_find(cs, slot);
    if (!c || index >= CHAN_SEGMENT_COUNT || !c->segment[index] || c->segment[index]->closing)
        return CS_ERR_NOT_EXIST;
    uint32_t barrier = client_pushed(cs, c);
    c->segment[index]->barrier = barrier;
    c->segment[index]->closing = true;
    c->closing++;
    return CS_OK;
}

/* Readers hold no event that names the arena any more, but may still have it mapped. */
static void gone(struct clients *cs, struct segment *segment)
{
    for (uint32_t i = 0; i < cs->count; i++)
        atomic_fetch_add_explicit(&cs->list[i]->setup.down->retired, 1, memory_order_release);
    cs->post(cs->context,
             &(struct core_event){ .type = CORE_EVENT_SEGMENT_GONE, .arg = segment->arena });
    clients_record_keep(cs, segment);
}

/* Closing segments of a client that no submit names any more, and that are drained. */
void client_close_segments(struct clients *cs, struct client *c)
{
    for (int s = 0; s < CHAN_SEGMENT_COUNT; s++) {
        struct segment *segment = c->segment[s];
        if (!segment || !segment->closing || !segment_idle(segment) ||
            (int32_t)(c->submit.head - segment->barrier) < 0)
            continue;
        c->segment[s] = NULL;
        c->tx_bytes -= segment->bytes;
        c->closing--;
        gone(cs, segment);
    }
}

/* The client's record goes; its segments stay until they are drained. */
void client_orphan_segments(struct clients *cs, struct client *c)
{
    for (int s = 0; s < CHAN_SEGMENT_COUNT; s++) {
        struct segment *segment = c->segment[s];
        if (!segment)
            continue;
        c->segment[s] = NULL;
        segment->free_shared = NULL;
        segment->orphan = true;
        segment->next = cs->retired;
        cs->retired = segment;
    }
}

void clients_detach(struct clients *cs)
{
    for (uint32_t i = 0; i < cs->count; i++) {
        for (int s = 0; s < CHAN_SEGMENT_COUNT; s++) {
            if (cs->list[i]->segment[s])
                cs->list[i]->segment[s]->free_shared = NULL;
        }
    }
}

bool clients_retire(struct clients *cs)
{
    bool some = false;
    for (struct segment **link = &cs->retired; *link;) {
        struct segment *segment = *link;
        if (!segment_idle(segment)) {
            link = &segment->next;
            continue;
        }
        *link = segment->next;
        gone(cs, segment);
        some = true;
    }
    return some;
}
