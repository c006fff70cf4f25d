/* SPDX-License-Identifier: BSD-3-Clause */
#include "net.h"

#include <errno.h>
#include <string.h>

int sim_net_create(struct sim_net **out, const struct sim_net_config *config)
{
    struct sim_net *net = calloc(1, sizeof *net);

    if (net == NULL)
        return -ENOMEM;
    net->config = *config;
    net->random.state = config->seed;
    *out = net;
    return 0;
}

void sim_net_destroy(struct sim_net *net)
{
    for (uint32_t i = 0; i < net->node_count; i++)
        INVARIANT(net->node[i].endpoint == NULL);
    for (size_t i = 0; i < net->heap_count; i++)
        free(net->heap[i].packet);
    while (net->spare != NULL) {
        struct sim_packet *next = net->spare->next;
        free(net->spare);
        net->spare = next;
    }
    while (net->spare_tx != NULL) {
        struct sim_tx *next = net->spare_tx->next;
        free(net->spare_tx);
        net->spare_tx = next;
    }
    free(net->heap);
    free(net);
}

uint32_t sim_node_find(const struct sim_net *net, uint32_t node_id)
{
    for (uint32_t i = 0; i < net->node_count; i++) {
        if (net->node[i].node_id == node_id)
            return i;
    }
    return SIM_NOBODY;
}

uint32_t sim_node_index(struct sim_net *net, uint32_t node_id)
{
    uint32_t found = sim_node_find(net, node_id);
    struct sim_node *node;

    if (found != SIM_NOBODY)
        return found;
    INVARIANT(net->node_count < NODE_COUNT_MAX);
    node = &net->node[net->node_count];
    node->node_id = node_id;
    node->last = &node->first;
    return net->node_count++;
}

static bool earlier(const struct sim_flight *a, const struct sim_flight *b)
{
    return a->due_ns != b->due_ns ? a->due_ns < b->due_ns : a->serial < b->serial;
}

static void heap_push(struct sim_net *net, const struct sim_flight *flight)
{
    size_t i = net->heap_count++;

    if (i == net->heap_room) {
        net->heap_room = max_u64(64, 2 * net->heap_room);
        net->heap = realloc(net->heap, net->heap_room * sizeof(net->heap[0]));
        INVARIANT(net->heap != NULL);
    }
    for (; i > 0 && earlier(flight, &net->heap[(i - 1) / 2]); i = (i - 1) / 2)
        net->heap[i] = net->heap[(i - 1) / 2];
    net->heap[i] = *flight;
}

static struct sim_packet *heap_pop(struct sim_net *net)
{
    struct sim_packet *top = net->heap[0].packet;
    struct sim_flight last = net->heap[--net->heap_count];
    size_t i = 0;

    for (;;) {
        size_t child = 2 * i + 1;
        if (child + 1 < net->heap_count && earlier(&net->heap[child + 1], &net->heap[child]))
            child++;
        if (child >= net->heap_count || !earlier(&net->heap[child], &last))
            break;
        net->heap[i] = net->heap[child];
        i = child;
    }
    net->heap[i] = last;
    return top;
}

/* One with room for the longest that its sender sends: the next will do as well. */
static struct sim_packet *packet_take(struct sim_net *net, uint32_t room)
{
    struct sim_packet *packet = net->spare;

    if (packet != NULL)
        net->spare = packet->next;
    if (packet == NULL || packet->room < room) {
        free(packet);
        packet = malloc(sizeof *packet + room);
        INVARIANT(packet != NULL);
        packet->room = room;
    }
    return packet;
}

void sim_packet_free(struct sim_net *net, struct sim_packet *packet)
{
    INVARIANT(packet->tx == NULL);
    packet->next = net->spare;
    net->spare = packet;
}

struct sim_tx *sim_tx_take(struct sim_net *net)
{
    struct sim_tx *tx = net->spare_tx;

    if (tx != NULL)
        net->spare_tx = tx->next;
    else
        tx = malloc(sizeof *tx);
    INVARIANT(tx != NULL);
    return tx;
}

void sim_tx_free(struct sim_net *net, struct sim_tx *tx)
{
    tx->next = net->spare_tx;
    net->spare_tx = tx;
}

