/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_LOOP_H
#define TESTS_LOOP_H

/* loop.h - the control thread's loop, for tests that do not name the library it comes from. */

struct qb_loop *loop_create(void);
void loop_destroy(struct qb_loop *loop);

#endif
