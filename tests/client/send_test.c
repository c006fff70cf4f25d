/* SPDX-License-Identifier: BSD-3-Clause */
/* send_test.c - what a program sends is what arrives, and when it is refused. */
#include <criterion/criterion.h>

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fake.h"
#include "recorder.h"

static struct fake *fake;
static struct recorder r, other;

static void setup(void)
{
    fake = fake_start();
    recorder_join(&r, "g");
}

static void teardown(void)
{
    cr_assert_eq(fake_offences(fake), 0);
    cpg_finalize(r.handle);
    fake_stop(fake);
}

TestSuite(send, .init = setup, .fini = teardown);

static void dispatch_until(struct recorder *who, int count)
{
    while (who->count < count)
        cr_assert_eq(cpg_dispatch(who->handle, CS_DISPATCH_ONE), CS_OK);
}

/* A pattern in which a byte out of place shows. */
static uint8_t pattern(size_t i, uint32_t salt)
{
    return (uint8_t)((i * 2654435761u >> 13) ^ (i >> 8) ^ salt);
}

static uint8_t *patterned(size_t bytes, uint32_t salt)
{
    uint8_t *data = malloc(bytes + 1);
    for (size_t i = 0; i < bytes; i++)
        data[i] = pattern(i, salt);
    return data;
}

static void check_pattern(struct recorder *who, const struct recorded *event, void *msg)
{
    uint32_t salt = *(uint32_t *)who->argument;
    for (size_t i = 0; i < event->bytes; i++)
        if (((uint8_t *)msg)[i] != pattern(i, salt))
            cr_assert_fail("byte %zu of %zu", i, event->bytes);
}

static cs_error_t send_bytes(const void *data, size_t bytes)
{
    struct iovec iov = { .iov_base = (void *)(uintptr_t)data, .iov_len = bytes };
    return cpg_mcast_joined(r.handle, CPG_TYPE_AGREED, &iov, 1);
}

Test(send, messages_arrive_with_sender_and_group)
{
    cr_assert_eq(send_text(r.handle, "hello"), CS_OK);
    dispatch_until(&r, 2);
    const struct recorded *e = &r.seen[1];
    cr_assert_eq(e->kind, RECORDED_MESSAGE);
    cr_assert_str_eq(e->text, "hello");
    cr_assert_eq(e->bytes, 5);
    cr_assert_eq(e->nodeid, FAKE_NODE);
    cr_assert_eq(e->pid, FAKE_PID);
    cr_assert_eq(e->group.length, 1);
    cr_assert_str_eq(e->group.value, "g");
}

Test(send, no_entries_or_empty_ones_are_a_message_of_length_0)
{
    struct iovec empty[3] = { { NULL, 0 }, { "x", 0 }, { NULL, 0 } };
    cr_assert_eq(cpg_mcast_joined(r.handle, CPG_TYPE_AGREED, NULL, 0), CS_OK);
    cr_assert_eq(cpg_mcast_joined(r.handle, CPG_TYPE_AGREED, empty, 3), CS_OK);
    cr_assert_eq(cpg_mcast_joined(r.handle, CPG_TYPE_AGREED, empty, 0), CS_OK);
    dispatch_until(&r, 4);
    for (int i = 1; i < 4; i++)
        cr_assert(r.seen[i].kind == RECORDED_MESSAGE && r.seen[i].bytes == 0);
}

Test(send, a_null_entry_with_a_length_is_refused)
{
    struct iovec iov[2] = { { "ab", 2 }, { NULL, 1 } };
    cr_assert_eq(cpg_mcast_joined(r.handle, CPG_TYPE_AGREED, iov, 2), CS_ERR_INVALID_PARAM);
}

Test(send, thousands_of_entries_are_one_message)
{
    enum { ENTRIES = 3000 };
    static struct iovec iov[ENTRIES];
    uint32_t salt = 5;
    uint8_t *data = patterned(ENTRIES * 3, salt);
    for (int i = 0; i < ENTRIES; i++)
        iov[i] = (struct iovec){ data + 3 * i, 3 };
    r.then = check_pattern;
    r.argument = &salt;
    cr_assert_eq(cpg_mcast_joined(r.handle, CPG_TYPE_FIFO, iov, ENTRIES), CS_OK);
    dispatch_until(&r, 2);
    cr_assert_eq(r.seen[1].bytes, ENTRIES * 3);
    free(data);
}

