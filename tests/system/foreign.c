/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * foreign.c - a program as others write and build them: against Corosync's own headers and library,
 * with all 20 functions. It says which library it runs on; the test sees to it that it is ours.
 */
#include <corosync/corotypes.h>
#include <corosync/cpg.h>

#include <dlfcn.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char text[] = "built elsewhere";

static int views, messages, rings;

static void must(cs_error_t got, cs_error_t wanted, const char *what)
{
    if (got == wanted)
        return;
    fprintf(stderr, "%s: %s\n", what, cs_strerror(got));
    exit(1);
}

static void on_message(cpg_handle_t handle, const struct cpg_name *group, uint32_t nodeid,
                       uint32_t pid, void *msg, size_t bytes)
{
    unsigned node = 0;
    must(cpg_local_get(handle, &node), CS_OK, "cpg_local_get in a callback");
    if (nodeid != node || pid != (uint32_t)getpid() || bytes != sizeof(text) ||
        memcmp(msg, text, sizeof(text)) != 0 || strcmp(group->value, "foreign") != 0)
        exit(2);
    messages++;
}

static void on_view(cpg_handle_t handle, const struct cpg_name *group,
                    const struct cpg_address *member, size_t members,
                    const struct cpg_address *left, size_t left_count,
                    const struct cpg_address *joined, size_t joined_count)
{
    (void)handle, (void)group, (void)member, (void)members;
    if (views == 0 && (joined_count != 1 || joined[0].reason != CPG_REASON_JOIN))
        exit(3);
    if (views == 1 && (left_count != 1 || left[0].reason != CPG_REASON_LEAVE))
        exit(4);
    views++;
}

static void on_ring(cpg_handle_t handle, struct cpg_ring_id ring, uint32_t count,
                    const uint32_t *members)
{
    (void)handle;
    if (count == 0 || members[0] != ring.nodeid || ring.seq == 0)
        exit(5);
    rings++;
}

static cpg_handle_t open_handle(void)
{
    cpg_handle_t plain, handle;
    cpg_callbacks_t callbacks = { .cpg_deliver_fn = on_message };
    cpg_model_v1_data_t model = {
        .model = CPG_MODEL_V1,
        .cpg_deliver_fn = on_message,
        .cpg_confchg_fn = on_view,
        .cpg_totem_confchg_fn = on_ring,
        .flags = CPG_MODEL_V1_DELIVER_INITIAL_TOTEM_CONF,
    };
    must(cpg_initialize(&plain, &callbacks), CS_OK, "cpg_initialize");
    must(cpg_finalize(plain), CS_OK, "cpg_finalize");
    must(cpg_model_initialize(&handle, CPG_MODEL_V1, (cpg_model_data_t *)&model, &views), CS_OK,
         "cpg_model_initialize");
    return handle;
}

static void ask(cpg_handle_t handle, struct cpg_name *group)
{
    void *context;
    uint32_t most;
    int count = 0;
    struct cpg_address list[CPG_MEMBERS_MAX];
    cpg_flow_control_state_t flow;
    cpg_iteration_handle_t it;
    struct cpg_iteration_description_t d;
    must(cpg_context_get(handle, &context), CS_OK, "cpg_context_get");
    must(cpg_context_set(handle, NULL), CS_OK, "cpg_context_set");
    must(cpg_max_atomic_msgsize_get(handle, &most), CS_OK, "cpg_max_atomic_msgsize_get");
    must(cpg_flow_control_state_get(handle, &flow), CS_OK, "cpg_flow_control_state_get");
    must(cpg_membership_get(handle, group, list, &count), CS_OK, "cpg_membership_get");
    must(cpg_iteration_initialize(handle, CPG_ITERATION_ONE_GROUP, group, &it), CS_OK,
         "cpg_iteration_initialize");
    must(cpg_iteration_next(it, &d), CS_OK, "cpg_iteration_next");
    must(cpg_iteration_next(it, &d), CS_ERR_NO_SECTIONS, "cpg_iteration_next at the end");
    must(cpg_iteration_finalize(it), CS_OK, "cpg_iteration_finalize");
    if (context != &views || most < 1047552 || count != 1 || list[0].pid != (uint32_t)getpid() ||
        d.pid != (uint32_t)getpid())
        exit(6);
}

static void send_both_ways(cpg_handle_t handle)
{
    struct iovec iov[2] = { { (void *)(uintptr_t)text, 5 },
                            { (void *)(uintptr_t)(text + 5), sizeof(text) - 5 } };
    void *buffer;
    must(cpg_mcast_joined(handle, CPG_TYPE_AGREED, iov, 2), CS_OK, "cpg_mcast_joined");
    must(cpg_zcb_alloc(handle, sizeof(text), &buffer), CS_OK, "cpg_zcb_alloc");
    memcpy(buffer, text, sizeof(text));
    must(cpg_zcb_mcast_joined(handle, CPG_TYPE_AGREED, buffer, sizeof(text)), CS_OK,
         "cpg_zcb_mcast_joined");
    must(cpg_zcb_free(handle, buffer), CS_OK, "cpg_zcb_free");
}

/* The main loop of most: poll, and dispatch what there is. */
static void dispatch_until(cpg_handle_t handle, const int *what, int count)
{
    struct pollfd pollfd = { .events = POLLIN };
    must(cpg_fd_get(handle, &pollfd.fd), CS_OK, "cpg_fd_get");
    while (*what < count) {
        if (poll(&pollfd, 1, 30000) != 1 || pollfd.revents != POLLIN)
            exit(7);
        must(cpg_dispatch(handle, CS_DISPATCH_ALL), CS_OK, "cpg_dispatch");
    }
}

int main(void)
{
    struct cpg_name group = { .length = sizeof("foreign"), .value = "foreign" };
    Dl_info cpg, common;
    cpg_handle_t handle = open_handle();
    must(cpg_join(handle, &group), CS_OK, "cpg_join");
    dispatch_until(handle, &rings, 1);
    ask(handle, &group);
    send_both_ways(handle);
    dispatch_until(handle, &messages, 2);
    must(cpg_leave(handle, &group), CS_OK, "cpg_leave");
    dispatch_until(handle, &views, 2);
    must(cpg_finalize(handle), CS_OK, "cpg_finalize");
    if (!dladdr((void *)(uintptr_t)cpg_finalize, &cpg) ||
        !dladdr((void *)(uintptr_t)cs_strerror, &common))
        return 8;
    printf("%s\n%s\n%s\n", cpg.dli_fname, common.dli_fname, cs_strerror(CS_OK));
    return 0;
}
