/* SPDX-License-Identifier: BSD-3-Clause */
#include "capture_file.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Files are read again here block by block, as the format says and as any reader does. */

enum { SECTION = 0x0a0d0d0a, INTERFACE = 1, STATISTICS = 5, PACKET = 6 };

static struct tape_about about;
static struct capture_file file;
static char *bytes;
static size_t count;

static uint32_t word(size_t at)
{
    uint32_t value;
    cr_assert(le(sz, at + 4, count));
    memcpy(&value, bytes + at, 4);
    return value;
}

static FILE *begin(void)
{
    FILE *out = open_memstream(&bytes, &count);
    cr_assert(out != NULL);
    capture_file_begin(&file, out, &about, 1472);
    return out;
}

static void add(uint32_t direction, uint32_t peer, uint32_t kept, uint32_t frame_bytes)
{
    static const uint8_t frame[2000] = { 1, 2, 3, 4, 5 };
    struct tape_record record = { .time_ns = 1000,
                                  .direction = direction,
                                  .peer = peer,
                                  .kept_bytes = kept,
                                  .frame_bytes = frame_bytes };
    capture_file_add(&file, &record, frame);
}

static void set_up(void)
{
    about = (struct tape_about){ .node_id = 2, .node_count = 3, .transport = "udp" };
    for (uint32_t i = 0; i < 3; i++) {
        about.node[i] = (struct tape_node){ .node_id = i + 1, .port = 5405 };
        snprintf(about.node[i].address, sizeof(about.node[i].address), "192.0.2.%u", i + 1);
    }
}

static void tear_down(void)
{
    free(bytes);
}

TestSuite(capture_file, .init = set_up, .fini = tear_down);

/* The next block of a type from `at` on, and that both its lengths agree on the way. */
static size_t find(uint32_t type, size_t at)
{
    for (;;) {
        uint32_t length = word(at + 4);
        cr_assert(zero(u32, length % 4));
        cr_assert(eq(u32, word(at + length - 4), length));
        if (word(at) == type)
            return at;
        at += length;
    }
}

static size_t behind(size_t at)
{
    return at + word(at + 4);
}

/* Value of an option of the block whose options begin at `at`; they must end well. */
static const char *option(size_t at, uint32_t code, uint32_t *length)
{
    const char *found = NULL;
    for (;;) {
        uint32_t this = word(at) & 0xffff, its = word(at) >> 16;
        if (this == 0)
            break;
        if (this == code) {
            found = bytes + at + 4;
            *length = its;
        }
        at += 4 + (its + 3) / 4 * 4;
    }
    cr_assert(found != NULL, "option %u", code);
    return found;
}

static uint64_t option_64(size_t at, uint32_t code)
{
    uint64_t value;
    uint32_t length;
    memcpy(&value, option(at, code, &length), 8);
    cr_assert(eq(u32, length, 8));
    return value;
}

static void expect_hosts(size_t at, const char *from, const char *to)
{
    char text[2][32];
    for (int i = 0; i < 2; i++) {
        const uint8_t *a = (const uint8_t *)bytes + at + 28 + 12 + 4 * i;
        snprintf(text[i], sizeof(text[i]), "%u.%u.%u.%u", a[0], a[1], a[2], a[3]);
    }
    cr_assert(eq(str, text[0], (char *)from));
    cr_assert(eq(str, text[1], (char *)to));
}

Test(capture_file, begins_with_section_and_interface_and_ends_with_what_was_lost)
{
    uint32_t length;
    FILE *out = begin();
    add(TAPE_SENT, 1, 5, 5);
    struct tape_reader reader = { .next = 12, .lost = 11 };
    capture_file_end(&file, &reader, 500, 2000);
    fclose(out);
    cr_assert(eq(u32, word(0), SECTION));
    cr_assert(eq(u32, word(8), 0x1a2b3c4d));
    size_t at = behind(0);
    cr_assert(eq(u32, word(at), INTERFACE));
    cr_assert(eq(u32, word(at + 8), 101));
    cr_assert(eq(u32, word(at + 12), 1472 + 48));
    cr_assert(eq(int, *option(at + 16, 9, &length), 9)); /* nanoseconds */
    cr_assert(zero(int, memcmp(option(at + 16, 2, &length), "node 2", 6)));
    at = find(STATISTICS, 0);
    cr_assert(eq(sz, behind(at), count));
    cr_assert(eq(u64, option_64(at + 20, 4), 12));
    cr_assert(eq(u64, option_64(at + 20, 5), 11));
    uint64_t from = option_64(at + 20, 2), to = option_64(at + 20, 3); /* high word first */
    cr_assert(eq(u64, (to << 32 | to >> 32) - (from << 32 | from >> 32), 1500));
}

