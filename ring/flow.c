/* SPDX-License-Identifier: BSD-3-Clause */
#include "internal.h"

/*
 * How many frames a visit of the token may add.
 *
 * Totem 1995: all senders together stay within a window in one rotation (fcc), each within its own,
 * and when more waits than the window takes each gets its share (backlog). Besides: the least free
 * receive frames of any member, less what may already be on its way there, and room in our own
 * window up to what all are known to have.
 *
 * A window that tunes itself grows while rotations are clean and is halved by a request for
 * retransmission, at most once in a few rotations.
 */

enum { CALM_ROTATIONS = 4 };

void flow_reset(struct ring *r)
{
    const struct ring_config *c = &r->config;
    uint32_t window = c->window_frames ? c->window_frames : WINDOW_FRAMES_START;
    r->window_frames = min_u32(window, WINDOW_FRAMES_MOST);
    uint32_t personal = c->personal_frames ? c->personal_frames : (r->window_frames + 1) / 2;
    r->personal_frames = min_u32(personal, PERSONAL_FRAMES_MOST);
    uint32_t after = c->accelerated_frames ? c->accelerated_frames : r->personal_frames / 2;
    r->accelerated_frames = min_u32(after, r->personal_frames);
    r->my_sent = 0;
    r->my_backlog = 0;
    r->calm = 0;
}

static void flow_derive(struct ring *r)
{
    if (!r->config.personal_frames) {
        r->personal_frames = min_u32(r->window_frames / 2, PERSONAL_FRAMES_MOST);
        if (!r->config.accelerated_frames)
            r->accelerated_frames = r->personal_frames / 2;
    }
}

static uint32_t less(uint64_t from, uint64_t take)
{
    return from > take ? (uint32_t)min_u64(from - take, UINT32_MAX) : 0;
}

/*
 * Each member takes from fcc what it added itself, so what nobody added would stay for ever, and
 * could stop everybody. What the others sent has got places since we were last visited; what they
 * sent again while nothing is asked for any more is not worth counting.
 */
void flow_judge(const struct ring *r, struct token *t)
{
    uint64_t most = less(t->seq, r->shown_seq) + (uint64_t)r->my_sent;
    if (t->rtr_count == 0)
        t->fcc = (uint32_t)min_u64(t->fcc, most);
}

void flow_tune(struct ring *r, const struct token *t)
{
    if (r->config.window_frames)
        return;
    if (t->rtr_count > 0 && r->calm >= CALM_ROTATIONS) {
        r->window_frames = r->window_frames / 2;
        if (r->window_frames < WINDOW_FRAMES_LEAST)
            r->window_frames = WINDOW_FRAMES_LEAST;
        r->calm = 0;
    } else {
        r->calm += r->calm < CALM_ROTATIONS;
        bool used = t->fcc + r->personal_frames / 2 >= r->window_frames;
        if (t->rtr_count == 0 && used && r->window_frames < WINDOW_FRAMES_MOST)
            r->window_frames += 2;
    }
    flow_derive(r);
}

/* What the ring's frames and ours leave, whatever waits. */
static uint32_t flow_room(const struct ring *r, const struct token *t, uint32_t window)
{
    uint32_t others = less(t->fcc, r->my_sent);
    uint32_t allowed = min_u32(r->personal_frames, less(window, others));
    uint32_t margin = RX_MARGIN + (uint32_t)r->my_ring.count;
    uint32_t least = min_u32(r->rx_free, min_u32(t->free_min, t->free_next));
    uint32_t receivers = less(least, margin + t->fcc);
    uint32_t places = less(RING_WINDOW_MAX / 2, t->seq - r->cur->low);
    allowed = min_u32(allowed, min_u32(receivers, places));
    return min_u32(allowed, min_u32(send_room(r), BATCH_MAX));
}

uint32_t flow_allow(const struct ring *r, const struct token *t, uint32_t backlog)
{
    uint32_t window = r->window_frames;
    uint32_t allowed = flow_room(r, t, window);
    uint64_t total = (uint64_t)less(t->backlog, r->my_backlog) + backlog;
    if (total > window && backlog > 0) {
        uint64_t share = (uint64_t)window * backlog / total;
        allowed = min_u32(allowed, share > 0 ? (uint32_t)share : 1);
    }
    return allowed;
}

/* Recovery must end even where receivers are short: one frame a visit goes in any case. */
uint32_t flow_allow_recovery(const struct ring *r, const struct token *t)
{
    uint32_t allowed = flow_room(r, t, r->window_frames);
    return allowed > 0 ? allowed : 1;
}

void flow_update(struct ring *r, struct token *t, uint32_t sent, uint32_t backlog)
{
    t->fcc = (uint32_t)min_u64((uint64_t)less(t->fcc, r->my_sent) + sent, UINT32_MAX);
    t->backlog = (uint32_t)min_u64((uint64_t)less(t->backlog, r->my_backlog) + backlog, UINT32_MAX);
    r->my_sent = sent;
    r->my_backlog = backlog;
    if (r->my_ring.id.rep == r->config.node_id) { /* a rotation begins here */
        t->free_min = min_u32(t->free_next, r->rx_free);
        t->free_next = r->rx_free;
    } else {
        t->free_next = min_u32(t->free_next, r->rx_free);
        t->free_min = min_u32(t->free_min, r->rx_free);
    }
}
