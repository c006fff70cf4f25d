/* SPDX-License-Identifier: BSD-3-Clause */
#include "internal.h"

#include <string.h>

/*
 * Gather: agree on who is there.
 *
 * Everybody tells its proc_set and fail_set (JOIN), and adds what the others tell. When all that
 * are not failed say the same, the representative commits. Who was silent for timer_silence_ns()
 * fails.
 *
 * Departure: a JOIN carries proc_set without fail_set, so that both fit a frame. Departure: LEAVING
 * fails its sender at once. Departure: nodes none of which was in a ring yet wait a moment for the
 * others that are configured, so that nodes started together form one ring.
 *
 * Departure: where a JOIN for all goes out once for each, most of those would be for nodes that
 * have heard it. So what is only repeated goes to those of whom we do not know that they think as
 * we do, and to the one that would commit: the others can take its commit token without having
 * heard us. For what that leaves out, and as a sign of life, all hear it once in timer_unit().
 */

enum {
    FORM_MOST_MS = 100,
    JOIN_GAP_US = 500,
    JOIN_FEW = 8, /* a JOIN for more than these is one for all */
    REFUSED_DOUBLINGS = 8,
};

static struct node_set gather_members(const struct ring *r)
{
    return set_minus(r->gather.my_proc_set, r->gather.my_fail_set);
}

static bool agrees(const struct ring *r, int i)
{
    const struct gather *g = &r->gather;
    return set_has(g->heard, i) && set_equal(g->join_proc[i], g->my_proc_set) &&
           set_equal(g->join_fail[i], g->my_fail_set);
}

static bool consensus(const struct ring *r)
{
    SET_EACH(i, gather_members(r))
    {
        if (i != r->my_index && !agrees(r, i))
            return false;
    }
    return true;
}

/* Its link is down, and what we heard of it may have been under way when it went down. Who is heard
 * for longer is heard by another way, or the news is not true. */
static bool unlinked(const struct ring *r, int i)
{
    return set_has(r->unlinked, i) &&
           r->alive_ns[i] <= r->unlinked_ns[i] + timer_unlinked_ns(r) / 2;
}

/* When node i counts as silent. Hearsay gets as long as somebody who was heard just then. */
static uint64_t silent_ns(const struct ring *r, int i)
{
    uint64_t heard = max_u64(r->alive_ns[i], r->gather.added_ns[i]);
    if (unlinked(r, i))
        return max_u64(max_u64(heard, r->unlinked_ns[i]), r->gather.start_ns) +
               r->unlinked_wait_ns[i];
    return max_u64(heard + timer_silence_ns(r), r->gather.start_ns + 2 * timer_unit(r));
}

static uint64_t disagree_ns(const struct ring *r)
{
    return r->gather.change_ns + r->config.detect_ns;
}

static void consensus_arm(struct ring *r)
{
    uint64_t at = disagree_ns(r);
    SET_EACH(i, gather_members(r))
    {
        if (i != r->my_index)
            at = min_u64(at, silent_ns(r, i));
    }
    timer_set(r, TIMER_CONSENSUS, max_u64(at, r->now_ns + NS_PER_MS));
}

static void say_join(struct ring *r)
{
    struct gather *g = &r->gather;
    g->join_ring_seq[r->my_index] = r->ring_seq_mine;
    send_join(r, 0, ZCB_TO_ALL);
    g->sent_ns = r->now_ns;
    g->all_ns = r->now_ns;
    g->untold = false;
    timer_set(r, TIMER_JOIN, r->now_ns + timer_spread(r, g->interval_ns));
}

/* Who may need to hear our JOIN again: not who agrees, but whoever would commit. */
static struct node_set join_missed(const struct ring *r)
{
    struct node_set missed = set_of(set_next(gather_members(r), 0));
    for (int i = 0; i < r->node_count; i++) {
        if (!agrees(r, i))
            set_add(&missed, i);
    }
    set_remove(&missed, r->my_index);
    return missed;
}

