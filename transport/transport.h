/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TRANSPORT_TRANSPORT_H
#define TRANSPORT_TRANSPORT_H

/*
 * transport.h - the door of the room: frames out, frames in, one table of operations a backend.
 *
 * Knows:      nodes and their addresses, frames as zcb buffers, descriptors to sleep on.
 * Knows not:  what a frame says. Loss, duplication and reordering are the ring's business; a
 *             backend may do all three, but never hands up bytes that nobody sent (checksums) and
 *             never a frame longer than frame_bytes_max.
 * Invariants: T1  a frame passed to tx_burst() is read until tx_reap() gives it back, or the call
 *                 returns where the backend copies
 *             T2  rx_burst() gives frames held by ZCB_HELD_OUT, head = slot, one slice that is
 *                 empty: the whole frame is in the head until somebody parses it (head_bytes is
 *                 the frame's length)
 *             T3  a link or an address that goes away and comes back costs frames, nothing else
 * Thread:     open, query, close and what is about memory: control thread. All others: poll core.
 */

#include <stddef.h>

#include "dpdk_config.h"
#include "synchrotron/types.h"
#include "zcb.h"

enum { TRANSPORT_ADDRESS_BYTES = 64, TRANSPORT_MAC_BYTES = 18, TRANSPORT_BURST = 32 };

struct transport_node {
    uint32_t node_id;
    char address[TRANSPORT_ADDRESS_BYTES]; /* numeric, IPv4 or IPv6; scope by %interface */
    uint16_t port;
    char mac[TRANSPORT_MAC_BYTES]; /* "02:00:00:00:00:07", or "": learnt; for backends that need it
                                    */
    bool routed; /* not on our link: for backends that need to know, by their gateway */
};

struct transport_config {
    uint32_t node_id;                   /* which of `nodes` we are */
    const struct transport_node *nodes; /* all of the cluster, ourselves included */
    int node_count;
    uint32_t frame_bytes_max; /* largest frame, its header included, our encapsulation not */
    const char *multicast;    /* numeric group, or NULL for fan-out */
    uint16_t multicast_port;
    uint8_t multicast_ttl;
    struct zcb_pool *rx_pool; /* slots of at least frame_bytes_max */
    /* Where its slots lie, for backends that must tell a card: the keys of both are set by open. */
    struct zcb_arena *rx_arena;
    uint32_t rx_reserve;   /* leave so many frames in the pool untouched */
    uint64_t socket_bytes; /* wanted kernel buffer, 0: the backend's choice */
    const void *backend;   /* the backend's own part of the configuration, or NULL */
};

struct transport_caps {
    uint32_t frame_bytes_max; /* what it takes, at most what was asked */
    uint32_t burst_max;
    bool multicast;    /* one transmission reaches all */
    bool copies_on_tx; /* tx_burst has copied when it returns: tx_reap never has anything */
    /* A full rx_burst() may have a frame of one node before older ones of others that wait. */
    bool overtakes;
    int sleep_fd;         /* who sleeps waits for it to be readable, as arm() says; -1: poll only */
    const char *woken_by; /* a literal, for people: "socket", "interrupt", "clock" */
    const char *copies;   /* NULL, or a line: why payload is copied, and what would help */
    uint64_t socket_bytes;        /* receive buffer the kernel granted; 0: the backend has none */
    uint64_t socket_bytes_wanted; /* and what was asked for, by the configuration or the backend */
};

/* Counters of one backend; written by the poll core, read anywhere (torn reads are harmless). */
struct transport_stats {
    uint64_t rx_frames, rx_bytes;
    uint64_t tx_frames, tx_bytes; /* a frame to n peers by fan-out counts n */
    uint64_t rx_calls, tx_calls;
    uint64_t rx_unknown_source; /* from an address that is no node's */
    uint64_t rx_too_long;
    uint64_t rx_pool_empty;     /* frames left in the kernel or card for want of a buffer */
    uint64_t tx_again;          /* the kernel or card took less than was offered */
    uint64_t tx_errors;         /* a frame given up: unreachable peer, no buffer */
    uint64_t unreachable_peers; /* now, where the backend knows: link down, or no address */
};

/* What a backend counts besides: names are literals. */
struct transport_counter {
    const char *name;
    uint64_t value;
};

enum { TRANSPORT_COUNTERS_MAX = 64 };

/* How to sleep until there are frames. */
enum transport_rest {
    TRANSPORT_SLEEP, /* on sleep_fd: readable while frames wait, once rx_burst() gave fewer than
                        were asked for */
    TRANSPORT_LOOK,  /* on sleep_fd: readable when a frame comes from now on. One may have come
                        already, so look once more; and disarm() afterwards, slept or not */
    TRANSPORT_NAP,   /* nothing would wake: look again soon */
};

