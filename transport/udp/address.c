/* SPDX-License-Identifier: BSD-3-Clause */
#include "address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <string.h>

bool udp_address_is_scoped(const union udp_address *address)
{
    const struct in6_addr *a = &address->v6.sin6_addr;

    return address->any.sa_family == AF_INET6 &&
           (IN6_IS_ADDR_LINKLOCAL(a) || IN6_IS_ADDR_MC_LINKLOCAL(a) || IN6_IS_ADDR_MC_NODELOCAL(a));
}

static int scope_parse(uint32_t *scope, const char *text)
{
    char *end;
    unsigned long number;

    *scope = if_nametoindex(text);
    if (*scope != 0)
        return 0;
    number = strtoul(text, &end, 10);
    if (end == text || *end != '\0' || number == 0 || number > UINT32_MAX)
        return -ENODEV;
    *scope = (uint32_t)number;
    return 0;
}

static int parse_v6(union udp_address *address, const char *text, const char *scope, uint16_t port)
{
    struct sockaddr_in6 *v6 = &address->v6;

    if (inet_pton(AF_INET6, text, &v6->sin6_addr) != 1)
        return -EINVAL;
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    if (scope == NULL)
        return IN6_IS_ADDR_LINKLOCAL(&v6->sin6_addr) ? -EDESTADDRREQ : 0; /* a group: ours */
    if (!udp_address_is_scoped(address))
        return -EINVAL; /* the kernel reports no scope for others: they would never compare equal */
    return scope_parse(&v6->sin6_scope_id, scope);
}

int udp_address_parse(union udp_address *address, const char *text, uint16_t port)
{
    char number[INET6_ADDRSTRLEN];
    const char *scope = strchr(text, '%');
    size_t bytes = scope != NULL ? (size_t)(scope - text) : strlen(text);

    memset(address, 0, sizeof *address);
    if (bytes >= sizeof number)
        return -EINVAL;
    memcpy(number, text, bytes);
    number[bytes] = '\0';
    if (scope == NULL && inet_pton(AF_INET, number, &address->v4.sin_addr) == 1) {
        address->v4.sin_family = AF_INET;
        address->v4.sin_port = htons(port);
        return 0;
    }
    return parse_v6(address, number, scope != NULL ? scope + 1 : NULL, port);
}

static bool same_host(const union udp_address *a, const struct sockaddr *b)
{
    if (b == NULL || a->any.sa_family != b->sa_family)
        return false;
    if (b->sa_family == AF_INET) {
        const struct sockaddr_in *v4 = (const void *)b;
        return a->v4.sin_addr.s_addr == v4->sin_addr.s_addr;
    }
    const struct sockaddr_in6 *v6 = (const void *)b;
    return memcmp(&a->v6.sin6_addr, &v6->sin6_addr, sizeof v6->sin6_addr) == 0 &&
           (a->v6.sin6_scope_id == 0 || a->v6.sin6_scope_id == v6->sin6_scope_id);
}

/* All of 127.0.0.0/8 is ours although only 127.0.0.1 is listed. */
static bool on_loopback(const union udp_address *address, const struct ifaddrs *item)
{
    return address->any.sa_family == AF_INET && (item->ifa_flags & IFF_LOOPBACK) != 0 &&
           (ntohl(address->v4.sin_addr.s_addr) >> 24) == IN_LOOPBACKNET;
}

int udp_interface_find(struct udp_interface *interface, const union udp_address *address)
{
    struct ifaddrs *list;
    int error = -EADDRNOTAVAIL;

    if (getifaddrs(&list) != 0)
        return -errno;
    for (struct ifaddrs *item = list; item != NULL; item = item->ifa_next) {
        if (!same_host(address, item->ifa_addr) && !on_loopback(address, item))
            continue;
        snprintf(interface->name, sizeof interface->name, "%s", item->ifa_name);
        interface->index = if_nametoindex(interface->name);
        error = interface->index != 0 ? 0 : -ENODEV;
        break;
    }
    freeifaddrs(list);
    return error;
}

bool udp_address_is_multicast(const union udp_address *address)
{
    if (address->any.sa_family == AF_INET)
        return IN_MULTICAST(ntohl(address->v4.sin_addr.s_addr));
    return IN6_IS_ADDR_MULTICAST(&address->v6.sin6_addr);
}

bool udp_address_is_any(const union udp_address *address)
{
    if (address->any.sa_family == AF_INET)
        return address->v4.sin_addr.s_addr == htonl(INADDR_ANY);
    return IN6_IS_ADDR_UNSPECIFIED(&address->v6.sin6_addr);
}

bool udp_address_equal(const union udp_address *a, const union udp_address *b)
{
    if (a->any.sa_family != b->any.sa_family)
        return false;
    if (a->any.sa_family == AF_INET)
        return a->v4.sin_addr.s_addr == b->v4.sin_addr.s_addr && a->v4.sin_port == b->v4.sin_port;
    return memcmp(&a->v6.sin6_addr, &b->v6.sin6_addr, sizeof a->v6.sin6_addr) == 0 &&
           a->v6.sin6_port == b->v6.sin6_port && a->v6.sin6_scope_id == b->v6.sin6_scope_id;
}

uint32_t udp_address_hash(const union udp_address *address)
{
    uint64_t hash;

    if (address->any.sa_family == AF_INET) {
        hash = (uint64_t)address->v4.sin_addr.s_addr << 16 | address->v4.sin_port;
    } else {
        uint64_t half[2];
        memcpy(half, &address->v6.sin6_addr, sizeof half);
        hash = half[0] * 3 + half[1] + address->v6.sin6_port +
               ((uint64_t)address->v6.sin6_scope_id << 32);
    }
    hash *= UINT64_C(0x9e3779b97f4a7c15); /* 2^64 / golden ratio: spreads neighbours */
    return (uint32_t)(hash >> 32);
}
