/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef DAEMON_GWIRE_H
#define DAEMON_GWIRE_H

/*
 * gwire.h - ordered messages of the groups themselves, byte for byte. Little-endian, no padding.
 *
 *   every one:  u8 type, u8 version, u8 a, u8 b
 *   JOIN        a = name bytes, b = 0; u32 pid, name
 *   LEAVE       a = reason, b = 0
 *   SYNC        a = 1 on the last part, b = 0; u32 part, u32 rep, u64 ring seq, u32 digest of all
 *               else in the part, entries to the end: u32 port, u32 pid, u8 name bytes, name
 *
 * The port of a JOIN or LEAVE is the port of the ring's message. A SYNC is cut into parts that each
 * fit one frame of any size, because what needs several frames waits behind a client's bulk
 * message, and that waits for the gate.
 *
 * Knows:      layouts, and what makes no sense; a decoder looks at every byte it was given.
 * Knows not:  who sent it, or whether it is due.
 */

#include "core.h"
#include "synchrotron/types.h"

enum gwire_type { GWIRE_JOIN = 1, GWIRE_LEAVE = 2, GWIRE_SYNC = 3 };

enum {
    GWIRE_VERSION = 1,
    GWIRE_PORT_MAX = (1 << 24) - 1,
    GWIRE_SYNC_HEAD_BYTES = 24,
    GWIRE_ENTRY_BYTES_MAX = 9 + CTL_NAME_BYTES,
    GWIRE_PART_BYTES = 416, /* one frame of RING_FRAME_BYTES_LEAST carries it */
};

/* Numbers are those of cpg_reason_t. */
enum leave_reason {
    REASON_JOIN = 1,
    REASON_LEAVE,
    REASON_NODEDOWN,
    REASON_NODEUP,
    REASON_PROCDOWN
};

struct gwire_message {
    enum gwire_type type;
    enum leave_reason reason; /* LEAVE */
    uint32_t pid;             /* JOIN */
    struct core_name name;    /* JOIN */
    /* SYNC */
    struct ring_id ring_id;
    uint32_t part;
    bool last;
    const uint8_t *entries; /* for gwire_entry_next(); points into what was decoded */
    uint32_t entries_bytes;
};

struct gwire_entry {
    uint32_t port, pid;
    struct core_name name;
};

/* Bytes written; at most 8 + CTL_NAME_BYTES. */
uint32_t gwire_put_join(uint8_t *to, uint32_t pid, const struct core_name *name);
uint32_t gwire_put_leave(uint8_t *to, enum leave_reason reason);

/* A SYNC part: head, then entries while they fit in GWIRE_PART_BYTES, then its end. */
uint32_t gwire_put_sync(uint8_t *to, struct ring_id ring_id, uint32_t part);
uint32_t gwire_put_entry(uint8_t *to, uint32_t port, uint32_t pid, const struct core_name *name);
void gwire_end_part(uint8_t *part, uint32_t bytes, bool last);

/* Errors: -EBADMSG it makes no sense; entries of a SYNC are checked as they are walked */
int gwire_get(struct gwire_message *message, const uint8_t *from, uint32_t bytes);

/* The next entry of a SYNC: 1; 0 at the end; -EBADMSG: the rest makes no sense. */
int gwire_entry_next(struct gwire_message *message, struct gwire_entry *entry);

#endif
