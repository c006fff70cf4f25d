/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * errors.c - what each function answers to wrong handles and arguments, and at wrong times: section
 * 4 of the contract, line by line.
 */
#include "errors.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static struct cpg_name long_name(void)
{
    return (struct cpg_name){ .length = CPG_MAX_NAME_LENGTH + 1 };
}

void expect_answers(cpg_handle_t h, const struct answers *a)
{
    int fd, count;
    unsigned node;
    uint32_t size;
    void *p = NULL;
    struct cpg_name name = name_of("answers");
    struct cpg_address list[CPG_MEMBERS_MAX];
    cpg_iteration_handle_t it;
    cpg_flow_control_state_t flow;
    EXPECT_CS(cpg_fd_get(h, &fd), a->alone);
    EXPECT_CS(cpg_max_atomic_msgsize_get(h, &size), a->alone);
    EXPECT_CS(cpg_context_get(h, &p), a->alone);
    EXPECT_CS(cpg_context_set(h, p), a->alone);
    EXPECT_CS(cpg_flow_control_state_get(h, &flow), a->alone);
    for (int mode = CS_DISPATCH_ONE; mode <= CS_DISPATCH_ONE_NONBLOCKING; mode++)
        EXPECT_CS(cpg_dispatch(h, (cs_dispatch_flags_t)mode), a->service);
    EXPECT_CS(cpg_join(h, &name), a->service);
    EXPECT_CS(cpg_leave(h, &name), a->service);
    for (int guarantee = CPG_TYPE_UNORDERED; guarantee <= CPG_TYPE_SAFE; guarantee++)
        EXPECT_CS(cpg_mcast_joined(h, (cpg_guarantee_t)guarantee, NULL, 0), a->service);
    EXPECT_CS(send_bytes(h, &size, sizeof(size)), a->service);
    EXPECT_CS(cpg_membership_get(h, &name, list, &count), a->service);
    EXPECT_CS(cpg_local_get(h, &node), a->service);
    EXPECT_CS(cpg_iteration_initialize(h, CPG_ITERATION_ALL, NULL, &it), a->service);
    EXPECT_CS(cpg_iteration_initialize(h, CPG_ITERATION_ONE_GROUP, &name, &it), a->service);
    EXPECT_CS(cpg_zcb_alloc(h, 1, &p), a->service);
}

static void expect_bad(cpg_handle_t h, void *buffer, cpg_iteration_handle_t it)
{
    struct cpg_iteration_description_t d;
    expect_answers(h, &(struct answers){ CS_ERR_BAD_HANDLE, CS_ERR_BAD_HANDLE });
    EXPECT_CS(cpg_zcb_free(h, buffer), CS_ERR_BAD_HANDLE);
    EXPECT_CS(cpg_zcb_mcast_joined(h, CPG_TYPE_AGREED, buffer, 1), CS_ERR_BAD_HANDLE);
    EXPECT_CS(cpg_iteration_next(it, &d), CS_ERR_BAD_HANDLE);
    EXPECT_CS(cpg_iteration_finalize(it), CS_ERR_BAD_HANDLE);
    EXPECT_CS(cpg_finalize(h), CS_ERR_BAD_HANDLE);
}

CASE(H2_zero_and_invented_handles_are_bad_everywhere)
{
    struct member m = { 0 };
    void *buffer;
    cpg_iteration_handle_t it;
    member_open(&m);
    CHECK(cpg_zcb_alloc(m.handle, 8, &buffer) == CS_OK);
    CHECK(cpg_iteration_initialize(m.handle, CPG_ITERATION_ALL, NULL, &it) == CS_OK);
    CHECK(m.handle != 0 && it != 0);
    const uint64_t invented[] = {
        0,
        1,
        2,
        UINT32_MAX,
        UINT64_MAX,
        ~m.handle,
        m.handle + 1,
        m.handle - 1,
        m.handle ^ 1ull << 32,
        m.handle ^ 1ull << 63,
        m.handle >> 1,
        m.handle << 1,
        it,
    };
    for (size_t i = 0; i < sizeof(invented) / sizeof(invented[0]); i++)
        expect_bad(invented[i], buffer, invented[i] == it ? m.handle : invented[i]);
    EXPECT_CS(cpg_iteration_finalize(it), CS_OK);
    EXPECT_CS(cpg_zcb_free(m.handle, buffer), CS_OK);
    member_close(&m);
}

