/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef ZCB_WAKE_H
#define ZCB_WAKE_H

/*
 * wake.h - when the descriptor of a handle is readable.
 *
 * The descriptor is the client's end of a socket pair. At most one byte is in it: while it is,
 * events wait. One word, `wake`, says what is true of it; both sides write it, nobody trusts it: a
 * client that writes nonsense there disturbs only its own sleep.
 *
 * The word is (round << 2 | state):
 *   AWAKE     the client is inside the library and looks at the queue itself; so at the start
 *   ARMED     the client saw an empty queue; whoever adds an event must signal
 *   SIGNALLED a byte is in the socket or certain to come
 * Each arming takes a new round, so an answer to an old arming cannot meet a new one.
 *
 * Invariants: W1  (F3) after a dispatch that emptied the queue no byte is in the socket, nor coming
 *             W2  (F4) an event published while ARMED, or before the arming was seen, leads to a
 *                 byte
 *             W3  (F2) while events wait and the client is outside the library a byte is in the
 *                 socket or coming
 *
 * Service, after publishing a tail:       Client, when the queue looks empty after taking events:
 *   fence seq_cst                           publish head
 *   w = load wake                           word -> AWAKE; collect the byte if it was SIGNALLED
 *   if ARMED and head != tail:              store ARMED with the next round
 *     CAS w -> SIGNALLED of that round      fence seq_cst
 *     on success send one byte              look at the tail again; if events wait:
 *     else nothing: the client has taken      CAS ARMED -> SIGNALLED; on success ask the service
 *     the word since, and looks again         for the byte (CTL_KICK)
 * The head the service compares is loaded after the word, and the client stores head before the
 * word.
 *
 * A client leaves the library with the word ARMED or SIGNALLED, never AWAKE. So:
 *   after the handshake             wake_client_arm()
 *   took events and more wait       nothing: the word is SIGNALLED, or ARMED and the service will
 *                                   find head != tail
 *   took events and none wait       publish head; wake_client_must_collect(), receive one byte if
 *                                   so; look at the queue again if more may be taken; at last,
 *                                   whatever waits then, publish head and wake_client_arm()
 *   found none, took none           nothing
 */

#include <stdatomic.h>

#include "synchrotron/types.h"

enum wake_state {
    WAKE_AWAKE = 0,
    WAKE_ARMED = 1,
    WAKE_SIGNALLED = 2,
};

/* A page of the up channel, the only one that both sides write. */
struct wake_page {
    _Alignas(CACHE_LINE_BYTES) _Atomic uint64_t wake;
};

enum wake_need {
    WAKE_NOTHING, /* the other side needs nothing from us */
    WAKE_BYTE,    /* service: send one byte. Client: ask the service for one (CTL_KICK) */
};

/**
 * Service: after publishing a tail. `head` is the client's shared head of the deliver queue.
 *
 * Thread:  poll core
 */
enum wake_need wake_service_published(struct wake_page *page, const _Atomic uint32_t *head,
                                      uint32_t tail);

/*
 * Client: end the arming, if any: the word is AWAKE now. True: a byte is in the socket or certain
 * to come; the caller receives it, waiting if need be, before it arms. Says so once a byte.
 */
bool wake_client_must_collect(struct wake_page *page);

/**
 * Client: the byte was collected (or none was due): arm, and look at the queue once more.
 * `tail` is the service's shared tail, `head` what the client has taken and published. May be
 * called with events waiting. Returns WAKE_BYTE when the client has to ask for the byte itself.
 *
 * Errors:  none; *collect is set when the service signalled in between, and the caller must
 *          collect the byte and call again
 */
enum wake_need wake_client_arm(struct wake_page *page, const _Atomic uint32_t *tail, uint32_t head,
                               bool *collect);

#endif
