/* SPDX-License-Identifier: BSD-3-Clause */
#include "check.h"

bool check_history(const struct history *h, struct verdict *v)
{
    return check_ring(h, v) && check_order(h, v) && check_views(h, v) && check_rings_told(h, v) &&
           check_delivery(h, v) && check_together(h, v);
}
