/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * packet_fuzz.c - any bytes at all, as a packet on the ethernet of a port.
 *
 * Claims: packet_parse() reads no byte outside the packet (the sanitizer sees each); a packet found
 * ours comes out of a template again, byte for byte, but for what a sender may choose (P3);
 * whatever a template makes is ours at its destination (P2); and what answers a neighbour or a
 * query is sound itself.
 */
#include "dpdk/group.h"
#include "dpdk/neighbour.h"
#include "fuzz/input.h"
#include "transport/packets.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    SCRIPT_BUILD = 0x80, /* of the first byte; the low ones are the variant */
    SCRIPT_ZERO_CHECKSUM = 0x40,
    SCRIPT_UNTAGGED = 0x20,
    SCRIPT_UDP_CHECKED = 0x10,
    SCRIPT_IP_CHECKED = 0x08,
};

struct trial {
    struct pair p;
    uint8_t script;
    uint32_t flags;
    struct packet again;
};

/* Where Ethernet's type and IP are, tag or none. */
static uint32_t type_place(const uint8_t *packet)
{
    return packet[12] == 0x81 && packet[13] == 0 ? 16 : 12;
}

/* What a sender or a router may choose, from one IP header to another. */
static void chosen_copy(uint8_t *to, const uint8_t *from, bool v6)
{
    if (v6) {
        memcpy(to, from, 4);
        to[7] = from[7];
        return;
    }
    to[1] = from[1];
    memcpy(to + 4, from + 4, 2);
    to[6] = (uint8_t)((to[6] & ~0xc0) | (from[6] & 0xc0));
    to[8] = from[8];
    to[10] = to[11] = 0;
    uint16_t sum = plain_checksum(to, false, 0, to, 20);
    to[10] = (uint8_t)(sum >> 8);
    to[11] = (uint8_t)sum;
}

/* Sums that nobody looked at are no news, and 0 and 0xffff are the same in a header's. */
static void unseen_copy(const struct trial *t, uint8_t *to, const uint8_t *from, bool v6)
{
    uint8_t *udp = to + (v6 ? 40 : 20);
    const uint8_t *udp_from = from + (v6 ? 40 : 20);

    if (!v6 && ((t->flags & PACKET_IP_CHECKED) ||
                (to[10] == 0 && to[11] == 0 && from[10] == 0xff && from[11] == 0xff)))
        memcpy(to + 10, from + 10, 2);
    if ((t->flags & PACKET_UDP_CHECKED) || (udp_from[6] | udp_from[7]) == 0)
        memcpy(udp + 6, udp_from + 6, 2);
}

static void rebuild(struct trial *t, const uint8_t *packet, const struct packet_view *view)
{
    bool v6 = t->p.variant >= V6;
    struct packet_local sender = t->p.end[A];
    struct packet_route to = route_to(&t->p, view->to_group ? -1 : B);
    struct packet_template template;
    uint8_t *payload = t->again.room + PACKET_HEAD_ROOM;
    uint32_t type_at = type_place(packet);

    INVARIANT(view->source == A);
    sender.mac = *view->from;
    sender.vlan_id = to.priority = 0;
    INVARIANT(packet_local_init(&sender) == 0);
    INVARIANT(packet_template_init(&template, &sender, &to) == 0);
    memcpy(payload, view->payload, view->payload_bytes);
    packet_stamp(&template, payload, view->payload_bytes);
    packet_sum(&template, payload, &(struct iovec){ payload, view->payload_bytes }, 1);
    chosen_copy(payload - template.head_bytes + 14, packet + type_at + 2, v6);
    unseen_copy(t, payload - template.head_bytes + 14, packet + type_at + 2, v6);
    INVARIANT(memcmp(payload - template.head_bytes, packet, 12) == 0);
    INVARIANT(memcmp(payload - template.head_bytes + 12, packet + type_at,
                     template.head_bytes - 12 + view->payload_bytes) == 0);
}

/* Whom we answer takes it for what it is, unless it could have no such address. */
static void answer(const struct trial *t, const struct neighbour *asker)
{
    uint8_t packet[PACKET_CONTROL_ROOM];
    uint32_t bytes = neighbour_answer(&t->p.end[B], asker, packet);
    struct packet_local other = t->p.end[A];
    struct packet_view view;

    INVARIANT(bytes >= ETH_BYTES_MIN && bytes <= sizeof(packet));
    other.mac = asker->mac;
    if (!ip_is_zero(&asker->ip))
        other.ip = asker->ip;
    if (packet_local_init(&other) < 0)
        return;
    if (ip_equal(&other.link_local, &asker->asked)) /* it has our MAC's address, without the MAC */
        return;
    INVARIANT(packet_parse(&other, packet, bytes, 0, &view) == PACKET_NEIGHBOUR_TELLS);
    INVARIANT(ip_equal(&view.neighbour.ip, &asker->asked));
    INVARIANT(mac_equal(&view.neighbour.mac, &t->p.end[B].mac));
}

static void report(const struct trial *t, const struct group_query *query)
{
    uint8_t packet[PACKET_CONTROL_ROOM];
    uint32_t bytes = group_report(&t->p.end[B], GROUP_STAYS, query->version, packet);
    uint32_t ip_at = ip_place(&t->p);

    INVARIANT(query->version >= 1 && query->version <= (t->p.variant >= V6 ? 2 : 3));
    INVARIANT(query->delay_ns_max <= UINT64_C(8387584) * NS_PER_MS);
    INVARIANT(bytes >= ETH_BYTES_MIN && bytes <= sizeof(packet));
    INVARIANT(sums_are_good(t->p.variant >= V6, packet + ip_at, bytes - ip_at));
}