static void repeat_join(struct ring *r)
{
    struct gather *g = &r->gather;
    struct node_set missed = join_missed(r);
    uint64_t unit = timer_unit(r);
    if (!r->config.fan_out || g->untold || set_count(missed) > JOIN_FEW ||
        r->now_ns - g->all_ns >= unit - unit / 4) {
        say_join(r);
        return;
    }
    g->join_ring_seq[r->my_index] = r->ring_seq_mine;
    SET_EACH(i, missed)
    send_join(r, 0, ring_id_of(r, i));
    g->sent_ns = r->now_ns;
    uint64_t next_ns = r->now_ns + timer_spread(r, g->interval_ns);
    timer_set(r, TIMER_JOIN, min_u64(next_ns, g->all_ns + unit));
}

/* Our sets grew: everybody must hear it. Several changes at once are one JOIN. */
static void gather_changed(struct ring *r)
{
    struct gather *g = &r->gather;
    g->change_ns = r->now_ns;
    g->interval_ns = timer_resend_ns(r);
    g->consensus_traced = false;
    g->untold = true;
    if (r->now_ns - g->sent_ns >= JOIN_GAP_US * NS_PER_US)
        say_join(r);
    else
        timer_soon(r, TIMER_JOIN, g->sent_ns + JOIN_GAP_US * NS_PER_US);
}

static void add_heard_of(struct ring *r, struct node_set set)
{
    struct gather *g = &r->gather;
    SET_EACH(i, set_minus(set, g->my_proc_set))
    g->added_ns[i] = r->now_ns;
    g->my_proc_set = set_or(g->my_proc_set, set);
}

/*
 * Stop whatever is under way; the ring last installed stays ours until the next is. What was agreed
 * for one that is not installed is not forgotten, nor who failed then: were it, those who go on
 * from that and those who begin anew would take each other's JOINs for news, for ever.
 */
static void leave_state(struct ring *r, enum ring_reason reason)
{
    struct node_set known = { { 0 } };
    token_signs_spread(r);
    if (r->state == RING_RECOVERY || r->state == RING_COMMIT)
        known = r->gather.my_proc_set;
    if (r->state == RING_RECOVERY)
        recovery_abort(r);
    token_forget(r);
    timers_clear(r);
    ring_state_set(r, RING_GATHER, reason);

    struct gather *g = &r->gather;
    memset(g, 0, sizeof(*g));
    g->my_proc_set = set_or(set_or(set_of(r->my_index), r->my_ring.memb), known);
    g->my_fail_set = set_and(r->failed_before, g->my_proc_set);
    g->start_ns = r->now_ns;
    g->change_ns = r->now_ns;
    g->interval_ns = timer_resend_ns(r);
    r->gate_open = false;
    r->stats.gathers++;
}

void gather_enter_with(struct ring *r, enum ring_reason reason, int other)
{
    leave_state(r, reason);
    if (other >= 0) {
        add_heard_of(r, set_of(other));
        set_remove(&r->gather.my_fail_set, other);
    }
    timer_set(r, TIMER_FORM, r->now_ns + min_u64(2 * timer_unit(r), FORM_MOST_MS * NS_PER_MS));
    ring_seq_want(r, r->ring_seq_mine + RING_SEQ_STEP);
    say_join(r);
    consensus_arm(r);
}

void gather_enter(struct ring *r, enum ring_reason reason)
{
    gather_enter_with(r, reason, -1);
}

/* Other nodes may be silent, or hear us, sooner than we thought. */
void gather_links(struct ring *r, bool up)
{
    if (r->state != RING_GATHER)
        return;
    if (up)
        timer_soon(r, TIMER_JOIN, r->gather.sent_ns + JOIN_GAP_US * NS_PER_US);
    consensus_arm(r);
}

/* Nobody here was in a ring, not all have come, and there is time: wait. */
static bool worth_waiting(const struct ring *r, struct node_set memb)
{
    if (set_count(memb) == r->node_count || !timer_armed(r, TIMER_FORM) || r->my_ring.id.seq > 0)
        return false;
    SET_EACH(i, memb)
    {
        if (r->gather.join_has_ring[i])
            return false;
    }
    return r->now_ns < r->timer_ns[TIMER_FORM];
}

void gather_try(struct ring *r)
{
    struct gather *g = &r->gather;
    if (r->state != RING_GATHER || r->left || !consensus(r))
        return;
    struct node_set memb = gather_members(r);
    if (!g->consensus_traced)
        ring_trace_add(r, RING_TRACE_CONSENSUS, (uint64_t)set_count(memb), 0, 0);
    g->consensus_traced = true;
    if (set_next(memb, 0) == r->my_index && !worth_waiting(r, memb))
        commit_start(r, memb);
}

