/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CLI_DEMO_CLIENT_H
#define CLI_DEMO_CLIENT_H

/*
 * demo_client.h - one client of the demo: an ordinary CPG program that sends, and checks.
 *
 * Joins, keeps a window of messages under way, checks every message it gets and writes down the
 * order; when its service dies it finalizes and opens a new handle, as any program has to.
 *
 * Knows:      the CPG interface and the board; which daemon: SYNCHROTRON_RUNTIME_DIR.
 * Knows not:  other clients, daemons, what is right in the end.
 */

/* Before the fill; everything is covered by the checksum, whatever the length. */
struct demo_message;

enum {
    DEMO_MESSAGE_BYTES_LEAST = 64,
    DEMO_MESSAGE_BYTES_MAX = 1 << 20,
    DEMO_WINDOW = 64, /* own messages under way */
};

#define DEMO_CLIENT_COMMAND "demo-client" /* NODE BOARD-FD LOG-PATH BYTES; not for people */

/* Returns an exit status. */
int demo_client_main(int argc, char **argv);

#endif
