/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * membership.pml - how nodes agree on a ring: ring/gather.c, ring/commit.c and the end of
 * ring/recovery.c, without messages of clients. README.md says what is asked of it and what was
 * found; names are those of the code.
 *
 * A node's last JOIN and the commit token it passed on last stand in its name. While it repeats
 * them they may arrive anywhere it can be heard, never, or any number of times. A delivery counts as
 * possible only when it changes something.
 *
 * Time: what is under way arrives before a timer ends: timers end where no delivery is possible.
 * Whatever else happens is a fault, and there are FAULTS of them: a node dies, is cut off, one of
 * its timers ends too early, or a frame arrives that its sender does not repeat any more. Restarts,
 * and the end of a cut, are free.
 *
 * Properties, all of them checked on the way:
 *   A  no ring id is given twice                                   (with PERSIST)
 *   B  no two nodes are in rings of one id and different members
 *   C  who installs a ring: all its members have agreed to these members
 *   D  a node's ring seq only grows, and is on disk before a ring has it   (with PERSIST)
 *   E  it ends: where nothing more can happen all nodes that live and hear each other are in one
 *      ring; there is no way to go on for ever (no cycle: -DNP; no ring seq above SEQ_MAX)
 */

#ifndef N
#define N 3
#endif
#ifndef FAULTS
#define FAULTS 1
#endif
#ifndef SEQ_MAX
#define SEQ_MAX 14
#endif
#define NODES ((1 << N) - 1)

#define DOWN        0
#define GATHER      1
#define COMMIT      2
#define RECOVERY    3
#define OPERATIONAL 4

/* Sets of nodes. */
#define BIT(i)           (1 << (i))
#define HAS(set, i)      (((set) >> (i)) & 1)
#define MINUS(a, b)      ((a) & ~(b))
#define WITHIN(a, b)     (MINUS(a, b) == 0)
#define LOWEST(set)      (HAS(set, 0) -> 0 : (HAS(set, 1) -> 1 : (HAS(set, 2) -> 2 : 3)))
#define ABOVE(set, i)    ((set) & (NODES << ((i) + 1)) & NODES)
#define NEXT(set, i)     (ABOVE(set, i) -> LOWEST(ABOVE(set, i)) : LOWEST(set))
#define MAX(a, b)        ((a) > (b) -> (a) : (b))

byte faults = FAULTS;
byte cut;          /* nodes of the other side */
byte state[N];
byte seq[N];       /* ring_seq_mine */
byte disk[N];      /* persisted */
byte want[N];      /* persist_wanted */
byte proc[N];      /* my_proc_set */
byte fail[N];      /* my_fail_set */
byte agree[N];     /* whose JOIN says the same */
byte before[N];    /* failed_before */
byte rings[N];     /* join_has_ring */
byte start[N];     /* incarnation, from 1 */
byte ring_seq[N];  /* my_ring: the one last installed; 0: none */
byte ring_memb[N];
byte new_seq[N];   /* my_new_ring; in recovery my_ring */
byte new_memb[N];
bool installing[N]; /* operational, and others may not be yet: strangers wait */
byte agreed[N];    /* to which members, when it left gather */
byte said_proc[N]; /* its JOIN; 0: none */
byte said_fail[N];
byte said_seq[N];
bool said_ring[N];
byte owed[N];      /* to whom it is still on its way */
byte passed_seq[N]; /* its commit token; 0: none */
byte passed_memb[N];
byte known[N * N];  /* incarnation by its last JOIN; 0: unknown */
byte heard_seq[N * N]; /* join_ring_seq */
short used[N];      /* ring seqs this node has given, one bit each */

hidden byte a, b, k; /* scratch */
hidden byte memb, top, out;

