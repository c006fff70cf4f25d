/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef RING_INTERNAL_H
#define RING_INTERNAL_H

/*
 * internal.h - the whole of a ring in one struct, and what the files of this room offer each other.
 *
 * Fields with my_ are the paper's variables. A node is a set member by its index in the
 * configuration, and an id on the wire and at the door.
 *
 * Two windows: `cur` is that of my_ring, `old` that of my_old_ring. They change roles when recovery
 * begins, and back when it fails. Only in recovery, and until the new configuration has been
 * delivered, is there anything in `old`.
 *
 * Invariants: R1  low <= high_delivered <= my_aru <= high_seq in `cur`; safe_seq <= my_aru
 *             R2  a slot of a window is filled exactly when its frame was received, or is our own,
 *                 and is not let go: between low and high_seq
 *             R3  parked_here only when operational and not alone
 *             R4  my_ring.id.seq <= ring_seq_mine <= persisted, once a ring was formed
 *             R5  gate_open only when operational with nothing left to install
 */

#include "node_set.h"
#include "pack.h"
#include "ring.h"
#include "wire.h"

enum {
    WINDOW_MASK = RING_WINDOW_MAX - 1,
    SENDS_MAX = 1024,          /* frames that wait to be put out */
    SENDS_CONTROL = 64,        /* of these, left to control frames */
    BATCH_MAX = 256,           /* new frames of one visit of the token */
    RX_RESERVE = 8,            /* with fewer free receive frames only the most needed is kept */
    TX_RESERVE = 8,            /* free frames that recovery leaves to tokens */
    RX_MARGIN = 16,            /* free receive frames that senders leave, and one for each node */
    RECENT_MAX = 8,            /* ids of rings we were in */
    RING_SEQ_STEP = 4,         /* between one ring and the next */
    PERSIST_BLOCK = 1024,      /* ring sequences reserved at once */
    WINDOW_FRAMES_START = 128, /* flow control that tunes itself: begins here */
    WINDOW_FRAMES_LEAST = 16,  /* goes down to here */
    WINDOW_FRAMES_MOST = 1024, /* and up to here */
    PERSONAL_FRAMES_MOST = BATCH_MAX,
};

static_assert((RING_WINDOW_MAX & WINDOW_MASK) == 0, "slots are found by mask");
static_assert(WINDOW_FRAMES_MOST <= RING_WINDOW_MAX / 4, "what is on its way fits every window");

/* Others move our ring sequence by no more than this at once: so no frame takes it to its end. */
#define RING_SEQ_LEAP (UINT64_C(1) << 32)

/* Frames of one ring by their place. */
struct window {
    uint64_t low;            /* all up to here have been let go */
    uint64_t my_aru;         /* all up to here were received */
    uint64_t high_seq;       /* newest received, or given */
    uint64_t high_delivered; /* all up to here were delivered, or are not for delivery */
    uint64_t safe_seq;       /* all members have received up to here */
    struct zcb *frame[RING_WINDOW_MAX];
};

/* A ring: its name and who is in it. */
struct configuration {
    struct ring_id id; /* seq 0: none */
    struct node_set memb;
    int count;
    uint32_t member[NODE_COUNT_MAX]; /* ids, ascending */
};

/* The regular token as it is carried; what we forwarded stays here until it comes again. */
struct token {
    uint64_t token_seq, seq, aru;
    uint32_t aru_id, seq_owner, fcc, backlog, free_min, free_next, bulk_owner, quiet, flags;
    uint32_t rtr_count;
    uint64_t rtr[WIRE_RTR_MAX];
};

enum timer {
    TIMER_LOSS,      /* no sign of the token, or of the commit token */
    TIMER_RESEND,    /* the token we passed on left no trace */
    TIMER_JOIN,      /* say again what we think */
    TIMER_CONSENSUS, /* somebody is silent, or does not agree */
    TIMER_FORM,      /* first formation: those who answered are enough */
    TIMER_BEACON,    /* a representative looks for other rings */
    TIMER_WANT,      /* the token rests elsewhere, or is late, and we have messages */
    TIMER_ALIVE,     /* the token rests here: time for a turn */
    TIMER_PERSIST,   /* ask again for the reservation */
    TIMERS,
};

