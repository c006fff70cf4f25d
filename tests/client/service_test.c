/* SPDX-License-Identifier: BSD-3-Clause */
/* service_test.c - when the service is gone, or has thrown the client out. */
#include <criterion/criterion.h>

#include <poll.h>
#include <pthread.h>
#include <string.h>

#include "fake.h"
#include "recorder.h"

static struct fake *fake;
static struct recorder r;

static void setup(void)
{
    fake = fake_start();
    recorder_join(&r, "g");
}

static void teardown(void)
{
    cpg_finalize(r.handle);
    fake_stop(fake);
}

TestSuite(service, .init = setup, .fini = teardown);

static void expect_lost(cpg_handle_t h)
{
    int fd, count;
    unsigned node;
    uint32_t size;
    void *p;
    struct cpg_name name = name_of("g");
    struct cpg_address list[CPG_MEMBERS_MAX];
    cpg_iteration_handle_t it;
    cpg_flow_control_state_t flow;
    for (int mode = CS_DISPATCH_ONE; mode <= CS_DISPATCH_ONE_NONBLOCKING; mode++)
        cr_assert_eq(cpg_dispatch(h, (cs_dispatch_flags_t)mode), CS_ERR_LIBRARY, "%d", mode);
    cr_assert_eq(cpg_join(h, &name), CS_ERR_LIBRARY);
    cr_assert_eq(cpg_leave(h, &name), CS_ERR_LIBRARY);
    cr_assert_eq(send_text(h, "x"), CS_ERR_LIBRARY);
    cr_assert_eq(cpg_membership_get(h, &name, list, &count), CS_ERR_LIBRARY);
    cr_assert_eq(cpg_local_get(h, &node), CS_ERR_LIBRARY);
    cr_assert_eq(cpg_iteration_initialize(h, CPG_ITERATION_ALL, NULL, &it), CS_ERR_LIBRARY);
    cr_assert_eq(cpg_zcb_alloc(h, 10, &p), CS_ERR_LIBRARY);
    cr_assert_eq(cpg_fd_get(h, &fd), CS_OK);
    cr_assert_eq(cpg_max_atomic_msgsize_get(h, &size), CS_OK);
    cr_assert_eq(size, FAKE_ATOMIC_MAX);
    cr_assert_eq(cpg_context_get(h, &p), CS_OK);
    cr_assert_eq(cpg_context_set(h, p), CS_OK);
    cr_assert_eq(cpg_flow_control_state_get(h, &flow), CS_OK);
}

Test(service, S1_every_call_that_needs_it_says_so)
{
    short seen;
    fake_die(fake);
    seen = readiness(r.handle, 5000);
    cr_assert(seen & POLLIN);
    cr_assert(seen & POLLHUP);
    expect_lost(r.handle);
    cr_assert_eq(cpg_finalize(r.handle), CS_ERR_LIBRARY);
    cr_assert_eq(cpg_finalize(r.handle), CS_ERR_BAD_HANDLE);
}

Test(service, S1_the_first_call_of_each_kind_sees_it)
{
    unsigned node;
    static struct recorder second;
    recorder_join(&second, "g");
    fake_die(fake);
    readiness(r.handle, 5000);
    readiness(second.handle, 5000);
    cr_assert_eq(send_text(r.handle, "x"), CS_ERR_LIBRARY);
    cr_assert_eq(cpg_local_get(second.handle, &node), CS_ERR_LIBRARY);
}

Test(service, X10_waiting_events_are_discarded)
{
    for (int i = 0; i < 3; i++)
        cr_assert_eq(send_text(r.handle, "x"), CS_OK);
    cr_assert_eq(readiness(r.handle, 5000), POLLIN);
    fake_die(fake);
    while (!(readiness(r.handle, 5000) & POLLHUP))
        ;
    cr_assert_eq(cpg_dispatch(r.handle, CS_DISPATCH_ALL), CS_ERR_LIBRARY);
    cr_assert_eq(r.count, 1);
}

static _Atomic bool started;

