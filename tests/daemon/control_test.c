/* SPDX-License-Identifier: BSD-3-Clause */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <jansson.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "control_room.h"
#include "corosync/corotypes.h"
#include "corosync/cpg.h"
#include "listen.h"

static struct control_room room;

static void setup(void)
{
    room_prepare(&room);
    room_start(&room);
    room_form(&room);
}

static void teardown(void)
{
    room_stop(&room);
}

TestSuite(control, .init = setup, .fini = teardown, .timeout = 30);

static struct client welcome(void)
{
    struct client client;
    client_connect(&client, &room);
    cr_assert(eq(int, client_do(&client, CTL_HELLO, 0, 0), CS_OK));
    return client;
}

/* The other end is gone, seen by a wait that would otherwise hang. */
static bool hung_up(int fd)
{
    struct pollfd p = { .fd = fd, .events = POLLRDHUP };
    return poll(&p, 1, 10000) == 1 && (p.revents & (POLLHUP | POLLRDHUP));
}

Test(control, hello_brings_a_channel)
{
    struct client client = welcome();
    struct zcb_arena arena;
    cr_assert(eq(int, client.fd_count, 5));
    cr_assert(eq(u32, client.answer.hello.nodeid, 1));
    cr_assert(eq(u32, client.answer.hello.message_bytes_max, 32 << 20));
    cr_assert(ge(u32, client.answer.hello.atomic_bytes_max, 1047552));
    cr_assert(eq(int, zcb_arena_map(&arena, client.fds[0], CHAN_UP_BYTES, 1, ZCB_WRITE), 0));
    cr_assert(eq(int, zcb_arena_map(&arena, client.fds[1], CHAN_DOWN_BYTES, 1, ZCB_READ), 0));
    cr_assert(eq(int, zcb_arena_map(&arena, client.fds[2], CHAN_CORE_BYTES, 1, ZCB_READ), 0));
    cr_assert(eq(
        int, zcb_arena_map(&arena, client.fds[3], client.answer.hello.rx_bytes, 1, ZCB_READ), 0));
    struct core_command add = fake_wait(&room.core, CORE_CLIENT_ADD, 1);
    cr_assert(eq(u32, add.pid, (uint32_t)getpid()));
    client_close(&client);
}

Test(control, what_the_daemon_writes_no_client_can_map_writable)
{
    struct client client = welcome();
    struct zcb_arena arena;
    cr_assert(lt(int, zcb_arena_map(&arena, client.fds[1], CHAN_DOWN_BYTES, 1, ZCB_WRITE), 0));
    cr_assert(lt(int, zcb_arena_map(&arena, client.fds[2], CHAN_CORE_BYTES, 1, ZCB_WRITE), 0));
    cr_assert(lt(
        int, zcb_arena_map(&arena, client.fds[3], client.answer.hello.rx_bytes, 1, ZCB_WRITE), 0));
    client_close(&client);
}

Test(control, F6_the_wake_socket_has_the_credentials_of_the_daemon)
{
    struct client client = welcome();
    struct ucred who;
    socklen_t bytes = sizeof(who);
    cr_assert(eq(int, getsockopt(client.fds[4], SOL_SOCKET, SO_PEERCRED, &who, &bytes), 0));
    cr_assert(eq(u32, who.uid, geteuid()));
    cr_assert(eq(int, fcntl(client.fds[4], F_GETFD), FD_CLOEXEC));
    client_close(&client);
}

Test(control, a_kick_puts_one_byte_into_the_wake_socket)
{
    struct client client = welcome();
    struct ctl_request kick = client_request(CTL_KICK, 0, 0);
    struct pollfd p = { .fd = client.fds[4], .events = POLLIN };
    char bytes[4];
    cr_assert(eq(int, poll(&p, 1, 0), 0));
    client_send(&client, &kick);
    cr_assert(eq(int, poll(&p, 1, 10000), 1));
    cr_assert(eq(int, (int)read(client.fds[4], bytes, sizeof(bytes)), 1));
    client_close(&client);
}

Test(control, a_request_carries_the_pid_of_who_sent_it)
{
    struct client client = welcome();
    pid_t child = fork(); /* H4: the child goes on with the handle */
    if (child == 0) {
        struct ctl_request join = client_request(CTL_JOIN, 0, 0);
        join.name_bytes = 5;
        memcpy(join.name, "a\0b\0c", 5);
        _exit(client_ask(&client, &join) == CS_OK ? 0 : 1);
    }
    int status;
    waitpid(child, &status, 0);
    cr_assert(eq(int, status, 0));
    struct core_command join = fake_wait(&room.core, CORE_CLIENT_JOIN, 1);
    cr_assert(eq(u32, join.pid, (uint32_t)child));
    cr_assert(eq(u32, room.core.group.bytes, 5));
    cr_assert(eq(int, memcmp(room.core.group.value, "a\0b\0c", 5), 0));
    client_close(&client);
}

