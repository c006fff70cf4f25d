/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef RING_WIRE_H
#define RING_WIRE_H

/*
 * wire.h - every byte the ring puts on a wire. Little-endian.
 *
 * Each frame type is one table of (type, field, meaning); the structs below are made from the
 * tables, and so are docs/wire.md and the dissector for wireshark (scripts/wire_tables.py, which
 * reads the _TABLE macros of this file as they stand here: one row a line, sums of other tables by
 * name). A frame is a common head, the fixed part of its type, lists (chunks, seqs, ids) and, in
 * DATA and RECOVERY, payload.
 *
 * Knows:      layouts, and whether a frame can be what it says, from its bytes alone.
 * Knows not:  whether a frame is wanted: rings, windows and members are others' business.
 * Invariants: L1  no struct has padding: a field's place is the sum of the sizes before it
 *             L2  of a frame that wire_check() accepts, every byte the view leads to lies in it
 *             L3  heads, and the layout of JOIN, are the same in every version: that is how nodes
 *                 of different versions learn that they are
 */

#include <stddef.h>

#include "ring.h"
#include "synchrotron/types.h"
#include "zcb.h"

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "frames are read and written in place");

enum {
    WIRE_MAGIC = 0x31525953, /* "SYR1" as it travels */
    WIRE_VERSION_LOW = 1,    /* what this build speaks, from */
    WIRE_VERSION_HIGH = 1,   /* and up to */
    WIRE_PORT_MAX = (1 << 24) - 1,
    WIRE_PIECE_BYTES_MAX = (1 << 24) - 1,
    WIRE_PAYLOAD_ALIGN = 8,
    WIRE_RTR_MAX = 48, /* seqs asked for in one token: fits the smallest frame */
};

/* (name, its struct wire_, number, meaning) */
#define WIRE_TYPE_TABLE(X)                                                        \
    X(DATA, data, 1, "messages of one node, with their place on the ring")        \
    X(RECOVERY, recovery, 2, "a frame of an old ring, sent again on the new one") \
    X(TOKEN, token, 3, "who has it may send; goes from member to member")         \
    X(JOIN, join, 4, "a node wants a ring of these nodes")                        \
    X(COMMIT, commit, 5, "the ring that all agreed upon; goes round it once")     \
    X(BEACON, beacon, 6, "of a representative, to nodes outside its ring")        \
    X(WANT, want, 7, "a node has messages: a resting token please move")          \
    X(PARK, park, 8, "the token rests at the sender")                             \
    X(INFO, info, 9, "first frame of each member on a new ring: what it brings from its old one")

#define WIRE_TYPE_NUMBER(NAME, name, number, meaning) WIRE_##NAME = number,

enum wire_type { WIRE_TYPE_TABLE(WIRE_TYPE_NUMBER) WIRE_TYPES };
extern const char *const wire_type_name[WIRE_TYPES];

/* Room for what makes a frame authentic. */
struct wire_tag {
    uint8_t byte[16];
};

#define WIRE_HEAD_TABLE(X)                                                                      \
    X(uint32_t, magic, "WIRE_MAGIC")                                                            \
    X(uint8_t, version, "version of everything behind the head")                                \
    X(uint8_t, type, "enum wire_type")                                                          \
    X(uint16_t, head_bytes, "where payload begins, from the start; elsewhere: the list")        \
    X(uint32_t, cluster_tag, "frames of another cluster are foreign")                           \
    X(uint32_t, sender, "node id of the one who sends this frame")                              \
    X(uint32_t, ring_rep, "ring id: representative; JOIN may say 0")                            \
    X(uint32_t, frame_bytes, "the whole frame")                                                 \
    X(uint64_t, ring_seq, "ring id: sequence; JOIN: the highest the sender knows; COMMIT: new") \
    X(uint64_t, nonce, "zero")                                                                  \
    X(struct wire_tag, tag, "zero")

