/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef DAEMON_VIEWS_H
#define DAEMON_VIEWS_H

/*
 * views.h - views and ring events as clients read them: written once into RX slots and lent to all
 * who get the same bytes.
 *
 * Knows:      layouts of struct chan_view and struct chan_ring.
 * Knows not:  why a view is due.
 */

#include "deliver.h"
#include "groups.h"

/* To every local member; who begins or ends its membership gets a copy that says so. */
void view_deliver(struct deliver *d, const struct groups_view *view);

/* What a ring event says, written once; 0: no room even after relief. */
struct ring_event {
    struct chan_event event;
    loan_word loan; /* held once by the maker: ring_event_drop() */
};
struct ring_event ring_event_make(struct deliver *d, struct ring_id ring_id,
                                  const uint32_t *members, int count, uint8_t flags);
void ring_event_give(struct deliver *d, struct outlet *o, const struct ring_event *ring);
void ring_event_drop(struct deliver *d, struct ring_event *ring);

#endif
