/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CLI_STATUS_TABLE_H
#define CLI_STATUS_TABLE_H

/*
 * status_table.h - a JSON object for people: plain members as lines, lists of objects as tables.
 *
 * Knows:      shapes, not meanings: whatever the daemon adds is shown.
 */

#include <stdio.h>

#include <jansson.h>

/* Object members come in their own order; those whose value is 0 or empty in a group of counters
 * are left out. */
void status_table_print(FILE *out, const json_t *status);

#endif
