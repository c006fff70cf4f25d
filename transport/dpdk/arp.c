/* SPDX-License-Identifier: BSD-3-Clause */
#include "neighbour.h"
#include "control.h"
#include "frame.h"

enum { ARP_ETHERNET = 1, ARP_REQUEST = 1, ARP_REPLY = 2 };

struct arp {
    struct be16 hardware, protocol;
    uint8_t mac_bytes, ip_bytes;
    struct be16 operation;
    struct mac sender_mac;
    uint8_t sender_ip[IPV4_BYTES];
    struct mac target_mac;
    uint8_t target_ip[IPV4_BYTES];
};
static_assert(sizeof(struct arp) == 28, "H1");

static const struct mac broadcast = { { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff } };
static const struct mac unknown_mac;

static bool arp_is_sound(const struct arp *arp)
{
    uint16_t operation = be16_get(arp->operation);
    struct ip_address sender = ip_address_of(arp->sender_ip, false);

    return be16_get(arp->hardware) == ARP_ETHERNET && be16_get(arp->protocol) == ETH_IPV4 &&
           arp->mac_bytes == sizeof(struct mac) && arp->ip_bytes == IPV4_BYTES &&
           (operation == ARP_REQUEST || operation == ARP_REPLY) &&
           mac_is_station(&arp->sender_mac) && !ip_is_group(&sender, false);
}

enum packet_verdict arp_parse(struct frame *f, struct packet_view *view)
{
    const struct arp *arp = (const void *)f->at;
    const struct packet_local *local = f->local;
    struct neighbour *who = &view->neighbour;
    struct ip_address target;

    if (frame_left(f) < sizeof(*arp))
        return PACKET_SHORT_CONTROL;
    if (!arp_is_sound(arp))
        return PACKET_CONTROL_BAD;
    target = ip_address_of(arp->target_ip, false);
    *who = (struct neighbour){ .ip = ip_address_of(arp->sender_ip, false),
                               .asked = target,
                               .mac = arp->sender_mac };
    if (ip_equal(&who->ip, &local->ip))
        return mac_equal(&who->mac, &local->mac) ? PACKET_OWN : PACKET_ADDRESS_CONFLICT;
    who->teaches = !ip_is_zero(&who->ip); /* zero: a probe before it takes an address */
    view->source = peer_map_find(local->peers, &who->ip);
    if (be16_get(arp->operation) == ARP_REQUEST && ip_equal(&target, &local->ip))
        return PACKET_NEIGHBOUR_ASKS;
    return who->teaches ? PACKET_NEIGHBOUR_TELLS : PACKET_NEIGHBOUR_OTHER;
}

static uint32_t arp_write(const struct packet_local *local, uint16_t operation,
                          const struct mac *to, const struct ip_address *target, uint8_t *packet)
{
    memset(packet, 0, PACKET_CONTROL_ROOM);
    struct arp *arp = (void *)ethernet_write(packet, local, to, ETH_ARP, 0);
    *arp = (struct arp){
        .hardware = be16_of(ARP_ETHERNET),
        .protocol = be16_of(ETH_IPV4),
        .mac_bytes = sizeof(struct mac),
        .ip_bytes = IPV4_BYTES,
        .operation = be16_of(operation),
        .sender_mac = local->mac,
        .target_mac = operation == ARP_REPLY ? *to : unknown_mac,
    };
    memcpy(arp->sender_ip, local->ip.byte, IPV4_BYTES);
    memcpy(arp->target_ip, target->byte, IPV4_BYTES);
    return control_pad(packet, (const uint8_t *)(arp + 1));
}

uint32_t arp_answer(const struct packet_local *local, const struct neighbour *to, uint8_t *packet)
{
    return arp_write(local, ARP_REPLY, &to->mac, &to->ip, packet);
}

/* A request for our own address: hosts that know it take the MAC, none answers (RFC 5227). */
uint32_t arp_announce(const struct packet_local *local, uint8_t *packet)
{
    return arp_write(local, ARP_REQUEST, &broadcast, &local->ip, packet);
}

uint32_t arp_ask(const struct packet_local *local, const struct ip_address *ip,
                 const struct mac *mac, uint8_t *packet)
{
    return arp_write(local, ARP_REQUEST, mac != NULL ? mac : &broadcast, ip, packet);
}
