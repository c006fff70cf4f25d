/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CLI_STATUS_H
#define CLI_STATUS_H

/*
 * status.h - `synchrotron status`: what the local daemon says of itself.
 *
 * Knows:      the control socket, and how the daemon's object looks best on a screen.
 * Knows not:  what is in the object: members it does not know are shown by --json only.
 */

/* Returns an exit status: 0, 1 no daemon answers, 2 wrong options. */
int status_main(int argc, char **argv);

#endif
