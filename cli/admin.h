/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CLI_ADMIN_H
#define CLI_ADMIN_H

/*
 * admin.h - asking the local daemon about itself, over its control socket.
 *
 * Knows:      where the socket is, how to say hello, and what to tell people when that fails.
 * Knows not:  what is asked.
 */

#include "zcb.h"

/**
 * A connection to the daemon of this runtime directory, which has answered our hello. dir is empty
 * for the one that is found as programs find it, and then says where that was: see ctl_find().
 *
 * Owner:   the caller, close()
 * Errors:  -errno; -ENOENT nobody listens; -EAGAIN nobody answers; -EACCES it does not admit this
 *          user
 */
int admin_open(char dir[CTL_DIRECTORY_BYTES]);

/**
 * One request and its answer; *fd is -1 when no descriptor came with it.
 *
 * Errors:  -EACCES, -EBUSY as the daemon said; -ECONNRESET it has gone; -EPROTO anything else that
 *          it says; -errno
 */
int admin_ask(int control, enum ctl_type type, uint32_t arg, struct ctl_answer *answer, int *fd);

/* Why this command came to nothing, and what can be done. */
void admin_explain(const char *command, const char *dir, int error);

#endif
