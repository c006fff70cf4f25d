/* SPDX-License-Identifier: BSD-3-Clause */
/* hostile_control.c - clients that say on the control socket what no client says. */
#include "intruder.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const char group[] = "hostile";

static struct ctl_request request_of(enum ctl_type type)
{
    return (struct ctl_request){ .magic = CTL_MAGIC, .version = CTL_VERSION, .type = type };
}

static void say(const struct intruder *i, const void *packet, size_t bytes)
{
    (void)!send(i->control, packet, bytes, MSG_NOSIGNAL);
}

/* A member that then says this. */
static void say_and_go(const struct ctl_request *request, size_t bytes)
{
    struct intruder i;
    uint8_t packet[4096] = { 0 };
    intruder_join(&i, group);
    memcpy(packet, request, sizeof(*request));
    say(&i, packet, bytes);
    intruder_expect_end(&i);
}

#define WRONG_PACKET(label, type, change, bytes) \
    CASE(label)                                  \
    {                                            \
        struct ctl_request r = request_of(type); \
        change;                                  \
        say_and_go(&r, bytes);                   \
    }

WRONG_PACKET(packet__short, CTL_MEMBERS, (void)r, sizeof(r) - 1)
WRONG_PACKET(packet__one_byte, CTL_MEMBERS, (void)r, 1)
WRONG_PACKET(packet__long, CTL_MEMBERS, (void)r, sizeof(r) + 1)
WRONG_PACKET(packet__very_long, CTL_MEMBERS, (void)r, 4096)
WRONG_PACKET(packet__bad_magic, CTL_MEMBERS, r.magic ^= 1, sizeof(r))
WRONG_PACKET(packet__another_version, CTL_MEMBERS, r.version++, sizeof(r))
WRONG_PACKET(packet__type_zero, 0, (void)r, sizeof(r))
WRONG_PACKET(packet__unknown_type, CTL_STATUS + 1, (void)r, sizeof(r))
WRONG_PACKET(packet__type_far_off, 65535, (void)r, sizeof(r))
WRONG_PACKET(packet__name_too_long, CTL_JOIN, r.name_bytes = CTL_NAME_BYTES + 1, sizeof(r))
WRONG_PACKET(packet__name_far_too_long, CTL_MEMBERS, r.name_bytes = UINT32_MAX, sizeof(r))
WRONG_PACKET(packet__hello_again, CTL_HELLO, (void)r, sizeof(r))

CASE(packet__requests_without_waiting_for_an_answer)
{
    struct intruder i;
    struct ctl_request r = request_of(CTL_MEMBERS);
    intruder_join(&i, group);
    for (int n = 0; n < 2000; n++)
        say(&i, &r, sizeof(r));
    intruder_expect_end(&i);
}

/* Questions that are answered at once: none is asked too early, none of the answers is read. */
CASE(unread__answers_are_never_read)
{
    struct intruder i;
    struct ctl_request r = request_of(CTL_TX_PUT); /* answered at once when there is none */
    intruder_join(&i, group);
    r.arg = CHAN_SEGMENT_COUNT;
    struct timeval wait = { .tv_usec = 100000 };
    setsockopt(i.control, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
    for (int n = 0; n < 20000; n++)
        if (send(i.control, &r, sizeof(r), MSG_NOSIGNAL) < 0 && errno != EAGAIN)
            break;
    intruder_expect_end(&i);
}

CASE(stranger__speaks_before_hello)
{
    struct ctl_request r = request_of(CTL_MEMBERS);
    for (int type = CTL_JOIN; type <= CTL_STATUS; type++) {
        char byte;
        int fd = intruder_knock();
        r.type = (uint16_t)type;
        CHECK(send(fd, &r, sizeof(r), MSG_NOSIGNAL) == sizeof(r));
        EXPECT(recv(fd, &byte, 1, 0) <= 0);
        close(fd);
    }
}

CASE(stranger__hello_of_another_version)
{
    struct ctl_request r = request_of(CTL_HELLO);
    struct ctl_answer answer = { 0 };
    int fd = intruder_knock();
    r.version = CTL_VERSION + 1;
    CHECK(send(fd, &r, sizeof(r) - 20, MSG_NOSIGNAL) > 0);
    CHECK(ctl_recv(fd, &answer, sizeof(answer), NULL, NULL, NULL) > 0);
    EXPECT_CS((cs_error_t)answer.error, CS_ERR_VERSION);
    EXPECT(recv(fd, &answer, 1, 0) == 0);
    close(fd);
}

CASE(stranger__many_that_say_nothing)
{
    struct intruder i;
    int fd[600];
    for (int n = 0; n < 600; n++)
        fd[n] = intruder_knock();
    intruder_join(&i, group); /* there is room for who speaks */
    struct ctl_answer answer;
    CHECK(intruder_ask(&i, CTL_FINALIZE, 0, 0, NULL, &answer, NULL) == CS_OK);
    for (int n = 0; n < 600; n++)
        close(fd[n]);
}

CASE(none__a_flood_of_kicks)
{
    struct intruder i;
    struct ctl_request r = request_of(CTL_KICK);
    struct ctl_answer answer;
    intruder_join(&i, group);
    for (int n = 0; n < 50000; n++)
        say(&i, &r, sizeof(r));
    CHECK(intruder_ask(&i, CTL_MEMBERS, 0, 0, group, &answer, NULL) == CS_OK);
    EXPECT(answer.members.count == 4);
}

/* Descriptors that nobody asked for: the service must not keep them. */
CASE(none__descriptors_with_every_packet)
{
    struct intruder i;
    struct ctl_request r = request_of(CTL_MEMBERS);
    struct ctl_answer answer;
    intruder_join(&i, group);
    int fds[CTL_FDS_MAX] = { 0, 1, 2, i.control, i.fds[FD_WAKE], i.tx_fd };
    for (int n = 0; n < 200; n++) {
        CHECK(ctl_send(i.control, &r, sizeof(r), fds, CTL_FDS_MAX) > 0);
        CHECK(ctl_recv(i.control, &answer, sizeof(answer), NULL, NULL, NULL) > 0);
        CHECK(ctl_send(i.fds[FD_WAKE], "", 1, fds, CTL_FDS_MAX) == 1);
    }
    probe_say("sent");
    probe_hear();
}

/* Ends of sockets that are shut or closed one by one. */
CASE(gone__the_wake_socket_alone)
{
    struct intruder i;
    intruder_join(&i, group);
    close(i.fds[FD_WAKE]);
    for (int n = 0; n < 50; n++) {
        struct chan_submit entry = intruder_message(&i, 100);
        intruder_push(&i, &entry);
        probe_nap_us(100);
    }
}

CASE(gone__the_control_socket_shut_for_reading)
{
    struct intruder i;
    struct ctl_request r = request_of(CTL_MEMBERS);
    intruder_join(&i, group);
    shutdown(i.control, SHUT_RD);
    say(&i, &r, sizeof(r));
    WAIT_FOR(send(i.control, &r, sizeof(r), MSG_NOSIGNAL) < 0);
}
