/* SPDX-License-Identifier: BSD-3-Clause */
#include "internal.h"

/*
 * Departure: the transport may know of links that are down. Whoever has been with us behind one is
 * asked for at once, as if the token were lost, and the silence that puts it out is short
 * (timers.c). When the link is back before that, the same members gather and nobody has parted.
 *
 * All that see it act: the node whose only link it is will be alone, those of a mesh agree on who
 * is left. Who sees nothing of it waits as ever, or hears of it by a JOIN.
 */

/* With whom we are, or are about to be. */
static struct node_set present_members(const struct ring *r)
{
    return r->state == RING_COMMIT ? r->my_new_ring.memb : r->my_ring.memb;
}

/* Who has gathered for a while says less and less often that it is there, as we do. */
static uint64_t silence_wait_ns(const struct ring *r)
{
    uint64_t often = r->state == RING_GATHER ? 2 * r->gather.interval_ns : 0;
    return max_u64(timer_unlinked_ns(r), often);
}

/* Does one of these move us? Not one that did lately: were we to gather each time a link flaps,
 * there would be no ring as long as it does. */
static bool shaken(struct ring *r, struct node_set down)
{
    bool moves = false;
    SET_EACH(i, set_and(down, present_members(r)))
    {
        moves = moves || r->shaken_ns[i] == 0 || r->now_ns - r->shaken_ns[i] > r->config.detect_ns;
        r->shaken_ns[i] = r->now_ns;
    }
    return moves;
}

static struct node_set configured(const struct ring *r, const uint32_t *id, int count)
{
    struct node_set set = { { 0 } };
    for (int i = 0; i < count; i++) {
        int index = ring_node_index(r, id[i]);
        if (index >= 0 && index != r->my_index)
            set_add(&set, index);
    }
    return set;
}

static void trace_links(struct ring *r, struct node_set links, uint64_t back)
{
    if (!set_empty(links))
        ring_trace_add(r, RING_TRACE_LINKS, (uint64_t)set_count(links),
                       ring_id_of(r, set_next(links, 0)), back);
}

/* Whose link came up has not heard us: it is told again what we think, or that we are here. */
static void links_changed(struct ring *r, struct node_set down, struct node_set up)
{
    if (r->state != RING_GATHER && shaken(r, down))
        gather_enter(r, RING_REASON_LINK);
    gather_links(r, !set_empty(up));
    if (r->state == RING_OPERATIONAL && timer_armed(r, TIMER_BEACON) && !set_empty(up))
        timer_soon(r, TIMER_BEACON, r->now_ns);
}

void ring_links(struct ring *r, uint64_t now_ns, const uint32_t *down, int count,
                struct ring_out *out)
{
    call_begin(r, now_ns, out);
    struct node_set before = r->unlinked;
    r->unlinked = configured(r, down, count);
    struct node_set fell = set_minus(r->unlinked, before), rose = set_minus(before, r->unlinked);
    SET_EACH(i, fell)
    {
        r->unlinked_ns[i] = r->now_ns;
        r->unlinked_wait_ns[i] = silence_wait_ns(r);
    }
    trace_links(r, fell, 0);
    trace_links(r, rose, 1);
    if (!r->left)
        links_changed(r, fell, rose);
    call_end(r);
}
