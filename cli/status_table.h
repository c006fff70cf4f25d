/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CLI_STATUS_TABLE_H
#define CLI_STATUS_TABLE_H

/*
 * status_table.h - a JSON object for people: plain members as lines, lists of objects as tables.
 *
 * Knows:      shapes, not meanings: whatever the daemon adds is shown.
 * Knows not:  order; members come as the daemon lists them.
 */

#include <stdio.h>

#include <jansson.h>

/* Below the top level members that are 0, null or empty are left out: most counters are 0. */
void status_table_print(FILE *out, const json_t *status);

#endif
