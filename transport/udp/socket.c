/* SPDX-License-Identifier: BSD-3-Clause */
#include "socket.h"
#include "why.h"

#include <errno.h>
#include <string.h>
#include <netinet/udp.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#ifndef UDP_GRO
#define UDP_GRO 104
#endif

/* A burst of a whole window from every sender fits, with the kernel's own overhead. */
enum { SOCKET_BYTES_DEFAULT = 8 << 20, SOCKET_BYTES_MOST = 1 << 30 };

static const struct udp_sockets none_open = { .own = -1, .group = -1, .alarm = -1, .sleep_fd = -1 };

static int option(int fd, int level, int name, int value)
{
    return setsockopt(fd, level, name, &value, sizeof value) == 0 ? 0 : -errno;
}

static int bytes_wanted(uint64_t socket_bytes)
{
    return socket_bytes == 0 ? (int)SOCKET_BYTES_DEFAULT
                             : (int)min_u64(socket_bytes, SOCKET_BYTES_MOST);
}

/* What the limits of the machine allow; with CAP_NET_ADMIN, what was asked. */
static void buffers_set(int fd, uint64_t socket_bytes)
{
    int bytes = bytes_wanted(socket_bytes);

    if (option(fd, SOL_SOCKET, SO_RCVBUFFORCE, bytes) != 0)
        (void)option(fd, SOL_SOCKET, SO_RCVBUF, bytes);
    if (option(fd, SOL_SOCKET, SO_SNDBUFFORCE, bytes) != 0)
        (void)option(fd, SOL_SOCKET, SO_SNDBUF, bytes);
}

/* The kernel reports twice what was asked for: half is meant for its own overhead. */
static uint64_t buffer_bytes(int fd)
{
    int bytes = 0;
    socklen_t length = sizeof bytes;

    (void)getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, &length);
    return (uint64_t)bytes / 2;
}

/* Let the kernel hand over runs of datagrams as one message (rx.c). Older ones do not know how. */
static void gro_set(int fd)
{
    (void)option(fd, IPPROTO_UDP, UDP_GRO, 1);
}

/* A frame longer than the path's MTU goes out in fragments: slow is better than refused. */
static int socket_make(int family, uint64_t socket_bytes)
{
    int fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int error;

    if (fd < 0)
        return -errno;
    buffers_set(fd, socket_bytes);
    gro_set(fd);
    if (family == AF_INET) {
        error = option(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT);
    } else {
        error = option(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_DONT);
        if (error == 0)
            error = option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    }
    if (error != 0) {
        close(fd);
        return error;
    }
    return fd;
}

static int bind_why(int error, const struct transport_node *node, char *why, size_t why_bytes)
{
    if (error == -EADDRNOTAVAIL)
        return transport_why(why, why_bytes, error,
                             "udp: no interface of this machine has the address %s of node %u: "
                             "correct the address or the node id (`ip address` lists ours), or "
                             "bring the interface up first",
                             node->address, node->node_id);
    if (error == -EADDRINUSE)
        return transport_why(why, why_bytes, error,
                             "udp: port %u of %s is in use: stop the other program (`ss -ulpn "
                             "'sport = %u'` names it) or choose another port on all nodes",
                             node->port, node->address, node->port);
    if (error == -EACCES)
        return transport_why(why, why_bytes, error,
                             "udp: binding to %s port %u is not permitted: ports below 1024 need "
                             "CAP_NET_BIND_SERVICE, choose a higher one",
                             node->address, node->port);
    return transport_why(why, why_bytes, error,
                         "udp: cannot bind to %s port %u: %s: see `ip address`", node->address,
                         node->port, strerror(-error));
}

static int own_open(struct udp_sockets *sockets, const struct udp_peers *peers,
                    const struct transport_config *config, char *why, size_t why_bytes)
{
    const union udp_address *address = &peers->item[peers->self].address;
    const struct transport_node *node = &config->nodes[peers->self];
    int fd = socket_make(address->any.sa_family, config->socket_bytes);

    if (fd < 0)
        return transport_why(why, why_bytes, fd,
                             "udp: no socket for %s: %s: check that this kernel speaks IPv%d and "
                             "the limit of open files",
                             node->address, strerror(-fd),
                             address->any.sa_family == AF_INET ? 4 : 6);
    if (bind(fd, &address->any, udp_address_bytes(address)) != 0) {
        int error = -errno;
        close(fd);
        return bind_why(error, node, why, why_bytes);
    }
    sockets->own = fd;
    sockets->bytes = buffer_bytes(fd);
    sockets->bytes_wanted = (uint64_t)bytes_wanted(config->socket_bytes);
    return 0;
}

/* Sending: through our interface, from our address; others on this host hear it too. */
static int multicast_send_set(const struct udp_sockets *sockets, int family)
{
    int error;

    if (family == AF_INET) {
        struct ip_mreqn through = { .imr_ifindex = (int)sockets->interface.index };
        if (setsockopt(sockets->own, IPPROTO_IP, IP_MULTICAST_IF, &through, sizeof through) != 0)
            return -errno;
        error = option(sockets->own, IPPROTO_IP, IP_MULTICAST_TTL, sockets->ttl);
        return error != 0 ? error : option(sockets->own, IPPROTO_IP, IP_MULTICAST_LOOP, 1);
    }
    error = option(sockets->own, IPPROTO_IPV6, IPV6_MULTICAST_IF, (int)sockets->interface.index);
    if (error == 0)
        error = option(sockets->own, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, sockets->ttl);
    return error != 0 ? error : option(sockets->own, IPPROTO_IPV6, IPV6_MULTICAST_LOOP, 1);
}

