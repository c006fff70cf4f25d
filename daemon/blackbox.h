/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef DAEMON_BLACKBOX_H
#define DAEMON_BLACKBOX_H

/*
 * blackbox.h - the last lines of the log, debug lines too, kept in memory for the hour of need.
 *
 * Our own and not libqb's, which keeps files in /dev/shm that a killed daemon leaves behind, and
 * which cannot be written out safely from the handler of a crash.
 *
 * Knows:      a ring of bytes; how to write it out with nothing but write(2).
 * Invariants: B1  the newest BLACKBOX_BYTES of lines are there
 *             B2  a dump begins at the start of a line
 * Thread:     control thread adds; a dump may come from any thread's signal handler, and then the
 *             line being added may be torn
 */

#include <stddef.h>

enum { BLACKBOX_BYTES = 256 * 1024 };

struct blackbox {
    size_t written; /* bytes ever */
    char text[BLACKBOX_BYTES];
};

/* Add a line; a newline is added to it. */
void blackbox_add(struct blackbox *box, const char *line, size_t bytes);

/* Write it out. 0 or -errno. Safe in a signal handler. */
int blackbox_dump(const struct blackbox *box, int fd);

#endif
