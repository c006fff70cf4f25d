/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Frames as packets: what templates write, and what the parser makes of all that may come in.
 */
#include "packets.h"

#include <criterion/criterion.h>

#include <errno.h>

static const uint8_t v4_unicast[] = { 0x02, 0x00, 0x5e, 0x10, 0x00, 0x02, 0x02, 0x00, 0x5e,
                                      0x10, 0x00, 0x01, 0x08, 0x00, 0x45, 0xb8, 0x00, 0x27,
                                      0x00, 0x00, 0x40, 0x00, 0x40, 0x11, 0xb6, 0x0a, 0xc0,
                                      0x00, 0x02, 0x01, 0xc0, 0x00, 0x02, 0x02, 0x15, 0x1d,
                                      0x15, 0x1d, 0x00, 0x13, 0xb7, 0xb3, 0x0b, 0x30, 0x55,
                                      0x7a, 0x9f, 0xc4, 0xe9, 0x0e, 0x33, 0x58, 0x7d };
static const uint8_t v6_vlan_group[] = {
    0x33, 0x33, 0x81, 0xab, 0x00, 0x63, 0x02, 0x00, 0x5e, 0x10, 0x00, 0x01, 0x81, 0x00, 0xa1, 0x23,
    0x86, 0xdd, 0x6b, 0x80, 0x00, 0x00, 0x00, 0x13, 0x11, 0x40, 0xfd, 0x00, 0x00, 0x5e, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xab, 0xcd, 0x01, 0xff, 0x05, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x81, 0xab, 0x00, 0x63, 0x15, 0x1d, 0x15, 0x1e, 0x00, 0x13,
    0xef, 0x96, 0x0b, 0x30, 0x55, 0x7a, 0x9f, 0xc4, 0xe9, 0x0e, 0x33, 0x58, 0x7d
};

static void is_known(enum variant variant, int to, const uint8_t *known, uint32_t bytes)
{
    struct packet packet;
    struct pair p;

    pair_init(&p, variant);
    packet_make(&packet, &p, to, 11);
    cr_assert_eq(packet.bytes, bytes);
    cr_assert_arr_eq(packet.at, known, bytes);
}

Test(packet, every_byte_over_ipv4_is_the_one_put_together_by_hand)
{
    is_known(V4, B, v4_unicast, sizeof v4_unicast);
}

Test(packet, every_byte_over_a_vlan_and_ipv6_to_the_group_is_the_one_put_together_by_hand)
{
    is_known(V6_VLAN, -1, v6_vlan_group, sizeof v6_vlan_group);
}

static void arrives(const struct pair *p, int to, uint32_t payload_bytes)
{
    static struct packet packet;
    struct packet_view view;

    packet_make(&packet, p, to, payload_bytes);
    cr_assert_eq(judge(p, &packet, &view), PACKET_OURS);
    cr_assert(sums_are_good(p->variant >= V6, packet.at + ip_place(p), packet.bytes - ip_place(p)));
    cr_assert_eq(view.payload, packet.at + udp_place(p) + 8);
    cr_assert_eq(view.payload_bytes, payload_bytes);
    cr_assert_eq(view.source, A);
    cr_assert_eq(view.to_group, to < 0);
    cr_assert(mac_equal(view.from, &p->end[A].mac));
    for (uint32_t i = 0; i < payload_bytes; i++)
        cr_assert_eq(view.payload[i], payload_byte(i));
}

Test(packet, P2_what_a_template_makes_its_destination_takes)
{
    static const uint32_t sizes[] = { 0, 1, 2, 17, 56, 57, 1400, 1472, 8192, 8953, 65507 };
    struct pair p;

    for (enum variant v = V4; v < VARIANTS; v++) {
        pair_init(&p, v);
        for (size_t i = 0; i < ARRAY_COUNT(sizes); i++) {
            arrives(&p, B, sizes[i]);
            arrives(&p, -1, sizes[i]);
        }
    }
    arrives(&p, B, PACKET_V6_PAYLOAD_MAX);
}

