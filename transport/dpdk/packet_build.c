/* SPDX-License-Identifier: BSD-3-Clause */
#include "packet.h"
#include "checksum.h"
#include "control.h"

#include <errno.h>

enum { VLAN_ID_MAX = 4094, DSCP_MAX = 63, PRIORITY_MAX = 7 };

struct mac packet_group_mac(const struct ip_address *group, bool v6)
{
    const uint8_t *ip = group->byte;

    if (v6)
        return (struct mac){ { 0x33, 0x33, ip[12], ip[13], ip[14], ip[15] } };
    return (struct mac){ { 0x01, 0x00, 0x5e, ip[1] & 0x7f, ip[2], ip[3] } };
}

/* An address of one machine. Of IPv4, neither 0.0.0.0/8 nor what lies above the groups. */
static bool is_host(const struct ip_address *ip, bool v6)
{
    if (v6)
        return !ip_is_zero(ip) && !ip_is_group(ip, true);
    return ip->byte[0] != 0 && ip->byte[0] < 0xe0;
}

/* fe80::/64 and the MAC (RFC 4291, appendix A), or the address itself if it is of that kind. */
static struct ip_address link_local_of(const struct packet_local *local)
{
    const uint8_t *mac = local->mac.byte;

    if (ip_is_link_local_v6(&local->ip))
        return local->ip;
    return (struct ip_address){ { 0xfe, 0x80, 0, 0, 0, 0, 0, 0, mac[0] ^ 2, mac[1], mac[2], 0xff,
                                  0xfe, mac[3], mac[4], mac[5] } };
}

int packet_local_init(struct packet_local *local)
{
    bool v6 = local->v6;

    local->has_group = !ip_is_zero(&local->group);
    if (!mac_is_station(&local->mac) || !is_host(&local->ip, v6) || local->port == 0)
        return -EINVAL;
    if (local->has_group && (!ip_is_group(&local->group, v6) || local->group_port == 0))
        return -EINVAL;
    if (local->vlan_id > VLAN_ID_MAX || local->peers == NULL)
        return -EINVAL;
    if (v6 && (local->checksum == PACKET_CHECKSUM_NONE || local->zero_checksum))
        return -EINVAL;
    local->group_mac = packet_group_mac(&local->group, v6);
    if (v6)
        local->link_local = link_local_of(local);
    return 0;
}

/* Neighbours look for an IPv6 address at a group made of its last three bytes. */
static struct mac solicited_mac(const struct ip_address *ip)
{
    return (struct mac){ { 0x33, 0x33, 0xff, ip->byte[13], ip->byte[14], ip->byte[15] } };
}

int packet_local_macs(const struct packet_local *local, struct mac *list)
{
    static const struct mac all_hosts_v4 = { { 0x01, 0x00, 0x5e, 0, 0, 1 } };
    static const struct mac all_hosts_v6 = { { 0x33, 0x33, 0, 0, 0, 1 } };
    int count = 0;

    list[count++] = local->v6 ? all_hosts_v6 : all_hosts_v4;
    if (local->has_group)
        list[count++] = local->group_mac;
    if (!local->v6)
        return count;
    list[count++] = solicited_mac(&local->ip);
    if (!ip_equal(&local->ip, &local->link_local))
        list[count++] = solicited_mac(&local->link_local);
    return count;
}

static bool route_is_sound(const struct packet_local *local, const struct packet_route *to)
{
    bool group = ip_is_group(&to->ip, local->v6);

    return (group || (is_host(&to->ip, local->v6) && mac_is_station(&to->mac))) && to->port != 0 &&
           to->hops != 0 && to->dscp <= DSCP_MAX && to->priority <= PRIORITY_MAX &&
           (to->priority == 0 || local->vlan_id != 0);
}

/* All heads, from the first byte of `at`. Gives where they end. */
static uint8_t *heads_write(uint8_t *at, const struct packet_local *local,
                            const struct packet_route *to, const struct mac *mac)
{
    struct ip_fields fields = {
        .from = local->ip.byte,
        .to = to->ip.byte,
        .protocol = IP_UDP,
        .hops = to->hops,
        .dscp = to->dscp,
    };
    uint8_t *ip = ethernet_write(at, local, mac, local->v6 ? ETH_IPV6 : ETH_IPV4, to->priority);
    uint8_t *udp = local->v6 ? ipv6_write(ip, &fields) : ipv4_write(ip, &fields);

    *(struct udp_head *)(void *)udp =
        (struct udp_head){ .from = be16_of(local->port), .to = be16_of(to->port) };
    return udp + sizeof(struct udp_head);
}