Test(send, O3_over_the_maximum_is_too_big_also_when_the_sum_overflows)
{
    static char byte;
    uint8_t *data = calloc(1, FAKE_MESSAGE_MAX + 1);
    struct iovec overflow[3] = { { &byte, SIZE_MAX }, { &byte, 2 }, { &byte, SIZE_MAX } };
    cr_assert_eq(send_bytes(data, FAKE_MESSAGE_MAX + 1), CS_ERR_TOO_BIG);
    cr_assert_eq(cpg_mcast_joined(r.handle, CPG_TYPE_AGREED, overflow, 3), CS_ERR_TOO_BIG);
    cr_assert_eq(cpg_mcast_joined(r.handle, CPG_TYPE_AGREED, overflow + 1, 2), CS_ERR_TOO_BIG);
    cr_assert_eq(fake_segments(fake), 0, "a refused send leaves nothing behind");
    free(data);
}

Test(send, sizes_up_to_the_maximum_arrive_whole)
{
    const size_t sizes[] = { 1,       7,       8,       9,       4096,     131071,
                             131072,  131073,  524287,  524288,  524289,   1047551,
                             1047552, 1047553, 1048576, 3000000, 20 << 20, 32 << 20 };
    uint32_t salt = 9;
    r.then = check_pattern;
    r.argument = &salt;
    for (size_t i = 0; i < ARRAY_COUNT(sizes); i++) {
        uint8_t *data = patterned(sizes[i], salt);
        cr_assert_eq(send_bytes(data, sizes[i]), CS_OK);
        memset(data, 0, sizes[i]); /* the caller may */
        free(data);
        dispatch_until(&r, (int)i + 2);
        cr_assert_eq(r.seen[i + 1].bytes, sizes[i]);
    }
}

Test(send, listed_payload_is_put_together)
{
    uint32_t salt = 77;
    uint8_t *data = patterned(3000000, salt);
    r.then = check_pattern;
    r.argument = &salt;
    fake_split(fake, 10007);
    cr_assert_eq(send_bytes(data, 3000000), CS_OK);
    cr_assert_eq(send_bytes(data, 10008), CS_OK);
    cr_assert_eq(send_bytes(data, 3), CS_OK);
    dispatch_until(&r, 4);
    cr_assert_eq(r.seen[1].bytes, 3000000);
    free(data);
}

Test(send, a_handle_that_does_not_send_has_no_segment)
{
    cr_assert_eq(fake_segments(fake), 0);
    cr_assert_eq(send_text(r.handle, "x"), CS_OK);
    cr_assert_eq(fake_segments(fake), 1);
}

static bool one_segment_left(void *unused)
{
    cpg_dispatch(r.handle, CS_DISPATCH_ALL);
    return fake_segments(fake) == 1;
}

Test(send, segments_for_large_messages_are_gone_when_they_have_been_read)
{
    uint8_t *data = calloc(1, 5 << 20);
    cr_assert_eq(send_text(r.handle, "small"), CS_OK);
    cr_assert_eq(send_bytes(data, 5 << 20), CS_OK);
    cr_assert_eq(send_bytes(data, 2 << 20), CS_OK);
    dispatch_until(&r, 4);
    cr_assert(comes_true(one_segment_left, NULL));
    free(data);
}

Test(send, a_stream_of_large_messages_shares_a_segment_until_it_ends)
{
    enum { COUNT = 40 };
    uint32_t salt = 21;
    uint8_t *data = patterned(1000000, salt);
    r.then = check_pattern;
    r.argument = &salt;
    for (int i = 0; i < COUNT; i++)
        while (send_bytes(data, 1000000) == CS_ERR_TRY_AGAIN) /* all may have come back already */
            cr_assert_eq(cpg_dispatch(r.handle, CS_DISPATCH_ALL), CS_OK);
    cr_assert_lt(fake_requests(fake, CTL_TX_GET), COUNT / 4);
    dispatch_until(&r, COUNT + 1);
    r.then = NULL;
    cr_assert_eq(send_text(r.handle, "small"), CS_OK);
    cr_assert(comes_true(one_segment_left, NULL), "what stayed behind goes when it is idle");
    free(data);
}

Test(send, many_wraps_of_the_ring_keep_every_byte)
{
    uint32_t salt = 3;
    r.then = check_pattern;
    r.argument = &salt;
    srand(12);
    for (int i = 1; i < 600; i++) {
        size_t bytes = (size_t)rand() % 130000;
        uint8_t *data = patterned(bytes, salt);
        while (send_bytes(data, bytes) == CS_ERR_TRY_AGAIN)
            cpg_dispatch(r.handle, CS_DISPATCH_ALL);
        free(data);
    }
    dispatch_until(&r, 600);
}