Test(packet, a_stamp_touches_its_room_and_nothing_else)
{
    uint8_t room[8 + PACKET_HEAD_ROOM + 8];
    struct packet_template t;
    struct packet_route to;
    struct pair p;

    pair_init(&p, V4);
    to = route_to(&p, B);
    cr_assert_eq(packet_template_init(&t, &p.end[A], &to), 0);
    memset(room, 0xa5, sizeof room);
    packet_stamp(&t, room + 8 + PACKET_HEAD_ROOM, 1000);
    packet_sum(&t, room + 8 + PACKET_HEAD_ROOM, NULL, 0);
    for (size_t i = 0; i < 8; i++) {
        cr_assert_eq(room[i], 0xa5);
        cr_assert_eq(room[8 + PACKET_HEAD_ROOM + i], 0xa5);
    }
}

Test(packet, a_sum_over_slices_of_odd_length_is_that_of_the_whole)
{
    struct packet whole, sliced;
    struct packet_template t;
    struct packet_route to;
    struct pair p;

    for (enum variant v = V4; v < VARIANTS; v++) {
        pair_init(&p, v);
        to = route_to(&p, B);
        packet_make(&whole, &p, B, 100);
        packet_make(&sliced, &p, B, 100);
        cr_assert_eq(packet_template_init(&t, &p.end[A], &to), 0);
        uint8_t *payload = sliced.at + t.head_bytes;
        packet_stamp(&t, payload, 100);
        struct iovec piece[] = {
            { payload, 3 }, { payload + 3, 0 }, { payload + 3, 54 }, { payload + 57, 43 }
        };
        packet_sum(&t, payload, piece, ARRAY_COUNT(piece));
        cr_assert_arr_eq(sliced.at, whole.at, whole.bytes);
    }
}

/* A payload of one word, so chosen that the sum of all comes to 0xffff. */
Test(packet, a_sum_of_zero_is_sent_as_ones)
{
    struct packet packet;
    struct pair p;

    for (enum variant v = V4; v < VARIANTS; v++) {
        pair_init(&p, v);
        packet_make(&packet, &p, B, 2);
        uint8_t *udp = packet.at + udp_place(&p), *payload = udp + 8;
        uint32_t word = (uint32_t)(payload[0] << 8 | payload[1]) + (uint32_t)(udp[6] << 8 | udp[7]);
        word = (word & 0xffff) + (word >> 16);
        struct packet_template t;
        struct packet_route to = route_to(&p, B);
        cr_assert_eq(packet_template_init(&t, &p.end[A], &to), 0);
        packet_stamp(&t, payload, 2);
        payload[0] = (uint8_t)(word >> 8);
        payload[1] = (uint8_t)word;
        packet_sum(&t, payload, &(struct iovec){ payload, 2 }, 1);
        cr_assert_eq(udp[6] << 8 | udp[7], 0xffff);
        cr_assert_eq(judge(&p, &packet, NULL), PACKET_OURS);
    }
}

/* The card adds the datagram, its own field included, and complements: what it does, done here. */
Test(packet, a_card_that_sums_starts_from_the_pseudo_header)
{
    struct packet packet;
    struct pair p;

    for (enum variant v = V4; v < VARIANTS; v++) {
        pair_init(&p, v);
        p.end[A].checksum = PACKET_CHECKSUM_PSEUDO;
        packet_make(&packet, &p, B, 101);
        cr_assert_eq(judge(&p, &packet, NULL), PACKET_UDP_CHECKSUM);
        cr_assert_eq(judge_by(&p.end[B], packet.at, packet.bytes, PACKET_UDP_CHECKED, NULL),
                     PACKET_OURS);
        uint8_t *udp = packet.at + udp_place(&p);
        uint16_t sum = plain_checksum(NULL, false, 0, udp, packet.bytes - udp_place(&p));
        udp[6] = (uint8_t)(sum >> 8);
        udp[7] = (uint8_t)sum;
        cr_assert_eq(judge(&p, &packet, NULL), PACKET_OURS);
    }
}

Test(packet, no_checksum_is_taken_only_where_it_is_agreed_and_never_with_ipv6)
{
    struct packet packet;
    struct pair p;

    pair_init(&p, V4);
    p.end[A].checksum = PACKET_CHECKSUM_NONE;
    packet_make(&packet, &p, B, 100);
    cr_assert_eq(judge(&p, &packet, NULL), PACKET_UDP_UNSUMMED);
    cr_assert_eq(judge_by(&p.end[B], packet.at, packet.bytes, PACKET_UDP_CHECKED, NULL),
                 PACKET_UDP_UNSUMMED);
    p.end[B].zero_checksum = true;
    cr_assert_eq(judge(&p, &packet, NULL), PACKET_OURS);

    pair_init(&p, V6);
    packet_make(&packet, &p, B, 100);
    memset(packet.at + udp_place(&p) + 6, 0, 2);
    cr_assert_eq(judge(&p, &packet, NULL), PACKET_UDP_UNSUMMED);
}