#define HEARS(i, j)    ((i) != (j) && HAS(cut, i) == HAS(cut, j))
#define UP(i)          (state[i] != DOWN)
#define MEMBERS(i)     MINUS(proc[i], fail[i])
#define FORMING(i)     (state[i] == COMMIT || state[i] == RECOVERY)
#define RING_SEQ(i)    (FORMING(i) -> new_seq[i] : ring_seq[i])
#define RING_MEMB(i)   (FORMING(i) -> new_memb[i] : ring_memb[i])
/* Is node i in ring (q, m)'s id, as far as others can tell? */
#define IN_RING(i, q, m) ((state[i] == RECOVERY || state[i] == OPERATIONAL) && RING_SEQ(i) == (q) && \
                          LOWEST(RING_MEMB(i)) == LOWEST(m))
#define INSTALLED(i, q, m) (state[i] == OPERATIONAL && IN_RING(i, q, m))

#define SAME_RING(i, j) (!IN_RING(j, RING_SEQ(i), RING_MEMB(i)) || RING_MEMB(j) == RING_MEMB(i))

/* Whenever a node comes to be in a ring. */
inline check_id(i)
{
    for (k : 0 .. N - 1) {
        assert(k == i || SAME_RING(i, k)); /* B */
    }
}

inline ring_seq_want(i, q)
{
    want[i] = (q > disk[i] && q > want[i] -> q : want[i]);
}

inline say_join(i)
{
    said_proc[i] = proc[i];
    said_fail[i] = fail[i];
    said_seq[i] = seq[i];
    said_ring[i] = ring_seq[i] > 0;
    owed[i] = 0;
    for (k : 0 .. N - 1) {
        owed[i] = (UP(k) && HEARS(i, k) -> owed[i] | BIT(k) : owed[i]);
    }
}

/* other: a set of one, or none */
inline gather_enter(i, other)
{
    proc[i] = BIT(i) | ring_memb[i] | (FORMING(i) -> proc[i] : 0);
    fail[i] = before[i] & proc[i];
    proc[i] = proc[i] | (other);
    fail[i] = MINUS(fail[i], other);
    agree[i] = 0;
    agreed[i] = 0;
    installing[i] = false;
    rings[i] = 0;
    for (k : 0 .. N - 1) {
        heard_seq[i * N + k] = 0;
    }
    new_seq[i] = 0;
    new_memb[i] = 0;
    state[i] = GATHER;
    ring_seq_want(i, seq[i] + 1);
    say_join(i);
}

#define AGREED(i, j) (!HAS(new_memb[i], j) || !IN_RING(j, new_seq[i], new_memb[i]) || \
                      agreed[j] == new_memb[i])

/* What is of no use any more is zero, so that fewer states differ. */
inline operational_enter(i)
{
    ring_seq[i] = new_seq[i];
    ring_memb[i] = new_memb[i];
    for (k : 0 .. N - 1) {
        assert(AGREED(i, k)); /* C */
    }
    installing[i] = new_memb[i] != BIT(i);
    new_seq[i] = 0;
    new_memb[i] = 0;
    proc[i] = 0;
    fail[i] = 0;
    before[i] = 0;
    state[i] = OPERATIONAL;
    check_id(i);
}

inline commit_enter(i, q, m)
{
    assert(q > seq[i]); /* D */
#ifdef PERSIST
    assert(q <= disk[i]); /* D */
#endif
    agreed[i] = MEMBERS(i);
    seq[i] = q;
    new_seq[i] = q;
    new_memb[i] = m;
    agree[i] = 0;
    rings[i] = 0;
    for (k : 0 .. N - 1) {
        heard_seq[i * N + k] = 0;
    }
    state[i] = COMMIT;
    passed_seq[i] = q;
    passed_memb[i] = m;
}

inline commit_start(i)
{
    top = seq[i];
#ifndef BUG_SEQ
    for (k : 0 .. N - 1) {
        top = (HAS(memb, k) -> MAX(top, heard_seq[i * N + k]) : top);
    }
#endif
    top = top + 1;
    assert(top <= SEQ_MAX); /* E */
    if
#ifndef BUG_DISK
    :: top > disk[i] ->
        ring_seq_want(i, top)
#endif
    :: else ->
#ifdef PERSIST
        assert(!HAS(used[i], top)); /* A */
        used[i] = used[i] | BIT(top);
#endif
        commit_enter(i, top, memb);
        if
        :: memb == BIT(i) -> passed_seq[i] = 0; passed_memb[i] = 0; operational_enter(i)
        :: else
        fi
    fi
}

