/* SPDX-License-Identifier: BSD-3-Clause */
/* error_test.c - the answers of each function to wrong arguments and dead handles. */
#include <criterion/criterion.h>

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fake.h"
#include "recorder.h"

static struct cpg_name long_name(void)
{
    return (struct cpg_name){ .length = CPG_MAX_NAME_LENGTH + 1 };
}

/* Every function on a value that is no handle. */
static void expect_bad(cpg_handle_t h)
{
    int fd, count;
    unsigned node;
    uint32_t size;
    void *p = &fd;
    struct cpg_name name = name_of("g");
    struct cpg_address list[CPG_MEMBERS_MAX];
    struct cpg_iteration_description_t d;
    cpg_iteration_handle_t it;
    cpg_flow_control_state_t flow;
    struct iovec iov = { &fd, 1 };
    cr_assert_eq(cpg_finalize(h), CS_ERR_BAD_HANDLE);
    cr_assert_eq(cpg_fd_get(h, &fd), CS_ERR_BAD_HANDLE);
    for (int mode = CS_DISPATCH_ONE; mode <= CS_DISPATCH_ONE_NONBLOCKING; mode++)
        cr_assert_eq(cpg_dispatch(h, (cs_dispatch_flags_t)mode), CS_ERR_BAD_HANDLE);
    cr_assert_eq(cpg_join(h, &name), CS_ERR_BAD_HANDLE);
    cr_assert_eq(cpg_leave(h, &name), CS_ERR_BAD_HANDLE);
    cr_assert_eq(cpg_mcast_joined(h, CPG_TYPE_AGREED, &iov, 1), CS_ERR_BAD_HANDLE);
    cr_assert_eq(cpg_membership_get(h, &name, list, &count), CS_ERR_BAD_HANDLE);
    cr_assert_eq(cpg_context_get(h, &p), CS_ERR_BAD_HANDLE);
    cr_assert_eq(cpg_context_set(h, p), CS_ERR_BAD_HANDLE);
    cr_assert_eq(cpg_zcb_alloc(h, 1, &p), CS_ERR_BAD_HANDLE);
    cr_assert_eq(cpg_zcb_free(h, p), CS_ERR_BAD_HANDLE);
    cr_assert_eq(cpg_zcb_mcast_joined(h, CPG_TYPE_AGREED, p, 0), CS_ERR_BAD_HANDLE);
    cr_assert_eq(cpg_max_atomic_msgsize_get(h, &size), CS_ERR_BAD_HANDLE);
    cr_assert_eq(cpg_local_get(h, &node), CS_ERR_BAD_HANDLE);
    cr_assert_eq(cpg_flow_control_state_get(h, &flow), CS_ERR_BAD_HANDLE);
    cr_assert_eq(cpg_iteration_initialize(h, CPG_ITERATION_ALL, NULL, &it), CS_ERR_BAD_HANDLE);
    cr_assert_eq(cpg_iteration_next(h, &d), CS_ERR_BAD_HANDLE);
    cr_assert_eq(cpg_iteration_finalize(h), CS_ERR_BAD_HANDLE);
}