Test(packet, P1_cut_anywhere_it_is_found_short)
{
    struct packet packet;
    struct pair p;

    for (enum variant v = V4; v < VARIANTS; v++) {
        pair_init(&p, v);
        packet_make(&packet, &p, B, 40);
        for (uint32_t bytes = 0; bytes < packet.bytes; bytes++) {
            enum packet_verdict want = bytes < 14             ? PACKET_SHORT_ETHERNET
                                       : bytes < ip_place(&p) ? PACKET_SHORT_VLAN
                                                              : PACKET_SHORT_IP;
            cr_assert_eq(judge_by(&p.end[B], packet.at, bytes, 0, NULL), want, "%u bytes", bytes);
        }
    }
}

Test(packet, P1_a_datagram_too_short_for_udp_is_found_so)
{
    struct packet packet;
    struct pair p;

    for (enum variant v = V4; v < VARIANTS; v++) {
        pair_init(&p, v);
        packet_make(&packet, &p, B, 0);
        uint8_t *length = packet.at + ip_place(&p) + (v >= V6 ? 4 : 2);
        for (int bytes = 0; bytes < 8; bytes++) {
            length[1] = (uint8_t)(bytes + (v >= V6 ? 0 : 20));
            if (v < V6)
                cr_assert_eq(judge(&p, &packet, NULL), PACKET_IP_CHECKSUM);
            cr_assert_eq(judge_by(&p.end[B], packet.at, packet.bytes, PACKET_IP_CHECKED, NULL),
                         PACKET_SHORT_UDP, "%d bytes", bytes);
        }
    }
}

Test(packet, P4_bytes_behind_are_padding)
{
    struct packet packet;
    struct packet_view view;
    struct pair p;

    for (enum variant v = V4; v < VARIANTS; v++) {
        pair_init(&p, v);
        packet_make(&packet, &p, B, 3);
        memset(packet.at + packet.bytes, 0xee, 40);
        packet.bytes += 40;
        cr_assert_eq(judge(&p, &packet, &view), PACKET_OURS);
        cr_assert_eq(view.payload_bytes, 3);
    }
}

/* One byte of a packet from A to B made another, sums made good again or not. */
struct damage {
    const char *what;
    int variant; /* or -1: all */
    enum { ETH, IP, UDP } layer;
    int at;
    uint8_t value;
    bool mend;
    enum packet_verdict verdict;
};

