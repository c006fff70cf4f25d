/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef DAEMON_DELIVER_MESSAGE_H
#define DAEMON_DELIVER_MESSAGE_H

/*
 * deliver_message.h - what deliver.c and deliver_pieces.c share: the event of a message, which
 * comes whole in a frame or in pieces.
 */

#include "deliver.h"

static inline struct chan_event message_event(const struct member *sender, uint32_t bytes)
{
    return (struct chan_event){
        .kind = CHAN_MESSAGE,
        .bytes = bytes,
        .lease = CHAN_LEASE_NONE,
        .nodeid = sender->node_id,
        .pid = sender->pid,
    };
}

static inline void count_out(struct deliver *d, struct outlet *o, uint32_t bytes)
{
    d->frame_events++;
    o->messages++;
    o->bytes += bytes;
    d->stats->messages_out++;
    d->stats->bytes_out += bytes;
}

/* One piece of a message that does not lie in one frame; with its last the message is given. */
void deliver_part(struct deliver *d, const struct member *sender, struct partial *partial,
                  const struct ring_piece *piece);

#endif
