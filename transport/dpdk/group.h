/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TRANSPORT_DPDK_GROUP_H
#define TRANSPORT_DPDK_GROUP_H

/*
 * group.h - telling switches and routers that this port wants the frames of its multicast group:
 * IGMP (RFC 1112, 2236, 3376) and MLD (RFC 2710, 3810).
 *
 * Knows:      reports of one group without sources, in every version, and queries for them.
 * Knows not:  time. Its caller reports when the port comes up and once more a moment later (a
 *             report may be lost and none is confirmed), then answers each GROUP_QUERY after a
 *             random part of query.delay_ns_max, in query.version, until the port closes.
 * Invariants: G1  a query of MLD comes from the link (a link-local address, one hop) and carries
 *                 a router alert, or it is refused (RFC 3810, 6.2). IGMP asks for no such proof
 *                 of a listener; a report too many does no harm
 *             G2  the sources that a query names change nothing: we listen to all
 */

#include "packet.h"

enum group_news {
    GROUP_JOINED,
    GROUP_STAYS, /* the answer to a query */
    GROUP_LEFT,
};

enum { GROUP_VERSION_NEWEST = 0 };

/**
 * Gives the length of the report in packet[PACKET_CONTROL_ROOM]; 0: the version has none (IGMPv1
 * leaves without a word), or the port has no group.
 */
uint32_t group_report(const struct packet_local *local, enum group_news news, uint8_t version,
                      uint8_t *packet);

/* By family; group_report() chooses. */
uint32_t igmp_report(const struct packet_local *local, enum group_news news, uint8_t version,
                     uint8_t *packet);
uint32_t mld_report(const struct packet_local *local, enum group_news news, uint8_t version,
                    uint8_t *packet);

/* Kinds of record in the newest versions, the same in IGMPv3 and MLDv2: what "not without these
 * sources" is called when there are none. */
enum {
    RECORD_IS_EXCLUDE = 2,
    RECORD_TO_INCLUDE = 3,
    RECORD_TO_EXCLUDE = 4,
};

static inline uint8_t group_record(enum group_news news)
{
    static const uint8_t record[] = {
        [GROUP_JOINED] = RECORD_TO_EXCLUDE,
        [GROUP_STAYS] = RECORD_IS_EXCLUDE,
        [GROUP_LEFT] = RECORD_TO_INCLUDE,
    };
    return record[news];
}

/* Delays of the newest versions: small ones are plain, large ones have an exponent of three bits
 * below a leading one, and `bits` of mantissa. */
static inline uint32_t group_delay(uint32_t code, uint32_t bits)
{
    uint32_t mantissa = code & ((1U << bits) - 1);

    if (code >> (bits + 3) == 0)
        return code;
    return (mantissa | 1U << bits) << ((code >> bits & 7) + 3);
}

#endif