static const struct damage damages[] = {
    { "another's MAC", -1, ETH, 5, 9, 0, PACKET_MAC_OTHER },
    { "a group's MAC, an address of ours", -1, ETH, 0, 3, 0, PACKET_MAC_OTHER },
    { "from a group", -1, ETH, 6, 3, 0, PACKET_MAC_BAD },
    { "another type", V4, ETH, 13, 1, 0, PACKET_TYPE_OTHER },
    { "the other family", V4, ETH, 12, 0x86, 0, PACKET_TYPE_OTHER },
    { "another type in a tag", V6_VLAN, ETH, 17, 0xde, 0, PACKET_TYPE_OTHER },
    { "another VLAN", V4_VLAN, ETH, 15, 0x24, 0, PACKET_VLAN_OTHER },
    { "another priority", V4_VLAN, ETH, 14, 0xf1, 0, PACKET_OURS },
    { "a tag of another kind", V4_VLAN, ETH, 12, 0x88, 0, PACKET_VLAN_OTHER },
    { "version 5", V4, IP, 0, 0x55, 1, PACKET_IP_VERSION },
    { "version 7", V6, IP, 0, 0x70, 0, PACKET_IP_VERSION },
    { "a header of 16 bytes", V4, IP, 0, 0x44, 0, PACKET_IP_LENGTH },
    { "options", V4, IP, 0, 0x46, 1, PACKET_IPV4_OPTIONS },
    { "a total less than the header", V4, IP, 3, 19, 0, PACKET_IP_LENGTH },
    { "a total beyond the packet", V4, IP, 2, 1, 0, PACKET_SHORT_IP },
    { "a payload beyond the packet", V6, IP, 4, 1, 0, PACKET_SHORT_IP },
    { "no payload: a jumbogram's", V6, IP, 5, 0, 0, PACKET_SHORT_UDP },
    { "more fragments", V4, IP, 6, 0x20, 1, PACKET_FRAGMENT },
    { "an offset", V4, IP, 7, 1, 1, PACKET_FRAGMENT },
    { "may be cut", V4, IP, 6, 0, 1, PACKET_OURS },
    { "an id", V4, IP, 4, 77, 1, PACKET_OURS },
    { "other hops, not summed", V4, IP, 8, 63, 0, PACKET_IP_CHECKSUM },
    { "other hops", V4, IP, 8, 63, 1, PACKET_OURS },
    { "other hops", V6, IP, 7, 63, 1, PACKET_OURS },
    { "TCP", V4, IP, 9, 6, 1, PACKET_PROTOCOL_OTHER },
    { "TCP", V6, IP, 6, 6, 0, PACKET_PROTOCOL_OTHER },
    { "hop-by-hop options", V6, IP, 6, 0, 0, PACKET_IPV6_EXTENSION },
    { "a routing header", V6, IP, 6, 43, 0, PACKET_IPV6_EXTENSION },
    { "destination options", V6_VLAN, IP, 6, 60, 0, PACKET_IPV6_EXTENSION },
    { "a fragment header", V6, IP, 6, 44, 0, PACKET_FRAGMENT },
    { "a flow label", V6, IP, 3, 9, 0, PACKET_OURS },
    { "from a stranger", V4, IP, 15, 9, 1, PACKET_SOURCE_UNKNOWN },
    { "from a stranger", V6, IP, 23, 9, 1, PACKET_SOURCE_UNKNOWN },
    { "from the router", V4, IP, 15, ROUTER + 1, 1, PACKET_SOURCE_UNKNOWN },
    { "from our address", V4, IP, 15, B + 1, 1, PACKET_ADDRESS_CONFLICT },
    { "from our address", V6, IP, 23, B + 1, 1, PACKET_ADDRESS_CONFLICT },
    { "to another", V4, IP, 19, 9, 1, PACKET_IP_OTHER },
    { "to another", V6, IP, 39, 9, 1, PACKET_IP_OTHER },
    { "to the group, by our MAC", V4, IP, 16, 224, 1, PACKET_IP_OTHER },
    { "from another port", -1, UDP, 1, 9, 1, PACKET_SOURCE_UNKNOWN },
    { "to another port", -1, UDP, 3, 9, 1, PACKET_PORT_OTHER },
    { "to the group's port", -1, UDP, 3, GROUP_PORT & 255, 1, PACKET_PORT_OTHER },
    { "a byte less", -1, UDP, 5, 8 + 99, 1, PACKET_UDP_LENGTH },
    { "a byte more", -1, UDP, 5, 8 + 101, 1, PACKET_UDP_LENGTH },
    { "less than a header", -1, UDP, 5, 7, 1, PACKET_UDP_LENGTH },
    { "another sum", -1, UDP, 6, 1, 0, PACKET_UDP_CHECKSUM },
    { "another payload", -1, UDP, 107, 1, 0, PACKET_UDP_CHECKSUM },
};

static void check_damage(const struct damage *d, enum variant variant)
{
    struct packet packet;
    struct pair p;

    pair_init(&p, variant);
    packet_make(&packet, &p, B, 100);
    packet.at[(d->layer == ETH  ? 0
               : d->layer == IP ? ip_place(&p)
                                : udp_place(&p)) +
              d->at] = d->value;
    if (d->mend)
        packet_mend(&p, &packet);
    cr_assert_eq(judge(&p, &packet, NULL), d->verdict, "%s, variant %d: %s", d->what, variant,
                 packet_verdict_name[judge(&p, &packet, NULL)]);
}

Test(packet, each_damaged_field_has_its_verdict)
{
    for (size_t i = 0; i < ARRAY_COUNT(damages); i++) {
        for (enum variant v = V4; v < VARIANTS; v++) {
            if (damages[i].variant < 0 || damages[i].variant == (int)v)
                check_damage(&damages[i], v);
        }
    }
}

