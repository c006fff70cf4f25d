/* SPDX-License-Identifier: BSD-3-Clause */
#include "inner.h"
#include "net.h"
#include "wire.h"

#include <inttypes.h>
#include <string.h>

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

/*
 * One frame that a member never sent, made with care: the worst that a single one can say. It may
 * cost a ring; when it is gone all are in one ring again, and messages flow.
 */

enum { NODES = 3, ALL = (1 << NODES) - 1 };

/* Change the next `left` frames of a type as they pass. */
struct forger {
    enum wire_type type;
    int left;
    bool armed, busy;
    void (*change)(uint8_t *frame, const struct forger *forger);
    uint32_t at, bytes; /* a field, and */
    uint64_t value;     /* what it is to say */
};

static void put_field(uint8_t *frame, const struct forger *forger)
{
    memcpy(frame + forger->at, &forger->value, forger->bytes);
}

static bool forge(struct net *net, int from, int to, const uint8_t *frame, uint32_t bytes)
{
    struct forger *forger = net->drop_context;
    uint8_t copy[NET_FRAME_BYTES];
    const struct wire_head *head = (const struct wire_head *)(const void *)frame;
    (void)from;
    if (!forger->armed || forger->left == 0 || head->type != forger->type)
        return false;
    forger->left--;
    memcpy(copy, frame, bytes);
    forger->change(copy, forger);
    net_inject(net, to, copy, bytes);
    return true;
}

static struct net *net_with(struct forger *forger, uint64_t seed, bool lawless)
{
    struct net *net = net_new_formed(seed, NODES);
    net->lawless = lawless;
    net->drop = forge;
    net->drop_context = forger;
    return net;
}

static void submit_all(struct net *net)
{
    for (int i = 0; i < 60; i++)
        for (int node = 0; node < NODES; node++)
            cr_assert(net_submit(net, node, 1, 400, GUARANTEE_SAFE));
}

/* They are in one ring, and what they send now goes all the way. */
static void all_is_well(struct net *net, const char *after)
{
    cr_assert(net_run_until_formed(net, ALL, 20 * NS_PER_S), "no ring after %s", after);
    submit_all(net);
    cr_assert(net_settle(net, 10 * NS_PER_S), "messages wait after %s", after);
}

#define FIELD(name)                                                                         \
    {                                                                                       \
#name, offsetof(struct wire_token, name), sizeof(((struct wire_token *)NULL)->name) \
    }

Test(forged, no_token_stops_a_ring_for_ever)
{
    static const struct {
        const char *name;
        uint32_t at, bytes;
    } fields[] = { FIELD(token_seq), FIELD(seq),        FIELD(aru),     FIELD(aru_id),
                   FIELD(seq_owner), FIELD(fcc),        FIELD(backlog), FIELD(free_min),
                   FIELD(free_next), FIELD(bulk_owner), FIELD(quiet),   FIELD(flags),
                   FIELD(rtr_count) };
    static const uint64_t values[] = {
        0, 1, 77, 127, 5000, INT32_MAX, UINT32_MAX - 1, UINT32_MAX, UINT64_MAX / 2 - 1, UINT64_MAX
    };
    for (size_t f = 0; f < ARRAY_COUNT(fields); f++) {
        for (size_t v = 0; v < ARRAY_COUNT(values); v++) {
            struct forger forger = { .type = WIRE_TOKEN,
                                     .left = 1,
                                     .change = put_field,
                                     .at = fields[f].at,
                                     .bytes = fields[f].bytes,
                                     .value = values[v] };
            struct net *net = net_with(&forger, f * 16 + v + 1, true);
            char after[64];
            snprintf(after, sizeof(after), "%s %" PRIx64, fields[f].name, values[v]);
            submit_all(net); /* tokens pass, and frames with them */
            net_run(net, NS_PER_MS / 20);
            forger.armed = true;
            net_run(net, 10 * NS_PER_MS);
            all_is_well(net, after);
            net_free(net);
        }
    }
}

