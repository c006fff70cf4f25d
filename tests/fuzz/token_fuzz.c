/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * token_fuzz.c - tokens that nobody sent, at a ring that is formed and has messages. Claims:
 * live_ring.h.
 */
#include "live_ring.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct live live;
    if (size == 0)
        return 0;
    live_open(&live, 1 + data[0] % 2, data + 1, size - 1);
    live_form(&live);
    live_run(&live, WIRE_TOKEN);
    live_close(&live);
    return 0;
}