static void *wait_in_dispatch(void *mode)
{
    static cs_error_t result[5];
    cs_dispatch_flags_t flags = *(cs_dispatch_flags_t *)mode;
    started = true;
    result[flags] = cpg_dispatch(r.handle, flags);
    return &result[flags];
}

Test(service, S1_who_waits_is_woken)
{
    pthread_t one, blocking;
    void *result;
    cs_dispatch_flags_t modes[] = { CS_DISPATCH_ONE, CS_DISPATCH_BLOCKING };
    pthread_create(&one, NULL, wait_in_dispatch, &modes[0]);
    pthread_create(&blocking, NULL, wait_in_dispatch, &modes[1]);
    while (!started)
        ;
    fake_die(fake);
    pthread_join(one, &result);
    cr_assert_eq(*(cs_error_t *)result, CS_ERR_LIBRARY);
    pthread_join(blocking, &result);
    cr_assert_eq(*(cs_error_t *)result, CS_ERR_LIBRARY);
}

Test(service, S2_S3_a_new_service_needs_a_new_handle)
{
    cpg_handle_t h;
    fake_die(fake);
    cr_assert_eq(cpg_initialize(&h, NULL), CS_ERR_LIBRARY);
    struct fake *next = fake_start();
    cr_assert_eq(cpg_dispatch(r.handle, CS_DISPATCH_ALL), CS_ERR_LIBRARY);
    cr_assert_eq(cpg_finalize(r.handle), CS_ERR_LIBRARY);
    cr_assert_eq(cpg_initialize(&h, NULL), CS_OK);
    cr_assert_eq(cpg_finalize(h), CS_OK);
    fake_stop(next);
}

Test(service, S4_buffers_stay_usable)
{
    void *buffer, *large;
    cr_assert_eq(cpg_zcb_alloc(r.handle, 1000, &buffer), CS_OK);
    cr_assert_eq(cpg_zcb_alloc(r.handle, 1 << 20, &large), CS_OK);
    fake_die(fake);
    memset(buffer, 7, 1000);
    memset(large, 7, 1 << 20);
    readiness(r.handle, 5000);
    cr_assert_eq(cpg_zcb_mcast_joined(r.handle, CPG_TYPE_AGREED, buffer, 10), CS_ERR_LIBRARY);
    memset(large, 8, 1 << 20);
    cr_assert_eq(cpg_zcb_free(r.handle, buffer), CS_ERR_LIBRARY, "and it is freed");
    cr_assert_eq(cpg_zcb_free(r.handle, buffer), CS_ERR_INVALID_PARAM);
}

Test(service, an_evicted_client_has_lost_the_service)
{
    fake_evict(fake, 0, CHAN_EVICTED_SLOW);
    expect_lost(r.handle);
    cr_assert_eq(cpg_finalize(r.handle), CS_ERR_LIBRARY);
}

/* What is read from then on may be somebody else's bytes. */
static void be_evicted(struct recorder *who, const struct recorded *event, void *msg)
{
    (void)who;
    (void)event;
    (void)msg;
    fake_evict(fake, 0, CHAN_EVICTED_SLOW);
}

Test(service, X10_D10_once_evicted_nothing_more_is_delivered)
{
    int before = r.count;
    for (int i = 0; i < 3; i++)
        cr_assert(fake_inject(fake, 0, "word", 5));
    r.then = be_evicted;
    cr_assert_eq(cpg_dispatch(r.handle, CS_DISPATCH_ALL), CS_ERR_LIBRARY);
    cr_assert_eq(r.count, before + 1, "the one during which it was thrown out");
}

Test(service, iterations_of_a_lost_handle_end)
{
    cpg_iteration_handle_t it;
    struct cpg_iteration_description_t d;
    cr_assert_eq(cpg_iteration_initialize(r.handle, CPG_ITERATION_ALL, NULL, &it), CS_OK);
    fake_die(fake);
    readiness(r.handle, 5000);
    cr_assert_eq(cpg_iteration_next(it, &d), CS_ERR_LIBRARY);
    cr_assert_eq(cpg_iteration_finalize(it), CS_ERR_LIBRARY);
    cr_assert_eq(cpg_iteration_finalize(it), CS_ERR_BAD_HANDLE);
}
