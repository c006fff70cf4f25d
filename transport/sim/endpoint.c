/* SPDX-License-Identifier: BSD-3-Clause */
#include "net.h"
#include "why.h"

#include <errno.h>
#include <string.h>

static struct sim_endpoint *endpoint_of(struct transport *tp)
{
    return (struct sim_endpoint *)(void *)tp;
}

static void endpoint_learn(struct sim_endpoint *e, const struct transport_config *config)
{
    for (int i = 0; i < config->node_count; i++) {
        uint32_t node = sim_node_index(e->net, config->nodes[i].node_id);
        if (node == e->self)
            continue;
        e->known[e->known_count++] = node;
        e->ring[e->ring_count++] = node;
    }
}

static int endpoint_open(struct transport **out, const struct transport_config *config, char *why,
                         size_t why_bytes)
{
    const struct sim_config *sim = config->backend;
    struct sim_endpoint *e;

    if (sim == NULL || config->rx_pool->slot_bytes < config->frame_bytes_max)
        return transport_why(why, why_bytes, -EINVAL,
                             "sim: needs a net and receive slots as large as frames: pass a "
                             "struct sim_config and a larger pool");
    e = calloc(1, sizeof *e);
    if (e == NULL)
        return transport_why(why, why_bytes, -ENOMEM, "sim: no memory for an endpoint");
    e->base.ops = &transport_sim;
    e->net = sim->net;
    e->pool = config->rx_pool;
    e->rx_reserve = config->rx_reserve;
    e->frame_bytes_max = config->frame_bytes_max;
    e->by_reference = sim->by_reference;
    e->self = sim_node_index(e->net, config->node_id);
    if (e->net->node[e->self].endpoint != NULL) {
        free(e);
        return transport_why(why, why_bytes, -EADDRINUSE,
                             "sim: node %u is open already: close it first", config->node_id);
    }
    endpoint_learn(e, config);
    e->base.links = 1; /* some may be down */
    e->net->node[e->self].endpoint = e;
    *out = &e->base;
    return 0;
}

static void endpoint_query(const struct transport *tp, struct transport_caps *caps)
{
    const struct sim_endpoint *e = (const void *)tp;

    *caps = (struct transport_caps){
        .frame_bytes_max = e->frame_bytes_max,
        .burst_max = TRANSPORT_BURST,
        .copies_on_tx = !e->by_reference,
        .sleep_fd = -1,
        .woken_by = "clock",
    };
}

static bool is_known(const struct sim_endpoint *e, uint32_t node)
{
    for (int i = 0; i < e->known_count; i++) {
        if (e->known[i] == node)
            return true;
    }
    return false;
}

static void send_to(struct sim_endpoint *e, struct sim_tx *tx, uint32_t node)
{
    sim_net_send(e->net, tx, e->self, node);
    e->stats.tx_frames++;
    e->stats.tx_bytes += tx->frame->head_bytes + tx->frame->payload_bytes;
}

static void send_frame(struct sim_endpoint *e, struct sim_tx *tx)
{
    const struct zcb *frame = tx->frame;
    uint32_t node;

    if ((uint64_t)frame->head_bytes + frame->payload_bytes > e->frame_bytes_max) {
        e->stats.tx_errors++;
    } else if (frame->dest == ZCB_TO_ALL) {
        for (int i = 0; i < e->known_count; i++)
            send_to(e, tx, e->known[i]);
    } else if (frame->dest == ZCB_TO_RING) {
        for (int i = 0; i < e->ring_count; i++)
            send_to(e, tx, e->ring[i]);
    } else {
        node = sim_node_find(e->net, frame->dest);
        if (is_known(e, node))
            send_to(e, tx, node);
        else
            e->stats.tx_errors++;
    }
}

/* M4: the frame is under way until the last of its packets is. */
static void tx_take(struct sim_endpoint *e, struct zcb *frame)
{
    struct sim_tx *tx = sim_tx_take(e->net);

    *tx = (struct sim_tx){ .owner = e, .frame = frame, .pending = 1 };
    zcb_pass(frame, ZCB_HELD_OUT, ZCB_HELD_TRANSPORT);
    send_frame(e, tx);
    if (--tx->pending == 0) {
        tx->next = e->done;
        e->done = tx;
    }
}

static int endpoint_tx_reap(struct transport *tp)
{
    struct sim_endpoint *e = endpoint_of(tp);
    struct sim_tx *tx;
    int count = 0;

    while ((tx = e->done) != NULL) {
        e->done = tx->next;
        zcb_drop(tx->frame, ZCB_HELD_TRANSPORT);
        sim_tx_free(e->net, tx);
        count++;
    }
    return count;
}

