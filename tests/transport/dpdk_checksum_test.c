/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The Internet checksum against published examples, and against a sum of one word at a time.
 */
#include "dpdk/checksum.h"

#include <criterion/criterion.h>

#include <string.h>

static uint8_t some_byte(size_t i)
{
    return (uint8_t)(i * 37 + 11);
}

static uint16_t plain_checksum(const uint8_t *bytes, size_t count)
{
    uint32_t sum = 0;

    for (size_t i = 0; i < count; i++) {
        sum += i % 2 == 0 ? (uint32_t)bytes[i] << 8 : bytes[i];
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return (uint16_t)~sum;
}

/* As it would stand in a header, most significant byte first. */
static uint16_t as_number(uint16_t in_memory)
{
    return (uint16_t)checksum_word(in_memory);
}

Test(checksum, the_example_of_rfc_1071_comes_out)
{
    static const uint8_t bytes[] = { 0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7 };

    cr_assert_eq(as_number(checksum_fold(checksum_add(0, bytes, sizeof bytes))), 0xddf2);
    cr_assert_eq(as_number(checksum_finish(checksum_add(0, bytes, sizeof bytes))), 0x220d);
}

Test(checksum, a_header_of_ipv4_comes_out_and_is_good_with_its_sum)
{
    uint8_t head[] = { 0x45, 0x00, 0x00, 0x73, 0x00, 0x00, 0x40, 0x00, 0x40, 0x11,
                       0x00, 0x00, 0xc0, 0xa8, 0x00, 0x01, 0xc0, 0xa8, 0x00, 0xc7 };

    cr_assert_eq(as_number(checksum_finish(checksum_add(0, head, sizeof head))), 0xb861);
    cr_assert_not(checksum_is_good(checksum_add(0, head, sizeof head)));
    head[10] = 0xb8;
    head[11] = 0x61;
    cr_assert(checksum_is_good(checksum_add(0, head, sizeof head)));
}

Test(checksum, any_length_at_any_address_is_the_plain_sum)
{
    _Alignas(64) uint8_t bytes[400];

    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = some_byte(i);
    for (size_t first = 0; first < 17; first++) {
        for (size_t count = 0; first + count <= sizeof bytes; count++)
            cr_assert_eq(as_number(checksum_finish(checksum_add(0, bytes + first, count))),
                         plain_checksum(bytes + first, count), "%zu bytes at %zu", count, first);
    }
}

/* Every way to cut 24 bytes in three, empty pieces among them. */
Test(checksum, pieces_of_odd_length_at_odd_places_are_as_one)
{
    uint8_t bytes[24];
    struct iovec piece[3];

    for (uint32_t i = 0; i < sizeof bytes; i++)
        bytes[i] = some_byte(i);
    for (size_t a = 0; a <= sizeof bytes; a++) {
        for (size_t b = a; b <= sizeof bytes; b++) {
            piece[0] = (struct iovec){ bytes, a };
            piece[1] = (struct iovec){ bytes + a, b - a };
            piece[2] = (struct iovec){ bytes + b, sizeof bytes - b };
            cr_assert_eq(as_number(checksum_finish(checksum_add_pieces(0, piece, 3))),
                         plain_checksum(bytes, sizeof bytes), "%zu, %zu", a, b);
        }
    }
}

Test(checksum, an_empty_piece_may_be_nowhere)
{
    struct iovec piece[] = { { NULL, 0 }, { (void *)"ab", 1 }, { NULL, 0 }, { (void *)"b", 1 } };

    cr_assert_eq(as_number(checksum_fold(checksum_add_pieces(0, piece, 4))), 'a' << 8 | 'b');
    cr_assert_eq(checksum_add_pieces(7, NULL, 0), 7);
}

Test(checksum, C1_the_largest_packets_full_of_ones_do_not_overflow)
{
    static uint8_t ones[65535];
    struct iovec piece[512];

    memset(ones, 0xff, sizeof ones);
    for (size_t i = 0; i < ARRAY_COUNT(piece); i++)
        piece[i] = (struct iovec){ ones, sizeof ones - 1 };
    cr_assert_eq(checksum_fold(checksum_add_pieces(0, piece, ARRAY_COUNT(piece))), 0xffff);
    cr_assert_eq(checksum_fold((UINT64_C(1) << 63) - 1),
                 (uint16_t)(((UINT64_C(1) << 63) - 1) % 0xffff));
}

Test(checksum, C2_nothing_but_zeros_sums_to_zero)
{
    static const uint8_t zeros[40], word[2] = { 0xff, 0xff };

    cr_assert_eq(checksum_fold(checksum_add(0, zeros, sizeof zeros)), 0);
    cr_assert_eq(checksum_fold(checksum_add(0, word, sizeof word)), 0xffff);
    cr_assert_not(checksum_is_good(checksum_add(0, zeros, sizeof zeros)));
}