CASE(H2_a_finalized_handle_is_bad_everywhere_and_its_value_does_not_come_again)
{
    struct member m = { 0 };
    void *buffer;
    cpg_iteration_handle_t it;
    member_join(&m, "finalized");
    CHECK(cpg_zcb_alloc(m.handle, 8, &buffer) == CS_OK);
    CHECK(cpg_iteration_initialize(m.handle, CPG_ITERATION_ALL, NULL, &it) == CS_OK);
    cpg_handle_t dead = m.handle;
    member_close(&m);
    expect_bad(dead, buffer, it);
    for (int i = 0; i < 100; i++) {
        member_open(&m);
        EXPECT(m.handle != dead);
        expect_bad(dead, buffer, it);
        member_close(&m);
    }
}

/* Refused whatever the handle is, or before it is looked at. */
static void expect_refused(cpg_handle_t h)
{
    struct cpg_name name = name_of("refused"), too_long = long_name();
    struct cpg_address list[CPG_MEMBERS_MAX];
    int count;
    cpg_iteration_handle_t it;
    EXPECT_CS(cpg_join(h, NULL), CS_ERR_INVALID_PARAM);
    EXPECT_CS(cpg_leave(h, NULL), CS_ERR_INVALID_PARAM);
    EXPECT_CS(cpg_join(h, &too_long), CS_ERR_NAME_TOO_LONG);
    EXPECT_CS(cpg_leave(h, &too_long), CS_ERR_NAME_TOO_LONG);
    EXPECT_CS(cpg_membership_get(h, &too_long, list, &count), CS_ERR_NAME_TOO_LONG);
    EXPECT_CS(cpg_membership_get(h, &name, NULL, &count), CS_ERR_INVALID_PARAM);
    EXPECT_CS(cpg_membership_get(h, &name, list, NULL), CS_ERR_INVALID_PARAM);
    EXPECT_CS(cpg_membership_get(h, NULL, list, &count), CS_ERR_INVALID_PARAM);
    EXPECT_CS(cpg_iteration_initialize(h, CPG_ITERATION_ONE_GROUP, &too_long, &it),
              CS_ERR_NAME_TOO_LONG);
    EXPECT_CS(cpg_iteration_initialize(h, (cpg_iteration_type_t)9, &too_long, NULL),
              CS_ERR_NAME_TOO_LONG);
    EXPECT_CS(cpg_iteration_initialize(h, CPG_ITERATION_ALL, NULL, NULL), CS_ERR_INVALID_PARAM);
    EXPECT_CS(cpg_iteration_initialize(h, CPG_ITERATION_ONE_GROUP, NULL, &it),
              CS_ERR_INVALID_PARAM);
    EXPECT_CS(cpg_iteration_initialize(h, CPG_ITERATION_ALL, &name, &it), CS_ERR_INVALID_PARAM);
    EXPECT_CS(cpg_iteration_initialize(h, CPG_ITERATION_NAME_ONLY, &name, &it),
              CS_ERR_INVALID_PARAM);
    for (int type = -1; type < 8; type++)
        if (type < 1 || type > 3)
            EXPECT_CS(cpg_iteration_initialize(h, (cpg_iteration_type_t)type, NULL, &it),
                      CS_ERR_INVALID_PARAM);
    EXPECT_CS(cpg_iteration_next(h, NULL), CS_ERR_INVALID_PARAM);
}