static int membership(const struct udp_sockets *sockets, const union udp_address *group, int what)
{
    int level = group->any.sa_family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6;
    struct group_req request = { .gr_interface = sockets->interface.index };

    memcpy(&request.gr_group, group, udp_address_bytes(group));
    return setsockopt(sockets->group, level, what, &request, sizeof request) == 0 ? 0 : -errno;
}

/* A group of one link says by which; the configuration may leave it out, but not err. */
static int group_scope_set(union udp_address *group, const struct udp_interface *interface)
{
    if (!udp_address_is_scoped(group))
        return 0;
    if (group->v6.sin6_scope_id != 0 && group->v6.sin6_scope_id != interface->index)
        return -EINVAL;
    group->v6.sin6_scope_id = interface->index;
    return 0;
}

static int group_join(struct udp_sockets *sockets, const union udp_address *group)
{
    int family = group->any.sa_family;
    int error;

    if (setsockopt(sockets->group, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int)) != 0 ||
        bind(sockets->group, &group->any, udp_address_bytes(group)) != 0)
        return -errno;
    /* What other programs of this host joined elsewhere is not for us. Older kernels lack the
     * option for IPv6; sources are checked in any case. */
    (void)(family == AF_INET ? option(sockets->group, IPPROTO_IP, IP_MULTICAST_ALL, 0)
                             : option(sockets->group, IPPROTO_IPV6, IPV6_MULTICAST_ALL, 0));
    error = membership(sockets, group, MCAST_JOIN_GROUP);
    return error != 0 ? error : multicast_send_set(sockets, family);
}

static int nest(int epoll, int fd)
{
    struct epoll_event event = { .events = EPOLLIN };

    if (fd < 0)
        return 0;
    return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0 ? 0 : -errno;
}

static int sleep_open(struct udp_sockets *sockets, char *why, size_t why_bytes)
{
    int error = 0;

    sockets->alarm = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    sockets->sleep_fd = epoll_create1(EPOLL_CLOEXEC);
    if (sockets->alarm < 0 || sockets->sleep_fd < 0)
        error = -errno;
    if (error == 0)
        error = nest(sockets->sleep_fd, sockets->own);
    if (error == 0)
        error = nest(sockets->sleep_fd, sockets->group);
    if (error == 0)
        error = nest(sockets->sleep_fd, sockets->alarm);
    if (error != 0)
        return transport_why(why, why_bytes, error,
                             "udp: no descriptor to sleep on: %s: raise the limit of open files",
                             strerror(-error));
    return 0;
}

static int group_open(struct udp_sockets *sockets, struct udp_peers *peers,
                      const struct transport_config *config, char *why, size_t why_bytes)
{
    union udp_address *group = &peers->item[peers->count].address;
    int error = udp_interface_find(&sockets->interface, &peers->item[peers->self].address);

    if (error == 0)
        error = group_scope_set(group, &sockets->interface);
    if (error == 0) {
        sockets->group = socket_make(group->any.sa_family, config->socket_bytes);
        error = sockets->group < 0 ? sockets->group : group_join(sockets, group);
    }
    if (error != 0)
        return transport_why(why, why_bytes, error,
                             "udp: cannot join multicast group %s port %u on interface %s: %s: "
                             "see that it is up with MULTICAST (`ip link`), or leave the group "
                             "out of the configuration to send by unicast",
                             config->multicast, config->multicast_port, sockets->interface.name,
                             strerror(-error));
    return 0;
}

int udp_sockets_open(struct udp_sockets *sockets, struct udp_peers *peers,
                     const struct transport_config *config, char *why, size_t why_bytes)
{
    int error;

    *sockets = none_open;
    sockets->ttl = config->multicast_ttl != 0 ? config->multicast_ttl : 1;
    error = own_open(sockets, peers, config, why, why_bytes);
    if (error == 0 && udp_peers_multicast(peers))
        error = group_open(sockets, peers, config, why, why_bytes);
    if (error == 0)
        error = sleep_open(sockets, why, why_bytes);
    if (error != 0)
        udp_sockets_close(sockets);
    return error;
}

static void close_one(int fd)
{
    if (fd >= 0)
        close(fd);
}

void udp_sockets_close(struct udp_sockets *sockets)
{
    close_one(sockets->sleep_fd);
    close_one(sockets->alarm);
    close_one(sockets->group);
    close_one(sockets->own);
    *sockets = none_open;
}

void udp_sockets_rejoin(struct udp_sockets *sockets, struct udp_peers *peers)
{
    union udp_address *group = &peers->item[peers->count].address;
    unsigned index = if_nametoindex(sockets->interface.name);

    if (index == 0)
        return;                                          /* not back yet */
    (void)membership(sockets, group, MCAST_LEAVE_GROUP); /* of the old index; it may be void */
    sockets->interface.index = index;
    if (udp_address_is_scoped(group))
        group->v6.sin6_scope_id = index;
    if (membership(sockets, group, MCAST_JOIN_GROUP) != 0)
        return;
    sockets->rejoin = multicast_send_set(sockets, group->any.sa_family) != 0;
}
