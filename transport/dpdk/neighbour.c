/* SPDX-License-Identifier: BSD-3-Clause */
#include "neighbour.h"

uint32_t neighbour_answer(const struct packet_local *local, const struct neighbour *to,
                          uint8_t *packet)
{
    return local->v6 ? nd_answer(local, to, packet) : arp_answer(local, to, packet);
}

uint32_t neighbour_announce(const struct packet_local *local, uint8_t *packet)
{
    return local->v6 ? nd_announce(local, packet) : arp_announce(local, packet);
}

uint32_t neighbour_ask(const struct packet_local *local, const struct ip_address *ip,
                       const struct mac *mac, uint8_t *packet)
{
    return local->v6 ? nd_ask(local, ip, mac, packet) : arp_ask(local, ip, mac, packet);
}
