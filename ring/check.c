/* SPDX-License-Identifier: BSD-3-Clause */
#include "internal.h"

/* R1 to R5 of internal.h, by looking at everything. */

static void check_window(const struct window *w)
{
    INVARIANT(w->low <= w->high_delivered && w->high_delivered <= w->high_seq);
    INVARIANT(w->my_aru <= w->high_seq && w->safe_seq <= w->my_aru);
    INVARIANT(w->high_seq - w->low <= RING_WINDOW_MAX);
    uint32_t held = 0, within = 0;
    for (uint32_t i = 0; i < RING_WINDOW_MAX; i++)
        held += w->frame[i] != NULL;
    for (uint64_t seq = w->low + 1; seq <= w->high_seq; seq++) {
        const struct zcb *frame = w->frame[seq & WINDOW_MASK];
        INVARIANT(frame || seq > w->my_aru);
        INVARIANT(!frame || frame->held[ZCB_HELD_RING] > 0);
        within += frame != NULL;
    }
    INVARIANT(held == within); /* R2 */
    INVARIANT(w->my_aru == w->high_seq || !w->frame[(w->my_aru + 1) & WINDOW_MASK]);
}

static void check_configuration(const struct ring *r, const struct configuration *c)
{
    INVARIANT(set_count(c->memb) == c->count);
    for (int i = 0; i < c->count; i++)
        INVARIANT(configuration_has(r, c, c->member[i]));
    INVARIANT(c->count == 0 || c->id.rep == c->member[0]);
}

void ring_check(const struct ring *r)
{
    check_window(r->cur);
    check_window(r->old);
    INVARIANT(r->cur->high_delivered <= r->cur->my_aru); /* R1; `old` may end with gaps */
    check_configuration(r, &r->my_ring);
    pack_check(&r->pack);

    bool operational = r->state == RING_OPERATIONAL;
    bool settled = r->state != RING_RECOVERY && r->install.phase == INSTALL_NONE;
    INVARIANT(!r->parked_here || (operational && !ring_alone(r)));                 /* R3 */
    INVARIANT(r->my_ring.id.seq <= r->ring_seq_mine);                              /* R4 */
    INVARIANT(r->ring_seq_mine <= r->persisted);                                   /* R4 */
    INVARIANT(!r->gate_open || (operational && r->install.phase == INSTALL_NONE)); /* R5 */
    INVARIANT(!operational || !r->my_received_flag);
    INVARIANT(!settled || r->old->high_seq == 0);
    INVARIANT(!operational || configuration_has(r, &r->my_ring, r->config.node_id));
    INVARIANT(r->send_tail - r->send_head <= SENDS_MAX);
    INVARIANT(set_within(r->gather.my_fail_set, r->gather.my_proc_set));
    INVARIANT(!set_has(r->gather.my_fail_set, r->my_index));
}
