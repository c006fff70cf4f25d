/* SPDX-License-Identifier: BSD-3-Clause */
#include "along.h"

uint64_t history_along(const struct history *h, uint32_t life, struct ring_id from,
                       struct ring_id to)
{
    const struct hist_life *l = &h->lives.at[life];
    uint64_t along = UINT64_MAX;
    bool counting = from.seq == 0;
    for (uint32_t i = 0; i < l->log.count; i++) {
        const struct hist_delivery *d = &l->log.at[i];
        if (d->kind == RING_DELIVER_TRANSITIONAL && counting)
            along &= d->content;
        if (d->kind != RING_DELIVER_REGULAR)
            continue;
        if (counting && ring_id_equal(d->ring_id, to))
            return along;
        counting = counting || ring_id_equal(d->ring_id, from);
    }
    return 0;
}
