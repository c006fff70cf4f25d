/* SPDX-License-Identifier: BSD-3-Clause */
/* threads_callbacks.c - what a dispatch does, and what callbacks may do: X1 to X7, X9. */
#include "member.h"

#include <stdlib.h>
#include <string.h>

CASE(X1_each_mode_does_what_it_says)
{
    struct member m = { 0 };
    member_join(&m, "modes");
    EXPECT_CS(cpg_dispatch(m.handle, CS_DISPATCH_ALL), CS_OK);
    EXPECT_CS(cpg_dispatch(m.handle, CS_DISPATCH_ONE_NONBLOCKING), CS_ERR_TRY_AGAIN);
    for (int i = 0; i < 6; i++)
        send_text(m.handle, "x");
    EXPECT_CS(cpg_dispatch(m.handle, CS_DISPATCH_ONE), CS_OK);
    EXPECT(atomic_load(&m.count) == 2);
    CHECK(readiness(m.handle, 10000) != 0);
    EXPECT_CS(cpg_dispatch(m.handle, CS_DISPATCH_ONE_NONBLOCKING), CS_OK);
    EXPECT(atomic_load(&m.count) == 3);
    WAIT_FOR(cpg_dispatch(m.handle, CS_DISPATCH_ALL) == CS_OK && atomic_load(&m.count) == 7);
    EXPECT_CS(cpg_dispatch(m.handle, CS_DISPATCH_ONE_NONBLOCKING), CS_ERR_TRY_AGAIN);
    member_close(&m);
}

static void count_message(cpg_handle_t handle, const struct cpg_name *group, uint32_t nodeid,
                          uint32_t pid, void *msg, size_t bytes)
{
    void *context;
    (void)group, (void)nodeid, (void)pid, (void)msg, (void)bytes;
    CHECK(cpg_context_get(handle, &context) == CS_OK);
    ++*(int *)context;
}

CASE(X2_events_without_a_callback_are_consumed_one_by_one)
{
    int seen = 0;
    struct cpg_name name = name_of("silent");
    cpg_callbacks_t only_messages = { .cpg_deliver_fn = count_message };
    for (int with = 0; with < 2; with++) {
        cpg_handle_t h;
        CHECK(cpg_initialize(&h, with ? &only_messages : NULL) == CS_OK);
        CHECK(cpg_context_set(h, &seen) == CS_OK);
        CHECK(TAKEN(cpg_join(h, &name)) == CS_OK);
        send_text(h, "one");
        send_text(h, "two");
        for (int i = 0; i < 3; i++) /* the view and two messages */
            EXPECT_CS(cpg_dispatch(h, CS_DISPATCH_ONE), CS_OK);
        EXPECT_CS(cpg_dispatch(h, CS_DISPATCH_ONE_NONBLOCKING), CS_ERR_TRY_AGAIN);
        EXPECT(readiness(h, 0) == 0);
        CHECK(cpg_finalize(h) == CS_OK);
    }
    EXPECT(seen == 2);
}

CASE(X3_one_call_of_one_runs_one_callback_whatever_the_size)
{
    static const size_t size[] = { 3 << 20, 10, 1 << 20, 0, 20 << 20, 70000, 1 };
    enum { COUNT = sizeof(size) / sizeof(size[0]) };
    char *bytes = calloc(1, 20 << 20);
    struct member m = { 0 };
    CHECK(bytes);
    member_join(&m, "one is one");
    for (int i = 0; i < COUNT; i++) {
        cs_error_t answer;
        while ((answer = send_bytes(m.handle, bytes, size[i])) == CS_ERR_TRY_AGAIN)
            probe_nap_us(1000);
        CHECK(answer == CS_OK);
    }
    for (int i = 0; i < COUNT; i++) {
        EXPECT_CS(cpg_dispatch(m.handle, CS_DISPATCH_ONE), CS_OK);
        EXPECT(atomic_load(&m.count) == 2 + i && m.seen[1 + i].bytes == size[i]);
    }
    free(bytes);
    member_close(&m);
}

static void ask_everything(struct member *m, const struct seen *event, void *msg)
{
    unsigned node = 0;
    uint32_t most;
    int fd, count = 0;
    void *buffer;
    cpg_flow_control_state_t flow;
    struct cpg_name name = event->group;
    struct cpg_address list[CPG_MEMBERS_MAX];
    struct cpg_iteration_description_t d;
    cpg_iteration_handle_t it;
    (void)msg;
    EXPECT_CS(cpg_local_get(m->handle, &node), CS_OK);
    EXPECT(node == m->node);
    EXPECT_CS(cpg_membership_get(m->handle, &name, list, &count), CS_OK);
    EXPECT(count == 1);
    CHECK(cpg_iteration_initialize(m->handle, CPG_ITERATION_ONE_GROUP, &name, &it) == CS_OK);
    EXPECT_CS(cpg_iteration_next(it, &d), CS_OK);
    EXPECT_CS(cpg_iteration_finalize(it), CS_OK);
    EXPECT_CS(cpg_fd_get(m->handle, &fd), CS_OK);
    EXPECT_CS(cpg_max_atomic_msgsize_get(m->handle, &most), CS_OK);
    EXPECT_CS(cpg_flow_control_state_get(m->handle, &flow), CS_OK);
    EXPECT_CS(cpg_join(m->handle, &name), CS_ERR_EXIST);
    if (event->bytes > 100)
        return;
    CHECK(cpg_zcb_alloc(m->handle, 200, &buffer) == CS_OK);
    EXPECT_CS(TAKEN(cpg_zcb_mcast_joined(m->handle, CPG_TYPE_AGREED, buffer, 150)), CS_OK);
    EXPECT_CS(cpg_zcb_free(m->handle, buffer), CS_OK);
}

