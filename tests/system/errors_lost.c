/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * errors_lost.c - the service is gone: the test kills it when a case says "ready", and says so.
 * Rules S1 to S4, H2, X10.
 */
#include "errors.h"

#include <poll.h>
#include <pthread.h>
#include <string.h>

static void wait_for_the_loss(void)
{
    probe_say("ready");
    probe_hear();
}

CASE(S1_S2_the_table_once_more_when_the_service_is_lost)
{
    struct member m = { 0 }, idle = { 0 };
    struct cpg_name name = name_of("lost");
    struct cpg_iteration_description_t d;
    cpg_iteration_handle_t it;
    void *buffer, *other;
    cpg_handle_t h = 77;
    member_open(&idle);
    member_join(&m, "lost");
    send_text(m.handle, "x"); /* so that it has memory of the service */
    member_see(&m, 2);
    CHECK(cpg_iteration_initialize(m.handle, CPG_ITERATION_ALL, NULL, &it) == CS_OK);
    CHECK(cpg_zcb_alloc(m.handle, 100000, &buffer) == CS_OK);
    CHECK(cpg_zcb_alloc(m.handle, 500000, &other) == CS_OK);
    wait_for_the_loss();
    const struct answers lost = { CS_ERR_LIBRARY, CS_OK };
    for (int again = 0; again < 2; again++) {
        expect_answers(m.handle, &lost);
        expect_answers(idle.handle, &lost);
        EXPECT_CS(cpg_zcb_mcast_joined(m.handle, CPG_TYPE_AGREED, buffer, 100), CS_ERR_LIBRARY);
        EXPECT_CS(cpg_iteration_next(it, &d), CS_ERR_LIBRARY);
        EXPECT((readiness(m.handle, 0) & (POLLIN | POLLHUP)) == (POLLIN | POLLHUP));
        EXPECT((readiness(idle.handle, 0) & (POLLIN | POLLHUP)) == (POLLIN | POLLHUP));
    }
    memset(buffer, 1, 100000); /* S4 */
    memset(other, 1, 500000);
    EXPECT_CS(cpg_zcb_free(m.handle, other), CS_ERR_LIBRARY);
    EXPECT_CS(cpg_iteration_finalize(it), CS_ERR_LIBRARY);
    EXPECT_CS(cpg_iteration_next(it, &d), CS_ERR_BAD_HANDLE);
    EXPECT_CS(cpg_model_initialize(&h, CPG_MODEL_V1, NULL, NULL), CS_ERR_LIBRARY);
    EXPECT(h == 77);
    h = m.handle;
    member_end(&m, CS_ERR_LIBRARY); /* and it is gone */
    EXPECT_CS(cpg_finalize(h), CS_ERR_BAD_HANDLE);
    EXPECT_CS(cpg_join(h, &name), CS_ERR_BAD_HANDLE);
    h = idle.handle;
    member_end(&idle, CS_ERR_LIBRARY);
    EXPECT_CS(cpg_finalize(h), CS_ERR_BAD_HANDLE);
}

CASE(S1_X10_waiting_events_are_discarded_and_no_view_tells_of_the_loss)
{
    struct member m = { 0 };
    member_join(&m, "discarded");
    send_text(m.handle, "one");
    send_text(m.handle, "two");
    member_see(&m, 2);
    CHECK(readiness(m.handle, 10000) == POLLIN); /* the second waits */
    wait_for_the_loss();
    for (int mode = CS_DISPATCH_ONE; mode <= CS_DISPATCH_ONE_NONBLOCKING; mode++)
        EXPECT_CS(cpg_dispatch(m.handle, (cs_dispatch_flags_t)mode), CS_ERR_LIBRARY);
    EXPECT(atomic_load(&m.count) == 2);
    member_end(&m, CS_ERR_LIBRARY);
}

struct waiter {
    pthread_t thread;
    struct member m;
    cs_dispatch_flags_t mode;
    cs_error_t answer;
};

static void *wait_run(void *argument)
{
    struct waiter *w = argument;
    w->answer = cpg_dispatch(w->m.handle, w->mode);
    return NULL;
}

CASE(S1_waiting_dispatches_return_promptly)
{
    enum { WAITERS = 6 };
    static struct waiter w[WAITERS];
    static const char *const group[WAITERS] = { "w0", "w1", "w2", "w3", "w4", "w5" };
    for (int i = 0; i < WAITERS; i++) {
        w[i].mode = i % 2 ? CS_DISPATCH_ONE : CS_DISPATCH_BLOCKING;
        if (i < 2)
            member_open(&w[i].m);
        else
            member_join(&w[i].m, group[i]);
        CHECK(pthread_create(&w[i].thread, NULL, wait_run, &w[i]) == 0);
    }
    wait_for_the_loss();
    uint64_t start = probe_now_ns();
    for (int i = 0; i < WAITERS; i++) {
        CHECK(pthread_join(w[i].thread, NULL) == 0);
        EXPECT_CS(w[i].answer, CS_ERR_LIBRARY);
        member_end(&w[i].m, CS_ERR_LIBRARY);
    }
    EXPECT(probe_now_ns() - start < 2000000000u);
}

CASE(S2_S3_S4_a_sender_at_full_speed_meets_the_loss_and_starts_anew)
{
    static char bytes[300000];
    struct member m = { 0 }, fresh = { 0 };
    cs_error_t answer = CS_OK;
    member_join(&m, "reconnect");
    probe_say("ready");
    for (uint32_t i = 0; answer != CS_ERR_LIBRARY; i++) {
        answer = send_bytes(m.handle, bytes, i % 8 ? 100 : sizeof(bytes));
        CHECK(answer == CS_OK || answer == CS_ERR_TRY_AGAIN || answer == CS_ERR_LIBRARY);
        if (answer == CS_ERR_TRY_AGAIN)
            answer = cpg_dispatch(m.handle, CS_DISPATCH_ALL);
    }
    probe_hear(); /* it has been started again */
    expect_answers(m.handle, &(struct answers){ CS_ERR_LIBRARY, CS_OK });
    cs_error_t opened;
    while ((opened = cpg_initialize(&fresh.handle, NULL)) != CS_OK) {
        CHECK(opened == CS_ERR_LIBRARY || opened == CS_ERR_TRY_AGAIN);
        probe_nap_us(1000);
    }
    CHECK(cpg_finalize(fresh.handle) == CS_OK);
    member_join(&fresh, "reconnect");
    EXPECT(fresh.seen[0].members == 1);
    EXPECT_CS(cpg_dispatch(m.handle, CS_DISPATCH_ALL), CS_ERR_LIBRARY);
    member_end(&m, CS_ERR_LIBRARY);
    member_close(&fresh);
}
