/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_SIM_SCALE_PEER_H
#define TESTS_SIM_SCALE_PEER_H

/*
 * peer.h - one node of a large cluster: the ring that the daemon runs, pools, and the least that
 * groups do.
 *
 * Payload is not carried. A packet has what a receiver's ring reads, heads and chunk tables, and
 * the first PACKET_PAYLOAD_BYTES of payload, where messages have their number; so 128 nodes fit one
 * process, and as with the daemon nobody looks at the rest.
 *
 * Knows:      pools, the exchange that opens the gate, numbered messages, who delivered what.
 * Knows not:  time, cost, the way packets take.
 * Invariants: L1  what a peer delivers of each sender has no gap and no repetition
 *             L2  the n-th frame of a configuration is the same at all peers (struct peer_log)
 */

#include "ring.h"
#include "zcb.h"

enum {
    PACKET_HEAD_BYTES = 1024,
    PACKET_PAYLOAD_BYTES = 16,
    PEER_SLOT_BYTES = 1088,
    PEER_SYNC_BYTES = 32,
    PEER_PORT = 1,
};

/* A frame on its way, shared by all who receive it. */
struct packet {
    struct packet *next;
    uint32_t refs;
    uint32_t dest;  /* as in struct zcb */
    uint32_t bytes; /* the whole frame, as it is on the wire */
    uint32_t kept;  /* of these, in `head` */
    uint8_t head[PACKET_HEAD_BYTES + PACKET_PAYLOAD_BYTES];
};

struct packet_pool {
    struct packet *free;
    uint64_t live;
};

/* What the first peer to deliver something delivered: the others must do the same. */
struct peer_log {
    struct ring_id ring_id;
    uint64_t *place; /* sender << 40 | seq */
    uint64_t count, capacity;
};

struct peer_config {
    uint32_t id;
    int nodes; /* configured: ids 1 to nodes */
    uint32_t frame_bytes_max, rx_frames, tx_frames;
    uint32_t window_frames, personal_frames; /* 0: the ring tunes itself */
    uint64_t detect_ns, incarnation, ring_seq;
    bool park, fan_out;
    struct peer_log *log;
};

struct peer {
    struct peer_config config;
    struct ring *ring;
    void *memory;
    struct zcb_arena tx_arena, rx_arena;
    struct zcb_pool tx_pool, rx_pool;
    uint8_t *payload; /* what its client sends from, round and round */
    uint32_t payload_at;
    uint64_t submitted; /* messages, of its one client */
    uint64_t next_number[NODE_COUNT_MAX];
    uint64_t delivered_messages, delivered_frames, delivered_bytes, delivered_own;
    uint64_t log_at;
    /* the exchange */
    struct ring_id ring_id;
    int member_count;
    uint32_t member[NODE_COUNT_MAX], sync_have;
    bool gate, sync_due;
    uint8_t sync[PEER_SYNC_BYTES];
    uint64_t retained, released;
};

struct packet *packet_make(struct packet_pool *pool, const struct zcb *frame);
void packet_drop(struct packet_pool *pool, struct packet *packet);
void packet_pool_free(struct packet_pool *pool);
uint8_t packet_type(const struct packet *packet); /* enum wire_type */

void peer_start(struct peer *p, const struct peer_config *config, uint64_t now_ns);
void peer_stop(struct peer *p); /* without a word; leaves nothing behind */

/* A packet in a receive frame; NULL: none is free. */
struct zcb *peer_take_in(struct peer *p, const struct packet *packet);
/* Groups and clients take one delivery: counts, checks L1 and L2, drops its reference. Returns the
 * messages that ended in it. */
uint32_t peer_deliver(struct peer *p, const struct ring_delivery *delivery);
/* The control message that is due after a configuration. True: one was submitted. */
bool peer_sync(struct peer *p);
/* A message of the client; bytes >= 8. False: the backlog is full. */
bool peer_submit(struct peer *p, uint32_t bytes, uint8_t guarantee);

#endif