Test(control, S6_the_end_of_a_connection_is_told_the_core_once)
{
    struct client client = welcome();
    client_close(&client);
    struct core_command end = fake_wait(&room.core, CORE_CLIENT_END, 1);
    cr_assert(eq(u32, end.slot, 0));
    client = welcome();
    cr_assert(eq(int, fake_count(&room.core, CORE_CLIENT_END), 1));
    client_close(&client);
}

Test(control, H1_a_slot_is_free_when_the_core_has_let_go)
{
    fake_hold(&room.core, CORE_CLIENT_END);
    struct client first = welcome();
    client_close(&first);
    struct core_command end = fake_wait(&room.core, CORE_CLIENT_END, 1);
    struct client second = welcome();
    cr_assert(eq(u32, room.core.client[1].serial, 2));
    fake_hold(&room.core, UINT32_MAX);
    fake_answer(&room.core, &end, CS_OK, 0);
    room_form(&room); /* the answer is seen */
    struct client third = welcome();
    cr_assert(eq(u32, room.core.client[0].serial, 3));
    client_close(&second);
    client_close(&third);
}

Test(control, finalize_never_waits_for_the_core)
{
    struct client client = welcome();
    fake_set_full(&room.core, true);
    cr_assert(eq(int, client_do(&client, CTL_FINALIZE, 0, 0), CS_OK));
    cr_assert(eq(int, client_wait(&client), -1));
    cr_assert(eq(int, fake_count(&room.core, CORE_CLIENT_END), 0));
    fake_set_full(&room.core, false);
    fake_wait(&room.core, CORE_CLIENT_END, 1);
    client_close(&client);
}

Test(control, Q2_commands_keep_their_order_when_the_queue_was_full)
{
    struct client a = welcome(), b = welcome();
    struct ctl_request join = client_request(CTL_JOIN, 0, 0),
                       leave = client_request(CTL_LEAVE, 0, 0);
    fake_set_full(&room.core, true);
    client_send(&a, &join);
    client_send(&b, &leave);
    struct client admin;
    client_connect(&admin, &room);
    cr_assert(eq(int, client_do(&admin, CTL_HELLO, CTL_HELLO_ADMIN, 0), CS_OK),
              "the control thread goes on meanwhile");
    fake_set_full(&room.core, false);
    cr_assert(eq(int, client_wait(&a), CS_OK));
    cr_assert(eq(int, client_wait(&b), CS_OK));
    client_close(&a);
    client_close(&b);
    client_close(&admin);
}

Test(control, N1_a_second_request_before_the_answer_ends_the_connection)
{
    struct client client = welcome();
    struct ctl_request join = client_request(CTL_JOIN, 0, 0), kick = client_request(CTL_KICK, 0, 0);
    fake_hold(&room.core, CORE_CLIENT_JOIN);
    client_send(&client, &join);
    struct core_command asked = fake_wait(&room.core, CORE_CLIENT_JOIN, 1);
    struct pollfd p = { .fd = client.fds[4], .events = POLLIN };
    client_send(&client, &kick);
    cr_assert(eq(int, poll(&p, 1, 10000), 1), "a kick is welcome at any time");
    client_send(&client, &join);
    cr_assert(eq(int, client_wait(&client), -1));
    fake_answer(&room.core, &asked, CS_OK, 0); /* nobody waits for it any more */
    fake_wait(&room.core, CORE_CLIENT_END, 1);
    room_form(&room); /* the answer is seen */
    client_close(&client);
}

Test(control, N2_what_is_no_request_ends_the_connection_and_nothing_else)
{
    struct ctl_request wrong[8];
    for (int i = 0; i < 8; i++)
        wrong[i] = client_request(CTL_JOIN, 0, 0);
    wrong[0].magic++;
    wrong[1].version++;
    wrong[2].type = 99;
    wrong[3].type = 0;
    wrong[4].name_bytes = 129;
    wrong[5].type = CTL_HELLO; /* a second one */
    for (int i = 0; i < 8; i++) {
        struct client client = welcome();
        size_t bytes = i == 6 ? 1 : i == 7 ? sizeof(wrong[0]) - 1 : sizeof(wrong[0]);
        ctl_send(client.fd, &wrong[i], bytes, NULL, 0);
        cr_assert(eq(int, client_wait(&client), -1), "case %d", i);
        client_close(&client);
    }
    struct client client = welcome();
    uint8_t long_packet[sizeof(wrong[0]) + 1] = { 0 };
    memcpy(long_packet, &wrong[5], sizeof(wrong[0]));
    ctl_send(client.fd, long_packet, sizeof(long_packet), NULL, 0);
    cr_assert(eq(int, client_wait(&client), -1));
    client_close(&client);
    client = welcome();
    client_close(&client);
}

