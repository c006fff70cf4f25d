/* SPDX-License-Identifier: BSD-3-Clause */
/* errors_groups.c - joining, leaving, sending and asking at the wrong times, and at odd ones. */
#include "errors.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CROWD = 131 };

static bool is_view(const struct seen *s, size_t left, size_t joined)
{
    return s->kind == SEEN_VIEW && s->left == left && s->joined == joined;
}

static void expect_no_sending(cpg_handle_t h)
{
    size_t large = 4 << 20;
    char *bytes = calloc(1, large);
    void *buffer;
    CHECK(bytes);
    EXPECT_CS(cpg_mcast_joined(h, CPG_TYPE_AGREED, NULL, 0), CS_ERR_NOT_EXIST);
    EXPECT_CS(cpg_mcast_joined(h, CPG_TYPE_SAFE, NULL, 0), CS_ERR_NOT_EXIST);
    EXPECT_CS(send_bytes(h, bytes, 1), CS_ERR_NOT_EXIST);
    EXPECT_CS(send_bytes(h, bytes, large), CS_ERR_NOT_EXIST);
    CHECK(cpg_zcb_alloc(h, 64, &buffer) == CS_OK);
    EXPECT_CS(cpg_zcb_mcast_joined(h, CPG_TYPE_AGREED, buffer, 64), CS_ERR_NOT_EXIST);
    EXPECT_CS(cpg_zcb_free(h, buffer), CS_OK);
    free(bytes);
}

CASE(O1_Z7_a_handle_that_is_no_member_sends_nothing)
{
    struct member m = { 0 };
    struct cpg_name name = name_of("unjoined");
    member_open(&m);
    expect_no_sending(m.handle);
    EXPECT_CS(cpg_leave(m.handle, &name), CS_ERR_NOT_EXIST);
    CHECK(TAKEN(cpg_join(m.handle, &name)) == CS_OK);
    send_text(m.handle, "D7: before the own view");
    EXPECT_CS(TAKEN(cpg_leave(m.handle, &name)), CS_OK);
    expect_no_sending(m.handle); /* asked to leave, and the view not yet seen */
    EXPECT_CS(cpg_leave(m.handle, &name), CS_ERR_NOT_EXIST);
    member_see(&m, 3);
    EXPECT(is_view(&m.seen[0], 0, 1) && m.seen[1].kind == SEEN_MESSAGE);
    EXPECT(is_view(&m.seen[2], 1, 0) && m.seen[2].first_left.reason == CPG_REASON_LEAVE);
    expect_no_sending(m.handle);
    EXPECT_CS(cpg_leave(m.handle, &name), CS_ERR_NOT_EXIST);
    EXPECT_CS(cpg_dispatch(m.handle, CS_DISPATCH_ONE_NONBLOCKING), CS_ERR_TRY_AGAIN);
    member_close(&m);
}

CASE(join_refuses_a_second_group_and_a_second_handle_of_the_process)
{
    struct member m = { 0 }, other = { 0 };
    struct cpg_name same = name_of("twice"), another = name_of("twice too");
    member_open(&m);
    member_open(&other);
    CHECK(TAKEN(cpg_join(m.handle, &same)) == CS_OK);
    EXPECT_CS(cpg_join(m.handle, &same), CS_ERR_EXIST); /* joining */
    EXPECT_CS(cpg_join(m.handle, &another), CS_ERR_EXIST);
    EXPECT_CS(cpg_join(other.handle, &same), CS_ERR_EXIST);
    member_see(&m, 1);
    EXPECT_CS(cpg_join(m.handle, &same), CS_ERR_EXIST); /* joined */
    EXPECT_CS(cpg_join(m.handle, &another), CS_ERR_EXIST);
    EXPECT_CS(cpg_join(other.handle, &same), CS_ERR_EXIST);
    EXPECT_CS(TAKEN(cpg_join(other.handle, &another)), CS_OK);
    member_see(&other, 1);
    member_close(&other);
    member_open(&other);
    EXPECT_CS(cpg_join(other.handle, &same), CS_ERR_EXIST);
    member_close(&m); /* a departure that may not be ordered yet: 6, and then it works */
    EXPECT_CS(TAKEN(cpg_join(other.handle, &same)), CS_OK);
    member_see(&other, 1);
    member_close(&other);
}

