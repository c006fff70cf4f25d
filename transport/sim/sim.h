/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TRANSPORT_SIM_SIM_H
#define TRANSPORT_SIM_SIM_H

/*
 * sim.h - a network inside one process, under virtual time.
 *
 * Endpoints that share a net send each other frames through it. Time stands still until the owner
 * moves it; then what is due lies in the endpoints' inboxes, to be taken by rx_burst(). Given the
 * same seed and the same calls, everything happens again in the same way, to the bit.
 *
 * Knows:      links, one for each direction between two nodes, and what goes wrong on them.
 * Knows not:  real time, threads, files. Fit for tests only: it allocates when it likes.
 * Invariants: G1  without faults a link delivers every frame once, in order, after delay_ns_least
 *                 to delay_ns_most
 *             G2  next_ns never lies before now_ns, and nothing arrives before it
 *             G3  (T1) an endpoint opened with by_reference reads a frame when it arrives, not when
 *                 it is sent, as a card does: writing to it in between damages what arrives
 *             G4  corrupt and truncate break the promise of transport.h on purpose: they stand for
 *                 a peer that lies, and are 0 unless asked for
 * Thread:     one
 */

#include "transport.h"

/* Chances in parts per million, for each frame on each link. */
struct sim_faults {
    uint32_t loss_ppm;
    uint32_t duplicate_ppm;
    uint32_t reorder_ppm; /* the frame may be overtaken: it comes up to reorder_ns later */
    uint32_t corrupt_ppm; /* one bit is turned */
    uint32_t truncate_ppm;
    uint32_t zero;
    uint64_t delay_ns_least, delay_ns_most;
    uint64_t reorder_ns;
};

struct sim_net_config {
    uint64_t seed;
    struct sim_faults faults; /* of every link, until sim_net_link() */
    uint32_t
        inbox_frames; /* arrived and not yet taken, a node; what comes beyond is lost. 0: any */
    uint32_t tx_short_ppm; /* per tx_burst: it takes fewer frames than it was offered */
};

struct sim_net_stats {
    uint64_t sent; /* a frame to n nodes counts n */
    uint64_t delivered;
    uint64_t lost, cut, duplicated, reordered, corrupted, truncated;
    uint64_t overflowed;  /* inbox full */
    uint64_t nobody_home; /* the node was not open when the frame arrived */
};

struct sim_net;

/* transport_config.backend */
struct sim_config {
    struct sim_net *net;
    bool by_reference; /* frames stay with the transport until they arrived: G3 */
};

extern const struct transport_ops transport_sim;

/* Errors: -ENOMEM. All endpoints must be closed before the net is destroyed. */
int sim_net_create(struct sim_net **out, const struct sim_net_config *config);
void sim_net_destroy(struct sim_net *net);

/* Let time pass up to now_ns: what is due by then arrives, in order of its time. */
void sim_net_advance(struct sim_net *net, uint64_t now_ns);

/* When the next frame arrives; NS_NEVER: none is under way. */
uint64_t sim_net_next_ns(const struct sim_net *net);
uint64_t sim_net_now_ns(const struct sim_net *net);

/* Frames that arrived at a node and were not taken yet. */
uint32_t sim_net_waiting(const struct sim_net *net, uint32_t node_id);

/* Faults of all links from now on, or of one direction of one; frames under way keep their fate. */
void sim_net_faults(struct sim_net *net, const struct sim_faults *faults);
void sim_net_link(struct sim_net *net, uint32_t from, uint32_t to, const struct sim_faults *faults);

/* Cut one direction, or mend it. Frames under way on a link that is cut when they arrive are lost.
 */
void sim_net_cut(struct sim_net *net, uint32_t from, uint32_t to, bool cut);

/* The endpoint of `from` learns that its link to `to` is down, or up again: true or not. Links know
 * nothing else of what happens to them. */
void sim_net_tell(struct sim_net *net, uint32_t from, uint32_t to, bool down);

/* Mend all cuts, take all faults and false news away; delays stay as they are. */
void sim_net_heal(struct sim_net *net);

const struct sim_net_stats *sim_net_stats(const struct sim_net *net);

#endif
