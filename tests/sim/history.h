/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_SIM_HISTORY_H
#define TESTS_SIM_HISTORY_H

/*
 * history.h - what happened in one run, as those who saw it tell: every client its events, every
 * node's ring its deliveries. And what was asked for: memberships, messages that were accepted.
 *
 * Knows:      who saw what in which order, and when; not payload, but who a message says it is.
 * Knows not:  how any of it came about: it is all that the checkers may look at.
 */
#include "ring.h"
#include "zcb.h"

enum { HIST_NOBODY = UINT32_MAX, HIST_GROUPS = 12 };

/* Growing arrays. */
#define HIST_LIST(type)       \
    struct {                  \
        type *at;             \
        uint32_t count, room; \
    }

/* How a membership came to its end, as far as the plan and the control thread know. */
enum hist_end {
    HIST_STAYS,
    HIST_LEFT,      /* asked to leave */
    HIST_DIED,      /* its process ended, or closed its handle */
    HIST_EVICTED,   /* the service threw it out */
    HIST_STOPPED,   /* its service was stopped in good order */
    HIST_NODE_LOST, /* its service died */
};

struct hist_sent {
    uint32_t bytes;
    uint32_t seen; /* events of its handle that were read before */
    uint8_t guarantee;
};

/* One membership of one handle, from the join that was accepted. */
struct hist_member {
    uint32_t handle, node, pid, group;
    uint64_t since_ns, until_ns; /* asked; 0: never asked to end */
    enum hist_end end;
    HIST_LIST(struct hist_sent) sent; /* accepted messages, by number */
};

enum hist_kind { HIST_MESSAGE, HIST_VIEW, HIST_RING };

enum {
    HIST_UNNAMED = 1 << 0,    /* MESSAGE: too short to say who it is */
    HIST_FIRST_RING = 1 << 1, /* RING: the extra one after the first join */
};

/* One event of one handle. */
struct hist_event {
    uint8_t kind, flags;
    uint16_t zero;
    uint32_t node, pid; /* MESSAGE: its sender, by the event */
    uint32_t member;    /* MESSAGE: sender's membership, by the payload */
    uint32_t number;    /* MESSAGE */
    uint32_t bytes;     /* MESSAGE */
    uint32_t index;     /* VIEW, RING: in views, rings */
    uint64_t start;     /* MESSAGE, unnamed: its bytes */
    uint64_t at_ns;
};

/* One connection of one process. */
struct hist_handle {
    uint32_t node, life, index;
    bool wants_rings, wants_first;
    bool slow;    /* at times it did not read, or kept what it read */
    bool evicted; /* the service says so, */
    bool ended;   /* or it ended before it had read all */
    uint64_t since_ns;
    HIST_LIST(struct hist_event) log;
};

struct hist_view {
    uint32_t member_count, left_count, joined_count, flags; /* CHAN_VIEW_* */
    uint32_t group;                                         /* by its name */
    uint32_t address; /* in addresses: members, left, joined */
};

struct hist_ring {
    struct ring_id id;
    uint32_t member_count;
    uint32_t node; /* in nodes */
};

/* One delivery of one ring. */
struct hist_delivery {
    uint8_t kind;    /* enum ring_delivery_kind */
    uint8_t safe;    /* FRAME: one of its messages is SAFE */
    uint16_t pieces; /* FRAME: so many of its life's pieces, the next ones */
    uint32_t sender;
    uint64_t seq;
    struct ring_id ring_id;
    uint64_t content; /* FRAME: a hash; configurations: members, one bit a node */
    uint64_t at_ns;
};

/* A message as a ring takes it, or a piece of one as it delivers it. What is urgent, on port 0, is
 * left out: it passes everything. */
struct hist_piece {
    uint64_t name; /* its message's first bytes; of a piece that is not the first nothing */
    uint32_t port;
    bool first, last;
};

/* One start of one node. */
struct hist_life {
    uint32_t node, number;
    bool over;    /* crashed or stopped: what it did not deliver it need not */
    bool forgets; /* started without its state directory */
    uint64_t since_ns, until_ns;
    HIST_LIST(struct hist_delivery) log;
    HIST_LIST(struct hist_piece) pieces; /* of all frames of the log */
    HIST_LIST(struct hist_piece) submitted;
};

struct history {
    HIST_LIST(struct hist_member) members;
    HIST_LIST(struct hist_handle) handles;
    HIST_LIST(struct hist_life) lives;
    HIST_LIST(struct hist_view) views;
    HIST_LIST(struct hist_ring) rings;
    HIST_LIST(struct chan_address) addresses;
    HIST_LIST(uint32_t) nodes;
    uint64_t calm_until_ns; /* before it nothing was done to the network or a node */
    uint64_t hash;          /* of everything, in the order it came */
    bool settled;           /* the end: all nodes in one ring, everything read */
};

void history_clear(struct history *h);

uint32_t history_life(struct history *h, uint32_t node, bool forgets, uint64_t now_ns);
uint32_t history_handle(struct history *h, const struct hist_handle *handle);
uint32_t history_member(struct history *h, const struct hist_member *member);
/* Its number. */
uint32_t history_sent(struct history *h, uint32_t member, const struct hist_sent *sent);
void history_message(struct history *h, uint32_t handle, const struct hist_event *event);
void history_view(struct history *h, uint32_t handle, const struct chan_view *view, uint32_t group,
                  uint64_t now_ns);
void history_ring(struct history *h, uint32_t handle, const struct chan_ring *ring, uint8_t flags,
                  uint64_t now_ns);
void history_delivery(struct history *h, uint32_t life, const struct hist_delivery *delivery);
/* A delivery of a ring, as it says it. */
void history_tell(struct history *h, uint32_t life, const struct ring_delivery *d, uint64_t now_ns);
/* A piece of the frame whose delivery comes next. */
void history_piece(struct history *h, uint32_t life, const struct hist_piece *piece);
void history_submitted(struct history *h, uint32_t life, const struct hist_piece *piece);
/* A message that a ring has taken. */
void history_submit(struct history *h, uint32_t life, const struct ring_message *message);
/* Anything else that a repeated run must do again. */
void history_mark(struct history *h, uint64_t value);

/* The membership that began with the n-th join of a handle, from 0; its n-th own JOIN view tells
 * of it. HIST_NOBODY: there was none. */
uint32_t history_nth_member(const struct history *h, uint32_t handle, uint32_t n);

/* The last event of a handle, in one line. */
void history_print(FILE *to, const struct history *h, uint32_t handle);

static inline const struct chan_address *history_addresses(const struct history *h,
                                                           const struct hist_view *view)
{
    return h->addresses.at + view->address;
}

#endif
