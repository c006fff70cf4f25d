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
#define COSTS_MEASURED(X)                                                               \
    X(call, 23.2, "a call of the ring, whatever it does")                               \
    X(data, 30.2, "a data frame received, with its delivery")                           \
    X(chunk, 2.3, "each message or piece in it")                                        \
    X(token, 62.8, "a token received, visited and passed on")                           \
    X(token_member, 0.6, "the same for each member of the ring")                        \
    X(send, 26.3, "a frame packed, placed, sent and delivered here")                    \
    X(let_go, 4.2, "a frame let go when all have it")                                   \
    X(submit, 17.6, "a message taken from a client")                                    \
    X(walk, 1.5, "a frame that the groups walk through")                                \
    X(walk_chunk, 13.1, "each message or piece in it")                                  \
    X(join, 197, "a JOIN received")                                                     \
    X(join_member, 5.9, "the same for each node it names")                              \
    X(turn, 46.2, "a turn of the poll core besides the ring: clock, clients, counters") \
    X(lend, 88.8, "a frame lent to a client, and back")                                 \
    X(deliver, 13.7, "a message put into the queue of one client")

#define COSTS_ASSUMED(X)                                                              \
    X(nic_rx, 45, "driver: a frame taken from the card, its head brought near")       \
    X(nic_tx, 45, "driver: a frame given to the card, each destination of a fan-out") \
    X(control, 50, "any other control frame, received or sent")

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