CASE(X4_a_callback_asks_and_sends)
{
    struct member m = { .then = ask_everything };
    member_join(&m, "asking callback"); /* its view is one of them */
    send_text(m.handle, "and a message");
    member_see(&m, 4);
    EXPECT(m.seen[1].bytes == 150 || m.seen[2].bytes == 150);
    member_close(&m);
}

static void use_another(struct member *m, const struct seen *event, void *msg)
{
    struct member *other = m->argument;
    char text[SEEN_TEXT];
    (void)msg;
    if (event->kind != SEEN_MESSAGE)
        return;
    if (!other->handle)
        member_join(other, "the other");
    send_text(other->handle, event->text);
    member_see(other, atomic_load(&other->count) + 1);
    snprintf(text, sizeof(text), "%s", other->seen[atomic_load(&other->count) - 1].text);
    EXPECT(strcmp(text, event->text) == 0);
    if (strcmp(text, "close") == 0)
        member_close(other);
}

CASE(X4_a_callback_opens_uses_and_closes_another_handle)
{
    struct member other = { 0 }, m = { .then = use_another, .argument = &other };
    member_join(&m, "the one");
    for (int i = 0; i < 5; i++) {
        send_text(m.handle, "hello");
        send_text(m.handle, "again");
        send_text(m.handle, "close");
    }
    member_see(&m, 16);
    EXPECT(other.handle == 0);
    member_close(&m);
}

static void close_the_other(struct member *m, const struct seen *event, void *msg)
{
    struct member *other = m->argument;
    (void)msg;
    if (event->kind == SEEN_MESSAGE && other->handle)
        member_close(other);
}

CASE(X4_a_callback_closes_a_handle_with_events_waiting)
{
    for (int i = 0; i < 20; i++) {
        struct member other = { 0 }, m = { .then = close_the_other, .argument = &other };
        member_join(&m, "closer");
        member_join(&other, "closed");
        for (int j = 0; j < 20; j++)
            send_text(other.handle, "waits");
        send_text(m.handle, "close it");
        member_see(&m, 2);
        EXPECT(other.handle == 0);
        member_close(&m);
    }
}

/* Nested: each message dispatches the next, and is what it was when that has come back. */
struct nest {
    int depth, deepest;
    cs_dispatch_flags_t mode;
};

static void dispatch_inside(struct member *m, const struct seen *event, void *msg)
{
    struct nest *nest = m->argument;
    int seen = atomic_load(&m->count);
    if (event->kind != SEEN_MESSAGE)
        return;
    memset(msg, seen & 0xff, event->bytes);
    if (++nest->depth > nest->deepest)
        nest->deepest = nest->depth;
    cs_error_t answer = cpg_dispatch(m->handle, nest->mode);
    EXPECT(answer == CS_OK || (answer == CS_ERR_TRY_AGAIN && nest->mode != CS_DISPATCH_ALL));
    nest->depth--;
    for (size_t i = 0; i < event->bytes; i++)
        EXPECT(((uint8_t *)msg)[i] == (seen & 0xff)); /* X9 */
}

CASE(X5_X9_a_dispatch_inside_a_callback_goes_on_with_the_next_event)
{
    enum { COUNT = 40 };
    for (int i = 0; i < 2; i++) {
        struct nest nest = { .mode = i ? CS_DISPATCH_ALL : CS_DISPATCH_ONE_NONBLOCKING };
        struct member m = { .then = dispatch_inside, .argument = &nest };
        char text[SEEN_TEXT] = { 0 };
        member_join(&m, i ? "nested all" : "nested one");
        for (int j = 0; j < COUNT; j++) {
            snprintf(text, sizeof(text), "number %d", j);
            CHECK(TAKEN(send_bytes(m.handle, text, j % 5 ? sizeof(text) : 10)) == CS_OK);
        }
        WAIT_FOR(readiness(m.handle, 0) != 0);
        member_see(&m, 1 + COUNT);
        EXPECT(nest.deepest > 1 && nest.depth == 0);
        for (int j = 0; j < COUNT; j++) {
            snprintf(text, sizeof(text), "number %d", j);
            EXPECT(strcmp(m.seen[1 + j].text, text) == 0);
        }
        member_close(&m);
    }
}

static void wait_inside(struct member *m, const struct seen *event, void *msg)
{
    (void)msg;
    if (strcmp(event->text, "question") != 0)
        return;
    send_text(m->handle, "answer");
    EXPECT_CS(cpg_dispatch(m->handle, CS_DISPATCH_ONE), CS_OK);
}