static void sums_prepare(struct packet_template *t, const struct packet_local *local,
                         const struct packet_route *to)
{
    const uint8_t *end = t->head + PACKET_HEAD_ROOM;

    t->pseudo_sum = checksum_word(IP_UDP);
    t->pseudo_sum = checksum_add(t->pseudo_sum, local->ip.byte, IPV6_BYTES);
    t->pseudo_sum = checksum_add(t->pseudo_sum, to->ip.byte, IPV6_BYTES);
    t->ports_sum = checksum_word(local->port) + checksum_word(to->port);
    if (!local->v6)
        t->ip_sum = checksum_add(0, end - sizeof(struct udp_head) - sizeof(struct ipv4_head),
                                 sizeof(struct ipv4_head));
}

int packet_template_init(struct packet_template *t, const struct packet_local *local,
                         const struct packet_route *to)
{
    uint8_t heads[PACKET_HEAD_BYTES_MAX];
    struct mac mac = to->mac;

    if (!route_is_sound(local, to))
        return -EINVAL;
    if (ip_is_group(&to->ip, local->v6))
        mac = packet_group_mac(&to->ip, local->v6);
    memset(t, 0, sizeof(*t));
    t->head_bytes = (uint8_t)(heads_write(heads, local, to, &mac) - heads);
    t->l3_bytes = local->v6 ? sizeof(struct ipv6_head) : sizeof(struct ipv4_head);
    t->l2_bytes = (uint8_t)(t->head_bytes - t->l3_bytes - sizeof(struct udp_head));
    t->payload_bytes_max = local->v6 ? PACKET_V6_PAYLOAD_MAX : PACKET_V4_PAYLOAD_MAX;
    t->v6 = local->v6;
    t->checksum = local->checksum;
    memcpy(t->head + PACKET_HEAD_ROOM - t->head_bytes, heads, t->head_bytes);
    sums_prepare(t, local, to);
    return 0;
}

void packet_template_mac(struct packet_template *t, const struct mac *mac)
{
    memcpy(t->head + PACKET_HEAD_ROOM - t->head_bytes, mac, sizeof(*mac));
}

static void ip_stamp(const struct packet_template *t, uint8_t *udp, uint32_t udp_bytes)
{
    if (t->v6) {
        struct ipv6_head *ip = (void *)(udp - sizeof(*ip));
        ip->payload_bytes = be16_of(udp_bytes);
    } else {
        struct ipv4_head *ip = (void *)(udp - sizeof(*ip));
        uint16_t total_bytes = (uint16_t)(sizeof(*ip) + udp_bytes);
        uint16_t sum = checksum_finish(t->ip_sum + checksum_word(total_bytes));
        ip->total_bytes = be16_of(total_bytes);
        memcpy(ip->checksum, &sum, sizeof(sum));
    }
}

void packet_stamp(const struct packet_template *t, uint8_t *payload, uint32_t payload_bytes)
{
    struct udp_head *udp = (void *)(payload - sizeof(*udp));
    uint16_t udp_bytes = (uint16_t)(sizeof(*udp) + payload_bytes);

    INVARIANT(payload_bytes <= t->payload_bytes_max);
    /* More than the head, but of a size the compiler knows: a few stores, and no loop. */
    memcpy(payload - PACKET_HEAD_ROOM, t->head, PACKET_HEAD_ROOM);
    udp->bytes = be16_of(udp_bytes);
    ip_stamp(t, (uint8_t *)udp, udp_bytes);
    if (t->checksum == PACKET_CHECKSUM_PSEUDO) {
        uint16_t sum = checksum_fold(t->pseudo_sum + checksum_word(udp_bytes));
        memcpy(udp->checksum, &sum, sizeof(sum));
    }
}

void packet_sum(const struct packet_template *t, uint8_t *payload, const struct iovec *piece,
                int count)
{
    struct udp_head *udp = (void *)(payload - sizeof(*udp));
    /* The length counts twice: in the pseudo header and in UDP's. Nothing else is read again. */
    uint64_t sum = t->pseudo_sum + t->ports_sum + 2 * checksum_word(be16_get(udp->bytes));
    uint16_t result = checksum_finish(checksum_add_pieces(sum, piece, count));

    if (result == 0)
        result = UINT16_MAX; /* 0 would say that there is none */
    memcpy(udp->checksum, &result, sizeof(result));
}
