/* SPDX-License-Identifier: BSD-3-Clause */
#include "group.h"
#include "control.h"
#include "frame.h"

enum {
    IGMP_QUERY = 0x11,
    IGMP_REPORT_V1 = 0x12,
    IGMP_REPORT_V2 = 0x16,
    IGMP_LEAVE_V2 = 0x17,
    IGMP_REPORT_V3 = 0x22,
};

struct igmp { /* all of versions 1 and 2, and where a query of version 3 begins */
    uint8_t type;
    uint8_t delay_code; /* in 100 ms */
    uint8_t checksum[2];
    uint8_t group[IPV4_BYTES];
};

struct igmp_query { /* version 3; sources behind it */
    struct igmp head;
    uint8_t flags, interval;
    struct be16 source_count;
};

struct igmp_report { /* version 3, of one record without sources */
    uint8_t type, zero;
    uint8_t checksum[2];
    struct be16 zero2, record_count;
    uint8_t record, aux_words;
    struct be16 source_count;
    uint8_t group[IPV4_BYTES];
};
static_assert(sizeof(struct igmp) == 8 && sizeof(struct igmp_query) == 12, "H1");
static_assert(sizeof(struct igmp_report) == 16, "H1");

static const uint8_t all_hosts[] = { 224, 0, 0, 1 };
static const uint8_t all_routers[] = { 224, 0, 0, 2 };
static const uint8_t report_routers[] = { 224, 0, 0, 22 };

/* Versions are told apart by length, and 1 from 2 by a delay (RFC 3376, 7.1). 0: neither. */
static uint8_t query_version(const struct igmp *igmp, size_t bytes)
{
    const struct igmp_query *query = (const void *)igmp;

    if (bytes == sizeof(*igmp))
        return igmp->delay_code == 0 ? 1 : 2;
    if (bytes < sizeof(*query) ||
        bytes < sizeof(*query) + be16_get(query->source_count) * (size_t)IPV4_BYTES)
        return 0;
    return 3;
}

static uint64_t query_delay_ns(const struct igmp *igmp, uint8_t version)
{
    uint32_t tenths = igmp->delay_code;

    if (version == 1)
        tenths = 100; /* RFC 1112: ten seconds, not said */
    else if (version == 3)
        tenths = group_delay(tenths, 4);
    return tenths * 100 * NS_PER_MS;
}

static bool may_hear(const struct frame *f)
{
    const struct packet_local *local = f->local;

    return memcmp(f->to.byte, all_hosts, sizeof(all_hosts)) == 0 || ip_equal(&f->to, &local->ip) ||
           (local->has_group && ip_equal(&f->to, &local->group));
}

enum packet_verdict igmp_parse(struct frame *f, struct packet_view *view)
{
    const struct igmp *igmp = (const void *)f->at;
    struct ip_address group;
    uint8_t version;

    if (!may_hear(f))
        return PACKET_IP_OTHER;
    if (frame_left(f) < sizeof(*igmp))
        return PACKET_SHORT_CONTROL;
    if (igmp->type != IGMP_QUERY)
        return PACKET_PROTOCOL_OTHER;
    if (!checksum_is_good(checksum_add(0, f->at, frame_left(f))))
        return PACKET_CONTROL_CHECKSUM;
    version = query_version(igmp, frame_left(f));
    if (version == 0)
        return PACKET_CONTROL_BAD;
    group = ip_address_of(igmp->group, false);
    if (!f->local->has_group || (!ip_is_zero(&group) && !ip_equal(&group, &f->local->group)))
        return PACKET_GROUP_OTHER;
    view->query =
        (struct group_query){ .version = version, .delay_ns_max = query_delay_ns(igmp, version) };
    return PACKET_GROUP_QUERY;
}

static struct control igmp_control(const struct packet_local *local, const uint8_t *to)
{
    struct ip_address ip = ip_address_of(to, false);

    return (struct control){
        .local = local,
        .to = packet_group_mac(&ip, false),
        .ip = { .from = local->ip.byte,
                .to = to,
                .protocol = IP_IGMP,
                .hops = 1,
                .dscp = IP_CONTROL_DSCP,
                .alert = true },
    };
}

/* A report of versions 1 and 2 goes to the group itself, where other members hear it. */
static uint32_t report_old(const struct packet_local *local, enum group_news news, uint8_t version,
                           uint8_t *packet)
{
    bool leave = news == GROUP_LEFT;
    struct control c = igmp_control(local, leave ? all_routers : local->group.byte);
    struct igmp *igmp;

    if (leave && version == 1)
        return 0;
    igmp = (void *)control_begin(packet, &c);
    igmp->type = version == 1 ? IGMP_REPORT_V1 : leave ? IGMP_LEAVE_V2 : IGMP_REPORT_V2;
    memcpy(igmp->group, local->group.byte, IPV4_BYTES);
    return control_end(packet, &c, (const uint8_t *)(igmp + 1));
}

uint32_t igmp_report(const struct packet_local *local, enum group_news news, uint8_t version,
                     uint8_t *packet)
{
    struct control c = igmp_control(local, report_routers);
    struct igmp_report *igmp;

    if (version == 1 || version == 2)
        return report_old(local, news, version, packet);
    igmp = (void *)control_begin(packet, &c);
    igmp->type = IGMP_REPORT_V3;
    igmp->record_count = be16_of(1);
    igmp->record = group_record(news);
    memcpy(igmp->group, local->group.byte, IPV4_BYTES);
    return control_end(packet, &c, (const uint8_t *)(igmp + 1));
}
