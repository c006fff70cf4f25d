/* SPDX-License-Identifier: BSD-3-Clause */
#include "net.h"

#include <inttypes.h>
#include <string.h>

enum {
    RX_SLOT_BYTES = 1536,
    SYNC_PORT = NET_PORTS, /* lane of the control messages */
    ARENA_RX = 100,
    ARENA_TX = 200,
    ARENA_CLIENT = 300,
};

#define NET_REQUIRE(x, ...)                                                        \
    do {                                                                           \
        if (!(x)) {                                                                \
            fprintf(stderr, "seed %" PRIu64 " at %" PRIu64 " us: %s: ", net->seed, \
                    net->now_ns / 1000, #x);                                       \
            fprintf(stderr, __VA_ARGS__);                                          \
            fprintf(stderr, "\n");                                                 \
            if (getenv("RING_DUMP"))                                               \
                net_dump(net);                                                     \
            abort();                                                               \
        }                                                                          \
    } while (0)

/* Payload of one message, alive while a frame or a lane refers to it. */
struct net_payload {
    struct net_payload *next, **link; /* among those of its node */
    uint64_t refs;
    uint64_t word[];
};

enum event_kind { EVENT_ARRIVE, EVENT_POLL, EVENT_TIMER, EVENT_PERSISTED };

struct net_event {
    uint64_t at_ns, number;
    enum event_kind kind;
    int node, life;
    uint8_t *bytes;
    uint32_t count;
    uint64_t value;
};

uint64_t net_seed(uint64_t otherwise)
{
    const char *value = getenv("RING_SEED");
    return value ? strtoull(value, NULL, 0) : otherwise;
}

static uint64_t random64(struct net *net)
{
    uint64_t z = net->random += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

uint32_t net_random(struct net *net, uint32_t below)
{
    return (uint32_t)(random64(net) % below);
}

/* Events: a heap by time, then by order of making. */

static bool earlier(const struct net_event *a, const struct net_event *b)
{
    return a->at_ns != b->at_ns ? a->at_ns < b->at_ns : a->number < b->number;
}

static void event_add(struct net *net, struct net_event event)
{
    if (net->event_count == net->event_capacity) {
        net->event_capacity = net->event_capacity ? 2 * net->event_capacity : 1024;
        net->events = realloc(net->events, net->event_capacity * sizeof(event));
    }
    event.number = net->event_number++;
    uint32_t i = net->event_count++;
    while (i > 0 && earlier(&event, &net->events[(i - 1) / 2])) {
        net->events[i] = net->events[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    net->events[i] = event;
}

static struct net_event event_take(struct net *net)
{
    struct net_event first = net->events[0];
    struct net_event last = net->events[--net->event_count];
    uint32_t i = 0;
    for (;;) {
        uint32_t child = 2 * i + 1;
        if (child >= net->event_count)
            break;
        if (child + 1 < net->event_count && earlier(&net->events[child + 1], &net->events[child]))
            child++;
        if (!earlier(&net->events[child], &last))
            break;
        net->events[i] = net->events[child];
        i = child;
    }
    if (net->event_count > 0)
        net->events[i] = last;
    return first;
}

/* Messages. An id names life, port and number; every word of payload follows from it. */

static uint64_t message_id(uint32_t life, uint32_t port, uint32_t number)
{
    return (uint64_t)life << 48 | (uint64_t)port << 40 | number;
}

static uint64_t message_word(uint64_t id, uint32_t bytes, uint32_t index)
{
    if (index == 0)
        return id;
    if (index == 1)
        return bytes;
    return (id + index) * UINT64_C(0x9e3779b97f4a7c15);
}

static void payload_retain(void *context, uint64_t cookie)
{
    (void)context;
    ((struct net_payload *)(uintptr_t)cookie)->refs++;
}

static void payload_release(void *context, uint64_t cookie)
{
    (void)context;
    struct net_payload *payload = (struct net_payload *)(uintptr_t)cookie;
    if (--payload->refs > 0)
        return;
    *payload->link = payload->next;
    if (payload->next)
        payload->next->link = payload->link;
    free(payload);
}

static int submit(struct net *net, struct net_node *node, uint32_t lane, uint32_t bytes,
                  uint8_t guarantee, uint64_t second)
{
    struct net_life *life = node->life;
    uint32_t words = (bytes + 7) / 8;
    struct net_payload *payload = malloc(sizeof(*payload) + (words + 1) * 8);
    uint64_t id = message_id((uint32_t)life->number, lane, life->sent[lane]);
    for (uint32_t i = 0; i < words; i++)
        payload->word[i] = message_word(id, bytes, i);
    bool control = lane == SYNC_PORT;
    if (control)
        payload->word[2] = second;
    payload->refs = 1;
    payload->next = node->payloads;
    payload->link = &node->payloads;
    if (payload->next)
        payload->next->link = &payload->next;
    node->payloads = payload;
    struct ring_message message = {
        .payload = { .data = (const uint8_t *)payload->word,
                     .bytes = bytes,
                     .arena = ARENA_CLIENT,
                     .cookie = (uint64_t)(uintptr_t)payload },
        .port = lane,
        .guarantee = guarantee,
        .control = control,
        .urgent = control,
    };
    int error = ring_submit(node->ring, &message);
    payload_release(NULL, (uint64_t)(uintptr_t)payload);
    if (error == 0) {
        life->sent[lane]++;
        life->sent_total++;
    }
    (void)net;
    return error;
}

/* Nodes. */

static void drain(struct net *net, struct net_node *node, struct ring_out *out);

static void wake_at(struct net *net, struct net_node *node)
{
    uint64_t deadline = ring_deadline_ns(node->ring);
    if (deadline == NS_NEVER || deadline == node->deadline_ns)
        return;
    node->deadline_ns = deadline;
    event_add(net, (struct net_event){ .at_ns = max_u64(deadline, net->now_ns),
                                       .kind = EVENT_TIMER,
                                       .node = (int)(node - net->node),
                                       .life = node->life->number,
                                       .value = deadline });
}

static void log_add(struct net *net, struct net_life *life, struct net_entry entry)
{
    if (life->count == life->capacity) {
        life->capacity = life->capacity ? 2 * life->capacity : 256;
        life->log = realloc(life->log, life->capacity * sizeof(entry));
    }
    entry.at_ns = net->now_ns;
    life->log[life->count++] = entry;
}

static uint32_t mask_of(const uint32_t *members, int count)
{
    uint32_t mask = 0;
    for (int i = 0; i < count; i++)
        mask |= UINT32_C(1) << (members[i] - 1);
    return mask;
}

static void sync_try(struct net *net, struct net_node *node)
{
    if (node->sync_due &&
        submit(net, node, SYNC_PORT, 24, GUARANTEE_AGREED, node->ring_id.seq) == 0)
        node->sync_due = false;
}

static void on_sync(struct net *net, struct net_node *node, uint32_t sender, uint64_t ring_seq)
{
    if (node->gate || ring_seq != node->ring_id.seq)
        return;
    node->sync_have |= UINT32_C(1) << (sender - 1);
    if (node->sync_have == node->sync_want) {
        node->gate = true;
        ring_open(node->ring);
    }
    (void)net;
}

/* E1, first half: what comes was sent, byte for byte; pieces come in order. */
static void on_piece(struct net *net, struct net_node *node, uint32_t sender,
                     const struct ring_piece *piece)
{
    if (net->lawless) {
        if (piece->control && piece->payload.bytes >= 24)
            on_sync(net, node, sender, ((const uint64_t *)(const void *)piece->payload.data)[2]);
        return;
    }
    uint64_t *word = malloc(piece->payload.bytes + 8);
    memcpy(word, piece->payload.data, piece->payload.bytes);
    struct net_partial *partial = &node->partial[sender - 1][piece->port];
    if (piece->first) {
        NET_REQUIRE(partial->done == 0, "node %u: unfinished message before", node->id);
        NET_REQUIRE(piece->payload.bytes >= 16, "short");
        *partial = (struct net_partial){ .id = word[0], .bytes = (uint32_t)word[1] };
    }
    if (!piece->first && partial->done == 0) { /* the first pieces came before we did */
        free(word);
        NET_REQUIRE(false, "node %u: a piece without a first from %u", node->id, sender);
    }
    NET_REQUIRE(partial->done % 8 == 0, "alignment");
    uint32_t from = partial->done / 8;
    for (uint32_t i = 0; i < piece->payload.bytes / 8; i++) {
        bool free_word = piece->control && from + i == 2;
        uint64_t want = message_word(partial->id, partial->bytes, from + i);
        NET_REQUIRE(free_word || word[i] == want, "node %u: payload of %" PRIx64, node->id,
                    partial->id);
    }
    partial->done += piece->payload.bytes;
    NET_REQUIRE(piece->last == (partial->done == partial->bytes), "length of %" PRIx64,
                partial->id);
    if (piece->last) {
        uint32_t life = (uint32_t)(partial->id >> 48);
        NET_REQUIRE(life < (uint32_t)net->life_count, "unknown life");
        NET_REQUIRE(net->life[life].node == (int)sender - 1, "not its sender's");
        log_add(net, node->life,
                (struct net_entry){ .kind = NET_MESSAGE,
                                    .safe = piece->guarantee == GUARANTEE_SAFE,
                                    .id = partial->id,
                                    .value = piece->control ? word[2] : 0 });
        node->life->delivered_own += (int)life == node->life->number;
        partial->done = 0;
        if (piece->control)
            on_sync(net, node, sender, word[2]);
    }
    free(word);
}

static void on_frame(struct net *net, struct net_node *node, const struct ring_delivery *d)
{
    struct ring_walk walk;
    struct ring_piece piece;
    ring_walk_start(&walk, d);
    while (ring_walk_next(&walk, &piece))
        on_piece(net, node, d->sender, &piece);
    uint32_t lent = node->lent_tail - node->lent_head;
    if (net->lease_ns > 0 && lent < 4096 && net_random(net, 2) == 0) {
        zcb_pass(d->frame, ZCB_HELD_OUT, ZCB_HELD_CLIENT);
        node->lent[node->lent_tail % 4096] = d->frame;
        node->lent_until[node->lent_tail++ % 4096] = net->now_ns + net->lease_ns;
    } else {
        zcb_drop(d->frame, ZCB_HELD_OUT);
    }
}

static void leases_end(struct net *net, struct net_node *node)
{
    while (node->lent_head != node->lent_tail &&
           node->lent_until[node->lent_head % 4096] <= net->now_ns)
        zcb_drop(node->lent[node->lent_head++ % 4096], ZCB_HELD_CLIENT);
}

static void on_delivery(struct net *net, struct net_node *node, const struct ring_delivery *d)
{
    if (!net->lawless)
        history_tell(&net->history, (uint32_t)node->life->number, d, net->now_ns);
    if (d->kind == RING_DELIVER_FRAME) {
        on_frame(net, node, d);
        return;
    }
    bool regular = d->kind == RING_DELIVER_REGULAR;
    uint32_t mask = mask_of(d->members, d->member_count);
    log_add(net, node->life,
            (struct net_entry){ .kind = regular ? NET_REGULAR : NET_TRANSITIONAL,
                                .ring_id = d->ring_id,
                                .members = mask });
    if (regular) {
        node->ring_id = d->ring_id;
        node->gate = false;
        node->sync_due = true;
        node->sync_have = 0;
        node->sync_want = mask;
        memset(node->partial, 0, sizeof(node->partial));
    }
}

static void arrive_later(struct net *net, int to, const uint8_t *bytes, uint32_t count)
{
    uint64_t spread = net->delay_most_ns - net->delay_least_ns + 1;
    uint64_t delay = net->delay_least_ns + random64(net) % spread;
    uint8_t *copy = malloc(count);
    memcpy(copy, bytes, count);
    event_add(net, (struct net_event){ .at_ns = net->now_ns + delay,
                                       .kind = EVENT_ARRIVE,
                                       .node = to,
                                       .bytes = copy,
                                       .count = count });
}

void net_inject(struct net *net, int to, const uint8_t *frame, uint32_t bytes)
{
    arrive_later(net, to, frame, bytes);
}

static void transmit(struct net *net, struct net_node *from, struct net_node *to,
                     const uint8_t *bytes, uint32_t count)
{
    int a = (int)(from - net->node), b = (int)(to - net->node);
    if (net->group[a] != net->group[b] || net->deaf[b] >> a & 1 ||
        net_random(net, 1000) < net->loss_permille)
        return;
    if (net->drop && net->drop(net, a, b, bytes, count))
        return;
    uint32_t copies = 1 + (net_random(net, 1000) < net->repeat_permille);
    for (uint32_t i = 0; i < copies; i++)
        arrive_later(net, b, bytes, count);
}

static void on_send(struct net *net, struct net_node *node, struct zcb *frame)
{
    uint8_t bytes[16384];
    uint32_t count = frame->head_bytes;
    memcpy(bytes, frame->head, count);
    for (uint32_t i = 0; i < frame->slice_count; i++) {
        if (frame->slice[i].bytes > 0)
            memcpy(bytes + count, frame->slice[i].data, frame->slice[i].bytes);
        count += frame->slice[i].bytes;
    }
    NET_REQUIRE(count <= NET_FRAME_BYTES, "frame of %u bytes", count);
    net->frames_on_wire++;
    for (int i = 0; i < net->node_count; i++) {
        struct net_node *to = &net->node[i];
        bool wanted = frame->dest == ZCB_TO_ALL || frame->dest == to->id ||
                      (frame->dest == ZCB_TO_RING && node->sync_want >> i & 1);
        if (to != node && wanted)
            transmit(net, node, to, bytes, count);
    }
    zcb_drop(frame, ZCB_HELD_OUT);
}

static void persist(struct net *net, struct net_node *node, uint64_t seq)
{
    if (net->persist_ns == NS_NEVER || net->full >> (node - net->node) & 1)
        return;
    uint64_t delay = net->persist_ns ? random64(net) % net->persist_ns : 0;
    event_add(net, (struct net_event){ .at_ns = net->now_ns + delay,
                                       .kind = EVENT_PERSISTED,
                                       .node = (int)(node - net->node),
                                       .life = node->life->number,
                                       .value = seq });
}

static void drain(struct net *net, struct net_node *node, struct ring_out *out)
{
    for (;;) {
        node->calls++;
        NET_REQUIRE(out->send_count <= RING_OUT_MAX && out->deliver_count <= RING_OUT_MAX, "out");
        for (int i = 0; i < out->send_count; i++)
            on_send(net, node, out->send[i]);
        for (int i = 1; i < out->deliver_count; i++)
            NET_REQUIRE(out->deliver[i].kind != RING_DELIVER_REGULAR, "D1: not the first");
        for (int i = 0; i < out->deliver_count; i++)
            on_delivery(net, node, &out->deliver[i]);
        if (out->persist_seq)
            persist(net, node, out->persist_seq);
        bool due = node->sync_due;
        sync_try(net, node);
        if (!out->more && due == node->sync_due)
            break;
        ring_continue(node->ring, net->now_ns, out);
    }
    wake_at(net, node);
}

static void pools_make(const struct net *net, struct net_node *node)
{
    size_t tx_bytes = align_up((size_t)net->tx_count * RING_HEAD_BYTES, 4096);
    size_t rx_bytes = align_up((size_t)net->rx_count * RX_SLOT_BYTES, 4096);
    node->tx_arena = (struct zcb_arena){ .base = aligned_alloc(4096, align_up(tx_bytes, 4096)),
                                         .bytes = tx_bytes,
                                         .page_bytes = 4096,
                                         .id = ARENA_TX + node->id,
                                         .fd = -1 };
    node->rx_arena = (struct zcb_arena){ .base = aligned_alloc(4096, align_up(rx_bytes, 4096)),
                                         .bytes = rx_bytes,
                                         .page_bytes = 4096,
                                         .id = ARENA_RX + node->id,
                                         .fd = -1 };
    int error = zcb_pool_create(&node->tx_pool, &node->tx_arena,
                                &(struct zcb_pool_shape){ .slot_bytes = RING_HEAD_BYTES,
                                                          .count = net->tx_count,
                                                          .slices_max = RING_SLICES_MAX });
    error |=
        zcb_pool_create(&node->rx_pool, &node->rx_arena,
                        &(struct zcb_pool_shape){
                            .slot_bytes = RX_SLOT_BYTES, .count = net->rx_count, .slices_max = 1 });
    INVARIANT(error == 0);
    node->tx_pool.retain = payload_retain;
    node->tx_pool.release = payload_release;
}

/* What a process that ends leaves behind: nothing. */
static void forget(struct net_node *node)
{
    while (node->payloads) {
        struct net_payload *payload = node->payloads;
        node->payloads = payload->next;
        free(payload);
    }
    free(node->tx_pool.frames);
    free(node->rx_pool.frames);
    free(node->tx_arena.base);
    free(node->rx_arena.base);
    free(node->memory);
    for (; node->inbox_head != node->inbox_tail; node->inbox_head++)
        free(node->inbox[node->inbox_head % 4096].bytes);
    node->lent_head = node->lent_tail;
    node->ring = NULL;
    node->up = false;
}

/* Had its node a life before? Then an empty disk means that it forgot. */
static bool was_there(const struct net *net, const struct net_life *life)
{
    for (int l = 0; l < life->number; l++) {
        if (net->life[l].node == life->node)
            return true;
    }
    return false;
}

void net_start(struct net *net, int index)
{
    struct net_node *node = &net->node[index];
    NET_REQUIRE(!node->up && net->life_count < NET_LIVES, "start of %d", index);
    uint64_t disk_seq = node->disk_seq;
    *node = (struct net_node){ .id = (uint32_t)index + 1, .up = true, .disk_seq = disk_seq };
    node->life = &net->life[net->life_count];
    *node->life = (struct net_life){ .node = index, .number = net->life_count++ };
    history_life(&net->history, node->id, disk_seq == 0 && was_there(net, node->life), net->now_ns);
    node->deadline_ns = NS_NEVER;
    pools_make(net, node);

    uint32_t ids[NET_NODES];
    for (int i = 0; i < net->node_count; i++)
        ids[i] = (uint32_t)i + 1;
    struct ring_config config = {
        .node_id = node->id,
        .cluster_tag = 0x5eed,
        .nodes = ids,
        .node_count = net->node_count,
        .ring_seq = disk_seq,
        .incarnation = (uint64_t)node->life->number + 1,
        .seed = net->seed,
        .detect_ns = net->detect_ns,
        .frame_bytes_max = NET_FRAME_BYTES,
        .window_frames = net->window_frames,
        .park = net->park,
        .fan_out = net->fan_out,
        .tx_pool = &node->tx_pool,
    };
    const char *why = NULL;
    node->memory = malloc(ring_bytes(&config));
    int error = ring_init(&node->ring, node->memory, &config, net->now_ns, &why);
    NET_REQUIRE(error == 0, "init: %s", why);
    wake_at(net, node);
}

static void life_over(struct net *net, struct net_node *node)
{
    struct hist_life *life = &net->history.lives.at[node->life->number];
    node->life->crashed = true;
    life->over = true;
    life->until_ns = net->now_ns;
}

void net_crash(struct net *net, int index)
{
    life_over(net, &net->node[index]);
    forget(&net->node[index]);
}

void net_leave(struct net *net, int index)
{
    struct net_node *node = &net->node[index];
    static _Thread_local struct ring_out out;
    ring_leave(node->ring, net->now_ns, &out);
    node->life->left = true;
    life_over(net, node);
    drain(net, node, &out);
    forget(node);
}

void net_poke(struct net *net, int index)
{
    static _Thread_local struct ring_out out;
    ring_expire(net->node[index].ring, net->now_ns, &out);
    drain(net, &net->node[index], &out);
}

void net_links(struct net *net, int index, uint32_t down)
{
    static _Thread_local struct ring_out out;
    uint32_t ids[NET_NODES] = { 0 };
    int count = 0;
    for (int i = 0; i < net->node_count; i++) {
        if (down >> i & 1)
            ids[count++] = net->node[i].id;
    }
    ring_links(net->node[index].ring, net->now_ns, ids, count, &out);
    drain(net, &net->node[index], &out);
}

void net_stall(struct net *net, int index, uint64_t ns)
{
    struct net_node *node = &net->node[index];
    if (node->stalled_ns == 0)
        node->stalled_ns = net->now_ns;
    node->stall_until_ns = net->now_ns + ns;
}

void net_heal(struct net *net)
{
    for (int i = 0; i < net->node_count; i++) {
        if (net->node[i].up)
            net_links(net, i, 0);
    }
    memset(net->group, 0, sizeof(net->group));
    memset(net->deaf, 0, sizeof(net->deaf));
    for (int i = 0; i < net->node_count; i++)
        net->node[i].blocked = false;
    net->loss_permille = 0;
    net->repeat_permille = 0;
    net->drop = NULL;
    net->lease_ns = 0;
    net->persist_ns = 0;
    net->full = 0;
}

bool net_submit(struct net *net, int index, uint32_t port, uint32_t bytes, uint8_t guarantee)
{
    struct net_node *node = &net->node[index];
    static _Thread_local struct ring_out out;
    ring_rx_free(node->ring, node->blocked ? 0 : node->rx_pool.free_count);
    if (submit(net, node, port, bytes, guarantee, 0) != 0)
        return false;
    ring_continue(node->ring, net->now_ns, &out);
    drain(net, node, &out);
    return true;
}

/* The loop. */

static void poll_at(struct net *net, struct net_node *node, uint64_t at_ns)
{
    if (node->polled)
        return;
    node->polled = true;
    event_add(net, (struct net_event){ .at_ns = max_u64(at_ns, node->stall_until_ns),
                                       .kind = EVENT_POLL,
                                       .node = (int)(node - net->node),
                                       .life = node->life->number });
}

static void runs_again(struct net *net, struct net_node *node)
{
    if (node->stalled_ns > 0)
        ring_away(node->ring, net->now_ns, net->now_ns - node->stalled_ns);
    node->stalled_ns = 0;
}

static void poll(struct net *net, struct net_node *node)
{
    static _Thread_local struct ring_out out;
    struct zcb *frames[RING_BURST];
    int count = 0;
    runs_again(net, node);
    leases_end(net, node);
    while (count < RING_BURST && node->inbox_head != node->inbox_tail) {
        struct net_inbox *in = &node->inbox[node->inbox_head++ % 4096];
        struct zcb *frame = zcb_get(&node->rx_pool, ZCB_HELD_OUT);
        if (frame) {
            memcpy(frame->head, in->bytes, in->count);
            frame->head_bytes = in->count;
            frame->slice_count = 1;
            frame->slice[0] = (struct zcb_slice){ .arena = frame->pool->arena };
            frames[count++] = frame;
        }
        free(in->bytes);
    }
    ring_rx_free(node->ring, node->blocked ? 0 : node->rx_pool.free_count);
    if (count > 0) {
        ring_recv(node->ring, net->now_ns, frames, count, &out);
        drain(net, node, &out);
    }
    if (node->inbox_head != node->inbox_tail)
        poll_at(net, node, net->now_ns);
}

static void arrive(struct net *net, struct net_node *node, struct net_event *event)
{
    if (!node->up || node->inbox_tail - node->inbox_head == 4096) {
        free(event->bytes);
        return;
    }
    node->inbox[node->inbox_tail++ % 4096] =
        (struct net_inbox){ .bytes = event->bytes, .count = event->count };
    poll_at(net, node, net->now_ns);
}

static void timer(struct net *net, struct net_node *node, const struct net_event *event)
{
    static _Thread_local struct ring_out out;
    if (node->deadline_ns != event->value)
        return;
    if (net->now_ns < node->stall_until_ns) {
        struct net_event later = *event;
        later.at_ns = node->stall_until_ns;
        event_add(net, later);
        return;
    }
    node->deadline_ns = NS_NEVER;
    runs_again(net, node);
    ring_rx_free(node->ring, node->blocked ? 0 : node->rx_pool.free_count);
    ring_expire(node->ring, net->now_ns, &out);
    drain(net, node, &out);
}

static void persisted(struct net *net, struct net_node *node, uint64_t seq)
{
    static _Thread_local struct ring_out out;
    node->disk_seq = max_u64(node->disk_seq, seq);
    ring_persisted(node->ring, net->now_ns, seq, &out);
    drain(net, node, &out);
}

static void sweep(struct net *net)
{
    if (net->check_every == 0 || ++net->steps % net->check_every != 0)
        return;
    for (int i = 0; i < net->node_count; i++) {
        if (!net->node[i].up)
            continue;
        ring_check(net->node[i].ring);
        zcb_pool_check_used(&net->node[i].tx_pool);
        zcb_pool_check_used(&net->node[i].rx_pool);
    }
}

static void step(struct net *net)
{
    struct net_event event = event_take(net);
    struct net_node *node = &net->node[event.node];
    net->now_ns = max_u64(net->now_ns, event.at_ns);
    bool same = node->up && node->life->number == event.life;
    switch (event.kind) {
    case EVENT_ARRIVE:
        arrive(net, node, &event);
        break;
    case EVENT_POLL:
        if (same) {
            node->polled = false;
            poll(net, node);
        }
        break;
    case EVENT_TIMER:
        if (same)
            timer(net, node, &event);
        break;
    case EVENT_PERSISTED:
        if (same)
            persisted(net, node, event.value);
        break;
    }
    sweep(net);
}

void net_run(struct net *net, uint64_t ns)
{
    uint64_t end = net->now_ns + ns;
    while (net->event_count > 0 && net->events[0].at_ns <= end)
        step(net);
    net->now_ns = end;
    for (int i = 0; i < net->node_count; i++) {
        if (net->node[i].up)
            leases_end(net, &net->node[i]);
    }
}

struct net *net_new(uint64_t seed, int node_count)
{
    struct net *net = calloc(1, sizeof(*net));
    net->seed = seed;
    net->random = seed;
    net->now_ns = NS_PER_S;
    net->node_count = node_count;
    net->detect_ns = 200 * NS_PER_MS;
    net->delay_least_ns = 20 * NS_PER_US;
    net->delay_most_ns = 40 * NS_PER_US;
    net->persist_ns = 2 * NS_PER_MS;
    net->rx_count = NET_RX_COUNT;
    net->tx_count = NET_TX_COUNT;
    net->park = true;
    net->check_every = 997;
    return net;
}

struct net *net_new_formed(uint64_t seed, int node_count)
{
    struct net *net = net_new(net_seed(seed), node_count);
    for (int i = 0; i < node_count; i++)
        net_start(net, i);
    NET_REQUIRE(net_run_until_formed(net, net_up_mask(net), NS_PER_S), "no ring");
    return net;
}

void net_finish(struct net *net)
{
    net_heal(net);
    NET_REQUIRE(net_settle(net, 20 * NS_PER_S), "does not settle");
    net_check(net);
    net_check_all_delivered(net);
    net_free(net);
}

void net_free(struct net *net)
{
    for (int i = 0; i < net->node_count; i++) {
        if (net->node[i].up)
            forget(&net->node[i]);
    }
    for (int i = 0; i < net->life_count; i++)
        free(net->life[i].log);
    for (uint32_t i = 0; i < net->event_count; i++)
        free(net->events[i].bytes);
    free(net->events);
    history_clear(&net->history);
    free(net);
}
