/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Group membership: reports in every version, and queries, those of liars among them.
 */
#include "dpdk/group.h"
#include "packets.h"

#include <criterion/criterion.h>

static const uint8_t igmp_join[] = { 0x01, 0x00, 0x5e, 0x00, 0x00, 0x16, 0x02, 0x00, 0x5e, 0x10,
                                     0x00, 0x02, 0x08, 0x00, 0x46, 0xc0, 0x00, 0x28, 0x00, 0x00,
                                     0x40, 0x00, 0x01, 0x02, 0x41, 0xf7, 0xc0, 0x00, 0x02, 0x02,
                                     0xe0, 0x00, 0x00, 0x16, 0x94, 0x04, 0x00, 0x00, 0x22, 0x00,
                                     0xe8, 0xda, 0x00, 0x00, 0x00, 0x01, 0x04, 0x00, 0x00, 0x00,
                                     0xef, 0xc0, 0x01, 0x63, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00 };
static const uint8_t mld_join[] = {
    0x33, 0x33, 0x00, 0x00, 0x00, 0x16, 0x02, 0x00, 0x5e, 0x10, 0x00, 0x02, 0x86, 0xdd, 0x6c,
    0x00, 0x00, 0x00, 0x00, 0x24, 0x00, 0x01, 0xfe, 0x80, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x5e, 0xff, 0xfe, 0x10, 0x00, 0x02, 0xff, 0x02, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x16, 0x3a, 0x00, 0x05, 0x02, 0x00, 0x00,
    0x01, 0x00, 0x8f, 0x00, 0x90, 0xe7, 0x00, 0x00, 0x00, 0x01, 0x04, 0x00, 0x00, 0x00, 0xff,
    0x05, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x81, 0xab, 0x00, 0x63
};

static void joins_as_known(enum variant variant, const uint8_t *known, uint32_t known_bytes)
{
    uint8_t packet[PACKET_CONTROL_ROOM];
    struct pair p;

    pair_init(&p, variant);
    cr_assert_eq(group_report(&p.end[B], GROUP_JOINED, GROUP_VERSION_NEWEST, packet), known_bytes);
    cr_assert_arr_eq(packet, known, known_bytes);
}

Test(group, every_byte_of_a_report_is_the_one_put_together_by_hand)
{
    joins_as_known(V4, igmp_join, sizeof igmp_join);
    joins_as_known(V6, mld_join, sizeof mld_join);
}

struct report {
    enum variant variant;
    uint8_t version;
    enum group_news news;
    uint8_t type, record; /* record 0: an old version, which has none */
    uint8_t to;           /* last byte of the address; 99: the group's */
};

static const struct report reports[] = {
    { V4, 3, GROUP_JOINED, 0x22, 4, 22 },  { V4, 3, GROUP_STAYS, 0x22, 2, 22 },
    { V4, 3, GROUP_LEFT, 0x22, 3, 22 },    { V4_VLAN, 0, GROUP_STAYS, 0x22, 2, 22 },
    { V4, 2, GROUP_JOINED, 0x16, 0, 99 },  { V4, 2, GROUP_STAYS, 0x16, 0, 99 },
    { V4, 2, GROUP_LEFT, 0x17, 0, 2 },     { V4, 1, GROUP_STAYS, 0x12, 0, 99 },
    { V6, 2, GROUP_JOINED, 143, 4, 0x16 }, { V6, 2, GROUP_STAYS, 143, 2, 0x16 },
    { V6, 2, GROUP_LEFT, 143, 3, 0x16 },   { V6_VLAN, 0, GROUP_STAYS, 143, 2, 0x16 },
    { V6, 1, GROUP_JOINED, 131, 0, 99 },   { V6_VLAN, 1, GROUP_STAYS, 131, 0, 99 },
    { V6, 1, GROUP_LEFT, 132, 0, 2 },
};

static void check_report(const struct report *r)
{
    bool v6 = r->variant >= V6;
    uint32_t head_bytes = v6 ? 48 : 24, address_bytes = v6 ? 16 : 4;
    uint8_t packet[PACKET_CONTROL_ROOM];
    struct pair p;

    pair_init(&p, r->variant);
    uint32_t bytes = group_report(&p.end[B], r->news, r->version, packet);
    const uint8_t *ip = packet + ip_place(&p), *body = ip + head_bytes;
    cr_assert_geq(bytes, ETH_BYTES_MIN);
    cr_assert(sums_are_good(v6, ip, bytes - ip_place(&p)));
    cr_assert_eq(ip[v6 ? 7 : 8], 1, "one hop");
    cr_assert_eq(ip[v6 ? 39 : 19], r->to);
    cr_assert_eq(packet[5], r->to, "and its MAC");
    cr_assert_eq(body[0], r->type);
    if (r->record != 0)
        cr_assert_eq(body[8], r->record);
    const uint8_t *group = body + (r->record != 0 ? 12 : v6 ? 8 : 4);
    cr_assert_arr_eq(group, p.end[B].group.byte, address_bytes);
}