CASE(leave_ignores_the_name_and_a_handle_that_left_may_join_again)
{
    struct member m = { 0 };
    struct cpg_name own = name_of("again"), wrong = name_of("not mine"),
                    too_long = { .length = 129 };
    member_join(&m, "again");
    EXPECT_CS(cpg_leave(m.handle, &too_long), CS_ERR_NAME_TOO_LONG);
    EXPECT_CS(cpg_leave(m.handle, NULL), CS_ERR_INVALID_PARAM);
    EXPECT_CS(TAKEN(cpg_leave(m.handle, &wrong)), CS_OK);
    EXPECT_CS(TAKEN(cpg_join(m.handle, &own)), CS_OK); /* own view not dispatched */
    member_see(&m, 3);
    EXPECT(is_view(&m.seen[1], 1, 0) && m.seen[1].first_left.reason == CPG_REASON_LEAVE);
    EXPECT(is_view(&m.seen[2], 0, 1) && m.seen[2].first_joined.reason == CPG_REASON_JOIN);
    EXPECT_CS(TAKEN(cpg_leave(m.handle, &own)), CS_OK);
    member_see(&m, 4);
    EXPECT(!is_member(&m, "again", getpid()) && !is_member(&m, "not mine", getpid()));
    EXPECT_CS(TAKEN(cpg_join(m.handle, &wrong)), CS_OK); /* another group, view dispatched */
    member_see(&m, 5);
    EXPECT(is_view(&m.seen[4], 0, 1) && m.seen[4].group.length == wrong.length);
    send_text(m.handle, "here");
    member_see(&m, 6);
    EXPECT(strcmp(m.seen[5].text, "here") == 0);
    member_close(&m);
}

CASE(N1_N2_names_are_bytes_and_a_length)
{
    struct member m[4] = { 0 };
    struct cpg_name name[4] = {
        { .length = 0 }, { .length = 128 }, name_of("grp"), name_of("grp")
    };
    memset(name[1].value, 0xfe, 128);
    name[3].length = 4; /* with its NUL */
    memset(name[0].value, 'G', 128);
    memset(name[2].value + 3, 'G', 125); /* behind the name: nobody's business */
    for (int i = 0; i < 4; i++) {
        member_open(&m[i]);
        EXPECT_CS(TAKEN(cpg_join(m[i].handle, &name[i])), CS_OK);
        member_see(&m[i], 1);
        EXPECT(m[i].seen[0].members == 1 && m[i].seen[0].group.length == name[i].length);
        EXPECT(memcmp(m[i].seen[0].group.value, name[i].value, name[i].length) == 0);
    }
    send_text(m[2].handle, "three");
    send_text(m[3].handle, "four");
    member_see(&m[2], 2);
    member_see(&m[3], 2);
    EXPECT(strcmp(m[2].seen[1].text, "three") == 0 && strcmp(m[3].seen[1].text, "four") == 0);
    for (int i = 0; i < 4; i++)
        member_close(&m[i]);
}

