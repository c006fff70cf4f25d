/* SPDX-License-Identifier: BSD-3-Clause */
#include "packet.h"
#include "frame.h"

const char *const packet_verdict_name[PACKET_VERDICT_COUNT] = {
#define X(verdict, name, meaning) [PACKET_##verdict] = name,
    PACKET_VERDICTS(X)
#undef X
};

/* Judged before the source is, which lies in the datagram's own header and the peers. */
static enum packet_verdict udp_destination(const struct frame *f, const struct udp_head *udp,
                                           bool to_group)
{
    const struct packet_local *local = f->local;

    if (frame_left(f) < sizeof(*udp))
        return PACKET_SHORT_UDP;
    if (be16_get(udp->bytes) != frame_left(f)) /* both ways: there is nothing behind UDP */
        return PACKET_UDP_LENGTH;
    if (be16_get(udp->to) != (to_group ? local->group_port : local->port))
        return PACKET_PORT_OTHER;
    return PACKET_OURS;
}

static enum packet_verdict udp_source(const struct frame *f, const struct udp_head *udp,
                                      uint8_t *source)
{
    const struct packet_local *local = f->local;
    uint8_t peer = peer_map_find(local->peers, &f->from);

    if (ip_equal(&f->from, &local->ip))
        return mac_equal(&f->eth->from, &local->mac) ? PACKET_OWN : PACKET_ADDRESS_CONFLICT;
    /* A router has port 0, which nobody sends from. */
    if (peer == PEER_NONE || local->peers->item[peer].port != be16_get(udp->from) ||
        local->peers->item[peer].port == 0)
        return PACKET_SOURCE_UNKNOWN;
    *source = peer;
    return PACKET_OURS;
}

static enum packet_verdict udp_checksum(const struct frame *f, const struct udp_head *udp)
{
    if ((udp->checksum[0] | udp->checksum[1]) == 0)
        return f->local->zero_checksum && !f->local->v6 ? PACKET_OURS : PACKET_UDP_UNSUMMED;
    if (f->flags & PACKET_UDP_CHECKED)
        return PACKET_OURS;
    if (!checksum_is_good(checksum_add(frame_pseudo_sum(f, IP_UDP), f->at, frame_left(f))))
        return PACKET_UDP_CHECKSUM;
    return PACKET_OURS;
}

/* IP and MAC must mean the same: a unicast datagram to a group's MAC is somebody's mistake. */
static enum packet_verdict ip_destination(const struct frame *f, bool *to_group)
{
    const struct packet_local *local = f->local;

    *to_group = local->has_group && ip_equal(&f->to, &local->group);
    if (!*to_group && !ip_equal(&f->to, &local->ip))
        return PACKET_IP_OTHER;
    if (!mac_equal(&f->eth->to, *to_group ? &local->group_mac : &local->mac))
        return PACKET_MAC_OTHER;
    return PACKET_OURS;
}

static enum packet_verdict udp_parse(const struct frame *f, struct packet_view *view)
{
    const struct udp_head *udp = (const void *)f->at;
    enum packet_verdict verdict;
    bool to_group;
    uint8_t source;

    if ((verdict = ip_destination(f, &to_group)) != PACKET_OURS)
        return verdict;
    if ((verdict = udp_destination(f, udp, to_group)) != PACKET_OURS)
        return verdict;
    if ((verdict = udp_source(f, udp, &source)) != PACKET_OURS)
        return verdict;
    if ((verdict = udp_checksum(f, udp)) != PACKET_OURS)
        return verdict;
    view->payload = f->at + sizeof(*udp);
    view->payload_bytes = (uint32_t)(frame_left(f) - sizeof(*udp));
    view->source = source;
    view->to_group = to_group;
    view->from = &f->eth->from;
    return PACKET_OURS;
}

/* Lengths and checksum of an IPv4 header; cuts the frame to what it says (P4). */
static enum packet_verdict ipv4_head_parse(struct frame *f, const struct ipv4_head *ip)
{
    uint32_t head_bytes, total_bytes;

    if (frame_left(f) < sizeof(*ip))
        return PACKET_SHORT_IP;
    if (ip->version_words >> 4 != 4)
        return PACKET_IP_VERSION;
    head_bytes = (uint32_t)(ip->version_words & 15) * 4;
    total_bytes = be16_get(ip->total_bytes);
    if (head_bytes < sizeof(*ip) || total_bytes < head_bytes)
        return PACKET_IP_LENGTH;
    if (total_bytes > frame_left(f))
        return PACKET_SHORT_IP;
    if (!(f->flags & PACKET_IP_CHECKED) && !checksum_is_good(checksum_add(0, ip, head_bytes)))
        return PACKET_IP_CHECKSUM;
    if (be16_get(ip->fragment) & IPV4_FRAGMENT_MASK)
        return PACKET_FRAGMENT;
    f->end = f->at + total_bytes;
    f->at += head_bytes;
    return PACKET_OURS;
}