Test(group, each_version_has_its_report)
{
    for (size_t i = 0; i < ARRAY_COUNT(reports); i++)
        check_report(&reports[i]);
}

Test(group, there_is_nothing_to_say_without_a_group_or_when_leaving_in_igmp_1)
{
    uint8_t packet[PACKET_CONTROL_ROOM];
    struct pair p;

    pair_init(&p, V4);
    cr_assert_eq(group_report(&p.end[B], GROUP_LEFT, 1, packet), 0);
    p.end[B].group = (struct ip_address){ { 0 } };
    cr_assert_eq(packet_local_init(&p.end[B]), 0);
    cr_assert_eq(group_report(&p.end[B], GROUP_JOINED, 3, packet), 0);
}

Test(group, a_report_of_another_member_is_nothing_to_us)
{
    uint8_t packet[PACKET_CONTROL_ROOM];
    struct pair p;

    pair_init(&p, V4);
    uint32_t bytes = group_report(&p.end[A], GROUP_JOINED, 3, packet);
    cr_assert_eq(judge_by(&p.end[B], packet, bytes, 0, NULL), PACKET_IP_OTHER);
    bytes = group_report(&p.end[A], GROUP_JOINED, 2, packet);
    cr_assert_eq(judge_by(&p.end[B], packet, bytes, 0, NULL), PACKET_PROTOCOL_OTHER);
    pair_init(&p, V6);
    bytes = group_report(&p.end[A], GROUP_JOINED, 2, packet);
    cr_assert_eq(judge_by(&p.end[B], packet, bytes, 0, NULL), PACKET_PROTOCOL_OTHER);
}

/* A query, made of a report of version 2 or 1: the same headers around another body. */
static void query_make(struct packet *packet, const struct pair *p, const uint8_t *body,
                       uint32_t bytes)
{
    uint8_t room[PACKET_CONTROL_ROOM];
    bool v6 = p->variant >= V6;
    uint32_t at = ip_place(p) + (v6 ? 48 : 24);

    group_report(&p->end[A], GROUP_STAYS, v6 ? 1 : 2, room);
    packet_take(packet, room, at);
    memcpy(packet->at + at, body, bytes);
    packet->bytes = at + bytes;
    uint8_t *ip = packet->at + ip_place(p), *length = ip + (v6 ? 4 : 2);
    length[0] = (uint8_t)((bytes + (v6 ? 8 : 24)) >> 8);
    length[1] = (uint8_t)(bytes + (v6 ? 8 : 24));
    if (bytes >= 4)
        packet_mend(p, packet);
}

struct query {
    const char *what;
    bool v6;
    int group; /* 0: general; 1: ours; 2: another */
    uint32_t bytes, sources;
    uint16_t code;
    enum packet_verdict verdict;
    uint8_t version;
    uint64_t delay_ms;
};

