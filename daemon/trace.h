/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef DAEMON_TRACE_H
#define DAEMON_TRACE_H

#include "ring.h"

/**
 * A trace record of the ring as one line. Returns the priority it is worth (LOG_NOTICE: the
 * membership; LOG_DEBUG: how it came about).
 */
int trace_format(const struct ring_trace *trace, char *text, size_t bytes);

#endif
