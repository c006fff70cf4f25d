/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CLI_DEMO_LOG_H
#define CLI_DEMO_LOG_H

/*
 * demo_log.h - what one client saw, in order: the file that the final comparison reads.
 *
 * A client's life is one handle: from its opening to the loss of the service or the end. Messages
 * are numbered from 0 in each life, so (node, life, number) names one message for ever. Numbers of
 * one sender that follow each other without anything between them are one entry.
 *
 * Knows:      entries and how they are packed.
 * Knows not:  what they mean together: demo_verify.h.
 */

#include <stdio.h>

#include "synchrotron/types.h"

enum demo_entry_kind {
    DEMO_LOG_LIFE = 1, /* life: a handle was opened */
    DEMO_LOG_RING,     /* node: representative, number: ring seq */
    DEMO_LOG_VIEW,     /* number: nodes with a member, a bit each */
    DEMO_LOG_RUN,      /* node, life, number, count: messages delivered */
    DEMO_LOG_LOST,     /* number: messages accepted in this life; the service was lost */
    DEMO_LOG_END,      /* number: messages accepted in this life; all went well */
};

struct demo_entry {
    uint32_t kind;
    uint32_t count;
    uint32_t node;
    uint32_t life;
    uint64_t number;
};

struct demo_log {
    FILE *file;
    struct demo_entry run; /* open; count 0: none */
};

/* Errors: -errno of the first failed write, seen at the latest by demo_log_close(). */
int demo_log_open(struct demo_log *log, const char *path);
void demo_log_message(struct demo_log *log, uint32_t node, uint32_t life, uint64_t number);
void demo_log_entry(struct demo_log *log, struct demo_entry entry);
int demo_log_close(struct demo_log *log);

/* A whole log in memory. */
struct demo_history {
    const struct demo_entry *entry;
    size_t count;
};

/* Owner: the caller, demo_history_unmap(). Errors: -errno; -EPROTO not a whole log */
int demo_history_map(struct demo_history *history, const char *path);
void demo_history_unmap(struct demo_history *history);

#endif
