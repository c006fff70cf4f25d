/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SYSTEM_ERRORS_H
#define SYSTEM_ERRORS_H

/*
 * errors.h - the table of answers that dead handles and dead services have in common.
 *
 *   errors.c           handles and arguments
 *   errors_groups.c    joining, leaving, sending, asking
 *   errors_zcb.c       zero-copy buffers: Z1 to Z8
 *   errors_lost.c      the service is gone: S1 to S4
 */

#include "member.h"

struct answers {
    cs_error_t service; /* of calls that need the service */
    cs_error_t alone;   /* of calls that the library answers by itself */
};

/* Every function of a handle but finalize and what takes a buffer or an iteration. */
void expect_answers(cpg_handle_t h, const struct answers *answers);

#endif
