/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TRANSPORT_UDP_ADDRESS_H
#define TRANSPORT_UDP_ADDRESS_H

/*
 * address.h - IPv4 and IPv6 addresses with their port, as sockets take them.
 *
 * Invariants: U1  fields that do not identify a peer (flow label, padding) are zero in what
 *                 udp_address_parse() makes, and are not looked at in comparisons
 */

#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "synchrotron/types.h"

union udp_address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

/* The interface that carries an address. The name outlives the index: a link that was taken away
 * and made anew has another number. */
struct udp_interface {
    char name[IF_NAMESIZE];
    unsigned index;
};

/**
 * Read a numeric address, with %interface (name or number) when it is link-local.
 *
 * Errors:  -EINVAL not numeric; -ENODEV no such interface; -EDESTADDRREQ link-local without one
 */
int udp_address_parse(union udp_address *address, const char *text, uint16_t port);

/* Errors: -EADDRNOTAVAIL no interface of this machine has the address. Control thread. */
int udp_interface_find(struct udp_interface *interface, const union udp_address *address);

bool udp_address_is_multicast(const union udp_address *address);
bool udp_address_is_any(const union udp_address *address);
/* Means nothing without an interface: link-local, or a group of one link or host. */
bool udp_address_is_scoped(const union udp_address *address);

static inline socklen_t udp_address_bytes(const union udp_address *address)
{
    return address->any.sa_family == AF_INET ? sizeof address->v4 : sizeof address->v6;
}

bool udp_address_equal(const union udp_address *a, const union udp_address *b);
uint32_t udp_address_hash(const union udp_address *address);

#endif