/* What each member brought from its old ring: the INFO frames of this recovery. */
struct info {
    struct ring_id old_ring;
    uint64_t aru, safe_seq;
    uint64_t incarnation;
    struct node_set deliver_memb; /* when received: as members of old_ring, by position */
    bool known, received;
};

/* Delivering the end of the old ring takes as many calls as it takes. */
enum install_phase {
    INSTALL_NONE,
    INSTALL_OLD_REGULAR,  /* what belongs to the old regular configuration */
    INSTALL_TRANSITIONAL, /* the transitional configuration itself */
    INSTALL_OLD_REST,     /* what only its members are known to have */
    INSTALL_REGULAR,      /* the new regular configuration */
};

struct install {
    enum install_phase phase;
    uint64_t cut; /* the old regular configuration ends here */
    bool gap;     /* a frame is missing before where we are */
    struct ring_id old_id;
    int trans_count;
    uint32_t trans[NODE_COUNT_MAX];
};

/* Gather: what we think and what the others said last. */
struct gather {
    struct node_set my_proc_set, my_fail_set;
    struct node_set heard; /* whose join we have, from this gathering */
    struct node_set join_proc[NODE_COUNT_MAX], join_fail[NODE_COUNT_MAX];
    uint64_t join_ring_seq[NODE_COUNT_MAX];
    bool join_has_ring[NODE_COUNT_MAX];
    uint64_t added_ns[NODE_COUNT_MAX]; /* came into my_proc_set by hearsay */
    uint64_t start_ns, change_ns, interval_ns;
    uint64_t sent_ns, all_ns; /* our last JOIN, and the last that went to all */
    bool untold;              /* our sets grew since that one */
    bool consensus_traced;
};

struct ring {
    struct ring_config config;
    uint32_t node[NODE_COUNT_MAX];
    int node_count, my_index;
    uint64_t now_ns;
    struct ring_out *out; /* of the call under way */

    enum ring_state state;
    bool left, gate_open;
    bool installing; /* operational, and others may not be yet: strangers wait */
    struct configuration my_ring, my_old_ring, my_new_ring;
    struct window window[2], *cur, *old;
    struct ring_id recent[RECENT_MAX];
    uint32_t recent_next;

    /* token */
    struct token token;
    uint64_t my_token_seq; /* newest seen or passed on */
    uint64_t shown_seq;    /* token.seq one rotation ago: gaps up to here are real */
    uint64_t my_last_aru;  /* token.aru as we passed it on */
    uint64_t passed_ns;    /* when; 0: the next rotation is not to be measured */
    uint64_t rotation_ns;  /* smoothed */
    uint64_t resend_ns;    /* interval of the next repetition */
    uint64_t want_ns;      /* the same for WANT */
    uint64_t sign_ns;      /* last sign of the token */
    uint64_t progress_mark, progress_ns;
    bool parked_here;
    uint64_t away_ns;   /* since that sign, how long we did not run */
    uint32_t returns;   /* how often we came back */
    uint32_t resends;   /* and sent it again */
    uint32_t parked_by; /* it rests there, as far as we know; NODE_NONE */

    /* flow */
    uint32_t window_frames, personal_frames, accelerated_frames;
    uint32_t my_sent, my_backlog; /* as they stand in the token, from our last visit */
    uint32_t rx_free, calm;       /* rotations without rtr, capped */

    /* membership */
    struct gather gather;
    uint64_t alive_ns[NODE_COUNT_MAX];         /* last sign of life from itself */
    uint64_t token_alive_ns;                   /* and from all of my_ring: the token came */
    uint64_t incarnation[NODE_COUNT_MAX];      /* by its last join; 0: unknown */
    uint64_t impostor;                         /* incarnation of the last one that was told */
    struct node_set other_cluster;             /* at whose addresses there is one: told */
    uint64_t departed[NODE_COUNT_MAX];         /* incarnation that said goodbye */
    uint64_t departed_ns[NODE_COUNT_MAX];      /* and when */
    struct node_set courted;                   /* strangers for whose sake we gather */
    uint32_t refusals[NODE_COUNT_MAX];         /* how often that was in vain */
    uint64_t shunned_ns[NODE_COUNT_MAX];       /* until then they do not move us */
    struct node_set failed_before;             /* put out since the last ring, not heard since */
    struct node_set unlinked;                  /* behind a link that is down, says the transport */
    uint64_t unlinked_ns[NODE_COUNT_MAX];      /* since when, */
    uint64_t unlinked_wait_ns[NODE_COUNT_MAX]; /* and how long its silence may last */
    uint64_t shaken_ns[NODE_COUNT_MAX];        /* when that last made us gather */
    uint64_t ring_seq_mine, persisted, persist_wanted, persist_needed;
    uint64_t persist_ns; /* since when we wait for what is needed */
    bool persist_ask;
    uint64_t commit_hop;

