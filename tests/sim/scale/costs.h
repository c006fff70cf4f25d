/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_SIM_SCALE_COSTS_H
#define TESTS_SIM_SCALE_COSTS_H

/*
 * costs.h - how long a node's one processor is busy with what it does, in nanoseconds.
 *
 * Those under COSTS_MEASURED come from the code of the ring: `scale --calibrate` measures them on
 * the machine it runs on. Those under COSTS_ASSUMED stand for what is not there to be measured.
 */

#include <stdbool.h>
#include <stdio.h>

/* X(name, reference value, meaning) */
#define COSTS_MEASURED(X)                                                             \
    X(call, 23.7, "a call of the ring, whatever it does")                             \
    X(data, 32, "a data frame received, with its delivery")                           \
    X(chunk, 2, "each message or piece in it")                                        \
    X(token, 59, "a token received, visited and passed on")                           \
    X(token_member, 0.1, "the same for each member of the ring")                      \
    X(send, 32, "a frame packed, placed, sent and delivered here")                    \
    X(let_go, 4.3, "a frame let go when all have it")                                 \
    X(submit, 14.4, "a message taken from a client")                                  \
    X(walk, 5, "a frame that the groups walk through")                                \
    X(walk_chunk, 3, "each message or piece in it")                                   \
    X(join, 200, "a JOIN received")                                                   \
    X(join_member, 6, "the same for each node it names")                              \
    X(control, 50, "any other control frame received")                                \
    X(turn, 60, "a turn of the poll core besides the ring: clock, clients, counters") \
    X(deliver, 60, "a message put into the queue of one client")

#define COSTS_ASSUMED(X)                                                        \
    X(nic_rx, 45, "driver: a frame taken from the card, its head brought near") \
    X(nic_tx, 45, "driver: a frame given to the card, each destination of a fan-out")

#define COSTS_FIELD(name, value, meaning) double name;

struct costs {
    COSTS_MEASURED(COSTS_FIELD)
    COSTS_ASSUMED(COSTS_FIELD)
};

#define COSTS_VALUE(name, value, meaning) .name = value,
#define COSTS_REFERENCE                                        \
    {                                                          \
        COSTS_MEASURED(COSTS_VALUE) COSTS_ASSUMED(COSTS_VALUE) \
    }

void costs_print(const struct costs *costs, FILE *file);
/* "name=value". False: there is no such cost. */
bool costs_set(struct costs *costs, const char *text);

#endif
