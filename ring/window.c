/* SPDX-License-Identifier: BSD-3-Clause */
#include "internal.h"

#include <string.h>

/* Frames of one ring by seq: what was received, what all have, what may go. */

void window_reset(struct window *w)
{
    for (uint64_t seq = w->low + 1; seq <= w->high_seq; seq++) {
        struct zcb *frame = window_at(w, seq);
        if (frame)
            zcb_drop(frame, ZCB_HELD_RING);
    }
    memset(w, 0, sizeof(*w));
}

struct zcb *window_at(const struct window *w, uint64_t seq)
{
    if (seq <= w->low || seq > w->high_seq)
        return NULL;
    return w->frame[seq & WINDOW_MASK];
}

enum window_verdict window_put(struct window *w, uint64_t seq, struct zcb *frame)
{
    if (seq <= w->my_aru || window_at(w, seq))
        return WINDOW_DUPLICATE;
    if (seq > w->low + RING_WINDOW_MAX)
        return WINDOW_FULL;
    zcb_hold(frame, ZCB_HELD_RING);
    w->frame[seq & WINDOW_MASK] = frame;
    if (seq > w->high_seq)
        w->high_seq = seq;
    while (w->my_aru < w->high_seq && w->frame[(w->my_aru + 1) & WINDOW_MASK])
        w->my_aru++;
    return WINDOW_NEW;
}

/* Nobody can ask again for what all have; what we have delivered we need no more. */
void window_let_go(struct window *w)
{
    uint64_t end = min_u64(w->safe_seq, w->high_delivered);
    while (w->low < end) {
        struct zcb **slot = &w->frame[++w->low & WINDOW_MASK];
        zcb_drop(*slot, ZCB_HELD_RING);
        *slot = NULL;
    }
}
