/* SPDX-License-Identifier: BSD-3-Clause */
#include "train.h"

static int frame_pieces(const struct zcb *frame)
{
    return frame->slice_count + 1;
}

/* May `frame` be the next one? */
static bool takes(const struct udp_train *train, const struct zcb *frame, int pieces_max)
{
    uint64_t bytes = udp_frame_bytes(frame);

    return frame->dest == train->frames[0]->dest && bytes > 0 && bytes <= train->frame_bytes &&
           train->bytes == train->frame_bytes * (uint32_t)train->count &&
           train->bytes + bytes <= TRAIN_BYTES && train->count < TRAIN_FRAMES &&
           train->pieces + frame_pieces(frame) <= pieces_max;
}

static void append(struct udp_train *train, const struct zcb *frame)
{
    train->count++;
    train->bytes += (uint32_t)udp_frame_bytes(frame);
    train->pieces += frame_pieces(frame);
}

void udp_train_make(struct udp_train *train, struct zcb **frames, int index, int count, bool join,
                    uint32_t frame_bytes_max, int pieces_max)
{
    *train = (struct udp_train){ .frames = frames + index, .index = index };
    train->frame_bytes = (uint32_t)udp_frame_bytes(frames[index]);
    append(train, frames[index]);
    if (!join || udp_frame_bytes(frames[index]) > frame_bytes_max)
        return;
    for (int i = index + 1; i < count && takes(train, frames[i], pieces_max); i++)
        append(train, frames[i]);
}

static struct iovec *frame_gather(const struct zcb *frame, struct iovec *iov)
{
    *iov++ = (struct iovec){ .iov_base = frame->head, .iov_len = frame->head_bytes };
    for (int i = 0; i < frame->slice_count; i++) {
        const struct zcb_slice *slice = &frame->slice[i];
        if (slice->bytes != 0)
            *iov++ = (struct iovec){ .iov_base = (void *)slice->data, .iov_len = slice->bytes };
    }
    return iov;
}

void udp_train_gather(struct udp_train *train, struct iovec *iov)
{
    train->iov = iov;
    for (int i = 0; i < train->count; i++)
        iov = frame_gather(train->frames[i], iov);
    train->iov_count = (int)(iov - train->iov);
}
