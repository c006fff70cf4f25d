/* SPDX-License-Identifier: BSD-3-Clause */
/* errors_zcb.c - zero-copy buffers on a model 1 handle: rules Z1 to Z8. */
#include "errors.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MIB = 1 << 20, ATOMIC_LEAST = 1047552 };

/* Bytes that tell their place, and which message they are of. */
static uint8_t byte_at(uint32_t number, size_t at)
{
    return (uint8_t)((number + 1) * 0x9e37u + at * 31 + (at >> 8));
}

static void fill(uint8_t *bytes, size_t count, uint32_t number)
{
    for (size_t i = 0; i < count; i++)
        bytes[i] = byte_at(number, i);
}

static bool is_filled(const uint8_t *bytes, size_t count, uint32_t number)
{
    for (size_t i = 0; i < count; i++)
        if (bytes[i] != byte_at(number, i))
            return false;
    return true;
}

/* The n-th message is the n-th that was sent, whole. */
static void judge(struct member *m, const struct seen *event, void *msg)
{
    uint32_t *next = m->argument;
    if (event->kind == SEEN_MESSAGE)
        EXPECT(is_filled(msg, event->bytes, (*next)++));
}

static uint8_t *alloc(cpg_handle_t h, size_t size)
{
    void *buffer = NULL;
    CHECK(cpg_zcb_alloc(h, size, &buffer) == CS_OK);
    EXPECT(buffer != NULL && (uintptr_t)buffer % 64 == 0);
    return buffer;
}

static void expect_zero(const uint8_t *bytes, size_t count)
{
    bool zero = true;
    for (size_t i = 0; i < count; i++)
        zero = zero && bytes[i] == 0;
    EXPECT(zero);
}

CASE(Z1_buffers_are_zeroed_aligned_and_writable)
{
    struct member m = { 0 };
    member_open(&m);
    const size_t sizes[] = { 0,    1,    7,      8,      63,      64,  65,      4095,
                             4096, 4097, 131071, 131072, MIB - 1, MIB, MIB + 1, 32 * MIB };
    for (int again = 0; again < 3; again++) {
        for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
            uint8_t *buffer = alloc(m.handle, sizes[i]);
            expect_zero(buffer, sizes[i]);
            memset(buffer, 0xff, sizes[i]);
            EXPECT_CS(cpg_zcb_free(m.handle, buffer), CS_OK);
        }
    }
    void *buffer = &m;
    EXPECT_CS(cpg_zcb_alloc(m.handle, SIZE_MAX, &buffer), CS_ERR_NO_MEMORY);
    EXPECT_CS(cpg_zcb_alloc(m.handle, SIZE_MAX / 2, &buffer), CS_ERR_NO_MEMORY);
    EXPECT(buffer == &m);
    member_close(&m);
}

static void live_buffers(struct member *m, int count, size_t size)
{
    uint8_t **buffer = calloc((size_t)count, sizeof(*buffer));
    CHECK(buffer);
    for (int i = 0; i < count; i++) {
        buffer[i] = alloc(m->handle, size);
        memset(buffer[i], i, size);
    }
    for (int i = 0; i < count; i++)
        EXPECT(buffer[i][0] == (uint8_t)i && buffer[i][size - 1] == (uint8_t)i);
    for (int i = 0; i < count; i += 2) /* Z3: the other half is given back by the end */
        EXPECT_CS(cpg_zcb_free(m->handle, buffer[i]), CS_OK);
    free(buffer);
}

static long resident_pages(void)
{
    long size, resident;
    FILE *file = fopen("/proc/self/statm", "r");
    CHECK(file && fscanf(file, "%ld %ld", &size, &resident) == 2);
    fclose(file);
    return resident;
}

