/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * live_frames.c - what the other nodes say to the ring: what honest ones would, and lies.
 *
 * An honest node here knows all that our ring knows, and agrees with it.
 */
#include "live_ring.h"

enum { INCARNATION = 500, PIECE_BYTES_MAX = 600, CHUNKS_MAX = 4 };

struct field {
    uint16_t at, bytes;
};

#define HEAD_FIELD(type, name, meaning)     { offsetof(struct wire_head, name), sizeof(type) },
#define DATA_FIELD(type, name, meaning)     { offsetof(struct wire_data, name), sizeof(type) },
#define RECOVERY_FIELD(type, name, meaning) { offsetof(struct wire_recovery, name), sizeof(type) },
#define TOKEN_FIELD(type, name, meaning)    { offsetof(struct wire_token, name), sizeof(type) },
#define JOIN_FIELD(type, name, meaning)     { offsetof(struct wire_join, name), sizeof(type) },
#define COMMIT_FIELD(type, name, meaning)   { offsetof(struct wire_commit, name), sizeof(type) },
#define BEACON_FIELD(type, name, meaning)   { offsetof(struct wire_beacon, name), sizeof(type) },
#define WANT_FIELD(type, name, meaning)     { offsetof(struct wire_want, name), sizeof(type) },
#define PARK_FIELD(type, name, meaning)     { offsetof(struct wire_park, name), sizeof(type) },
#define INFO_FIELD(type, name, meaning)     { offsetof(struct wire_info, name), sizeof(type) },

static const struct field head_field[] = { WIRE_HEAD_TABLE(HEAD_FIELD) };
static const struct field data_field[] = { WIRE_DATA_TABLE(DATA_FIELD) };
static const struct field recovery_field[] = { WIRE_RECOVERY_TABLE(RECOVERY_FIELD) };
static const struct field token_field[] = { WIRE_TOKEN_TABLE(TOKEN_FIELD) };
static const struct field join_field[] = { WIRE_JOIN_TABLE(JOIN_FIELD) };
static const struct field commit_field[] = { WIRE_COMMIT_TABLE(COMMIT_FIELD) };
static const struct field beacon_field[] = { WIRE_BEACON_TABLE(BEACON_FIELD) };
static const struct field want_field[] = { WIRE_WANT_TABLE(WANT_FIELD) };
static const struct field park_field[] = { WIRE_PARK_TABLE(PARK_FIELD) };
static const struct field info_field[] = { WIRE_INFO_TABLE(INFO_FIELD) };

#define FIELDS(name)                                                        \
    {                                                                       \
        name##_field, ARRAY_COUNT(name##_field), sizeof(struct wire_##name) \
    }
static const struct {
    const struct field *field;
    uint32_t count, fixed_bytes;
} shape[WIRE_TYPES] = {
    [0] = FIELDS(head),
    [WIRE_DATA] = FIELDS(data),
    [WIRE_RECOVERY] = FIELDS(recovery),
    [WIRE_TOKEN] = FIELDS(token),
    [WIRE_JOIN] = FIELDS(join),
    [WIRE_COMMIT] = FIELDS(commit),
    [WIRE_BEACON] = FIELDS(beacon),
    [WIRE_WANT] = FIELDS(want),
    [WIRE_PARK] = FIELDS(park),
    [WIRE_INFO] = FIELDS(info),
};

/* Which ring they speak of: the one that is being formed comes first. */
static const struct configuration *their_ring(const struct ring *r)
{
    return r->state == RING_COMMIT ? &r->my_new_ring : &r->my_ring;
}

static void head(const struct ring *r, struct live_frame *f, enum wire_type type, uint32_t sender,
                 uint32_t bytes)
{
    struct ring_id id = their_ring(r)->id;
    memset(f->byte, 0, sizeof(f->byte));
    f->bytes = bytes;
    *(struct wire_head *)(void *)f->byte = (struct wire_head){
        .magic = WIRE_MAGIC,
        .version = WIRE_VERSION_HIGH,
        .type = (uint8_t)type,
        .head_bytes = (uint16_t)shape[type].fixed_bytes,
        .cluster_tag = LIVE_TAG,
        .sender = sender,
        .ring_rep = id.rep,
        .ring_seq = id.seq,
        .frame_bytes = bytes,
    };
}

