/* SPDX-License-Identifier: BSD-3-Clause */
#include "log_limit.h"

static bool same(const struct log_limit_place *a, const struct log_limit_place *b)
{
    return a->file == b->file && a->line == b->line && a->priority == b->priority;
}

/* Its own, or the one that was silent for longest. */
static struct log_limit_place *place_of(struct log_limit *limit, const struct log_limit_place *who)
{
    struct log_limit_place *oldest = &limit->place[0];
    for (int i = 0; i < LOG_LIMIT_PLACES; i++) {
        struct log_limit_place *place = &limit->place[i];
        if (same(place, who))
            return place;
        if (place->used_until_ns < oldest->used_until_ns)
            oldest = place;
    }
    *oldest = (struct log_limit_place){ who->file, who->line, who->priority, 0, 0 };
    return oldest;
}

bool log_limit_take(struct log_limit *limit, const struct log_limit_place *who, uint64_t now_ns,
                    uint32_t *left_out)
{
    struct log_limit_place *place = place_of(limit, who);
    uint64_t from_ns = max_u64(place->used_until_ns, now_ns);
    *left_out = place->left_out;
    if (from_ns - now_ns >= LOG_LIMIT_BURST * LOG_LIMIT_INTERVAL_NS) { /* G1 */
        place->left_out++;
        return false;
    }
    place->used_until_ns = from_ns + LOG_LIMIT_INTERVAL_NS;
    place->left_out = 0;
    return true;
}