static void put_ring_seq(uint8_t *frame, const struct forger *forger)
{
    struct wire_head *head = (struct wire_head *)(void *)frame;
    head->ring_seq = forger->value;
}

static void a_far_ring_seq(enum wire_type type)
{
    static const uint64_t values[] = { UINT64_MAX / 2 - 1, UINT64_MAX / 2 - 4,
                                       UINT64_MAX / 2 - 1030, UINT64_MAX / 2, UINT64_MAX };
    for (size_t v = 0; v < ARRAY_COUNT(values); v++) {
        for (int left = 1; left <= 64; left *= 2) {
            struct forger forger = { .type = type,
                                     .left = left,
                                     .armed = true,
                                     .change = put_ring_seq,
                                     .value = values[v] };
            struct net *net = net_with(&forger, v + 1, false);
            char after[64];
            snprintf(after, sizeof(after), "%d %s of ring %" PRIx64, left, wire_type_name[type],
                     values[v]);
            net_crash(net, 1);
            net_run(net, 3 * net->detect_ns);
            net_start(net, 1);
            all_is_well(net, after);
            for (int node = 0; node < NODES; node++)
                net_crash(net, node);
            for (int node = 0; node < NODES; node++)
                net_start(net, node); /* and what was written does not keep them from starting */
            all_is_well(net, after);
            net_free(net);
        }
    }
}

Test(forged, no_join_moves_the_ring_sequence_to_its_end)
{
    a_far_ring_seq(WIRE_JOIN);
}

Test(forged, no_commit_moves_the_ring_sequence_to_its_end)
{
    a_far_ring_seq(WIRE_COMMIT);
}

Test(forged, a_data_frame_too_large_to_recover_is_not_taken)
{
    struct forger forger = { .type = WIRE_DATA };
    struct net *net = net_with(&forger, 5, true);
    struct ring_status status;
    uint32_t payload = NET_FRAME_BYTES - sizeof(struct wire_data) - sizeof(struct wire_chunk);
    _Alignas(CACHE_LINE_BYTES) uint8_t frame[NET_FRAME_BYTES] = { 0 };
    struct wire_data *data = (struct wire_data *)(void *)frame;
    ring_status(net->node[0].ring, &status);
    /* The place that comes next, at all but one: it will be wanted in recovery. */
    *data = (struct wire_data){
        .head = { .magic = WIRE_MAGIC,
                  .version = WIRE_VERSION_HIGH,
                  .type = WIRE_DATA,
                  .head_bytes = (uint16_t)(sizeof(*data) + sizeof(struct wire_chunk)),
                  .cluster_tag = 0x5eed,
                  .sender = net->node[0].id,
                  .ring_rep = status.ring_id.rep,
                  .ring_seq = status.ring_id.seq,
                  .frame_bytes = NET_FRAME_BYTES },
        .chunk_count = 1,
        .payload_bytes = payload,
    };
    data->chunk[0] =
        wire_chunk_make(payload, WIRE_CHUNK_FIRST | WIRE_CHUNK_LAST, 1, GUARANTEE_AGREED);
    forger.armed = true;
    for (int node = 1; node < NODES; node++) {
        struct ring_stats before = *ring_stats(net->node[node].ring);
        ring_status(net->node[node].ring, &status);
        data->seq = status.seq + 1;
        net_inject(net, node, frame, sizeof(frame));
        net_run(net, NS_PER_MS);
        cr_expect(eq(u64, ring_stats(net->node[node].ring)->rx_malformed, before.rx_malformed + 1));
    }
    all_is_well(net, "an oversize frame");
    net_free(net);
}

