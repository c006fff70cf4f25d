/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_RING_WIRE_FRAMES_H
#define TESTS_RING_WIRE_FRAMES_H

/*
 * wire_frames.h - one good frame of each type, written field by field: for tests and as seeds of
 * the fuzzer.
 */

#include <string.h>

#include "wire.h"

enum { FRAMES_TAG = 0x5eed, FRAMES_BYTES_MAX = 2048 };

/* Aligned as a slot is. */
struct frames_buffer {
    _Alignas(CACHE_LINE_BYTES) uint8_t byte[FRAMES_BYTES_MAX];
    uint32_t bytes;
};

static inline struct wire_head frames_head(enum wire_type type, uint32_t head_bytes,
                                           uint32_t frame_bytes)
{
    return (struct wire_head){
        .magic = WIRE_MAGIC,
        .version = WIRE_VERSION_HIGH,
        .type = (uint8_t)type,
        .head_bytes = (uint16_t)head_bytes,
        .cluster_tag = FRAMES_TAG,
        .sender = 2,
        .ring_rep = 1,
        .ring_seq = 8,
        .frame_bytes = frame_bytes,
    };
}

/* Three whole messages, of 5, 0 and 9 bytes: the last begins at 8. */
static inline void frames_chunks(struct wire_chunk *chunk)
{
    const uint32_t whole = WIRE_CHUNK_FIRST | WIRE_CHUNK_LAST;
    chunk[0] = wire_chunk_make(5, whole, 7, GUARANTEE_AGREED);
    chunk[1] = wire_chunk_make(0, whole | WIRE_CHUNK_CONTROL, WIRE_PORT_MAX, GUARANTEE_FIFO);
    chunk[2] = wire_chunk_make(9, whole, 0, GUARANTEE_UNORDERED);
}

static inline void frames_data(struct frames_buffer *b)
{
    struct wire_data *data = (struct wire_data *)(void *)b->byte;
    b->bytes = sizeof(*data) + 3 * sizeof(struct wire_chunk) + 17;
    *data = (struct wire_data){
        .head = frames_head(WIRE_DATA, b->bytes - 17, b->bytes),
        .seq = 3,
        .chunk_count = 3,
        .payload_bytes = 17,
    };
    frames_chunks(data->chunk);
}

static inline void frames_recovery(struct frames_buffer *b)
{
    struct wire_recovery *recovery = (struct wire_recovery *)(void *)b->byte;
    b->bytes = sizeof(*recovery) + 3 * sizeof(struct wire_chunk) + 17;
    *recovery = (struct wire_recovery){
        .head = frames_head(WIRE_RECOVERY, b->bytes - 17, b->bytes),
        .seq = 3,
        .chunk_count = 3,
        .payload_bytes = 17,
        .old_ring_rep = 2,
        .old_sender = 3,
        .old_ring_seq = 4,
        .old_seq = 99,
    };
    frames_chunks(recovery->chunk);
}

/* One frame full of a message that began earlier and goes on: its middle piece. */
static inline void frames_piece(struct frames_buffer *b)
{
    struct wire_data *data = (struct wire_data *)(void *)b->byte;
    b->bytes = sizeof(*data) + sizeof(struct wire_chunk) + 464;
    *data = (struct wire_data){
        .head = frames_head(WIRE_DATA, b->bytes - 464, b->bytes),
        .seq = 1,
        .chunk_count = 1,
        .flags = WIRE_SAFE,
        .payload_bytes = 464,
    };
    data->chunk[0] = wire_chunk_make(464, 0, 7, GUARANTEE_SAFE);
}

static inline void frames_token(struct frames_buffer *b)
{
    struct wire_token *token = (struct wire_token *)(void *)b->byte;
    b->bytes = wire_token_bytes(3);
    *token = (struct wire_token){
        .head = frames_head(WIRE_TOKEN, sizeof(*token), b->bytes),
        .token_seq = 1000,
        .seq = 60,
        .aru = 50,
        .aru_id = 3,
        .seq_owner = 2,
        .fcc = 9,
        .backlog = 4,
        .free_min = 100,
        .free_next = 90,
        .bulk_owner = 1,
        .rtr_count = 3,
    };
    token->rtr[0] = 51;
    token->rtr[1] = 52;
    token->rtr[2] = 60;
}

static inline void frames_join(struct frames_buffer *b)
{
    struct wire_join *join = (struct wire_join *)(void *)b->byte;
    b->bytes = wire_join_bytes(3, 2);
    *join = (struct wire_join){
        .head = frames_head(WIRE_JOIN, sizeof(*join), b->bytes),
        .proc_count = 3,
        .fail_count = 2,
        .version_low = WIRE_VERSION_LOW,
        .version_high = WIRE_VERSION_HIGH,
        .flags = WIRE_LEAVING,
        .frame_bytes_max = 1472,
        .incarnation = 77,
    };
    const uint32_t ids[] = { 1, 2, 9, 3, 8 };
    memcpy(join->id, ids, sizeof(ids));
}

static inline void frames_commit(struct frames_buffer *b)
{
    struct wire_commit *commit = (struct wire_commit *)(void *)b->byte;
    b->bytes = wire_commit_bytes(3);
    *commit = (struct wire_commit){
        .head = frames_head(WIRE_COMMIT, sizeof(*commit), b->bytes),
        .token_seq = 2,
        .member_count = 3,
    };
    const uint32_t ids[] = { 1, 2, 9 };
    memcpy(commit->id, ids, sizeof(ids));
}

static inline void frames_beacon(struct frames_buffer *b)
{
    struct wire_beacon *beacon = (struct wire_beacon *)(void *)b->byte;
    b->bytes = sizeof(*beacon);
    *beacon = (struct wire_beacon){
        .head = frames_head(WIRE_BEACON, sizeof(*beacon), b->bytes),
        .member_count = 2,
    };
}

static inline void frames_want(struct frames_buffer *b)
{
    struct wire_want *want = (struct wire_want *)(void *)b->byte;
    b->bytes = sizeof(*want);
    *want = (struct wire_want){
        .head = frames_head(WIRE_WANT, sizeof(*want), b->bytes),
        .token_seq = 5,
        .backlog = 1,
    };
}

static inline void frames_park(struct frames_buffer *b)
{
    struct wire_park *park = (struct wire_park *)(void *)b->byte;
    b->bytes = sizeof(*park);
    *park = (struct wire_park){
        .head = frames_head(WIRE_PARK, sizeof(*park), b->bytes),
        .token_seq = 5,
        .seq = 60,
        .aru = 60,
    };
}

static inline void frames_info(struct frames_buffer *b)
{
    struct wire_info *info = (struct wire_info *)(void *)b->byte;
    b->bytes = sizeof(*info);
    *info = (struct wire_info){
        .head = frames_head(WIRE_INFO, sizeof(*info), b->bytes),
        .seq = 2,
        .old_ring_rep = 2,
        .received_flag = 1,
        .old_ring_seq = 4,
        .aru = 99,
        .safe_seq = 98,
        .incarnation = 7,
    };
}

struct frames_sample {
    const char *name;
    void (*make)(struct frames_buffer *b);
};

static const struct frames_sample frames_sample[] = {
    { "data", frames_data },     { "recovery", frames_recovery }, { "piece", frames_piece },
    { "token", frames_token },   { "join", frames_join },         { "commit", frames_commit },
    { "beacon", frames_beacon }, { "want", frames_want },         { "park", frames_park },
    { "info", frames_info },
};

#endif
