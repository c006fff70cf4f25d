/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * commit_fuzz.c - COMMITs that nobody sent, at a node that gathers alone or after a ring ended.
 * Claims: live_ring.h.
 */
#include "live_ring.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return live_fuzz(data, size, WIRE_COMMIT, LIVE_FORMED_OR_NOT);
}
