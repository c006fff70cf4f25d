/* SPDX-License-Identifier: BSD-3-Clause */
#include "interface.h"

#include <dirent.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    ASK_LOOKS = 10,     /* one in so many looks asks */
    NEWS_AT_ONCE = 256, /* messages of the kernel in one look */
};

static bool is_socket_of(int fd, int family)
{
    int domain;
    socklen_t bytes = sizeof(domain);
    return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &bytes) == 0 && domain == family;
}

void dpdk_sockets_note(struct dpdk_sockets *sockets, int family)
{
    DIR *directory = family < 0 ? NULL : opendir("/proc/self/fd");
    struct dirent *entry;
    sockets->count = 0;
    while (directory && (entry = readdir(directory)) && sockets->count < DPDK_SOCKETS_MOST) {
        int fd = atoi(entry->d_name);
        if (fd > 2 && is_socket_of(fd, family))
            sockets->fd[sockets->count++] = fd;
    }
    if (directory)
        closedir(directory);
}

static bool has(const struct dpdk_sockets *sockets, int fd)
{
    for (int i = 0; i < sockets->count; i++)
        if (sockets->fd[i] == fd)
            return true;
    return false;
}

/* -1: the kernel will be asked now and then. */
static int news_open(void)
{
    struct sockaddr_nl links = { .nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK };
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    if (fd < 0 || bind(fd, (const struct sockaddr *)&links, sizeof(links)) == 0)
        return fd;
    close(fd);
    return -1;
}

void dpdk_interface_open(struct dpdk_interface *interface, const struct dpdk_sockets *before)
{
    struct dpdk_sockets now;
    interface->ours = interface->driver = interface->news = -1;
    if (!interface->index)
        return;
    dpdk_sockets_note(&now, interface->family);
    for (int i = 0; i < now.count; i++)
        if (!has(before, now.fd[i]))
            interface->driver = now.fd[i];
    interface->ours = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
    interface->news = news_open();
}

void dpdk_interface_close(struct dpdk_interface *interface)
{
    if (interface->driver >= 0 && is_socket_of(interface->driver, interface->family))
        close(interface->driver);
    if (interface->ours >= 0)
        close(interface->ours);
    if (interface->news >= 0)
        close(interface->news);
    interface->ours = interface->driver = interface->news = -1;
}

void dpdk_interface_hear(struct dpdk_interface *interface, const struct mac *list, int count)
{
    for (int i = 0; i < count && interface->ours >= 0; i++) {
        struct packet_mreq group = { .mr_ifindex = (int)interface->index,
                                     .mr_type = PACKET_MR_MULTICAST,
                                     .mr_alen = sizeof(list[i]) };
        memcpy(group.mr_address, &list[i], sizeof(list[i]));
        (void)setsockopt(interface->ours, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &group, sizeof(group));
    }
}

/* The driver does not ask, and the kernel begins anew each time. */
static uint32_t missed_since(const struct dpdk_interface *interface)
{
    struct tpacket_stats stats = { 0 };
    socklen_t bytes = sizeof(stats);
    if (interface->family != AF_PACKET || interface->driver < 0 ||
        getsockopt(interface->driver, SOL_PACKET, PACKET_STATISTICS, &stats, &bytes) != 0)
        return 0;
    return stats.tp_drops;
}

/* A packet socket whose interface was down once says so to whoever sleeps on it, until it has been
 * asked what was wrong. */
static void ask(struct dpdk_interface *interface)
{
    struct ifreq request = { 0 };
    int error;
    socklen_t bytes = sizeof(error);
    interface->gone = if_indextoname(interface->index, request.ifr_name) == NULL;
    interface->up = !interface->gone && ioctl(interface->ours, SIOCGIFFLAGS, &request) == 0 &&
                    (request.ifr_flags & IFF_UP) && (request.ifr_flags & IFF_RUNNING);
    if (interface->driver >= 0)
        (void)getsockopt(interface->driver, SOL_SOCKET, SO_ERROR, &error, &bytes);
    interface->missed += missed_since(interface);
}

/* What it says is asked for: too much at once is lost. */
static bool has_news(const struct dpdk_interface *interface)
{
    uint8_t some;
    bool any = false;
    for (int i = 0; i < NEWS_AT_ONCE && interface->news >= 0; i++) {
        if (recv(interface->news, &some, sizeof(some), MSG_DONTWAIT) < 0 && errno != ENOBUFS)
            break;
        any = true;
    }
    return any;
}

bool dpdk_interface_look(struct dpdk_interface *interface)
{
    if (!interface->gone && (has_news(interface) || interface->looks++ % ASK_LOOKS == 0))
        ask(interface);
    return interface->up;
}
