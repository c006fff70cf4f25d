/* SPDX-License-Identifier: BSD-3-Clause */
#include "loan.h"

#include <errno.h>
#include <stddef.h>

int loans_create(struct loans *loans, struct zcb_pool *rx_pool)
{
    *loans = (struct loans){ .rx_pool = rx_pool };
    loans->pieces_max = (rx_pool->slot_bytes - (uint32_t)sizeof(struct chan_list)) /
                        (uint32_t)(sizeof(struct chan_piece) + sizeof(uint32_t));
    loans->list_refs = calloc(rx_pool->count, sizeof(uint32_t));
    loans->list_slots = calloc(rx_pool->count, sizeof(uint32_t));
    if (loans->list_refs && loans->list_slots)
        return 0;
    loans_destroy(loans);
    return -ENOMEM;
}

void loans_destroy(struct loans *loans)
{
    free(loans->list_refs);
    free(loans->list_slots);
    *loans = (struct loans){ 0 };
}

static struct zcb *frame_of(loan_word loan)
{
    return (struct zcb *)(loan & ~(loan_word)3);
}

static struct record *record_of(loan_word loan)
{
    return (struct record *)(loan & ~(loan_word)3);
}

static struct chan_list *list_at(const struct zcb *slot)
{
    return (struct chan_list *)(void *)slot->head;
}

/* L2: slot numbers of the frames, from the end of the slot downwards. */
static uint32_t *slot_number(const struct zcb *slot, uint32_t piece)
{
    return (uint32_t *)(void *)(slot->head + slot->pool->slot_bytes) - 1 - piece;
}

static void free_list(struct loans *loans, struct zcb *slot)
{
    while (slot) {
        struct zcb *next = slot->next;
        uint32_t count = list_at(slot)->count;
        for (uint32_t i = 0; i < count; i++)
            zcb_drop(zcb_at(loans->rx_pool, *slot_number(slot, i)), ZCB_HELD_PARTIAL);
        zcb_drop(slot, ZCB_HELD_EVENT);
        slot = next;
    }
}

void loan_hold(struct loans *loans, loan_word loan)
{
    switch (loan & 3) {
    case 0:
        zcb_hold(frame_of(loan), ZCB_HELD_CLIENT);
        break;
    case 1:
        loans->list_refs[frame_of(loan)->slot]++;
        break;
    default:
        record_hold(record_of(loan));
        break;
    }
}

void loan_drop(struct loans *loans, loan_word loan)
{
    uint32_t slot;
    switch (loan & 3) {
    case 0:
        zcb_drop(frame_of(loan), ZCB_HELD_CLIENT);
        break;
    case 1:
        slot = frame_of(loan)->slot;
        INVARIANT(loans->list_refs[slot] > 0); /* L1 */
        if (--loans->list_refs[slot] == 0)
            free_list(loans, frame_of(loan));
        break;
    default:
        record_drop(record_of(loan));
        break;
    }
}

uint32_t loan_frames(const struct loans *loans, loan_word loan)
{
    switch (loan & 3) {
    case 0:
        return 1;
    case 1:
        return loans->list_slots[frame_of(loan)->slot];
    default:
        return 0;
    }
}

static int add_slot(struct loans *loans, struct list *list)
{
    struct zcb *slot = zcb_get(loans->rx_pool, ZCB_HELD_EVENT);
    if (!slot)
        return -ENOBUFS;
    *list_at(slot) = (struct chan_list){ 0 };
    if (list->last) {
        list->last->next = slot;
        list_at(list->last)->next = zcb_slot_offset(slot);
    } else {
        list->first = slot;
    }
    list->last = slot;
    list->in_last = 0;
    list->frames++;
    return 0;
}

int list_add(struct loans *loans, struct list *list, const struct zcb_slice *piece,
             struct zcb *frame)
{
    INVARIANT(frame->pool == loans->rx_pool);
    if ((!list->last || list->in_last == loans->pieces_max) && add_slot(loans, list) != 0)
        return -ENOBUFS;
    struct chan_list *chunk = list_at(list->last);
    chunk->piece[list->in_last] = (struct chan_piece){
        .offset = piece->offset,
        .arena = piece->arena,
        .bytes = piece->bytes,
    };
    *slot_number(list->last, list->in_last) = frame->slot;
    chunk->count = ++list->in_last;
    zcb_hold(frame, ZCB_HELD_PARTIAL);
    list->frames++;
    return 0;
}

loan_word list_finish(struct loans *loans, struct list *list)
{
    struct zcb *first = list->first;
    INVARIANT(loans->list_refs[first->slot] == 0); /* L1: nobody has borrowed it yet */
    loans->list_refs[first->slot] = 1;
    loans->list_slots[first->slot] = list->frames;
    *list = (struct list){ 0 };
    return loan_of_list(first);
}

void list_void(struct loans *loans, struct list *list)
{
    free_list(loans, list->first);
    *list = (struct list){ 0 };
}
