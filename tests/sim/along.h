/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_SIM_ALONG_H
#define TESTS_SIM_ALONG_H

/*
 * along.h - who went with whom from one ring event to the next, as the rings tell.
 *
 * Between two that clients are told of there may be rings that nobody was told of, because the
 * exchange of members did not come to its end. Who went along was in the transitional
 * configuration of every one of them.
 */
#include "history.h"

/* A ring of id 0 is before the first. Nodes, one bit each; 0: the life knows no such way. */
uint64_t history_along(const struct history *h, uint32_t life, struct ring_id from,
                       struct ring_id to);

#endif