/* Send until there is no room; how many were accepted. */
static int fill(const void *data, size_t bytes)
{
    int accepted = 0;
    cs_error_t error;
    while ((error = send_bytes(data, bytes)) == CS_OK)
        accepted++;
    cr_assert_eq(error, CS_ERR_TRY_AGAIN);
    return accepted;
}

static bool is_disabled(void *unused)
{
    cpg_flow_control_state_t flow;
    cr_assert_eq(cpg_flow_control_state_get(r.handle, &flow), CS_OK);
    return flow == CPG_FLOW_CONTROL_DISABLED;
}

Test(send, C1_no_room_says_try_again_and_loses_nothing)
{
    const size_t sizes[] = { 0, 10, 1000, 100000, 300000 };
    static uint8_t data[300000];
    for (size_t i = 0; i < ARRAY_COUNT(sizes); i++) {
        int before = r.count;
        fake_pause(fake, true);
        cr_assert(is_disabled(NULL));
        int accepted = fill(data, sizes[i]);
        cr_assert_gt(accepted, 2);
        cr_assert_not(is_disabled(NULL));
        fake_pause(fake, false);
        dispatch_until(&r, before + accepted);
        cr_assert_eq(cpg_dispatch(r.handle, CS_DISPATCH_ONE_NONBLOCKING), CS_ERR_TRY_AGAIN);
        cr_assert(comes_true(is_disabled, NULL), "without a send");
        r.count = 0;
    }
}

static uint64_t clock_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

Test(send, L4_a_large_message_without_room_is_refused_at_once_and_whole)
{
    static uint8_t data[3 << 20];
    int sent = 0;
    fake_pause(fake, true);
    while (send_bytes(data, sizeof(data)) == CS_OK)
        sent++;
    uint64_t before_ms = clock_ms();
    for (int i = 0; i < 20; i++)
        cr_assert_eq(send_bytes(data, sizeof(data)), CS_ERR_TRY_AGAIN);
    cr_assert_lt(clock_ms() - before_ms, 5000, "none of them waits for a second");
    fake_pause(fake, false);
    dispatch_until(&r, 1 + sent);
    while (send_text(r.handle, "behind") != CS_OK)
        ;
    dispatch_until(&r, 1 + sent + 1);
    for (int i = 1; i <= sent; i++)
        cr_assert_eq(r.seen[i].bytes, sizeof(data));
    cr_assert_str_eq(r.seen[1 + sent].text, "behind");
}

Test(send, C7_requests_work_while_sends_do_not)
{
    unsigned node;
    int count;
    struct cpg_name group = name_of("g");
    struct cpg_address list[CPG_MEMBERS_MAX];
    fake_pause(fake, true);
    fill("x", 1);
    cr_assert_eq(cpg_local_get(r.handle, &node), CS_OK);
    cr_assert_eq(node, FAKE_NODE);
    cr_assert_eq(cpg_membership_get(r.handle, &group, list, &count), CS_OK);
    cr_assert_eq(count, 1);
    fake_pause(fake, false);
}

Test(send, congestion_that_the_service_sees_shows)
{
    cr_assert(is_disabled(NULL));
    fake_congest(fake, true);
    cr_assert_not(is_disabled(NULL));
    fake_congest(fake, false);
    cr_assert(is_disabled(NULL));
}

Test(send, without_memory_for_a_segment_it_is_try_again)
{
    fake_refuse(fake, CTL_TX_GET, CS_ERR_NO_MEMORY);
    cr_assert_eq(send_text(r.handle, "x"), CS_ERR_TRY_AGAIN);
    cr_assert_not(is_disabled(NULL));
    uint32_t asked = fake_requests(fake, CTL_TX_GET);
    for (int i = 0; i < 100; i++)
        cr_assert_eq(send_text(r.handle, "x"), CS_ERR_TRY_AGAIN);
    cr_assert_lt(fake_requests(fake, CTL_TX_GET) - asked, 50, "who spins does not ask each time");
    fake_refuse(fake, CTL_TX_GET, CS_OK);
    while (send_text(r.handle, "x") != CS_OK)
        ;
    dispatch_until(&r, 2);
}