#define WIRE_DATA_TABLE(X)                                                       \
    X(uint64_t, seq, "place on the ring, from 1")                                \
    X(uint16_t, chunk_count, "entries of the chunk table, 1 to RING_CHUNKS_MAX") \
    X(uint16_t, flags, "WIRE_SAFE")                                              \
    X(uint32_t, payload_bytes, "from head_bytes to the end of the frame")

#define WIRE_RECOVERY_TABLE(X)                                             \
    WIRE_DATA_TABLE(X)                                                     \
    X(uint32_t, old_ring_rep, "ring it was first sent on: representative") \
    X(uint32_t, old_sender, "who sent it there")                           \
    X(uint64_t, old_ring_seq, "ring it was first sent on: sequence")       \
    X(uint64_t, old_seq, "its place there")

#define WIRE_CHUNK_TABLE(X)                                                           \
    X(uint32_t, bytes_flags, "bits 0-23 bytes of the piece, 24-31 WIRE_CHUNK_ flags") \
    X(uint32_t, port_guarantee, "bits 0-23 port, 24-31 enum guarantee")

#define WIRE_TOKEN_TABLE(X)                                                           \
    X(uint64_t, token_seq, "grows with every hop: an older one is a copy")            \
    X(uint64_t, seq, "highest place given")                                           \
    X(uint64_t, aru, "all have received up to here, as far as the token knows")       \
    X(uint32_t, aru_id, "who lowered aru last; NODE_NONE")                            \
    X(uint32_t, seq_owner, "who raised seq last; NODE_NONE")                          \
    X(uint32_t, fcc, "frames sent in the last rotation by all")                       \
    X(uint32_t, backlog, "frames waiting at all nodes")                               \
    X(uint32_t, free_min, "least free receive frames of any node, last rotation")     \
    X(uint32_t, free_next, "the same, being gathered in this rotation")               \
    X(uint32_t, bulk_owner, "who may send a bulk message that has to ask; NODE_NONE") \
    X(uint32_t, quiet, "hops since somebody sent, asked, or had less than all")       \
    X(uint32_t, flags, "WIRE_INSTALL")                                                \
    X(uint32_t, rtr_count, "seqs behind: asked for again, ascending")

#define WIRE_JOIN_TABLE(X)                                                      \
    X(uint16_t, proc_count, "ids behind: proc_set without fail_set, ascending") \
    X(uint16_t, fail_count, "ids behind those: fail_set, ascending")            \
    X(uint8_t, version_low, "versions the sender speaks, from")                 \
    X(uint8_t, version_high, "and up to")                                       \
    X(uint16_t, flags, "WIRE_LEAVING")                                          \
    X(uint32_t, frame_bytes_max, "the same on all nodes")                       \
    X(uint32_t, zero, "zero")                                                   \
    X(uint64_t, incarnation, "differs between starts of a node")

#define WIRE_COMMIT_TABLE(X)                                         \
    X(uint64_t, token_seq, "grows with every hop")                   \
    X(uint32_t, member_count, "ids behind: the new ring, ascending") \
    X(uint32_t, zero, "zero")

#define WIRE_INFO_TABLE(X)                                                                    \
    X(uint64_t, seq, "place on the ring, from 1")                                             \
    X(uint32_t, old_ring_rep, "ring it comes from; NODE_NONE: none")                          \
    X(uint32_t, received_flag, "1: it has all that comrades of an earlier try could give")    \
    X(uint64_t, old_ring_seq, "ring it comes from: sequence")                                 \
    X(uint64_t, aru, "it has received up to here on that ring")                               \
    X(uint64_t, safe_seq, "it knows that all there have received up to here")                 \
    X(uint64_t, deliver_low, "received_flag: whose messages behind gaps it owes to deliver,") \
    X(uint64_t, deliver_high, "one bit a member of the old ring, ascending, low word first")  \
    X(uint64_t, incarnation, "the sender's, as its JOINs say it")