/* X1, and what the contract does not say the handle waits for: on a good handle. */
static void expect_refused_here(cpg_handle_t h)
{
    char byte = 0;
    struct iovec iov = { &byte, 1 }, hollow = { NULL, 1 };
    EXPECT_CS(cpg_fd_get(h, NULL), CS_ERR_INVALID_PARAM);
    EXPECT_CS(cpg_context_get(h, NULL), CS_ERR_INVALID_PARAM);
    EXPECT_CS(cpg_local_get(h, NULL), CS_ERR_INVALID_PARAM);
    EXPECT_CS(cpg_max_atomic_msgsize_get(h, NULL), CS_ERR_INVALID_PARAM);
    EXPECT_CS(cpg_flow_control_state_get(h, NULL), CS_ERR_INVALID_PARAM);
    EXPECT_CS(cpg_zcb_alloc(h, 1, NULL), CS_ERR_INVALID_PARAM);
    EXPECT_CS(cpg_zcb_free(h, NULL), CS_ERR_INVALID_PARAM);
    EXPECT_CS(cpg_zcb_mcast_joined(h, CPG_TYPE_AGREED, NULL, 0), CS_ERR_INVALID_PARAM);
    EXPECT_CS(cpg_mcast_joined(h, CPG_TYPE_AGREED, NULL, 1), CS_ERR_INVALID_PARAM);
    EXPECT_CS(cpg_mcast_joined(h, CPG_TYPE_AGREED, &hollow, 1), CS_ERR_INVALID_PARAM);
    for (int guarantee = -2; guarantee < 9; guarantee++)
        if (guarantee < 0 || guarantee > 3)
            EXPECT_CS(cpg_mcast_joined(h, (cpg_guarantee_t)guarantee, &iov, 1),
                      CS_ERR_INVALID_PARAM);
    for (int mode = -1; mode < 9; mode++)
        if (mode < CS_DISPATCH_ONE || mode > CS_DISPATCH_ONE_NONBLOCKING)
            EXPECT_CS(cpg_dispatch(h, (cs_dispatch_flags_t)mode), CS_ERR_INVALID_PARAM);
}

CASE(N2_X1_wrong_arguments_are_refused_and_change_nothing)
{
    struct member m = { 0 };
    member_join(&m, "arguments");
    expect_refused(m.handle);
    expect_refused_here(m.handle);
    send_text(m.handle, "still a member");
    member_see(&m, 2);
    EXPECT(strcmp(m.seen[1].text, "still a member") == 0);
    cpg_handle_t dead = m.handle;
    member_close(&m);
    expect_refused(0);
    expect_refused(dead);
}

CASE(initialize_refuses_what_it_does_not_know_and_leaves_the_handle_alone)
{
    cpg_handle_t h = 77;
    cpg_model_v1_data_t v1 = { .model = CPG_MODEL_V1 };
    cpg_model_data_t *data = (cpg_model_data_t *)&v1;
    const int models[] = { -1, 0, 2, 3, 1000 };
    for (size_t i = 0; i < sizeof(models) / sizeof(models[0]); i++) {
        EXPECT_CS(cpg_model_initialize(&h, (cpg_model_t)models[i], data, NULL),
                  CS_ERR_INVALID_PARAM);
        EXPECT_CS(cpg_model_initialize(&h, (cpg_model_t)models[i], NULL, NULL),
                  CS_ERR_INVALID_PARAM);
    }
    for (int bit = 1; bit < 32; bit++) {
        v1.flags = 1u << bit;
        EXPECT_CS(cpg_model_initialize(&h, CPG_MODEL_V1, data, NULL), CS_ERR_INVALID_PARAM);
    }
    EXPECT_CS(cpg_model_initialize(NULL, CPG_MODEL_V1, NULL, NULL), CS_ERR_INVALID_PARAM);
    EXPECT_CS(cpg_initialize(NULL, NULL), CS_ERR_INVALID_PARAM);
    setenv("SYNCHROTRON_RUNTIME_DIR", "/nonexistent", 1);
    v1.flags = 0;
    EXPECT_CS(cpg_model_initialize(&h, CPG_MODEL_V1, data, NULL), CS_ERR_LIBRARY);
    EXPECT_CS(cpg_initialize(&h, NULL), CS_ERR_LIBRARY);
    EXPECT(h == 77);
}

CASE(initialize_takes_what_it_may_leave_out)
{
    cpg_handle_t h;
    void *context = &h;
    cpg_model_v1_data_t v1 = { .model = (cpg_model_t)99 }; /* not looked at */
    cpg_callbacks_t none = { 0 };
    EXPECT_CS(cpg_model_initialize(&h, CPG_MODEL_V1, NULL, &v1), CS_OK);
    EXPECT_CS(cpg_context_get(h, &context), CS_OK);
    EXPECT(context == &v1);
    EXPECT_CS(cpg_finalize(h), CS_OK);
    EXPECT_CS(cpg_model_initialize(&h, CPG_MODEL_V1, (cpg_model_data_t *)&v1, NULL), CS_OK);
    EXPECT_CS(cpg_finalize(h), CS_OK);
    EXPECT_CS(cpg_initialize(&h, NULL), CS_OK);
    EXPECT_CS(cpg_context_get(h, &context), CS_OK);
    EXPECT(context == NULL);
    EXPECT_CS(cpg_finalize(h), CS_OK);
    EXPECT_CS(cpg_initialize(&h, &none), CS_OK);
    EXPECT_CS(cpg_finalize(h), CS_OK);
}