static void judge_bytes(struct trial *t, const uint8_t *packet, uint32_t bytes)
{
    struct packet_view view;
    enum packet_verdict verdict = packet_parse(&t->p.end[B], packet, bytes, t->flags, &view);

    INVARIANT(verdict < PACKET_VERDICT_COUNT);
    if (verdict == PACKET_OURS) {
        INVARIANT(view.payload >= packet && view.payload + view.payload_bytes <= packet + bytes);
        rebuild(t, packet, &view);
    }
    if (verdict == PACKET_NEIGHBOUR_ASKS || verdict == PACKET_NEIGHBOUR_TELLS)
        INVARIANT(mac_is_station(&view.neighbour.mac)); /* P6 */
    if (verdict == PACKET_NEIGHBOUR_ASKS)
        answer(t, &view.neighbour);
    if (verdict == PACKET_GROUP_QUERY)
        report(t, &view.query);
}

/* Past what a guess seldom passes, and look behind. Only if all that is summed is there. */
static void mend(const struct trial *t, struct packet *packet)
{
    bool v6 = t->p.variant >= V6;
    const uint8_t *ip = packet->at + ip_place(&t->p);
    uint32_t left = packet->bytes - ip_place(&t->p);

    if (packet->bytes < ip_place(&t->p) + 56)
        return;
    uint32_t says = v6 ? 40U + (uint32_t)(ip[4] << 8 | ip[5]) : (uint32_t)(ip[2] << 8 | ip[3]);
    uint32_t head = v6 ? (ip[6] == 0 ? 48 : 40) : (uint32_t)(ip[0] & 15) * 4;
    if (says <= left && says >= head + 8)
        packet_mend(&t->p, packet);
}

/* Lengths that fit what is there, whatever it is. */
static void fit(const struct trial *t, struct packet *packet)
{
    bool v6 = t->p.variant >= V6;
    uint8_t *ip = packet->at + ip_place(&t->p);
    uint32_t head = v6 ? 40 : (uint32_t)(ip[0] & 15) * 4;
    uint32_t left = packet->bytes - ip_place(&t->p);

    if (packet->bytes < ip_place(&t->p) + 40 || left < head + 8)
        return;
    *(struct be16 *)(void *)(ip + (v6 ? 4 : 2)) = be16_of(v6 ? left - head : left);
    if (ip[v6 ? 6 : 9] == IP_UDP)
        ((struct udp_head *)(void *)(ip + head))->bytes = be16_of(left - head);
}

static void try_packet(struct trial *t, const uint8_t *bytes, uint32_t count)
{
    static struct packet packet;
    uint8_t *exact;

    packet_take(&packet, bytes, count);
    for (int round = 0; round < 3; round++) {
        if (round == 2)
            fit(t, &packet);
        if (round > 0)
            mend(t, &packet);
        exact = malloc(count > 0 ? count : 1);
        memcpy(exact, packet.at, count);
        judge_bytes(t, exact, count);
        free(exact);
    }
}

/* The rest of the input is payload, in pieces cut where it says. */
static void try_build(struct trial *t, struct input *in)
{
    static struct packet packet;
    struct packet_route to = route_to(&t->p, input_byte(in) % 2 ? B : -1);
    struct packet_local *sender = &t->p.end[A];
    struct packet_template template;
    struct packet_view view;
    uint8_t *payload = packet.room + PACKET_HEAD_ROOM;
    uint32_t bytes, a, b;

    to.hops = (uint8_t)(input_byte(in) | 1);
    to.dscp = (uint8_t)input_below(in, 64);
    to.priority = (uint8_t)(sender->vlan_id ? input_below(in, 8) : 0);
    a = input_byte(in);
    b = input_byte(in);
    bytes = (uint32_t)(in->end - in->at);
    a = min_u32(a, bytes);
    b = min_u32(b, bytes - a);
    input_bytes(in, payload, bytes);
    INVARIANT(packet_template_init(&template, sender, &to) == 0);
    packet_stamp(&template, payload, bytes);
    packet_sum(
        &template, payload,
        (struct iovec[]){ { payload, a }, { payload + a, b }, { payload + a + b, bytes - a - b } },
        3);
    t->flags = 0;
    packet.at = payload - template.head_bytes;
    INVARIANT(packet_parse(&t->p.end[B], packet.at, template.head_bytes + bytes, 0, &view) ==
              PACKET_OURS);
    INVARIANT(view.payload == payload && view.payload_bytes == bytes);
    rebuild(t, packet.at, &view);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct trial t;
    struct input in = { data, data + size };

    if (size < 1 || size > 16384)
        return 0;
    t.script = input_byte(&in);
    pair_init(&t.p, t.script % VARIANTS);
    t.flags = (t.script & SCRIPT_IP_CHECKED ? PACKET_IP_CHECKED : 0) |
              (t.script & SCRIPT_UDP_CHECKED ? PACKET_UDP_CHECKED : 0) |
              (t.script & SCRIPT_UNTAGGED ? packet_untagged(t.p.end[B].vlan_id) : 0);
    if (t.script & SCRIPT_BUILD) {
        try_build(&t, &in);
    } else {
        t.p.end[B].zero_checksum = t.p.variant < V6 && (t.script & SCRIPT_ZERO_CHECKSUM);
        try_packet(&t, in.at, (uint32_t)(in.end - in.at));
    }
    return 0;
}
