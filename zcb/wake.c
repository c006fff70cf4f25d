/* SPDX-License-Identifier: BSD-3-Clause */
#include "wake.h"

/*
 * Why the word neither loses nor invents readiness. The ordered accesses and their partners:
 *
 *   H  client stores head (release), then word    the service loads word (acquire), then head
 *   D  client stores ARMED, fence, loads tail     the service stores tail, fence, loads word
 *   X  client takes the word out of ARMED         the service takes it out of ARMED: both by an
 *      atomic exchange                            atomic read-modify-write of one round's value
 *
 * W1 The service signals an arming only when it saw head != tail after it saw that arming. By H it
 *    then saw every head the client published before arming, so an event is left. If the client
 *    takes that event before the service's exchange, it finds the queue empty and by X either has
 *    ended the arming first, and the service does nothing, or sees SIGNALLED and collects.
 * W2 By D the client sees the tail or the service sees the arming, or both; by X one of them, not
 *    both, becomes the one who sends the byte. When the service's exchange fails, the client has
 *    changed the word after the service's fence: whatever it arms from now on is followed by a
 *    look at this tail, so the service needs no second try.
 * W3 Outside the library the word is ARMED or SIGNALLED: wake_client_arm() leaves nothing else.
 *    While SIGNALLED a byte is there or coming, since only collecting it ends that state.
 */

enum { STATE_MASK = 3 };

static enum wake_state state_of(uint64_t word)
{
    return (enum wake_state)(word & STATE_MASK);
}

static uint64_t with_state(uint64_t word, enum wake_state state)
{
    return (word & ~(uint64_t)STATE_MASK) | state;
}

static uint64_t next_round(uint64_t word)
{
    return with_state(word + STATE_MASK + 1, WAKE_ARMED);
}

/* D. The thread sanitizer knows no fences; two read-modify-writes of one word order as well. */
static void full_fence(struct wake_page *page)
{
#ifdef __SANITIZE_THREAD__
    atomic_fetch_add_explicit(&page->wake, 0, memory_order_seq_cst);
#else
    (void)page;
    atomic_thread_fence(memory_order_seq_cst);
#endif
}

/* X. True when the arming was still there and is signalled now, by us. */
static bool signal_arming(struct wake_page *page, uint64_t armed)
{
    return atomic_compare_exchange_strong_explicit(&page->wake, &armed,
                                                   with_state(armed, WAKE_SIGNALLED),
                                                   memory_order_acq_rel, memory_order_relaxed);
}

enum wake_need wake_service_published(struct wake_page *page, const _Atomic uint32_t *head,
                                      uint32_t tail)
{
    full_fence(page); /* D: pairs with the fence in wake_client_arm() */
    uint64_t word = atomic_load_explicit(&page->wake, memory_order_acquire); /* H */
    if (state_of(word) != WAKE_ARMED)
        return WAKE_NOTHING;
    if (atomic_load_explicit(head, memory_order_acquire) == tail)
        return WAKE_NOTHING; /* taken already: a byte now would be stale */
    return signal_arming(page, word) ? WAKE_BYTE : WAKE_NOTHING;
}

bool wake_client_must_collect(struct wake_page *page)
{
    /* The round is ours alone, so it cannot change between the two. */
    uint64_t word = atomic_load_explicit(&page->wake, memory_order_relaxed);
    uint64_t before = atomic_exchange_explicit(&page->wake, with_state(word, WAKE_AWAKE),
                                               memory_order_acq_rel); /* X */
    return state_of(before) == WAKE_SIGNALLED;
}

enum wake_need wake_client_arm(struct wake_page *page, const _Atomic uint32_t *tail, uint32_t head,
                               bool *collect)
{
    *collect = wake_client_must_collect(page);
    if (*collect)
        return WAKE_NOTHING; /* AWAKE until the caller has the byte and calls again */
    uint64_t armed = next_round(atomic_load_explicit(&page->wake, memory_order_relaxed));
    atomic_store_explicit(&page->wake, armed, memory_order_release); /* H: head came before */
    full_fence(page); /* D: pairs with the fence in wake_service_published() */
    if (atomic_load_explicit(tail, memory_order_acquire) == head)
        return WAKE_NOTHING;
    return signal_arming(page, armed) ? WAKE_BYTE : WAKE_NOTHING;
}
