/* SPDX-License-Identifier: BSD-3-Clause */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <grp.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "capture.h"
#include "control_room.h"
#include "corosync/corotypes.h"

/* Who captures, seen from the control socket; the core behind it only pretends. */

static struct control_room room;

static void setup(void)
{
    room_prepare(&room);
    room.config.uids[0] = 7001;
    room.config.uid_count = 1;
    room.config.nodes[0] =
        (struct transport_node){ .node_id = 1, .address = "192.0.2.1", .port = 5406 };
    strcpy(room.config.multicast, "239.1.2.3");
    room.config.port = 5405;
    room_start(&room);
    room_form(&room);
}

static void teardown(void)
{
    room_stop(&room);
}

TestSuite(control_capture, .init = setup, .fini = teardown, .timeout = 30);

static struct client admin(void)
{
    struct client client;
    client_connect(&client, &room);
    cr_assert(eq(int, client_do(&client, CTL_HELLO, CTL_HELLO_ADMIN, 0), CS_OK));
    return client;
}

Test(control_capture, a_tape_is_given_that_the_core_writes_and_only_it)
{
    struct client client = admin();
    struct tape_reader reader;
    struct zcb_arena arena;
    fake_hold(&room.core, CORE_CAPTURE_END); /* answered by who writes, as a core does */
    cr_assert(eq(int, client_do(&client, CTL_CAPTURE, 100, 0), CS_OK));
    cr_assert(eq(int, client.fd_count, 1));
    size_t bytes = client.answer.arg64;
    cr_assert(lt(int, zcb_arena_map(&arena, client.fds[0], bytes, 1, ZCB_WRITE), 0));
    cr_assert(zero(int, zcb_arena_map(&arena, client.fds[0], bytes, 1, ZCB_READ)));
    cr_assert(zero(int, tape_reader_open(&reader, arena.base, arena.bytes)));
    const struct tape_about *about = &reader.head->about;
    cr_assert(eq(u32, reader.snap_bytes, 100));
    cr_assert(eq(u32, about->node_id, 1));
    cr_assert(eq(u32, about->node_count, 1));
    cr_assert(eq(str, (char *)about->node[0].address, "192.0.2.1"));
    cr_assert(eq(u16, about->node[0].port, 5406));
    cr_assert(eq(str, (char *)about->multicast, "239.1.2.3"));
    cr_assert(eq(u16, about->multicast_port, 5405));
    cr_assert(eq(str, (char *)about->transport, "udp"));
    struct core_command begin = fake_wait(&room.core, CORE_CAPTURE_BEGIN, 1);
    struct zcb frame = { .head = (uint8_t[8]){ 1, 2, 3 }, .head_bytes = 8, .from = 9 };
    tape_write(begin.in.tape, 77, TAPE_RECEIVED, (struct zcb *[]){ &frame }, 1);
    struct tape_record record;
    uint8_t kept[104];
    cr_assert(tape_read(&reader, &record, kept));
    cr_assert(eq(u32, record.peer, 9));
    zcb_arena_destroy(&arena);
    client.fd_count = 0;
    client_close(&client);
    struct core_command end = fake_wait(&room.core, CORE_CAPTURE_END, 1);
    fake_answer(&room.core, &end, CS_OK, 0);
}

Test(control_capture, one_at_a_time_and_the_other_hears_whose_it_is)
{
    struct client first = admin(), second = admin();
    cr_assert(eq(int, client_do(&first, CTL_CAPTURE, 0, 0), CS_OK));
    cr_assert(eq(int, client_do(&second, CTL_CAPTURE, 0, 0), CS_ERR_BUSY));
    cr_assert(eq(u32, second.answer.arg, (uint32_t)getpid()));
    cr_assert(eq(int, second.fd_count, 0));
    cr_assert(eq(int, client_do(&first, CTL_CAPTURE, 0, 0), CS_ERR_BUSY));
    cr_assert(eq(int, fake_count(&room.core, CORE_CAPTURE_BEGIN), 1));
    client_close(&first);
    while (client_do(&second, CTL_CAPTURE, 0, 0) == CS_ERR_BUSY) /* until the core has let go */
        usleep(1000);
    cr_assert(eq(int, fake_count(&room.core, CORE_CAPTURE_BEGIN), 2));
    client_close(&second);
}