    /* recovery */
    struct info info[NODE_COUNT_MAX];
    uint64_t ring_incarnation[NODE_COUNT_MAX]; /* of members of the ring last installed */
    bool info_sent, infos_complete, my_received_flag;
    struct node_set my_trans_memb, my_deliver_memb;
    struct node_set next_deliver_memb; /* will be my_deliver_memb when we have received all */
    uint64_t low_ring_aru, high_ring_safe, recover_next;
    uint64_t recovered[RING_WINDOW_MAX / 64]; /* by old place: seen on the new ring */

    struct install install;
    struct pack pack;
    uint64_t timer_ns[TIMERS];
    uint64_t random;

    struct zcb *send[SENDS_MAX];
    uint32_t send_head, send_tail;
    struct zcb *batch[BATCH_MAX];

    struct ring_stats stats;
    struct ring_trace trace[RING_TRACE_COUNT];
    uint64_t trace_head, trace_tail;
};

/* ring.c */
void call_begin(struct ring *r, uint64_t now_ns, struct ring_out *out);
void call_end(struct ring *r);
int ring_node_index(const struct ring *r, uint32_t id); /* -1: not configured */
void ring_state_set(struct ring *r, enum ring_state state, enum ring_reason reason);
/* Have seq reserved on disk: we wait for it, or will need it soon. */
void ring_seq_want(struct ring *r, uint64_t seq);
void ring_seq_ahead(struct ring *r, uint64_t seq);
void ring_seq_ask(struct ring *r);        /* say so again */
bool ring_seq_late(const struct ring *r); /* it takes longer than others should wait */
void ring_recent_add(struct ring *r, struct ring_id id);

static inline bool ring_alone(const struct ring *r)
{
    return r->my_ring.count == 1;
}

static inline uint32_t ring_id_of(const struct ring *r, int index)
{
    return r->node[index];
}

void configuration_set(const struct ring *r, struct configuration *c, struct ring_id id,
                       struct node_set memb);
uint32_t configuration_next(const struct configuration *c, uint32_t id);
bool configuration_has(const struct ring *r, const struct configuration *c, uint32_t id);

/* trace.c */
void ring_trace_add(struct ring *r, enum ring_trace_kind kind, uint64_t a, uint64_t b, uint64_t c);

/* timers.c */
uint64_t timer_unit(const struct ring *r); /* one eighth of detect_ns */
uint64_t timer_loss_ns(const struct ring *r);
uint64_t timer_silence_ns(const struct ring *r);
uint64_t timer_unlinked_ns(const struct ring *r); /* the same for who is behind a dead link */
uint64_t timer_resend_ns(const struct ring *r);   /* first interval of whatever repeats */
uint64_t timer_longer(const struct ring *r, uint64_t interval_ns);
uint64_t timer_spread(struct ring *r, uint64_t interval_ns); /* up to a quarter less, at random */
void timer_set(struct ring *r, enum timer timer, uint64_t at_ns);
void timer_soon(struct ring *r, enum timer timer, uint64_t at_ns); /* not later than this */
void timer_off(struct ring *r, enum timer timer);
bool timer_armed(const struct ring *r, enum timer timer);
void timers_clear(struct ring *r);
void timers_expire(struct ring *r);

/* send.c */
uint32_t send_room(const struct ring *r);
void send_frame(struct ring *r, struct zcb *frame, uint32_t dest); /* a reference of its own */
void send_flush(struct ring *r);
uint32_t send_dest(const struct ring *r, const struct zcb *frame);
bool send_token(struct ring *r);
bool send_join(struct ring *r, uint16_t flags, uint32_t dest);
bool send_refusal(struct ring *r, uint32_t dest); /* a JOIN that says what we are and no more */
bool send_commit(struct ring *r);
bool send_beacon(struct ring *r);
bool send_want(struct ring *r);
bool send_park(struct ring *r);

