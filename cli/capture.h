/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CLI_CAPTURE_H
#define CLI_CAPTURE_H

/*
 * capture.h - `synchrotron capture`: what the local node's ring sends and receives, as pcapng.
 *
 * Knows:      the tape that the daemon writes, files, when to end.
 * Knows not:  what frames say: that is the dissector's.
 * Invariants: R1  however it ends, the file is complete: its last block says what was lost
 */

/* Returns an exit status: 0, 1 no daemon, no permission or no file, 2 wrong options. */
int capture_main(int argc, char **argv);

#endif