CASE(Z1_Z3_2000_live_buffers_with_100_MB_and_100_of_1_MiB_go_with_the_handle)
{
    struct member m = { 0 };
    member_open(&m);
    live_buffers(&m, 2000, 50000);
    live_buffers(&m, 100, MIB);
    member_close(&m);
    long before = resident_pages();
    for (int i = 0; i < 4; i++) {
        member_open(&m);
        live_buffers(&m, 2000, 50000);
        live_buffers(&m, 100, MIB);
        member_close(&m);
    }
    printf("%ld pages after one, %ld after five\n", before, resident_pages());
#ifndef __SANITIZE_ADDRESS__                   /* which keeps freed memory for a while */
    EXPECT(resident_pages() < before + 25000); /* of 400 MB that were never freed, a quarter */
#endif
}

CASE(Z2_Z4_only_the_start_of_a_live_buffer_is_one)
{
    struct member m = { 0 }, other = { 0 };
    static uint8_t foreign[256];
    member_join(&m, "foreign pointers");
    member_open(&other);
    uint8_t *buffer = alloc(m.handle, 256), *on_heap = malloc(256);
    void *const wrong[] = {
        foreign, on_heap, buffer + 1, buffer + 64, buffer - 64, (void *)1, (void *)(uintptr_t)-64,
        &m
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        EXPECT_CS(cpg_zcb_free(m.handle, wrong[i]), CS_ERR_INVALID_PARAM);
        EXPECT_CS(cpg_zcb_mcast_joined(m.handle, CPG_TYPE_AGREED, wrong[i], 1),
                  CS_ERR_INVALID_PARAM);
    }
    EXPECT_CS(cpg_zcb_mcast_joined(m.handle, CPG_TYPE_AGREED, buffer, 257), CS_ERR_INVALID_PARAM);
    EXPECT_CS(cpg_zcb_mcast_joined(m.handle, CPG_TYPE_AGREED, buffer, SIZE_MAX),
              CS_ERR_INVALID_PARAM);
    EXPECT_CS(cpg_zcb_mcast_joined(m.handle, (cpg_guarantee_t)4, buffer, 1), CS_ERR_INVALID_PARAM);
    EXPECT_CS(TAKEN(cpg_zcb_mcast_joined(m.handle, CPG_TYPE_AGREED, buffer, 256)), CS_OK);
    EXPECT_CS(TAKEN(cpg_zcb_mcast_joined(m.handle, CPG_TYPE_SAFE, buffer, 0)), CS_OK);
    member_see(&m, 3);
    EXPECT(m.seen[1].bytes == 256 && m.seen[2].bytes == 0);
    EXPECT_CS(cpg_zcb_free(other.handle, buffer), CS_OK); /* Z2: another handle of the process */
    EXPECT_CS(cpg_zcb_free(m.handle, buffer), CS_ERR_INVALID_PARAM);
    uint8_t *lost = alloc(other.handle, 64);
    member_close(&other);
    EXPECT_CS(cpg_zcb_free(m.handle, lost), CS_ERR_INVALID_PARAM);
    free(on_heap);
    member_close(&m);
}

/* Another process that sees what we send. */
struct watch {
    int ready[2];
    uint32_t count;
};

static void watch_run(void *argument)
{
    struct watch *w = argument;
    struct member m = { .then = judge };
    uint32_t next = 0;
    m.argument = &next;
    member_join(&m, "rewrite");
    CHECK(write(w->ready[1], "", 1) == 1);
    while (next < w->count)
        CHECK(cpg_dispatch(m.handle, CS_DISPATCH_ONE) == CS_OK);
    member_close(&m);
}

