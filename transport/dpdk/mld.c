/* SPDX-License-Identifier: BSD-3-Clause */
#include "group.h"
#include "control.h"
#include "frame.h"

enum {
    MLD_QUERY = 130,
    MLD_REPORT_V1 = 131,
    MLD_DONE_V1 = 132,
    MLD_REPORT_V2 = 143,
    OPTION_PAD1 = 0, /* the only one without a length */
};

struct mld { /* all of version 1, and where a query of version 2 begins */
    uint8_t type, code;
    uint8_t checksum[2];
    struct be16 delay_code; /* in milliseconds */
    struct be16 zero;
    uint8_t group[IPV6_BYTES];
};

struct mld_query { /* version 2; sources behind it */
    struct mld head;
    uint8_t flags, interval;
    struct be16 source_count;
};

struct mld_report { /* version 2, of one record without sources */
    uint8_t type, zero;
    uint8_t checksum[2];
    struct be16 zero2, record_count;
    uint8_t record, aux_words;
    struct be16 source_count;
    uint8_t group[IPV6_BYTES];
};

struct hop_by_hop {
    uint8_t next;
    uint8_t words; /* of 8 bytes, behind the first */
    uint8_t options[6];
};
static_assert(sizeof(struct mld) == 24 && sizeof(struct mld_query) == 28, "H1");
static_assert(sizeof(struct mld_report) == 28 && sizeof(struct hop_by_hop) == 8, "H1");

static const uint8_t all_routers[IPV6_BYTES] = { 0xff, 0x02, [15] = 2 };
static const uint8_t report_routers[IPV6_BYTES] = { 0xff, 0x02, [15] = 0x16 };

/* Is there a router alert for MLD among the options, which end where their header does? */
static bool options_alert(const uint8_t *at, const uint8_t *end)
{
    bool alert = false;

    while (at < end) {
        if (*at == OPTION_PAD1) {
            at++;
            continue;
        }
        if (end - at < 2 || end - at - 2 < at[1])
            return false;
        if (at[0] == ROUTER_ALERT_V6)
            alert = at[1] == 2 && at[2] == 0 && at[3] == 0;
        at += 2 + at[1];
    }
    return alert;
}

/* Past the extension header, if what is behind it can be MLD. */
static enum packet_verdict hop_by_hop_parse(struct frame *f, bool *alert)
{
    const struct hop_by_hop *head = (const void *)f->at;
    size_t bytes;

    if (frame_left(f) < sizeof(*head))
        return PACKET_SHORT_CONTROL;
    if (head->next != IP_ICMPV6)
        return PACKET_IPV6_EXTENSION;
    bytes = sizeof(*head) + head->words * (size_t)8;
    if (frame_left(f) < bytes)
        return PACKET_SHORT_CONTROL;
    *alert = options_alert(head->options, f->at + bytes);
    f->at += bytes;
    return PACKET_GROUP_QUERY;
}

/* Versions are told apart by length (RFC 3810, 8.1). 0: neither. */
static uint8_t query_version(const struct mld *mld, size_t bytes)
{
    const struct mld_query *query = (const void *)mld;

    if (bytes == sizeof(*mld))
        return 1;
    if (bytes < sizeof(*query) ||
        bytes < sizeof(*query) + be16_get(query->source_count) * (size_t)IPV6_BYTES)
        return 0;
    return 2;
}

static enum packet_verdict query_parse(const struct frame *f, const struct mld *mld,
                                       struct packet_view *view)
{
    struct ip_address group = ip_address_of(mld->group, true);
    uint8_t version = query_version(mld, frame_left(f));
    uint32_t delay_ms = be16_get(mld->delay_code);

    if (version == 0 || mld->code != 0)
        return PACKET_CONTROL_BAD;
    if (!f->local->has_group || (!ip_is_zero(&group) && !ip_equal(&group, &f->local->group)))
        return PACKET_GROUP_OTHER;
    if (version == 2)
        delay_ms = group_delay(delay_ms, 12);
    view->query = (struct group_query){ .version = version, .delay_ns_max = delay_ms * NS_PER_MS };
    return PACKET_GROUP_QUERY;
}

enum packet_verdict mld_parse(struct frame *f, struct packet_view *view)
{
    bool alert = false;
    enum packet_verdict verdict = hop_by_hop_parse(f, &alert);
    const struct mld *mld = (const void *)f->at;

    if (verdict != PACKET_GROUP_QUERY)
        return verdict;
    if (frame_left(f) < sizeof(*mld))
        return PACKET_SHORT_CONTROL;
    if (mld->type != MLD_QUERY)
        return PACKET_PROTOCOL_OTHER;
    if (f->hops != 1 || !ip_is_link_local_v6(&f->from))
        return PACKET_HOPS; /* G1 */
    if (!checksum_is_good(checksum_add(frame_pseudo_sum(f, IP_ICMPV6), f->at, frame_left(f))))
        return PACKET_CONTROL_CHECKSUM;
    return alert ? query_parse(f, mld, view) : PACKET_CONTROL_BAD;
}

/* From a link-local address: routers hear no other (RFC 3590). */
static struct control mld_control(const struct packet_local *local, const uint8_t *to)
{
    struct ip_address ip = ip_address_of(to, true);

    return (struct control){
        .local = local,
        .to = packet_group_mac(&ip, true),
        .ip = { .from = local->link_local.byte,
                .to = to,
                .protocol = IP_ICMPV6,
                .hops = 1,
                .dscp = IP_CONTROL_DSCP,
                .alert = true },
    };
}

/* A report of version 1 goes to the group itself, where other members hear it. */
static uint32_t report_old(const struct packet_local *local, enum group_news news, uint8_t *packet)
{
    bool leave = news == GROUP_LEFT;
    struct control c = mld_control(local, leave ? all_routers : local->group.byte);
    struct mld *mld = (void *)control_begin(packet, &c);

    mld->type = leave ? MLD_DONE_V1 : MLD_REPORT_V1;
    memcpy(mld->group, local->group.byte, IPV6_BYTES);
    return control_end(packet, &c, (const uint8_t *)(mld + 1));
}

uint32_t mld_report(const struct packet_local *local, enum group_news news, uint8_t version,
                    uint8_t *packet)
{
    struct control c = mld_control(local, report_routers);
    struct mld_report *mld;

    if (version == 1)
        return report_old(local, news, packet);
    mld = (void *)control_begin(packet, &c);
    mld->type = MLD_REPORT_V2;
    mld->record_count = be16_of(1);
    mld->record = group_record(news);
    memcpy(mld->group, local->group.byte, IPV6_BYTES);
    return control_end(packet, &c, (const uint8_t *)(mld + 1));
}
