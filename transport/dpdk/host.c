/* SPDX-License-Identifier: BSD-3-Clause */
#include "host.h"
#include "why.h"

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* -errno: this process may not have such sockets. */
static int may_have_socket(int family)
{
    int fd = socket(family, SOCK_RAW | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    close(fd);
    return 0;
}

/* 0: not known. */
static uint32_t interface_mtu(const char *interface)
{
    struct ifreq request = { .ifr_mtu = 0 };
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return 0;
    snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", interface);
    int failed = ioctl(fd, SIOCGIFMTU, &request);
    close(fd);
    return failed ? 0 : (uint32_t)request.ifr_mtu;
}

int dpdk_host_interface(const struct dpdk_host_interface *about, char *why, size_t why_bytes)
{
    int failed = may_have_socket(about->family);
    if (failed)
        return transport_why(why, why_bytes, failed,
                             "dpdk: port %s: no raw socket: %s: start the daemon as root%s; port "
                             "memif takes no privileges",
                             about->port, strerror(-failed),
                             about->family == AF_PACKET ? " or with CAP_NET_RAW" : "");
    uint32_t mtu = interface_mtu(about->interface);
    if (mtu > 0 && mtu < about->mtu)
        return transport_why(why, why_bytes, -EMSGSIZE,
                             "dpdk: port %s: the interface has an MTU of %u and packets are to "
                             "have %u: lower totem.netmtu, or `ip link set %s mtu %u`",
                             about->port, mtu, about->mtu, about->interface, about->mtu);
    return 0;
}
