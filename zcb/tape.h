/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef ZCB_TAPE_H
#define ZCB_TAPE_H

/*
 * tape.h - copies of frames for somebody who watches: an endless tape in an arena.
 *
 * The writer goes on over its oldest records, whoever reads: the reader maps the arena read-only,
 * and cannot even say how far it is. It copies a record and looks afterwards whether the writer had
 * laid claim to it meanwhile; what it came too late for is counted, by the records' numbers.
 *
 * Knows:      records, where they lie, which are lost to a reader.
 * Knows not:  what a frame says, files and the encapsulation of frames on a wire.
 * Invariants: T1  record n, from 0, lies in slot n % slot_count; `written` is how many there are
 *             T2  before record n is written over, `claimed` is above n + slot_count
 *             T3  a record that the reader gives out is whole, as it was written, and each comes
 *                 once, in order
 *             T4  records taken and lost are all up to the reader's place: next == taken + lost
 *             T5  the writer waits for nobody and reads nothing that anybody else writes
 * Thread:     one writer (poll core), any number of readers (other processes)
 */

#include <stdatomic.h>

#include "arena.h"
#include "pool.h"
#include "synchrotron/types.h"

enum {
    TAPE_MAGIC = 0x31545953, /* "SYT1" */
    TAPE_BYTES = 16 << 20,   /* of slots, at most */
    TAPE_SNAP_LEAST = 64,    /* so much of each frame is kept at least: its head */
    TAPE_SNAP_MAX = 65535,
    TAPE_HEAD_BYTES = 16 << 10,
    TAPE_ADDRESS_BYTES = 64,
    TAPE_BURST_MAX = 64,
};

struct tape_node {
    uint32_t node_id;
    uint16_t port;
    uint16_t zero;
    char address[TAPE_ADDRESS_BYTES]; /* numeric, as configured */
};

/* Whose frames these are, for those who write down where they went. Set before the first record. */
struct tape_about {
    uint32_t node_id; /* the node that captures */
    uint32_t node_count;
    struct tape_node node[NODE_COUNT_MAX];
    char multicast[TAPE_ADDRESS_BYTES]; /* "": frames for many go once to each */
    uint16_t multicast_port;
    uint8_t multicast_ttl;
    uint8_t zero;
    char transport[16];
    char cluster[TAPE_ADDRESS_BYTES];
};

struct tape_head {
    uint32_t magic;
    uint32_t snap_bytes;
    uint32_t slot_bytes;
    uint32_t slot_count; /* a power of two */
    struct tape_about about;
    _Alignas(CACHE_LINE_BYTES) _Atomic uint64_t claimed;
    _Atomic uint64_t written;
};
static_assert(sizeof(struct tape_head) <= TAPE_HEAD_BYTES, "slots begin behind it");

enum tape_direction { TAPE_RECEIVED = 1, TAPE_SENT = 2 };

struct tape_record {
    uint64_t time_ns; /* monotonic: of the writer's turn */
    uint32_t direction;
    uint32_t peer;        /* received: who sent it; sent: node id, ZCB_TO_ALL or ZCB_TO_RING */
    uint32_t frame_bytes; /* the whole frame */
    uint32_t kept_bytes;  /* what of it follows, from its start */
};
static_assert(sizeof(struct tape_record) == 24, "shared layout");

/* What of a wish the writer keeps of each frame; 0 means all. frame_bytes_max is the longest. */
uint32_t tape_snap_bytes(uint32_t wish, uint32_t frame_bytes_max);
/* Size of the arena for a tape that keeps so much of each frame. */
size_t tape_bytes(uint32_t snap_bytes);

struct tape_writer {
    struct tape_head *head;
    _Atomic uint64_t *slots;
    uint64_t written;
    uint32_t slot_words, slot_mask, slot_count, snap_bytes;
};

/* An empty tape over a new arena of tape_bytes(snap_bytes), mapped writable. */
void tape_writer_init(struct tape_writer *w, uint8_t *base, uint32_t snap_bytes,
                      const struct tape_about *about);

/**
 * Write a record a frame: head and slices of each, up to snap_bytes.
 *
 * Shapes:  1 <= count <= TAPE_BURST_MAX; frames that the caller holds
 * Thread:  poll core; no system call
 */
void tape_write(struct tape_writer *w, uint64_t now_ns, enum tape_direction direction,
                struct zcb *const *frames, int count);

struct tape_reader {
    const struct tape_head *head;
    const _Atomic uint64_t *slots;
    uint64_t next, lost; /* T4 */
    uint32_t slot_words, slot_count, snap_bytes;
};

/* From the first record on. -EPROTO: what lies in the arena is no tape. */
int tape_reader_open(struct tape_reader *r, const uint8_t *base, size_t bytes);

/**
 * The next record, and what was kept of its frame.
 *
 * Shapes:  bytes[] has room for align_up(snap_bytes, 8)
 * Returns: false: there is none yet
 */
bool tape_read(struct tape_reader *r, struct tape_record *record, uint8_t *bytes);

#endif