Test(control, before_hello_nothing_else_is_welcome)
{
    struct client client;
    client_connect(&client, &room);
    cr_assert(eq(int, client_do(&client, CTL_STATUS, 0, 0), -1));
    client_close(&client);
}

Test(control, another_version_is_told_so)
{
    struct client client;
    struct ctl_request hello = client_request(CTL_HELLO, 0, 0);
    hello.version = CTL_VERSION + 1;
    client_connect(&client, &room);
    ctl_send(client.fd, &hello, sizeof(hello) - 8, NULL, 0);
    cr_assert(eq(int, client_wait(&client), CS_ERR_VERSION));
    client_close(&client);
}

Test(control, an_evicted_client_sees_the_end_and_the_core_is_asked_to_let_go)
{
    struct client client = welcome();
    struct core_event evict = { .type = CORE_EVENT_EVICT,
                                .slot = 0,
                                .error = CHAN_EVICTED_RULES,
                                .arg = CORE_OFFENCE_DONE_LEASE };
    int ours = dup(client.fds[4]);
    fake_hold(&room.core, CORE_CLIENT_END);
    fake_say(&room.core, &evict);
    cr_assert(hung_up(ours));
    cr_assert(eq(int, client_wait(&client), -1));
    struct core_command end = fake_wait(&room.core, CORE_CLIENT_END, 1);
    /* T3: our end of the wake socket is shut down, but not anybody else's number yet. */
    int wake = room.core.client[0].wake_socket;
    cr_assert(eq(int, fcntl(wake, F_GETFD), FD_CLOEXEC));
    fake_say(&room.core, &evict); /* harmless the second time */
    fake_answer(&room.core, &end, CS_OK, 0);
    room_form(&room);
    cr_assert(eq(int, fake_count(&room.core, CORE_CLIENT_END), 1));
    client_close(&client);
}

Test(control, members_come_from_the_core)
{
    struct client client = welcome();
    cr_assert(eq(int, client_do(&client, CTL_MEMBERS, 0, 0), CS_OK));
    cr_assert(eq(u32, client.answer.members.count, 1));
    cr_assert(eq(u32, client.answer.members.entry[0].pid, 77));
    client_close(&client);
}

Test(control, an_iteration_is_a_sealed_file_of_any_size)
{
    struct client client = welcome();
    for (uint32_t count = 0; count <= 1000; count += 500) {
        room.core.entry_count = count;
        cr_assert(eq(int, client_do(&client, CTL_ITERATE, CPG_ITERATION_ALL, 0), CS_OK));
        cr_assert(eq(u32, client.answer.arg, count));
        cr_assert(eq(u64, client.answer.arg64, count * sizeof(struct ctl_iteration_entry)));
        cr_assert(eq(int, client.fd_count, count > 0 ? 1 : 0));
        if (count == 0)
            continue;
        struct ctl_iteration_entry last;
        off_t at = (off_t)((count - 1) * sizeof(last));
        cr_assert(eq(int, (int)pread(client.fds[0], &last, sizeof(last), at), (int)sizeof(last)));
        cr_assert(eq(u32, last.pid, count - 1));
        cr_assert(lt(int, (int)pwrite(client.fds[0], "x", 1, 0), 0));
    }
    cr_assert(eq(int, client_do(&client, CTL_ITERATE, 4, 0), CS_ERR_INVALID_PARAM));
    cr_assert(eq(int, client_do(&client, CTL_ITERATE, 0, 0), CS_ERR_INVALID_PARAM));
    client_close(&client);
}

static json_t *status_of(struct client *client)
{
    char text[65536];
    cr_assert(eq(int, client_do(client, CTL_STATUS, 0, 0), CS_OK));
    cr_assert(eq(int, client->fd_count, 1));
    ssize_t bytes = read(client->fds[0], text, sizeof(text));
    cr_assert(eq(u64, (uint64_t)bytes, client->answer.arg64));
    json_t *status = json_loadb(text, (size_t)bytes, 0, NULL);
    cr_assert(ne(ptr, status, NULL));
    return status;
}

