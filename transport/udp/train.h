/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TRANSPORT_UDP_TRAIN_H
#define TRANSPORT_UDP_TRAIN_H

/*
 * train.h - frames that go through the kernel as one message and leave it as many.
 *
 * Frames for the same destination that follow each other in one burst and have one length make a
 * train; a shorter one may be its last. The kernel carries a train through its stack as one packet
 * and cuts it at the end (UDP_SEGMENT, generic segmentation offload): on the wire, and for the
 * receiver, they are datagrams like others.
 *
 * Knows:      which frames can go together, and where their memory is.
 * Knows not:  sockets, destinations.
 * Invariants: R1  a train of more than one frame is at most TRAIN_FRAMES frames and TRAIN_BYTES
 *                 bytes, none of them empty
 */

#include <sys/uio.h>

#include "zcb.h"

enum {
    TRAIN_FRAMES = 64,            /* as many as a kernel takes */
    TRAIN_BYTES = 65535 - 20 - 8, /* it counts as one datagram until it is cut */
};

struct udp_train {
    struct zcb **frames;
    int index; /* of its first frame in the burst */
    int count;
    uint32_t frame_bytes; /* of each but the last */
    uint32_t bytes;       /* in all */
    int pieces;           /* of memory, at most */
    struct iovec *iov;    /* where they are named */
    int iov_count;        /* 0: nowhere (yet, or any more) */
};

static inline uint64_t udp_frame_bytes(const struct zcb *frame)
{
    return (uint64_t)frame->head_bytes + frame->payload_bytes;
}

/* The train that begins with frames[index]; of one frame unless `join`. Frames longer than
 * frame_bytes_max join none. */
void udp_train_make(struct udp_train *train, struct zcb **frames, int index, int count, bool join,
                    uint32_t frame_bytes_max, int pieces_max);

/* Name its memory at iov; sets train->iov_count. */
void udp_train_gather(struct udp_train *train, struct iovec *iov);

#endif
