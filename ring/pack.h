/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef RING_PACK_H
#define RING_PACK_H

/*
 * pack.h - from messages to frames: packing, fragmentation, and what waits for the token.
 *
 * Three lanes. Small messages join the open frame at the end of the backlog, whose frames are
 * ready as they stand. Bulk messages wait in line and are cut into frames when they are taken, one
 * message after the other. Urgent control messages wait as messages too; they go first, and pass a
 * closed gate. A message over bulk_free_bytes is always the last in line, so that it gives the
 * token's permission back when it ends.
 *
 * Knows:      messages, the frame table and payload layout of wire.h, the tx pool.
 * Knows not:  the ring's id, places and windows: wire_data_finish() writes those into what
 *             pack_take() gives.
 * Invariants: B1  a frame made here is frame_bytes_max - WIRE_RECOVERY_EXTRA_BYTES at most
 *             B2  frames carry the messages of one port in the order submitted: a bulk message
 *                 starts when all frames that were there before it are taken, and small messages
 *                 of its port are refused until its last piece is
 *             B3  payload of each message not wholly taken is retained, by a frame or by its lane
 *             B4  all messages of a frame are SAFE, or none is
 *             B5  payload_bytes of a frame is the sum of its slices, every slice but the last is a
 *                 multiple of WIRE_PAYLOAD_ALIGN long, and a piece lies within one slice
 *             B6  at most one bulk message is partly taken, the first in line
 * Thread:     poll core.
 */

#include "ring.h"
#include "wire.h"
#include "zcb.h"

enum {
    PACK_BACKLOG_MAX = 256,                 /* frames; with a full one ring_submit() says -EAGAIN */
    PACK_URGENT_MAX = 8,                    /* urgent messages waiting */
    PACK_BULK_MAX = 128,                    /* bulk ones: each has two frames, so a full backlog */
    PACK_PORT_CLASSES = 64,                 /* of ports with bulk, so that few need be looked for */
    PACK_RESERVE = RING_TX_RESERVE,         /* frames of the tx pool left to urgent messages */
    PACK_RESERVE_URGENT = PACK_RESERVE / 3, /* left by those to tokens, joins and recovery */
};
static_assert(RING_CONTROL_BYTES_MAX + sizeof(struct wire_recovery) + sizeof(struct wire_chunk) <=
                  RING_FRAME_BYTES_LEAST,
              "promised in ring.h");

/* A message that is cut as it is taken. Its cookie is retained for it. */
struct pack_whole {
    struct ring_message message;
    uint32_t done;        /* bytes taken */
    uint32_t frames_left; /* that it still needs */
    uint64_t fence;       /* bulk: so many frames of the backlog go before its first piece: B2 */
};

/* A frame being filled. Payload that lies at `end`, in `arena`, makes the last slice longer. */
struct pack_open {
    struct zcb *frame;  /* NULL: none */
    uint32_t used;      /* of room_bytes: chunk table and payload, rounded up */
    uint32_t arena;     /* of the last slice */
    bool counted;       /* the last slice has a cookie */
    bool safe;          /* all its messages are: B4 */
    const uint8_t *end; /* NULL: the last slice is a control message's, or there is none */
};

struct pack {
    struct zcb_pool *pool;
    uint32_t room_bytes;  /* of one frame, for chunk table and payload: B1 */
    uint32_t piece_bytes; /* of these, with one chunk; a message of more is bulk */
    uint32_t bulk_free_bytes;

    struct zcb *first, *last; /* backlog, oldest first, linked by zcb.next */
    uint32_t frame_count;
    uint64_t frames_begun; /* since pack_init(): all but frame_count of them are taken */
    struct pack_open open; /* its frame is `last` */

    bool bulk_turn; /* of two lanes that wait, bulk is next */
    uint32_t bulk_first, bulk_count;
    uint64_t bulk_frames; /* that all of them still need */
    struct pack_whole bulk[PACK_BULK_MAX];
    uint8_t bulk_ports[PACK_PORT_CLASSES]; /* how many of them are of a port of that class */

    uint32_t urgent_first, urgent_count;
    struct pack_whole urgent[PACK_URGENT_MAX];

    uint64_t messages, pieces, bulk_restarts; /* taken so far; restarts counted for ever */
};

/* frame_bytes_max is at least RING_FRAME_BYTES_LEAST; the pool is as ring_config.tx_pool says;
 * larger messages than bulk_free_bytes ask for permission. */
void pack_init(struct pack *pack, struct zcb_pool *tx_pool, uint32_t frame_bytes_max,
               uint32_t bulk_free_bytes);

/**
 * Take a message, as ring_submit() does.
 *
 * Errors:  -EAGAIN backlog or tx pool full, or too many urgent ones. -EBUSY small, and bulk of its
 *          port waits; or bulk, and the line is full or ends with a message that needs permission.
 *          Nothing was taken
 */
int pack_submit(struct pack *pack, const struct ring_message *message);

/* Frames that wait, all lanes and whatever the gate says; capped at PACK_BACKLOG_MAX a lane. */
uint32_t pack_backlog(const struct pack *pack);

/* Frames that pack_take() would give with these arguments, if the tx pool lasts (same cap). */
uint32_t pack_ready(const struct pack *pack, bool gate_open, bool bulk_allowed);

/**
 * The next frame to be given a place, chunk table and payload complete: wire_data_finish() it. The
 * open frame is taken as it is.
 *
 * Shapes:  gate_open false: urgent messages only. bulk_allowed false: bulk waits; matters only
 *          above bulk_free_bytes
 * Owner:   the caller's ZCB_HELD_RING reference; NULL when nothing can go now
 */
struct zcb *pack_take(struct pack *pack, bool gate_open, bool bulk_allowed);

/* The ring ended: a message some of whose pieces, but not the last, were taken begins again. Says
 * whether the bulk message was one of them. */
bool pack_bulk_restart(struct pack *pack);

/* The first bulk message in line, taken in part or next; all zero: none. */
static inline const struct ring_message *pack_bulk(const struct pack *pack)
{
    return &pack->bulk[pack->bulk_first].message;
}

/* Its bytes. Above bulk_free_bytes: ask the token. */
static inline uint32_t pack_bulk_bytes(const struct pack *pack)
{
    return pack_bulk(pack)->payload.bytes;
}

/* Let everything go that waits. */
void pack_clear(struct pack *pack);

/* B1 to B6, by looking at everything; aborts when one is broken. */
void pack_check(const struct pack *pack);

#endif