static json_int_t bytes_of(json_t *memory, const char *part)
{
    json_t *bytes = json_object_get(json_object_get(memory, part), "bytes");
    cr_assert(ne(ptr, bytes, NULL), "%s", part);
    return json_integer_value(bytes);
}

Test(control, J1_status_says_where_every_page_is)
{
    static const char *const parts[] = { "rx",           "tx_segments",     "channels", "core_page",
                                         "core_private", "control_private", "tape" };
    struct client client = welcome(), admin;
    json_int_t sum = 0;
    room.core.entry_count = 5;
    cr_assert(eq(int, client_do(&client, CTL_TX_GET, 0, 1 << 16), CS_OK));
    client_connect(&admin, &room);
    cr_assert(eq(int, client_do(&admin, CTL_HELLO, CTL_HELLO_ADMIN, 0), CS_OK));
    cr_assert(eq(int, admin.fd_count, 0));
    json_t *status = status_of(&admin), *memory = json_object_get(status, "memory");
    for (size_t i = 0; i < ARRAY_COUNT(parts); i++)
        sum += bytes_of(memory, parts[i]);
    cr_assert(eq(u64, (uint64_t)json_integer_value(json_object_get(memory, "total_bytes")),
                 (uint64_t)sum));
    cr_assert(eq(u64, (uint64_t)bytes_of(memory, "channels"), CHAN_UP_BYTES + CHAN_DOWN_BYTES));
    cr_assert(eq(u64, (uint64_t)bytes_of(memory, "tx_segments"), 1 << 16));
    cr_assert(eq(sz, json_array_size(json_object_get(status, "groups")), 3));
    json_decref(status);
    client_close(&client);
    client_close(&admin);
}

Test(control, an_admin_has_no_membership)
{
    struct client admin;
    client_connect(&admin, &room);
    cr_assert(eq(int, client_do(&admin, CTL_HELLO, CTL_HELLO_ADMIN, 0), CS_OK));
    cr_assert(eq(int, client_do(&admin, CTL_JOIN, 0, 0), -1));
    client_close(&admin);
}

Test(control, a_segment_is_writable_for_its_client_and_readable_for_others)
{
    struct client writer = welcome(), reader = welcome();
    struct zcb_arena arena;
    cr_assert(eq(int, client_do(&writer, CTL_TX_GET, 0, 100000), CS_OK));
    uint32_t id = writer.answer.arena;
    uint64_t bytes = writer.answer.arg64;
    cr_assert(ge(u64, bytes, 100000));
    cr_assert(eq(int, zcb_arena_map(&arena, writer.fds[0], bytes, id, ZCB_WRITE), 0));
    writer.fd_count = 0;
    arena.base[5] = 42;
    cr_assert(eq(int, client_do(&reader, CTL_MAP, id, 0), CS_OK));
    cr_assert(eq(u64, reader.answer.arg64, bytes));
    /* M3: neither this descriptor nor one made from it maps writable */
    struct zcb_arena seen;
    cr_assert(lt(int, zcb_arena_map(&seen, reader.fds[0], bytes, id, ZCB_WRITE), 0));
    cr_assert(eq(int, zcb_arena_map(&seen, reader.fds[0], bytes, id, ZCB_READ), 0));
    cr_assert(eq(int, seen.base[5], 42));
    cr_assert(ne(int, mprotect(seen.base, bytes, PROT_READ | PROT_WRITE), 0));
    cr_assert(eq(int, client_do(&reader, CTL_MAP, 12345, 0), CS_ERR_NOT_EXIST));
    client_close(&writer);
    reader.fd_count = 0;
    client_close(&reader);
}

Test(control, M2_one_large_message_fits_and_leaves_room_for_small_ones)
{
    struct client a = welcome(), b = welcome();
    cr_assert(eq(int, client_do(&a, CTL_TX_GET, 0, 32 << 20), CS_OK));
    uint32_t index = a.answer.arg;
    cr_assert(eq(int, client_do(&b, CTL_TX_GET, 0, 32 << 20), CS_ERR_TRY_AGAIN));
    cr_assert(eq(int, client_do(&b, CTL_TX_GET, 0, 5 << 20), CS_ERR_TRY_AGAIN));
    fake_wait(&room.core, CORE_SEGMENT_DENIED, 2); /* it hears who is kept waiting */
    cr_assert(eq(int, client_do(&b, CTL_TX_GET, 0, 1 << 20), CS_OK));
    cr_assert(eq(int, client_do(&b, CTL_TX_GET, 0, 100 << 20), CS_ERR_NO_MEMORY));
    cr_assert(eq(int, client_do(&b, CTL_TX_GET, 0, 0), CS_ERR_INVALID_PARAM));
    cr_assert(eq(int, client_do(&a, CTL_TX_PUT, index, 0), CS_OK));
    room_form(&room); /* CORE_EVENT_SEGMENT_GONE is seen */
    cr_assert(eq(int, client_do(&b, CTL_TX_GET, 0, 32 << 20), CS_OK));
    cr_assert(eq(int, client_do(&a, CTL_TX_PUT, index, 0), CS_ERR_NOT_EXIST));
    client_close(&a);
    client_close(&b);
}

