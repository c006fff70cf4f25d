/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ARP and neighbour discovery: both ends of each exchange, and packets that lie.
 */
#include "dpdk/neighbour.h"
#include "packets.h"

#include <criterion/criterion.h>

static const uint8_t known_arp_answer[] = {
    0x02, 0x00, 0x5e, 0x10, 0x00, 0x01, 0x02, 0x00, 0x5e, 0x10, 0x00, 0x02, 0x08, 0x06, 0x00,
    0x01, 0x08, 0x00, 0x06, 0x04, 0x00, 0x02, 0x02, 0x00, 0x5e, 0x10, 0x00, 0x02, 0xc0, 0x00,
    0x02, 0x02, 0x02, 0x00, 0x5e, 0x10, 0x00, 0x01, 0xc0, 0x00, 0x02, 0x01, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00
};
static const uint8_t known_nd_answer[] = {
    0x02, 0x00, 0x5e, 0x10, 0x00, 0x01, 0x02, 0x00, 0x5e, 0x10, 0x00, 0x02, 0x86, 0xdd, 0x60,
    0x00, 0x00, 0x00, 0x00, 0x20, 0x3a, 0xff, 0xfd, 0x00, 0x00, 0x5e, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0xab, 0xcd, 0x02, 0xfd, 0x00, 0x00, 0x5e, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xab, 0xcd, 0x01, 0x88, 0x00, 0x54, 0x6c, 0x60, 0x00,
    0x00, 0x00, 0xfd, 0x00, 0x00, 0x5e, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0xab, 0xcd, 0x02, 0x02, 0x01, 0x02, 0x00, 0x5e, 0x10, 0x00, 0x02
};

static const struct ip_address nowhere;

/* What B makes of a packet of A. */
static enum packet_verdict heard(const struct pair *p, const uint8_t *packet, uint32_t bytes,
                                 struct packet_view *view)
{
    cr_assert_leq(bytes, PACKET_CONTROL_ROOM);
    cr_assert_geq(bytes, ETH_BYTES_MIN);
    return judge_by(&p->end[B], packet, bytes, 0, view);
}

static void is_about_a(const struct pair *p, const struct packet_view *view)
{
    cr_assert(ip_equal(&view->neighbour.ip, &p->end[A].ip));
    cr_assert(mac_equal(&view->neighbour.mac, &p->end[A].mac));
    cr_assert(view->neighbour.teaches);
    cr_assert_eq(view->source, A);
}

Test(neighbour, a_question_to_all_and_to_one_is_answered_and_the_answer_teaches)
{
    uint8_t packet[PACKET_CONTROL_ROOM];
    struct packet_view view;
    struct pair p;

    for (enum variant v = V4; v < VARIANTS; v++) {
        pair_init(&p, v);
        const struct mac *known[] = { NULL, &p.end[B].mac };
        for (int i = 0; i < 2; i++) {
            uint32_t bytes = neighbour_ask(&p.end[A], &p.end[B].ip, known[i], packet);
            cr_assert_eq(packet[0] & 1, i == 0);
            cr_assert_eq(heard(&p, packet, bytes, &view), PACKET_NEIGHBOUR_ASKS);
            is_about_a(&p, &view);
            cr_assert(ip_equal(&view.neighbour.asked, &p.end[B].ip));
            bytes = neighbour_answer(&p.end[B], &view.neighbour, packet);
            cr_assert_arr_eq(packet, p.end[A].mac.byte, 6);
            cr_assert_eq(judge_by(&p.end[A], packet, bytes, 0, &view), PACKET_NEIGHBOUR_TELLS);
            cr_assert(ip_equal(&view.neighbour.ip, &p.end[B].ip));
            cr_assert(mac_equal(&view.neighbour.mac, &p.end[B].mac));
            cr_assert_eq(view.source, B);
        }
    }
}

static void answers_as_known(enum variant variant, const uint8_t *known, uint32_t known_bytes)
{
    uint8_t packet[PACKET_CONTROL_ROOM];
    struct pair p;

    pair_init(&p, variant);
    struct neighbour a = { .ip = p.end[A].ip, .mac = p.end[A].mac, .asked = p.end[B].ip };
    cr_assert_eq(neighbour_answer(&p.end[B], &a, packet), known_bytes);
    cr_assert_arr_eq(packet, known, known_bytes);
}

