/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef RING_RING_H
#define RING_RING_H

/*
 * ring.h - the door of the room: the Totem single ring as a machine that can be replayed.
 *
 * In go frames, messages, timeouts and the time; out come frames, deliveries and the next deadline.
 * No socket, clock, thread, log or malloc: what ring_recv() and its siblings do is a function of
 * what they were given.
 *
 * Knows:      ordering, retransmission, flow control, membership, recovery, packing, fragmentation.
 * Knows not:  groups, clients, processes: a message has a port, which the ring carries unread.
 * Invariants: E1 to E8 of docs/architecture.md, given that callers keep the rules below.
 * Thread:     poll core, all of it.
 *
 * Gate: when a regular configuration is delivered the ring stops sending ordinary messages until
 * ring_open() is called. Urgent ones pass: the groups exchange their members in between.
 * A regular configuration is always the first delivery of its call, so ring_open() called for what
 * was delivered before cannot be meant for it. From then on ZCB_TO_RING means its members: tell the
 * transport before the sends of that call go out. Each is preceded by a transitional one, the first
 * of a start too (ring_id all zero, ourselves alone).
 *
 * Bulk: a message that needs more than one frame is bulk. Bulk messages of a node wait in line, and
 * one is under way at a time: the next begins when the last piece of the one before has its place,
 * in the same visit of the token when that has room. Messages over ring_bulk_free_bytes() need the
 * token's permission in addition, one in the whole ring, and none of ours lines up behind one.
 * Pieces share the way with small messages of other ports. Those sent on a ring that ended before
 * the last piece got its place are void: receivers drop what they hold at the next regular
 * configuration, and the sender starts the message again by itself.
 */

#include "synchrotron/types.h"
#include "zcb.h"

enum {
    RING_BURST = 32,                    /* frames in one ring_recv() */
    RING_OUT_MAX = 64,                  /* sends, and deliveries, of one call */
    RING_WINDOW_MAX = 8192,             /* frames between stable and newest */
    RING_BULK_FREE_BYTES = 1 << 19,     /* of one node; see ring_bulk_free_bytes() */
    RING_BULK_FREE_ALL_BYTES = 8 << 20, /* of all */
    RING_CHUNKS_MAX = 112,              /* messages, or pieces, in one frame */
    RING_SLICES_MAX = 16,               /* separate runs of payload in one frame */
    RING_HEAD_BYTES = 1024,             /* slot of the tx pool: header and chunk table fit */
    RING_FRAME_BYTES_LEAST = 576,       /* below this no cluster is worth forming */
    RING_CONTROL_BYTES_MAX = 472,       /* a control message that fits the smallest frame */
    RING_TX_RESERVE = 96, /* frames of the tx pool that ordinary messages never take */
    RING_TRACE_COUNT = 1024,
};

enum ring_state { RING_OPERATIONAL, RING_GATHER, RING_COMMIT, RING_RECOVERY };
extern const char *const ring_state_name[];

struct ring_config {
    uint32_t node_id;
    uint32_t cluster_tag;  /* frames of another tag are foreign */
    const uint32_t *nodes; /* every node of the cluster, ascending; may end with us alone */
    int node_count;
    uint64_t ring_seq;        /* highest persisted reservation, from the state directory; 0: none */
    uint64_t incarnation;     /* differs between starts of a node */
    uint64_t seed;            /* spreads timers of equal nodes */
    uint64_t detect_ns;       /* a node silent so long is out; all other times derive from it */
    uint32_t frame_bytes_max; /* the same on all nodes; others are refused */
    uint32_t window_frames;   /* all senders together in one rotation; 0: tunes itself */
    uint32_t personal_frames; /* one sender in one visit of the token; 0: tunes itself */
    uint32_t accelerated_frames; /* of these, sent after the token; 0: tunes itself */
    bool park;                   /* let an idle token rest (see token.c); false: it always turns */
    bool fan_out; /* a frame for many is sent once for each of them (see token.c, gather.c) */
    struct zcb_pool *tx_pool; /* slots of RING_HEAD_BYTES, slices_max RING_SLICES_MAX, and
                                 more than RING_TX_RESERVE of them */
};

/*
 * A message to be ordered.
 *
 * payload.data must stay unchanged until the tx pool releases its cookie, and be readable up to
 * the next multiple of CHAN_TX_ALIGN from where it begins: what lies there may travel along as
 * padding. Messages that are not control, and each begin where the one before ends, rounded up so,
 * travel as one slice with the cookie of the first: owners let a message go only when all before
 * it are. Control messages keep their own. A message of 0 bytes is not retained at all.
 *
 * A control message that is not urgent fits one frame (RING_CONTROL_BYTES_MAX does, in any). An
 * urgent one may be longer, and then travels in pieces as bulk does, but without its limits; the
 * two may interleave, and (port, control) tells the pieces apart.
 */