/* Nobody was in a ring yet, and not all have come: wait a moment, unless `patience` is at its end. */
#define WORTH_WAITING(i) (MEMBERS(i) != NODES && ring_seq[i] == 0 && rings[i] == 0)
#define CONSENSUS(i)     (state[i] == GATHER && WITHIN(MEMBERS(i), agree[i] | BIT(i)))

inline gather_try(i, patience)
{
    if
    :: CONSENSUS(i) && LOWEST(MEMBERS(i)) == i && !(patience && WORTH_WAITING(i)) ->
        memb = MEMBERS(i);
        commit_start(i)
    :: else
    fi
}

/* JOIN of j at i */

#define KNOWS_MORE(i, j) (!WITHIN(said_proc[j], proc[i]) || !WITHIN(said_fail[j], fail[i]))
#define SAME_START(i, j) (known[(i) * N + (j)] == 0 || known[(i) * N + (j)] == start[j])
#ifdef BUG_STALE
#define OLDER(i, j)      false
#else
#define OLDER(i, j)      (said_seq[j] < RING_SEQ(i) && SAME_START(i, j))
#endif
#ifdef BUG_INSTALLING
#define WAITS(i)         false
#else
#define WAITS(i)         installing[i]
#endif
#define STALE(i, j)                                                        \
    (state[i] == GATHER -> false :                                         \
    (!HAS(RING_MEMB(i), j) ->                                              \
        (state[i] != OPERATIONAL || HAS(said_fail[j], i) || WAITS(i)) : \
    (state[i] == COMMIT && KNOWS_MORE(i, j) -> false : OLDER(i, j))))
#define SAME_SETS(i, j)  (said_proc[j] == proc[i] && said_fail[j] == fail[i])
#define NEWS(i, j)                                                               \
    (state[i] != GATHER || known[(i) * N + (j)] != start[j] ||                   \
     (!HAS(fail[i], j) && (HAS(said_fail[j], i) || KNOWS_MORE(i, j) ||           \
       (SAME_SETS(i, j) && !HAS(agree[i], j)) ||                                 \
       heard_seq[(i) * N + (j)] != said_seq[j] || !HAS(proc[i], j))))
#define CAN_JOIN(i, j)                                                                    \
    (UP(i) && HEARS(i, j) && said_proc[j] != 0 && (HAS(before[i], j) || (!STALE(i, j) && NEWS(i, j))))

inline join_merge(i, j)
{
    a = proc[i];
    b = fail[i];
    heard_seq[i * N + j] = said_seq[j];
    rings[i] = (said_ring[j] -> rings[i] | BIT(j) : MINUS(rings[i], BIT(j)));
    proc[i] = proc[i] | BIT(j);
    out = (HAS(said_fail[j], i) -> BIT(j) : MINUS(said_fail[j], fail[i]));
    proc[i] = (HAS(said_fail[j], i) -> proc[i] : proc[i] | said_proc[j]);
    fail[i] = fail[i] | out;
    before[i] = before[i] | out;
    if
    :: proc[i] != a || fail[i] != b ->
        agree[i] = 0;
        say_join(i)
    :: else
    fi;
    agree[i] = (SAME_SETS(i, j) -> agree[i] | BIT(j) : agree[i]);
    gather_try(i, true)
}

inline join_receive(i, j)
{
    owed[j] = MINUS(owed[j], BIT(i));
    before[i] = MINUS(before[i], BIT(j));
    if
    :: !STALE(i, j) ->
        known[i * N + j] = start[j];
        if
        :: state[i] != GATHER -> gather_enter(i, 0)
        :: else
        fi;
        if
        :: !HAS(fail[i], j) -> join_merge(i, j)
        :: else
        fi
    :: else
    fi
}

/* The commit token of j at i, its successor */

