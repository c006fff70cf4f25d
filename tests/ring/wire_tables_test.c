/* SPDX-License-Identifier: BSD-3-Clause */
#include "wire.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <string.h>

/* Made by the build: every place and size that scripts/wire_tables.py tells documentation and
 * dissector. */
#include <wire_asserts.h>

#include "wire_frames.h"

struct part {
    const char *field, *name;
    uint32_t bit, bits;
};

#define PART(field, name, bit, bits, meaning) { #field, #name, bit, bits },

static const struct part parts[] = { WIRE_CHUNK_BITS_TABLE(PART) };

static uint32_t part_of(struct wire_chunk c, const char *name)
{
    for (size_t i = 0; i < ARRAY_COUNT(parts); i++) {
        uint32_t word =
            strcmp(parts[i].field, "bytes_flags") == 0 ? c.bytes_flags : c.port_guarantee;
        if (strcmp(parts[i].name, name) == 0)
            return word >> parts[i].bit & ((1u << parts[i].bits) - 1);
    }
    cr_assert(false, "no part %s", name);
    return 0;
}

Test(wire_tables, parts_of_a_chunk_lie_where_the_table_says)
{
    struct wire_chunk c = wire_chunk_make(0xabcdef, 0, 0x123456, GUARANTEE_SAFE);
    cr_assert(eq(u32, part_of(c, "bytes"), 0xabcdef));
    cr_assert(eq(u32, part_of(c, "port"), 0x123456));
    cr_assert(eq(u32, part_of(c, "guarantee"), GUARANTEE_SAFE));
    static const struct {
        const char *name;
        uint32_t flag;
    } flags[] = { { "FIRST", WIRE_CHUNK_FIRST },
                  { "LAST", WIRE_CHUNK_LAST },
                  { "CONTROL", WIRE_CHUNK_CONTROL } };
    for (size_t i = 0; i < ARRAY_COUNT(flags); i++) {
        cr_assert(eq(u32, part_of(wire_chunk_make(0, flags[i].flag, 0, 0), flags[i].name), 1));
        cr_assert(zero(u32, part_of(wire_chunk_make(0, WIRE_CHUNK_FLAGS & ~flags[i].flag, 0, 0),
                                    flags[i].name)));
    }
}

Test(wire_tables, parts_do_not_overlap_and_all_flags_have_one)
{
    uint32_t taken[2] = { 0 };
    for (size_t i = 0; i < ARRAY_COUNT(parts); i++) {
        uint32_t *word = &taken[strcmp(parts[i].field, "bytes_flags") != 0];
        uint32_t mask = ((1u << parts[i].bits) - 1) << parts[i].bit;
        cr_assert(zero(u32, *word & mask), "%s", parts[i].name);
        *word |= mask;
    }
    cr_assert(eq(u32, taken[0], WIRE_PIECE_BYTES_MAX | (uint32_t)WIRE_CHUNK_FLAGS << 24));
    cr_assert(eq(u32, taken[1], UINT32_MAX));
}

/* A frame's lists, one behind the other, end where the frame or its payload begins. */
Test(wire_tables, lists_are_as_long_as_their_counts_say)
{
    uint32_t seen = 0;
    for (size_t i = 0; i < ARRAY_COUNT(frames_sample); i++) {
        struct frames_buffer b;
        frames_sample[i].make(&b);
        const struct wire_head *head = (const struct wire_head *)(const void *)b.byte;
        const char *name = wire_type_name[head->type];
        uint32_t bytes = 0;
#define LISTED(of, list, entry, count, meaning)                                           \
    if (strcmp(name, #of) == 0) {                                                         \
        bytes += ((const struct wire_##of *)(const void *)b.byte)->count * sizeof(entry); \
        seen |= 1u << head->type;                                                         \
    }
        WIRE_LIST_TABLE(LISTED)
        if (head->type == WIRE_DATA || head->type == WIRE_RECOVERY)
            cr_assert(eq(u32, head->head_bytes,
                         (head->type == WIRE_DATA ? sizeof(struct wire_data)
                                                  : sizeof(struct wire_recovery)) +
                             bytes));
        else
            cr_assert(eq(u32, head->frame_bytes, head->head_bytes + bytes));
    }
    cr_assert(eq(u32, seen,
                 1u << WIRE_DATA | 1u << WIRE_RECOVERY | 1u << WIRE_TOKEN | 1u << WIRE_JOIN |
                     1u << WIRE_COMMIT));
}