static void tx_release(struct sim_tx *tx)
{
    INVARIANT(tx->pending > 0);
    if (--tx->pending > 0)
        return;
    tx->next = tx->owner->done;
    tx->owner->done = tx;
}

/* Copy the frame as it is now, with the faults that are this packet's fate. */
static void packet_settle(struct sim_packet *packet)
{
    const struct zcb *frame = packet->tx->frame;
    uint8_t *to;

    INVARIANT(frame->head_bytes + frame->payload_bytes == packet->length); /* T1 */
    memcpy(packet->bytes, frame->head, frame->head_bytes);
    to = packet->bytes + frame->head_bytes;
    for (int i = 0; i < frame->slice_count; i++) {
        if (frame->slice[i].bytes != 0)
            memcpy(to, frame->slice[i].data, frame->slice[i].bytes);
        to += frame->slice[i].bytes;
    }
    if (packet->turned != SIM_INTACT)
        packet->bytes[packet->turned / 8] ^= (uint8_t)(1u << packet->turned % 8);
    if (packet->cut_to != SIM_INTACT)
        packet->length = packet->cut_to;
    tx_release(packet->tx);
    packet->tx = NULL;
}

void sim_net_detach(struct sim_net *net, const struct sim_endpoint *sender)
{
    for (size_t i = 0; i < net->heap_count; i++) {
        struct sim_packet *packet = net->heap[i].packet;
        if (packet->tx != NULL && packet->tx->owner == sender)
            packet_settle(packet);
    }
}

static const struct sim_faults *link_faults(const struct sim_net *net, const struct sim_link *link)
{
    return link->own_faults ? &link->faults : &net->config.faults;
}

/* G1, unless the link reorders. */
static uint64_t due_draw(struct sim_net *net, struct sim_link *link,
                         const struct sim_faults *faults)
{
    uint64_t spread = faults->delay_ns_most > faults->delay_ns_least
                          ? faults->delay_ns_most - faults->delay_ns_least + 1
                          : 0;
    uint64_t due_ns = net->now_ns + faults->delay_ns_least + sim_random_below(&net->random, spread);

    if (sim_random_chance(&net->random, faults->reorder_ppm)) {
        net->stats.reordered++;
        return due_ns + sim_random_below(&net->random, faults->reorder_ns + 1);
    }
    link->last_due_ns = max_u64(link->last_due_ns, due_ns);
    return link->last_due_ns;
}

static void fate_draw(struct sim_net *net, struct sim_packet *packet,
                      const struct sim_faults *faults)
{
    packet->turned = packet->cut_to = SIM_INTACT;
    if (packet->length == 0)
        return;
    if (sim_random_chance(&net->random, faults->corrupt_ppm)) {
        net->stats.corrupted++;
        packet->turned = (uint32_t)sim_random_below(&net->random, packet->length * UINT64_C(8));
    }
    if (sim_random_chance(&net->random, faults->truncate_ppm)) {
        net->stats.truncated++;
        packet->cut_to = (uint32_t)sim_random_below(&net->random, packet->length);
    }
}

static void packet_launch(struct sim_net *net, struct sim_tx *tx, uint32_t from, uint32_t to)
{
    struct sim_link *link = &net->link[from][to];
    const struct sim_faults *faults = link_faults(net, link);
    struct sim_packet *packet = packet_take(net, tx->owner->frame_bytes_max);
    struct sim_flight flight = { .serial = net->serial++, .packet = packet };

    *packet = (struct sim_packet){
        .tx = tx,
        .from = from,
        .to = to,
        .length = tx->frame->head_bytes + tx->frame->payload_bytes,
        .room = packet->room,
    };
    flight.due_ns = due_draw(net, link, faults);
    fate_draw(net, packet, faults);
    tx->pending++;
    if (!tx->owner->by_reference)
        packet_settle(packet);
    heap_push(net, &flight);
}

void sim_net_send(struct sim_net *net, struct sim_tx *tx, uint32_t from, uint32_t to)
{
    const struct sim_faults *faults = link_faults(net, &net->link[from][to]);

    net->stats.sent++;
    if (net->link[from][to].cut) {
        net->stats.cut++;
        return;
    }
    if (sim_random_chance(&net->random, faults->loss_ppm)) {
        net->stats.lost++;
        return;
    }
    packet_launch(net, tx, from, to);
    if (sim_random_chance(&net->random, faults->duplicate_ppm)) {
        net->stats.duplicated++;
        packet_launch(net, tx, from, to);
    }
}