CASE(mcast_takes_every_guarantee_many_entries_and_none)
{
    enum { ENTRIES = 1024 };
    struct member m = { 0 };
    static char letters[ENTRIES];
    struct iovec iov[ENTRIES];
    struct iovec empty[3] = { { NULL, 0 }, { letters, 0 }, { NULL, 0 } };
    member_join(&m, "entries");
    for (int i = 0; i < ENTRIES; i++) {
        letters[i] = (char)('a' + i % 26);
        iov[i] = (struct iovec){ letters + i, i % 3 == 1 ? 0 : 1 };
    }
    for (int g = CPG_TYPE_UNORDERED; g <= CPG_TYPE_SAFE; g++)
        EXPECT_CS(TAKEN(cpg_mcast_joined(m.handle, (cpg_guarantee_t)g, iov, ENTRIES)), CS_OK);
    EXPECT_CS(TAKEN(cpg_mcast_joined(m.handle, CPG_TYPE_AGREED, NULL, 0)), CS_OK);
    EXPECT_CS(TAKEN(cpg_mcast_joined(m.handle, CPG_TYPE_AGREED, empty, 3)), CS_OK);
    EXPECT_CS(TAKEN(cpg_mcast_joined(m.handle, CPG_TYPE_AGREED, iov, 0)), CS_OK);
    member_see(&m, 8);
    for (int i = 1; i < 5; i++)
        EXPECT(m.seen[i].bytes == ENTRIES - ENTRIES / 3 &&
               strncmp(m.seen[i].text, "acdfg", 5) == 0);
    for (int i = 5; i < 8; i++)
        EXPECT(m.seen[i].kind == SEEN_MESSAGE && m.seen[i].bytes == 0);
    member_close(&m);
}

/* The word is the configured maximum. */
CASE(mcast_over_the_maximum_is_too_big_and_sends_nothing)
{
    struct member m = { 0 };
    size_t max = strtoull(probe_word(0), NULL, 10);
    char *bytes = calloc(1, max + 1);
    uint32_t atomic = 0;
    CHECK(bytes);
    member_join(&m, "sizes");
    EXPECT_CS(cpg_max_atomic_msgsize_get(m.handle, &atomic), CS_OK);
    EXPECT(atomic >= 1047552);
    EXPECT_CS(send_bytes(m.handle, bytes, max + 1), CS_ERR_TOO_BIG);
    struct iovec huge[2] = { { bytes, max }, { bytes, max } };
    EXPECT_CS(cpg_mcast_joined(m.handle, CPG_TYPE_AGREED, huge, 2), CS_ERR_TOO_BIG);
    struct iovec wraps[2] = { { bytes, SIZE_MAX }, { bytes, 2 } };
    EXPECT_CS(cpg_mcast_joined(m.handle, CPG_TYPE_AGREED, wraps, 2), CS_ERR_TOO_BIG);
    EXPECT_CS(TAKEN(send_bytes(m.handle, bytes, max)), CS_OK);
    EXPECT_CS(TAKEN(send_bytes(m.handle, bytes, atomic)), CS_OK);
    member_see(&m, 3);
    EXPECT(m.seen[1].bytes == max && m.seen[2].bytes == atomic);
    free(bytes);
    member_close(&m);
}

static void expect_congestion_to_end(struct member *m, int accepted)
{
    cpg_flow_control_state_t state = CPG_FLOW_CONTROL_ENABLED;
    EXPECT_CS(cpg_flow_control_state_get(m->handle, &state), CS_OK);
    EXPECT(state == CPG_FLOW_CONTROL_DISABLED || state == CPG_FLOW_CONTROL_ENABLED);
    unsigned node;
    struct cpg_name name = name_of("flow");
    struct cpg_address list[CPG_MEMBERS_MAX];
    int count;
    EXPECT_CS(cpg_local_get(m->handle, &node), CS_OK); /* C7 */
    EXPECT_CS(cpg_membership_get(m->handle, &name, list, &count), CS_OK);
    WAIT_FOR(cpg_dispatch(m->handle, CS_DISPATCH_ALL) == CS_OK &&
             cpg_flow_control_state_get(m->handle, &state) == CS_OK &&
             state == CPG_FLOW_CONTROL_DISABLED);
    member_see(m, 1 + accepted); /* C3 */
}

