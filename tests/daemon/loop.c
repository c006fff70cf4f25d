/* SPDX-License-Identifier: BSD-3-Clause */
#include "loop.h"

#include <qb/qbloop.h>

struct qb_loop *loop_create(void)
{
    return qb_loop_create();
}

void loop_destroy(struct qb_loop *loop)
{
    qb_loop_destroy(loop);
}