/* NULLs, names and numbers that are refused whatever the handle is. */
static void expect_refused_arguments(cpg_handle_t h)
{
    struct cpg_name name = name_of("g"), too_long = long_name();
    struct cpg_address list[CPG_MEMBERS_MAX];
    int count;
    char byte;
    cpg_iteration_handle_t it;
    struct iovec iov = { &byte, 1 };
    cr_assert_eq(cpg_join(h, NULL), CS_ERR_INVALID_PARAM);
    cr_assert_eq(cpg_leave(h, NULL), CS_ERR_INVALID_PARAM);
    cr_assert_eq(cpg_join(h, &too_long), CS_ERR_NAME_TOO_LONG);
    cr_assert_eq(cpg_leave(h, &too_long), CS_ERR_NAME_TOO_LONG);
    cr_assert_eq(cpg_fd_get(h, NULL), CS_ERR_INVALID_PARAM);
    cr_assert_eq(cpg_context_get(h, NULL), CS_ERR_INVALID_PARAM);
    cr_assert_eq(cpg_local_get(h, NULL), CS_ERR_INVALID_PARAM);
    cr_assert_eq(cpg_max_atomic_msgsize_get(h, NULL), CS_ERR_INVALID_PARAM);
    cr_assert_eq(cpg_flow_control_state_get(h, NULL), CS_ERR_INVALID_PARAM);
    cr_assert_eq(cpg_mcast_joined(h, CPG_TYPE_AGREED, NULL, 1), CS_ERR_INVALID_PARAM);
    for (int guarantee = -2; guarantee < 9; guarantee++)
        if (guarantee < 0 || guarantee > 3)
            cr_assert_eq(cpg_mcast_joined(h, (cpg_guarantee_t)guarantee, &iov, 1),
                         CS_ERR_INVALID_PARAM);
    cr_assert_eq(cpg_membership_get(h, NULL, list, &count), CS_ERR_INVALID_PARAM);
    cr_assert_eq(cpg_membership_get(h, &name, NULL, &count), CS_ERR_INVALID_PARAM);
    cr_assert_eq(cpg_membership_get(h, &name, list, NULL), CS_ERR_INVALID_PARAM);
    cr_assert_eq(cpg_membership_get(h, &too_long, list, &count), CS_ERR_NAME_TOO_LONG);
    cr_assert_eq(cpg_membership_get(h, &too_long, NULL, NULL), CS_ERR_NAME_TOO_LONG);
    cr_assert_eq(cpg_iteration_initialize(h, CPG_ITERATION_ALL, NULL, NULL), CS_ERR_INVALID_PARAM);
    cr_assert_eq(cpg_iteration_initialize(h, (cpg_iteration_type_t)0, NULL, &it),
                 CS_ERR_INVALID_PARAM);
    cr_assert_eq(cpg_iteration_initialize(h, (cpg_iteration_type_t)4, NULL, &it),
                 CS_ERR_INVALID_PARAM);
    cr_assert_eq(cpg_iteration_initialize(h, CPG_ITERATION_ONE_GROUP, NULL, &it),
                 CS_ERR_INVALID_PARAM);
    cr_assert_eq(cpg_iteration_initialize(h, CPG_ITERATION_ALL, &name, &it), CS_ERR_INVALID_PARAM);
    cr_assert_eq(cpg_iteration_initialize(h, CPG_ITERATION_NAME_ONLY, &name, &it),
                 CS_ERR_INVALID_PARAM);
    cr_assert_eq(cpg_iteration_initialize(h, (cpg_iteration_type_t)9, &too_long, NULL),
                 CS_ERR_NAME_TOO_LONG);
    cr_assert_eq(cpg_iteration_next(h, NULL), CS_ERR_INVALID_PARAM);
    cr_assert_eq(cpg_zcb_alloc(h, 1, NULL), CS_ERR_INVALID_PARAM);
    cr_assert_eq(cpg_zcb_free(h, NULL), CS_ERR_INVALID_PARAM);
    cr_assert_eq(cpg_zcb_mcast_joined(h, CPG_TYPE_AGREED, NULL, 0), CS_ERR_INVALID_PARAM);
    for (int mode = -1; mode < 8; mode++)
        if (mode < 1 || mode > 4)
            cr_assert_eq(cpg_dispatch(h, (cs_dispatch_flags_t)mode), CS_ERR_INVALID_PARAM);
}

Test(error, H2_what_is_no_handle_is_bad_everywhere)
{
    const cpg_handle_t values[] = {
        0, 1, 2, UINT32_MAX, UINT64_MAX, 0x5a5a5a5a01000000, 0x5a5a5a5a02000000, 0x0000000001ffffff
    };
    for (size_t i = 0; i < ARRAY_COUNT(values); i++)
        expect_bad(values[i]);
}

Test(error, H2_a_finalized_handle_is_bad_everywhere)
{
    struct fake *fake = fake_start();
    cpg_handle_t h;
    cr_assert_eq(cpg_initialize(&h, NULL), CS_OK);
    cr_assert_neq(h, 0);
    cr_assert_eq(cpg_finalize(h), CS_OK);
    expect_bad(h);
    fake_stop(fake);
}

