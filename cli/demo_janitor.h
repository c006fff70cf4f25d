/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CLI_DEMO_JANITOR_H
#define CLI_DEMO_JANITOR_H

/*
 * demo_janitor.h - a process that removes a folder when the one that started it is done with it.
 *
 * It waits for the end of a pipe, which comes when the other side closes it or dies, by whatever
 * signal; then it removes the folder, for as long as others may still write there, and ends.
 */

#include <sys/types.h>

/* Errors: -errno; nothing runs, and the folder is left to the caller */
int demo_janitor_start(const char *folder, pid_t *janitor, int *pipe_end);

/* Close the pipe and wait until the folder is gone. Harmless when there is none. */
void demo_janitor_end(pid_t *janitor, int *pipe_end);

#endif
