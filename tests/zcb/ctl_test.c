/* SPDX-License-Identifier: BSD-3-Clause */
#include "zcb.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct ends {
    int a, b;
};

static struct ends pair_of_sockets(void)
{
    int sv[2];
    cr_assert(eq(int, socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv), 0));
    return (struct ends){ sv[0], sv[1] };
}

static void pass_credentials(int socket)
{
    int on = 1;
    cr_assert(eq(int, setsockopt(socket, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)), 0));
}

static int open_fd_count(void)
{
    int count = 0;
    DIR *dir = opendir("/proc/self/fd");
    while (readdir(dir))
        count++;
    closedir(dir);
    return count;
}

/* Whatever number of descriptors, and data, without the limits of ctl_send(). */
static void send_raw(int socket, const void *data, size_t bytes, int fd_count)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(64 * sizeof(int))];
    } control = { 0 };
    struct iovec iov = { .iov_base = (void *)(uintptr_t)data, .iov_len = bytes };
    struct msghdr msg = { .msg_iov = &iov,
                          .msg_iovlen = 1,
                          .msg_control = control.bytes,
                          .msg_controllen = CMSG_SPACE(fd_count * sizeof(int)) };
    struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(fd_count * sizeof(int));
    for (int i = 0; i < fd_count; i++)
        memcpy(CMSG_DATA(c) + i * sizeof(int), &(int){ 0 }, sizeof(int));
    cr_assert(eq(long, (long)sendmsg(socket, &msg, 0), (long)bytes));
}

Test(ctl, a_packet_arrives_whole_and_alone)
{
    struct ends s = pair_of_sockets();
    struct ctl_request sent = { .magic = CTL_MAGIC, .type = CTL_JOIN, .name_bytes = 3 };
    struct ctl_request got[2];
    memcpy(sent.name, "abc", 3);
    for (int i = 0; i < 2; i++)
        cr_assert(eq(int, ctl_send(s.a, &sent, sizeof(sent), NULL, 0), sizeof(sent)));
    cr_assert(eq(int, ctl_recv(s.b, got, sizeof(got), NULL, NULL, NULL), sizeof(sent)));
    cr_assert(eq(int, memcmp(got, &sent, sizeof(sent)), 0));
}

Test(ctl, descriptors_arrive_as_the_same_files_in_order_and_close_on_exec)
{
    struct ends s = pair_of_sockets();
    int sent[CTL_FDS_MAX], got[CTL_FDS_MAX], count = CTL_FDS_MAX;
    struct stat is, was;
    for (int i = 0; i < CTL_FDS_MAX; i++)
        sent[i] = memfd_create("ctl_test", 0);
    cr_assert(eq(int, ctl_send(s.a, "x", 1, sent, CTL_FDS_MAX), 1));
    char byte;
    cr_assert(eq(int, ctl_recv(s.b, &byte, 1, got, &count, NULL), 1));
    cr_assert(eq(int, count, CTL_FDS_MAX));
    for (int i = 0; i < CTL_FDS_MAX; i++) {
        cr_assert(eq(int, fstat(sent[i], &was) | fstat(got[i], &is), 0));
        cr_assert(eq(ulong, is.st_ino, was.st_ino));
        cr_assert(fcntl(got[i], F_GETFD) & FD_CLOEXEC);
    }
}

Test(ctl, the_kernel_says_who_sent_each_packet)
{
    struct ends s = pair_of_sockets();
    pass_credentials(s.b);
    char byte;
    uint32_t pid = 1;
    ctl_send(s.a, "x", 1, NULL, 0);
    cr_assert(eq(int, ctl_recv(s.b, &byte, 1, NULL, NULL, &pid), 1));
    cr_assert(eq(u32, pid, (uint32_t)getpid()));

    pid_t child = fork();
    if (child == 0)
        _exit(ctl_send(s.a, "y", 1, NULL, 0) == 1 ? 0 : 1);
    cr_assert(eq(int, waitpid(child, NULL, 0), child));
    cr_assert(eq(int, ctl_recv(s.b, &byte, 1, NULL, NULL, &pid), 1));
    cr_assert(eq(u32, pid, (uint32_t)child));
}

