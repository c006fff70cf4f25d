/* SPDX-License-Identifier: BSD-3-Clause */
#include "internal.h"

/*
 * Departure: an idle token rests.
 *
 * After a full rotation in which every member was quiet the token stays with whoever sent last, and
 * PARK tells the others that nothing is lost. The holder sends without waiting when it has
 * something; another member says WANT. Once in timer_unit() the token turns, so that every member
 * is seen alive. A copy of the token that reaches the holder is answered by PARK: its sender has
 * missed the first one.
 */

bool park_due(const struct ring *r)
{
    const struct token *t = &r->token;
    if (!r->config.park || r->state != RING_OPERATIONAL || t->flags != 0 ||
        t->quiet < (uint32_t)r->my_ring.count)
        return false;
    if (configuration_has(r, &r->my_ring, t->seq_owner))
        return t->seq_owner == r->config.node_id;
    return r->my_ring.id.rep == r->config.node_id;
}

void park_here(struct ring *r)
{
    r->parked_here = true;
    r->parked_by = r->config.node_id;
    r->passed_ns = 0;
    r->stats.tokens_parked++;
    timer_off(r, TIMER_LOSS);
    timer_off(r, TIMER_RESEND);
    timer_set(r, TIMER_ALIVE, r->now_ns + timer_unit(r));
    send_park(r);
}

/* Somebody has messages, or it is time to see that all are alive. */
void park_leave(struct ring *r)
{
    if (!r->parked_here)
        return;
    r->parked_here = false;
    r->parked_by = NODE_NONE;
    timer_off(r, TIMER_ALIVE);
    token_sign(r);
    token_visit(r, false);
}

void park_receive(struct ring *r, const struct wire_park *park)
{
    if (r->parked_here || park->token_seq < r->my_token_seq) {
        r->stats.rx_stale++;
        return;
    }
    r->my_token_seq = park->token_seq;
    r->parked_by = park->head.sender;
    r->passed_ns = 0;
    timer_off(r, TIMER_RESEND);
    timer_off(r, TIMER_WANT); /* it can be asked for at once */
    token_rests(r);
}

void want_receive(struct ring *r)
{
    park_leave(r);
}

/* We have messages and no token: ask for it, at once when it rests, else when it is late. */
void want_check(struct ring *r)
{
    if (ring_ready(r) == 0) {
        timer_off(r, TIMER_WANT);
        return;
    }
    if (timer_armed(r, TIMER_WANT))
        return;
    r->want_ns = timer_resend_ns(r);
    if (r->parked_by != NODE_NONE)
        send_want(r);
    timer_set(r, TIMER_WANT, r->now_ns + r->want_ns);
}

void want_expire(struct ring *r)
{
    if (r->state != RING_OPERATIONAL || r->parked_here || ring_alone(r) || ring_ready(r) == 0)
        return;
    send_want(r);
    r->want_ns = timer_longer(r, r->want_ns);
    timer_set(r, TIMER_WANT, r->now_ns + r->want_ns);
}
