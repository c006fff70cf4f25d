/* SPDX-License-Identifier: BSD-3-Clause */
#include "fabric.h"

#include <math.h>

enum {
    IP_UDP_BYTES = 28,
    ETHERNET_BYTES = 18,     /* header and checksum */
    ETHERNET_LEAST = 64,     /* a shorter frame is filled up */
    ETHERNET_GAP_BYTES = 20, /* preamble, and silence between frames */
    FRAME_ALIGN = 8,         /* the daemon rounds its frames down to this */
    EVERYBODY = -1,
    RX_FRAMES_MOST = 8192, /* no ring holds more */
    RX_BYTES = 48 << 20,   /* as the daemon has them */
    TX_FRAMES = 2048,
};

struct fabric_config fabric_default(int nodes)
{
    return (struct fabric_config){
        .nodes = nodes,
        .costs = COSTS_REFERENCE,
        .mtu = 1500,
        .gbps = 100,
        .hop_ns = 1200,
        .port_bytes = 4 << 20,
        .persist_ns = NS_PER_MS,
        .detect_ns = NS_PER_S,
        .seed = 1,
        .multicast = true,
        .park = true,
    };
}

uint32_t fabric_wire_bytes(uint32_t bytes)
{
    uint32_t ethernet = bytes + IP_UDP_BYTES + ETHERNET_BYTES;
    return (ethernet < ETHERNET_LEAST ? ETHERNET_LEAST : ethernet) + ETHERNET_GAP_BYTES;
}

uint64_t fabric_wire_ns(const struct fabric_config *config, uint32_t bytes)
{
    return (uint64_t)llround(fabric_wire_bytes(bytes) * 8.0 / config->gbps);
}

uint64_t fabric_random(struct fabric *f, uint64_t below)
{
    uint64_t z = f->random += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (z ^ (z >> 31)) % below;
}

void fabric_create(struct fabric *f, const struct fabric_config *config)
{
    *f = (struct fabric){ .config = *config, .now_ns = NS_PER_S, .random = config->seed };
    INVARIANT(config->nodes >= 1 && config->nodes <= NODE_COUNT_MAX);
    f->node = calloc((size_t)config->nodes, sizeof(f->node[0]));
    INVARIANT(f->node);
}

static void arrivals_drop(struct fabric *f, struct fabric_node *n)
{
    for (; n->head != n->tail; n->head++)
        packet_drop(&f->packets, n->arrival[n->head % FABRIC_RX_RING].packet);
}

void fabric_destroy(struct fabric *f)
{
    for (int i = 0; i < f->config.nodes; i++) {
        if (f->node[i].up)
            fabric_crash(f, i);
    }
    for (uint32_t i = 0; i < f->event_count; i++) {
        if (f->event[i].packet)
            packet_drop(&f->packets, f->event[i].packet);
    }
    packet_pool_free(&f->packets);
    free(f->node);
    free(f->event);
    free(f->log.place);
}

void fabric_start(struct fabric *f, int index, uint64_t at_ns)
{
    struct fabric_node *n = &f->node[index];
    const struct fabric_config *c = &f->config;
    uint32_t frame_bytes_max = (c->mtu - IP_UDP_BYTES) / FRAME_ALIGN * FRAME_ALIGN;
    uint32_t slot_bytes = (uint32_t)align_up(frame_bytes_max, CACHE_LINE_BYTES);
    struct peer_config config = {
        .id = (uint32_t)index + 1,
        .nodes = c->nodes,
        .frame_bytes_max = frame_bytes_max,
        .rx_frames = min_u32(RX_BYTES / slot_bytes, RX_FRAMES_MOST),
        .tx_frames = TX_FRAMES,
        .window_frames = c->window_frames,
        .detect_ns = c->detect_ns,
        .incarnation = c->seed + n->life + 1,
        .park = c->park,
        .fan_out = !c->multicast,
        .log = &f->log,
    };
    INVARIANT(!n->up);
    peer_start(&n->peer, &config, at_ns);
    n->life++;
    n->up = true;
    n->busy_ns = n->link_ns = at_ns;
    n->port_ns = 0;
    n->turn_ns = NS_NEVER;
    n->gate_seen = false;
    n->up_ns = at_ns;
    fabric_turn_at(f, n, at_ns);
}