/* Bits that a sender or a router may choose, by the byte of a head: see P3. */
static uint8_t free_bits(const struct pair *p, uint32_t at)
{
    if (at < ip_place(p) && at >= 6 && at < 12) /* a peer's MAC, but not a group's */
        return at == 6 ? 0xfe : 0xff;
    if (at < ip_place(p)) /* priority */
        return p->variant % 2 && at == 14 ? 0xf0 : 0;
    if (p->variant < V6) /* any other bit breaks the header's sum */
        return 0;
    switch (at - ip_place(p)) {
    case 0:
        return 0x0f;
    case 1:
    case 2:
    case 3:
    case 7:
        return 0xff;
    default:
        return 0;
    }
}

Test(packet, P3_no_bit_of_a_head_is_indifferent_but_those_named)
{
    struct packet packet;
    struct pair p;

    for (enum variant v = V4; v < VARIANTS; v++) {
        pair_init(&p, v);
        packet_make(&packet, &p, B, 20);
        for (uint32_t at = 0; at < packet.bytes; at++) {
            for (int bit = 0; bit < 8; bit++) {
                bool indifferent = free_bits(&p, at) >> bit & 1;
                packet.at[at] ^= (uint8_t)(1 << bit);
                cr_assert_eq(judge(&p, &packet, NULL) == PACKET_OURS, indifferent,
                             "variant %d, byte %u, bit %d", v, at, bit);
                packet.at[at] ^= (uint8_t)(1 << bit);
            }
        }
    }
}

Test(packet, what_the_card_has_checked_is_not_checked_again)
{
    struct packet packet;
    struct pair p;

    pair_init(&p, V4);
    packet_make(&packet, &p, B, 100);
    packet.at[ip_place(&p) + 8]--;
    cr_assert_eq(judge_by(&p.end[B], packet.at, packet.bytes, PACKET_UDP_CHECKED, NULL),
                 PACKET_IP_CHECKSUM);
    cr_assert_eq(judge_by(&p.end[B], packet.at, packet.bytes, PACKET_IP_CHECKED, NULL),
                 PACKET_OURS);
    packet.at[packet.bytes - 1]++;
    cr_assert_eq(judge_by(&p.end[B], packet.at, packet.bytes, PACKET_IP_CHECKED, NULL),
                 PACKET_UDP_CHECKSUM);
    cr_assert_eq(
        judge_by(&p.end[B], packet.at, packet.bytes, PACKET_IP_CHECKED | PACKET_UDP_CHECKED, NULL),
        PACKET_OURS);
}

/* The packet as it would be had the card cut its tag out. */
static enum packet_verdict judge_untagged(enum variant variant, uint16_t tci)
{
    struct packet packet;
    struct pair p;

    pair_init(&p, variant);
    packet_make(&packet, &p, B, 100);
    if (variant % 2) {
        memmove(packet.at + 4, packet.at, 12);
        packet.at += 4;
        packet.bytes -= 4;
    }
    return judge_by(&p.end[B], packet.at, packet.bytes, packet_untagged(tci), NULL);
}

Test(packet, a_tag_that_the_card_took_off_counts)
{
    cr_assert_eq(judge_untagged(V4_VLAN, VLAN_ID), PACKET_OURS);
    cr_assert_eq(judge_untagged(V6_VLAN, 7 << 13 | VLAN_ID), PACKET_OURS);
    cr_assert_eq(judge_untagged(V4_VLAN, VLAN_ID + 1), PACKET_VLAN_OTHER);
    cr_assert_eq(judge_untagged(V4, VLAN_ID), PACKET_VLAN_OTHER);
    cr_assert_eq(judge_untagged(V4, 7 << 13), PACKET_OURS);
}

Test(packet, a_tag_too_few_or_too_many_is_another_vlan_and_vlan_0_is_none)
{
    struct packet packet;
    struct pair p;

    pair_init(&p, V4_VLAN);
    packet_make(&packet, &p, B, 100);
    p.end[B].vlan_id = 0;
    cr_assert_eq(judge(&p, &packet, NULL), PACKET_VLAN_OTHER);
    packet.at[14] = 0xe0;
    packet.at[15] = 0;
    cr_assert_eq(judge(&p, &packet, NULL), PACKET_OURS);
    p.end[B].vlan_id = VLAN_ID;
    cr_assert_eq(judge(&p, &packet, NULL), PACKET_VLAN_OTHER);
    pair_init(&p, V4);
    packet_make(&packet, &p, B, 100);
    p.end[B].vlan_id = VLAN_ID;
    cr_assert_eq(judge(&p, &packet, NULL), PACKET_VLAN_OTHER);
}