CASE(C1_C3_C7_a_refused_send_sent_nothing_and_what_was_accepted_arrives)
{
    enum { BYTES = 60000 };
    static char bytes[BYTES];
    struct member m = { 0 };
    int accepted = 0;
    member_join(&m, "flow");
    for (int round = 0; round < 5; round++) {
        cs_error_t answer = CS_OK;
        while (answer == CS_OK) {
            memcpy(bytes, &accepted, sizeof(accepted));
            answer = send_bytes(m.handle, bytes, BYTES);
            accepted += answer == CS_OK;
        }
        EXPECT_CS(answer, CS_ERR_TRY_AGAIN);
        expect_congestion_to_end(&m, accepted);
    }
    for (int i = 0; i < accepted; i++) {
        int number;
        memcpy(&number, m.seen[1 + i].text, sizeof(number));
        EXPECT(number == i && m.seen[1 + i].bytes == BYTES);
    }
    member_close(&m);
}

CASE(membership_of_a_group_that_nobody_is_in_is_empty)
{
    struct member m = { 0 };
    struct cpg_name unknown = name_of("nobody"), known = name_of("somebody");
    struct cpg_address list[CPG_MEMBERS_MAX];
    int count = -1;
    member_open(&m);
    EXPECT_CS(cpg_membership_get(m.handle, &unknown, list, &count), CS_OK);
    EXPECT(count == 0);
    member_close(&m);
    member_join(&m, "somebody");
    memset(list, 0xff, sizeof(list));
    EXPECT_CS(cpg_membership_get(m.handle, &known, list, &count), CS_OK);
    EXPECT(count == 1 && list[0].nodeid == m.node && list[0].pid == (uint32_t)getpid() &&
           list[0].reason == 0);
    EXPECT(list[1].nodeid == UINT32_MAX);
    member_close(&m);
}

static void join_the_crowd(void *argument)
{
    const int *release = argument;
    struct member m = { 0 };
    char byte;
    close(release[1]);
    member_join(&m, "crowd");
    CHECK(read(release[0], &byte, 1) == 0); /* until the parent has seen all */
    member_close(&m);
}

static void expect_a_crowd(struct member *m)
{
    struct cpg_name name = name_of("crowd");
    struct cpg_address list[CPG_MEMBERS_MAX + 4];
    int count = 7777;
    memset(list, 0xaa, sizeof(list));
    EXPECT_CS(cpg_membership_get(m->handle, &name, list, &count), CS_ERR_NO_SPACE);
    EXPECT(count == CPG_MEMBERS_MAX);
    for (int i = 1; i < CPG_MEMBERS_MAX; i++)
        EXPECT(list[i - 1].pid < list[i].pid && list[i].reason == 0);
    for (int i = CPG_MEMBERS_MAX; i < CPG_MEMBERS_MAX + 4; i++)
        EXPECT(list[i].nodeid == 0xaaaaaaaa && list[i].pid == 0xaaaaaaaa);
    cpg_iteration_handle_t it;
    struct cpg_iteration_description_t d;
    int walked = 0;
    CHECK(cpg_iteration_initialize(m->handle, CPG_ITERATION_ONE_GROUP, &name, &it) == CS_OK);
    while (cpg_iteration_next(it, &d) == CS_OK)
        walked++;
    EXPECT(walked == CROWD);
    EXPECT_CS(cpg_iteration_finalize(it), CS_OK);
}

CASE(membership_of_more_than_128_gives_the_first_of_them_and_says_so)
{
    struct member m = { 0 };
    int pid[CROWD - 1], release[2];
    CHECK(pipe(release) == 0);
    for (int i = 0; i < CROWD - 1; i++) {
        pid[i] = probe_fork(join_the_crowd, release);
        if (i % 8 == 7)
            probe_nap_us(1000); /* two processors, and others want one as well */
    }
    close(release[0]);
    member_join(&m, "crowd");
    while (m.seen[atomic_load(&m.count) - 1].members < CROWD)
        member_see(&m, atomic_load(&m.count) + 1);
    expect_a_crowd(&m);
    close(release[1]);
    int seen = atomic_load(&m.count);
    while (m.seen[atomic_load(&m.count) - 1].members > 1)
        member_see(&m, atomic_load(&m.count) + 1);
    for (int i = seen; i < atomic_load(&m.count); i++) /* V5: one by one */
        EXPECT(is_view(&m.seen[i], 1, 0) && m.seen[i].first_left.reason == CPG_REASON_PROCDOWN);
    for (int i = 0; i < CROWD - 1; i++)
        probe_join_child(pid[i]);
    member_close(&m);
}

