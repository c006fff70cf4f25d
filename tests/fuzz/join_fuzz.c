/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * join_fuzz.c - JOINs that nobody sent, at a node that gathers, or at a ring that is formed.
 * Claims: live_ring.h.
 */
#include "live_ring.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct live live;
    if (size == 0)
        return 0;
    live_open(&live, 1 + data[0] % 2, data + 1, size - 1);
    if (data[0] & 2)
        live_form(&live);
    live_run(&live, WIRE_JOIN);
    live_close(&live);
    return 0;
}