Test(neighbour, every_byte_of_an_answer_is_the_one_put_together_by_hand)
{
    answers_as_known(V4, known_arp_answer, sizeof known_arp_answer);
    answers_as_known(V6, known_nd_answer, sizeof known_nd_answer);
}

Test(neighbour, an_announcement_teaches_all_and_asks_for_nothing)
{
    uint8_t packet[PACKET_CONTROL_ROOM];
    struct packet_view view;
    struct pair p;

    for (enum variant v = V4; v < VARIANTS; v++) {
        pair_init(&p, v);
        uint32_t bytes = neighbour_announce(&p.end[A], packet);
        cr_assert_eq(heard(&p, packet, bytes, &view), PACKET_NEIGHBOUR_TELLS);
        is_about_a(&p, &view);
        cr_assert_eq(judge_by(&p.end[A], packet, bytes, 0, &view), PACKET_OWN);
    }
}

Test(neighbour, a_question_for_another_teaches_who_asked)
{
    struct packet_view view;
    struct ip_address third;
    struct packet packet;
    struct pair p;

    for (enum variant v = V4; v < VARIANTS; v++) {
        pair_init(&p, v);
        third = ip_of(v, ROUTER);
        uint32_t bytes = neighbour_ask(&p.end[A], &third, NULL, packet.room);
        cr_assert_eq(heard(&p, packet.room, bytes, &view), PACKET_NEIGHBOUR_TELLS);
        is_about_a(&p, &view);
    }
}

Test(neighbour, a_stranger_is_answered_but_is_no_peer)
{
    uint8_t packet[PACKET_CONTROL_ROOM];
    struct packet_view view;
    struct pair p;

    for (enum variant v = V4; v < VARIANTS; v++) {
        pair_init(&p, v);
        p.end[A].ip = ip_of(v, STRANGER);
        uint32_t bytes = neighbour_ask(&p.end[A], &p.end[B].ip, NULL, packet);
        cr_assert_eq(heard(&p, packet, bytes, &view), PACKET_NEIGHBOUR_ASKS);
        cr_assert_eq(view.source, PEER_NONE);
    }
}

/* A machine that has no address yet asks whether it may take B's. */
Test(neighbour, a_probe_for_our_address_is_answered_and_teaches_nothing)
{
    uint8_t packet[PACKET_CONTROL_ROOM];
    struct packet_view view;
    struct packet probe;
    struct pair p;

    for (enum variant v = V4; v < VARIANTS; v++) {
        pair_init(&p, v);
        p.end[A].ip = nowhere;
        uint32_t bytes = neighbour_ask(&p.end[A], &p.end[B].ip, NULL, packet);
        packet_take(&probe, packet, bytes);
        if (v >= V6) { /* without a MAC among the options */
            probe.at[ip_place(&p) + 5] = 24;
            packet_mend(&p, &probe);
        }
        cr_assert_eq(judge(&p, &probe, &view), PACKET_NEIGHBOUR_ASKS);
        cr_assert_not(view.neighbour.teaches);
        cr_assert(ip_is_zero(&view.neighbour.ip));
        bytes = neighbour_answer(&p.end[B], &view.neighbour, packet);
        pair_init(&p, v);
        cr_assert_eq(judge_by(&p.end[A], packet, bytes, 0, &view), PACKET_NEIGHBOUR_TELLS);
        cr_assert_eq(view.source, B);
    }
}

Test(neighbour, the_address_by_which_we_report_is_defended_too)
{
    uint8_t packet[PACKET_CONTROL_ROOM];
    struct packet_view view;
    struct pair p;

    pair_init(&p, V6);
    uint32_t bytes = neighbour_ask(&p.end[A], &p.end[B].link_local, NULL, packet);
    cr_assert_eq(heard(&p, packet, bytes, &view), PACKET_NEIGHBOUR_ASKS);
    neighbour_answer(&p.end[B], &view.neighbour, packet);
    cr_assert_arr_eq(packet + 14 + 8, p.end[B].link_local.byte, 16);
    cr_assert_arr_eq(packet + 14 + 40 + 8, p.end[B].link_local.byte, 16);
}