CASE(Z5_Z6_a_buffer_is_free_again_when_the_send_returns)
{
    enum { ROUNDS = 300 };
    static const size_t sizes[] = { 16, 1000, 65536, 200000, MIB };
    enum { SIZES = sizeof(sizes) / sizeof(sizes[0]) };
    struct watch w = { .count = ROUNDS * 2 };
    char byte;
    CHECK(pipe(w.ready) == 0);
    int child = probe_fork(watch_run, &w);
    CHECK(read(w.ready[0], &byte, 1) == 1);
    uint32_t next = 0, sent = 0;
    struct member m = { .then = judge, .argument = &next };
    member_join(&m, "rewrite");
    uint8_t *same = alloc(m.handle, MIB);
    for (int i = 0; i < ROUNDS; i++) {
        size_t size = sizes[(size_t)i % SIZES];
        fill(same, size, sent++);
        while (cpg_zcb_mcast_joined(m.handle, CPG_TYPE_AGREED, same, size) == CS_ERR_TRY_AGAIN)
            CHECK(cpg_dispatch(m.handle, CS_DISPATCH_ALL) == CS_OK);
        memset(same, 0xee, size);
        uint8_t *brief = alloc(m.handle, size);
        fill(brief, size, sent++);
        while (cpg_zcb_mcast_joined(m.handle, CPG_TYPE_AGREED, brief, size) == CS_ERR_TRY_AGAIN)
            CHECK(cpg_dispatch(m.handle, CS_DISPATCH_ALL) == CS_OK);
        CHECK(cpg_zcb_free(m.handle, brief) == CS_OK);
    }
    while (next < sent)
        CHECK(cpg_dispatch(m.handle, CS_DISPATCH_ONE) == CS_OK);
    probe_join_child(child);
    member_close(&m);
}

CASE(Z7_sizes_around_1_MiB_and_at_the_maximum)
{
    const size_t max = strtoull(probe_word(0), NULL, 10);
    const size_t sizes[] = { ATOMIC_LEAST - 1, ATOMIC_LEAST, ATOMIC_LEAST + 1, 1048392, 1048393,
                             MIB - 1,          MIB,          MIB + 1,          3 * MIB, max };
    enum { SIZES = sizeof(sizes) / sizeof(sizes[0]) };
    uint32_t next = 0;
    struct member m = { .then = judge, .argument = &next };
    member_join(&m, "one MiB");
    uint8_t *buffer = alloc(m.handle, max + 1);
    for (uint32_t i = 0; i < SIZES; i++) {
        fill(buffer, sizes[i], i);
        EXPECT_CS(TAKEN(cpg_zcb_mcast_joined(m.handle, CPG_TYPE_AGREED, buffer, sizes[i])), CS_OK);
        member_see(&m, 2 + (int)i);
        EXPECT(m.seen[1 + i].bytes == sizes[i]);
    }
    EXPECT_CS(cpg_zcb_mcast_joined(m.handle, CPG_TYPE_AGREED, buffer, max + 1), CS_ERR_TOO_BIG);
    fill(buffer, 10, SIZES);
    EXPECT_CS(TAKEN(cpg_zcb_mcast_joined(m.handle, CPG_TYPE_AGREED, buffer, 10)), CS_OK);
    member_see(&m, 2 + SIZES); /* the handle is not silent */
    member_close(&m);
}

CASE(Z8_one_order_with_ordinary_sends)
{
    enum { COUNT = 400 };
    uint32_t next = 0;
    uint64_t seed = 8;
    struct member m = { .then = judge, .argument = &next };
    member_join(&m, "mixed");
    uint8_t *buffer = alloc(m.handle, 400000);
    for (uint32_t i = 0; i < COUNT; i++) {
        size_t size = probe_draw(&seed, i % 16 ? 300 : 400000);
        fill(buffer, size, i);
        cs_error_t answer;
        do {
            answer = probe_draw(&seed, 2)
                         ? cpg_zcb_mcast_joined(m.handle, CPG_TYPE_AGREED, buffer, size)
                         : send_bytes(m.handle, buffer, size);
            if (answer == CS_ERR_TRY_AGAIN)
                CHECK(cpg_dispatch(m.handle, CS_DISPATCH_ALL) == CS_OK);
        } while (answer == CS_ERR_TRY_AGAIN);
        EXPECT_CS(answer, CS_OK);
    }
    member_see(&m, 1 + COUNT);
    EXPECT(next == COUNT);
    member_close(&m);
}