Test(control_capture, P1_the_tape_stays_until_the_core_has_let_go)
{
    struct client first = admin(), second = admin();
    fake_hold(&room.core, CORE_CAPTURE_END);
    cr_assert(eq(int, client_do(&first, CTL_CAPTURE, 0, 0), CS_OK));
    struct core_command begin = fake_wait(&room.core, CORE_CAPTURE_BEGIN, 1);
    client_close(&first);
    struct core_command end = fake_wait(&room.core, CORE_CAPTURE_END, 1);
    struct zcb frame = { .head = (uint8_t[8]){ 1 }, .head_bytes = 8 };
    for (int i = 0; i < 100000; i++)
        tape_write(begin.in.tape, 1, TAPE_SENT, (struct zcb *[]){ &frame }, 1);
    cr_assert(eq(int, client_do(&second, CTL_CAPTURE, 0, 0), CS_ERR_BUSY));
    fake_hold(&room.core, UINT32_MAX);
    fake_answer(&room.core, &end, CS_OK, 0);
    while (client_do(&second, CTL_CAPTURE, 0, 0) == CS_ERR_BUSY)
        usleep(1000);
    client_close(&second);
}

Test(control_capture, who_goes_before_the_core_has_begun_leaves_nothing_behind)
{
    struct client client = admin(), second = admin();
    struct ctl_request request = client_request(CTL_CAPTURE, 0, 0);
    fake_hold(&room.core, CORE_CAPTURE_BEGIN);
    client_send(&client, &request);
    struct core_command begin = fake_wait(&room.core, CORE_CAPTURE_BEGIN, 1);
    client_close(&client);
    fake_wait(&room.core, CORE_CAPTURE_END, 1);
    fake_hold(&room.core, UINT32_MAX);
    fake_answer(&room.core, &begin, CS_OK, 0);
    while (client_do(&second, CTL_CAPTURE, 0, 0) == CS_ERR_BUSY)
        usleep(1000);
    client_close(&second);
}

Test(control_capture, a_capture_that_runs_does_not_keep_the_service_from_ending)
{
    static struct client client;
    client = admin();
    cr_assert(eq(int, client_do(&client, CTL_CAPTURE, 0, 0), CS_OK));
}

Test(control_capture, no_client_captures)
{
    struct client client;
    client_connect(&client, &room);
    cr_assert(eq(int, client_do(&client, CTL_CAPTURE, 0, 0), -1), "a stranger");
    client_close(&client);
    client_connect(&client, &room);
    cr_assert(eq(int, client_do(&client, CTL_HELLO, 0, 0), CS_OK));
    cr_assert(eq(int, client_do(&client, CTL_CAPTURE, 0, 0), -1), "a client");
    client_close(&client);
    cr_assert(zero(int, fake_count(&room.core, CORE_CAPTURE_BEGIN)));
}

/* What a user hears who may be a client, or is only in root's group. */
static int capture_as(uid_t uid, gid_t gid)
{
    pid_t child = fork();
    if (child == 0) {
        if (setgroups(0, NULL) != 0 || setgid(gid) != 0 || setuid(uid) != 0)
            _exit(99);
        struct client client = admin();
        _exit(client_do(&client, CTL_CAPTURE, 0, 0));
    }
    int status;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

Test(control_capture, only_root_and_the_daemons_own_user_may)
{
    if (geteuid() != 0)
        cr_skip_test("needs to become other users");
    cr_assert(eq(int, capture_as(7001, 7001), CS_ERR_ACCESS));
    cr_assert(eq(int, capture_as(7000, 0), CS_ERR_ACCESS));
    cr_assert(eq(int, capture_as(0, 7000), CS_OK));
}