void gather_expire_join(struct ring *r)
{
    if (r->state != RING_GATHER)
        return;
    r->gather.interval_ns = timer_longer(r, r->gather.interval_ns);
    repeat_join(r);
}

static void put_out(struct ring *r, int i, uint32_t by)
{
    set_add(&r->gather.my_fail_set, i);
    set_add(&r->failed_before, i);
    ring_trace_add(r, RING_TRACE_NODE_FAILED, ring_id_of(r, i), by, 0);
}

/* Totem 1995: consensus timeout, for each node from when it was last heard. */
void gather_expire_consensus(struct ring *r)
{
    if (r->state != RING_GATHER)
        return;
    bool disagree = r->now_ns >= disagree_ns(r);
    struct node_set before = r->gather.my_fail_set;
    SET_EACH(i, gather_members(r))
    {
        bool silent = r->now_ns >= silent_ns(r, i);
        if (i != r->my_index && (silent || (disagree && !agrees(r, i))))
            put_out(r, i, r->config.node_id);
    }
    if (!set_equal(before, r->gather.my_fail_set))
        gather_changed(r);
    else if (disagree)
        r->gather.change_ns = r->now_ns;
    gather_try(r);
    if (r->state == RING_GATHER)
        consensus_arm(r);
}

/* Both lists ascend: one walk through them, for in a large cluster everybody hears everybody. */
static struct node_set known_ids(const struct ring *r, const uint32_t *id, uint32_t count)
{
    struct node_set set = { { 0 } };
    int index = 0;
    for (uint32_t i = 0; i < count; i++) {
        while (index < r->node_count && r->node[index] < id[i])
            index++;
        if (index < r->node_count && r->node[index] == id[i])
            set_add(&set, index);
    }
    return set;
}

/* Totem 1995: receipt of a join message in gather. */
static void join_merge(struct ring *r, const struct wire_join *join, int from)
{
    struct gather *g = &r->gather;
    if (set_has(g->my_fail_set, from))
        return;
    struct node_set fail = known_ids(r, join->id + join->proc_count, join->fail_count);
    struct node_set proc = set_or(known_ids(r, join->id, join->proc_count), fail);
    struct node_set proc_before = g->my_proc_set, fail_before = g->my_fail_set;

    if (!set_has(g->heard, from))
        ring_trace_add(r, RING_TRACE_JOIN, join->head.sender, 0, 0);
    set_add(&g->heard, from);
    g->join_proc[from] = proc;
    g->join_fail[from] = fail;
    g->join_ring_seq[from] = min_u64(join->head.ring_seq, r->ring_seq_mine + RING_SEQ_LEAP);
    g->join_has_ring[from] = join->head.ring_rep != NODE_NONE;
    /* All disks at once, not each when the commit token comes by. */
    ring_seq_ahead(r, g->join_ring_seq[from] + RING_SEQ_STEP);

    add_heard_of(r, set_of(from));
    if (join->flags & WIRE_LEAVING || set_has(fail, r->my_index)) {
        put_out(r, from, join->head.sender); /* and what it says of others is not for us */
    } else {
        add_heard_of(r, proc);
        SET_EACH(i, set_minus(fail, g->my_fail_set))
        put_out(r, i, join->head.sender);
    }
    bool grew = !set_equal(proc_before, g->my_proc_set) || !set_equal(fail_before, g->my_fail_set);
    if (grew)
        gather_changed(r);
    else if (!agrees(r, from)) /* it has not heard what we know */
        timer_soon(r, TIMER_JOIN, max_u64(r->now_ns, g->sent_ns + NS_PER_MS));
    gather_try(r);
    if (r->state == RING_GATHER)
        consensus_arm(r);
}

static bool join_fails_us(const struct ring *r, const struct wire_join *join)
{
    return set_has(known_ids(r, join->id + join->proc_count, join->fail_count), r->my_index);
}

/* It gathers for our sake, so it hears us: two that shun each other must not miss each other. */
static bool join_counts_us_in(const struct ring *r, const struct wire_join *join)
{
    return set_has(known_ids(r, join->id, join->proc_count), r->my_index);
}

