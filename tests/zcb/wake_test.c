/* SPDX-License-Identifier: BSD-3-Clause */
#include "zcb.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

static struct wake_page page;
static _Atomic uint32_t head, tail;
static bool collect;

static void store_word(uint64_t round, enum wake_state state)
{
    atomic_store(&page.wake, round << 2 | state);
}

static enum wake_state state(void)
{
    return (enum wake_state)(atomic_load(&page.wake) & 3);
}

static uint64_t wake_round(void)
{
    return atomic_load(&page.wake) >> 2;
}

Test(wake, a_fresh_page_is_awake_and_can_be_armed)
{
    cr_assert(eq(int, state(), WAKE_AWAKE));
    cr_assert(not(wake_client_must_collect(&page)));
    cr_assert(eq(int, wake_client_arm(&page, &tail, 0, &collect), WAKE_NOTHING));
    cr_assert(not(collect));
    cr_assert(eq(int, state(), WAKE_ARMED));
}

Test(wake, W2_an_event_for_an_armed_client_needs_one_byte_however_many_follow)
{
    store_word(4, WAKE_ARMED);
    cr_assert(eq(int, wake_service_published(&page, &head, 1), WAKE_BYTE));
    cr_assert(eq(int, state(), WAKE_SIGNALLED));
    cr_assert(eq(ulong, wake_round(), 4));
    cr_assert(eq(int, wake_service_published(&page, &head, 2), WAKE_NOTHING));
}

Test(wake, an_awake_client_needs_nothing)
{
    store_word(4, WAKE_AWAKE);
    cr_assert(eq(int, wake_service_published(&page, &head, 1), WAKE_NOTHING));
    cr_assert(eq(int, state(), WAKE_AWAKE));
}

Test(wake, W1_an_event_that_was_taken_before_the_arming_needs_no_byte)
{
    store_word(4, WAKE_ARMED);
    atomic_store(&head, 1);
    cr_assert(eq(int, wake_service_published(&page, &head, 1), WAKE_NOTHING));
    cr_assert(eq(int, state(), WAKE_ARMED));
}

Test(wake, W1_a_signalled_byte_is_collected_exactly_once)
{
    store_word(4, WAKE_SIGNALLED);
    cr_assert(wake_client_must_collect(&page));
    cr_assert(eq(int, state(), WAKE_AWAKE));
    cr_assert(not(wake_client_must_collect(&page)));
}

Test(wake, W1_arming_over_a_byte_asks_to_collect_it_first)
{
    store_word(4, WAKE_SIGNALLED);
    cr_assert(eq(int, wake_client_arm(&page, &tail, 0, &collect), WAKE_NOTHING));
    cr_assert(collect);
    cr_assert(eq(int, state(), WAKE_AWAKE));
    cr_assert(eq(int, wake_client_arm(&page, &tail, 0, &collect), WAKE_NOTHING));
    cr_assert(not(collect));
    cr_assert(eq(int, state(), WAKE_ARMED));
}

Test(wake, W3_arming_with_events_waiting_asks_for_the_byte)
{
    atomic_store(&tail, 3);
    cr_assert(eq(int, wake_client_arm(&page, &tail, 2, &collect), WAKE_BYTE));
    cr_assert(not(collect));
    cr_assert(eq(int, state(), WAKE_SIGNALLED));
    cr_assert(eq(int, wake_service_published(&page, &head, 4), WAKE_NOTHING)); /* one byte only */
}

Test(wake, each_arming_has_a_round_of_its_own)
{
    store_word(UINT64_MAX >> 2, WAKE_AWAKE);
    uint64_t last = wake_round();
    for (int i = 0; i < 5; i++) {
        wake_client_arm(&page, &tail, 0, &collect);
        cr_assert(ne(ulong, wake_round(), last));
        cr_assert(eq(int, state(), WAKE_ARMED));
        last = wake_round();
    }
}

Test(wake, nonsense_in_the_word_is_taken_for_a_client_that_needs_nothing)
{
    atomic_store(&page.wake, UINT64_MAX);
    cr_assert(eq(int, wake_service_published(&page, &head, 1), WAKE_NOTHING));
}
