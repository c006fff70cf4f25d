/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_FAKE_CORE_H
#define TESTS_FAKE_CORE_H

/*
 * fake_core.h - a poll core of no substance behind core.h: it answers what the control thread asks
 * for, or holds its answers back, and remembers everything.
 *
 * Thread: control thread calls core.h; a test may call fake_* from another thread.
 */

#include <pthread.h>

#include "core.h"

enum { FAKE_COMMANDS = 8192, FAKE_EVENTS = 8192, FAKE_CLIENTS = 4096 };

struct core {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int event_fd;
    struct core_command commands[FAKE_COMMANDS];
    int command_count;
    struct core_event events[FAKE_EVENTS];
    int event_head, event_tail;
    struct core_client_setup client[FAKE_CLIENTS];
    uint32_t segment_arena[FAKE_CLIENTS][CHAN_SEGMENT_COUNT];
    struct core_name group; /* of the last join */
    uint32_t entry_count;   /* what CORE_ITERATE has */
    uint32_t error;         /* the answer to CLIENT_ADD and SEGMENT_ADD when not 0 */
    int memory_count;       /* segments the transport knows */
    uint32_t segment_key;   /* of the last CORE_SEGMENT_ADD */
    bool memory_full;       /* it takes no more */
    uint32_t held_type;     /* commands of this type are not answered */
    bool full;              /* the command queue has no room */
};

void fake_core_init(struct core *core);
void fake_core_free(struct core *core);

/* Anything the core could say. */
void fake_say(struct core *core, const struct core_event *event);
void fake_answer(struct core *core, const struct core_command *command, uint32_t error,
                 uint32_t arg);

/* Set under the lock. */
void fake_hold(struct core *core, uint32_t type);
void fake_set_full(struct core *core, bool full);

/* Wait until so many commands of a type have come; the last of them. Ends the test after seconds
 * without. */
struct core_command fake_wait(struct core *core, uint32_t type, int count);
int fake_count(struct core *core, uint32_t type);

#endif
