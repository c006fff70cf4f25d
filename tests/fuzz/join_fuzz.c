/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * join_fuzz.c - JOINs that nobody sent, at a node that gathers, or at a ring that is formed.
 * Claims: live_ring.h.
 */
#include "live_ring.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return live_fuzz(data, size, WIRE_JOIN, LIVE_FORMED_OR_NOT);
}