/* The child's part, with the service in its parent: no descriptor is to be had, then there are. */
static int send_without_descriptors(void)
{
    struct rlimit limit;
    recorder_join(&other, "g");
    getrlimit(RLIMIT_NOFILE, &limit);
    setrlimit(RLIMIT_NOFILE, &(struct rlimit){ .rlim_cur = 3, .rlim_max = limit.rlim_max });
    for (int i = 0; i < 2 * CHAN_SEGMENT_COUNT; i++) {
        if (send_text(other.handle, "x") != CS_ERR_TRY_AGAIN)
            return 1;
        usleep(2500); /* longer than the library believes in the last refusal */
    }
    setrlimit(RLIMIT_NOFILE, &limit);
    usleep(2500);
    return send_text(other.handle, "x") == CS_OK ? 0 : 2;
}

Test(send, without_descriptors_it_is_try_again_until_there_are_some)
{
    int status;
    pid_t child = fork();
    if (child == 0)
        _exit(send_without_descriptors());
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert_eq(status, 0, "exit code %d", WEXITSTATUS(status));
}

Test(send, a_message_that_no_segment_can_hold_has_no_memory)
{
    static uint8_t data[600000];
    fake_refuse(fake, CTL_TX_GET, CS_ERR_TOO_BIG);
    cr_assert_eq(send_bytes(data, sizeof(data)), CS_ERR_NO_MEMORY);
    cr_assert_eq(send_text(r.handle, "x"), CS_ERR_NO_MEMORY);
}

Test(send, medium_messages_go_when_only_less_can_be_had)
{
    static uint8_t data[300000];
    fake_limit(fake, 310000);
    cr_assert_eq(send_bytes(data, sizeof(data)), CS_OK);
    cr_assert_eq(send_bytes(data, sizeof(data)), CS_OK);
    dispatch_until(&r, 3);
}

Test(send, D1_two_members_see_the_same_order)
{
    recorder_join(&other, "g");
    for (int i = 0; i < 200; i++) {
        char text[16];
        snprintf(text, sizeof(text), "%d", i);
        cr_assert_eq(send_text(i % 3 ? r.handle : other.handle, text), CS_OK);
    }
    dispatch_until(&r, 202); /* its own view, the other's */
    dispatch_until(&other, 201);
    for (int i = 0; i < 200; i++) {
        cr_assert_str_eq(r.seen[i + 2].text, other.seen[i + 1].text);
        cr_assert_eq(r.seen[i + 2].pid, other.seen[i + 1].pid);
    }
    cr_assert_eq(cpg_finalize(other.handle), CS_OK);
}

static void scribble(struct recorder *who, const struct recorded *event, void *msg)
{
    if (event->kind == RECORDED_MESSAGE)
        memset(msg, '#', event->bytes);
}

Test(send, D9_a_message_is_private_and_may_be_changed)
{
    recorder_join(&other, "g");
    r.then = scribble;
    other.then = scribble;
    cr_assert_eq(send_text(r.handle, "mine"), CS_OK);
    dispatch_until(&r, 3);
    dispatch_until(&other, 2);
    cr_assert_str_eq(r.seen[2].text, "mine");
    cr_assert_str_eq(other.seen[1].text, "mine");
    cr_assert_eq(cpg_finalize(other.handle), CS_OK);
}

Test(send, Z1_buffers_are_zero_aligned_and_many)
{
    enum { COUNT = 2000 };
    static void *buffer[COUNT];
    for (int i = 0; i < COUNT; i++) {
        size_t size = i == 0 ? 0 : 50000;
        cr_assert_eq(cpg_zcb_alloc(r.handle, size, &buffer[i]), CS_OK);
        cr_assert_eq((uintptr_t)buffer[i] % 64, 0);
        for (size_t b = 0; b < size; b += 1000)
            cr_assert_eq(((uint8_t *)buffer[i])[b], 0);
        memset(buffer[i], 0xaa, size);
    }
    for (int i = 0; i < COUNT; i += 2)
        cr_assert_eq(cpg_zcb_free(r.handle, buffer[i]), CS_OK);
    void *large[100];
    for (int i = 0; i < 100; i++)
        cr_assert_eq(cpg_zcb_alloc(r.handle, 1 << 20, &large[i]), CS_OK);
    cr_assert_eq(((uint8_t *)large[99])[(1 << 20) - 1], 0);
}

Test(send, Z1_no_room_is_no_memory)
{
    void *buffer = &buffer;
    cr_assert_eq(cpg_zcb_alloc(r.handle, SIZE_MAX, &buffer), CS_ERR_NO_MEMORY);
    cr_assert_eq(cpg_zcb_alloc(r.handle, SIZE_MAX / 2 - 100, &buffer), CS_ERR_NO_MEMORY);
    cr_assert_eq(buffer, &buffer);
}