CASE(X5_a_callback_may_wait_for_the_answer_to_what_it_sent)
{
    struct member m = { .then = wait_inside };
    member_join(&m, "waiting inside");
    send_text(m.handle, "question");
    EXPECT_CS(cpg_dispatch(m.handle, CS_DISPATCH_ONE), CS_OK);
    EXPECT(atomic_load(&m.count) == 3 && strcmp(m.seen[2].text, "answer") == 0);
    member_close(&m);
}

static void finalize_inside(struct member *m, const struct seen *event, void *msg)
{
    cpg_handle_t h = m->handle;
    int fd, depth = m->argument != NULL;
    if (event->kind != SEEN_MESSAGE)
        return;
    memset(msg, 0x7e, event->bytes);
    if (depth) { /* the dispatch inside is the one that sees it happen */
        m->argument = NULL;
        EXPECT_CS(cpg_dispatch(h, CS_DISPATCH_ONE), CS_ERR_BAD_HANDLE);
    } else {
        EXPECT_CS(cpg_finalize(h), CS_OK);
    }
    EXPECT_CS(cpg_finalize(h), CS_ERR_BAD_HANDLE);
    EXPECT_CS(cpg_fd_get(h, &fd), CS_ERR_BAD_HANDLE);
    EXPECT_CS(send_bytes(h, "x", 1), CS_ERR_BAD_HANDLE);
    for (int mode = CS_DISPATCH_ONE; mode <= CS_DISPATCH_ONE_NONBLOCKING; mode++)
        EXPECT_CS(cpg_dispatch(h, (cs_dispatch_flags_t)mode), CS_ERR_BAD_HANDLE);
    for (size_t i = 0; i < event->bytes; i++)
        CHECK(((uint8_t *)msg)[i] == 0x7e);
}

CASE(X6_finalize_inside_a_callback_is_the_end_at_once)
{
    static char bytes[100000];
    for (int mode = CS_DISPATCH_ONE; mode <= CS_DISPATCH_ONE_NONBLOCKING; mode++) {
        for (int nested = 0; nested < 2; nested++) {
            struct member m = { 0 };
            member_join(&m, "finalized inside");
            for (int i = 0; i < 5; i++)
                CHECK(TAKEN(send_bytes(m.handle, bytes, sizeof(bytes))) == CS_OK);
            m.then = finalize_inside;
            m.argument = nested ? &m : NULL;
            CHECK(readiness(m.handle, 10000) != 0);
            EXPECT_CS(cpg_dispatch(m.handle, (cs_dispatch_flags_t)mode), CS_ERR_BAD_HANDLE);
            EXPECT(atomic_load(&m.count) == 2 + nested); /* no further callback */
            member_forget(&m);
        }
    }
}

static void leave_inside(struct member *m, const struct seen *event, void *msg)
{
    (void)msg;
    if (strcmp(event->text, "message 0") == 0)
        EXPECT_CS(TAKEN(cpg_leave(m->handle, &event->group)), CS_OK);
}

CASE(X7_leave_inside_a_callback_still_gives_what_was_ordered_before)
{
    for (int mode = CS_DISPATCH_ONE; mode <= CS_DISPATCH_ALL; mode++) {
        struct member m = { .then = leave_inside };
        char text[SEEN_TEXT];
        member_join(&m, "left inside");
        for (int i = 0; i < 6; i++) {
            snprintf(text, sizeof(text), "message %d", i);
            send_text(m.handle, text);
        }
        while (atomic_load(&m.count) < 8)
            CHECK(cpg_dispatch(m.handle, (cs_dispatch_flags_t)mode) == CS_OK);
        for (int i = 0; i < 6; i++) {
            snprintf(text, sizeof(text), "message %d", i);
            EXPECT(strcmp(m.seen[1 + i].text, text) == 0);
        }
        EXPECT(m.seen[7].left == 1 && m.seen[7].first_left.reason == CPG_REASON_LEAVE);
        EXPECT(m.seen[7].members == 0);
        EXPECT_CS(cpg_dispatch(m.handle, CS_DISPATCH_ONE_NONBLOCKING), CS_ERR_TRY_AGAIN);
        EXPECT_CS(send_bytes(m.handle, "x", 1), CS_ERR_NOT_EXIST);
        member_close(&m);
    }
}

static void join_again_inside(struct member *m, const struct seen *event, void *msg)
{
    (void)msg;
    if (event->left == 1 && atomic_load(&m->count) < 20)
        EXPECT_CS(TAKEN(cpg_join(m->handle, &event->group)), CS_OK);
    else if (event->joined == 1)
        EXPECT_CS(TAKEN(cpg_leave(m->handle, &event->group)), CS_OK);
}

CASE(X4_X7_views_that_join_and_leave_from_within)
{
    struct member m = { .then = join_again_inside };
    member_join(&m, "in and out");
    member_see(&m, 20);
    for (int i = 0; i < 20; i++)
        EXPECT(i % 2 ? m.seen[i].left == 1 : m.seen[i].joined == 1);
    member_close(&m);
}