#ifdef BUG_ACCEPT
#define AGREES(i, j) true
#else
#define AGREES(i, j) (passed_memb[j] == MEMBERS(i))
#endif
#define ROUND(i, j)                                                       \
    (state[i] == COMMIT && new_seq[i] == passed_seq[j] && LOWEST(passed_memb[j]) == i && \
     LOWEST(new_memb[i]) == i)
#ifdef BUG_SEQ
#define NEWER(i, j) true
#else
#define NEWER(i, j) (passed_seq[j] > seq[i])
#endif
#define COMMIT_WANTED(i, j)                                               \
    (NEWER(i, j) && LOWEST(passed_memb[j]) != i &&             \
     ((state[i] == COMMIT && passed_memb[j] == new_memb[i]) || (state[i] == GATHER && AGREES(i, j))))
#define CAN_COMMIT(i, j)                                                  \
    (UP(i) && HEARS(i, j) && passed_seq[j] != 0 && NEXT(passed_memb[j], j) == i && \
     (ROUND(i, j) ||                                                      \
      (COMMIT_WANTED(i, j) && (passed_seq[j] <= disk[i] || passed_seq[j] > want[i]))))

inline recovery_enter(i)
{
    state[i] = RECOVERY;
    check_id(i)
}

inline commit_receive(i, j)
{
    if
    :: ROUND(i, j) -> recovery_enter(i)
    :: else ->
        if
        :: passed_seq[j] > disk[i] -> ring_seq_want(i, passed_seq[j])
        :: else -> commit_enter(i, passed_seq[j], passed_memb[j])
        fi
    fi
}

/* The new ring's token, or anything else that only its members send. */
#define SEES(i, j)     (HEARS(i, j) && HAS(new_memb[i], j) && IN_RING(j, new_seq[i], new_memb[i]))
/* It turns until all have everything; that it is so, its last rotation tells. */
#define TURNS(i, j)    (i == j || !HAS(new_memb[i], j) || (SEES(i, j) && state[j] == RECOVERY))
#define TOLD(i, j)     (SEES(i, j) && state[j] == OPERATIONAL)
/* A ring that stands: its token is not missed. */
#define TOGETHER(i, j) (i == j || !HAS(ring_memb[i], j) ||                       \
                        (HEARS(i, j) && INSTALLED(j, ring_seq[i], ring_memb[i])))
#define LIVES(i, j)    (i == j || !UP(j) || !HEARS(i, j) || \
                        (HAS(ring_memb[i], j) && ring_memb[i] == ring_memb[j] && TOGETHER(i, j)))

#if N == 3
#define ALL_OF(X, i) (X(i, 0) && X(i, 1) && X(i, 2))
#define ANY_OF(X, i) (X(i, 0) || X(i, 1) || X(i, 2))
#define SETTLED      (SETTLED_AT(0) && SETTLED_AT(1) && SETTLED_AT(2))
#else
#define ALL_OF(X, i) (X(i, 0) && X(i, 1) && X(i, 2) && X(i, 3))
#define ANY_OF(X, i) (X(i, 0) || X(i, 1) || X(i, 2) || X(i, 3))
#define SETTLED      (SETTLED_AT(0) && SETTLED_AT(1) && SETTLED_AT(2) && SETTLED_AT(3))
#endif
#define CAN_TOKEN(i)   (state[i] == COMMIT && ANY_OF(SEES, i))
/* A JOIN travels, and a reservation is written, for less long than several need to recover. */
#ifdef SLOW
#define AWAITED(x, i)  false
#else
#define AWAITED(x, i)  (owed[i] != 0 || CAN_WRITE(i))
#endif
#define CAN_INSTALL(i) (state[i] == RECOVERY && !ANY_OF(AWAITED, i) && \
                        (ALL_OF(TURNS, i) || ANY_OF(TOLD, i)))
#define CAN_WRITE(i)   (UP(i) && want[i] > disk[i])
#define SETTLED_AT(i)  (!UP(i) || (state[i] == OPERATIONAL && ALL_OF(TOGETHER, i) && ALL_OF(LIVES, i)))

