/* SPDX-License-Identifier: BSD-3-Clause */
#include "wire.h"

#include <string.h>

/* L1: with natural alignment each struct is as long as its fields are. */
#define WIRE_UNPADDED(name, TABLE) \
    struct packed_##name {         \
        struct wire_head head;     \
        TABLE(WIRE_FIELD)          \
    } __attribute__((packed));     \
    static_assert(sizeof(struct packed_##name) == sizeof(struct wire_##name), "L1: " #name)

WIRE_UNPADDED(data, WIRE_DATA_TABLE);
WIRE_UNPADDED(recovery, WIRE_RECOVERY_TABLE);
WIRE_UNPADDED(token, WIRE_TOKEN_TABLE);
WIRE_UNPADDED(join, WIRE_JOIN_TABLE);
WIRE_UNPADDED(commit, WIRE_COMMIT_TABLE);
WIRE_UNPADDED(beacon, WIRE_BEACON_TABLE);
WIRE_UNPADDED(want, WIRE_WANT_TABLE);
WIRE_UNPADDED(park, WIRE_PARK_TABLE);
WIRE_UNPADDED(info, WIRE_INFO_TABLE);

/* Lists begin aligned, and each names a field that counts it. */
#define WIRE_LISTED(of, list, type, count, meaning)                               \
    static_assert(sizeof(struct wire_##of) % _Alignof(type) == 0 &&               \
                      sizeof(((struct wire_##of *)0)->count) <= sizeof(uint32_t), \
                  #of "." #list);
WIRE_LIST_TABLE(WIRE_LISTED)

#define WIRE_TYPE_NAME(NAME, name, number, meaning) [WIRE_##NAME] = #name,

const char *const wire_type_name[WIRE_TYPES] = { [0] = "none", WIRE_TYPE_TABLE(WIRE_TYPE_NAME) };

/* Head and fixed fields. */
#define WIRE_FIXED(NAME, name, number, meaning) [WIRE_##NAME] = sizeof(struct wire_##name),

static const uint16_t fixed_bytes[WIRE_TYPES] = { WIRE_TYPE_TABLE(WIRE_FIXED) };

/* Is each chunk possible, and do the pieces end exactly where the frame does? */
static bool chunks_fit(const struct wire_data *data, const struct wire_chunk *chunk)
{
    const uint32_t whole = WIRE_CHUNK_FIRST | WIRE_CHUNK_LAST;
    const bool safe = data->flags & WIRE_SAFE;
    const uint32_t last = data->chunk_count - 1u;
    uint32_t end = 0; /* cannot overflow: RING_CHUNKS_MAX times 2^24 */
    bool bad = false;

    for (uint32_t i = 0; i <= last; i++) {
        uint32_t bytes = wire_chunk_bytes(&chunk[i]);
        uint32_t flags = wire_chunk_flags(&chunk[i]);
        uint32_t guarantee = wire_chunk_guarantee(&chunk[i]);
        bad |= flags & ~(uint32_t)WIRE_CHUNK_FLAGS;
        bad |= i > 0 && !(flags & WIRE_CHUNK_FIRST);
        bad |= i < last && !(flags & WIRE_CHUNK_LAST);
        bad |= bytes == 0 && (flags & whole) != whole;
        bad |= guarantee > GUARANTEE_SAFE || (guarantee == GUARANTEE_SAFE) != safe;
        if (bytes > 0)
            end = (uint32_t)align_up(end, WIRE_PAYLOAD_ALIGN) + bytes;
    }
    return !bad && end == data->payload_bytes;
}

/* DATA, and the part of RECOVERY that is the same. */
static bool data_possible(const struct wire_data *data, uint32_t table_at, struct wire_view *view)
{
    if (data->seq == 0 || data->flags & ~WIRE_SAFE)
        return false;
    if (data->chunk_count < 1 || data->chunk_count > RING_CHUNKS_MAX)
        return false;
    uint32_t head_bytes = table_at + data->chunk_count * (uint32_t)sizeof(struct wire_chunk);
    if (data->head.head_bytes != head_bytes || head_bytes > data->head.frame_bytes ||
        data->payload_bytes != data->head.frame_bytes - head_bytes)
        return false;
    view->chunk = wire_chunks(&data->head);
    view->payload = (const uint8_t *)data + head_bytes;
    return chunks_fit(data, view->chunk);
}

static bool recovery_possible(const struct wire_recovery *recovery, struct wire_view *view)
{
    if (recovery->old_ring_rep == NODE_NONE || recovery->old_sender == NODE_NONE ||
        recovery->old_seq == 0 || recovery->old_ring_seq >= recovery->head.ring_seq)
        return false;
    return data_possible((const struct wire_data *)(const void *)recovery, sizeof(*recovery), view);
}

static bool token_possible(const struct wire_token *token)
{
    if (token->rtr_count > WIRE_RTR_MAX || token->aru > token->seq ||
        token->flags & ~(uint32_t)WIRE_INSTALL ||
        token->head.frame_bytes != wire_token_bytes(token->rtr_count))
        return false;
    uint64_t before = 0;
    for (uint32_t i = 0; i < token->rtr_count; i++) {
        if (token->rtr[i] <= before)
            return false;
        before = token->rtr[i];
    }
    return before <= token->seq;
}

static bool ids_ascend(const uint32_t *id, uint32_t count)
{
    uint32_t before = NODE_NONE;
    for (uint32_t i = 0; i < count; i++) {
        if (id[i] <= before)
            return false;
        before = id[i];
    }
    return true;
}

/* Both ascend. */
static bool ids_disjoint(const uint32_t *a, uint32_t a_count, const uint32_t *b, uint32_t b_count)
{
    uint32_t i = 0, j = 0;
    while (i < a_count && j < b_count) {
        if (a[i] == b[j])
            return false;
        if (a[i] < b[j])
            i++;
        else
            j++;
    }
    return true;
}

static bool join_possible(const struct wire_join *join)
{
    const uint32_t procs = join->proc_count, fails = join->fail_count;
    const uint32_t *fail = join->id + procs;
    if (procs + fails > NODE_COUNT_MAX || join->head.frame_bytes != wire_join_bytes(procs, fails))
        return false;
    return join->version_low > 0 && join->version_low <= join->version_high &&
           !(join->flags & ~WIRE_LEAVING) && join->zero == 0 && ids_ascend(join->id, procs) &&
           ids_ascend(fail, fails) && ids_disjoint(join->id, procs, fail, fails);
}

static bool commit_possible(const struct wire_commit *commit)
{
    if (commit->member_count < 1 || commit->member_count > NODE_COUNT_MAX || commit->zero != 0 ||
        commit->head.frame_bytes != wire_commit_bytes(commit->member_count))
        return false;
    return ids_ascend(commit->id, commit->member_count) && commit->head.ring_rep == commit->id[0];
}

static bool info_possible(const struct wire_info *info)
{
    return info->head.frame_bytes == sizeof(*info) && info->seq > 0 && info->received_flag <= 1 &&
           info->safe_seq <= info->aru && info->old_ring_seq < info->head.ring_seq &&
           (info->old_ring_rep == NODE_NONE) == (info->old_ring_seq == 0);
}

/* The frame is at least as long as its type's fixed fields. */
static bool body_possible(const uint8_t *frame, struct wire_view *view)
{
    const void *body = frame;
    switch (view->head->type) {
    case WIRE_DATA:
        view->data = body;
        return data_possible(view->data, sizeof(struct wire_data), view);
    case WIRE_RECOVERY:
        view->recovery = body;
        return recovery_possible(view->recovery, view);
    case WIRE_TOKEN:
        view->token = body;
        return token_possible(view->token);
    case WIRE_JOIN:
        view->join = body;
        return join_possible(view->join);
    case WIRE_COMMIT:
        view->commit = body;
        return commit_possible(view->commit);
    case WIRE_BEACON:
        view->beacon = body;
        return view->beacon->head.frame_bytes == sizeof(struct wire_beacon) &&
               view->beacon->zero == 0 && view->beacon->member_count >= 1 &&
               view->beacon->member_count <= NODE_COUNT_MAX;
    case WIRE_WANT:
        view->want = body;
        return view->want->head.frame_bytes == sizeof(struct wire_want) && view->want->zero == 0;
    case WIRE_PARK:
        view->park = body;
        return view->park->head.frame_bytes == sizeof(struct wire_park) &&
               view->park->aru <= view->park->seq;
    case WIRE_INFO:
        view->info = body;
        return info_possible(view->info);
    default:
        return false;
    }
}

static bool tag_empty(const struct wire_head *head)
{
    static const struct wire_tag empty;
    return head->nonce == 0 && memcmp(&head->tag, &empty, sizeof(empty)) == 0;
}

/* What is wrong with a head that is long enough; the fields behind it are not looked at. */
static enum wire_verdict head_check(const struct wire_head *head, uint32_t bytes,
                                    uint32_t cluster_tag)
{
    if (head->magic != WIRE_MAGIC || head->frame_bytes != bytes)
        return WIRE_MALFORMED;
    if (head->cluster_tag != cluster_tag)
        return WIRE_FOREIGN;
    bool spoken = head->version >= WIRE_VERSION_LOW && head->version <= WIRE_VERSION_HIGH;
    if (!spoken && head->type != WIRE_JOIN)
        return WIRE_VERSION;
    if (head->type == 0 || head->type >= WIRE_TYPES || bytes < fixed_bytes[head->type])
        return WIRE_MALFORMED;
    bool payload = head->type == WIRE_DATA || head->type == WIRE_RECOVERY;
    if (!payload && head->head_bytes != fixed_bytes[head->type])
        return WIRE_MALFORMED;
    if (head->sender == NODE_NONE || (head->ring_rep == NODE_NONE && head->type != WIRE_JOIN))
        return WIRE_MALFORMED;
    return tag_empty(head) ? WIRE_OK : WIRE_MALFORMED;
}

enum wire_verdict wire_check(const uint8_t *frame, uint32_t bytes, uint32_t cluster_tag,
                             struct wire_view *view)
{
    if (bytes < sizeof(struct wire_head))
        return WIRE_MALFORMED;
    view->head = (const struct wire_head *)(const void *)frame;
    enum wire_verdict verdict = head_check(view->head, bytes, cluster_tag);
    if (verdict == WIRE_OK && !body_possible(frame, view))
        verdict = WIRE_MALFORMED;
    return verdict;
}

void wire_split(struct zcb *frame, const struct wire_view *view)
{
    uint32_t at = view->head->head_bytes;
    frame->head_bytes = at;
    frame->payload_bytes = view->head->frame_bytes - at;
    frame->slice_count = 1;
    frame->slice[0] = (struct zcb_slice){
        .data = frame->head + at,
        .offset = zcb_slot_offset(frame) + at,
        .bytes = frame->payload_bytes,
        .arena = frame->pool->arena,
        .key = frame->pool->key,
    };
}

static void head_write(struct wire_head *head, enum wire_type type, uint32_t cluster_tag,
                       uint32_t sender, struct ring_id ring_id)
{
    *head = (struct wire_head){
        .magic = WIRE_MAGIC,
        .version = WIRE_VERSION_HIGH,
        .type = (uint8_t)type,
        .cluster_tag = cluster_tag,
        .sender = sender,
        .ring_rep = ring_id.rep,
        .ring_seq = ring_id.seq,
    };
}

void wire_control_head(struct zcb *frame, enum wire_type type, uint32_t cluster_tag,
                       uint32_t sender, struct ring_id ring_id, uint32_t frame_bytes)
{
    INVARIANT(frame_bytes >= fixed_bytes[type] && frame_bytes <= frame->pool->slot_bytes);
    struct wire_head *head = (struct wire_head *)(void *)frame->head;
    head_write(head, type, cluster_tag, sender, ring_id);
    head->head_bytes = fixed_bytes[type];
    head->frame_bytes = frame_bytes;
    frame->head_bytes = frame_bytes;
    frame->payload_bytes = 0;
}

void wire_data_finish(struct zcb *frame, uint32_t cluster_tag, uint32_t sender,
                      struct ring_id ring_id, uint64_t seq)
{
    struct wire_data *data = (struct wire_data *)(void *)frame->head;
    head_write(&data->head, (enum wire_type)data->head.type, cluster_tag, sender, ring_id);
    data->head.head_bytes = (uint16_t)frame->head_bytes;
    data->head.frame_bytes = frame->head_bytes + frame->payload_bytes;
    data->seq = seq;
}

void wire_recovery_wrap(struct zcb *frame, const struct zcb *old)
{
    const struct wire_data *from = (const struct wire_data *)(const void *)old->head;
    struct wire_recovery *to = (struct wire_recovery *)(void *)frame->head;
    struct wire_place place = wire_old_place(&from->head);
    uint32_t table_bytes = from->chunk_count * (uint32_t)sizeof(struct wire_chunk);

    *to = (struct wire_recovery){
        .head.type = WIRE_RECOVERY,
        .chunk_count = from->chunk_count,
        .flags = from->flags,
        .payload_bytes = old->payload_bytes,
        .old_ring_rep = place.ring_id.rep,
        .old_ring_seq = place.ring_id.seq,
        .old_sender = place.sender,
        .old_seq = place.seq,
    };
    memcpy(to->chunk, wire_chunks(&from->head), table_bytes);
    frame->head_bytes = (uint32_t)sizeof(*to) + table_bytes;
}

struct wire_place wire_old_place(const struct wire_head *head)
{
    if (head->type != WIRE_RECOVERY) {
        const struct wire_data *data = (const struct wire_data *)(const void *)head;
        return (struct wire_place){ .ring_id = wire_ring_id(head),
                                    .seq = data->seq,
                                    .sender = head->sender };
    }
    const struct wire_recovery *recovery = (const struct wire_recovery *)(const void *)head;
    return (struct wire_place){
        .ring_id = { .seq = recovery->old_ring_seq, .rep = recovery->old_ring_rep },
        .seq = recovery->old_seq,
        .sender = recovery->old_sender,
    };
}
