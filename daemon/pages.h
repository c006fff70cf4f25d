/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef DAEMON_PAGES_H
#define DAEMON_PAGES_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

enum { PAGE_BYTES = 4096 };

/* Memory of our own whose pages are all there before they are needed; what is in it nobody knows.
 * The caller's to free(). NULL: there is none. */
static inline void *pages_take(size_t bytes)
{
    size_t whole = (bytes + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
    uint8_t *memory = aligned_alloc(PAGE_BYTES, whole);
    for (size_t at = 0; memory && at < whole; at += PAGE_BYTES)
        memory[at] = 0;
    return memory;
}

#endif