inline persisted(i)
{
    disk[i] = want[i];
    want[i] = 0;
    gather_try(i, true)
}

/* Timers */

#define SILENT(i, j)    (i != j && HAS(MEMBERS(i), j) && (!UP(j) || !HEARS(i, j)))
#define DISAGREES(i, j) (i != j && HAS(MEMBERS(i), j) && !HAS(agree[i], j))
#define CAN_LOSE(i)     (FORMING(i) || (state[i] == OPERATIONAL && !ALL_OF(TOGETHER, i)))
#define CAN_EXPIRE(i)   (state[i] == GATHER && (ANY_OF(SILENT, i) || ANY_OF(DISAGREES, i)))
#define CAN_FORM(i)     (CONSENSUS(i) && LOWEST(MEMBERS(i)) == i && WORTH_WAITING(i))
/* The representative of a ring that has not all looks for others. */
#define STRANGE(i, j)   (state[j] == OPERATIONAL && HEARS(i, j) && \
                         !INSTALLED(j, ring_seq[i], ring_memb[i]) && \
                         (HAS(ring_memb[j], i) || !WAITS(j)) && \
                         !(HAS(ring_memb[j], i) && ring_seq[i] <= ring_seq[j]))
#define CAN_BEACON(i, j) (state[i] == OPERATIONAL && LOWEST(ring_memb[i]) == i && \
                          ring_memb[i] != NODES && STRANGE(i, j))

inline loss_expire(i)
{
    gather_enter(i, 0);
    gather_try(i, true)
}

inline put_out(i, set)
{
    fail[i] = fail[i] | set;
    before[i] = before[i] | set;
    agree[i] = 0;
    say_join(i);
    gather_try(i, true)
}

/* Who is silent first; who does not agree only when nobody is. */
inline gather_expire_consensus(i)
{
    out = 0;
    for (a : 0 .. N - 1) {
        out = (SILENT(i, a) -> out | BIT(a) : out);
    }
    for (a : 0 .. N - 1) {
        b = (DISAGREES(i, a) -> b | BIT(a) : b);
    }
    out = (out == 0 -> b : out);
    put_out(i, out)
}

inline form_expire(i)
{
    gather_try(i, false)
}

inline beacon_receive(j, i)
{
    before[j] = MINUS(before[j], BIT(i));
    gather_enter(j, BIT(i));
    gather_try(j, true)
}

/* Faults */

inline forget(i)
{
    state[i] = DOWN;
    seq[i] = 0;
    want[i] = 0;
    for (k : 0 .. N - 1) {
        owed[k] = (k == i -> 0 : MINUS(owed[k], BIT(i)));
    }
    proc[i] = 0;
    fail[i] = 0;
    agree[i] = 0;
    agreed[i] = 0;
    installing[i] = false;
    before[i] = 0;
    rings[i] = 0;
    ring_seq[i] = 0;
    ring_memb[i] = 0;
    new_seq[i] = 0;
    new_memb[i] = 0;
    for (k : 0 .. N - 1) {
        known[i * N + k] = 0;
        heard_seq[i * N + k] = 0;
    }
#ifndef PERSIST
    disk[i] = 0;
#endif
}

inline crash(i)
{
    forget(i);
    faults--
}

inline ring_init(i)
{
    start[i]++;
#ifndef BUG_RESTART
    seq[i] = disk[i];
#endif
    gather_enter(i, 0)
}

inline cut_off(i)
{
    cut = BIT(i);
    for (k : 0 .. N - 1) {
        owed[k] = (k == i -> 0 : MINUS(owed[k], BIT(i)));
    }
    faults--
}

inline lose_join(i, j)
{
    owed[j] = MINUS(owed[j], BIT(i));
    faults--
}

/* A timer ends before what it waits for comes: one more node is put out, or a ring is given up. */
inline expire_early(i, j)
{
    faults--;
    put_out(i, BIT(j))
}

inline lose_early(i)
{
    faults--;
    gather_enter(i, 0);
    gather_try(i, true)
}

