/* SPDX-License-Identifier: BSD-3-Clause */
#include "internal.h"

/*
 * The token's list of frames wanted again.
 *
 * Invariants: Q1  entries are unique and ascending
 *             Q2  we ask only in (my_aru, shown_seq]: what the token showed one rotation ago has
 *                 been sent, whoever sent it behind the token
 */

/* Send what others ask for, if we have it, and take it off the list. */
uint32_t rtr_answer(struct ring *r, struct token *t, uint32_t most)
{
    uint32_t left = 0, sent = 0;
    for (uint32_t i = 0; i < t->rtr_count; i++) {
        struct zcb *frame = window_at(r->cur, t->rtr[i]);
        if (!frame || sent == most) {
            t->rtr[left++] = t->rtr[i];
            continue;
        }
        send_frame(r, frame, send_dest(r, frame));
        sent++;
    }
    t->rtr_count = left;
    r->stats.frames_resent += sent;
    r->stats.rtr_answered += sent;
    return sent;
}

/* Add what we miss. Both lists ascend: merge them, the lowest first when not all fit. */
void rtr_fill(struct ring *r, struct token *t)
{
    const struct window *w = r->cur;
    uint64_t merged[WIRE_RTR_MAX];
    uint32_t count = 0, next = 0;
    uint64_t end = min_u64(r->shown_seq, t->seq);
    uint64_t seq = w->my_aru + 1;

    while (count < WIRE_RTR_MAX) {
        while (seq <= end && window_at(w, seq))
            seq++;
        uint64_t theirs = next < t->rtr_count ? t->rtr[next] : UINT64_MAX;
        uint64_t ours = seq <= end ? seq : UINT64_MAX;
        uint64_t least = min_u64(theirs, ours);
        if (least == UINT64_MAX)
            break;
        next += theirs == least;
        if (ours == least) {
            seq++;
            r->stats.rtr_asked += theirs != least;
        }
        merged[count++] = least;
    }
    for (uint32_t i = 0; i < count; i++)
        t->rtr[i] = merged[i];
    t->rtr_count = count;
}