static uint32_t put_ids(const struct ring *r, uint32_t *id, struct node_set set)
{
    uint32_t count = 0;
    SET_EACH(i, set)
    id[count++] = ring_id_of(r, i);
    return count;
}

static uint64_t newest_seq(const struct ring *r)
{
    return r->state == RING_COMMIT ? 0 : max_u64(r->token.seq, r->cur->high_seq);
}

static void make_join(const struct ring *r, struct live_frame *f, uint32_t sender)
{
    const struct gather *g = &r->gather;
    struct node_set fail = g->my_fail_set;
    struct node_set proc =
        set_or(set_minus(g->my_proc_set, fail), set_of(ring_node_index(r, sender)));
    fail = set_minus(fail, proc);
    uint32_t procs = (uint32_t)set_count(proc), fails = (uint32_t)set_count(fail);
    head(r, f, WIRE_JOIN, sender, wire_join_bytes(procs, fails));
    struct wire_join *join = (struct wire_join *)(void *)f->byte;
    join->head.ring_rep = r->my_ring.id.rep;
    join->head.ring_seq = r->ring_seq_mine;
    join->version_low = WIRE_VERSION_LOW;
    join->version_high = WIRE_VERSION_HIGH;
    join->frame_bytes_max = LIVE_FRAME_BYTES;
    join->incarnation = INCARNATION + sender;
    join->proc_count = (uint16_t)put_ids(r, join->id, proc);
    join->fail_count = (uint16_t)put_ids(r, join->id + procs, fail);
}

/* The representative's, or ours come round. */
static void make_commit(const struct ring *r, struct live_frame *f, uint32_t sender)
{
    bool round = r->state == RING_COMMIT;
    struct node_set memb =
        round ? r->my_new_ring.memb : set_minus(r->gather.my_proc_set, r->gather.my_fail_set);
    if (set_empty(memb))
        memb = r->my_ring.memb;
    uint32_t count = (uint32_t)set_count(memb);
    head(r, f, WIRE_COMMIT, sender, wire_commit_bytes(count));
    struct wire_commit *commit = (struct wire_commit *)(void *)f->byte;
    commit->member_count = count;
    put_ids(r, commit->id, memb);
    commit->token_seq = round ? count : 1;
    commit->head.ring_rep = commit->id[0];
    commit->head.ring_seq = round ? r->my_new_ring.id.seq : r->ring_seq_mine + RING_SEQ_STEP;
}

/* It went round once, and all were as we are. */
static void make_token(const struct ring *r, struct live_frame *f, uint32_t sender)
{
    const struct token *t = &r->token;
    uint32_t others = (uint32_t)their_ring(r)->count - 1;
    head(r, f, WIRE_TOKEN, sender, wire_token_bytes(0));
    struct wire_token *token = (struct wire_token *)(void *)f->byte;
    bool fresh = r->state == RING_COMMIT;
    token->token_seq = (fresh ? 0 : r->my_token_seq) + others;
    token->seq = newest_seq(r);
    token->aru = fresh ? 0 : r->cur->my_aru;
    token->aru_id = token->aru < token->seq ? sender : NODE_NONE;
    token->seq_owner = t->seq_owner;
    token->fcc = t->fcc;
    token->free_min = token->free_next = UINT32_MAX;
    token->quiet = fresh || t->quiet == 0 ? 0 : t->quiet + others;
    token->flags = t->flags;
}

static void make_info(const struct ring *r, struct live_frame *f, uint32_t sender)
{
    head(r, f, WIRE_INFO, sender, sizeof(struct wire_info));
    struct wire_info *info = (struct wire_info *)(void *)f->byte;
    const struct configuration *old = r->state == RING_RECOVERY ? &r->my_old_ring : &r->my_ring;
    info->seq = newest_seq(r) + 1;
    if (old->id.seq == 0 || !configuration_has(r, old, sender))
        return;
    const struct window *w = r->state == RING_RECOVERY ? r->old : r->cur;
    info->old_ring_rep = old->id.rep;
    info->old_ring_seq = old->id.seq;
    info->aru = w->my_aru;
    info->safe_seq = w->safe_seq;
}