#define START_OF(i) ring_init(i);
/* Or all are in a ring already. */
#define FORM(i) used[0] = BIT(1); disk[i] = 1; want[i] = 0; seq[i] = 1; new_seq[i] = 1;    \
                new_memb[i] = NODES; agreed[i] = NODES; owed[i] = 0; operational_enter(i); \
                installing[i] = false;

/* Does it repeat what stands in its name? */
#define SAYS_JOIN(j)   (state[j] == GATHER || state[j] == COMMIT)
#define SAYS_COMMIT(j) (state[j] == COMMIT)

/* One step: all at once, and scratch left clean. */
#define DO(what) d_step { printf(#what); printf("\n"); what; a = 0; b = 0; k = 0; memb = 0; top = 0; out = 0 }

#define FAULTS_OF(i)                                                           \
    :: faults > 0 && UP(i) -> DO(crash(i))                                     \
    :: faults > 0 && (FORMING(i) || state[i] == OPERATIONAL) -> DO(lose_early(i)) \
    :: faults > 0 && cut == 0 -> DO(cut_off(i))                                \
    :: !UP(i) -> DO(ring_init(i))

#define FAULTS_BETWEEN(i, j)                                                   \
    :: faults > 0 && state[i] == GATHER && DISAGREES(i, j) -> DO(expire_early(i, j)) \
    :: faults > 0 && HAS(owed[j], i) -> DO(lose_join(i, j))                         \
    :: faults > 0 && !SAYS_JOIN(j) && CAN_JOIN(i, j) -> DO(faults--; join_receive(i, j)) \
    :: faults > 0 && !SAYS_COMMIT(j) && CAN_COMMIT(i, j) -> DO(faults--; commit_receive(i, j))

#define DELIVERIES_TO(i)                                                       \
    :: CAN_TOKEN(i) -> DO(recovery_enter(i))                                   \
    :: CAN_INSTALL(i) -> DO(operational_enter(i))                              \
    :: CAN_WRITE(i) -> DO(persisted(i))                                        \
    :: installing[i] && ALL_OF(TOGETHER, i) -> DO(installing[i] = false)

#define DELIVERIES_BETWEEN(i, j)                                               \
    :: HAS(owed[j], i) || (SAYS_JOIN(j) && CAN_JOIN(i, j)) -> DO(join_receive(i, j)) \
    :: SAYS_COMMIT(j) && CAN_COMMIT(i, j) -> DO(commit_receive(i, j))

#define TIMERS_OF(i)                                                           \
    :: CAN_LOSE(i) -> DO(loss_expire(i))                                       \
    :: CAN_EXPIRE(i) -> DO(gather_expire_consensus(i))                         \
    :: CAN_FORM(i) -> DO(form_expire(i))

#define TIMERS_BETWEEN(i, j)                                                   \
    :: CAN_BEACON(i, j) -> DO(beacon_receive(j, i))

#if N == 3
#define EACH(X) X(0) X(1) X(2)
#define PAIRS(X) X(0, 1) X(0, 2) X(1, 0) X(1, 2) X(2, 0) X(2, 1)
#else
#define EACH(X) X(0) X(1) X(2) X(3)
#define PAIRS(X) X(0, 1) X(0, 2) X(0, 3) X(1, 0) X(1, 2) X(1, 3) \
                 X(2, 0) X(2, 1) X(2, 3) X(3, 0) X(3, 1) X(3, 2)
#endif

init {
    d_step {
        EACH(START_OF)
#ifdef FORMED
        EACH(FORM)
#endif
        k = 0
    }
    do
    EACH(FAULTS_OF)
    PAIRS(FAULTS_BETWEEN)
    :: cut != 0 -> cut = 0
    :: atomic {
        if
        EACH(DELIVERIES_TO)
        PAIRS(DELIVERIES_BETWEEN)
        :: else ->
            if
            EACH(TIMERS_OF)
            PAIRS(TIMERS_BETWEEN)
            :: else ->
                assert(SETTLED); /* E */
                break
            fi
        fi
    }
    od
}