Test(error, H2_a_value_does_not_come_again_soon)
{
    struct fake *fake = fake_start();
    cpg_handle_t first, h;
    cr_assert_eq(cpg_initialize(&first, NULL), CS_OK);
    cr_assert_eq(cpg_finalize(first), CS_OK);
    for (int i = 0; i < 200; i++) {
        cr_assert_eq(cpg_initialize(&h, NULL), CS_OK);
        cr_assert_neq(h, first);
        expect_bad(first);
        cr_assert_eq(cpg_finalize(h), CS_OK);
    }
    fake_stop(fake);
}

Test(error, N2_X1_arguments_are_looked_at_before_the_handle)
{
    struct fake *fake = fake_start();
    cpg_handle_t h;
    cr_assert_eq(cpg_initialize(&h, NULL), CS_OK);
    expect_refused_arguments(h);
    expect_refused_arguments(0);
    cr_assert_eq(cpg_finalize(h), CS_OK);
    expect_refused_arguments(h);
    fake_stop(fake);
}

Test(error, initialize_without_a_service_is_a_library_error)
{
    cpg_handle_t h = 77;
    setenv("SYNCHROTRON_RUNTIME_DIR", "/nonexistent", 1);
    cr_assert_eq(cpg_initialize(&h, NULL), CS_ERR_LIBRARY);
    cr_assert_eq(cpg_model_initialize(&h, CPG_MODEL_V1, NULL, NULL), CS_ERR_LIBRARY);
    cr_assert_eq(h, 77);
}

Test(error, initialize_refuses_models_and_flags_it_does_not_know_without_asking)
{
    cpg_handle_t h = 77;
    cpg_model_v1_data_t model = { .flags = 2 };
    setenv("SYNCHROTRON_RUNTIME_DIR", "/nonexistent", 1);
    cr_assert_eq(cpg_model_initialize(&h, (cpg_model_t)0, NULL, NULL), CS_ERR_INVALID_PARAM);
    cr_assert_eq(cpg_model_initialize(&h, (cpg_model_t)2, NULL, NULL), CS_ERR_INVALID_PARAM);
    cr_assert_eq(cpg_model_initialize(&h, CPG_MODEL_V1, (cpg_model_data_t *)&model, NULL),
                 CS_ERR_INVALID_PARAM);
    cr_assert_eq(cpg_model_initialize(NULL, CPG_MODEL_V1, NULL, NULL), CS_ERR_INVALID_PARAM);
    cr_assert_eq(cpg_initialize(NULL, NULL), CS_ERR_INVALID_PARAM);
    cr_assert_eq(h, 77);
}

Test(error, initialize_hands_on_what_the_service_says)
{
    const cs_error_t errors[] = { CS_ERR_TRY_AGAIN, CS_ERR_ACCESS, CS_ERR_VERSION,
                                  CS_ERR_NO_RESOURCES, CS_ERR_NO_MEMORY };
    struct fake *fake = fake_start();
    cpg_handle_t h;
    for (size_t i = 0; i < ARRAY_COUNT(errors); i++) {
        fake_refuse(fake, CTL_HELLO, errors[i]);
        cr_assert_eq(cpg_initialize(&h, NULL), errors[i]);
    }
    fake_refuse(fake, CTL_HELLO, CS_OK);
    cr_assert_eq(cpg_initialize(&h, NULL), CS_OK);
    cr_assert_eq(cpg_finalize(h), CS_OK);
    fake_stop(fake);
}

