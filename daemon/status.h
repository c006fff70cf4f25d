/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef DAEMON_STATUS_H
#define DAEMON_STATUS_H

/*
 * status.h - everything about this daemon as one JSON object: for CTL_STATUS.
 *
 * Knows:      names and units of what the core and the control thread count.
 * Invariants: J1  memory.total_bytes is the sum of the bytes of its parts
 */

#include "control.h"

/* entries: of CORE_ITERATE, all groups and members. The caller frees; NULL: no memory. */
char *status_json(const struct control *c, const struct core_status *status,
                  const struct ctl_iteration_entry *entries, uint32_t entry_count);

#endif