static const struct query queries[] = {
    { "IGMPv1", 0, 0, 8, 0, 0, PACKET_GROUP_QUERY, 1, 10000 },
    { "IGMPv2", 0, 0, 8, 0, 100, PACKET_GROUP_QUERY, 2, 10000 },
    { "IGMPv2, ours", 0, 1, 8, 0, 10, PACKET_GROUP_QUERY, 2, 1000 },
    { "IGMPv2, long", 0, 1, 8, 0, 255, PACKET_GROUP_QUERY, 2, 25500 },
    { "IGMPv2, another", 0, 2, 8, 0, 10, PACKET_GROUP_OTHER, 0, 0 },
    { "IGMPv3", 0, 0, 12, 0, 127, PACKET_GROUP_QUERY, 3, 12700 },
    { "IGMPv3, exponent 0", 0, 0, 12, 0, 0x80, PACKET_GROUP_QUERY, 3, 12800 },
    { "IGMPv3, longest", 0, 0, 12, 0, 0xff, PACKET_GROUP_QUERY, 3, 3174400 },
    { "IGMPv3, sources", 0, 1, 20, 2, 10, PACKET_GROUP_QUERY, 3, 1000 },
    { "IGMPv3, more sources than bytes", 0, 1, 19, 2, 10, PACKET_CONTROL_BAD, 0, 0 },
    { "IGMPv3, many sources", 0, 1, 12, 65535, 10, PACKET_CONTROL_BAD, 0, 0 },
    { "IGMPv3, another", 0, 2, 12, 0, 10, PACKET_GROUP_OTHER, 0, 0 },
    { "9 bytes", 0, 0, 9, 0, 10, PACKET_CONTROL_BAD, 0, 0 },
    { "11 bytes", 0, 0, 11, 0, 10, PACKET_CONTROL_BAD, 0, 0 },
    { "7 bytes", 0, 0, 7, 0, 10, PACKET_SHORT_CONTROL, 0, 0 },
    { "4 bytes", 0, 0, 4, 0, 0, PACKET_SHORT_CONTROL, 0, 0 },
    { "MLDv1", 1, 0, 24, 0, 10000, PACKET_GROUP_QUERY, 1, 10000 },
    { "MLDv1, long", 1, 1, 24, 0, 65535, PACKET_GROUP_QUERY, 1, 65535 },
    { "MLDv1, another", 1, 2, 24, 0, 1, PACKET_GROUP_OTHER, 0, 0 },
    { "MLDv2", 1, 0, 28, 0, 32767, PACKET_GROUP_QUERY, 2, 32767 },
    { "MLDv2, exponent 0", 1, 0, 28, 0, 0x8000, PACKET_GROUP_QUERY, 2, 32768 },
    { "MLDv2, longest", 1, 1, 28, 0, 0xffff, PACKET_GROUP_QUERY, 2, 8387584 },
    { "MLDv2, sources", 1, 1, 60, 2, 1000, PACKET_GROUP_QUERY, 2, 1000 },
    { "MLDv2, more sources than bytes", 1, 1, 59, 2, 1000, PACKET_CONTROL_BAD, 0, 0 },
    { "MLDv2, another", 1, 2, 28, 0, 1000, PACKET_GROUP_OTHER, 0, 0 },
    { "25 bytes", 1, 0, 25, 0, 10, PACKET_CONTROL_BAD, 0, 0 },
    { "27 bytes", 1, 0, 27, 0, 10, PACKET_CONTROL_BAD, 0, 0 },
    { "23 bytes", 1, 0, 23, 0, 10, PACKET_SHORT_CONTROL, 0, 0 },
    { "none", 1, 0, 0, 0, 0, PACKET_SHORT_CONTROL, 0, 0 },
};

static void query_body(uint8_t body[64], const struct query *q, const struct pair *p)
{
    uint32_t group_at = q->v6 ? 8 : 4, group_bytes = q->v6 ? 16 : 4;

    memset(body, 0, 64);
    body[0] = q->v6 ? 130 : 0x11;
    body[q->v6 ? 4 : 1] = (uint8_t)(q->v6 ? q->code >> 8 : q->code);
    if (q->v6)
        body[5] = (uint8_t)q->code;
    if (q->group != 0)
        memcpy(body + group_at, p->end[B].group.byte, group_bytes);
    if (q->group == 2)
        body[group_at + group_bytes - 1]++;
    body[group_at + group_bytes + 2] = (uint8_t)(q->sources >> 8);
    body[group_at + group_bytes + 3] = (uint8_t)q->sources;
}

static void check_query(const struct query *q, enum variant variant)
{
    struct packet_view view = { .query = { 0 } };
    struct packet packet;
    uint8_t body[64];
    struct pair p;

    pair_init(&p, variant);
    query_body(body, q, &p);
    query_make(&packet, &p, body, q->bytes);
    cr_assert_eq(judge(&p, &packet, &view), q->verdict, "%s: %s", q->what,
                 packet_verdict_name[judge(&p, &packet, NULL)]);
    cr_assert_eq(view.query.version, q->version, "%s", q->what);
    cr_assert_eq(view.query.delay_ns_max, q->delay_ms * NS_PER_MS, "%s", q->what);
}

Test(group, each_query_has_its_version_and_delay_or_its_verdict)
{
    for (size_t i = 0; i < ARRAY_COUNT(queries); i++) {
        check_query(&queries[i], queries[i].v6 ? V6 : V4);
        check_query(&queries[i], queries[i].v6 ? V6_VLAN : V4_VLAN);
    }
}

Test(group, a_query_cut_anywhere_is_refused)
{
    const struct query general = { .v6 = true, .bytes = 28 };
    struct packet packet;
    uint8_t body[64];
    struct pair p;

    pair_init(&p, V6);
    query_body(body, &general, &p);
    query_make(&packet, &p, body, 28);
    for (uint32_t bytes = 0; bytes < packet.bytes; bytes++) {
        packet.at[14 + 5] = (uint8_t)(bytes > 54 ? bytes - 54 : 0);
        cr_assert_neq(judge_by(&p.end[B], packet.at, bytes, 0, NULL), PACKET_GROUP_QUERY);
    }
}

