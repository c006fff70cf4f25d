/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_SIM_AGENT_H
#define TESTS_SIM_AGENT_H

/*
 * agent.h - programs that use the service: they connect, join, send, read or do not read, die, and
 * come again when their node does. Honest ones: they keep every rule of the channel.
 *
 * An agent is told what to want and goes about it by itself, as a program does that repeats what
 * it is refused. Whatever it is told and reads goes into the history.
 *
 * Knows:      one handle at a time for each agent; what it was told to do.
 * Knows not:  other agents, the network.
 */
#include "draw.h"
#include "daemon/fake_client.h"
#include "history.h"
#include "verdict.h"
#include "world.h"

enum {
    AGENTS_MAX = 96,
    AGENT_BURSTS = 16,
    AGENT_NO_GROUP = -1,
};

/* What sizes a burst has. */
enum agent_size {
    SIZE_TINY,   /* 0 to 16 bytes */
    SIZE_SMALL,  /* to 300 */
    SIZE_FRAMES, /* to 8 KiB */
    SIZE_BULK,   /* to 200 KiB */
    SIZE_TURNS,  /* some of these take turns */
    SIZE_HUGE,   /* the largest there is */
    SIZE_MIXED,
    AGENT_SIZES,
};

struct agent_burst {
    uint32_t count;
    uint32_t safe_permille;
    uint64_t gap_ns; /* between one message and the next */
    enum agent_size size;
};

/* An event that was read and whose payload is kept for a while. */
struct agent_kept {
    struct chan_event event;
    uint64_t until_ns;
    uint64_t hash;
};

/* One connection. It outlives its agent's interest in it until the core lets go of it. */
struct agent_handle {
    struct agent_handle *next; /* of its node */
    struct agent *agent;       /* NULL: nobody's any more */
    struct fake_client fake;
    struct world_node *node;
    uint32_t slot, history;
    struct world_segment *segment[CHAN_SEGMENT_COUNT];
    uint64_t segment_end[CHAN_SEGMENT_COUNT]; /* taken by us, counted for ever */
    bool segment_closing[CHAN_SEGMENT_COUNT];
    bool added, busy; /* busy: a command is not answered yet, and what it points to the core's */
    struct core_segment_setup setup;
    struct core_name name;
    bool evicted, ending;
    uint32_t member; /* of the history; HIST_NOBODY: has not joined */
    int32_t group, joining;
    uint32_t joining_pid;
    struct agent_kept *kept;
    uint32_t kept_first, kept_count, kept_room;
};

struct agent {
    struct agents *all;
    struct agent *next; /* of its node, in the order they were added */
    uint32_t index, node, pid;
    bool pid_stays; /* the same for every membership; else each has one of its own */
    /* wants */
    bool on;
    int32_t want;
    uint32_t flags; /* CTL_HELLO_* of its handles */
    struct agent_burst burst[AGENT_BURSTS];
    uint32_t burst_first, burst_count;
    uint64_t next_ns;    /* of the next message */
    uint64_t retry_ns;   /* of what was refused */
    uint64_t stalled_ns; /* reads nothing until then */
    uint64_t slow_ns;    /* until then it reads an event each... */
    uint64_t pace_ns, read_ns;
    uint64_t keep_ns, keeps_ns; /* until then it keeps what it reads so long */
    bool next_drawn;
    uint32_t next_bytes; /* of the message that is to be sent */
    uint8_t next_guarantee;
    struct draw draw;
    struct agent_handle *handle;
    uint32_t pids; /* given to memberships */
};

struct agents {
    struct world *world;
    struct history *history;
    struct verdict *verdict;
    struct agent agent[AGENTS_MAX];
    uint32_t count;
    struct agent *first[WORLD_NODES_MAX + 1], **last[WORLD_NODES_MAX + 1]; /* by node */
    struct agent_handle *handles[WORLD_NODES_MAX + 1];                     /* by node */
    uint32_t life[WORLD_NODES_MAX + 1];                                    /* of the history */
    uint32_t message_bytes_max;
    uint32_t segment_bytes; /* of the segment each begins with */
    uint64_t read, sent;
    bool trace;   /* print what is read */
    bool lawless; /* frames lie: what is read is not looked at */
};

void agents_init(struct agents *a, struct world *world, struct history *history,
                 struct verdict *verdict);
struct agent *agent_add(struct agents *a, uint32_t node, uint64_t seed);

/* What is done to agents. */
void agent_connect(struct agent *g, uint32_t flags);
void agent_join(struct agent *g, int32_t group); /* AGENT_NO_GROUP: leave */
void agent_send(struct agent *g, const struct agent_burst *burst);
void agent_stall(struct agent *g, uint64_t ns);
void agent_slow(struct agent *g, uint64_t ns, uint64_t pace_ns);
void agent_keep(struct agent *g, uint64_t ns, uint64_t keep_ns);
void agent_die(struct agent *g);

/* world_ops call these: what the core said, and after a turn. */
void agents_event(struct agents *a, struct world_node *node, const struct core_event *event);
uint64_t agents_turned(struct agents *a, struct world_node *node);
/* A node is going down, in one way or another. */
/* Nothing runs on a node for a while, its clients neither. */
void agents_pause(struct agents *a, uint32_t node);
void agents_node_stops(struct agents *a, uint32_t node);
void agents_node_down(struct agents *a, uint32_t node);
void agents_node_up(struct agents *a, uint32_t node, uint32_t life);
void agents_free(struct agents *a);

/* Everything sent, everything read, nothing kept, and all are what they want to be. */
bool agents_are_done(const struct agents *a);
/* So many messages, and so many bytes at most, are not sent yet, or not by all. */
void agents_left(const struct agents *a, uint64_t *messages, uint64_t *bytes);
/* The end has come: whoever is slow reads now, and nobody sends more. */
void agents_settle(struct agents *a);

/* agent_read.c: what waits in the queue. False when the verdict is spoken. */
bool agent_read(struct agent_handle *h, uint64_t *again_ns);
/* Payload that was kept is looked at again, and given back. */
bool agent_give_back(struct agent_handle *h, uint64_t now_ns, uint64_t *again_ns);

#endif