void fabric_crash(struct fabric *f, int index)
{
    struct fabric_node *n = &f->node[index];
    arrivals_drop(f, n);
    peer_stop(&n->peer);
    n->load = (struct fabric_load){ 0 };
    n->up = false;
}

/* A turn is due then, or earlier if one is due already. */
void fabric_turn_at(struct fabric *f, struct fabric_node *n, uint64_t at_ns)
{
    at_ns = max_u64(at_ns, n->busy_ns);
    if (at_ns >= n->turn_ns || at_ns == NS_NEVER)
        return;
    n->turn_ns = at_ns;
    event_add(
        f, (struct event){
               .at_ns = at_ns, .node = (int)(n - f->node), .life = n->life, .kind = EVENT_TURN });
}

/* Who polls with nothing to do looks once in a turn: half of one passes before it sees. */
uint64_t fabric_noticed_ns(const struct fabric *f, const struct fabric_node *n, uint64_t at_ns)
{
    return at_ns > n->busy_ns ? at_ns + (uint64_t)(f->config.costs.turn / 2) : n->busy_ns;
}

void fabric_wake(struct fabric *f, int index)
{
    struct fabric_node *n = &f->node[index];
    fabric_turn_at(f, n, fabric_noticed_ns(f, n, f->now_ns));
}

/* The receivers of a frame that is sent to each of them: indexes. */
static int receivers(const struct fabric *f, const struct fabric_node *n, uint32_t dest, int *to)
{
    int count = 0;
    if (dest == ZCB_TO_RING) {
        for (int i = 0; i < n->peer.member_count; i++) {
            to[count] = (int)n->peer.member[i] - 1;
            count += n->peer.member[i] != n->peer.config.id;
        }
    } else if (dest == ZCB_TO_ALL) {
        for (int i = 0; i < f->config.nodes; i++) {
            to[count] = i;
            count += &f->node[i] != n;
        }
    } else {
        to[count++] = (int)dest - 1;
    }
    return count;
}

/* Out of a node: given to the card, on its link, and at the switch when the first of it passed. */
void fabric_send(struct fabric *f, struct fabric_node *n, struct zcb *frame, uint64_t start_ns,
                 double *spent_ns)
{
    const struct fabric_config *c = &f->config;
    struct packet *packet = packet_make(&f->packets, frame);
    int to[NODE_COUNT_MAX] = { EVERYBODY };
    bool many = frame->dest == ZCB_TO_ALL || frame->dest == ZCB_TO_RING;
    int copies = many && c->multicast ? 1 : receivers(f, n, frame->dest, to);
    uint64_t wire_ns = fabric_wire_ns(c, packet->bytes);
    for (int i = 0; i < copies; i++) {
        *spent_ns += c->costs.nic_tx;
        uint64_t given_ns = start_ns + (uint64_t)llround(*spent_ns);
        uint64_t begin_ns = max_u64(n->link_ns, given_ns);
        n->link_ns = begin_ns + wire_ns;
        n->wire_ns += wire_ns;
        packet->refs++;
        event_add(f, (struct event){ .kind = EVENT_PACKET,
                                     .at_ns = begin_ns + c->hop_ns,
                                     .packet = packet,
                                     .node = (int)(n - f->node),
                                     .to = to[i] });
    }
    f->count.frames[packet_type(packet)] += (uint64_t)copies;
    f->count.bytes[packet_type(packet)] += (uint64_t)copies * fabric_wire_bytes(packet->bytes);
    packet_drop(&f->packets, packet);
    zcb_drop(frame, ZCB_HELD_OUT);
}

