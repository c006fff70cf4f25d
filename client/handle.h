/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CLIENT_HANDLE_H
#define CLIENT_HANDLE_H

/*
 * handle.h - one connection of the process to the local service, and how a cpg_handle_t finds it.
 *
 * The parts of a handle belong to units, each with its own lock or none, so that calls that send,
 * calls that dispatch and calls that ask do not wait for each other:
 *
 *   request   control socket            request.c    mutex
 *   send      TX segments, submissions  send.c       mutex, taken before the request's
 *   receive   events, mappings, buffer  dispatch.c   the turn
 *   zcb       buffers of the program    zcb_v1.c     mutex
 *   iterate   snapshots of groups       iterate.c    mutex
 *
 * Invariants: H1  a handle acquired stays whole until released: descriptors, mappings, memory
 *             H2  `lost` and `finalized` are set once and never cleared
 *             H3  no lock is held across a callback, a wait of unknown length or a cancellation
 *                 point
 */

#include <corosync/cpg.h>

#include "gate.h"
#include "table.h"
#include "turn.h"
#include "zcb.h"

struct iteration;

enum segment_kind { SEGMENT_SMALL, SEGMENT_MEDIUM, SEGMENT_LARGE, SEGMENT_SINGLE, SEGMENT_KINDS };

struct tx_segment {
    struct zcb_arena arena; /* bytes == 0: none at this index */
    uint64_t position;      /* next byte to write, counted for ever */
    uint64_t used_ns;       /* when a message was last put here, as far as it matters */
    enum segment_kind kind;
    bool lent; /* to be given back as soon as nothing in it is under way */
};

struct send_state {
    pthread_mutex_t lock;
    struct spsc_producer submit;
    struct tx_segment segment[CHAN_SEGMENT_COUNT];
    uint64_t denied_until_ns[SEGMENT_KINDS]; /* the pool was empty: do not ask again before */
    _Atomic uint64_t refused_bytes;          /* size + 1 of the last message refused for room */
    _Atomic uint32_t idle_count;             /* segments to give back when idle */
    _Atomic uint64_t last_big;    /* segment_key() of the last message in a large or single segment,
                                     until it has come back to us; 0: it has */
    _Atomic uint64_t last_medium; /* the same for medium segments */
    _Atomic bool stream_over;     /* one of the two has come back, and nobody looked since */
    _Atomic uint64_t trim_ns;     /* when to look for idle ones next */
    uint32_t count[SEGMENT_KINDS]; /* of the segments there are */
    uint64_t large_back_ns;        /* when the large one was given back */
    bool large_stays;              /* it was wanted again soon after, so until it is idle */
    bool joined;
};

struct receive_state {
    struct turn turn;
    struct spsc_consumer events;
    struct spsc_producer done;
    struct zcb_arena *mapped; /* arenas of others, most recently used first */
    uint32_t mapped_count;
    uint32_t mapped_room;
    uint32_t retired_seen;
    uint32_t taken_events; /* since the queue was last empty: is the service holding some back? */
    uint64_t taken_bytes;
    struct cpg_name group; /* of the own membership, as far as it has been dispatched */
    void *spare;           /* a payload buffer not in use */
    size_t spare_bytes;
};

struct handle {
    cpg_handle_t value;
    cpg_model_v1_data_t model;
    _Atomic bool finalized;    /* cpg_finalize() was called */
    _Atomic bool lost;         /* the service is gone, or has thrown us out */
    _Atomic uint64_t alive_ns; /* when the service was last seen alive */

    struct ctl_hello hello;
    struct zcb_arena up_arena, down_arena, core_arena, rx_arena;
    struct chan_up *up;
    struct chan_down *down;
    const struct chan_core *core;

    struct gate wake;    /* the descriptor of cpg_fd_get() */
    struct gate control; /* control socket */
    pthread_mutex_t request_lock;
    struct send_state send;
    struct receive_state receive;
    pthread_mutex_t zcb_lock;
    void *zcb_buffers; /* tsearch() tree of struct zcb_buffer */
    pthread_mutex_t iterate_lock;
    struct iteration *iterations;
};

/* All handles of the process. The one thing that is global: the API has numbers, no context. */
extern struct table handle_table;

/* A handle without connection, owned by the caller until handle_publish(); NULL: no memory. */
struct handle *handle_create(void);
void handle_destroy(void *handle);

/* Give it its value, whose note is the context. -ENOMEM: there is none, and the caller still owns
 * the handle. */
int handle_publish(struct handle *h, void *context);

struct handle *handle_acquire(cpg_handle_t value);
void handle_release(struct handle *h);

/*
 * End a call that used the handle: releases it, and gives what the call returns. A service that is
 * gone because the handle was finalized meanwhile is no loss: CS_ERR_BAD_HANDLE.
 */
cs_error_t handle_end_call(struct handle *h, cs_error_t error);

/* For pthread_cleanup_push(). */
void handle_release_cleanup(void *h);

/* The service is gone: say so to all calls to come. */
void handle_lose(struct handle *h);

/*
 * Is the service still there? Asks the kernel at most every tenth of a millisecond, and believes
 * the last answer between: it takes longer than that to notice in any other way.
 */
bool handle_alive(struct handle *h);

uint64_t handle_now_ns(void);

#endif
