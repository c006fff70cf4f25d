/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * hostile.c - clients that write into their up channel what the rules forbid: every offence of
 * daemon/core.h once, under its name, and what looks like one and is none.
 */
#include "intruder.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

static const char group[] = "hostile";

static bool is_own(const struct intruder *i, const struct chan_event *event)
{
    return event->kind == CHAN_MESSAGE && event->nodeid == i->hello.nodeid &&
           event->pid == (uint32_t)getpid();
}

/* A message that goes through: rules were kept so far. What others say comes and goes. */
static struct chan_event pass(struct intruder *i, bool give_back)
{
    struct chan_submit entry = intruder_message(i, 100);
    intruder_push(i, &entry);
    for (;;) {
        struct chan_event event = intruder_next(i, true);
        bool own = is_own(i, &event);
        if (event.flags & CHAN_LEASE_END && (give_back || !own))
            intruder_give_back(i, event.lease);
        if (own)
            return event;
    }
}

static void set_word(struct intruder *i, _Atomic uint32_t *word, uint32_t value)
{
    atomic_store(word, value);
    intruder_ring_bell(i);
}

CASE(submit_tail__beyond_the_queue)
{
    struct intruder i;
    intruder_join(&i, group);
    pass(&i, true);
    set_word(&i, &i.up->words.submit_tail, i.submit.tail + CHAN_SUBMIT_COUNT + 1);
    intruder_expect_eviction(&i);
}

CASE(submit_tail__backwards)
{
    struct intruder i;
    intruder_join(&i, group);
    pass(&i, true);
    WAIT_FOR(atomic_load(&i.down->submit_head) == i.submit.tail);
    set_word(&i, &i.up->words.submit_tail, i.submit.tail - 1);
    intruder_expect_eviction(&i);
}

CASE(done_tail__beyond_the_queue)
{
    struct intruder i;
    intruder_join(&i, group);
    CHECK(pass(&i, false).flags & CHAN_LEASE_END);
    set_word(&i, &i.up->words.done_tail, i.done.tail + CHAN_DONE_COUNT + 1);
    intruder_expect_eviction(&i);
}

CASE(event_head__beyond_what_was_sent)
{
    struct intruder i;
    intruder_join(&i, group);
    set_word(&i, &i.up->words.event_head, i.events.head + 7);
    struct chan_submit entry = intruder_message(&i, 8);
    intruder_push(&i, &entry); /* it is looked at when there is something to add */
    intruder_expect_eviction(&i);
}

static void submit_and_go(struct chan_submit (*wrong)(const struct intruder *i))
{
    struct intruder i;
    intruder_join(&i, group);
    pass(&i, true);
    struct chan_submit entry = wrong(&i);
    intruder_push(&i, &entry);
    intruder_expect_eviction(&i);
}

