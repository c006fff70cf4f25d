/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CLI_DEMO_REPORT_H
#define CLI_DEMO_REPORT_H

/*
 * demo_report.h - what the demo prints: as it goes, and in the end.
 *
 * Knows:      words, columns and the JSON object.
 * Knows not:  processes; what it prints is handed in or lies on the board.
 */

#include <stdio.h>

#include "demo_board.h"
#include "demo_verify.h"

struct demo_options {
    int nodes;
    int seconds;
    uint32_t message_bytes;
    const char *transport;
    bool json;
};

/* What came out. Times are 0 when the thing did not happen. */
struct demo_outcome {
    struct demo_verdict verdict;
    uint64_t damaged;
    uint64_t send_ns; /* from the first message to the order to stop */
    uint64_t form_ns, view_change_ns, merge_ns;
    int killed_node;
    bool good;
};

struct demo_report {
    const struct demo_options *options;
    const struct demo_board *board;
    FILE *out; /* NULL: nothing is shown as it goes */
    uint64_t start_ns, last_ns;
    uint64_t delivered[DEMO_NODES_MAX + 1]; /* at the last line */
    struct histogram_sum latency[DEMO_NODES_MAX + 1];
};

/* A line of its own: something happened. */
__attribute__((format(printf, 2, 3))) void demo_report_event(struct demo_report *report,
                                                             const char *format, ...);

/* Column heads; rates count from here. */
void demo_report_begin(struct demo_report *report);

/* One line: rate and latency of each node since the last one. */
void demo_report_rates(struct demo_report *report, uint64_t down_nodes);

void demo_report_end(struct demo_report *report, const struct demo_outcome *outcome);

/* "1", "1 and 2", "1, 2 and 4". Shapes: text[128] */
void demo_report_nodes(char *text, uint64_t nodes);

#endif