Test(neighbour, another_machine_with_our_address_is_a_conflict)
{
    uint8_t packet[PACKET_CONTROL_ROOM];
    struct ip_address third;
    struct pair p;

    for (enum variant v = V4; v < VARIANTS; v++) {
        pair_init(&p, v);
        third = ip_of(v, ROUTER);
        p.end[A].ip = p.end[B].ip;
        uint32_t bytes = neighbour_announce(&p.end[A], packet);
        cr_assert_eq(heard(&p, packet, bytes, NULL), PACKET_ADDRESS_CONFLICT);
        bytes = neighbour_ask(&p.end[A], &third, NULL, packet);
        cr_assert_eq(heard(&p, packet, bytes, NULL), PACKET_ADDRESS_CONFLICT);
    }
}

Test(neighbour, N1_cut_anywhere_it_is_found_short)
{
    uint8_t packet[PACKET_CONTROL_ROOM];
    struct pair p;

    pair_init(&p, V4);
    neighbour_ask(&p.end[A], &p.end[B].ip, NULL, packet);
    for (uint32_t bytes = 14; bytes < 14 + 28; bytes++)
        cr_assert_eq(judge_by(&p.end[B], packet, bytes, 0, NULL), PACKET_SHORT_CONTROL);
    cr_assert_eq(judge_by(&p.end[B], packet, 14 + 28, 0, NULL), PACKET_NEIGHBOUR_ASKS);
}

/* A solicitation of A for B, of so many bytes behind IP, and mended. */
static enum packet_verdict nd_of(const struct pair *p, int bytes, int at, uint8_t value)
{
    struct packet packet;
    uint8_t room[PACKET_CONTROL_ROOM];

    packet_take(&packet, room, neighbour_ask(&p->end[A], &p->end[B].ip, NULL, room));
    packet.bytes = ip_place(p) + 40 + (uint32_t)bytes;
    packet.at[ip_place(p) + 5] = (uint8_t)bytes;
    if (at >= 0)
        packet.at[ip_place(p) + at] = value;
    if (bytes >= 4)
        packet_mend(p, &packet);
    return judge(p, &packet, NULL);
}

Test(neighbour, N1_options_end_inside_or_all_is_refused)
{
    struct pair p;

    pair_init(&p, V6);
    for (int bytes = 0; bytes < 24; bytes++)
        cr_assert_eq(nd_of(&p, bytes, -1, 0), PACKET_SHORT_CONTROL, "%d", bytes);
    cr_assert_eq(nd_of(&p, 24, -1, 0), PACKET_NEIGHBOUR_ASKS); /* RFC 4861: the MAC may lack */
    for (int bytes = 25; bytes < 32; bytes++)
        cr_assert_eq(nd_of(&p, bytes, -1, 0), PACKET_CONTROL_BAD, "%d", bytes);
    cr_assert_eq(nd_of(&p, 32, -1, 0), PACKET_NEIGHBOUR_ASKS);
    cr_assert_eq(nd_of(&p, 32, 40 + 25, 0), PACKET_CONTROL_BAD); /* empty: would never end */
    cr_assert_eq(nd_of(&p, 32, 40 + 25, 2), PACKET_CONTROL_BAD);
    cr_assert_eq(nd_of(&p, 32, 40 + 25, 255), PACKET_CONTROL_BAD);
}