CASE(a_failed_or_finalized_handle_leaves_no_descriptor_behind)
{
    struct member m = { 0 };
    cpg_handle_t h;
    member_open(&m);
    member_close(&m);
    int before = probe_descriptors();
    for (int i = 0; i < 50; i++) {
        member_open(&m);
        member_close(&m);
    }
    setenv("SYNCHROTRON_RUNTIME_DIR", "/nonexistent", 1);
    for (int i = 0; i < 50; i++)
        CHECK(cpg_initialize(&h, NULL) == CS_ERR_LIBRARY);
    EXPECT(probe_descriptors() == before);
}

CASE(S2_a_service_that_forms_its_first_ring_says_try_again)
{
    cpg_handle_t h;
    cs_error_t answer, before = CS_ERR_LIBRARY;
    bool refused = false;
    probe_say("ready");
    while ((answer = cpg_initialize(&h, NULL)) != CS_OK) {
        CHECK(answer == CS_ERR_LIBRARY || answer == CS_ERR_TRY_AGAIN);
        CHECK(before == CS_ERR_LIBRARY || answer == CS_ERR_TRY_AGAIN);
        refused = refused || answer == CS_ERR_TRY_AGAIN;
        before = answer;
        probe_nap_us(1000);
    }
    EXPECT(refused);
    EXPECT_CS(cpg_finalize(h), CS_OK);
}

/* The word says what the answer must be; the second one, who asks. */
CASE(initialize_asks_who_calls)
{
    cpg_handle_t h;
    cs_error_t wanted = (cs_error_t)atoi(probe_word(0));
    CHECK(setgid((gid_t)atoi(probe_word(1))) == 0 && setuid((uid_t)atoi(probe_word(1))) == 0);
    EXPECT_CS(cpg_initialize(&h, NULL), wanted);
    if (wanted == CS_OK)
        EXPECT_CS(cpg_finalize(h), CS_OK);
}

CASE(F1_F6_the_descriptor_is_a_socket_of_the_service_and_ends_with_the_handle)
{
    struct member m = { 0 };
    int fd, again, value;
    struct ucred peer;
    socklen_t bytes = sizeof(peer);
    member_join(&m, "descriptor");
    CHECK(cpg_fd_get(m.handle, &fd) == CS_OK && fd >= 0);
    EXPECT((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
    EXPECT(getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &bytes) == 0);
    EXPECT(peer.pid == atoi(probe_word(0)));                /* the daemon's */
    EXPECT(peer.uid == geteuid() && peer.gid == getegid()); /* the tests run it as we run */
    bytes = sizeof(value);
    EXPECT(getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &value, &bytes) == 0 && value == AF_UNIX);
    send_text(m.handle, "x");
    member_see(&m, 2);
    EXPECT(cpg_fd_get(m.handle, &again) == CS_OK && again == fd);
    struct cpg_name name = name_of("descriptor");
    EXPECT_CS(cpg_leave(m.handle, &name), CS_OK);
    EXPECT(cpg_fd_get(m.handle, &again) == CS_OK && again == fd);
    member_close(&m);
    EXPECT(fcntl(fd, F_GETFD) == -1);
}

CASE(contexts_are_cheap_and_never_followed)
{
    enum { CALLS = 1000000 };
    struct member m = { 0 };
    void *context;
    member_open(&m);
    clock_t start = clock();
    for (uintptr_t i = 0; i < CALLS; i++) {
        CHECK(cpg_context_set(m.handle, (void *)(i * 4097)) == CS_OK);
        CHECK(cpg_context_get(m.handle, &context) == CS_OK);
        CHECK(context == (void *)(i * 4097));
    }
    double ns = (double)(clock() - start) / CLOCKS_PER_SEC * 1e9 / (2 * CALLS);
    printf("%.0f ns a call\n", ns);
    EXPECT(ns < 2000); /* a system call or a round trip would be more than that */
    EXPECT_CS(cpg_finalize(m.handle), CS_OK);
}