#define WIRE_BEACON_TABLE(X)                          \
    X(uint32_t, member_count, "of the sender's ring") \
    X(uint32_t, zero, "zero")

#define WIRE_WANT_TABLE(X)                                            \
    X(uint64_t, token_seq, "of the newest token the sender has seen") \
    X(uint32_t, backlog, "frames it has waiting")                     \
    X(uint32_t, zero, "zero")

#define WIRE_PARK_TABLE(X)                            \
    X(uint64_t, token_seq, "of the token that rests") \
    X(uint64_t, seq, "its seq")                       \
    X(uint64_t, aru, "its aru")

/* What lies behind the fixed part, in this order: (of, list, type of an entry, field that counts
 * them, meaning). */
#define WIRE_LIST_TABLE(X)                                                                        \
    X(data, chunk, struct wire_chunk, chunk_count, "one message each, or one piece of a message") \
    X(recovery, chunk, struct wire_chunk, chunk_count, "as they were on the old ring")            \
    X(token, rtr, uint64_t, rtr_count, "places asked for again, ascending")                       \
    X(join, proc, uint32_t, proc_count, "nodes of proc_set that are not in fail_set, ascending")  \
    X(join, fail, uint32_t, fail_count, "nodes of fail_set, ascending")                           \
    X(commit, id, uint32_t, member_count, "members of the new ring, ascending")

/* Bits of a field called flags: (of, name, bit, meaning). RECOVERY has those of DATA. */
#define WIRE_FLAG_TABLE(X)                                                        \
    X(data, SAFE, 0, "exactly when every chunk is GUARANTEE_SAFE")                \
    X(token, INSTALL, 0, "recovery is complete, the new ring is to be installed") \
    X(join, LEAVING, 0, "the sender goes and says nothing more")

/* Parts of a chunk's fields: (field, part, first bit, bits, meaning). */
#define WIRE_CHUNK_BITS_TABLE(X)                                                        \
    X(bytes_flags, bytes, 0, 24, "of the piece")                                        \
    X(bytes_flags, FIRST, 24, 1, "a message begins with it")                            \
    X(bytes_flags, LAST, 25, 1, "a message ends with it")                               \
    X(bytes_flags, CONTROL, 26, 1, "the groups' own: a join, a leave, or who is there") \
    X(port_guarantee, port, 0, 24, "names a handle on the sender's node")               \
    X(port_guarantee, guarantee, 24, 8, "enum guarantee")

#define WIRE_FIELD(type, name, meaning) type name;

struct wire_head {
    WIRE_HEAD_TABLE(WIRE_FIELD)
};

/* One message, or one piece of a message that spans frames. */
struct wire_chunk {
    WIRE_CHUNK_TABLE(WIRE_FIELD)
};

struct wire_data {
    struct wire_head head;
    WIRE_DATA_TABLE(WIRE_FIELD)
    struct wire_chunk chunk[];
};

struct wire_recovery {
    struct wire_head head;
    WIRE_RECOVERY_TABLE(WIRE_FIELD)
    struct wire_chunk chunk[];
};

struct wire_token {
    struct wire_head head;
    WIRE_TOKEN_TABLE(WIRE_FIELD)
    uint64_t rtr[];
};

struct wire_join {
    struct wire_head head;
    WIRE_JOIN_TABLE(WIRE_FIELD)
    uint32_t id[];
};

struct wire_commit {
    struct wire_head head;
    WIRE_COMMIT_TABLE(WIRE_FIELD)
    uint32_t id[];
};

struct wire_info {
    struct wire_head head;
    WIRE_INFO_TABLE(WIRE_FIELD)
};

struct wire_beacon {
    struct wire_head head;
    WIRE_BEACON_TABLE(WIRE_FIELD)
};

struct wire_want {
    struct wire_head head;
    WIRE_WANT_TABLE(WIRE_FIELD)
};