static const struct damage {
    const char *what;
    enum variant variant;
    int at; /* behind Ethernet */
    uint8_t value;
    bool mend;
    enum packet_verdict verdict;
} damages[] = {
    { "another hardware", V4, 1, 6, 0, PACKET_CONTROL_BAD },
    { "another protocol", V4, 2, 9, 0, PACKET_CONTROL_BAD },
    { "long MACs", V4, 4, 8, 0, PACKET_CONTROL_BAD },
    { "long addresses", V4, 5, 16, 0, PACKET_CONTROL_BAD },
    { "reverse ARP", V4, 7, 3, 0, PACKET_CONTROL_BAD },
    { "no operation", V4, 7, 0, 0, PACKET_CONTROL_BAD },
    { "a group's MAC", V4, 8, 3, 0, PACKET_CONTROL_BAD },
    { "a group's address", V4, 14, 224, 0, PACKET_CONTROL_BAD },
    { "a reply", V4, 7, 2, 0, PACKET_NEIGHBOUR_TELLS },
    { "from beyond a router", V6, 7, 254, 1, PACKET_HOPS },
    { "from a group", V6, 8, 0xff, 1, PACKET_CONTROL_BAD },
    { "to another machine", V6, 24, 0xfe, 1, PACKET_IP_OTHER },
    { "a bad sum", V6, 42, 0, 0, PACKET_CONTROL_CHECKSUM },
    { "another payload", V6, 70, 9, 0, PACKET_CONTROL_CHECKSUM },
    { "an echo", V6, 40, 128, 1, PACKET_PROTOCOL_OTHER },
    { "a router's advertisement", V6, 40, 134, 1, PACKET_PROTOCOL_OTHER },
    { "a code", V6, 41, 1, 1, PACKET_CONTROL_BAD },
    { "for a group", V6, 48, 0xff, 1, PACKET_CONTROL_BAD },
    { "a group's MAC", V6, 66, 3, 1, PACKET_CONTROL_BAD },
    { "another option", V6, 64, 14, 1, PACKET_NEIGHBOUR_ASKS },
};

Test(neighbour, N1_each_damaged_field_has_its_verdict)
{
    struct packet packet;
    struct pair p;

    for (size_t i = 0; i < ARRAY_COUNT(damages); i++) {
        const struct damage *d = &damages[i];
        uint8_t room[PACKET_CONTROL_ROOM];
        pair_init(&p, d->variant);
        packet_take(&packet, room, neighbour_ask(&p.end[A], &p.end[B].ip, NULL, room));
        packet.at[14 + d->at] = d->value;
        if (d->mend)
            packet_mend(&p, &packet);
        cr_assert_eq(judge(&p, &packet, NULL), d->verdict, "%s: %s", d->what,
                     packet_verdict_name[judge(&p, &packet, NULL)]);
    }
}

Test(neighbour, an_advertisement_to_all_that_claims_to_be_an_answer_is_refused)
{
    struct packet packet;
    uint8_t room[PACKET_CONTROL_ROOM];
    struct pair p;

    pair_init(&p, V6);
    packet_take(&packet, room, neighbour_announce(&p.end[A], room));
    packet.at[14 + 44] |= 0x40;
    packet_mend(&p, &packet);
    cr_assert_eq(judge(&p, &packet, NULL), PACKET_CONTROL_BAD);
}

Test(neighbour, an_advertisement_without_a_mac_tells_nothing)
{
    struct packet packet;
    uint8_t room[PACKET_CONTROL_ROOM];
    struct pair p;

    pair_init(&p, V6);
    packet_take(&packet, room, neighbour_announce(&p.end[A], room));
    packet.at[14 + 40 + 24] = 14;
    packet_mend(&p, &packet);
    cr_assert_eq(judge(&p, &packet, NULL), PACKET_NEIGHBOUR_OTHER);
}

Test(neighbour, a_probe_with_a_mac_or_to_the_wrong_group_is_refused)
{
    struct packet packet;
    uint8_t room[PACKET_CONTROL_ROOM];
    struct pair p;

    pair_init(&p, V6);
    p.end[A].ip = nowhere;
    packet_take(&packet, room, neighbour_ask(&p.end[A], &p.end[B].ip, NULL, room));
    cr_assert_eq(judge(&p, &packet, NULL), PACKET_CONTROL_BAD);
    packet.at[14 + 5] = 24;
    packet.at[14 + 39]++;
    packet_mend(&p, &packet);
    cr_assert_eq(judge(&p, &packet, NULL), PACKET_CONTROL_BAD);
}
