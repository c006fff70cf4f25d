/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SYSTEM_INTRUDER_H
#define SYSTEM_INTRUDER_H

/*
 * intruder.h - a client without the library: it has the channel in its own hands and writes there
 * what it likes. Honest so far as nothing else is said; how it breaks the rules is up to the case.
 *
 *   intruder.c           the client
 *   hostile.c            nonsense in the up channel: each offence of core.h
 *   hostile_control.c    nonsense on the control socket
 *   hostile_memory.c     writing where only others may
 */

#include "probe.h"
#include "zcb.h"

enum { HELLO_FDS = 5, SEGMENT_BYTES = 64 * 1024 };
enum hello_fd { FD_UP, FD_DOWN, FD_CORE, FD_RX, FD_WAKE };

struct intruder {
    int control;
    int fds[HELLO_FDS]; /* as they came, still open */
    struct ctl_hello hello;
    struct chan_up *up;
    const struct chan_down *down;
    struct spsc_producer submit, done;
    struct spsc_consumer events;
    uint32_t segment, segment_arena;
    uint8_t *tx; /* NULL: no segment yet */
    int tx_fd;
    uint64_t end; /* position behind the last message sent */
};

/* A connected control socket, and nothing said yet. */
int intruder_knock(void);
/* A request, and its answer; *fd is what came with it. Returns the answer's error. */
uint32_t intruder_ask(struct intruder *i, enum ctl_type type, uint32_t arg, uint64_t arg64,
                      const char *name, struct ctl_answer *answer, int *fd);
/* Hello, and everything mapped. */
void intruder_enter(struct intruder *i);
/* Enter, join, get a segment, and see the own view. */
void intruder_join(struct intruder *i, const char *group);

/* What a message in the own segment that breaks no rule looks like. */
struct chan_submit intruder_message(const struct intruder *i, uint32_t bytes);
void intruder_push(struct intruder *i, const struct chan_submit *entry);
/* The poll core may sleep. */
void intruder_ring_bell(const struct intruder *i);

/* Wait for the next event, copy it, take it or leave it there. */
struct chan_event intruder_next(struct intruder *i, bool take);
void intruder_give_back(struct intruder *i, uint32_t lease);

/* We were thrown out: both sockets have ended. And for this reason. */
void intruder_expect_end(const struct intruder *i);
void intruder_expect_eviction(const struct intruder *i);

#endif
