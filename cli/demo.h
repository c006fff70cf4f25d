/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CLI_DEMO_H
#define CLI_DEMO_H

/*
 * demo.h - `synchrotron demo`: a cluster on this machine, one daemon killed and started again, and
 * the order that every member saw compared in the end.
 */

/* Returns an exit status: 0 only if the order agreed and nothing was lost. */
int demo_main(int argc, char **argv);

#endif
