/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef DAEMON_RESOURCES_H
#define DAEMON_RESOURCES_H

/*
 * resources.h - what is shared with clients: the RX arena, the core page, the channels and the TX
 * segments; who made how much of it, and who may have more.
 *
 * Knows:      arena ids, budgets, descriptors.
 * Knows not:  requests, and when the core lets go of something: its caller says so.
 * Invariants: M1  tx_bytes is the sum over all segments but own ones, drained or not, of living
 *                 clients or dead, and never over config.tx_total_bytes
 *             M2  segments over CONFIG_TX_LARGE_BYTES leave CONFIG_TX_RESERVE_BYTES of that to the
 *                 small ones, and so does each client alone: one with a large message, or many
 *                 segments, does not silence the others
 *             M3  a descriptor that a client gets of a segment it does not own cannot be mapped
 *                 writable: it was opened for reading only
 *             M4  an arena id is not used again while an arena has it
 *             M5  what clients keep leaves room in config.tx_total_bytes for the largest message
 *                 and the reserve. Who comes too late has a small segment of its own, and others
 *                 are lent until nothing in them is in use: clients that are idle, and call nobody,
 *                 keep nobody from sending
 *             M6  own segments are CONFIG_TX_OWN_BYTES for each possible client at the most, those
 *                 of dead ones included
 *             M7  a segment that has gone has no memory, whoever still keeps it open: what we count
 *                 is what there is
 * Thread:     control thread
 */

#include "config.h"
#include "place.h"
#include "zcb.h"

/* A TX segment. `arena` is what the core is told; its fd is for reading only. */
struct tx_segment {
    struct tx_segment *next;
    struct zcb_arena arena;
    uint32_t owner;       /* serial of the client it was made for */
    uint32_t slot, index; /* where its client has it; the caller's to fill and to read */
    int write_fd;         /* to be passed to its client once, then closed: -1 */
    bool own, lent;
};

/* The regions of one handle. */
struct channel {
    struct zcb_arena up, down; /* the descriptors are closed once they are passed on */
    struct wake_page *wake;
    int wake_socket;      /* ours */
    int wake_socket_peer; /* the client's; -1 once it is passed on */
};

struct resources {
    const struct config *config;
    struct place place; /* where all of it is to lie */
    struct zcb_arena rx, core_page;
    struct tx_segment *segments;
    uint32_t last_id;
    uint32_t segment_count, channel_count;
    uint64_t tx_bytes, tx_large_bytes, tx_kept_bytes, tx_own_bytes, channel_bytes;
};

enum { ARENA_ID_RX = 1, ARENA_ID_CORE = 2, ARENA_ID_CHANNEL = 3, ARENA_ID_TAPE = 4 };

/* The RX arena and the core page. -errno, and `why` is one line. */
int resources_open(struct resources *r, const struct config *config, char *why, size_t why_bytes);
void resources_close(struct resources *r);

/* -errno: -ENOMEM, -EMFILE, -ENFILE */
int channel_create(struct resources *r, struct channel *channel);
/* Close what has been passed on to the client. */
void channel_passed(struct channel *channel);
void channel_destroy(struct resources *r, struct channel *channel);

/**
 * A TX segment of at least `bytes` bytes for the client `owner`; less when it stays (M5).
 *
 * Errors:  -EINVAL 0 bytes; -EFBIG more than any client may ever have; -EAGAIN others have it now;
 *          -ENOMEM, -EMFILE, -ENFILE the system refuses
 */
int tx_segment_create(struct resources *r, uint32_t owner, uint64_t bytes, bool stays,
                      struct tx_segment **out);
/* The most that own segments may have together. */
uint64_t tx_own_bytes_max(const struct resources *r);
void tx_segment_passed(struct tx_segment *segment);
struct tx_segment *tx_segment_find(const struct resources *r, uint32_t arena_id);
void tx_segment_destroy(struct resources *r, struct tx_segment *segment);

#endif
