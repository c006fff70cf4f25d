/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef DAEMON_STATE_H
#define DAEMON_STATE_H

/*
 * state.h - what must survive a restart: how far ring numbers are reserved, and how often this
 * node has started.
 *
 * One small text file a node and cluster, replaced as a whole: written beside, synced, renamed
 * over, and the directory synced. A crash leaves the old one or the new one.
 *
 * A second file is locked as long as a daemon runs, so that two never write the first.
 *
 * Invariants: S1  a ring seq that was answered as written is read again after any crash
 *             S2  the numbers never go back
 *             S3  clients that leave us no descriptor do not keep us from writing: the ring waits
 *                 for it
 * Thread:     control thread; calls wait for the disk
 */

#include "config.h"

struct state {
    char directory[CONFIG_PATH_BYTES];
    char name[48], name_new[56];
    int lock_fd;
    int spare_fd[2]; /* make room for a write (S3); not above 0: none */
    uint64_t ring_seq;
    uint64_t starts;
    uint64_t incarnation; /* differs between starts also when starts could not be written */
    int failing;          /* errno of the last write, 0: it went well */
};

/**
 * Make the directory if need be, read the file if there is one, and count this start.
 *
 * Errors:  -EADDRINUSE another daemon is this node; -errno: a directory or file that cannot be used
 *          at all; `why` is one line. A disk that is full is no error here: state->failing says
 *          so, and ring numbers wait.
 */
int state_open(struct state *state, const struct config *config, char *why, size_t why_bytes);
void state_close(struct state *state);

/* Put a reservation on disk. 0, or -errno: it may not be there, ask again later. */
int state_reserve(struct state *state, uint64_t ring_seq);

/* The file's text, and back; false when it is not such a text. For tests and fuzzers, too. */
int state_format(const struct state *state, char *text, size_t bytes);
bool state_parse(struct state *state, const char *text, size_t bytes);

#endif
