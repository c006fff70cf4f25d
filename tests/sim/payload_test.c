/* SPDX-License-Identifier: BSD-3-Clause */
#include "payload.h"

#include <string.h>

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

enum { BYTES_MAX = 200 };

static bool reads(const uint8_t *data, uint32_t bytes, uint32_t run, struct payload_reader *reader)
{
    payload_start(reader, bytes);
    for (uint32_t at = 0; at < bytes; at += run)
        payload_read(reader, data + at, min_u32(run, bytes - at));
    return payload_sound(reader);
}

Test(payload, says_who_it_is_in_whatever_runs_it_comes)
{
    const struct payload_name name = { 77, 123456 };
    for (uint32_t bytes = 0; bytes <= BYTES_MAX; bytes++) {
        uint8_t data[BYTES_MAX + 1] = { 0 };
        payload_write(data, name, bytes);
        cr_expect(zero(u8, data[bytes]), "%u bytes and no more", bytes);
        for (uint32_t run = 1; run <= bytes + 1; run++) {
            struct payload_reader reader;
            cr_expect(reads(data, bytes, run, &reader), "%u bytes by %u", bytes, run);
            cr_expect(eq(int, reader.named, bytes >= PAYLOAD_NAME_BYTES));
            cr_expect(payload_is(payload_short(&reader), name, min_u32(bytes, 7)) || bytes > 7);
            if (reader.named)
                cr_expect(reader.name.member == name.member && reader.name.number == name.number);
        }
    }
}

Test(payload, one_bit_is_seen_wherever_it_is)
{
    const struct payload_name name = { 5, 6 };
    uint8_t data[BYTES_MAX];
    struct payload_reader reader;
    payload_write(data, name, sizeof(data));
    for (uint32_t bit = 0; bit < 8 * sizeof(data); bit++) {
        data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        cr_expect(not(reads(data, sizeof(data), 13, &reader)), "bit %u", bit);
        cr_expect(not(reads(data, sizeof(data), sizeof(data), &reader)), "bit %u", bit);
        data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    cr_expect(reads(data, sizeof(data), 13, &reader));
    cr_expect(not(reads(data, sizeof(data) - 1, 13, &reader)), "another length");
}

Test(payload, a_short_one_is_known_by_its_bytes)
{
    uint8_t data[PAYLOAD_NAME_BYTES] = { 0 };
    struct payload_reader reader;
    payload_write(data, (struct payload_name){ 3, 9 }, 5);
    cr_expect(reads(data, 5, 2, &reader));
    cr_expect(payload_is(payload_short(&reader), (struct payload_name){ 3, 9 }, 5));
    cr_expect(not(payload_is(payload_short(&reader), (struct payload_name){ 3, 10 }, 5)));
}