struct ring_message {
    struct zcb_slice payload; /* bytes up to UINT32_MAX; 0 bytes: data may be NULL */
    uint32_t port;            /* sender on this node, carried unread; < 2^24 */
    uint8_t guarantee;        /* enum guarantee */
    uint8_t control;          /* 1: for the groups themselves, not for a client */
    uint8_t urgent;           /* 1: passes a closed gate, ahead of everything; needs control */
    uint8_t zero;
};

/* One piece of one message as it lies in a delivered frame. */
struct ring_piece {
    struct zcb_slice payload; /* arena, offset, bytes of this piece */
    uint32_t port;
    uint8_t guarantee;
    bool first, last, control; /* first and last: the whole message */
};

enum ring_delivery_kind {
    RING_DELIVER_FRAME,        /* pieces, in order: ring_walk_start(), ring_walk_next() */
    RING_DELIVER_TRANSITIONAL, /* members: who comes along from the old regular configuration */
    RING_DELIVER_REGULAR,      /* members: the new configuration. The gate is closed now */
};

struct ring_delivery {
    enum ring_delivery_kind kind;
    uint32_t sender;         /* FRAME */
    struct zcb *frame;       /* FRAME: one ZCB_HELD_OUT reference, the caller's to drop or pass */
    uint64_t seq;            /* FRAME: place on the ring it was sent on */
    struct ring_id ring_id;  /* FRAME: of that ring. TRANSITIONAL: of the old one. REGULAR: new */
    const uint32_t *members; /* configurations: ascending; valid until the next call */
    int member_count;
};

struct ring_out {                               /* written by one call, drained before the next */
    struct zcb *send[RING_OUT_MAX];             /* wire order; one ZCB_HELD_OUT reference each */
    struct ring_delivery deliver[RING_OUT_MAX]; /* agreed order, configurations too */
    uint16_t send_count, deliver_count;
    bool more;            /* call ring_continue() once this is drained */
    uint64_t persist_seq; /* not 0: write this to the state directory, then ring_persisted() */
};

struct ring_stats { /* counted for ever */
    uint64_t rotations, tokens_received, tokens_retransmitted, tokens_duplicate, tokens_parked;
    uint64_t frames_sent, frames_resent, frames_received, frames_duplicate, bytes_sent;
    uint64_t messages_sent, pieces_sent, messages_delivered_frames, rtr_asked, rtr_answered;
    uint64_t gathers, configurations, recovered_frames, bulk_restarts;
    uint64_t rx_malformed, rx_foreign, rx_stale, rx_version, rx_frame_size, rx_no_room;
    uint64_t flow_limited; /* visits of the token that left messages behind */
};

struct ring_status {
    enum ring_state state;
    struct ring_id ring_id;
    const uint32_t *members;
    int member_count;
    uint64_t aru, seq, safe_seq; /* my_aru, newest known, stable up to */
    uint64_t rotation_ns;        /* smoothed */
    uint32_t window_frames, personal_frames, backlog_frames;
    bool parked_here;
};

enum ring_trace_kind {
    RING_TRACE_STATE,      /* a: old, b: new, c: reason (enum ring_reason) */
    RING_TRACE_TOKEN_LOST, /* a: ns since the last sign of it, b: times we sent it again, c: ns away
                            */
    RING_TRACE_JOIN,       /* a: from node */
    RING_TRACE_CONSENSUS,  /* a: member count */
    RING_TRACE_CONFIGURATION, /* a: ring seq, b: rep, c: member count */
    RING_TRACE_NODE_FAILED,   /* a: node id, b: by whom */
    RING_TRACE_REFUSED,       /* a: node id, b: their value, c: ours: version or frame size */
    RING_TRACE_BULK_RESTART,  /* a: port */
    RING_TRACE_PERSIST,       /* a: up to this seq */
    RING_TRACE_AWAY,          /* a: ns */
    RING_TRACE_IMPOSTOR,      /* a: node whose address it has, b: node it says it is */
    RING_TRACE_OTHER_CLUSTER, /* a: node whose address it has */
    RING_TRACE_LINKS,         /* a: how many, b: to a node, c: 1 they are back, 0 down */
};

enum ring_reason {
    RING_REASON_START,
    RING_REASON_TOKEN_LOST,
    RING_REASON_JOIN,
    RING_REASON_FOREIGN,
    RING_REASON_CONSENSUS_TIMEOUT,
    RING_REASON_COMMIT_LOST,
    RING_REASON_RECOVERY_LOST,
    RING_REASON_LEAVE,
    RING_REASON_LINK,
    RING_REASON_CONSENSUS,
    RING_REASON_COMMIT,
    RING_REASON_RECOVERED,
    RING_REASON_AGAIN,
};
extern const char *const ring_reason_name[];

struct ring_trace {
    uint64_t now_ns;
    uint32_t kind, zero;
    uint64_t a, b, c;
};

