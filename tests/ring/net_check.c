/* SPDX-License-Identifier: BSD-3-Clause */
#include "net.h"

#include <inttypes.h>
#include <string.h>

/* What must hold of the logs of all lives together. */

#define BROKEN(...)                                       \
    do {                                                  \
        fprintf(stderr, "seed %" PRIu64 ": ", net->seed); \
        fprintf(stderr, __VA_ARGS__);                     \
        fprintf(stderr, "\n");                            \
        if (getenv("RING_DUMP"))                          \
            net_dump(net);                                \
        abort();                                          \
    } while (0)

/* Where each life delivered each message: a hash of (life, id) -> index in its log. */
struct places {
    uint64_t *key;
    uint32_t *value;
    uint32_t capacity;
};

static uint64_t hash(uint64_t key)
{
    key *= UINT64_C(0x9e3779b97f4a7c15);
    return key ^ key >> 29;
}

static uint32_t *place_slot(struct places *p, uint64_t id)
{
    uint64_t key = id + 1;
    uint32_t i = (uint32_t)(hash(key) % p->capacity);
    while (p->key[i] != 0 && p->key[i] != key)
        i = (i + 1) % p->capacity;
    p->key[i] = key;
    return &p->value[i];
}

static uint32_t place_find(const struct places *p, uint64_t id)
{
    uint64_t key = id + 1;
    uint32_t i = (uint32_t)(hash(key) % p->capacity);
    while (p->key[i] != 0 && p->key[i] != key)
        i = (i + 1) % p->capacity;
    return p->key[i] == key ? p->value[i] : UINT32_MAX;
}

/* E2, E7, E8 of one life; fills its places. */
static void check_life(const struct net *net, const struct net_life *life, struct places *p)
{
    uint64_t next[NET_LIVES][NET_PORTS + 1];
    memset(next, 0, sizeof(next));
    uint32_t regular = 0, transitional = 0;
    bool in_transition = false;
    uint64_t ring_seq = 0;
    p->capacity = 2 * life->count + 16;
    p->key = calloc(p->capacity, sizeof(*p->key));
    p->value = calloc(p->capacity, sizeof(*p->value));
    for (uint32_t i = 0; i < life->count; i++) {
        const struct net_entry *e = &life->log[i];
        if (e->kind == NET_TRANSITIONAL) {
            if (in_transition)
                BROKEN("E7 life %d: two transitional configurations", life->number);
            if (!(e->members >> life->node & 1) || (regular && (e->members & ~regular)))
                BROKEN("E7 life %d: transitional members %x of %x", life->number, e->members,
                       regular);
            in_transition = true;
            transitional = e->members;
            continue;
        }
        if (e->kind == NET_REGULAR) {
            if (!in_transition || (transitional & ~e->members) || e->ring_id.seq <= ring_seq)
                BROKEN("E7 life %d: regular %" PRIu64 " out of place", life->number,
                       e->ring_id.seq);
            in_transition = false;
            regular = e->members;
            ring_seq = e->ring_id.seq;
            continue;
        }
        if (regular == 0)
            BROKEN("E5 life %d: message before a configuration", life->number);
        uint32_t sender = (uint32_t)(e->id >> 48), port = (uint32_t)(e->id >> 40 & 0xff);
        uint64_t number = e->id & UINT32_MAX;
        if (number >= net->life[sender].sent[port])
            BROKEN("E1 life %d: %" PRIx64 " was never sent", life->number, e->id);
        if (number < next[sender][port])
            BROKEN("E2/E8 life %d: %" PRIx64 " after %" PRIx64, life->number, e->id,
                   next[sender][port] - 1);
        next[sender][port] = number + 1;
        *place_slot(p, e->id) = i;
    }
}

/* The index of the regular configuration in which entry i lies; UINT32_MAX: before the first. */
static uint32_t regular_before(const struct net_life *life, uint32_t i)
{
    while (i-- > 0) {
        if (life->log[i].kind == NET_REGULAR)
            return i;
    }
    return UINT32_MAX;
}

static uint32_t regular_after(const struct net_life *life, uint32_t i)
{
    while (++i < life->count) {
        if (life->log[i].kind == NET_REGULAR)
            return i;
    }
    return UINT32_MAX;
}

static uint32_t regular_find(const struct net_life *life, struct ring_id id)
{
    for (uint32_t i = 0; i < life->count; i++) {
        if (life->log[i].kind == NET_REGULAR && ring_id_equal(life->log[i].ring_id, id))
            return i;
    }
    return UINT32_MAX;
}

static bool same_entry(const struct net_entry *a, const struct net_entry *b)
{
    return a->kind == b->kind && a->id == b->id && a->members == b->members &&
           ring_id_equal(a->ring_id, b->ring_id);
}

