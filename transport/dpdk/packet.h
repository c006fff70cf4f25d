/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TRANSPORT_DPDK_PACKET_H
#define TRANSPORT_DPDK_PACKET_H

/*
 * packet.h - a frame of ours as a packet on an ethernet: UDP over IPv4 or IPv6, with or without a
 * tag of 802.1Q. Heads out by a prepared template, packets in with a verdict each.
 *
 * Knows:      what this port is (struct packet_local), headers, lengths, checksums, what a packet
 *             is that came in: ours, one that must be answered, or why it is neither.
 * Knows not:  cards, buffers, time; no call allocates or makes a system call.
 * Invariants: P1  packet_parse() reads no byte outside the packet, whatever it says
 *             P2  what a template makes, the parser of its destination takes for ours
 *             P3  of a packet found ours, all bytes of its heads follow from packet_local and the
 *                 view, but those a sender or a router may choose: priority, class and ECN, flow
 *                 label, IPv4 id and don't-fragment, hops
 *             P4  the length is what IP and UDP say: bytes behind are the padding of short frames
 *             P5  fragments, IPv4 options and IPv6 extension headers are refused: nobody puts them
 *                 on a frame of ours, which never exceeds the link. (Queries for group members are
 *                 the exception: they carry a router alert.)
 *             P6  a MAC that a view names is one a machine can have
 * Thread:     init: control thread. All others: poll core.
 */

#include <sys/uio.h>

#include "headers.h"
#include "peer_map.h"

enum {
    PACKET_HEAD_ROOM = 72, /* in front of the payload: written in full by packet_stamp() */
    PACKET_HEAD_BYTES_MAX = 14 + 4 + 40 + 8,
    PACKET_CONTROL_ROOM = 128, /* for an answer to a neighbour or a report: written in full */
    PACKET_V4_PAYLOAD_MAX = 65535 - 20 - 8,
    PACKET_V6_PAYLOAD_MAX = 65535 - 8, /* IPv6 does not count its own header */
};

enum packet_checksum {                         /* of UDP, in packets we send */
                       PACKET_CHECKSUM_FULL,   /* summed here */
                       PACKET_CHECKSUM_PSEUDO, /* the card sums; it wants the pseudo header's sum in
                                                  the field */
                       PACKET_CHECKSUM_NONE,   /* zero: IPv4 only */
};

/* What this port is. The first part is the caller's, packet_local_init() makes the second. */
struct packet_local {
    struct ip_address ip;
    struct ip_address group; /* zero: none */
    struct mac mac;
    uint16_t port; /* UDP, to receive on and to send from */
    uint16_t group_port;
    uint16_t vlan_id; /* 0: untagged */
    bool v6;
    bool zero_checksum; /* IPv4 peers may leave out the UDP checksum */
    enum packet_checksum checksum;
    const struct peer_map *peers;

    struct ip_address link_local; /* IPv6: by which we report to routers */
    struct mac group_mac;
    bool has_group;
};

/* Errors: -EINVAL an address, MAC, port or id that cannot be, or no checksum with IPv6 */
int packet_local_init(struct packet_local *local);

enum { PACKET_MACS_MAX = 4 };

/* Groups of the link this port must hear. Gives their count. Shapes: list[PACKET_MACS_MAX] */
int packet_local_macs(const struct packet_local *local, struct mac *list);

/* The MAC that a multicast group is mapped to: 01:00:5e:... or 33:33:... */
struct mac packet_group_mac(const struct ip_address *group, bool v6);

/* Where a template leads. */
struct packet_route {
    struct ip_address ip;
    struct mac mac; /* not looked at for a group: mapped */
    uint16_t port;
    uint8_t hops;     /* IPv4 calls it time to live */
    uint8_t dscp;     /* 0 to 63 */
    uint8_t priority; /* 802.1Q, 0 to 7; 0 without a tag */
};

struct packet_template {
    uint8_t head[PACKET_HEAD_ROOM]; /* ends at its end: UDP's 8 bytes are the last */
    uint64_t ip_sum;                /* of the IPv4 header without length and checksum */
    uint64_t pseudo_sum;            /* of addresses and protocol */
    uint64_t ports_sum;             /* of UDP's header without length and checksum */
    uint32_t payload_bytes_max;
    uint8_t head_bytes; /* of the whole head */
    uint8_t l2_bytes;   /* Ethernet and tag; the card wants to know for offloads */
    uint8_t l3_bytes;
    bool v6;
    enum packet_checksum checksum;
};

/* Errors: -EINVAL a field out of range, an address that is no machine's and no group's */
int packet_template_init(struct packet_template *t, const struct packet_local *local,
                         const struct packet_route *to);

/* The machine moved. */
void packet_template_mac(struct packet_template *t, const struct mac *mac);

/**
 * Write the head of one packet in front of its payload; it begins at payload - t->head_bytes. The
 * UDP checksum is done with PSEUDO and NONE; FULL needs packet_sum() too.
 *
 * Shapes:  payload[-PACKET_HEAD_ROOM..0) is overwritten, payload[0..) not looked at
 */
void packet_stamp(const struct packet_template *t, uint8_t *payload, uint32_t payload_bytes);

/**
 * Sum the payload and complete a stamped head.
 *
 * Shapes:  piece[count] are the payload, in order
 */
