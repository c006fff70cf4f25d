/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef DAEMON_LOG_H
#define DAEMON_LOG_H

/*
 * log.h - lines for people: standard error, a file, syslog, and the black box.
 *
 * Knows:      where lines go, by the configuration.
 * Knows not:  what they are about. But no place in the sources logs without end: log_limit.h.
 * Thread:     control thread. The poll core only counts and emits trace events.
 *
 * The logging library keeps its state in globals of its own, so that this unit has one too: there
 * is one log a process.
 */

#include <stdbool.h>
#include <syslog.h>

#include "config.h"

/**
 * Open what the configuration asks for. Before it, and when something cannot be opened, lines go
 * to standard error.
 *
 * Errors:  -errno of the log file; everything else is open then
 */
int log_open(const struct config *config, bool to_stderr);
void log_close(void);

/* After the process has given up its terminal. */
void log_stderr_off(void);

/* Write the black box beside the state files; the path is logged. 0 or -errno. */
int log_dump(void);

/* On a crash write the black box, too, then die of the signal as before. */
void log_dump_on_crash(void);

__attribute__((format(printf, 4, 5))) void log_line(int priority, const char *file, int line,
                                                    const char *format, ...);

#define log_error(...)   log_line(LOG_ERR, __FILE__, __LINE__, __VA_ARGS__)
#define log_warning(...) log_line(LOG_WARNING, __FILE__, __LINE__, __VA_ARGS__)
#define log_notice(...)  log_line(LOG_NOTICE, __FILE__, __LINE__, __VA_ARGS__)
#define log_info(...)    log_line(LOG_INFO, __FILE__, __LINE__, __VA_ARGS__)
#define log_debug(...)   log_line(LOG_DEBUG, __FILE__, __LINE__, __VA_ARGS__)

#endif