/* Chunks as the script says, and payload for them. */
static void make_data(struct live *l, struct live_frame *f, uint32_t sender)
{
    const struct ring *r = l->ring;
    uint32_t what = input_byte(&l->in), count = 1 + what % CHUNKS_MAX, end = 0;
    uint8_t guarantee = what & 64 ? GUARANTEE_SAFE : GUARANTEE_AGREED;
    struct wire_chunk chunk[CHUNKS_MAX];
    for (uint32_t i = 0; i < count; i++) {
        uint32_t bytes = input_byte(&l->in), flags = WIRE_CHUNK_FIRST | WIRE_CHUNK_LAST;
        if (i == 0 && what & 16 && bytes)
            flags &= ~(uint32_t)WIRE_CHUNK_FIRST;
        if (i == count - 1 && what & 32 && bytes)
            flags &= ~(uint32_t)WIRE_CHUNK_LAST;
        if (bytes)
            end = (uint32_t)align_up(end, WIRE_PAYLOAD_ALIGN) + bytes;
        chunk[i] = wire_chunk_make(bytes, flags, PIECE_BYTES_MAX, guarantee);
    }
    uint32_t table = sizeof(struct wire_data) + count * (uint32_t)sizeof(chunk[0]);
    head(r, f, WIRE_DATA, sender, table + end);
    struct wire_data *data = (struct wire_data *)(void *)f->byte;
    data->head.head_bytes = (uint16_t)table;
    data->seq = newest_seq(r) + 1;
    data->chunk_count = (uint16_t)count;
    data->flags = guarantee == GUARANTEE_SAFE ? WIRE_SAFE : 0;
    data->payload_bytes = end;
    memcpy(data->chunk, chunk, count * sizeof(chunk[0]));
}

/* A DATA of the old ring, wrapped: the place that comes next there. */
static void make_recovery(struct live *l, struct live_frame *f, uint32_t sender)
{
    const struct ring *r = l->ring;
    static struct live_frame inner;
    make_data(l, &inner, sender);
    const struct wire_data *data = (const struct wire_data *)(const void *)inner.byte;
    uint32_t list = inner.bytes - (uint32_t)sizeof(*data);
    head(r, f, WIRE_RECOVERY, sender, (uint32_t)sizeof(struct wire_recovery) + list);
    struct wire_recovery *recovery = (struct wire_recovery *)(void *)f->byte;
    recovery->head.head_bytes =
        (uint16_t)(data->head.head_bytes + sizeof(*recovery) - sizeof(*data));
    recovery->seq = data->seq;
    recovery->chunk_count = data->chunk_count;
    recovery->flags = data->flags;
    recovery->payload_bytes = data->payload_bytes;
    recovery->old_sender = sender;
    recovery->old_ring_rep = r->my_old_ring.id.rep;
    recovery->old_ring_seq = r->my_old_ring.id.seq;
    recovery->old_seq = r->old->my_aru + 1;
    memcpy(recovery->chunk, data->chunk, list);
}

static void make(struct live *l, struct live_frame *f, enum wire_type type, uint32_t sender)
{
    const struct ring *r = l->ring;
    switch (type) {
    case WIRE_JOIN:
        make_join(r, f, sender);
        return;
    case WIRE_COMMIT:
        make_commit(r, f, sender);
        return;
    case WIRE_TOKEN:
        make_token(r, f, sender);
        return;
    case WIRE_INFO:
        make_info(r, f, sender);
        return;
    case WIRE_DATA:
        make_data(l, f, sender);
        return;
    case WIRE_RECOVERY:
        make_recovery(l, f, sender);
        return;
    default:
        break;
    }
    head(r, f, type, sender, shape[type].fixed_bytes);
    if (type == WIRE_BEACON) {
        ((struct wire_beacon *)(void *)f->byte)->member_count = 1;
    } else if (type == WIRE_WANT) {
        ((struct wire_want *)(void *)f->byte)->token_seq = r->my_token_seq;
    } else {
        struct wire_park *park = (struct wire_park *)(void *)f->byte;
        park->token_seq = r->my_token_seq;
        park->seq = park->aru = newest_seq(r);
    }
}

static uint32_t another(struct live *l)
{
    uint32_t id = live_nodes[input_below(&l->in, LIVE_NODES)];
    return id != l->node_id ? id : live_nodes[LIVE_NODES - 1];
}

static void say(struct live *l, enum wire_type type, uint32_t sender)
{
    struct live_frame f;
    make(l, &f, type, sender);
    live_receive(l, &f, sender);
}

