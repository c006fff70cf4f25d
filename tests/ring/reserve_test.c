/* SPDX-License-Identifier: BSD-3-Clause */
#include "inner.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

/* When ring sequences are asked for. We are node 3 of five. */

enum { MEMBERS = 5, US = 3, SEQ = 100 };

static struct inner in;
static struct ring *r;

static void setup(void)
{
    r = inner_make_as(&in, MEMBERS, US);
    r->now_ns += NS_PER_S;
    r->ring_seq_mine = SEQ;
    r->persisted = r->persist_wanted = SEQ + PERSIST_BLOCK;
    r->persist_ask = false;
}

static void commit_alone(void)
{
    gather_enter(r, RING_REASON_TOKEN_LOST);
    commit_start(r, set_of(US - 1));
    r->install.phase = INSTALL_NONE;
}

static void end(void)
{
    inner_end(&in);
}

TestSuite(reserve, .init = setup, .fini = end);

Test(reserve, more_is_asked_for_when_half_is_used_up)
{
    commit_alone();
    cr_assert(not(r->persist_ask));
    r->ring_seq_mine += PERSIST_BLOCK / 2;
    commit_alone();
    cr_assert(r->persist_ask);
    cr_assert(lt(u64, r->persisted + PERSIST_BLOCK / 2, r->persist_wanted));
}

/* It was started again, and goes on behind all that it had reserved: with the commit token each of
 * us would wait for its disk while the others wait for it. */
Test(reserve, what_another_s_join_will_lead_to_is_asked_for_at_once)
{
    gather_enter(r, RING_REASON_TOKEN_LOST);
    inner_hear(r, 1, r->persisted, MEMBERS, MEMBERS);
    cr_assert(r->persist_ask);
    cr_assert(ge(u64, r->persist_wanted, r->persisted + RING_SEQ_STEP));
}

Test(reserve, nobody_is_late_for_what_is_not_needed_yet)
{
    gather_enter(r, RING_REASON_TOKEN_LOST);
    inner_hear(r, 1, r->persisted, MEMBERS, MEMBERS);
    r->now_ns += 2 * r->config.detect_ns;
    cr_assert(not(ring_seq_late(r)));
    ring_seq_want(r, r->persisted + RING_SEQ_STEP);
    cr_assert(not(ring_seq_late(r)));
    r->now_ns += 2 * r->config.detect_ns;
    cr_assert(ring_seq_late(r));
    r->persisted = r->persist_wanted;
    cr_assert(not(ring_seq_late(r)));
}
