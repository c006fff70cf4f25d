/* SPDX-License-Identifier: BSD-3-Clause */
#include "group.h"

uint32_t group_report(const struct packet_local *local, enum group_news news, uint8_t version,
                      uint8_t *packet)
{
    if (!local->has_group)
        return 0;
    return local->v6 ? mld_report(local, news, version, packet)
                     : igmp_report(local, news, version, packet);
}