Test(forged, a_ring_of_one_takes_no_token)
{
    struct net *net = net_new(1, NODES);
    struct ring_status status;
    _Alignas(CACHE_LINE_BYTES) uint8_t frame[sizeof(struct wire_token)] = { 0 };
    struct wire_token *token = (struct wire_token *)(void *)frame;
    net->lawless = true;
    net->check_every = 1;
    net_start(net, 0);
    cr_assert(net_run_until_formed(net, 1, 20 * NS_PER_S));
    ring_status(net->node[0].ring, &status);
    *token = (struct wire_token){
        .head = { .magic = WIRE_MAGIC,
                  .version = WIRE_VERSION_HIGH,
                  .type = WIRE_TOKEN,
                  .head_bytes = sizeof(*token),
                  .cluster_tag = 0x5eed,
                  .sender = 2,
                  .ring_rep = status.ring_id.rep,
                  .ring_seq = status.ring_id.seq,
                  .frame_bytes = sizeof(*token) },
        .token_seq = 1000,
        .seq = status.seq,
        .aru = status.seq,
        .quiet = 5,
    };
    net_inject(net, 0, frame, sizeof(frame));
    net_run(net, NS_PER_MS);
    ring_check(net->node[0].ring);
    cr_assert(eq(u64, ring_stats(net->node[0].ring)->rx_malformed, 1));
    for (int node = 1; node < NODES; node++)
        net_start(net, node);
    all_is_well(net, "a token at a ring of one");
    net_free(net);
}

Test(forged, nobody_else_makes_our_commit_token)
{
    struct net *net = net_new(1, NODES);
    _Alignas(CACHE_LINE_BYTES) uint8_t frame[64 + sizeof(struct wire_commit)] = { 0 };
    struct wire_commit *commit = (struct wire_commit *)(void *)frame;
    *commit = (struct wire_commit){
        .head = { .magic = WIRE_MAGIC,
                  .version = WIRE_VERSION_HIGH,
                  .type = WIRE_COMMIT,
                  .head_bytes = sizeof(*commit),
                  .cluster_tag = 0x5eed,
                  .sender = 2,
                  .ring_rep = 1,
                  .ring_seq = 4,
                  .frame_bytes = wire_commit_bytes(1) },
        .token_seq = 1,
        .member_count = 1,
    };
    commit->id[0] = 1;
    net->lawless = true;
    net_start(net, 0);
    net_run(net, 10 * NS_PER_MS);
    for (int i = 0; i < 2; i++) { /* a ring of one, and its commit token come round */
        net_inject(net, 0, frame, commit->head.frame_bytes);
        net_run(net, NS_PER_MS);
    }
    cr_assert(ge(u64, ring_stats(net->node[0].ring)->rx_stale, 2));
    for (int node = 1; node < NODES; node++)
        net_start(net, node);
    all_is_well(net, "a commit token in our name");
    net_free(net);
}

Test(forged, recovery_takes_no_message_of_a_node_that_is_none_of_ours)
{
    struct inner in;
    struct ring *r = inner_make(&in, 3);
    r->my_old_ring = r->my_ring;
    configuration_set(r, &r->my_ring, (struct ring_id){ .seq = 8, .rep = 1 }, r->my_ring.memb);
    r->state = RING_RECOVERY;
    r->infos_complete = true;
    r->my_trans_memb = r->my_ring.memb;
    for (uint32_t sender = 3; sender <= 4; sender++) {
        struct zcb *frame = zcb_get(&in.pool, ZCB_HELD_OUT);
        *(struct wire_recovery *)(void *)frame->head = (struct wire_recovery){
            .head = { .type = WIRE_RECOVERY, .sender = 2, .ring_rep = 1, .ring_seq = 8 },
            .old_ring_rep = 1,
            .old_ring_seq = 4,
            .old_sender = sender,
            .old_seq = sender,
        };
        recovery_accept(r, frame);
        zcb_drop(frame, ZCB_HELD_OUT);
    }
    cr_expect(window_at(r->old, 3) != NULL);
    cr_expect(window_at(r->old, 4) == NULL);
    inner_end(&in);
}
