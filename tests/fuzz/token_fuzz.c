/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * token_fuzz.c - tokens that nobody sent, at a ring that is formed and has messages. Claims:
 * live_ring.h.
 */
#include "live_ring.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return live_fuzz(data, size, WIRE_TOKEN, LIVE_FORMED);
}