Test(error, O1_sends_and_leaves_need_a_membership)
{
    struct fake *fake = fake_start();
    cpg_handle_t h;
    struct cpg_name group = name_of("g");
    cr_assert_eq(cpg_initialize(&h, NULL), CS_OK);
    cr_assert_eq(send_text(h, "x"), CS_ERR_NOT_EXIST);
    cr_assert_eq(cpg_leave(h, &group), CS_ERR_NOT_EXIST);
    cr_assert_eq(cpg_join(h, &group), CS_OK);
    cr_assert_eq(cpg_join(h, &group), CS_ERR_EXIST);
    cr_assert_eq(send_text(h, "x"), CS_OK);
    cr_assert_eq(cpg_leave(h, &group), CS_OK);
    cr_assert_eq(send_text(h, "x"), CS_ERR_NOT_EXIST);
    cr_assert_eq(cpg_leave(h, &group), CS_ERR_NOT_EXIST);
    cr_assert_eq(cpg_join(h, &group), CS_OK);
    cr_assert_eq(send_text(h, "x"), CS_OK);
    cr_assert_eq(cpg_finalize(h), CS_OK);
    cr_assert_eq(fake_offences(fake), 0);
    fake_stop(fake);
}

Test(error, membership_and_iterations_tell_what_the_service_says)
{
    struct fake *fake = fake_start();
    cpg_handle_t h[3], it;
    struct cpg_name group = name_of("grp"), other = name_of("other");
    struct cpg_address list[CPG_MEMBERS_MAX];
    struct cpg_iteration_description_t d;
    int count = -5;
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(cpg_initialize(&h[i], NULL), CS_OK);
        cr_assert_eq(cpg_join(h[i], &group), CS_OK);
    }
    cr_assert_eq(cpg_membership_get(h[0], &group, list, &count), CS_OK);
    cr_assert_eq(count, 3);
    cr_assert_eq(list[2].pid, FAKE_PID + 2);
    cr_assert_eq(list[2].reason, 0);
    cr_assert_eq(cpg_membership_get(h[0], &other, list, &count), CS_OK);
    cr_assert_eq(count, 0);

    cr_assert_eq(cpg_iteration_initialize(h[0], CPG_ITERATION_ALL, NULL, &it), CS_OK);
    for (uint32_t i = 0; i < 3; i++) {
        memset(&d, 0xff, sizeof(d));
        cr_assert_eq(cpg_iteration_next(it, &d), CS_OK);
        cr_assert_eq(d.pid, FAKE_PID + i);
        cr_assert_eq(d.group.length, 3);
        cr_assert_str_eq(d.group.value, "grp", "N3");
        cr_assert_eq(d.group.value[CPG_MAX_NAME_LENGTH - 1], 0, "N3");
    }
    cr_assert_eq(cpg_iteration_next(it, &d), CS_ERR_NO_SECTIONS);
    cr_assert_eq(cpg_iteration_next(it, &d), CS_ERR_NO_SECTIONS);
    expect_bad(0);
    cr_assert_eq(cpg_dispatch(it, CS_DISPATCH_ALL), CS_ERR_BAD_HANDLE);
    cr_assert_eq(cpg_iteration_next(h[0], &d), CS_ERR_BAD_HANDLE);
    cr_assert_eq(cpg_iteration_finalize(it), CS_OK);
    cr_assert_eq(cpg_iteration_finalize(it), CS_ERR_BAD_HANDLE);
    cr_assert_eq(cpg_iteration_initialize(h[0], CPG_ITERATION_ONE_GROUP, &group, &it), CS_OK);
    cr_assert_eq(cpg_finalize(h[0]), CS_OK);
    cr_assert_eq(cpg_iteration_next(it, &d), CS_ERR_BAD_HANDLE);
    cr_assert_eq(cpg_iteration_finalize(it), CS_ERR_BAD_HANDLE);
    for (int i = 1; i < 3; i++)
        cr_assert_eq(cpg_finalize(h[i]), CS_OK);
    fake_stop(fake);
}

Test(error, membership_of_a_large_group_gives_the_first_128)
{
    enum { MEMBERS = CPG_MEMBERS_MAX + 2 };
    struct fake *fake = fake_start();
    cpg_handle_t h[MEMBERS];
    struct cpg_name group = name_of("large");
    struct cpg_address list[CPG_MEMBERS_MAX + 1] = { 0 };
    int count;
    for (int i = 0; i < MEMBERS; i++) {
        cr_assert_eq(cpg_initialize(&h[i], NULL), CS_OK);
        cr_assert_eq(cpg_join(h[i], &group), CS_OK);
        cr_assert_eq(cpg_dispatch(h[i], CS_DISPATCH_ALL), CS_OK);
        for (int j = 0; j < i; j++)
            cpg_dispatch(h[j], CS_DISPATCH_ALL);
    }
    cr_assert_eq(cpg_membership_get(h[0], &group, list, &count), CS_ERR_NO_SPACE);
    cr_assert_eq(count, CPG_MEMBERS_MAX);
    cr_assert_eq(list[CPG_MEMBERS_MAX - 1].nodeid, FAKE_NODE);
    cr_assert_eq(list[CPG_MEMBERS_MAX].nodeid, 0);
    for (int i = 0; i < MEMBERS; i++)
        cr_assert_eq(cpg_finalize(h[i]), CS_OK);
    fake_stop(fake);
}

