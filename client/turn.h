/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CLIENT_TURN_H
#define CLIENT_TURN_H

/*
 * turn.h - whose turn it is to take events of a handle and run its callbacks.
 *
 * Not a mutex: a turn is held across callbacks, in which a thread may dispatch again, or end. The
 * mutex inside is held for moments only.
 *
 * Invariants: U1  (H6) at most one thread has the turn; it may take it again (X5)
 *             U2  once turn_close() returned, nobody is given the turn any more
 */

#include <pthread.h>

#include "synchrotron/types.h"

struct turn {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pthread_t owner; /* valid while depth > 0 */
    uint32_t depth;
    uint32_t waiting;
    bool closed;
};

enum turn_result { TURN_MINE, TURN_BUSY, TURN_CLOSED };

int turn_init(struct turn *turn); /* 0 or -errno */
void turn_destroy(struct turn *turn);

/*
 * Take the turn. `wait` waits for another thread to be done (a cancellation point); otherwise
 * TURN_BUSY says that one is.
 */
enum turn_result turn_take(struct turn *turn, bool wait);
void turn_give(struct turn *turn);

/* No further turns; who waits for one gets TURN_CLOSED. Does not wait for the turn being taken. */
void turn_close(struct turn *turn);

#endif