Test(control, K5_the_transport_knows_a_segment_before_the_core_does_and_until_it_is_gone)
{
    struct client client = welcome();
    cr_assert(eq(int, client_do(&client, CTL_TX_GET, 0, 100000), CS_OK));
    uint32_t index = client.answer.arg;
    cr_assert(eq(int, room.core.memory_count, 1));
    cr_assert(eq(u32, room.core.segment_key, 1000 + client.answer.arena));
    cr_assert(eq(int, client_do(&client, CTL_TX_PUT, index, 0), CS_OK));
    room_form(&room); /* CORE_EVENT_SEGMENT_GONE is seen */
    cr_assert(eq(int, room.core.memory_count, 0));
    room.core.memory_full = true; /* then it is copied */
    cr_assert(eq(int, client_do(&client, CTL_TX_GET, 0, 100000), CS_OK));
    cr_assert(eq(u32, room.core.segment_key, 0));
    client_close(&client);
}

Test(control, M1_all_segments_together_have_a_bound)
{
    enum { MIB = 1 << 20 };
    struct client client[6];
    for (int i = 0; i < 6; i++)
        client[i] = welcome();
    for (int i = 0; i < 40; i++)
        cr_assert(eq(int, client_do(&client[i / 8], CTL_TX_GET, 0, MIB), CS_OK), "%d", i);
    cr_assert(eq(int, client_do(&client[5], CTL_TX_GET, 0, 4096), CS_ERR_TRY_AGAIN));
    cr_assert(eq(int, client_do(&client[0], CTL_TX_PUT, 3, 0), CS_OK));
    room_form(&room);
    cr_assert(eq(int, client_do(&client[5], CTL_TX_GET, 0, 4096), CS_OK));
    for (int i = 0; i < 6; i++)
        client_close(&client[i]);
}

Test(control, M5_what_idle_clients_keep_leaves_room_for_the_largest_message)
{
    enum { KIB = 1 << 10, CLIENTS = 40, FIRST = 8, WISH = 512 * KIB, OWN = CONFIG_TX_OWN_BYTES };
    struct client client[CLIENTS], large = welcome();
    for (int i = 0; i < CLIENTS; i++) {
        client[i] = welcome();
        cr_assert(eq(int, client_do(&client[i], CTL_TX_GET, CTL_TX_STAYS, WISH), CS_OK));
        cr_assert(eq(u64, client[i].answer.arg64, i < FIRST ? WISH : OWN));
    }
    cr_assert(eq(int, client_do(&large, CTL_TX_GET, 0, 32 << 20), CS_OK));
    cr_assert(eq(int, client_do(&client[0], CTL_TX_GET, 0, 5120 * KIB), CS_ERR_TRY_AGAIN));
    cr_assert(eq(int, client_do(&client[0], CTL_TX_GET, 0, 1024 * KIB), CS_OK));
    /* M6: one of its own is all that a client gets besides. */
    cr_assert(
        eq(int, client_do(&client[CLIENTS - 1], CTL_TX_GET, CTL_TX_STAYS, OWN), CS_ERR_TRY_AGAIN));
    cr_assert(eq(int,
                 client_do(&client[CLIENTS - 1], CTL_TX_PUT, client[CLIENTS - 1].answer.arg, 0),
                 CS_OK));
    for (int i = 0; i < CLIENTS; i++)
        client_close(&client[i]);
    client_close(&large);
}

Test(control, M1_a_client_has_so_many_segments_and_its_death_gives_them_back)
{
    struct client client = welcome();
    for (int i = 0; i < CHAN_SEGMENT_COUNT; i++) {
        cr_assert(eq(int, client_do(&client, CTL_TX_GET, 0, 4096), CS_OK));
        cr_assert(eq(u32, client.answer.arg, (uint32_t)i));
    }
    cr_assert(eq(int, client_do(&client, CTL_TX_GET, 0, 4096), CS_ERR_TRY_AGAIN));
    client_close(&client);
    fake_wait(&room.core, CORE_CLIENT_END, 1);
    room_form(&room);
    client = welcome();
    json_t *status = status_of(&client);
    cr_assert(eq(u64, (uint64_t)bytes_of(json_object_get(status, "memory"), "tx_segments"), 0));
    json_decref(status);
    client_close(&client);
}

