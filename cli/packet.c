/* SPDX-License-Identifier: BSD-3-Clause */
#include "packet.h"

#include "synchrotron/types.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/udp.h>
#include <string.h>

enum { SCOPED_BYTES = 64 };

bool packet_host_set(struct packet_host *host, const char *address, uint16_t port)
{
    char number[SCOPED_BYTES];
    size_t bytes = strcspn(address, "%");
    *host = (struct packet_host){ .port = port, .v6 = strchr(address, ':') != NULL };
    if (bytes >= sizeof(number))
        return false;
    memcpy(number, address, bytes);
    number[bytes] = 0;
    return inet_pton(host->v6 ? AF_INET6 : AF_INET, number, host->address) == 1;
}

void packet_host_everybody(struct packet_host *host, bool v6, uint16_t port)
{
    bool known = packet_host_set(host, v6 ? "ff02::1" : "255.255.255.255", port);
    INVARIANT(known);
}

/* The sum of big-endian words, not yet folded. A piece of odd length ends a packet. */
static uint64_t sum(const void *from, size_t bytes)
{
    const uint8_t *byte = from;
    uint64_t total = 0;
    for (size_t i = 0; i + 1 < bytes; i += 2)
        total += (uint64_t)byte[i] << 8 | byte[i + 1];
    return bytes % 2 ? total + ((uint64_t)byte[bytes - 1] << 8) : total;
}

/* In network order. */
static uint16_t fold(uint64_t total)
{
    while (total >> 16)
        total = (total & 0xffff) + (total >> 16);
    return htons((uint16_t)~total);
}

/* K1, K2. Both families sum the same: addresses, length and protocol, then the datagram. */
static uint16_t udp_checksum(const struct packet *packet, const struct udphdr *udp)
{
    const bool v6 = packet->from->v6;
    const size_t address_bytes = v6 ? 16 : 4;
    if (packet->kept_bytes < packet->frame_bytes)
        return v6 ? 0xffff : 0;
    uint64_t total = sum(packet->from->address, address_bytes) +
                     sum(packet->to->address, address_bytes) + ntohs(udp->len) + IPPROTO_UDP +
                     sum(udp, sizeof(*udp)) + sum(packet->frame, packet->frame_bytes);
    uint16_t checksum = fold(total);
    return checksum ? checksum : 0xffff;
}

static struct udphdr udp_head(const struct packet *packet)
{
    struct udphdr udp = {
        .source = htons(packet->from->port),
        .dest = htons(packet->to->port),
        .len = htons((uint16_t)(sizeof(udp) + packet->frame_bytes)),
    };
    udp.check = udp_checksum(packet, &udp);
    return udp;
}

static uint32_t head_v4(uint8_t *head, const struct packet *packet)
{
    struct udphdr udp = udp_head(packet);
    struct iphdr ip = {
        .version = 4,
        .ihl = sizeof(ip) / 4,
        .tot_len = htons((uint16_t)(sizeof(ip) + sizeof(udp) + packet->frame_bytes)),
        .frag_off = htons(IP_DF),
        .ttl = packet->ttl,
        .protocol = IPPROTO_UDP,
    };
    memcpy(&ip.saddr, packet->from->address, sizeof(ip.saddr));
    memcpy(&ip.daddr, packet->to->address, sizeof(ip.daddr));
    ip.check = fold(sum(&ip, sizeof(ip)));
    memcpy(head, &ip, sizeof(ip));
    memcpy(head + sizeof(ip), &udp, sizeof(udp));
    return sizeof(ip) + sizeof(udp);
}

static uint32_t head_v6(uint8_t *head, const struct packet *packet)
{
    struct udphdr udp = udp_head(packet);
    struct ip6_hdr ip = { 0 };
    ip.ip6_flow = htonl(6u << 28);
    ip.ip6_plen = htons((uint16_t)(sizeof(udp) + packet->frame_bytes));
    ip.ip6_nxt = IPPROTO_UDP;
    ip.ip6_hlim = packet->ttl;
    memcpy(&ip.ip6_src, packet->from->address, sizeof(ip.ip6_src));
    memcpy(&ip.ip6_dst, packet->to->address, sizeof(ip.ip6_dst));
    memcpy(head, &ip, sizeof(ip));
    memcpy(head + sizeof(ip), &udp, sizeof(udp));
    return sizeof(ip) + sizeof(udp);
}

uint32_t packet_head(uint8_t head[PACKET_HEAD_BYTES_MAX], const struct packet *packet)
{
    INVARIANT(packet->from->v6 == packet->to->v6);
    return packet->from->v6 ? head_v6(head, packet) : head_v4(head, packet);
}