Test(capture_file, H1_a_packet_says_who_sent_it_to_whom_and_which_way)
{
    uint32_t length, flags;
    FILE *out = begin();
    add(TAPE_RECEIVED, 1, 5, 5);
    add(TAPE_SENT, 3, 6, 6);
    add(TAPE_SENT, ZCB_TO_RING, 7, 7);
    add(TAPE_SENT, ZCB_TO_ALL, 8, 8);
    add(TAPE_RECEIVED, 99, 9, 9);
    fclose(out);
    static const char *const hosts[][2] = { { "192.0.2.1", "192.0.2.2" },
                                            { "192.0.2.2", "192.0.2.3" },
                                            { "192.0.2.2", "255.255.255.255" },
                                            { "192.0.2.2", "255.255.255.255" },
                                            { "0.0.0.0", "192.0.2.2" } };
    size_t at = 0;
    for (uint32_t i = 0; i < 5; i++, at = behind(at)) {
        at = find(PACKET, at);
        uint32_t kept = word(at + 20);
        cr_assert(eq(u32, kept, 28 + 5 + i));
        cr_assert(eq(u32, word(at + 24), kept));
        expect_hosts(at, hosts[i][0], hosts[i][1]);
        cr_assert(zero(int, memcmp(bytes + at + 28 + 28, "\1\2\3\4\5", 5)));
        memcpy(&flags, option(at + 28 + (kept + 3) / 4 * 4, 2, &length), 4);
        cr_assert(eq(u32, flags, i == 0 || i == 4 ? 1 : 2));
    }
    cr_assert(eq(sz, at, count));
}

Test(capture_file, H1_what_goes_to_all_goes_to_the_group_where_there_is_one)
{
    strcpy(about.multicast, "239.1.2.3");
    about.multicast_port = 5500;
    about.multicast_ttl = 3;
    FILE *out = begin();
    add(TAPE_SENT, ZCB_TO_RING, 7, 7);
    add(TAPE_SENT, 1, 7, 7);
    fclose(out);
    size_t at = find(PACKET, 0);
    expect_hosts(at, "192.0.2.2", "239.1.2.3");
    cr_assert(eq(int, bytes[at + 28 + 8], 3));
    cr_assert(
        eq(u32, (uint32_t)(uint8_t)bytes[at + 28 + 22] << 8 | (uint8_t)bytes[at + 28 + 23], 5500));
    at = behind(at);
    expect_hosts(at, "192.0.2.2", "192.0.2.1");
    cr_assert(eq(int, bytes[at + 28 + 8], 64));
}

Test(capture_file, a_frame_that_was_cut_says_how_long_it_was)
{
    FILE *out = begin();
    add(TAPE_SENT, 1, 64, 1400);
    fclose(out);
    size_t at = find(PACKET, 0);
    cr_assert(eq(u32, word(at + 20), 28 + 64));
    cr_assert(eq(u32, word(at + 24), 28 + 1400));
}

Test(capture_file, H2_times_are_those_of_the_calendar)
{
    struct timespec now;
    FILE *out = begin();
    struct tape_record record = { .direction = TAPE_SENT, .peer = 1 };
    clock_gettime(CLOCK_MONOTONIC, &now);
    record.time_ns = (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
    capture_file_add(&file, &record, (const uint8_t[8]){ 0 });
    fclose(out);
    size_t at = find(PACKET, 0);
    uint64_t ns = (uint64_t)word(at + 12) << 32 | word(at + 16);
    cr_assert(le(u64, (uint64_t)time(NULL) - ns / NS_PER_S, 60));
}

Test(capture_file, G2_a_full_disk_is_remembered)
{
    FILE *out = fopen("/dev/full", "w");
    cr_assert(out != NULL);
    capture_file_begin(&file, out, &about, 1472);
    for (int i = 0; i < 1000; i++)
        add(TAPE_SENT, 1, 1400, 1400);
    cr_assert(eq(int, file.pcapng.error, -ENOSPC), "before anybody asks");
    cr_assert(eq(int, pcapng_flush(&file.pcapng), -ENOSPC));
    fclose(out);
}