static int endpoint_tx_burst(struct transport *tp, struct zcb **frames, int count)
{
    struct sim_endpoint *e = endpoint_of(tp);

    e->stats.tx_calls++;
    if (count > 0 && sim_random_chance(&e->net->random, e->net->config.tx_short_ppm)) {
        e->stats.tx_again++;
        count = (int)sim_random_below(&e->net->random, (uint64_t)count);
    }
    for (int i = 0; i < count; i++)
        tx_take(e, frames[i]);
    if (!e->by_reference)
        (void)endpoint_tx_reap(tp);
    return count;
}

/* A frame of the shape T2 with the packet's bytes; NULL when the pool is at its reserve. */
static struct zcb *rx_frame(struct sim_endpoint *e, const struct sim_packet *packet)
{
    struct zcb *frame = NULL;

    if (e->pool->free_count > e->rx_reserve)
        frame = zcb_get(e->pool, ZCB_HELD_OUT);
    if (frame == NULL)
        return NULL;
    memcpy(frame->head, packet->bytes, packet->length);
    frame->head_bytes = packet->length;
    frame->from = e->net->node[packet->from].node_id;
    zcb_add_slice(frame, &(struct zcb_slice){ .data = frame->head,
                                              .offset = zcb_slot_offset(frame),
                                              .arena = e->pool->arena });
    return frame;
}

/* The counter of what can never be handed up; NULL: a frame for us. */
static uint64_t *rx_refusal(struct sim_endpoint *e, const struct sim_packet *packet)
{
    if (!is_known(e, packet->from))
        return &e->stats.rx_unknown_source;
    return packet->length > e->frame_bytes_max ? &e->stats.rx_too_long : NULL;
}

static int endpoint_rx_burst(struct transport *tp, struct zcb **frames, int count)
{
    struct sim_endpoint *e = endpoint_of(tp);
    struct sim_node *node = &e->net->node[e->self];
    int got = 0;

    e->stats.rx_calls++;
    while (got < count && node->first != NULL) {
        uint64_t *refused = rx_refusal(e, node->first);
        struct zcb *frame = NULL;

        if (refused != NULL) {
            ++*refused;
        } else {
            frame = rx_frame(e, node->first);
            if (frame == NULL) {
                e->stats.rx_pool_empty++;
                break;
            }
            e->stats.rx_frames++;
            e->stats.rx_bytes += frame->head_bytes;
            frames[got++] = frame;
        }
        sim_packet_free(e->net, sim_inbox_take(node));
    }
    return got;
}

static void endpoint_members(struct transport *tp, const uint32_t *nodes, int count)
{
    struct sim_endpoint *e = endpoint_of(tp);

    e->ring_count = 0;
    for (int i = 0; i < count; i++) {
        uint32_t node = sim_node_find(e->net, nodes[i]);
        if (is_known(e, node) && e->ring_count < NODE_COUNT_MAX)
            e->ring[e->ring_count++] = node;
    }
}

static int endpoint_links_down(const struct transport *tp, uint32_t *nodes)
{
    const struct sim_endpoint *e = (const void *)tp;
    int count = 0;

    for (int i = 0; i < e->known_count; i++) {
        if (e->net->link[e->self][e->known[i]].told)
            nodes[count++] = e->net->node[e->known[i]].node_id;
    }
    return count;
}

static const struct transport_stats *endpoint_stats(const struct transport *tp)
{
    const struct sim_endpoint *e = (const void *)tp;
    return &e->stats;
}

static void endpoint_close(struct transport *tp)
{
    struct sim_endpoint *e = endpoint_of(tp);
    struct sim_node *node = &e->net->node[e->self];
    struct sim_packet *packet;

    while ((packet = sim_inbox_take(node)) != NULL)
        sim_packet_free(e->net, packet);
    sim_net_detach(e->net, e);
    (void)endpoint_tx_reap(tp);
    node->endpoint = NULL;
    free(e);
}

const struct transport_ops transport_sim = {
    .name = "sim",
    .rx_shape = transport_rx_shape,
    .check = transport_no_check,
    .node = transport_no_node,
    .open = endpoint_open,
    .query = endpoint_query,
    .tx_burst = endpoint_tx_burst,
    .rx_burst = endpoint_rx_burst,
    .members = endpoint_members,
    .links_down = endpoint_links_down,
    .arm = transport_nap,
    .disarm = transport_no_disarm,
    .tx_reap = endpoint_tx_reap,
    .memory_add = transport_no_memory_add,
    .memory_drop = transport_no_memory_drop,
    .stats = endpoint_stats,
    .counters = transport_no_counters,
    .close = endpoint_close,
};
