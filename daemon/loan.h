/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef DAEMON_LOAN_H
#define DAEMON_LOAN_H

/*
 * loan.h - what an event lends to a client, in one word, and lists of pieces.
 *
 *   frame    payload in a frame: a message that came whole, a view, a ring event
 *   list     payload in many frames; lists of where, in RX slots, which hold the frames
 *   record   a large message of our own node, which lies in one run in its sender's segment
 *
 * Knows:      who holds what, and how many receive frames that is.
 * Knows not:  clients and their leases.
 * Invariants: L1  a list lives as long as somebody borrows it; its frames (ZCB_HELD_PARTIAL) and
 *                 its own slots (ZCB_HELD_EVENT) live exactly as long
 *             L2  what we read back from a list lies behind the pieces, in memory that clients can
 *                 only read
 * Thread:     poll core.
 */

#include "segment.h"
#include "synchrotron/types.h"
#include "zcb.h"

typedef uintptr_t loan_word; /* 0: nothing lent */

struct loans {
    struct zcb_pool *rx_pool;
    uint32_t pieces_max;  /* in one list slot */
    uint32_t *list_refs;  /* by first slot of a list */
    uint32_t *list_slots; /* frames and slots it holds */
};

int loans_create(struct loans *loans, struct zcb_pool *rx_pool);
void loans_destroy(struct loans *loans);

static inline loan_word loan_of_frame(struct zcb *frame)
{
    return (loan_word)frame;
}

static inline loan_word loan_of_list(struct zcb *first)
{
    return (loan_word)first | 1;
}

static inline loan_word loan_of_record(struct record *record)
{
    return (loan_word)record | 2;
}

/* Only events that lie in a frame share a lease. */
static inline bool loan_is_frame(loan_word loan)
{
    return (loan & 3) == 0;
}

void loan_hold(struct loans *loans, loan_word loan);
void loan_drop(struct loans *loans, loan_word loan);
/* Frames that it keeps from being free. */
uint32_t loan_frames(const struct loans *loans, loan_word loan);

/* A list being made. */
struct list {
    struct zcb *first, *last; /* slots, linked by zcb.next */
    uint32_t in_last;         /* pieces in it */
    uint32_t frames;
};

/* Add a piece and hold its frame, which is one of the rx pool. -ENOBUFS: no slot to write it in. */
int list_add(struct loans *loans, struct list *list, const struct zcb_slice *piece,
             struct zcb *frame);
/* The list as a loan that its maker holds once. */
loan_word list_finish(struct loans *loans, struct list *list);
/* Never finished: let go of everything. */
void list_void(struct loans *loans, struct list *list);

#endif
