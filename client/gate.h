/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CLIENT_GATE_H
#define CLIENT_GATE_H

/*
 * gate.h - a descriptor that one thread closes while others may be using it.
 *
 * Invariants: G1  the number stays ours while anybody is inside
 *             G2  it is closed when the gate was shut and the last one is out, by whoever that is
 */

#include <stdatomic.h>

#include "synchrotron/types.h"

struct gate {
    int fd;
    _Atomic uint32_t state; /* who is inside, and whether it is shut */
};

void gate_init(struct gate *gate, int fd);

/* Go in. False: it is shut, and the caller must not touch the descriptor. */
bool gate_enter(struct gate *gate);
void gate_leave(struct gate *gate);

/* Shut it. Whoever waits on the socket inside is woken by its end. A second call does nothing. */
void gate_shut(struct gate *gate);

#endif