struct wire_park {
    struct wire_head head;
    WIRE_PARK_TABLE(WIRE_FIELD)
};

#define WIRE_FLAG(of, NAME, bit, meaning) WIRE_##NAME = 1 << bit,

enum wire_flag { WIRE_FLAG_TABLE(WIRE_FLAG) };

/*
 * Pieces lie in payload in the order of their chunks, each at the next multiple of
 * WIRE_PAYLOAD_ALIGN behind the one before; a piece of 0 bytes takes no place. What lies between
 * is anything. A piece that continues a message is the first of its frame, one that the next frame
 * continues is the last of its frame, and both have bytes. Two messages of one node may be under
 * way in pieces at once, a client's and an urgent one: (port, WIRE_CHUNK_CONTROL) tells them apart.
 */
enum {
    WIRE_CHUNK_FIRST = 1 << 0,
    WIRE_CHUNK_LAST = 1 << 1,
    WIRE_CHUNK_CONTROL = 1 << 2,
    WIRE_CHUNK_FLAGS = WIRE_CHUNK_FIRST | WIRE_CHUNK_LAST | WIRE_CHUNK_CONTROL,
};

enum {
    /* DATA frames stay so much below the largest frame that each also fits as RECOVERY. */
    WIRE_RECOVERY_EXTRA_BYTES = sizeof(struct wire_recovery) - sizeof(struct wire_data),
};

static_assert((int)WIRE_PAYLOAD_ALIGN == (int)CHAN_TX_ALIGN,
              "clients' messages are sent as they lie");
static_assert(sizeof(struct wire_head) == 56, "L1");
static_assert(sizeof(struct wire_chunk) == 8, "L1");
static_assert(sizeof(struct wire_info) == 120, "L1");
static_assert(sizeof(struct wire_token) == 120, "L1");
static_assert(offsetof(struct wire_info, seq) == offsetof(struct wire_data, seq),
              "whatever has a place has it there");
static_assert(sizeof(struct wire_data) == 72, "L1");
static_assert(sizeof(struct wire_recovery) == 96, "L1");
static_assert(WIRE_RECOVERY_EXTRA_BYTES == 24, "promised to those who size frames");
static_assert(offsetof(struct wire_recovery, payload_bytes) ==
                  offsetof(struct wire_data, payload_bytes),
              "a RECOVERY begins as a DATA does");
static_assert(sizeof(struct wire_recovery) + RING_CHUNKS_MAX * sizeof(struct wire_chunk) <=
                  RING_HEAD_BYTES,
              "head and chunk table fit a slot");
static_assert(sizeof(struct wire_token) + WIRE_RTR_MAX * sizeof(uint64_t) <= RING_FRAME_BYTES_LEAST,
              "a full token fits the smallest frame");

static inline uint32_t wire_chunk_bytes(const struct wire_chunk *c)
{
    return c->bytes_flags & WIRE_PIECE_BYTES_MAX;
}

static inline uint32_t wire_chunk_flags(const struct wire_chunk *c)
{
    return c->bytes_flags >> 24;
}

static inline uint32_t wire_chunk_port(const struct wire_chunk *c)
{
    return c->port_guarantee & WIRE_PORT_MAX;
}

static inline uint8_t wire_chunk_guarantee(const struct wire_chunk *c)
{
    return (uint8_t)(c->port_guarantee >> 24);
}

static inline struct wire_chunk wire_chunk_make(uint32_t bytes, uint32_t flags, uint32_t port,
                                                uint8_t guarantee)
{
    return (struct wire_chunk){ bytes | flags << 24, port | (uint32_t)guarantee << 24 };
}

/* Sizes of whole control frames. They must fit the slot they are built in and frame_bytes_max. */
static inline uint32_t wire_token_bytes(uint32_t rtr_count)
{
    return (uint32_t)(sizeof(struct wire_token) + rtr_count * sizeof(uint64_t));
}