Test(send, Z2_only_live_buffers_are_freed_by_any_handle_of_the_process)
{
    void *a, *b;
    char none;
    recorder_join(&other, "h");
    cr_assert_eq(cpg_zcb_alloc(r.handle, 100, &a), CS_OK);
    cr_assert_eq(cpg_zcb_alloc(r.handle, 1 << 20, &b), CS_OK);
    cr_assert_eq(cpg_zcb_free(r.handle, &none), CS_ERR_INVALID_PARAM);
    cr_assert_eq(cpg_zcb_free(r.handle, (char *)a + 1), CS_ERR_INVALID_PARAM);
    cr_assert_eq(cpg_zcb_free(other.handle, a), CS_OK);
    cr_assert_eq(cpg_zcb_free(r.handle, a), CS_ERR_INVALID_PARAM);
    cr_assert_eq(cpg_zcb_free(r.handle, b), CS_OK);
    cr_assert_eq(cpg_zcb_free(other.handle, b), CS_ERR_INVALID_PARAM);
    cr_assert_eq(cpg_finalize(other.handle), CS_OK);
}

Test(send, Z4_Z7_what_may_be_sent)
{
    void *buffer;
    cpg_handle_t unjoined;
    cr_assert_eq(cpg_zcb_alloc(r.handle, 100, &buffer), CS_OK);
    cr_assert_eq(cpg_zcb_mcast_joined(r.handle, CPG_TYPE_AGREED, (char *)buffer + 8, 1),
                 CS_ERR_INVALID_PARAM);
    cr_assert_eq(cpg_zcb_mcast_joined(r.handle, CPG_TYPE_AGREED, buffer, 101),
                 CS_ERR_INVALID_PARAM);
    cr_assert_eq(cpg_zcb_mcast_joined(r.handle, (cpg_guarantee_t)4, buffer, 1),
                 CS_ERR_INVALID_PARAM);
    cr_assert_eq(cpg_zcb_mcast_joined(r.handle, CPG_TYPE_AGREED, buffer, 0), CS_OK);
    cr_assert_eq(cpg_zcb_mcast_joined(r.handle, CPG_TYPE_AGREED, buffer, 100), CS_OK);
    dispatch_until(&r, 3);
    cr_assert_eq(r.seen[1].bytes, 0);
    cr_assert_eq(r.seen[2].bytes, 100);

    cr_assert_eq(cpg_initialize(&unjoined, NULL), CS_OK);
    cr_assert_eq(cpg_zcb_mcast_joined(unjoined, CPG_TYPE_AGREED, buffer, 1), CS_ERR_NOT_EXIST);
    cr_assert_eq(cpg_finalize(unjoined), CS_OK);

    void *large;
    cr_assert_eq(cpg_zcb_alloc(r.handle, FAKE_MESSAGE_MAX + 1, &large), CS_OK);
    cr_assert_eq(cpg_zcb_mcast_joined(r.handle, CPG_TYPE_AGREED, large, FAKE_MESSAGE_MAX + 1),
                 CS_ERR_TOO_BIG);
    cr_assert_eq(cpg_zcb_mcast_joined(r.handle, CPG_TYPE_AGREED, large, 1048576), CS_OK);
    dispatch_until(&r, 4);
    cr_assert_eq(r.seen[3].bytes, 1048576);
}

Test(send, Z5_Z6_Z8_the_buffer_is_the_callers_again_and_order_is_one)
{
    char *buffer;
    cr_assert_eq(cpg_zcb_alloc(r.handle, 32, (void **)&buffer), CS_OK);
    for (int i = 0; i < 100; i += 2) {
        char text[16];
        snprintf(buffer, 32, "%d", i);
        cr_assert_eq(cpg_zcb_mcast_joined(r.handle, CPG_TYPE_AGREED, buffer, strlen(buffer)),
                     CS_OK);
        strcpy(buffer, "overwritten");
        snprintf(text, sizeof(text), "%d", i + 1);
        cr_assert_eq(send_text(r.handle, text), CS_OK);
    }
    cr_assert_eq(cpg_zcb_free(r.handle, buffer), CS_OK);
    dispatch_until(&r, 101);
    for (int i = 0; i < 100; i++)
        cr_assert_eq(atoi(r.seen[i + 1].text), i);
}
