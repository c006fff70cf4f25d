/* SPDX-License-Identifier: BSD-3-Clause */
#include "internal.h"

/*
 * Every time of the protocol comes from detect_ns, in eighths:
 *
 *   a resting token turns once in 1/8, so that a node may be dead that long before it can be missed
 *   the token counts as lost 5/8 after its last sign
 *   a node is out when it was silent for 7/8, of which the last 2/8 are spent asking for it
 *   a node behind a link that is down is asked for at once, and out after 1/16: a moment for
 *   links that come back
 *
 * A node that dies when the token has just begun to rest is missed 1/8 later, 5/8 after that the
 * token counts as lost, and 2/8 after that the node is out: 8/8. What repeats begins at a few
 * rotations, doubles, and repeats at least once in 1/8, which is left for it. And the token goes
 * round: once with the dead node's last sign, once as commit token, once for INFO, once for what is
 * sent again, twice to see that all is quiet, once to install, and once for what the groups tell
 * each other, which makes the view: RING_VIEW_ROTATIONS.
 */

enum {
    RESEND_LEAST_MS = 2,
    AWAY_EIGHTH = 4, /* away for less than a quarter of an eighth: as ever on a busy machine */
    RETURNS_MAX = 4, /* since the last sign of the token */
};

uint64_t timer_unit(const struct ring *r)
{
    return r->config.detect_ns / 8;
}

uint64_t timer_loss_ns(const struct ring *r)
{
    return 5 * timer_unit(r);
}

uint64_t timer_silence_ns(const struct ring *r)
{
    return 7 * timer_unit(r);
}

uint64_t timer_unlinked_ns(const struct ring *r)
{
    return timer_unit(r) / 2;
}

uint64_t timer_resend_ns(const struct ring *r)
{
    uint64_t interval = max_u64(4 * r->rotation_ns, RESEND_LEAST_MS * NS_PER_MS);
    return min_u64(interval, timer_unit(r));
}

uint64_t timer_longer(const struct ring *r, uint64_t interval_ns)
{
    return min_u64(2 * interval_ns, timer_unit(r));
}

uint64_t timer_spread(struct ring *r, uint64_t interval_ns)
{
    r->random ^= r->random << 13;
    r->random ^= r->random >> 7;
    r->random ^= r->random << 17;
    return interval_ns - r->random % (interval_ns / 4 + 1);
}

void timer_set(struct ring *r, enum timer timer, uint64_t at_ns)
{
    r->timer_ns[timer] = at_ns;
}

void timer_soon(struct ring *r, enum timer timer, uint64_t at_ns)
{
    r->timer_ns[timer] = min_u64(r->timer_ns[timer], at_ns);
}

void timer_off(struct ring *r, enum timer timer)
{
    r->timer_ns[timer] = NS_NEVER;
}

bool timer_armed(const struct ring *r, enum timer timer)
{
    return r->timer_ns[timer] != NS_NEVER;
}

void timers_clear(struct ring *r)
{
    for (int i = 0; i < TIMERS; i++) {
        if (i != TIMER_PERSIST) /* has nothing to do with the state */
            timer_off(r, (enum timer)i);
    }
}

uint64_t ring_deadline_ns(const struct ring *r)
{
    uint64_t least = NS_NEVER;
    for (int i = 0; i < TIMERS; i++)
        least = min_u64(least, r->timer_ns[i]);
    return least;
}

uint64_t ring_view_ns_worst(const struct ring_config *config, uint64_t rotation_ns)
{
    return config->detect_ns + config->detect_ns / 8 + RING_VIEW_ROTATIONS * rotation_ns;
}

/*
 * Departure: the time in which we did not run ourselves is not the ring's silence: what was said
 * lies unread, and where all nodes of a machine were stopped at once, nothing is lost. So who comes
 * back looks about before it misses the token. Not for ever: who hardly ever runs must learn of a
 * death, too.
 */
void ring_away(struct ring *r, uint64_t now_ns, uint64_t ns)
{
    if (ns < timer_unit(r) / AWAY_EIGHTH)
        return;
    r->away_ns += ns;
    r->progress_ns = min_u64(r->progress_ns + ns, now_ns);
    if (ns > 2 * timer_unit(r)) /* others may have noticed */
        ring_trace_add(r, RING_TRACE_AWAY, ns, 0, 0);
    if (timer_armed(r, TIMER_LOSS) && r->returns++ < RETURNS_MAX)
        timer_set(r, TIMER_LOSS, max_u64(r->timer_ns[TIMER_LOSS], now_ns + 2 * timer_unit(r)));
}

static void loss_expire(struct ring *r)
{
    ring_trace_add(r, RING_TRACE_TOKEN_LOST, r->now_ns - r->sign_ns, r->resends, r->away_ns);
    switch (r->state) {
    case RING_OPERATIONAL:
        gather_enter(r, RING_REASON_TOKEN_LOST);
        break;
    case RING_COMMIT:
        gather_enter(r, RING_REASON_COMMIT_LOST);
        break;
    case RING_RECOVERY:
        gather_enter(r, RING_REASON_RECOVERY_LOST);
        break;
    case RING_GATHER:
        break;
    }
    gather_try(r);
}

static void timer_expired(struct ring *r, enum timer timer)
{
    switch (timer) {
    case TIMER_LOSS:
        loss_expire(r);
        break;
    case TIMER_RESEND:
        if (r->state == RING_COMMIT)
            commit_resend(r);
        else
            token_resend(r);
        break;
    case TIMER_JOIN:
        gather_expire_join(r);
        break;
    case TIMER_CONSENSUS:
        gather_expire_consensus(r);
        break;
    case TIMER_FORM:
        gather_try(r);
        break;
    case TIMER_BEACON:
        beacon_expire(r);
        break;
    case TIMER_WANT:
        want_expire(r);
        break;
    case TIMER_ALIVE:
        park_leave(r);
        break;
    case TIMER_PERSIST:
        ring_seq_ask(r);
        break;
    case TIMERS:
        break;
    }
}

void timers_expire(struct ring *r)
{
    for (int i = 0; i < TIMERS; i++) {
        if (r->timer_ns[i] > r->now_ns)
            continue;
        timer_off(r, (enum timer)i);
        timer_expired(r, (enum timer)i);
    }
}