/* window.c */
enum window_verdict { WINDOW_NEW, WINDOW_DUPLICATE, WINDOW_FULL };
void window_reset(struct window *w);
struct zcb *window_at(const struct window *w, uint64_t seq); /* NULL: not held */
enum window_verdict window_put(struct window *w, uint64_t seq, struct zcb *frame); /* holds it */
void window_let_go(struct window *w);

static inline bool window_lets_go(const struct window *w)
{
    return w->low < min_u64(w->safe_seq, w->high_delivered);
}

static inline const struct wire_data *frame_data(const struct zcb *frame)
{
    return (const struct wire_data *)(const void *)frame->head;
}

/* A message of ring `id`: frames of its birth have a place on it too, but bring older rings. */
static inline bool frame_is_message(const struct zcb *frame, struct ring_id id)
{
    const struct wire_head *head = &frame_data(frame)->head;
    return head->type != WIRE_INFO && ring_id_equal(wire_old_place(head).ring_id, id);
}

/* operational.c */
void ordered_receive(struct ring *r, struct zcb *frame, const struct wire_view *view);
void beacon_receive(struct ring *r, const struct wire_beacon *beacon);
void foreign_receive(struct ring *r, const struct wire_head *head, bool moves);
void beacon_expire(struct ring *r);
bool stranger_moves(struct ring *r, int index); /* shall we gather for its sake? */
void operational_enter(struct ring *r);

/* token.c */
void token_first(struct ring *r); /* the representative of a new ring makes one */
void token_receive(struct ring *r, const struct wire_token *wire);
void token_visit(struct ring *r, bool may_park);
void token_sign(struct ring *r);           /* it came: all members are alive */
void token_signs_spread(struct ring *r);   /* and alive_ns says so of each */
void token_heard(struct ring *r);          /* its silence counts from now */
void token_rests(struct ring *r);          /* a sign that the ring lives */
uint32_t ring_ready(const struct ring *r); /* frames that wait for the token */
void token_seen_beyond(struct ring *r, uint64_t seq);
void token_resend(struct ring *r);
void token_forget(struct ring *r);
void token_place(struct ring *r, struct token *t, struct zcb *frame);
uint32_t alone_send(struct ring *r);

/* park.c */
bool park_due(const struct ring *r);
void park_here(struct ring *r);
void park_leave(struct ring *r);
void park_receive(struct ring *r, const struct wire_park *park);
void want_receive(struct ring *r);
void want_check(struct ring *r);
void want_expire(struct ring *r);

/* rtr.c */
uint32_t rtr_answer(struct ring *r, struct token *t, uint32_t most);
void rtr_fill(struct ring *r, struct token *t);

/* flow.c */
void flow_reset(struct ring *r);
void flow_judge(const struct ring *r, struct token *t);
void flow_tune(struct ring *r, const struct token *t);
uint32_t flow_allow(const struct ring *r, const struct token *t, uint32_t backlog);
uint32_t flow_allow_recovery(const struct ring *r, const struct token *t);
void flow_update(struct ring *r, struct token *t, uint32_t sent, uint32_t backlog);

/* gather.c */
void gather_enter(struct ring *r, enum ring_reason reason);
void gather_enter_with(struct ring *r, enum ring_reason reason, int other);
void gather_try(struct ring *r);
void gather_links(struct ring *r, bool up);
void gather_expire_join(struct ring *r);
void gather_expire_consensus(struct ring *r);
void join_receive(struct ring *r, const struct wire_join *join);

/* commit.c */
void commit_start(struct ring *r, struct node_set memb);
void commit_receive(struct ring *r, const struct wire_commit *commit);
void commit_resend(struct ring *r);

/* recovery.c */
void recovery_enter(struct ring *r);
void recovery_abort(struct ring *r);
void recovery_accept(struct ring *r, struct zcb *frame);
uint32_t recovery_take(struct ring *r, struct token *t, uint32_t allowed);
bool recovery_quiet(const struct ring *r);
void recovery_progress(struct ring *r, struct token *t); /* may install */
void recovery_alone(struct ring *r);

/* deliver.c */
void deliver_pump(struct ring *r);
bool deliver_pending(const struct ring *r);
void install_begin(struct ring *r);

#endif
