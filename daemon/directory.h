/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef DAEMON_DIRECTORY_H
#define DAEMON_DIRECTORY_H

#include <stddef.h>

/**
 * Make a directory and those above it, as far as they are missing, and look whether it can be
 * trusted: ours or root's, and nobody else may write in it. What lies there decides whom our
 * clients talk to.
 *
 * Shapes:  key is what the configuration calls it, for `why`
 * Errors:  -errno, and `why` is one line: what failed, why, what to do
 */
int directory_make(const char *key, const char *path, char *why, size_t why_bytes);

#endif