/* E4, and more: who goes from one configuration to the next together sees the very same. */
static void check_together(const struct net *net, const struct net_life *a,
                           const struct net_life *b)
{
    for (uint32_t i = 0; i < a->count; i++) {
        if (a->log[i].kind != NET_REGULAR)
            continue;
        uint32_t j = regular_find(b, a->log[i].ring_id);
        uint32_t a_end = regular_after(a, i);
        if (j == UINT32_MAX)
            continue;
        if (a->log[i].members != b->log[j].members)
            BROKEN("E7 lives %d and %d: members of %" PRIu64, a->number, b->number,
                   a->log[i].ring_id.seq);
        uint32_t b_end = regular_after(b, j);
        if (a_end == UINT32_MAX || b_end == UINT32_MAX ||
            !ring_id_equal(a->log[a_end].ring_id, b->log[b_end].ring_id))
            continue;
        for (uint32_t k = 1; i + k <= a_end || j + k <= b_end; k++) {
            if (i + k > a_end || j + k > b_end || !same_entry(&a->log[i + k], &b->log[j + k]))
                BROKEN("E4 lives %d and %d: differ between %" PRIu64 " and %" PRIu64
                       " at entry %u and %u: %" PRIx64 " and %" PRIx64,
                       a->number, b->number, a->log[i].ring_id.seq, a->log[a_end].ring_id.seq,
                       i + k, j + k, a->log[i + k].id, b->log[j + k].id);
        }
    }
}

/* E3 and E5 of two lives. */
static void check_order(const struct net *net, const struct net_life *a, const struct net_life *b,
                        const struct places *b_places)
{
    uint32_t before = 0;
    for (uint32_t i = 0; i < a->count; i++) {
        if (a->log[i].kind != NET_MESSAGE)
            continue;
        uint32_t j = place_find(b_places, a->log[i].id);
        if (j == UINT32_MAX)
            continue;
        if (j < before)
            BROKEN("E3 lives %d and %d: %" PRIx64 " in another order", a->number, b->number,
                   a->log[i].id);
        before = j;
    }
}

static void check_configuration(const struct net *net, const struct net_life *a,
                                const struct net_life *b, const struct places *b_places)
{
    struct ring_id a_ring = { 0 };
    for (uint32_t i = 0; i < a->count; i++) {
        if (a->log[i].kind == NET_REGULAR)
            a_ring = a->log[i].ring_id;
        if (a->log[i].kind != NET_MESSAGE)
            continue;
        uint32_t j = place_find(b_places, a->log[i].id);
        if (j == UINT32_MAX)
            continue;
        uint32_t r = regular_before(b, j);
        if (!ring_id_equal(a_ring, b->log[r].ring_id))
            BROKEN("E5 lives %d and %d: %" PRIx64 " in two configurations", a->number, b->number,
                   a->log[i].id);
    }
}

/* The life of a node that was a member of the ring. */
static const struct net_life *life_in(const struct net *net, int node, struct ring_id id)
{
    for (int l = 0; l < net->life_count; l++) {
        if (net->life[l].node == node && regular_find(&net->life[l], id) != UINT32_MAX)
            return &net->life[l];
    }
    return NULL;
}

/* E6. In the regular configuration all its members, in the transitional one all of that. */
static void check_safe(const struct net *net, const struct net_life *a, const struct places *places)
{
    uint32_t members = 0;
    struct ring_id id = { 0 };
    for (uint32_t i = 0; i < a->count; i++) {
        const struct net_entry *e = &a->log[i];
        if (e->kind != NET_MESSAGE)
            members = e->members;
        if (e->kind == NET_REGULAR)
            id = e->ring_id;
        if (e->kind != NET_MESSAGE || !e->safe)
            continue;
        for (int n = 0; n < net->node_count; n++) {
            if (!(members >> n & 1))
                continue;
            const struct net_life *b = life_in(net, n, id);
            if (!b || b->crashed) /* it failed, perhaps before its end shows */
                continue;
            bool ended = regular_after(b, regular_find(b, id)) != UINT32_MAX;
            if (ended && place_find(&places[b->number], e->id) == UINT32_MAX)
                BROKEN("E6 life %d delivered safe %" PRIx64 " that life %d did not", a->number,
                       e->id, b->number);
        }
    }
}

void net_check(struct net *net)
{
    struct places places[NET_LIVES];
    for (int l = 0; l < net->life_count; l++)
        check_life(net, &net->life[l], &places[l]);
    for (int a = 0; a < net->life_count; a++) {
        check_safe(net, &net->life[a], places);
        for (int b = 0; b < net->life_count; b++) {
            if (a == b)
                continue;
            check_order(net, &net->life[a], &net->life[b], &places[b]);
            check_configuration(net, &net->life[a], &net->life[b], &places[b]);
            if (a < b)
                check_together(net, &net->life[a], &net->life[b]);
        }
    }
    for (int l = 0; l < net->life_count; l++) {
        free(places[l].key);
        free(places[l].value);
    }
    for (int i = 0; i < net->node_count; i++) {
        if (!net->node[i].up)
            continue;
        ring_check(net->node[i].ring);
        zcb_pool_check(&net->node[i].tx_pool);
        zcb_pool_check(&net->node[i].rx_pool);
    }
}

void net_check_all_delivered(struct net *net)
{
    for (int i = 0; i < net->node_count; i++) {
        const struct net_node *node = &net->node[i];
        if (!node->up)
            continue;
        if (node->life->delivered_own != node->life->sent_total)
            BROKEN("E9 node %d delivered %u of its own %u messages", i + 1,
                   node->life->delivered_own, node->life->sent_total);
        /* E10: with all stable nobody holds a frame. */
        uint64_t rx_out = node->rx_pool.count - node->rx_pool.free_count;
        uint64_t tx_out = node->tx_pool.count - node->tx_pool.free_count;
        if (rx_out > 0 || tx_out > 0)
            BROKEN("E10 node %d holds %" PRIu64 " received and %" PRIu64 " own frames", i + 1,
                   rx_out, tx_out);
    }
}
