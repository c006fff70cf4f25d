/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_SIM_GROUPS_NAMES_H
#define TESTS_SIM_GROUPS_NAMES_H

/*
 * groups_names.h - what the groups of a run are called: N1 and N2 have them all be different.
 */
#include <string.h>

#include "core.h"
#include "history.h"

static inline struct core_name group_name(uint32_t group)
{
    static const char *const plain[] = { "", "a", "a\0", "\0", "b" };
    static const uint8_t bytes[] = { 0, 1, 2, 1, 1 };
    struct core_name name = { 0 };
    if (group < ARRAY_COUNT(plain)) {
        name.bytes = bytes[group];
        memcpy(name.value, plain[group], name.bytes);
    } else {
        name.bytes = CTL_NAME_BYTES - (group - (uint32_t)ARRAY_COUNT(plain));
        memset(name.value, 'x', name.bytes);
    }
    return name;
}

/* HIST_NOBODY: none of ours. */
static inline uint32_t group_named(const uint8_t *value, uint32_t bytes)
{
    for (uint32_t group = 0; group < HIST_GROUPS; group++) {
        struct core_name name = group_name(group);
        if (name.bytes == bytes && memcmp(name.value, value, bytes) == 0)
            return group;
    }
    return HIST_NOBODY;
}

#endif