static const struct damage {
    const char *what;
    enum variant variant;
    int at; /* behind Ethernet */
    uint8_t value;
    bool mend;
    enum packet_verdict verdict;
} damages[] = {
    { "from beyond the link", V6, 7, 2, 1, PACKET_HOPS },
    { "from an address of more than the link", V6, 8, 0x20, 1, PACKET_HOPS },
    { "a bad sum", V6, 50, 1, 0, PACKET_CONTROL_CHECKSUM },
    { "not an alert", V6, 42, 1, 0, PACKET_CONTROL_BAD },
    { "an alert for another protocol", V6, 45, 1, 0, PACKET_CONTROL_BAD },
    { "an alert of another length", V6, 43, 3, 0, PACKET_CONTROL_BAD },
    { "an option beyond its header", V6, 47, 1, 0, PACKET_CONTROL_BAD },
    { "padding of single bytes", V6, 46, 0, 0, PACKET_GROUP_QUERY },
    { "a header beyond the packet", V6, 41, 4, 0, PACKET_SHORT_CONTROL },
    { "another extension behind", V6, 40, 60, 0, PACKET_IPV6_EXTENSION },
    { "UDP behind", V6, 40, 17, 0, PACKET_IPV6_EXTENSION },
    { "a code", V6, 49, 1, 1, PACKET_CONTROL_BAD },
    { "done", V6, 48, 132, 1, PACKET_PROTOCOL_OTHER },
    { "a bad sum", V4, 26, 1, 0, PACKET_CONTROL_CHECKSUM },
    { "a bad sum of the header", V4, 10, 1, 0, PACKET_IP_CHECKSUM },
    { "a report", V4, 24, 0x16, 1, PACKET_PROTOCOL_OTHER },
    { "more hops: G1", V4, 8, 64, 1, PACKET_GROUP_QUERY },
    { "to another", V4, 19, 98, 1, PACKET_IP_OTHER },
};

Test(group, G1_each_damaged_field_has_its_verdict)
{
    struct packet packet;
    uint8_t body[64];
    struct pair p;

    for (size_t i = 0; i < ARRAY_COUNT(damages); i++) {
        const struct damage *d = &damages[i];
        const struct query general = { .v6 = d->variant >= V6 };
        pair_init(&p, d->variant);
        query_body(body, &general, &p);
        query_make(&packet, &p, body, d->variant >= V6 ? 28 : 8);
        packet.at[14 + d->at] = d->value;
        if (d->mend)
            packet_mend(&p, &packet);
        cr_assert_eq(judge(&p, &packet, NULL), d->verdict, "%s: %s", d->what,
                     packet_verdict_name[judge(&p, &packet, NULL)]);
    }
}

/* An IGMPv2 querier may leave the alert out, and a switch asks from no address and to all. */
Test(group, G1_a_switch_without_an_address_may_ask_for_igmp)
{
    static const uint8_t query[] = { 0x46, 0, 0, 32, 0,    0, 0, 0, 1,    2,    0, 0, 0, 0, 0, 0,
                                     224,  0, 0, 1,  0x94, 4, 0, 0, 0x11, 0x64, 0, 0, 0, 0, 0, 0 };
    struct packet packet;
    struct pair p;

    pair_init(&p, V4);
    packet_make(&packet, &p, -1, 4);
    memcpy(packet.at, ((uint8_t[]){ 1, 0, 0x5e, 0, 0, 1 }), 6);
    memcpy(packet.at + 14, query, sizeof query);
    packet.bytes = 14 + sizeof query;
    packet_mend(&p, &packet);
    cr_assert_eq(judge(&p, &packet, NULL), PACKET_GROUP_QUERY);
    memmove(packet.at + 14 + 20, packet.at + 14 + 24, 8);
    packet.at[14] = 0x45;
    packet.at[17] = 28;
    packet.bytes -= 4;
    packet_mend(&p, &packet);
    cr_assert_eq(judge(&p, &packet, NULL), PACKET_GROUP_QUERY);
}

Test(group, without_a_group_no_query_is_for_us)
{
    const struct query general = { .v6 = false };
    struct packet packet;
    uint8_t body[64];
    struct pair p;

    pair_init(&p, V4);
    query_body(body, &general, &p);
    query_make(&packet, &p, body, 8);
    memcpy(packet.at + 14 + 16, ((uint8_t[]){ 224, 0, 0, 1 }), 4);
    packet_mend(&p, &packet);
    p.end[B].group = (struct ip_address){ { 0 } };
    cr_assert_eq(packet_local_init(&p.end[B]), 0);
    cr_assert_eq(judge(&p, &packet, NULL), PACKET_GROUP_OTHER);
}
