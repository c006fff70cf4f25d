/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_SIM_WORLD_H
#define TESTS_SIM_WORLD_H

/*
 * world.h - poll cores of several nodes, without threads, in one process under virtual time.
 *
 * Each node is a whole struct core on transport/sim, with a clock of its own that may go fast or
 * slow, and a control thread that is played here: it writes the state directory and lets segments
 * go. Time jumps to whatever happens next; a core has its turn when frames or commands wait, when
 * it worked in its turn before, or when the real one would wake from its sleep.
 *
 * Knows:      nodes, clocks, turns, state directories, TX segments.
 * Knows not:  clients: whoever uses this has them, and gets its word in after every turn.
 * Invariants: W1  with the same seed and the same calls everything happens again, to the bit
 *             W2  a core's clock never goes back
 */
#include "core_inner.h"
#include "sim/net.h"

enum {
    WORLD_NODES_MAX = 16,
    WORLD_CLIENTS = 64, /* of one node */
    WORLD_PERSISTS = 16,
};

/* Local time of a node: it runs `ppm` millionths fast or slow from base on. */
struct world_clock {
    uint64_t base_ns, local_ns;
    int32_t ppm;
};

/* Memory that a client sends from; the node owns it until the core lets go of it. */
struct world_segment {
    struct world_segment *next;
    uint8_t *base;
    uint64_t bytes;
    uint32_t arena;
};

struct world;

struct world_node {
    struct world *world;
    struct config config;
    struct chan_core words;
    struct zcb_arena rx;
    struct core *core; /* NULL: it is down */
    uint32_t id, starts;
    struct world_clock clock;
    bool formed; /* clients may come */
    /* the state directory */
    uint64_t disk_seq, disk_fails_ns, persist_ns;
    struct {
        uint64_t at_ns, seq;
    } persist[WORLD_PERSISTS];
    uint32_t persist_count;
    struct world_segment *segments;
    uint32_t last_arena;
};

struct world_ops {
    /* A core says something that is not the world's own affair. */
    void (*event)(void *context, struct world_node *node, const struct core_event *event);
    /* Before a turn, and after it: then clients do what they do. When it wants to be called
     * again, NS_NEVER: when there is something. */
    void (*before)(void *context, struct world_node *node);
    uint64_t (*turned)(void *context, struct world_node *node);
};

/* When a node has its next turn: in one place for all, for they are asked at every step. */
struct world_due {
    uint64_t ready_ns, wake_ns; /* no turn before; a turn then */
    uint64_t paused_ns;         /* nothing runs here until then */
    uint64_t pause_ns;          /* and has not since; 0: it has */
    bool runs;
};

struct world {
    uint64_t now_ns, turn_ns; /* turn_ns: a turn takes so long */
    int count;
    struct world_due due[WORLD_NODES_MAX + 1]; /* by id */
    struct sim_net *net;
    struct sim_config sim;
    struct world_node node[WORLD_NODES_MAX + 1]; /* by id */
    const struct world_ops *ops;
    void *context;
    uint64_t turns;
};

struct world_config {
    int nodes;
    struct config each; /* of every node; its id and the list of nodes are filled in */
    struct sim_net_config net;
    bool by_reference;
    uint64_t turn_ns, persist_ns;
    const struct world_ops *ops;
    void *context;
};

/* Nothing runs yet: world_start(). */
void world_create(struct world *w, const struct world_config *config);
void world_destroy(struct world *w);

/* False, and `why`: the core could not be made. */
bool world_start(struct world *w, uint32_t id, char *why, size_t why_bytes);
/* The process of a node is gone, without a word. */
void world_kill(struct world *w, uint32_t id);
/* Its clock goes so much faster from now on. */
void world_clock_rate(struct world *w, uint32_t id, int32_t ppm);
/* Nothing runs there until then. */
void world_pause(struct world *w, uint32_t id, uint64_t until_ns);
/* What its own clock says now, and when it will say `local_ns`. */
uint64_t world_local_ns(const struct world *w, const struct world_node *n);
uint64_t world_when_ns(const struct world_node *n, uint64_t local_ns);

/* What happens next, but nothing that is later than `until_ns`. */
void world_step(struct world *w, uint64_t until_ns);
void world_run(struct world *w, uint64_t until_ns);
/* Somebody did something that this core must see. */
void world_wake(struct world_node *n);

struct world_segment *world_segment_new(struct world_node *n, uint64_t bytes);
/* Payload that an event names, in the RX arena or a segment; NULL: there is no such arena. */
const uint8_t *world_bytes(const struct world_node *n, uint32_t arena, uint64_t offset);

/* All nodes of a mask of ids in one ring of exactly these, the exchange of members complete. */
bool world_is_one(const struct world *w, uint32_t nodes);
/* Every sweep there is, over every node that runs: aborts. Frames that no pool has ever given are
 * looked at in the end, by world_kill(). */
void world_check(const struct world *w);

#endif