/* All others, or the only one that the script names; until we have moved on. */
static void all_say(struct live *l, enum wire_type type)
{
    uint8_t only = input_byte(&l->in);
    enum ring_state state = l->ring->state;
    for (int i = 0; i < LIVE_NODES && l->ring->state == state; i++) {
        if (live_nodes[i] != l->node_id && (only < 128 || i == only % LIVE_NODES))
            say(l, type, live_nodes[i]);
    }
}

void live_honest(struct live *l)
{
    struct ring *r = l->ring;
    uint32_t before = configuration_next(their_ring(r), l->node_id);
    struct node_set memb = set_minus(r->gather.my_proc_set, r->gather.my_fail_set);
    switch (r->state) {
    case RING_GATHER:
        all_say(l, WIRE_JOIN);
        if (r->state == RING_GATHER && set_next(memb, 0) < r->my_index)
            say(l, WIRE_COMMIT, ring_id_of(r, set_next(memb, 0)));
        break;
    case RING_COMMIT:
        say(l, r->my_new_ring.id.rep == l->node_id ? WIRE_COMMIT : WIRE_TOKEN, before);
        break;
    case RING_RECOVERY:
        for (int i = 0; i < LIVE_NODES && r->state == RING_RECOVERY; i++) {
            if (set_has(r->my_ring.memb, i) && !r->info[i].known && i != r->my_index)
                say(l, WIRE_INFO, live_nodes[i]);
        }
        say(l, WIRE_TOKEN, before);
        break;
    case RING_OPERATIONAL:
        if (r->my_ring.count > 1)
            say(l, input_below(&l->in, 2) ? WIRE_DATA : WIRE_TOKEN, before);
        else
            all_say(l, WIRE_BEACON);
        break;
    }
}

static void change(struct live *l, struct live_frame *f, const struct field *field)
{
    uint64_t before = 0;
    if (field->bytes > sizeof(before))
        return; /* the tag */
    memcpy(&before, f->byte + field->at, field->bytes);
    uint64_t value = input_value(&l->in, before);
    memcpy(f->byte + field->at, &value, field->bytes);
}

/* A list of numbers behind the fixed fields: longer, or shorter, or with others in it. */
static void change_list(struct live *l, struct live_frame *f, enum wire_type type)
{
    uint32_t size = type == WIRE_TOKEN ? sizeof(uint64_t) : sizeof(uint32_t);
    uint32_t fixed = shape[type].fixed_bytes, count = input_below(&l->in, 56);
    uint64_t before = type == WIRE_TOKEN ? newest_seq(l->ring) : 0;
    if (type != WIRE_TOKEN && type != WIRE_JOIN && type != WIRE_COMMIT)
        return;
    f->bytes = fixed + count * size;
    for (uint32_t i = 0; i < count; i++) {
        uint8_t what = input_byte(&l->in);
        uint64_t value = what < 200 ? before + what % 8 : input_value(&l->in, before);
        if (type == WIRE_TOKEN && i == 0 && what < 200)
            value = value > count + 4 ? value - count - 4 : 1;
        memcpy(f->byte + fixed + i * size, &value, size);
        before = value;
    }
    struct wire_head *to = (struct wire_head *)(void *)f->byte;
    to->frame_bytes = f->bytes;
    if (type == WIRE_TOKEN)
        ((struct wire_token *)(void *)f->byte)->rtr_count = count;
    else if (type == WIRE_COMMIT)
        ((struct wire_commit *)(void *)f->byte)->member_count = count;
    else
        ((struct wire_join *)(void *)f->byte)->proc_count = (uint16_t)count;
}

void live_lie(struct live *l, enum wire_type type)
{
    struct live_frame f;
    uint8_t what = input_byte(&l->in);
    uint32_t sender = another(l);
    make(l, &f, type, sender);
    if (what & 128)
        change_list(l, &f, type);
    for (uint8_t i = 0; i < (what & 3) + 1; i++) {
        bool in_head = what & 64 && i == 0;
        uint32_t of = in_head ? 0 : type;
        change(l, &f, &shape[of].field[input_below(&l->in, shape[of].count)]);
    }
    live_receive(l, &f, what & 32 ? NODE_NONE : sender);
}

void live_raw(struct live *l, enum wire_type type)
{
    struct live_frame f;
    uint32_t bytes = shape[type].fixed_bytes + input_byte(&l->in);
    head(l->ring, &f, type, another(l), bytes);
    input_bytes(&l->in, f.byte + sizeof(struct wire_head), bytes - sizeof(struct wire_head));
    live_receive(l, &f, NODE_NONE);
}
