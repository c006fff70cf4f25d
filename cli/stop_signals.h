/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CLI_STOP_SIGNALS_H
#define CLI_STOP_SIGNALS_H

/*
 * stop_signals.h - SIGINT, SIGTERM and SIGHUP as something to read between two steps, so that a
 * command ends in order wherever it is.
 */

/**
 * Blocks them in this thread, and in those it starts. The descriptor gives struct signalfd_siginfo,
 * and EAGAIN while there is none.
 *
 * Owner:   the caller, close()
 * Errors:  -errno
 */
int stop_signals_open(void);

#endif