static int open_descriptors(void)
{
    int count = 0;
    DIR *folder = opendir("/proc/self/fd");
    while (readdir(folder))
        count++;
    closedir(folder);
    return count;
}

static int mappings(void)
{
    int count = 0;
    char line[512];
    FILE *maps = fopen("/proc/self/maps", "r");
    while (fgets(line, sizeof(line), maps))
        count += strstr(line, "memfd:") != NULL;
    fclose(maps);
    return count;
}

/* The child's part, with the service in its parent: the limit rises until a handle can be had. */
static int open_with_few_descriptors(void)
{
    cpg_handle_t h;
    int refused = 0, before = open_descriptors(), mapped = mappings();
    for (int spare = 0; spare < 32; spare++) {
        struct rlimit limit = { .rlim_cur = (rlim_t)(before - 3 + spare), .rlim_max = 4096 };
        if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
            return 2;
        cs_error_t error = cpg_initialize(&h, NULL);
        if (error != CS_OK && error != CS_ERR_NO_RESOURCES)
            return 3;
        refused += error == CS_ERR_NO_RESOURCES;
        if (error == CS_OK && cpg_finalize(h) != CS_OK)
            return 4;
        limit.rlim_cur = 1024;
        setrlimit(RLIMIT_NOFILE, &limit);
        if (open_descriptors() != before || mappings() != mapped)
            return 5;
    }
    return refused >= 5 && refused < 20 ? 0 : 6;
}

/* A child that counts its own descriptors and mappings. It is there before the service's thread: a
 * sanitizer's allocator does not survive a fork beside threads that are at work. */
static void run_apart(int (*count)(void))
{
    char folder[256] = "";
    int start[2], status;
    cr_assert_eq(pipe(start), 0);
    pid_t child = fork();
    if (child == 0) {
        if (read(start[0], folder, sizeof(folder)) != (ssize_t)sizeof(folder))
            _exit(100);
        close(start[0]);
        close(start[1]);
        setenv(CTL_RUNTIME_DIR_ENV, folder, 1);
        _exit(count());
    }
    struct fake *fake = fake_start();
    snprintf(folder, sizeof(folder), "%s", getenv(CTL_RUNTIME_DIR_ENV));
    cr_assert_eq(write(start[1], folder, sizeof(folder)), (ssize_t)sizeof(folder));
    close(start[0]);
    close(start[1]);
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert_eq(status, 0, "exit code %d", WEXITSTATUS(status));
    fake_stop(fake);
}

Test(error, out_of_descriptors_is_no_resources_and_nothing_leaks)
{
    run_apart(open_with_few_descriptors);
}

static int open_and_finalize(void)
{
    int before = open_descriptors(), mapped = mappings();
    for (int i = 0; i < 20; i++) {
        struct recorder *r = calloc(1, sizeof(*r));
        cpg_iteration_handle_t it;
        void *buffer;
        recorder_join(r, "g");
        cpg_iteration_initialize(r->handle, CPG_ITERATION_ALL, NULL, &it);
        cpg_zcb_alloc(r->handle, 1 << 20, &buffer);
        send_text(r->handle, "x");
        cpg_dispatch(r->handle, CS_DISPATCH_ONE);
        cpg_finalize(r->handle);
        free(r);
    }
    return open_descriptors() == before && mappings() == mapped ? 0 : 1;
}

Test(error, handles_leave_nothing_behind)
{
    run_apart(open_and_finalize);
}