struct ring;

/* Bytes ring_init() needs: the caller allocates once and frees. */
size_t ring_bytes(const struct ring_config *config);

/**
 * Start: the ring gathers at once; the first configuration comes out of later calls.
 *
 * Errors:  -EINVAL and *why names the field: ids, counts, frame_bytes_max, pool shapes
 */
int ring_init(struct ring **out, void *memory, const struct ring_config *config, uint64_t now_ns,
              const char **why);

/**
 * Fold one receive burst into the ring. A frame we cannot use is counted and dropped.
 *
 * Shapes:  frames[count], 1 <= count <= RING_BURST; *out is overwritten
 * Units:   now_ns, monotonic nanoseconds, never less than in the call before
 * Owner:   takes the ZCB_HELD_OUT reference of every frame
 */
void ring_recv(struct ring *r, uint64_t now_ns, struct zcb **frames, int count,
               struct ring_out *out);

/* Is this frame, which may be anything, a token? It tells of frames that its sender had seen. */
bool ring_is_token(const struct zcb *frame);

/* A deadline has passed. Harmless when none has. */
void ring_expire(struct ring *r, uint64_t now_ns, struct ring_out *out);

/* out->more was set, or messages were submitted: go on. Harmless when there is nothing to do. */
void ring_continue(struct ring *r, uint64_t now_ns, struct ring_out *out);

/* Monotonic; NS_NEVER: nothing armed. */
uint64_t ring_deadline_ns(const struct ring *r);

/**
 * Take a message. It joins the open frame of the backlog, or the line of bulk messages. Call
 * ring_continue() after the last one of a turn: a token that rests here sends at once.
 *
 * Errors:  -EAGAIN backlog full. -EBUSY only bulk is in its way: it is bulk itself, and the line
 *          takes no more; or it is small, and bulk of its port waits. Nothing was taken
 */
int ring_submit(struct ring *r, const struct ring_message *message);

/* Open the gate that the last regular configuration closed. */
void ring_open(struct ring *r);

/* out->persist_seq is on disk. Writing failed: say nothing; the ring asks again. */
void ring_persisted(struct ring *r, uint64_t now_ns, uint64_t seq, struct ring_out *out);

/**
 * These nodes are behind links that are down, as far as the transport knows; all of them, each time
 * that changes. The membership begins to change at once, and does not wait as long for them as it
 * would for who is silent. Wrong news cost a view at most.
 *
 * Shapes:  down[count], configured nodes in any order; ourselves and others do not count
 */
void ring_links(struct ring *r, uint64_t now_ns, const uint32_t *down, int count,
                struct ring_out *out);

/* The caller did not run for ns until now, against its will. To be told before what came meanwhile.
 */
void ring_away(struct ring *r, uint64_t now_ns, uint64_t ns);

/* Free receive frames here: travels with the token and bounds every sender. */
void ring_rx_free(struct ring *r, uint32_t frames);

/* Say goodbye: others form the next ring without waiting for a timeout. We send nothing after. */
void ring_leave(struct ring *r, uint64_t now_ns, struct ring_out *out);

/* How much of a message that needs several frames goes into each of them. */
uint32_t ring_piece_bytes(uint32_t frame_bytes_max);

/* Larger messages take turns, one in the ring. Each node may have one of this size under way
 * besides, and receivers hold what came of all of them until they are whole. */
uint32_t ring_bulk_free_bytes(int node_count);

/* Form another ring of the same nodes: what the groups need of each other did not come through.
 * Nothing where we are alone, or not operational. */
void ring_again(struct ring *r, uint64_t now_ns, struct ring_out *out);

/* How often the token goes round between a node's silence and a view without it, at most. */
enum { RING_VIEW_ROTATIONS = 8 };
/* The longest time from a node's silence to the delivery of a view without it, of a ring whose
 * token needs so long to go round. Who waits has a right clock, and what the ring had not stable
 * is sent again in one visit of each. */
uint64_t ring_view_ns_worst(const struct ring_config *config, uint64_t rotation_ns);

const struct ring_stats *ring_stats(const struct ring *r);
void ring_status(const struct ring *r, struct ring_status *status);
/* Oldest trace record not read; false: none. Unread records are overwritten when the buffer is
 * full. */
bool ring_trace_next(struct ring *r, struct ring_trace *trace);

/* Walk the pieces of a delivered frame: while (ring_walk_next(&walk, &piece)). */
struct ring_walk {
    const struct zcb *frame;
    const uint8_t *chunk;
    uint32_t left, slice, offset;
};
void ring_walk_start(struct ring_walk *walk, const struct ring_delivery *delivery);
bool ring_walk_next(struct ring_walk *walk, struct ring_piece *piece);

/* Sweep over every invariant of the whole structure; aborts when one is broken. */
void ring_check(const struct ring *r);

#endif
