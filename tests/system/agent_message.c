/* SPDX-License-Identifier: BSD-3-Clause */
#include "agent.h"

#include <string.h>

static uint64_t label_seed(const uint8_t *label)
{
    uint64_t seed = 14695981039346656037u;
    for (int i = 0; i < LABEL_BYTES && label[i]; i++)
        seed = (seed ^ label[i]) * 1099511628211u;
    return seed;
}

/* Eight bytes of a pattern that tells its place: a piece lost, doubled or moved does not fit. */
static uint64_t pattern(uint64_t seed, size_t at)
{
    uint64_t word = (seed + at) * 0x9e3779b97f4a7c15u;
    return word ^ (word >> 29);
}

void message_fill(uint8_t *bytes, size_t count, const char *label)
{
    uint8_t head[LABEL_BYTES] = { 0 };
    memcpy(head, label, strnlen(label, LABEL_BYTES));
    memcpy(bytes, head, count < LABEL_BYTES ? count : LABEL_BYTES);
    uint64_t seed = label_seed(head);
    for (size_t at = LABEL_BYTES; at < count; at += sizeof(uint64_t)) {
        uint64_t word = pattern(seed, at);
        size_t left = count - at;
        memcpy(bytes + at, &word, left < sizeof(word) ? left : sizeof(word));
    }
}

bool message_judge(const uint8_t *bytes, size_t count, char label[LABEL_BYTES + 1])
{
    uint8_t head[LABEL_BYTES] = { 0 };
    memcpy(head, bytes, count < LABEL_BYTES ? count : LABEL_BYTES);
    memcpy(label, head, LABEL_BYTES);
    label[LABEL_BYTES] = 0;
    for (char *c = label; *c; c++)
        if (*c < ' ' || *c > '~' || *c == '"' || *c == '\\')
            *c = '?';
    uint64_t seed = label_seed(head);
    for (size_t at = LABEL_BYTES; at < count; at += sizeof(uint64_t)) {
        uint64_t word = pattern(seed, at);
        size_t left = count - at;
        if (memcmp(bytes + at, &word, left < sizeof(word) ? left : sizeof(word)) != 0)
            return false;
    }
    return true;
}