Test(control, M7_who_keeps_a_segment_that_has_gone_keeps_no_memory)
{
    struct client client = welcome();
    struct zcb_arena arena;
    struct stat st;
    cr_assert(eq(int, client_do(&client, CTL_TX_GET, 0, 1 << 20), CS_OK));
    uint32_t index = client.answer.arg, id = client.answer.arena;
    uint64_t bytes = client.answer.arg64;
    cr_assert(eq(int, zcb_arena_map(&arena, client.fds[0], bytes, id, ZCB_WRITE), 0));
    client.fd_count = 0;
    memset(arena.base, 42, bytes);
    cr_assert(eq(int, client_do(&client, CTL_TX_PUT, index, 0), CS_OK));
    room_form(&room); /* CORE_EVENT_SEGMENT_GONE is seen */
    cr_assert(eq(int, fstat(arena.fd, &st), 0));
    cr_assert(eq(u64, (uint64_t)st.st_size, bytes));
    cr_assert(zero(u64, (uint64_t)st.st_blocks));
    zcb_arena_destroy(&arena);
    client_close(&client);
}

Test(control, a_core_that_refuses_is_believed)
{
    struct client client;
    room.core.error = CS_ERR_NO_RESOURCES;
    client_connect(&client, &room);
    cr_assert(eq(int, client_do(&client, CTL_HELLO, 0, 0), CS_ERR_NO_RESOURCES));
    cr_assert(eq(int, client.fd_count, 0));
    room.core.error = 0;
    cr_assert(eq(int, client_do(&client, CTL_HELLO, 0, 0), CS_OK));
    room.core.error = CS_ERR_NO_MEMORY;
    cr_assert(eq(int, client_do(&client, CTL_TX_GET, 0, 4096), CS_ERR_NO_MEMORY));
    room.core.error = 0;
    cr_assert(eq(int, client_do(&client, CTL_TX_GET, 0, 4096), CS_OK));
    cr_assert(eq(u32, client.answer.arg, 0));
    client_close(&client);
}

Test(control, a_ring_seq_is_answered_when_it_is_on_disk)
{
    struct core_event persist = { .type = CORE_EVENT_PERSIST, .arg64 = 5000 };
    struct state again = { 0 };
    char path[CONFIG_PATH_BYTES + 64], text[256];
    fake_say(&room.core, &persist);
    int before = fake_count(&room.core, CORE_PERSISTED);
    struct core_command told = fake_wait(&room.core, CORE_PERSISTED, before > 1 ? before : 2);
    cr_assert(eq(u64, told.arg64, 5000));
    snprintf(path, sizeof(path), "%s/%s", room.state.directory, room.state.name);
    int fd = open(path, O_RDONLY);
    ssize_t bytes = read(fd, text, sizeof(text));
    close(fd);
    cr_assert(state_parse(&again, text, (size_t)bytes));
    cr_assert(eq(u64, again.ring_seq, 5000));
}

/* From here on each test brings its own room. */

TestSuite(control_alone, .timeout = 60);

Test(control_alone, hello_says_try_again_until_the_first_ring)
{
    struct client client;
    room_prepare(&room);
    room_start(&room);
    client_connect(&client, &room);
    cr_assert(eq(int, client_do(&client, CTL_HELLO, 0, 0), CS_ERR_TRY_AGAIN));
    cr_assert(eq(int, client_do(&client, CTL_HELLO, 0, 0), CS_ERR_TRY_AGAIN));
    room_form(&room);
    cr_assert(eq(int, client_do(&client, CTL_HELLO, 0, 0), CS_OK));
    client_close(&client);
    room_stop(&room);
}

Test(control_alone, more_clients_than_the_configuration_allows_are_told_so)
{
    struct client client[3], admin;
    room_prepare(&room);
    room.config.clients_max = 2;
    room_start(&room);
    room_form(&room);
    client[0] = welcome();
    client[1] = welcome();
    client_connect(&client[2], &room);
    cr_assert(eq(int, client_do(&client[2], CTL_HELLO, 0, 0), CS_ERR_NO_RESOURCES));
    client_connect(&admin, &room);
    cr_assert(eq(int, client_do(&admin, CTL_HELLO, CTL_HELLO_ADMIN, 0), CS_OK));
    for (int i = 0; i < 3; i++)
        client_close(&client[i]);
    client_close(&admin);
    room_stop(&room);
}