static inline uint32_t wire_join_bytes(uint32_t proc_count, uint32_t fail_count)
{
    return (uint32_t)(sizeof(struct wire_join) + (proc_count + fail_count) * sizeof(uint32_t));
}

static inline uint32_t wire_commit_bytes(uint32_t member_count)
{
    return (uint32_t)(sizeof(struct wire_commit) + member_count * sizeof(uint32_t));
}

static inline struct ring_id wire_ring_id(const struct wire_head *head)
{
    return (struct ring_id){ .seq = head->ring_seq, .rep = head->ring_rep };
}

enum wire_verdict { WIRE_OK, WIRE_MALFORMED, WIRE_FOREIGN, WIRE_VERSION };

/* Typed pointers into a frame; the one that head->type names is set. */
struct wire_view {
    const struct wire_head *head;
    union {
        const struct wire_data *data;
        const struct wire_recovery *recovery;
        const struct wire_token *token;
        const struct wire_join *join;
        const struct wire_commit *commit;
        const struct wire_beacon *beacon;
        const struct wire_want *want;
        const struct wire_park *park;
        const struct wire_info *info;
    };
    const struct wire_chunk *chunk; /* DATA, RECOVERY: chunk_count entries */
    const uint8_t *payload;         /* DATA, RECOVERY: payload_bytes */
};

/**
 * Judge a received frame: everything that its bytes alone can tell.
 *
 * Shapes:  frame aligned to 8 (slots are to 64); *view is set on WIRE_OK; on WIRE_FOREIGN and
 *          WIRE_VERSION view->head alone
 * Errors:  WIRE_MALFORMED no such frame can be; WIRE_FOREIGN another cluster's; WIRE_VERSION ours,
 *          in a version we do not speak. JOINs of all versions are judged as ours are (L3)
 */
enum wire_verdict wire_check(const uint8_t *frame, uint32_t bytes, uint32_t cluster_tag,
                             struct wire_view *view);

/**
 * After wire_check() of a DATA or RECOVERY: head_bytes ends before the payload, and slice[0] is
 * the payload.
 */
void wire_split(struct zcb *frame, const struct wire_view *view);

/**
 * Write the common head of a control frame, whose list the caller has filled or will fill. The
 * frame becomes head only: head_bytes is the whole frame.
 *
 * Shapes:  head_bytes is sizeof the type's struct, frame_bytes with its list
 */
void wire_control_head(struct zcb *frame, enum wire_type type, uint32_t cluster_tag,
                       uint32_t sender, struct ring_id ring_id, uint32_t frame_bytes);

/* Give a frame its place on a ring: made by pack_take(), wire_recovery_wrap(), or an INFO. Writes
 * head and seq; all other fields stay. */
void wire_data_finish(struct zcb *frame, uint32_t cluster_tag, uint32_t sender,
                      struct ring_id ring_id, uint64_t seq);

/**
 * Write head and chunk table of a RECOVERY around what `old` carries, with its old place (which
 * a frame that is RECOVERY already keeps). Slices, and who holds `old` for them, are the caller's.
 */
void wire_recovery_wrap(struct zcb *frame, const struct zcb *old);

/* Where a DATA frame was sent, or the frame inside a RECOVERY was first sent. */
struct wire_place {
    struct ring_id ring_id;
    uint64_t seq;
    uint32_t sender;
    uint32_t zero;
};
struct wire_place wire_old_place(const struct wire_head *head);

/* The chunk table of a DATA or RECOVERY frame that was accepted or is our own. */
static inline const struct wire_chunk *wire_chunks(const struct wire_head *head)
{
    size_t at =
        head->type == WIRE_RECOVERY ? sizeof(struct wire_recovery) : sizeof(struct wire_data);
    return (const struct wire_chunk *)(const void *)((const uint8_t *)head + at);
}

#endif
