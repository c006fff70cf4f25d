/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_DAEMON_WORLD_H
#define TESTS_DAEMON_WORLD_H

/*
 * world.h - poll cores of several nodes, without threads, in one process under virtual time, and
 * clients that write down what they get.
 *
 * A client's story is a line an event:
 *   view +1/10.1 = 1/10 begins      joined, left and their reasons; members; whose own it is
 *   msg 1/10 hello                  a message, cut after 40 bytes
 *   ring 1: 1 2 3                   representative and members; `first` for the extra one
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "core_inner.h"
#include "corosync/corotypes.h"
#include "fake_client.h"
#include "sim/sim.h"

enum {
    WORLD_NODES = 3,
    WORLD_CLIENTS = 16, /* of one node */
    WORLD_STORY_BYTES = 1 << 20,
    WORLD_RX_BYTES = 4 << 20,
    WORLD_TX_BYTES = 2 << 20, /* twice the largest message: none is too long to go round */
};

struct world_client {
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

struct world_node {
    struct config config;
    struct chan_core words;
    struct zcb_arena rx;
    struct core *core;
    struct world_client client[WORLD_CLIENTS];
    bool formed, asleep; /* asleep: its turn does not come */
    bool answered;
    struct core_event answer; /* of the last command */
    uint32_t gone;            /* segments */
    uint64_t ring_seq;
};

struct world {
    uint64_t now_ns;
    int count;
    struct sim_net *net;
    struct sim_config sim;
    struct world_node node[WORLD_NODES + 1]; /* by id */
};

extern struct world world;

void world_open(int nodes);
void world_close(void);
void world_start(uint32_t id);
/* The process of a node is gone, without a word. */
void world_kill(uint32_t id);
/* One turn of every node; time goes on to what happens next, at most `most_ns`. */
void world_step(uint64_t most_ns);
void world_run(uint64_t ns);

#define WORLD_UNTIL(condition)                                \
    do {                                                      \
        uint64_t end_ns = world.now_ns + 60 * NS_PER_S;       \
        bool met;                                             \
        while (!(met = (condition)) && world.now_ns < end_ns) \
            world_step(NS_PER_MS);                            \
        cr_assert(met, "not within a minute: " #condition);   \
    } while (0)

/* Give a command and wait for its answer: the cs_error_t. */
uint32_t world_command(uint32_t id, struct core_command command);
/* A connected client in a slot, with a TX segment. */
struct world_client *world_client(uint32_t id, uint32_t slot, uint32_t pid, uint32_t flags);
uint32_t world_join(struct world_client *c, const char *group);
uint32_t world_leave(struct world_client *c);
void world_end(struct world_client *c);
bool world_send(struct world_client *c, const char *text);
/* All nodes in one ring, exchange complete. */
bool world_is_one(uint32_t nodes);
bool world_says(const struct world_client *c, const char *text);
void world_forget(struct world_client *c);

#endif
