/* SPDX-License-Identifier: BSD-3-Clause */
/* request_test.c - what a handle writes to its control socket; the test reads the other end. */
#include <criterion/criterion.h>

#include <sys/socket.h>
#include <unistd.h>

#include "request.h"

static struct handle *h;
static int service;

static void setup(void)
{
    int pair[2];
    cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    service = pair[1];
    h = handle_create();
    cr_assert_not_null(h);
    gate_init(&h->control, pair[0]);
}

static void teardown(void)
{
    handle_destroy(h);
    close(service);
}

TestSuite(request, .init = setup, .fini = teardown);

/* The type of the packet that waits; -1: none. */
static int waiting_type(void)
{
    struct ctl_request packet;
    ssize_t got = recv(service, &packet, sizeof(packet), MSG_DONTWAIT);
    return got == sizeof(packet) && packet.magic == CTL_MAGIC ? packet.type : -1;
}

Test(request, a_kick_is_one_packet_and_needs_no_answer)
{
    request_kick(h);
    cr_assert_eq(waiting_type(), CTL_KICK);
    cr_assert_eq(waiting_type(), -1);
}

Test(request, Q3_no_kick_follows_a_finalize)
{
    atomic_store(&h->finalized, true); /* as cpg_finalize() does before it asks */
    request_kick(h);
    cr_assert_eq(waiting_type(), -1);
    cr_assert_not(atomic_load(&h->lost));
}

Test(request, a_kick_that_nobody_can_read_means_the_service_is_lost)
{
    shutdown(service, SHUT_RDWR);
    request_kick(h);
    cr_assert(atomic_load(&h->lost));
}
