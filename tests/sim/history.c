/* SPDX-License-Identifier: BSD-3-Clause */
#include "history.h"

#include <inttypes.h>
#include <string.h>

static void *grown(void *list, uint32_t *room, uint32_t needed, size_t entry_bytes)
{
    if (needed <= *room)
        return list;
    while (*room < needed)
        *room = *room ? 2 * *room : 16;
    list = realloc(list, *room * entry_bytes);
    INVARIANT(list);
    return list;
}

/* A place for one entry more at the end of a list. */
#define ADD(list)                                                                           \
    ((list)->at = grown((list)->at, &(list)->room, (list)->count + 1, sizeof(*(list)->at)), \
     &(list)->at[(list)->count++])

void history_clear(struct history *h)
{
    for (uint32_t i = 0; i < h->members.count; i++)
        free(h->members.at[i].sent.at);
    for (uint32_t i = 0; i < h->handles.count; i++)
        free(h->handles.at[i].log.at);
    for (uint32_t i = 0; i < h->lives.count; i++) {
        free(h->lives.at[i].log.at);
        free(h->lives.at[i].pieces.at);
        free(h->lives.at[i].submitted.at);
    }
    free(h->members.at);
    free(h->handles.at);
    free(h->lives.at);
    free(h->views.at);
    free(h->rings.at);
    free(h->addresses.at);
    free(h->nodes.at);
    *h = (struct history){ 0 };
}

void history_mark(struct history *h, uint64_t value)
{
    h->hash = (h->hash ^ value) * UINT64_C(0x9e3779b97f4a7c15);
    h->hash ^= h->hash >> 32;
}

uint32_t history_life(struct history *h, uint32_t node, bool forgets, uint64_t now_ns)
{
    uint32_t number = h->lives.count;
    *ADD(&h->lives) = (struct hist_life){
        .node = node, .number = number, .forgets = forgets, .since_ns = now_ns
    };
    history_mark(h, now_ns + node);
    return number;
}

uint32_t history_handle(struct history *h, const struct hist_handle *handle)
{
    struct hist_handle *place = ADD(&h->handles);
    *place = *handle;
    place->index = h->handles.count - 1;
    history_mark(h, handle->since_ns + handle->node);
    return place->index;
}

uint32_t history_member(struct history *h, const struct hist_member *member)
{
    *ADD(&h->members) = *member;
    history_mark(h, member->since_ns + member->pid);
    return h->members.count - 1;
}

uint32_t history_sent(struct history *h, uint32_t member, const struct hist_sent *sent)
{
    struct hist_member *m = &h->members.at[member];
    *ADD(&m->sent) = *sent;
    history_mark(h, (uint64_t)member << 32 | sent->bytes);
    return m->sent.count - 1;
}

static void log_event(struct history *h, uint32_t handle, const struct hist_event *event)
{
    struct hist_handle *to = &h->handles.at[handle];
    *ADD(&to->log) = *event;
    history_mark(h, event->at_ns + event->kind);
}

void history_message(struct history *h, uint32_t handle, const struct hist_event *event)
{
    log_event(h, handle, event);
    history_mark(h, (uint64_t)handle << 32 | event->member);
    history_mark(h, (uint64_t)event->number << 32 | event->bytes);
    history_mark(h, event->start);
}

void history_view(struct history *h, uint32_t handle, const struct chan_view *view, uint32_t group,
                  uint64_t now_ns)
{
    uint32_t count = view->member_count + view->left_count + view->joined_count;
    struct hist_event event = { .kind = HIST_VIEW, .index = h->views.count, .at_ns = now_ns };
    *ADD(&h->views) = (struct hist_view){ .member_count = view->member_count,
                                          .left_count = view->left_count,
                                          .joined_count = view->joined_count,
                                          .flags = view->flags,
                                          .group = group,
                                          .address = h->addresses.count };
    for (uint32_t i = 0; i < count; i++) {
        *ADD(&h->addresses) = view->entry[i];
        history_mark(h, (uint64_t)view->entry[i].nodeid << 32 | view->entry[i].pid);
    }
    history_mark(h, (uint64_t)view->left_count << 32 | view->joined_count);
    log_event(h, handle, &event);
}

void history_ring(struct history *h, uint32_t handle, const struct chan_ring *ring, uint8_t flags,
                  uint64_t now_ns)
{
    struct hist_event event = {
        .kind = HIST_RING, .flags = flags, .index = h->rings.count, .at_ns = now_ns
    };
    *ADD(&h->rings) = (struct hist_ring){ .id = ring->ring_id,
                                          .member_count = ring->member_count,
                                          .node = h->nodes.count };
    for (uint32_t i = 0; i < ring->member_count; i++) {
        *ADD(&h->nodes) = ring->member[i];
        history_mark(h, ring->member[i]);
    }
    history_mark(h, ring->ring_id.seq << 8 | ring->ring_id.rep);
    log_event(h, handle, &event);
}

void history_delivery(struct history *h, uint32_t life, const struct hist_delivery *delivery)
{
    struct hist_life *to = &h->lives.at[life];
    *ADD(&to->log) = *delivery;
    history_mark(h, (uint64_t)life << 32 | delivery->kind);
    history_mark(h, delivery->seq ^ delivery->ring_id.seq << 40 ^ delivery->at_ns);
    history_mark(h, delivery->content);
}

void history_piece(struct history *h, uint32_t life, const struct hist_piece *piece)
{
    *ADD(&h->lives.at[life].pieces) = *piece;
}

void history_submitted(struct history *h, uint32_t life, const struct hist_piece *piece)
{
    *ADD(&h->lives.at[life].submitted) = *piece;
    history_mark(h, piece->name ^ (uint64_t)life << 32 ^ piece->port);
}

uint32_t history_nth_member(const struct history *h, uint32_t handle, uint32_t n)
{
    for (uint32_t i = 0; i < h->members.count; i++) {
        if (h->members.at[i].handle == handle && n-- == 0)
            return i;
    }
    return HIST_NOBODY;
}

static void print_addresses(FILE *to, const char *sign, const struct chan_address *a,
                            uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        fprintf(to, " %s%u/%u", sign, a[i].nodeid, a[i].pid);
        if (a[i].reason)
            fprintf(to, ".%u", a[i].reason);
    }
}

static void print_ring(FILE *to, const struct history *h, const struct hist_ring *ring)
{
    fprintf(to, "ring %" PRIu64 ".%u of", ring->id.seq, ring->id.rep);
    for (uint32_t i = 0; i < ring->member_count; i++)
        fprintf(to, " %u", h->nodes.at[ring->node + i]);
}

void history_print(FILE *to, const struct history *h, uint32_t handle)
{
    const struct hist_handle *of = &h->handles.at[handle];
    const struct hist_event *e = &of->log.at[of->log.count - 1];
    const struct hist_view *view = e->kind == HIST_VIEW ? &h->views.at[e->index] : NULL;
    fprintf(to, "%12.6f node %u handle %u: ", (double)e->at_ns / 1e9, of->node, handle);
    if (e->kind == HIST_RING) {
        print_ring(to, h, &h->rings.at[e->index]);
    } else if (view) {
        const struct chan_address *a = history_addresses(h, view);
        fprintf(to, "view of group %u:", view->group);
        print_addresses(to, "", a, view->member_count);
        print_addresses(to, "-", a + view->member_count, view->left_count);
        print_addresses(to, "+", a + view->member_count + view->left_count, view->joined_count);
    } else {
        fprintf(to, "message of %u/%u, %u bytes: %d.%u", e->node, e->pid, e->bytes, (int)e->member,
                e->number);
    }
    fprintf(to, "\n");
}
