/* SPDX-License-Identifier: BSD-3-Clause */
#include "packets.h"

struct mac mac_of(int machine)
{
    return (struct mac){ { 0x02, 0, 0x5e, 0x10, 0, (uint8_t)(machine + 1) } };
}

struct ip_address ip_of(enum variant variant, int machine)
{
    uint8_t last = (uint8_t)(machine + 1);

    if (variant >= V6)
        return (struct ip_address){ { 0xfd, 0, 0, 0x5e, [13] = 0xab, [14] = 0xcd, [15] = last } };
    return (struct ip_address){ { 192, 0, 2, last } };
}

struct ip_address group_of(enum variant variant)
{
    if (variant >= V6)
        return (struct ip_address){ { 0xff, 0x05, [12] = 0x81, [13] = 0xab, [15] = 0x63 } };
    return (struct ip_address){ { 239, 192, 1, 99 } };
}

static void end_init(struct pair *p, int machine)
{
    struct packet_local *end = &p->end[machine];

    *end = (struct packet_local){
        .ip = ip_of(p->variant, machine),
        .group = group_of(p->variant),
        .mac = mac_of(machine),
        .port = PORT,
        .group_port = GROUP_PORT,
        .vlan_id = p->variant % 2 ? VLAN_ID : 0,
        .v6 = p->variant >= V6,
        .peers = &p->peers,
    };
    INVARIANT(packet_local_init(end) == 0);
}

void pair_init(struct pair *p, enum variant variant)
{
    struct ip_address router = ip_of(variant, ROUTER);

    p->variant = variant;
    peer_map_init(&p->peers);
    for (int machine = A; machine <= B; machine++) {
        struct ip_address ip = ip_of(variant, machine);
        INVARIANT(peer_map_add(&p->peers, &ip, PORT) == machine);
        end_init(p, machine);
    }
    INVARIANT(peer_map_add(&p->peers, &router, 0) == ROUTER);
}

struct packet_route route_to(const struct pair *p, int machine)
{
    struct packet_route to = { .port = PORT, .hops = 64, .dscp = 46, .mac = mac_of(machine) };

    to.ip = machine < 0 ? group_of(p->variant) : ip_of(p->variant, machine);
    to.port = machine < 0 ? GROUP_PORT : PORT;
    to.priority = p->end[A].vlan_id != 0 ? 5 : 0;
    return to;
}

uint8_t payload_byte(uint32_t i)
{
    return (uint8_t)(i * 37 + (i >> 8) + 11);
}

void packet_make(struct packet *packet, const struct pair *p, int to, uint32_t payload_bytes)
{
    struct packet_route route = route_to(p, to);
    uint8_t *payload = packet->room + PACKET_HEAD_ROOM;
    struct packet_template t;

    INVARIANT(packet_template_init(&t, &p->end[A], &route) == 0);
    for (uint32_t i = 0; i < payload_bytes; i++)
        payload[i] = payload_byte(i);
    packet_stamp(&t, payload, payload_bytes);
    if (t.checksum == PACKET_CHECKSUM_FULL)
        packet_sum(&t, payload, &(struct iovec){ payload, payload_bytes }, 1);
    packet->at = payload - t.head_bytes;
    packet->bytes = t.head_bytes + payload_bytes;
}

void packet_take(struct packet *packet, const uint8_t *bytes, uint32_t count)
{
    INVARIANT(count <= sizeof packet->room);
    memmove(packet->room, bytes, count);
    packet->at = packet->room;
    packet->bytes = count;
}

enum packet_verdict judge_by(const struct packet_local *local, const uint8_t *bytes, uint32_t count,
                             uint32_t flags, struct packet_view *view)
{
    uint8_t *exact = malloc(count > 0 ? count : 1);
    struct packet_view ignored;
    enum packet_verdict verdict;

    view = view != NULL ? view : &ignored;
    memcpy(exact, bytes, count);
    verdict = packet_parse(local, exact, count, flags, view);
    if (verdict == PACKET_OURS) { /* what points into the copy, into the original */
        view->payload = bytes + (view->payload - exact);
        view->from = (const void *)(bytes + ((const uint8_t *)view->from - exact));
    }
    free(exact);
    return verdict;
}

enum packet_verdict judge(const struct pair *p, const struct packet *packet,
                          struct packet_view *view)
{
    return judge_by(&p->end[B], packet->at, packet->bytes, 0, view);
}

uint32_t ip_place(const struct pair *p)
{
    return p->variant % 2 ? 18 : 14;
}

uint32_t udp_place(const struct pair *p)
{
    return ip_place(p) + (p->variant >= V6 ? 40 : 20);
}

static uint32_t plain_sum(uint32_t sum, const uint8_t *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        sum += i % 2 == 0 ? (uint32_t)bytes[i] << 8 : bytes[i];
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return sum;
}

uint16_t plain_checksum(const uint8_t *ip, bool v6, uint8_t protocol, const uint8_t *bytes,
                        size_t count)
{
    uint32_t sum = 0;

    if (protocol != 0) {
        sum = plain_sum(0, ip + (v6 ? 8 : 12), v6 ? 32 : 8) + protocol + (uint32_t)count;
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return (uint16_t)~plain_sum(sum, bytes, count);
}

/* Where the header behind IP begins and which it is. Of hop-by-hop headers, those of 8 bytes. */
static const uint8_t *upper_of(bool v6, const uint8_t *ip, uint8_t *protocol)
{
    *protocol = v6 ? ip[6] : ip[9];
    if (!v6)
        return ip + (ip[0] & 15) * 4;
    if (*protocol != 0)
        return ip + 40;
    *protocol = ip[40];
    return ip + 48;
}

static uint16_t upper_checksum(bool v6, const uint8_t *ip, const uint8_t *upper, uint8_t protocol)
{
    uint32_t bytes = v6 ? 40U + (ip[4] << 8 | ip[5]) : (uint32_t)(ip[2] << 8 | ip[3]);

    return plain_checksum(ip, v6, protocol == IP_IGMP ? 0 : protocol, upper,
                          (size_t)(ip + bytes - upper));
}

static void put_sum(uint8_t *at, uint16_t sum)
{
    at[0] = (uint8_t)(sum >> 8);
    at[1] = (uint8_t)sum;
}

void packet_mend(const struct pair *p, struct packet *packet)
{
    bool v6 = p->variant >= V6;
    uint8_t *ip = packet->at + ip_place(p);
    uint8_t protocol;
    uint8_t *upper = (uint8_t *)upper_of(v6, ip, &protocol);
    uint8_t *field = upper + (protocol == IP_UDP ? 6 : 2);

    if (!v6) {
        put_sum(ip + 10, 0);
        put_sum(ip + 10, plain_checksum(ip, false, 0, ip, (size_t)(ip[0] & 15) * 4));
    }
    put_sum(field, 0);
    uint16_t sum = upper_checksum(v6, ip, upper, protocol);
    put_sum(field, protocol == IP_UDP && sum == 0 ? 0xffff : sum);
}

bool sums_are_good(bool v6, const uint8_t *ip, uint32_t bytes)
{
    uint8_t protocol;
    const uint8_t *upper = upper_of(v6, ip, &protocol);

    if (upper > ip + bytes || (!v6 && plain_checksum(ip, v6, 0, ip, (size_t)(ip[0] & 15) * 4) != 0))
        return false;
    return upper_checksum(v6, ip, upper, protocol) == 0;
}
