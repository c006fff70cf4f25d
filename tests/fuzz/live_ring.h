/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_FUZZ_LIVE_RING_H
#define TESTS_FUZZ_LIVE_RING_H

/*
 * live_ring.h - one ring that runs, with a fuzzer in the place of all other nodes, of the disk and
 * of the clock.
 *
 * A script lets time pass, submits messages, lets the others do what honest nodes would do next,
 * and puts lies among it: frames of the subject's type with some fields changed, or any bytes.
 *
 * Claims, whatever the others say:
 *   L1  ring_check() holds after every call, and the calls it asks for come to an end
 *   L2  what is sent, others accept: wire_check(), and no larger than the largest frame. The token
 *       seq of our tokens never goes back on a ring
 *   L3  no COMMIT, token or ordered frame goes out under a ring seq that is not on disk
 *   L4  deliveries: frames of a ring ascend, a regular configuration is the first of its call,
 *       follows a transitional one, has us in it, and an id above all before
 *   L5  when the others fall silent we are alone in a ring within a bounded time, and every message
 *       we took is delivered to us exactly once, in order
 *   L6  when all is over every frame is back in its pool
 */
#include "input.h"
#include "ring/internal.h"

enum {
    LIVE_TAG = 0x5eed,
    LIVE_NODES = 4,
    LIVE_FRAME_BYTES = 1472,
    LIVE_RX_COUNT = 256,
    LIVE_TX_COUNT = 512,
    LIVE_MESSAGES_MAX = 200,
    LIVE_STEPS_MAX = 96,
    LIVE_REPLAYS = 8,
};

extern const uint32_t live_nodes[LIVE_NODES];

struct live_frame {
    _Alignas(CACHE_LINE_BYTES) uint8_t byte[LIVE_FRAME_BYTES];
    uint32_t bytes;
};

struct live {
    struct input in;
    struct zcb_pool tx_pool, rx_pool;
    struct ring *ring;
    struct ring_out out;
    uint64_t now_ns, disk_seq, disk_waits; /* disk_waits: asked for, and not written yet */
    bool disk_slow;
    uint32_t node_id;
    struct live_frame said[LIVE_REPLAYS]; /* by others, to be said again */
    uint32_t said_count;
    /* L2, L4, L5 */
    uint64_t token_seq;
    struct ring_id token_ring, delivered_ring, last_regular;
    uint64_t delivered_seq;
    bool transitional;
    uint32_t start[LIVE_MESSAGES_MAX + 1]; /* of messages, one behind the other */
    uint32_t submitted, delivered, delivered_bytes;
};

/* A node of live_nodes, gathering. */
void live_open(struct live *l, uint32_t node_id, const uint8_t *data, size_t size);

/* Honest frames only, until it is operational in a ring of all. */
void live_form(struct live *l);

/* The script to its end. Lies are mostly of type `subject`. */
void live_run(struct live *l, enum wire_type subject);

/* L5, L6 */
void live_close(struct live *l);

/* All of that, for a target: the first byte says which node, and whether a ring is formed before,
 * unless it always is. Returns 0. */
enum live_start { LIVE_FORMED, LIVE_FORMED_OR_NOT };
int live_fuzz(const uint8_t *data, size_t size, enum wire_type subject, enum live_start start);

/* Between live_ring.c and live_frames.c: */

/* What an honest node would say next: who, and how far it gets, says the script. */
void live_honest(struct live *l);
/* What an honest node might say, but for some fields. */
void live_lie(struct live *l, enum wire_type type);
/* A frame of a type, and all behind its head from the script. */
void live_raw(struct live *l, enum wire_type type);
void live_receive(struct live *l, const struct live_frame *frame, uint32_t from);

#endif