Test(packet, a_tag_below_the_one_that_the_card_took_off_is_one_too_many)
{
    struct packet packet;
    struct pair p;

    pair_init(&p, V4_VLAN);
    packet_make(&packet, &p, B, 100);
    cr_assert_eq(judge_by(&p.end[B], packet.at, packet.bytes, packet_untagged(VLAN_ID), NULL),
                 PACKET_VLAN_OTHER);
}

/* A router's entry has port 0: not even that lets it speak. */
Test(packet, a_router_is_no_source)
{
    struct packet packet;
    struct pair p;

    pair_init(&p, V4);
    packet_make(&packet, &p, B, 100);
    packet.at[ip_place(&p) + 15] = ROUTER + 1;
    memset(packet.at + udp_place(&p), 0, 2);
    packet_mend(&p, &packet);
    cr_assert_eq(judge(&p, &packet, NULL), PACKET_SOURCE_UNKNOWN);
}

Test(packet, our_own_come_back_is_told_from_another_with_our_address)
{
    struct packet packet;
    struct pair p;

    for (enum variant v = V4; v < VARIANTS; v++) {
        pair_init(&p, v);
        packet_make(&packet, &p, -1, 100);
        cr_assert_eq(judge_by(&p.end[A], packet.at, packet.bytes, 0, NULL), PACKET_OWN);
        packet.at[11] ^= 0x40;
        cr_assert_eq(judge_by(&p.end[A], packet.at, packet.bytes, 0, NULL),
                     PACKET_ADDRESS_CONFLICT);
    }
}

Test(packet, without_a_group_nothing_to_it_is_ours)
{
    struct packet packet;
    struct pair p;

    pair_init(&p, V4);
    packet_make(&packet, &p, -1, 100);
    p.end[B].group = (struct ip_address){ { 0 } };
    cr_assert_eq(packet_local_init(&p.end[B]), 0);
    cr_assert_eq(judge(&p, &packet, NULL), PACKET_IP_OTHER);
}

/* 239.192.1.99 and 239.64.1.99 have the same MAC: 32 groups share each. */
Test(packet, another_group_of_the_same_mac_is_not_ours)
{
    struct packet packet;
    struct pair p;

    pair_init(&p, V4);
    packet_make(&packet, &p, -1, 100);
    packet.at[ip_place(&p) + 17] = 64;
    packet_mend(&p, &packet);
    cr_assert_eq(judge(&p, &packet, NULL), PACKET_IP_OTHER);
}

Test(packet, groups_have_their_mapped_mac)
{
    struct ip_address v4 = { { 239, 0xff, 1, 2 } };
    struct ip_address v6 = { { 0xff, 0x05, [12] = 0xfe, [13] = 1, [14] = 2, [15] = 3 } };
    struct mac mac = packet_group_mac(&v4, false);

    cr_assert_arr_eq(mac.byte, ((uint8_t[]){ 0x01, 0, 0x5e, 0x7f, 1, 2 }), 6);
    mac = packet_group_mac(&v6, true);
    cr_assert_arr_eq(mac.byte, ((uint8_t[]){ 0x33, 0x33, 0xfe, 1, 2, 3 }), 6);
}

static bool has_mac(const struct mac *list, int count, struct mac mac)
{
    for (int i = 0; i < count; i++) {
        if (mac_equal(&list[i], &mac))
            return true;
    }
    return false;
}

Test(packet, a_port_hears_its_group_and_what_keeps_it_on_the_link)
{
    struct mac list[PACKET_MACS_MAX];
    struct pair p;

    pair_init(&p, V4);
    cr_assert_eq(packet_local_macs(&p.end[B], list), 2);
    cr_assert(has_mac(list, 2, (struct mac){ { 0x01, 0, 0x5e, 0, 0, 1 } }));
    cr_assert(has_mac(list, 2, (struct mac){ { 0x01, 0, 0x5e, 0x40, 1, 99 } }));
    pair_init(&p, V6);
    cr_assert_eq(packet_local_macs(&p.end[B], list), 4);
    cr_assert(has_mac(list, 4, (struct mac){ { 0x33, 0x33, 0, 0, 0, 1 } }));
    cr_assert(has_mac(list, 4, (struct mac){ { 0x33, 0x33, 0x81, 0xab, 0, 0x63 } }));
    cr_assert(has_mac(list, 4, (struct mac){ { 0x33, 0x33, 0xff, 0xab, 0xcd, 2 } }));
    cr_assert(has_mac(list, 4, (struct mac){ { 0x33, 0x33, 0xff, 0x10, 0, 2 } }));
}

