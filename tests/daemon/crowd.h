/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_DAEMON_CROWD_H
#define TESTS_DAEMON_CROWD_H

/*
 * crowd.h - clients that write down what they get, of the poll cores of a simulated world.
 *
 * A client's story is a line an event:
 *   view +1/10.1 = 1/10 begins      joined, left and their reasons; members; whose own it is
 *   msg 1/10 hello                  a message, cut after 40 bytes
 *   ring 1: 1 2 3                   representative and members; `first` for the extra one
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "corosync/corotypes.h"
#include "fake_client.h"
#include "sim/world.h"

enum {
    CROWD_NODES = 9,
    CROWD_CLIENTS = 16, /* of one node */
    CROWD_STORY_BYTES = 1 << 20,
    CROWD_TX_BYTES = 2 << 20, /* twice the largest message: none is too long to go round */
};

struct crowd_client {
    struct fake_client fake;
    uint32_t node;
    bool live, paused, ended;
    bool evicted;
    enum core_offence offence;
    char *story;
    size_t used;
    uint64_t messages, bytes, hash; /* of all messages, in order */
    const uint8_t *expect;          /* messages over 40 bytes must begin it */
};

struct crowd_node {
    struct crowd_client client[CROWD_CLIENTS];
    bool answered;
    struct core_event answer; /* of the last command */
    uint32_t gone;            /* segments */
};

extern struct world world;
extern struct crowd_node crowd[CROWD_NODES + 1]; /* by id */

void crowd_open(int nodes);
void crowd_open_for(int nodes, uint32_t message_bytes_max);
void crowd_close(void);
/* The sweeps find nothing wrong; closed. */
void crowd_finish(void);
void crowd_start(uint32_t id);
/* The process of a node is gone, without a word, and its clients with it. */
void crowd_kill(uint32_t id);
/* What happens next, within `most_ns`. */
void crowd_step(uint64_t most_ns);
void crowd_run(uint64_t ns);

#define CROWD_UNTIL(condition)                                \
    do {                                                      \
        uint64_t end_ns = world.now_ns + 60 * NS_PER_S;       \
        bool met;                                             \
        while (!(met = (condition)) && world.now_ns < end_ns) \
            crowd_step(NS_PER_MS);                            \
        cr_assert(met, "not within a minute: " #condition);   \
    } while (0)

/* Give a command and wait for its answer: the cs_error_t. */
uint32_t crowd_command(uint32_t id, struct core_command command);
/* A connected client in a slot, with a TX segment. */
struct crowd_client *crowd_client(uint32_t id, uint32_t slot, uint32_t pid, uint32_t flags);
uint32_t crowd_join(struct crowd_client *c, const char *group);
uint32_t crowd_leave(struct crowd_client *c);
void crowd_end(struct crowd_client *c);
/* Its channel is unmapped. */
void crowd_unmap(struct crowd_client *c);
bool crowd_send(struct crowd_client *c, const char *text);
/* All nodes in one ring, exchange complete. */
bool crowd_is_one(uint32_t nodes);
bool crowd_says(const struct crowd_client *c, const char *text);
void crowd_forget(struct crowd_client *c);

#endif