static enum packet_verdict ipv4_parse(struct frame *f, struct packet_view *view)
{
    const struct ipv4_head *ip = (const void *)f->at;
    enum packet_verdict verdict = ipv4_head_parse(f, ip);

    if (verdict != PACKET_OURS)
        return verdict;
    f->from = ip_address_of(ip->from, false);
    f->to = ip_address_of(ip->to, false);
    f->hops = ip->hops;
    if (ip->protocol == IP_IGMP)
        return igmp_parse(f, view);
    if (ip->protocol != IP_UDP)
        return PACKET_PROTOCOL_OTHER;
    return f->at - (const uint8_t *)ip == sizeof(*ip) ? udp_parse(f, view) : PACKET_IPV4_OPTIONS;
}

static enum packet_verdict ipv6_head_parse(struct frame *f, const struct ipv6_head *ip)
{
    if (frame_left(f) < sizeof(*ip))
        return PACKET_SHORT_IP;
    if (ip->version_class_flow.byte[0] >> 4 != 6)
        return PACKET_IP_VERSION;
    f->at += sizeof(*ip);
    if (be16_get(ip->payload_bytes) > frame_left(f))
        return PACKET_SHORT_IP;
    f->end = f->at + be16_get(ip->payload_bytes);
    return PACKET_OURS;
}

/* Those that RFC 8200 and the registry of IANA call extension headers. */
static bool is_extension(uint8_t next)
{
    return next == IPV6_HOP_BY_HOP || next == 43 /* routing */ || next == 50 /* ESP */ ||
           next == 51 /* AH */ || next == 60 /* destination options */ ||
           next == 135 /* mobility */ || next == 139 /* HIP */ || next == 140 /* shim6 */;
}

static enum packet_verdict ipv6_parse(struct frame *f, struct packet_view *view)
{
    const struct ipv6_head *ip = (const void *)f->at;
    enum packet_verdict verdict = ipv6_head_parse(f, ip);

    if (verdict != PACKET_OURS)
        return verdict;
    f->from = ip_address_of(ip->from, true);
    f->to = ip_address_of(ip->to, true);
    f->hops = ip->hops;
    if (ip->next == IP_UDP)
        return udp_parse(f, view);
    if (ip->next == IP_ICMPV6)
        return nd_parse(f, view);
    if (ip->next == IPV6_FRAGMENT)
        return PACKET_FRAGMENT;
    /* A query goes to a group; whatever else has options is no business of ours. */
    if (ip->next == IPV6_HOP_BY_HOP && ip_is_group(&f->to, true))
        return mld_parse(f, view);
    return is_extension(ip->next) ? PACKET_IPV6_EXTENSION : PACKET_PROTOCOL_OTHER;
}

/* Take the tag off, if it is ours. VLAN 0 is no VLAN: such a tag only carries a priority. */
static enum packet_verdict vlan_parse(struct frame *f, uint16_t *type)
{
    const struct vlan_tag *tag = (const void *)f->at;
    uint32_t id = f->flags & PACKET_UNTAGGED ? f->flags >> 16 & VLAN_ID_MASK : 0;

    if (*type == ETH_VLAN) {
        if (f->flags & PACKET_UNTAGGED)
            return PACKET_VLAN_OTHER;
        if (frame_left(f) < sizeof(*tag))
            return PACKET_SHORT_VLAN;
        f->at += sizeof(*tag);
        id = be16_get(tag->tci) & VLAN_ID_MASK;
        *type = be16_get(tag->type);
    }
    return id == f->local->vlan_id ? PACKET_OURS : PACKET_VLAN_OTHER;
}

static enum packet_verdict ethernet_parse(struct frame *f, struct packet_view *view)
{
    uint16_t type = be16_get(f->eth->type);
    enum packet_verdict verdict;

    if (!mac_is_group(&f->eth->to) && !mac_equal(&f->eth->to, &f->local->mac))
        return PACKET_MAC_OTHER;
    if (!mac_is_station(&f->eth->from))
        return PACKET_MAC_BAD;
    f->at += sizeof(*f->eth);
    if ((verdict = vlan_parse(f, &type)) != PACKET_OURS)
        return verdict;
    if (type == (f->local->v6 ? ETH_IPV6 : ETH_IPV4))
        return f->local->v6 ? ipv6_parse(f, view) : ipv4_parse(f, view);
    return type == ETH_ARP && !f->local->v6 ? arp_parse(f, view) : PACKET_TYPE_OTHER;
}

enum packet_verdict packet_parse(const struct packet_local *local, const uint8_t *packet,
                                 uint32_t bytes, uint32_t flags, struct packet_view *view)
{
    struct frame f = {
        .local = local,
        .eth = (const void *)packet,
        .at = packet,
        .end = packet + bytes,
        .flags = flags,
    };

    return bytes < sizeof(*f.eth) ? PACKET_SHORT_ETHERNET : ethernet_parse(&f, view);
}
