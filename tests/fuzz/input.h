/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_FUZZ_INPUT_H
#define TESTS_FUZZ_INPUT_H

/*
 * input.h - a fuzzer's input, read as a script. Behind its end everything is zero.
 */
#include <string.h>

#include "synchrotron/types.h"

struct input {
    const uint8_t *at, *end;
};

static inline bool input_left(const struct input *in)
{
    return in->at < in->end;
}

static inline uint8_t input_byte(struct input *in)
{
    return in->at < in->end ? *in->at++ : 0;
}

static inline void input_bytes(struct input *in, void *to, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        ((uint8_t *)to)[i] = input_byte(in);
}

static inline uint32_t input_below(struct input *in, uint32_t below)
{
    return input_byte(in) % below;
}

/* A number to put in the place of another: near it, one that is often wrong, or any. */
static inline uint64_t input_value(struct input *in, uint64_t before)
{
    static const uint64_t likely[] = { 0,          1,          2,
                                       64,         1024,       8192,
                                       INT32_MAX,  UINT32_MAX, UINT64_MAX / 2 - 1,
                                       UINT64_MAX, INT64_MAX,  UINT64_C(1) << 32 };
    uint8_t what = input_byte(in);
    uint64_t value = 0;
    switch (what & 3) {
    case 0:
        return likely[(what >> 2) % ARRAY_COUNT(likely)];
    case 1:
        return before + (uint64_t)(what >> 2) - 32;
    case 2:
        return what >> 2;
    default:
        input_bytes(in, &value, (size_t)(what >> 2) % sizeof(value) + 1);
        return value;
    }
}

#endif
