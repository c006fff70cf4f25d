/* SPDX-License-Identifier: BSD-3-Clause */
#include "payload.h"

#include <string.h>

#include "draw.h"

/* 20 bits of member, 28 of number, and 16 that check them and the length. */
static uint64_t name_word(struct payload_name name, uint32_t bytes)
{
    uint64_t id = (uint64_t)name.member << 28 | name.number;
    return id << 16 | (draw_mix(id, bytes) & 0xffff);
}

static uint64_t key_of(struct payload_name name)
{
    return draw_mix(name.member + 1, name.number);
}

#define STEP UINT64_C(0x9e3779b97f4a7c15)

/* Each word is the one before and a step. */
static uint64_t word_at(uint64_t key, uint64_t index)
{
    return (key + index) * STEP;
}

void payload_write(uint8_t *to, struct payload_name name, uint32_t bytes)
{
    uint64_t word = name_word(name, bytes);
    memcpy(to, &word, min_u32(8, bytes));
    word = word_at(key_of(name), 1);
    uint32_t at = 8;
    for (; at + 8 <= bytes; at += 8, word += STEP)
        memcpy(to + at, &word, 8);
    if (at < bytes)
        memcpy(to + at, &word, bytes - at);
}

void payload_start(struct payload_reader *reader, uint32_t bytes)
{
    *reader = (struct payload_reader){ .bytes = bytes };
}

static void learn_name(struct payload_reader *reader)
{
    uint64_t word;
    memcpy(&word, reader->start, sizeof(word));
    reader->name =
        (struct payload_name){ .member = (uint32_t)(word >> 44),
                               .number = (uint32_t)(word >> 16 & ((UINT32_C(1) << 28) - 1)) };
    reader->named = true;
    reader->damaged = word != name_word(reader->name, reader->bytes);
    reader->key = key_of(reader->name);
}

static const uint8_t *read_name(struct payload_reader *reader, const uint8_t *data,
                                const uint8_t *end)
{
    while (data < end && reader->at < PAYLOAD_NAME_BYTES)
        reader->start[reader->at++] = *data++;
    if (reader->at == PAYLOAD_NAME_BYTES && !reader->named)
        learn_name(reader);
    return data;
}

/* Whole words, from one on: many at a time. */
static const uint8_t *read_words(struct payload_reader *reader, const uint8_t *data,
                                 const uint8_t *end)
{
    uint64_t word = word_at(reader->key, reader->at / 8), differ = 0;
    size_t count = (size_t)(end - data) / 8;
    for (size_t i = 0; i < count; i++, word += STEP) {
        uint64_t have;
        memcpy(&have, data + 8 * i, 8);
        differ |= have ^ word;
    }
    reader->damaged |= differ != 0;
    reader->at += (uint32_t)(8 * count);
    return data + 8 * count;
}

void payload_read(struct payload_reader *reader, const uint8_t *data, uint32_t bytes)
{
    const uint8_t *end = data + bytes;
    if (bytes > reader->bytes - reader->at) {
        reader->damaged = true;
        return;
    }
    data = read_name(reader, data, end);
    while (data < end) {
        if (reader->at % 8 == 0 && end - data >= 8) {
            data = read_words(reader, data, end);
            continue;
        }
        uint64_t word = word_at(reader->key, reader->at / 8), have = 0;
        uint32_t skip = reader->at % 8;
        uint32_t part = (uint32_t)min_u64(8 - skip, (uint64_t)(end - data));
        memcpy((uint8_t *)&have + skip, data, part);
        uint64_t mask = (part == 8 ? 0 : UINT64_C(1) << 8 * part) - 1;
        if ((have ^ word) & (mask << 8 * skip))
            reader->damaged = true;
        reader->at += part;
        data += part;
    }
}

bool payload_sound(const struct payload_reader *reader)
{
    return !reader->damaged && reader->at == reader->bytes;
}

uint64_t payload_short(const struct payload_reader *reader)
{
    uint64_t word = 0;
    memcpy(&word, reader->start, min_u32(reader->at, PAYLOAD_NAME_BYTES));
    return word;
}

bool payload_is(uint64_t start, struct payload_name name, uint32_t bytes)
{
    uint64_t word = name_word(name, bytes);
    uint64_t mask = bytes >= 8 ? UINT64_MAX : (UINT64_C(1) << 8 * bytes) - 1;
    return ((start ^ word) & mask) == 0;
}