/*
 * Another version, or another size of frames: no ring together. Told once for each start of it.
 *
 * It may have missed the JOIN that says what we are, and would gather for our beacons again and
 * again: a JOIN of ours alone tells it. That one counts nobody else in, so none comes back for it
 * but the first.
 */
static bool refused(struct ring *r, const struct wire_join *join, int from)
{
    bool version = join->version_high < WIRE_VERSION_LOW || join->version_low > WIRE_VERSION_HIGH;
    bool size = join->frame_bytes_max != r->config.frame_bytes_max;
    if (!version && !size)
        return false;
    r->stats.rx_version += version;
    r->stats.rx_frame_size += !version;
    /* Its beacons need not make us gather again; another start of it says another JOIN. */
    r->shunned_ns[from] = r->now_ns + (r->config.detect_ns << REFUSED_DOUBLINGS);
    bool news = r->incarnation[from] != join->incarnation;
    if (news) {
        uint64_t theirs = version ? join->version_high : join->frame_bytes_max;
        uint64_t ours = version ? WIRE_VERSION_HIGH : r->config.frame_bytes_max;
        ring_trace_add(r, RING_TRACE_REFUSED, join->head.sender, theirs, ours);
        r->incarnation[from] = join->incarnation;
    }
    if (r->state == RING_OPERATIONAL && (news || join_counts_us_in(r, join)))
        send_refusal(r, join->head.sender);
    return true;
}

/*
 * It heard of somebody after it had agreed with us, so it will not take the commit token: sets only
 * grow while one gathers. Departure: we do not wait for the loss of that token.
 */
static bool knows_more(const struct ring *r, const struct wire_join *join)
{
    struct node_set fail = known_ids(r, join->id + join->proc_count, join->fail_count);
    struct node_set proc = set_or(known_ids(r, join->id, join->proc_count), fail);
    return !set_within(proc, r->gather.my_proc_set) || !set_within(fail, r->gather.my_fail_set);
}

/* Said before the present ring was formed, or by one that has nothing to do with it. */
static bool join_stale(const struct ring *r, const struct wire_join *join, int from)
{
    const struct configuration *c = r->state == RING_COMMIT ? &r->my_new_ring : &r->my_ring;
    bool leaving = join->flags & WIRE_LEAVING;
    bool same_start = r->incarnation[from] == join->incarnation || r->incarnation[from] == 0;
    if (join->incarnation == r->departed[from] &&
        r->now_ns < r->departed_ns[from] + r->config.detect_ns)
        return true; /* late: it said goodbye */
    if (r->state == RING_GATHER)
        return leaving && !same_start;
    if (!set_has(c->memb, from)) {
        /* Who has failed us cannot take us in now; were we to gather, we would only fail it too,
         * and so on for ever. When it is done beacons will tell. */
        return leaving || r->state != RING_OPERATIONAL || join_fails_us(r, join);
    }
    if (leaving)
        return !same_start;
    if (r->state == RING_COMMIT && knows_more(r, join))
        return false;
    return join->head.ring_seq < c->id.seq && same_start;
}

void join_receive(struct ring *r, const struct wire_join *join)
{
    int from = ring_node_index(r, join->head.sender);
    if (refused(r, join, from))
        return;
    if (join->head.ring_seq >= UINT64_MAX / 2) {
        r->stats.rx_malformed++;
        return;
    }
    if (join_stale(r, join, from)) {
        r->stats.rx_stale++;
        return;
    }
    bool leaving = join->flags & WIRE_LEAVING;
    if (leaving) {
        r->departed[from] = join->incarnation;
        r->departed_ns[from] = r->now_ns;
    }
    if (r->incarnation[from] != join->incarnation)
        r->shunned_ns[from] = 0; /* another start, another chance */
    r->incarnation[from] = join->incarnation;
    bool stranger = r->state == RING_OPERATIONAL && !set_has(r->my_ring.memb, from);
    if (stranger && (r->installing || (!stranger_moves(r, from) && !join_counts_us_in(r, join)))) {
        r->stats.rx_foreign++;
        return;
    }
    if (r->state != RING_GATHER)
        gather_enter(r, leaving ? RING_REASON_LEAVE : RING_REASON_JOIN);
    join_merge(r, join, from);
}