static void expect_end(cpg_iteration_handle_t it)
{
    struct cpg_iteration_description_t d;
    for (int i = 0; i < 3; i++)
        EXPECT_CS(cpg_iteration_next(it, &d), CS_ERR_NO_SECTIONS);
    EXPECT_CS(cpg_iteration_finalize(it), CS_OK);
    EXPECT_CS(cpg_iteration_finalize(it), CS_ERR_BAD_HANDLE);
    EXPECT_CS(cpg_iteration_next(it, &d), CS_ERR_BAD_HANDLE);
}

static void expect_next(cpg_iteration_handle_t it, const char *group, unsigned node, uint32_t pid)
{
    struct cpg_iteration_description_t d;
    memset(&d, 0xff, sizeof(d));
    CHECK(cpg_iteration_next(it, &d) == CS_OK);
    EXPECT(d.group.length == strlen(group) && strcmp(d.group.value, group) == 0);
    EXPECT(d.nodeid == node && d.pid == pid);
}

static int count_members(cpg_handle_t h)
{
    cpg_iteration_handle_t it;
    struct cpg_iteration_description_t d;
    int count = 0;
    CHECK(cpg_iteration_initialize(h, CPG_ITERATION_ALL, NULL, &it) == CS_OK);
    while (cpg_iteration_next(it, &d) == CS_OK)
        count++;
    CHECK(cpg_iteration_finalize(it) == CS_OK);
    return count;
}

CASE(iterations_are_snapshots_in_order_and_stay_at_their_end)
{
    struct member m[3] = { 0 };
    const char *group[3] = { "walk b", "walk a", "walk aa" };
    cpg_iteration_handle_t names, all, one, unknown;
    struct cpg_name b = name_of("walk b"), nobody = name_of("walk");
    for (int i = 0; i < 3; i++)
        member_join(&m[i], group[i]);
    cpg_handle_t h = m[0].handle;
    WAIT_FOR(count_members(h) == 3); /* those of cases before us have gone */
    EXPECT_CS(cpg_iteration_initialize(h, CPG_ITERATION_NAME_ONLY, NULL, &names), CS_OK);
    EXPECT_CS(cpg_iteration_initialize(h, CPG_ITERATION_ALL, NULL, &all), CS_OK);
    EXPECT_CS(cpg_iteration_initialize(h, CPG_ITERATION_ONE_GROUP, &b, &one), CS_OK);
    EXPECT_CS(cpg_iteration_initialize(h, CPG_ITERATION_ONE_GROUP, &nobody, &unknown), CS_OK);
    unsigned node = m[0].node;
    member_close(&m[1]);
    member_close(&m[2]); /* does not show */
    const char *sorted[3] = { "walk a", "walk aa", "walk b" };
    for (int i = 0; i < 3; i++) {
        expect_next(names, sorted[i], 0, 0);
        expect_next(all, sorted[i], node, (uint32_t)getpid());
    }
    expect_next(one, "walk b", node, (uint32_t)getpid());
    expect_end(names);
    expect_end(all);
    expect_end(one);
    expect_end(unknown);
    struct cpg_iteration_description_t d;
    EXPECT_CS(cpg_iteration_initialize(h, CPG_ITERATION_ALL, NULL, &all), CS_OK);
    member_close(&m[0]);
    EXPECT_CS(cpg_iteration_next(all, &d), CS_ERR_BAD_HANDLE);
    EXPECT_CS(cpg_iteration_finalize(all), CS_ERR_BAD_HANDLE);
}
