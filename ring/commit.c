/* SPDX-License-Identifier: BSD-3-Clause */
#include "internal.h"

/*
 * Commit: the members agreed; one round of the commit token confirms it to all.
 *
 * Departure: the paper's commit token goes round twice and gathers what each brings from its old
 * ring. Ours goes round once and names members only; the regular token follows it, and the first
 * frame of each member on the new ring says the rest (recovery.c).
 */

static void commit_enter(struct ring *r, struct ring_id id, struct node_set memb, uint64_t hop)
{
    configuration_set(r, &r->my_new_ring, id, memb);
    r->ring_seq_mine = id.seq;
    ring_seq_ahead(r, id.seq + PERSIST_BLOCK / 2); /* the rings to come wait for no disk */
    r->commit_hop = hop;
    ring_state_set(r, RING_COMMIT, RING_REASON_CONSENSUS);
    timers_clear(r);
    token_heard(r);
    timer_set(r, TIMER_LOSS, r->now_ns + timer_loss_ns(r));
}

static void commit_pass(struct ring *r)
{
    send_commit(r);
    r->resend_ns = timer_resend_ns(r);
    timer_set(r, TIMER_RESEND, r->now_ns + r->resend_ns);
}

/* We are the representative and all agree. */
void commit_start(struct ring *r, struct node_set memb)
{
    uint64_t seq = r->ring_seq_mine;
    SET_EACH(i, memb)
    seq = max_u64(seq, r->gather.join_ring_seq[i]);
    seq += RING_SEQ_STEP;
    if (seq > r->persisted) {
        ring_seq_want(r, seq); /* gather_try() comes again with ring_persisted() */
        return;
    }
    if (r->install.phase != INSTALL_NONE)
        return; /* the caller has yet to take what we delivered: the next JOIN tries again */
    r->gather.join_ring_seq[r->my_index] = r->ring_seq_mine;
    commit_enter(r, (struct ring_id){ .seq = seq, .rep = r->config.node_id }, memb, 1);
    if (r->my_new_ring.count > 1) {
        commit_pass(r);
        return;
    }
    recovery_enter(r);
    recovery_alone(r);
}

/* Whoever has not heard our last JOIN cannot take the commit token: both are repeated. */
void commit_resend(struct ring *r)
{
    send_join(r, 0, ZCB_TO_ALL);
    send_commit(r);
    r->resend_ns = timer_longer(r, r->resend_ns);
    timer_set(r, TIMER_RESEND, r->now_ns + r->resend_ns);
}

/* The ids of a commit token as a set; empty when one of them is not configured here. */
static struct node_set commit_members(const struct ring *r, const struct wire_commit *commit)
{
    struct node_set set = { { 0 } };
    for (uint32_t i = 0; i < commit->member_count; i++) {
        int index = ring_node_index(r, commit->id[i]);
        if (index < 0)
            return (struct node_set){ { 0 } };
        set_add(&set, index);
    }
    return set;
}

/* Ours nobody else makes: it would lead to a ring of which we know nothing, or of us alone. */
static bool commit_wanted(const struct ring *r, struct ring_id id, struct node_set memb)
{
    if (id.seq <= r->ring_seq_mine || id.rep == r->config.node_id || !set_has(memb, r->my_index))
        return false;
    if (r->state == RING_COMMIT)
        return set_equal(memb, r->my_new_ring.memb);
    return r->state == RING_GATHER &&
           set_equal(memb, set_minus(r->gather.my_proc_set, r->gather.my_fail_set));
}

/* A representative so far ahead gets us step by step; its commit token is repeated, and so is all
 * that led to it. */
static void ring_seq_climb(struct ring *r)
{
    uint64_t seq = r->ring_seq_mine + RING_SEQ_LEAP;
    if (seq > r->persisted)
        ring_seq_want(r, seq);
    else
        r->ring_seq_mine = seq;
    r->stats.rx_stale++;
}

void commit_receive(struct ring *r, const struct wire_commit *commit)
{
    struct ring_id id = wire_ring_id(&commit->head);
    struct node_set memb = commit_members(r, commit);
    if (r->state == RING_COMMIT && ring_id_equal(id, r->my_new_ring.id)) {
        bool round = id.rep == r->config.node_id && commit->token_seq == commit->member_count;
        if (round) {
            recovery_enter(r);
            token_first(r);
        }
        return;
    }
    if (id.seq >= UINT64_MAX / 2 || !commit_wanted(r, id, memb) ||
        r->install.phase != INSTALL_NONE) {
        r->stats.rx_stale++;
        return;
    }
    if (id.seq - r->ring_seq_mine > RING_SEQ_LEAP + RING_SEQ_STEP) {
        ring_seq_climb(r);
        return;
    }
    if (id.seq > r->persisted) {
        ring_seq_want(r, id.seq); /* the commit token is repeated until we can take it */
        return;
    }
    if (r->state == RING_GATHER)
        r->gather.join_ring_seq[r->my_index] = r->ring_seq_mine;
    commit_enter(r, id, memb, commit->token_seq + 1);
    commit_pass(r);
}