struct transport;

struct transport_ops {
    const char *name;
    /* How it wants the slots of rx_pool: headroom_bytes and slot_bytes. Before open. */
    void (*rx_shape)(const struct transport_config *config, struct zcb_pool_shape *shape);
    /* Could it be opened, as far as one can see without trying? Control thread; errors as open's.
     */
    int (*check)(const struct transport_config *config, char *why, size_t why_bytes);
    /* The NUMA node of its port, as far as one can see without opening it; -1: none. Control
     * thread. */
    int (*node)(const struct transport_config *config);
    /**
     * Errors:  -errno, and `why` says what failed, why and what to do, in one line
     */
    int (*open)(struct transport **out, const struct transport_config *config, char *why,
                size_t why_bytes);
    void (*query)(const struct transport *tp, struct transport_caps *caps);
    /* Send frames[0..count) in order to frames[i]->dest. Returns n: the first n are the transport's
     * (it takes over one ZCB_HELD_OUT reference of each and drops it when the bytes are no longer
     * needed), the rest still the caller's. */
    int (*tx_burst)(struct transport *tp, struct zcb **frames, int count);
    /* Up to count received frames; 0 none; -errno the backend is broken (link gone). */
    int (*rx_burst)(struct transport *tp, struct zcb **frames, int count);
    /* Whom ZCB_TO_RING means from now on; ourselves may be in the list. Before the first call: all.
     */
    void (*members)(struct transport *tp, const uint32_t *nodes, int count);
    /* The nodes behind links that are down now, where the backend knows; transport.links counts how
     * often that changed. Returns how many. Shapes: nodes[NODE_COUNT_MAX] */
    int (*links_down)(const struct transport *tp, uint32_t *nodes);
    enum transport_rest (*arm)(struct transport *tp);
    void (*disarm)(struct transport *tp); /* after TRANSPORT_LOOK */
    /* Drop references of completed sends. Returns how many. */
    int (*tx_reap)(struct transport *tp);
    /**
     * Memory that frames will be sent from: a card reads it by itself when it has been told. Sets
     * arena->key, which slices of payload there carry. 0: the backend reads it as it is, or, when
     * that cannot be, copies.
     *
     * Thread:  control thread, between open and close, while the poll core is at work
     * Errors:  -errno, and `why` says in one line why payload from there is copied
     */
    int (*memory_add)(struct transport *tp, struct zcb_arena *arena, char *why, size_t why_bytes);
    /* Nothing from there is under way, or will be sent. What is left when it closes goes then. */
    void (*memory_drop)(struct transport *tp, struct zcb_arena *arena);
    const struct transport_stats *(*stats)(const struct transport *tp);
    /* Its own counters, at most TRANSPORT_COUNTERS_MAX. Returns how many. */
    int (*counters)(const struct transport *tp, struct transport_counter *list);
    void (*close)(struct transport *tp);
};

/* Every backend begins with this, so that fast calls need no second table. */
struct transport {
    const struct transport_ops *ops;
    /* Who sleeps comes back soon, and calls tx_reap(): */
    bool busy;      /* taken frames wait here for room */
    bool awaits;    /* a link that is down is looked for: that much less soon */
    bool watches;   /* a link may go down without waking anybody: still less soon */
    uint32_t links; /* links_down() says another thing whenever this does; 0: all are up */
};

extern const struct transport_ops transport_udp, transport_dpdk;

/* For backends that have nothing to say there. */
int transport_no_check(const struct transport_config *config, char *why, size_t why_bytes);
int transport_no_node(const struct transport_config *config);
int transport_no_counters(const struct transport *tp, struct transport_counter *list);
enum transport_rest transport_sleep(struct transport *tp);
enum transport_rest transport_nap(struct transport *tp);
void transport_no_disarm(struct transport *tp);
void transport_rx_shape(const struct transport_config *config, struct zcb_pool_shape *shape);
int transport_no_memory_add(struct transport *tp, struct zcb_arena *arena, char *why,
                            size_t why_bytes);
void transport_no_memory_drop(struct transport *tp, struct zcb_arena *arena);

/* By the name of the configuration: "udp". NULL: no such backend is built in. */
const struct transport_ops *transport_find(const char *name);

static inline int transport_tx_burst(struct transport *tp, struct zcb **frames, int count)
{
    return tp->ops->tx_burst(tp, frames, count);
}

static inline int transport_rx_burst(struct transport *tp, struct zcb **frames, int count)
{
    return tp->ops->rx_burst(tp, frames, count);
}

#endif