void packet_sum(const struct packet_template *t, uint8_t *payload, const struct iovec *piece,
                int count);

/* X(verdict, name of its counter, meaning) */
#define PACKET_VERDICTS(X)                                                                     \
    X(OURS, "ours", "a frame of a peer: view's payload, source, to_group")                     \
    X(NEIGHBOUR_ASKS, "neighbour_asks", "for our MAC: view.neighbour, answer it")              \
    X(NEIGHBOUR_TELLS, "neighbour_tells", "its own MAC: view.neighbour, and source if a peer") \
    X(GROUP_QUERY, "group_query", "whether we are in our group: view.query, report after it")  \
    X(MAC_OTHER, "mac_other", "to another MAC, or to one that does not go with the IP")        \
    X(VLAN_OTHER, "vlan_other", "of another VLAN, or a tag too many or too few")               \
    X(TYPE_OTHER, "type_other", "neither our family of IP nor what it needs")                  \
    X(IP_OTHER, "ip_other", "to another IP address")                                           \
    X(PROTOCOL_OTHER, "protocol_other", "neither UDP nor what we answer")                      \
    X(PORT_OTHER, "port_other", "to another UDP port")                                         \
    X(NEIGHBOUR_OTHER, "neighbour_other", "says nothing of use about anybody's MAC")           \
    X(GROUP_OTHER, "group_other", "a query for a group we are not in")                         \
    X(OWN, "own", "sent by ourselves and come back")                                           \
    X(SOURCE_UNKNOWN, "source_unknown", "from an address and port that are no peer's")         \
    X(ADDRESS_CONFLICT, "address_conflict", "another machine uses our IP address")             \
    X(FRAGMENT, "fragment", "P5")                                                              \
    X(IPV4_OPTIONS, "ipv4_options", "P5")                                                      \
    X(IPV6_EXTENSION, "ipv6_extension", "P5")                                                  \
    X(SHORT_ETHERNET, "short_ethernet", "ends in the Ethernet header")                         \
    X(SHORT_VLAN, "short_vlan", "ends in the tag")                                             \
    X(SHORT_IP, "short_ip", "ends before IP says")                                             \
    X(SHORT_UDP, "short_udp", "ends in the UDP header")                                        \
    X(SHORT_CONTROL, "short_control", "ends in ARP, neighbour discovery or a query")           \
    X(MAC_BAD, "mac_bad", "from a MAC no machine has")                                         \
    X(IP_VERSION, "ip_version", "the version denies the Ethernet type")                        \
    X(IP_LENGTH, "ip_length", "lengths that contradict")                                       \
    X(UDP_LENGTH, "udp_length", "another length than IP's")                                    \
    X(HOPS, "hops", "from beyond the link, where only neighbours may speak")                   \
    X(CONTROL_BAD, "control_bad", "ARP, neighbour discovery or a query with a field amiss")    \
    X(IP_CHECKSUM, "ip_checksum", "of the IPv4 header")                                        \
    X(UDP_CHECKSUM, "udp_checksum", "of the datagram")                                         \
    X(UDP_UNSUMMED, "udp_unsummed", "zero, and that is not allowed here")                      \
    X(CONTROL_CHECKSUM, "control_checksum", "of ICMPv6 or IGMP")

enum packet_verdict {
#define X(verdict, name, meaning) PACKET_##verdict,
    PACKET_VERDICTS(X)
#undef X
        PACKET_VERDICT_COUNT
};
extern const char *const packet_verdict_name[PACKET_VERDICT_COUNT];

/* Somebody on the link, by what it said of itself. */
struct neighbour {
    struct ip_address ip;    /* zero: it has none yet, and asks whether it may take ours */
    struct ip_address asked; /* which address of ours */
    struct mac mac;          /* to answer to */
    bool teaches;            /* ip is at mac: it said so */
};

struct group_query {
    uint64_t delay_ns_max; /* report after a random part of it */
    uint8_t version;       /* 1 to 3 of IGMP, 1 or 2 of MLD: report in the same */
};

struct packet_view {
    const uint8_t *payload; /* OURS */
    uint32_t payload_bytes;
    uint8_t source;         /* OURS, NEIGHBOUR_: index in peers; PEER_NONE: a stranger */
    bool to_group;          /* OURS */
    const struct mac *from; /* OURS: in the packet, what peer_map_learn() wants */
    struct neighbour neighbour;
    struct group_query query;
};

/* What the card has done already: flags of packet_parse(). */
enum {
    PACKET_IP_CHECKED = 1,  /* IPv4 header checksum found good */
    PACKET_UDP_CHECKED = 2, /* UDP checksum found good; a zero one is still refused */
    PACKET_UNTAGGED = 4,    /* took the tag off; it is in bits 16 to 31 */
};

static inline uint32_t packet_untagged(uint16_t tci)
{
    return PACKET_UNTAGGED | (uint32_t)tci << 16;
}

/**
 * Judge one packet. Only the members of the view that the verdict names are written.
 *
 * Shapes:  packet[bytes], in one piece, from the destination MAC, without the card's checksum
 * Owner:   the view points into the packet
 */
enum packet_verdict packet_parse(const struct packet_local *local, const uint8_t *packet,
                                 uint32_t bytes, uint32_t flags, struct packet_view *view);

#endif