/* Runs as somebody else; the error hello gave. */
static int hello_as(uid_t uid, gid_t gid)
{
    pid_t child = fork();
    if (child == 0) {
        struct client client;
        if (setgroups(0, NULL) != 0 || setgid(gid) != 0 || setuid(uid) != 0)
            _exit(99);
        client_connect(&client, &room);
        _exit(client_do(&client, CTL_HELLO, 0, 0));
    }
    int status;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

Test(control_alone, only_those_permitted_come_in)
{
    if (geteuid() != 0)
        cr_skip_test("needs to become other users");
    room_prepare(&room);
    room.config.uids[0] = 7001;
    room.config.uid_count = 1;
    room.config.gids[0] = 7002;
    room.config.gid_count = 1;
    room_start(&room);
    room_form(&room);
    cr_assert(eq(int, hello_as(7000, 7000), CS_ERR_ACCESS));
    cr_assert(eq(int, hello_as(7001, 7000), CS_OK));
    cr_assert(eq(int, hello_as(7000, 7002), CS_OK));
    cr_assert(eq(int, hello_as(7000, 0), CS_OK));
    cr_assert(eq(int, hello_as(0, 7000), CS_OK));
    room_stop(&room);
}

Test(control_alone, strangers_that_say_nothing_make_room)
{
    struct client silent[CONTROL_STRANGERS_MAX + 8];
    room_prepare(&room);
    room.config.clients_max = 20;
    room_start(&room);
    room_form(&room);
    for (size_t i = 0; i < ARRAY_COUNT(silent); i++)
        client_connect(&silent[i], &room);
    struct client client = welcome();
    cr_assert(hung_up(silent[0].fd));
    for (size_t i = 0; i < ARRAY_COUNT(silent); i++)
        client_close(&silent[i]);
    client_close(&client);
    room_stop(&room);
}

Test(control_alone, a_crowd_that_starts_at_once_comes_in)
{
    enum { CROWD = 3 * CONTROL_STRANGERS_MAX };
    struct client client[CROWD];
    room_prepare(&room);
    room_start(&room);
    room_form(&room);
    setrlimit(RLIMIT_NOFILE, &(struct rlimit){ 4096, 4096 });
    for (int i = 0; i < CROWD; i++)
        client_connect(&client[i], &room);
    for (int i = CROWD; i-- > 0;)
        cr_assert(eq(int, client_do(&client[i], CTL_HELLO, 0, 0), CS_OK));
    for (int i = 0; i < CROWD; i++)
        client_close(&client[i]);
    room_stop(&room);
}

/* Runs as somebody else: of many connections that say nothing the first is hung up. */
static int silence_as(uid_t uid)
{
    pid_t child = fork();
    if (child == 0) {
        struct client silent[CONTROL_STRANGERS_MAX + 8];
        if (setgroups(0, NULL) != 0 || setgid(uid) != 0 || setuid(uid) != 0)
            _exit(99);
        for (size_t i = 0; i < ARRAY_COUNT(silent); i++)
            client_connect(&silent[i], &room);
        _exit(!hung_up(silent[0].fd));
    }
    int status;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

Test(control_alone, strangers_that_may_not_come_are_few_and_push_out_no_others)
{
    struct client first;
    if (geteuid() != 0)
        cr_skip_test("needs to become other users");
    room_prepare(&room);
    room_start(&room);
    room_form(&room);
    client_connect(&first, &room);
    cr_assert(eq(int, silence_as(7000), 0));
    cr_assert(eq(int, client_do(&first, CTL_HELLO, 0, 0), CS_OK));
    client_close(&first);
    room_stop(&room);
}

Test(control_alone, H1_three_hundred_handles_in_one_process_are_cheap)
{
    enum { HANDLES = 300 };
    static struct client client[HANDLES];
    struct rlimit limit = { 4096, 4096 };
    setrlimit(RLIMIT_NOFILE, &limit);
    room_prepare(&room);
    room_start(&room);
    room_form(&room);
    for (int i = 0; i < HANDLES; i++) {
        client[i] = welcome();
        client_close_fds(&client[i]);
    }
    json_t *status = status_of(&client[0]), *memory = json_object_get(status, "memory");
    json_t *channels = json_object_get(memory, "channels");
    cr_assert(eq(int, (int)json_integer_value(json_object_get(channels, "count")), HANDLES));
    cr_assert(le(u64, (uint64_t)bytes_of(memory, "channels") / HANDLES, 192 * 1024));
    json_decref(status);
    for (int i = 0; i < HANDLES; i++)
        client_close(&client[i]);
    fake_wait(&room.core, CORE_CLIENT_END, HANDLES);
    room_stop(&room);
}

Test(control_alone, L3_out_of_descriptors_it_says_so_and_recovers)
{
    enum { CONNECTIONS = 200 };
    struct rlimit before, limit;
    int pipe_fds[2];
    char result;
    room_prepare(&room);
    getrlimit(RLIMIT_NOFILE, &before);
    room_start(&room);
    room_form(&room);
    cr_assert(eq(int, pipe(pipe_fds), 0));
    pid_t child = fork(); /* the clients, with descriptors of their own */
    if (child == 0) {
        static struct client client[CONNECTIONS];
        int last = CS_OK, count = 0;
        while (count < CONNECTIONS && last == CS_OK) {
            client_connect(&client[count], &room);
            last = client_do(&client[count], CTL_HELLO, 0, 0);
            client_close_fds(&client[count++]);
        }
        for (int i = 0; i < count; i++)
            client_close(&client[i]);
        result = (char)last;
        _exit(write(pipe_fds[1], &result, 1) == 1 ? 0 : 1);
    }
    limit = before;
    limit.rlim_cur = 100;
    setrlimit(RLIMIT_NOFILE, &limit);
    cr_assert(eq(int, (int)read(pipe_fds[0], &result, 1), 1));
    cr_assert(eq(int, result, CS_ERR_NO_RESOURCES));
    setrlimit(RLIMIT_NOFILE, &before);
    waitpid(child, NULL, 0);
    struct client client = welcome();
    client_close(&client);
    room_stop(&room);
}

Test(control_alone, L3_without_a_descriptor_for_the_connection_it_uses_the_spare_one)
{
    enum { LOW = 200 };
    struct rlimit before, limit;
    struct client client[3];
    int fd = -1, filled[LOW], filled_count = 0;
    room_prepare(&room);
    getrlimit(RLIMIT_NOFILE, &before);
    room_start(&room);
    room_form(&room);
    for (int i = 0; i < 3; i++)
        client[i].fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);
    while ((fd = dup(0)) < LOW) /* all numbers below are taken now */
        filled[filled_count++] = fd;
    close(fd);
    limit = before;
    limit.rlim_cur = LOW;
    setrlimit(RLIMIT_NOFILE, &limit);
    for (int i = 0; i < 3; i++) {
        close(client[i].fd);
        client_connect(&client[i], &room);
        cr_assert(eq(int, client_do(&client[i], CTL_HELLO, 0, 0), CS_ERR_NO_RESOURCES), "%d", i);
        cr_assert(eq(int, client_wait(&client[i]), -1));
    }
    setrlimit(RLIMIT_NOFILE, &before);
    while (filled_count > 0)
        close(filled[--filled_count]);
    for (int i = 0; i < 3; i++)
        client_close(&client[i]);
    client[0] = welcome();
    client_close(&client[0]);
    room_stop(&room);
}

Test(control_alone, a_stale_socket_is_taken_over_and_a_live_one_is_respected)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    struct control second;
    char why[512];
    struct stat st;
    room_prepare(&room);
    snprintf(address.sun_path, sizeof(address.sun_path), "%s/%s", room.directory, CTL_SOCKET_NAME);
    int stale = socket(AF_UNIX, SOCK_SEQPACKET, 0);
    cr_assert(eq(int, bind(stale, (struct sockaddr *)&address, sizeof(address)), 0));
    close(stale);
    room_start(&room);
    room_form(&room);
    struct client client = welcome();
    cr_assert(eq(int, stat(address.sun_path, &st), 0));
    cr_assert(eq(u32, st.st_mode & 0777, 0666));
    second = (struct control){ .config = &room.config };
    cr_assert(eq(int, listen_open(&second, why, sizeof(why)), -EADDRINUSE));
    cr_assert(ne(ptr, strstr(why, "already running"), NULL));
    client_close(&client);
    room_stop(&room);
    cr_assert(not(room.socket_left));
}

Test(control_alone, a_stop_tells_the_clients_and_takes_the_socket_away)
{
    room_prepare(&room);
    room_start(&room);
    room_form(&room);
    struct client client = welcome();
    int wake = dup(client.fds[4]);
    room_stop(&room);
    cr_assert(hung_up(client.fd));
    cr_assert(hung_up(wake));
    client_close(&client);
}
