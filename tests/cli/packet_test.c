/* SPDX-License-Identifier: BSD-3-Clause */
#include "packet.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <string.h>

enum { FRAME_MAX = 2000 };

static uint8_t packet_bytes[PACKET_HEAD_BYTES_MAX + FRAME_MAX];
static struct packet_host from, to;

static uint32_t word(uint32_t at)
{
    return (uint32_t)packet_bytes[at] << 8 | packet_bytes[at + 1];
}

/* A packet of so many bytes of which `kept` are there; its length. */
static uint32_t make(uint32_t kept, uint32_t frame_bytes)
{
    static uint8_t frame[FRAME_MAX];
    for (uint32_t i = 0; i < FRAME_MAX; i++)
        frame[i] = (uint8_t)(i * 7 + 3);
    struct packet packet = { .from = &from,
                             .to = &to,
                             .frame = frame,
                             .kept_bytes = kept,
                             .frame_bytes = frame_bytes,
                             .ttl = 5 };
    memset(packet_bytes, 0, sizeof(packet_bytes));
    uint32_t bytes = packet_head(packet_bytes, &packet);
    memcpy(packet_bytes + bytes, frame, kept);
    return bytes + kept;
}

/* What a receiver does: 0xffff when nothing is wrong. Bytes behind the packet are 0. */
static uint32_t sum(uint32_t start, uint32_t first, uint32_t end)
{
    uint32_t total = start;
    for (uint32_t at = first; at < end; at += 2)
        total += word(at);
    while (total >> 16)
        total = (total & 0xffff) + (total >> 16);
    return total;
}

static void between(const char *a, const char *b)
{
    cr_assert(packet_host_set(&from, a, 5405));
    cr_assert(packet_host_set(&to, b, 5406));
}

Test(packet, K1_over_IPv4_lengths_and_checksums_are_right)
{
    between("192.0.2.1", "239.192.1.2");
    for (uint32_t bytes = 0; bytes < 1500; bytes += 13) {
        uint32_t end = make(bytes, bytes);
        cr_assert(eq(u32, end, 28 + bytes));
        cr_assert(eq(u32, word(2), end));
        cr_assert(eq(u32, word(24), 8 + bytes));
        cr_assert(eq(u32, sum(0, 0, 20), 0xffff));
        cr_assert(eq(u32, sum(17 + word(24), 12, end), 0xffff), "%u bytes", bytes);
        cr_assert(ne(u32, word(26), 0));
    }
    cr_assert(eq(int, packet_bytes[0], 0x45));
    cr_assert(eq(int, packet_bytes[8], 5));
    cr_assert(eq(u32, word(20), 5405));
    cr_assert(eq(u32, word(22), 5406));
    cr_assert(zero(int, memcmp(packet_bytes + 12, "\300\000\002\001\357\300\001\002", 8)));
}

Test(packet, K1_over_IPv6_lengths_and_checksums_are_right)
{
    between("fe80::1%eth0", "ff02::1");
    for (uint32_t bytes = 0; bytes < 1500; bytes += 13) {
        uint32_t end = make(bytes, bytes);
        cr_assert(eq(u32, end, 48 + bytes));
        cr_assert(eq(u32, word(4), 8 + bytes));
        cr_assert(eq(u32, sum(17 + word(44), 8, end), 0xffff), "%u bytes", bytes);
        cr_assert(ne(u32, word(46), 0));
    }
    cr_assert(eq(int, packet_bytes[0], 0x60));
    cr_assert(eq(int, packet_bytes[6], 17));
    cr_assert(eq(int, packet_bytes[8], 0xfe));
}

/* 0 says that there is none. */
Test(packet, K1_a_checksum_that_comes_to_0_is_written_as_ffff)
{
    static uint8_t frame[2];
    between("192.0.2.1", "192.0.2.2");
    struct packet packet = {
        .from = &from, .to = &to, .frame = frame, .kept_bytes = 2, .frame_bytes = 2
    };
    packet_head(packet_bytes, &packet);
    frame[0] = packet_bytes[26]; /* so that everything adds up to all ones */
    frame[1] = packet_bytes[27];
    packet_head(packet_bytes, &packet);
    cr_assert(eq(u32, word(26), 0xffff));
}

Test(packet, K2_a_packet_that_is_cut_has_its_length_and_no_checksum)
{
    between("192.0.2.1", "192.0.2.2");
    make(100, 1400);
    cr_assert(eq(u32, word(2), 1428));
    cr_assert(eq(u32, word(24), 1408));
    cr_assert(eq(u32, word(26), 0));
    cr_assert(eq(u32, sum(0, 0, 20), 0xffff));
    between("2001:db8::1", "2001:db8::2");
    make(100, 1400);
    cr_assert(eq(u32, word(4), 1408));
    cr_assert(eq(u32, word(46), 0xffff));
}

Test(packet, what_is_no_address_is_refused)
{
    static const char *const wrong[] = {
        "",
        "node1",
        "1.2.3",
        "1.2.3.4.5",
        "fe80:::1",
        "%eth0",
        "0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000"
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        cr_assert(not(packet_host_set(&from, wrong[i], 1)), "%s", wrong[i]);
}