#define WRONG_SUBMIT(label, bytes, change)                            \
    static struct chan_submit wrong_##label(const struct intruder *i) \
    {                                                                 \
        struct chan_submit s = intruder_message(i, bytes);            \
        change;                                                       \
        return s;                                                     \
    }                                                                 \
    CASE(label)                                                       \
    {                                                                 \
        submit_and_go(wrong_##label);                                 \
    }

WRONG_SUBMIT(submit_segment__that_is_not_there, 8, s.segment = (uint8_t)(i->segment + 1))
WRONG_SUBMIT(submit_segment__beyond_the_table, 8, s.segment = CHAN_SEGMENT_COUNT)
WRONG_SUBMIT(submit_segment__far_beyond, 8, s.segment = 255)
WRONG_SUBMIT(submit_range__out_of_line, 8, s.offset += 4)
WRONG_SUBMIT(submit_range__offset_behind_the_end, 8, s.offset = SEGMENT_BYTES + 8)
WRONG_SUBMIT(submit_range__offset_near_the_top, 8, s.offset = UINT32_MAX - 7)
WRONG_SUBMIT(submit_range__across_the_end, 4096, s.offset = SEGMENT_BYTES - 8)
WRONG_SUBMIT(submit_range__larger_than_the_segment, SEGMENT_BYTES + 8, s.offset = 0)
WRONG_SUBMIT(submit_end__backwards, 8, s.end = 0)
WRONG_SUBMIT(submit_end__too_near, 80, s.end -= 64)
WRONG_SUBMIT(submit_end__beyond_what_is_free, 8, s.end += SEGMENT_BYTES)
WRONG_SUBMIT(submit_end__far_away, 8, s.end = UINT64_MAX)
WRONG_SUBMIT(submit_size__over_the_maximum, 8, s.bytes = i->hello.message_bytes_max + 1)
WRONG_SUBMIT(submit_size__as_large_as_can_be, 8, s.bytes = UINT32_MAX)
WRONG_SUBMIT(submit_field__guarantee, 8, s.guarantee = GUARANTEE_SAFE + 1)
WRONG_SUBMIT(submit_field__what_must_be_zero, 8, s.zero[5] = 1)

CASE(submit_segment__given_back_before)
{
    struct intruder i;
    struct ctl_answer answer;
    intruder_join(&i, group);
    pass(&i, true);
    CHECK(intruder_ask(&i, CTL_TX_PUT, i.segment, 0, NULL, &answer, NULL) == CS_OK);
    struct chan_submit entry = intruder_message(&i, 8);
    intruder_push(&i, &entry);
    intruder_expect_eviction(&i);
}

static void lease_and_go(uint32_t (*wrong)(uint32_t held))
{
    struct intruder i;
    intruder_join(&i, group);
    struct chan_event event = pass(&i, false);
    CHECK(event.lease < CHAN_LEASE_COUNT);
    intruder_give_back(&i, wrong(event.lease));
    intruder_expect_eviction(&i);
}

static uint32_t not_held(uint32_t held)
{
    return (held + CHAN_LEASE_COUNT / 2) % CHAN_LEASE_COUNT;
}

static uint32_t beyond(uint32_t held)
{
    return held + CHAN_LEASE_COUNT;
}

static uint32_t none(uint32_t held)
{
    (void)held;
    return CHAN_LEASE_NONE;
}

CASE(done_lease__not_held)
{
    lease_and_go(not_held);
}

CASE(done_lease__beyond_the_table)
{
    lease_and_go(beyond);
}

CASE(done_lease__the_one_that_is_none)
{
    lease_and_go(none);
}

CASE(done_lease__twice)
{
    struct intruder i;
    intruder_join(&i, group);
    struct chan_event first = pass(&i, false);
    CHECK(first.flags & CHAN_LEASE_END);
    pass(&i, false); /* so that it still owes one */
    memcpy(spsc_next(&i.done), &first.lease, sizeof(first.lease));
    memcpy(spsc_next(&i.done), &first.lease, sizeof(first.lease));
    spsc_publish(&i.done);
    intruder_ring_bell(&i);
    intruder_expect_eviction(&i);
}

/* What only hurts itself is no offence: it stays, and still gets all its messages. */

CASE(none__nonsense_in_the_wake_page)
{
    struct intruder i;
    uint64_t seed = 5;
    intruder_join(&i, group);
    for (int n = 0; n < 400; n++) {
        uint64_t armed = (uint64_t)probe_draw(&seed, 1000) << 2 | WAKE_ARMED;
        atomic_store(&i.up->wake_page.wake, n % 2 ? armed : ((uint64_t)armed << 33) - 1);
        pass(&i, true);
    }
    EXPECT(atomic_load(&i.down->state) == CHAN_OPEN);
}

CASE(none__payload_that_changes_while_it_is_sent)
{
    struct intruder i;
    uint64_t seed = 6;
    intruder_join(&i, group);
    for (int n = 0; n < 300; n++) {
        for (int j = 0; j < 50; j++)
            i.tx[probe_draw(&seed, SEGMENT_BYTES)] ^= 0xff;
        pass(&i, true);
    }
    EXPECT(atomic_load(&i.down->state) == CHAN_OPEN);
}

CASE(none__segments_asked_for_without_end)
{
    struct intruder i;
    struct ctl_answer answer;
    int fd, got = 0;
    intruder_join(&i, group);
    for (int n = 0; n < 40; n++) {
        uint32_t error = intruder_ask(&i, CTL_TX_GET, 0, 1 << 20, NULL, &answer, &fd);
        CHECK(error == CS_OK || error == CS_ERR_TRY_AGAIN || error == CS_ERR_NO_RESOURCES ||
              error == CS_ERR_NO_MEMORY);
        got += error == CS_OK;
    }
    EXPECT(got <= CHAN_SEGMENT_COUNT);
    EXPECT(intruder_ask(&i, CTL_TX_GET, 0, UINT64_MAX, NULL, &answer, &fd) != CS_OK);
    EXPECT(intruder_ask(&i, CTL_TX_GET, 0, 0, NULL, &answer, &fd) != CS_OK);
    EXPECT(intruder_ask(&i, CTL_TX_PUT, 99, 0, NULL, &answer, NULL) != CS_OK);
    EXPECT(intruder_ask(&i, CTL_MAP, 987654, 0, NULL, &answer, &fd) != CS_OK);
    EXPECT(intruder_ask(&i, CTL_MAP, 0, 0, NULL, &answer, &fd) != CS_OK);
}

/* Anything at all, until we are thrown out. */

static void scribble(struct intruder *i, uint64_t *seed)
{
    uint32_t *words = (uint32_t *)(void *)i->up;
    for (int n = 0; n < 20; n++)
        words[probe_draw(seed, CHAN_UP_BYTES / 4)] =
            probe_draw(seed, 4) ? probe_draw(seed, 70000) : probe_draw(seed, ~0u);
    if (probe_draw(seed, 4) == 0)
        atomic_store(&i->up->words.submit_tail, i->submit.tail += probe_draw(seed, 40));
    if (probe_draw(seed, 16) == 0)
        atomic_store(&i->up->words.done_tail, i->done.tail += probe_draw(seed, 3));
    if (probe_draw(seed, 8) == 0)
        atomic_store(&i->up->words.event_head, atomic_load(&i->down->event_tail));
    intruder_ring_bell(i);
}

CASE(any__nonsense_at_random)
{
    uint64_t seed = strtoull(probe_word(0), NULL, 10);
    for (int round = 0; round < 60; round++) {
        struct intruder i;
        intruder_join(&i, group);
        pass(&i, true);
        uint64_t end_ns = probe_deadline_ns();
        while (atomic_load(&i.down->state) == CHAN_OPEN && probe_now_ns() < end_ns)
            scribble(&i, &seed);
        intruder_expect_eviction(&i);
        munmap(i.up, CHAN_UP_BYTES);
        close(i.control);
        for (int n = 0; n < HELLO_FDS; n++)
            close(i.fds[n]);
        close(i.tx_fd);
    }
}