/* Through the port of its receiver, and into that one's memory. */
static void pass(struct fabric *f, struct fabric_node *to, struct packet *packet)
{
    const struct fabric_config *c = &f->config;
    struct fabric_count *count = &f->count;
    uint64_t start_ns = max_u64(f->now_ns, to->port_ns);
    uint64_t waiting = (uint64_t)((double)(start_ns - f->now_ns) * c->gbps / 8);
    if (!to->up || f->now_ns < to->up_ns)
        return;
    count->port_bytes_most = max_u64(count->port_bytes_most, waiting);
    count->ring_most = max_u64(count->ring_most, to->tail - to->head);
    if (waiting > c->port_bytes) {
        count->lost_port++;
        return;
    }
    to->port_ns = start_ns + fabric_wire_ns(c, packet->bytes);
    if (to->tail - to->head == FABRIC_RX_RING) {
        count->lost_ring++;
        return;
    }
    to->received++;
    to->received_bytes += fabric_wire_bytes(packet->bytes);
    packet->refs++;
    to->arrival[to->tail++ % FABRIC_RX_RING] =
        (struct arrival){ .at_ns = to->port_ns, .packet = packet };
    fabric_turn_at(f, to, fabric_noticed_ns(f, to, to->port_ns));
}

static void arrive(struct fabric *f, const struct event *event)
{
    for (int i = 0; i < f->config.nodes; i++) {
        if (i != event->node && (event->to == EVERYBODY || event->to == i))
            pass(f, &f->node[i], event->packet);
    }
    packet_drop(&f->packets, event->packet);
}

static void step(struct fabric *f)
{
    struct event event = event_take(f);
    struct fabric_node *n = &f->node[event.node];
    bool same = n->up && n->life == event.life;
    f->now_ns = event.at_ns;
    switch (event.kind) {
    case EVENT_PACKET:
        arrive(f, &event);
        break;
    case EVENT_TURN:
        if (same && n->turn_ns == event.at_ns) {
            n->turn_ns = NS_NEVER;
            fabric_turn(f, n);
        }
        break;
    case EVENT_PERSISTED:
        if (same)
            fabric_persisted(f, n, event.value);
        break;
    }
}

void fabric_run(struct fabric *f, uint64_t until_ns)
{
    f->stop = false;
    while (!f->stop && f->event_count > 0 && f->event[0].at_ns <= until_ns)
        step(f);
    if (!f->stop)
        f->now_ns = max_u64(f->now_ns, until_ns);
}

bool fabric_formed(const struct fabric *f)
{
    int up = 0;
    struct ring_id id = { 0 };
    for (int i = 0; i < f->config.nodes; i++) {
        const struct fabric_node *n = &f->node[i];
        if (!n->up)
            continue;
        id = up++ == 0 ? n->peer.ring_id : id;
        if (!n->peer.gate || !ring_id_equal(id, n->peer.ring_id))
            return false;
    }
    for (int i = 0; i < f->config.nodes; i++) {
        if (f->node[i].up && f->node[i].peer.member_count != up)
            return false;
    }
    return up > 0;
}

bool fabric_run_until_formed(struct fabric *f, uint64_t most_ns)
{
    uint64_t end_ns = f->now_ns + most_ns;
    while (!fabric_formed(f) && f->event_count > 0 && f->event[0].at_ns <= end_ns)
        step(f);
    return fabric_formed(f);
}

bool fabric_all_delivered(const struct fabric *f)
{
    uint64_t submitted = 0;
    for (int i = 0; i < f->config.nodes; i++)
        submitted += f->node[i].up ? f->node[i].peer.submitted : 0;
    for (int i = 0; i < f->config.nodes; i++) {
        if (f->node[i].up && f->node[i].peer.delivered_messages != submitted)
            return false;
    }
    return true;
}