Test(packet, a_template_follows_a_machine_that_moved)
{
    struct mac other = mac_of(9);
    struct packet_template t;
    struct packet_route to;
    uint8_t room[PACKET_HEAD_ROOM];
    struct pair p;

    for (enum variant v = V4; v < VARIANTS; v++) {
        pair_init(&p, v);
        to = route_to(&p, B);
        cr_assert_eq(packet_template_init(&t, &p.end[A], &to), 0);
        packet_template_mac(&t, &other);
        packet_stamp(&t, room + PACKET_HEAD_ROOM, 0);
        cr_assert_arr_eq(room + PACKET_HEAD_ROOM - t.head_bytes, other.byte, 6);
        cr_assert_eq(t.l2_bytes, ip_place(&p));
        cr_assert_eq(t.l2_bytes + t.l3_bytes, udp_place(&p));
    }
}

#define LOCAL_REFUSED(variant, change)                                   \
    do {                                                                 \
        struct packet_local local;                                       \
        pair_init(&p, variant);                                          \
        local = p.end[A];                                                \
        change;                                                          \
        cr_assert_eq(packet_local_init(&local), -EINVAL, "%s", #change); \
    } while (0)

Test(packet, a_port_that_cannot_be_is_refused)
{
    struct pair p;

    LOCAL_REFUSED(V4, local.mac.byte[0] |= 1);
    LOCAL_REFUSED(V4, memset(&local.mac, 0, sizeof local.mac));
    LOCAL_REFUSED(V4, local.ip.byte[0] = 0);
    LOCAL_REFUSED(V4, local.ip.byte[0] = 239);
    LOCAL_REFUSED(V6, local.ip.byte[0] = 0xff);
    LOCAL_REFUSED(V6, memset(&local.ip, 0, sizeof local.ip));
    LOCAL_REFUSED(V4, local.port = 0);
    LOCAL_REFUSED(V4, local.group_port = 0);
    LOCAL_REFUSED(V4, local.group.byte[0] = 10);
    LOCAL_REFUSED(V6, local.group.byte[0] = 0xfe);
    LOCAL_REFUSED(V4, local.vlan_id = 4095);
    LOCAL_REFUSED(V4, local.peers = NULL);
    LOCAL_REFUSED(V6, local.checksum = PACKET_CHECKSUM_NONE);
    LOCAL_REFUSED(V6, local.zero_checksum = true);
}

#define ROUTE_REFUSED(variant, change)                                                  \
    do {                                                                                \
        struct packet_template t;                                                       \
        struct packet_route to;                                                         \
        pair_init(&p, variant);                                                         \
        to = route_to(&p, B);                                                           \
        change;                                                                         \
        cr_assert_eq(packet_template_init(&t, &p.end[A], &to), -EINVAL, "%s", #change); \
    } while (0)

Test(packet, a_route_that_cannot_be_is_refused)
{
    struct pair p;

    ROUTE_REFUSED(V4, memset(&to.mac, 0, sizeof to.mac));
    ROUTE_REFUSED(V4, to.ip.byte[0] = 0);
    ROUTE_REFUSED(V4, to.ip.byte[0] = 255);
    ROUTE_REFUSED(V6, memset(&to.ip, 0, sizeof to.ip));
    ROUTE_REFUSED(V6, to.port = 0);
    ROUTE_REFUSED(V6, to.hops = 0);
    ROUTE_REFUSED(V6, to.dscp = 64);
    ROUTE_REFUSED(V4_VLAN, to.priority = 8);
    ROUTE_REFUSED(V4, to.priority = 1);
}

Test(packet, every_verdict_has_a_name_of_its_own)
{
    for (int a = 0; a < PACKET_VERDICT_COUNT; a++) {
        cr_assert_not_null(packet_verdict_name[a]);
        for (int b = 0; b < a; b++)
            cr_assert_neq(strcmp(packet_verdict_name[a], packet_verdict_name[b]), 0);
    }
}