/* The counter that says why a packet does not arrive; NULL: it does. */
static uint64_t *refusal(struct sim_net *net, const struct sim_packet *packet)
{
    const struct sim_node *node = &net->node[packet->to];

    if (net->link[packet->from][packet->to].cut)
        return &net->stats.cut;
    if (node->endpoint == NULL)
        return &net->stats.nobody_home;
    if (net->config.inbox_frames != 0 && node->inbox_count >= net->config.inbox_frames)
        return &net->stats.overflowed;
    return NULL;
}

static void packet_arrive(struct sim_net *net, struct sim_packet *packet)
{
    struct sim_node *node = &net->node[packet->to];
    uint64_t *refused = refusal(net, packet);

    if (packet->tx != NULL)
        packet_settle(packet); /* G3 */
    if (refused != NULL) {
        ++*refused;
        sim_packet_free(net, packet);
        return;
    }
    net->stats.delivered++;
    node->inbox_count++;
    *node->last = packet;
    node->last = &packet->next;
}

struct sim_packet *sim_inbox_take(struct sim_node *node)
{
    struct sim_packet *packet = node->first;

    if (packet == NULL)
        return NULL;
    node->first = packet->next;
    if (node->first == NULL)
        node->last = &node->first;
    node->inbox_count--;
    return packet;
}

void sim_net_advance(struct sim_net *net, uint64_t now_ns)
{
    INVARIANT(now_ns >= net->now_ns);
    net->now_ns = now_ns;
    while (net->heap_count > 0 && net->heap[0].due_ns <= now_ns)
        packet_arrive(net, heap_pop(net));
}

uint64_t sim_net_next_ns(const struct sim_net *net)
{
    return net->heap_count > 0 ? net->heap[0].due_ns : NS_NEVER;
}

uint64_t sim_net_now_ns(const struct sim_net *net)
{
    return net->now_ns;
}

uint32_t sim_net_waiting(const struct sim_net *net, uint32_t node_id)
{
    uint32_t node = sim_node_find(net, node_id);

    return node != SIM_NOBODY ? net->node[node].inbox_count : 0;
}

void sim_net_faults(struct sim_net *net, const struct sim_faults *faults)
{
    net->config.faults = *faults;
    for (uint32_t from = 0; from < net->node_count; from++) {
        for (uint32_t to = 0; to < net->node_count; to++)
            net->link[from][to].own_faults = false;
    }
}

void sim_net_link(struct sim_net *net, uint32_t from, uint32_t to, const struct sim_faults *faults)
{
    struct sim_link *link = &net->link[sim_node_index(net, from)][sim_node_index(net, to)];

    link->faults = *faults;
    link->own_faults = true;
}

void sim_net_cut(struct sim_net *net, uint32_t from, uint32_t to, bool cut)
{
    net->link[sim_node_index(net, from)][sim_node_index(net, to)].cut = cut;
}

void sim_net_tell(struct sim_net *net, uint32_t from, uint32_t to, bool down)
{
    uint32_t teller = sim_node_index(net, from);
    struct sim_link *link = &net->link[teller][sim_node_index(net, to)];

    if (link->told == down)
        return;
    link->told = down;
    net->node[teller].told = true;
    if (net->node[teller].endpoint)
        net->node[teller].endpoint->base.links++;
}

static void faults_clear(struct sim_faults *faults)
{
    *faults = (struct sim_faults){ .delay_ns_least = faults->delay_ns_least,
                                   .delay_ns_most = faults->delay_ns_most };
}

void sim_net_heal(struct sim_net *net)
{
    faults_clear(&net->config.faults);
    net->config.tx_short_ppm = 0;
    for (uint32_t from = 0; from < net->node_count; from++) {
        for (uint32_t to = 0; to < net->node_count; to++) {
            faults_clear(&net->link[from][to].faults);
            net->link[from][to].cut = false;
            sim_net_tell(net, net->node[from].node_id, net->node[to].node_id, false);
        }
    }
}

const struct sim_net_stats *sim_net_stats(const struct sim_net *net)
{
    return &net->stats;
}
