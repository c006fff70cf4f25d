/* SPDX-License-Identifier: BSD-3-Clause */
#include "member.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* NULL: another thread has finalized it since the callback began. */
static struct member *member_of(cpg_handle_t handle)
{
    void *context = NULL;
    return cpg_context_get(handle, &context) == CS_OK ? context : NULL;
}

static void write_down(struct member *m, const struct seen *event, void *msg)
{
    if (!m)
        return;
    int at = atomic_load(&m->count);
    if (at == m->room) {
        m->room = m->room ? 2 * m->room : 256;
        m->seen = realloc(m->seen, (size_t)m->room * sizeof(m->seen[0]));
        CHECK(m->seen);
    }
    m->seen[at] = *event;
    atomic_store(&m->count, at + 1);
    if (m->then)
        m->then(m, event, msg);
}

static void on_message(cpg_handle_t handle, const struct cpg_name *group, uint32_t nodeid,
                       uint32_t pid, void *msg, size_t bytes)
{
    struct seen event = {
        .kind = SEEN_MESSAGE, .group = *group, .nodeid = nodeid, .pid = pid, .bytes = bytes
    };
    EXPECT(msg != NULL && (uintptr_t)msg % 16 == 0); /* D9 */
    memcpy(event.text, msg, bytes < SEEN_TEXT ? bytes : SEEN_TEXT - 1);
    write_down(member_of(handle), &event, msg);
}

static void on_view(cpg_handle_t handle, const struct cpg_name *group,
                    const struct cpg_address *members, size_t member_count,
                    const struct cpg_address *left, size_t left_count,
                    const struct cpg_address *joined, size_t joined_count)
{
    struct seen event = {
        .kind = SEEN_VIEW,
        .group = *group,
        .members = member_count,
        .left = left_count,
        .joined = joined_count,
        .first_left = *left, /* X9 */
        .first_joined = *joined,
    };
    EXPECT(members != NULL);
    for (size_t i = group->length; i < sizeof(group->value); i++)
        EXPECT(group->value[i] == 0); /* N3 */
    write_down(member_of(handle), &event, NULL);
}

static void on_ring(cpg_handle_t handle, struct cpg_ring_id id, uint32_t count,
                    const uint32_t *members)
{
    struct seen event = { .kind = SEEN_RING, .nodeid = id.nodeid, .members = count };
    EXPECT(members != NULL);
    write_down(member_of(handle), &event, NULL);
}

void member_open(struct member *m)
{
    cpg_model_v1_data_t model = {
        .cpg_deliver_fn = on_message,
        .cpg_confchg_fn = on_view,
        .cpg_totem_confchg_fn = on_ring,
    };
    CHECK(TAKEN(cpg_model_initialize(&m->handle, CPG_MODEL_V1, (cpg_model_data_t *)&model, m)) ==
          CS_OK);
    CHECK(cpg_local_get(m->handle, &m->node) == CS_OK);
}

void member_join(struct member *m, const char *group)
{
    struct cpg_name name = name_of(group);
    member_open(m);
    CHECK(TAKEN(cpg_join(m->handle, &name)) == CS_OK);
    member_see(m, 1);
    CHECK(m->seen[0].kind == SEEN_VIEW && m->seen[0].first_joined.pid == (uint32_t)getpid());
}

void member_forget(struct member *m)
{
    free(m->seen);
    *m = (struct member){ 0 };
}

void member_end(struct member *m, cs_error_t answer)
{
    EXPECT_CS(cpg_finalize(m->handle), answer);
    member_forget(m);
}

void member_close(struct member *m)
{
    member_end(m, CS_OK);
}

void member_see(struct member *m, int count)
{
    while (atomic_load(&m->count) < count)
        CHECK(cpg_dispatch(m->handle, CS_DISPATCH_ONE) == CS_OK);
}

struct cpg_name name_of(const char *text)
{
    struct cpg_name name = { .length = (uint32_t)strlen(text) };
    memcpy(name.value, text, name.length);
    return name;
}

cs_error_t send_bytes(cpg_handle_t handle, const void *bytes, size_t count)
{
    struct iovec iov = { .iov_base = (void *)(uintptr_t)bytes, .iov_len = count };
    return cpg_mcast_joined(handle, CPG_TYPE_AGREED, &iov, 1);
}

void send_text(cpg_handle_t handle, const char *text)
{
    CHECK(TAKEN(send_bytes(handle, text, strlen(text))) == CS_OK);
}

short readiness(cpg_handle_t handle, int timeout_ms)
{
    struct pollfd p = { .events = POLLIN };
    CHECK(cpg_fd_get(handle, &p.fd) == CS_OK);
    return poll(&p, 1, timeout_ms) > 0 ? p.revents : 0;
}

bool is_member(struct member *m, const char *group, int pid)
{
    struct cpg_name name = name_of(group);
    struct cpg_address list[CPG_MEMBERS_MAX];
    int count;
    CHECK(cpg_membership_get(m->handle, &name, list, &count) == CS_OK);
    for (int i = 0; i < count; i++)
        if (list[i].nodeid == m->node && list[i].pid == (uint32_t)pid)
            return true;
    return false;
}