Test(ctl, credentials_and_all_descriptors_fit_together)
{
    struct ends s = pair_of_sockets();
    pass_credentials(s.b);
    int sent[CTL_FDS_MAX] = { 0 }, got[CTL_FDS_MAX], count = CTL_FDS_MAX;
    uint32_t pid;
    char byte;
    ctl_send(s.a, "x", 1, sent, CTL_FDS_MAX);
    cr_assert(eq(int, ctl_recv(s.b, &byte, 1, got, &count, &pid), 1));
    cr_assert(eq(int, count, CTL_FDS_MAX));
    cr_assert(eq(u32, pid, (uint32_t)getpid()));
}

Test(ctl, without_credentials_the_sender_is_nobody)
{
    struct ends s = pair_of_sockets();
    uint32_t pid = 77;
    char byte;
    ctl_send(s.a, "x", 1, NULL, 0);
    cr_assert(eq(int, ctl_recv(s.b, &byte, 1, NULL, NULL, &pid), 1));
    cr_assert(eq(u32, pid, 0));
}

Test(ctl, descriptors_nobody_has_room_for_are_closed)
{
    struct ends s = pair_of_sockets();
    int sent[3] = { 0, 0, 0 }, got[3], count = 1;
    char byte;
    int before = open_fd_count();
    ctl_send(s.a, "x", 1, sent, 3);
    cr_assert(eq(int, ctl_recv(s.b, &byte, 1, got, &count, NULL), 1));
    cr_assert(eq(int, count, 1));
    cr_assert(eq(int, open_fd_count(), before + 1));

    ctl_send(s.a, "x", 1, sent, 3);
    cr_assert(eq(int, ctl_recv(s.b, &byte, 1, NULL, NULL, NULL), 1));
    cr_assert(eq(int, open_fd_count(), before + 1));
}

Test(ctl, a_packet_that_is_too_long_is_refused_with_its_descriptors)
{
    struct ends s = pair_of_sockets();
    int got[CTL_FDS_MAX], count = CTL_FDS_MAX;
    uint32_t pid = 77;
    char byte;
    int before = open_fd_count();
    send_raw(s.a, "xy", 2, 4);
    cr_assert(eq(int, ctl_recv(s.b, &byte, 1, got, &count, &pid), -EPROTO));
    cr_assert(eq(int, count, 0));
    cr_assert(eq(u32, pid, 0));
    cr_assert(eq(int, open_fd_count(), before));
}

Test(ctl, more_descriptors_than_any_packet_carries_are_refused_and_closed)
{
    for (int credentials = 0; credentials <= 1; credentials++) {
        for (int sent = CTL_FDS_MAX + 1; sent <= 64; sent++) {
            struct ends s = pair_of_sockets();
            int got[CTL_FDS_MAX], count = CTL_FDS_MAX;
            char byte;
            if (credentials)
                pass_credentials(s.b);
            int before = open_fd_count();
            send_raw(s.a, "x", 1, sent);
            int result = ctl_recv(s.b, &byte, 1, got, &count, NULL);
            if (result == 1) /* room kept for credentials let them in: closed as surplus */
                cr_assert(count == CTL_FDS_MAX && !credentials && sent < 20);
            else
                cr_assert(result == -EPROTO && count == 0);
            cr_assert(eq(int, open_fd_count(), before + count));
            for (int i = 0; i < count; i++)
                close(got[i]);
            close(s.a);
            close(s.b);
        }
    }
}

Test(ctl, a_closed_end_is_told_without_a_signal)
{
    struct ends s = pair_of_sockets();
    char byte;
    close(s.a);
    cr_assert(eq(int, ctl_recv(s.b, &byte, 1, NULL, NULL, NULL), 0));
    cr_assert(eq(int, ctl_send(s.b, "x", 1, NULL, 0), -EPIPE));
}

Test(ctl, a_socket_that_must_not_wait_says_so)
{
    struct ends s = pair_of_sockets();
    fcntl(s.a, F_SETFL, O_NONBLOCK);
    fcntl(s.b, F_SETFL, O_NONBLOCK);
    char byte;
    cr_assert(eq(int, ctl_recv(s.b, &byte, 1, NULL, NULL, NULL), -EAGAIN));
    int result;
    while ((result = ctl_send(s.a, "x", 1, NULL, 0)) == 1)
        ;
    cr_assert(eq(int, result, -EAGAIN));
    cr_assert(eq(int, ctl_recv(-1, &byte, 1, NULL, NULL, NULL), -EBADF));
}
