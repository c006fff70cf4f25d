/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SYSTEM_AGENT_H
#define SYSTEM_AGENT_H

/*
 * agent.h - a CPG program that does as it is told: the hands of the system tests.
 *
 *   agent.c          commands, callbacks, the loop
 *   agent_message.c  what messages hold: a label, and a pattern that tells whether all came right
 *   agent_flood.c    handles that send as fast as they can, beside everything else
 *   agent_say.c      what is said to the test, which never waits for it to listen
 *
 * It knows nothing but corosync/cpg.h, so that the same source builds against Corosync's headers.
 * Commands come on standard input, one a line, `ID VERB HANDLE [ARGUMENT ...]`; each is answered by
 * one JSON line {"a": ID, "r": cs_error, ...}. What callbacks see is told as JSON lines {"e": ...}
 * in their order. Group names are written as hex, "-" is the empty one.
 *
 * One thread: while a call blocks, nothing else happens, and the test can see that.
 */

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include <corosync/cpg.h>

enum { HANDLES_MAX = 512, LABEL_BYTES = 32, WORDS_MAX = 16, LINE_BYTES = 8192, NAME_BYTES = 16 };

struct agent;

/* Send COUNT messages: LABEL:FIRST, LABEL:FIRST+1, ... */
struct flood {
    bool active, random_size;
    char id[NAME_BYTES]; /* of the command, for its answer */
    char label[LABEL_BYTES];
    int guarantee;
    size_t bytes;
    uint64_t first, count, sent, told;
    uint32_t draw;
    uint8_t *payload;
    size_t payload_bytes; /* of the message at hand; it stays the same until it is accepted */
    bool filled;
};

struct agent_handle {
    struct agent *agent;
    char name[NAME_BYTES];
    cpg_handle_t handle;
    bool used;
    bool dispatches; /* by itself; false: only when told to */
    int fd;
    unsigned nap_ms; /* how long each callback takes */
    unsigned pace;   /* messages that a flood sends in a ms; 0: as many as it can */
    FILE *record;    /* messages of floods go here and not to the test */
    uint64_t recorded;
    struct flood flood;
};

/* A message in a record file: little, because there are many. */
struct agent_record {
    uint32_t nodeid, pid;
    uint32_t number; /* behind the colon of its label */
    uint32_t bytes;  /* the highest bit: not what was sent */
};

struct saying {
    char *text;
    size_t used, room;
};

struct agent {
    struct agent_handle table[HANDLES_MAX];
    bool quit, spins; /* spins: a refused send is repeated at once */
    char line[LINE_BYTES];
    size_t line_bytes;
    struct saying saying;
};

/* Messages */
void message_fill(uint8_t *bytes, size_t count, const char *label);
/* The label of a message, made printable, and whether the rest of it is what that label says. */
bool message_judge(const uint8_t *bytes, size_t count, char label[LABEL_BYTES + 1]);

/* Floods. The answer comes when all are accepted, on an error, or when halted. */
void flood_start(struct agent_handle *h, const char *id, int argc, char **argv);
/* Send some; false: a message was refused, or that was enough for now, so wait a moment. */
bool flood_go_on(struct agent_handle *h);
void flood_end(struct agent_handle *h, int result);

/* Sayings */
__attribute__((format(printf, 2, 3))) void say(struct agent *agent, const char *format, ...);
void say_hex(struct agent *agent, const char *bytes, size_t count);
void say_answer(struct agent *agent, const char *id, int result);
/* Write what the pipe takes now; wait: all of it. */
void say_flush(struct agent *agent, bool wait);

#endif
