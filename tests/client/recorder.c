/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder.h"

#include <poll.h>
#include <string.h>
#include <time.h>

#include "synchrotron/types.h"

static struct recorder *recorder_of(cpg_handle_t handle)
{
    void *context = NULL;
    /* A finalized handle has no context: the callback that finalizes looked before. */
    return cpg_context_get(handle, &context) == CS_OK ? context : NULL;
}

static void finish(struct recorder *r, const struct recorded *event, void *msg)
{
    if (r->count < RECORDS_MAX)
        r->seen[r->count++] = *event;
    if (r->then)
        r->then(r, event, msg);
}

static void deliver(cpg_handle_t handle, const struct cpg_name *group, uint32_t nodeid,
                    uint32_t pid, void *msg, size_t bytes)
{
    struct recorder *r = recorder_of(handle);
    struct recorded event = {
        .kind = RECORDED_MESSAGE, .group = *group, .nodeid = nodeid, .pid = pid, .bytes = bytes
    };
    INVARIANT(msg != NULL && (uintptr_t)msg % 16 == 0); /* D9 */
    memcpy(event.text, msg, bytes < RECORD_TEXT ? bytes : RECORD_TEXT - 1);
    finish(r, &event, msg);
}

static void confchg(cpg_handle_t handle, const struct cpg_name *group,
                    const struct cpg_address *members, size_t member_count,
                    const struct cpg_address *left, size_t left_count,
                    const struct cpg_address *joined, size_t joined_count)
{
    struct recorder *r = recorder_of(handle);
    struct recorded event = {
        .kind = RECORDED_VIEW,
        .group = *group,
        .members = member_count,
        .left = left_count,
        .joined = joined_count,
        .first_left = *left, /* X9 */
        .first_joined = *joined,
    };
    INVARIANT(members != NULL);
    finish(r, &event, NULL);
}

static void ring(cpg_handle_t handle, struct cpg_ring_id id, uint32_t count,
                 const uint32_t *members)
{
    struct recorder *r = recorder_of(handle);
    struct recorded event = { .kind = RECORDED_RING, .ring = id, .members = count };
    INVARIANT(members != NULL);
    finish(r, &event, NULL);
}

cs_error_t recorder_open(struct recorder *r, unsigned flags)
{
    cpg_model_v1_data_t model = {
        .cpg_deliver_fn = deliver,
        .cpg_confchg_fn = confchg,
        .cpg_totem_confchg_fn = ring,
        .flags = flags,
    };
    return cpg_model_initialize(&r->handle, CPG_MODEL_V1, (cpg_model_data_t *)&model, r);
}

void recorder_join(struct recorder *r, const char *group)
{
    struct cpg_name name = name_of(group);
    INVARIANT(recorder_open(r, 0) == CS_OK);
    INVARIANT(cpg_join(r->handle, &name) == CS_OK);
    INVARIANT(cpg_dispatch(r->handle, CS_DISPATCH_ONE) == CS_OK);
    INVARIANT(r->count == 1 && r->seen[0].kind == RECORDED_VIEW);
}

struct cpg_name name_of(const char *text)
{
    struct cpg_name name = { .length = (uint32_t)strlen(text) };
    memcpy(name.value, text, name.length);
    return name;
}

cs_error_t send_text(cpg_handle_t handle, const char *text)
{
    struct iovec iov = { .iov_base = (void *)(uintptr_t)text, .iov_len = strlen(text) };
    return cpg_mcast_joined(handle, CPG_TYPE_AGREED, &iov, 1);
}

short readiness(cpg_handle_t handle, int timeout_ms)
{
    struct pollfd p = { .events = POLLIN };
    INVARIANT(cpg_fd_get(handle, &p.fd) == CS_OK);
    return poll(&p, 1, timeout_ms) > 0 ? p.revents : 0;
}

bool comes_true(bool (*condition)(void *), void *argument)
{
    for (int i = 0; i < 5000; i++) {
        if (condition(argument))
            return true;
        nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
    }
    return false;
}
