/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * turn.c - one turn of the poll core: frames in, order out, clients, frames out.
 */
#include "core_inner.h"

#include <string.h>

enum { EXCHANGE_DETECTS = 4 }; /* so many times detect_ms it may go without a word */

bool core_may_call_ring(const struct core *core)
{
    return core->tx_count + RING_OUT_MAX <= CORE_TX_WAITING;
}

static int tx_burst(struct core *core, struct zcb **frames, int count)
{
    if (__builtin_expect(core->tape != NULL, 0))
        return core_capture_send(core, frames, count);
    return transport_tx_burst(core->transport, frames, count);
}

static int rx_burst(struct core *core, struct zcb **frames, int most)
{
    int count = transport_rx_burst(core->transport, frames, most);
    if (__builtin_expect(core->tape != NULL, 0) && count > 0)
        core_capture_received(core, frames, count);
    return count;
}

/* Says how many are left in frames[]. */
static int set_tokens_aside(struct core *core, struct zcb **frames, int count)
{
    int left = 0;
    for (int i = 0; i < count; i++) {
        if (core->late_count < CORE_LATE_MAX && ring_is_token(frames[i]))
            core->late[core->late_count++] = frames[i];
        else
            frames[left++] = frames[i];
    }
    core->late_bursts += core->late_count > 0;
    return left;
}

/*
 * A token tells of frames that others sent before it. Where each node has a link of its own they
 * may still wait, behind a burst that is full, and would be asked for again; so a token in it waits
 * for one that is not, in which the ring looks at tokens last.
 */
static int rx_burst_in_order(struct core *core, struct zcb **frames)
{
    int late = (int)core->late_count;
    memcpy(frames, core->late, core->late_count * sizeof(frames[0]));
    core->late_count = 0;
    int count = rx_burst(core, frames + late, RING_BURST - late);
    if (count < 0)
        return late > 0 ? late : count;
    count += late;
    if (count == RING_BURST && core->caps.overtakes && core->late_bursts < CORE_LATE_BURSTS)
        return set_tokens_aside(core, frames, count);
    core->late_bursts = 0;
    return count;
}

/* I2 */
static void flush(struct core *core)
{
    while (core->tx_count > 0) {
        uint32_t run = min_u32(core->tx_count, CORE_TX_WAITING - core->tx_first);
        int count = (int)min_u32(run, TRANSPORT_BURST);
        int sent = tx_burst(core, core->tx_waiting + core->tx_first, count);
        if (sent > 0) {
            core->tx_first = (core->tx_first + (uint32_t)sent) % CORE_TX_WAITING;
            core->tx_count -= (uint32_t)sent;
        }
        if (sent < count)
            return;
    }
}

static void send_frames(struct core *core)
{
    INVARIANT(core->tx_count + (uint32_t)core->out.send_count <= CORE_TX_WAITING);
    for (int i = 0; i < core->out.send_count; i++) {
        uint32_t at = (core->tx_first + core->tx_count++) % CORE_TX_WAITING;
        core->tx_waiting[at] = core->out.send[i];
    }
    flush(core);
}

static void control_piece(struct core *core, struct groups_node *sender,
                          const struct ring_piece *piece)
{
    if (piece->first && piece->last)
        groups_control(&core->groups, sender, piece->port, piece->payload.data,
                       piece->payload.bytes);
    else
        core->groups.malformed++; /* they are made to fit one frame */
    core->stats.groups_malformed = core->groups.malformed;
}

static void deliver_frame(struct core *core, const struct ring_delivery *delivery)
{
    struct groups_node *sender = groups_node(&core->groups, delivery->sender);
    struct ring_walk walk;
    struct ring_piece piece;
    deliver_begin(&core->deliver, delivery->frame);
    ring_walk_start(&walk, delivery);
    while (sender && ring_walk_next(&walk, &piece)) {
        if (piece.control) {
            control_piece(core, sender, &piece);
            continue;
        }
        const struct member *member = groups_member(sender, piece.port);
        if (member)
            deliver_piece(&core->deliver, member, (uint32_t)(sender - core->groups.node), &piece);
        else
            core->stats.unknown_sender++; /* D8 */
    }
    deliver_end(&core->deliver);
    zcb_drop(delivery->frame, ZCB_HELD_OUT);
}

static void deliver_one_delivery(struct core *core, const struct ring_delivery *delivery)
{
    switch (delivery->kind) {
    case RING_DELIVER_FRAME:
        deliver_frame(core, delivery);
        break;
    case RING_DELIVER_TRANSITIONAL:
        groups_transitional(&core->groups, delivery->members, delivery->member_count);
        break;
    case RING_DELIVER_REGULAR:
        deliver_void_partials(&core->deliver);
        groups_regular(&core->groups, delivery->ring_id, delivery->members, delivery->member_count);
        break;
    }
}

/* Before the frames of the same call go: they may be for the new members. */
static void tell_transport(struct core *core)
{
    for (int i = 0; i < core->out.deliver_count; i++) {
        const struct ring_delivery *delivery = &core->out.deliver[i];
        if (delivery->kind == RING_DELIVER_REGULAR)
            core->transport->ops->members(core->transport, delivery->members,
                                          delivery->member_count);
    }
}

static void drain_once(struct core *core)
{
    tell_transport(core);
    send_frames(core);
    for (int i = 0; i < core->out.deliver_count; i++)
        deliver_one_delivery(core, &core->out.deliver[i]);
    if (core->out.persist_seq)
        core_post(core, &(struct core_event){ .type = CORE_EVENT_PERSIST,
                                              .arg64 = core->out.persist_seq });
    core->more = core->out.more;
}

void core_drain(struct core *core)
{
    drain_once(core);
    for (int i = 0; core->more && i < CORE_MORE_MAX && core_may_call_ring(core); i++) {
        ring_continue(core->ring, core->now_ns, &core->out);
        drain_once(core);
    }
}

static bool receive(struct core *core)
{
    struct zcb *frames[RING_BURST];
    int count = rx_burst_in_order(core, frames);
    if (count > 0) {
        ring_recv(core->ring, core->now_ns, frames, count, &core->out);
        core_drain(core);
    } else if (count < 0 && !core->broken) {
        core->broken = true;
        core_post(core,
                  &(struct core_event){ .type = CORE_EVENT_BROKEN, .error = (uint32_t)-count });
    }
    return count > 0 || core->late_count > 0;
}

/*
 * We were stopped for so long that the others have gone on without us. What they sent meanwhile is
 * about a world without us: a join in it that counts us out would make us form a ring of our own
 * first, instead of one with them (V7). Nothing is lost that the ring could not lose anyway.
 */
static __attribute__((noinline, cold)) void drop_stale(struct core *core)
{
    struct zcb *frames[RING_BURST];
    int count;
    for (int bursts = 0; bursts < CORE_STALE_BURSTS; bursts++) {
        count = rx_burst_in_order(core, frames);
        for (int i = 0; i < count; i++)
            zcb_drop(frames[i], ZCB_HELD_OUT);
        if (count <= 0 && core->late_count == 0)
            return;
    }
}

void core_away(struct core *core, uint64_t now_ns, uint64_t ns)
{
    core->away_ns = max_u64(core->away_ns, ns);
    core->stats.away++;
    core->stats.away_ns_most = max_u64(core->stats.away_ns_most, ns);
    ring_away(core->ring, now_ns, ns);
}

static bool expire(struct core *core)
{
    if (ring_deadline_ns(core->ring) > core->now_ns || !core_may_call_ring(core))
        return false;
    ring_expire(core->ring, core->now_ns, &core->out);
    core_drain(core);
    return true;
}

static void traces(struct core *core)
{
    struct core_event event = { .type = CORE_EVENT_TRACE };
    while (!core->late_first && spsc_room(&core->events.producer) > CORE_EVENTS / 2 &&
           ring_trace_next(core->ring, &event.trace))
        core_post(core, &event);
}

/* Our processes have left, in everybody's order; then we do. Not while others may yet have to
 * install the ring: without us they could not, and would part from those who have. */
static void stop_if_done(struct core *core)
{
    bool left = clients_all_sent(&core->clients) && core->groups.own->member_count == 0 &&
                !core->groups.exchange.changing;
    bool may = core_may_call_ring(core);
    if ((!left || !may) && core->now_ns < core->stop_deadline_ns)
        return;
    if (may) { /* else the transport takes nothing: the others find out by themselves */
        ring_leave(core->ring, core->now_ns, &core->out);
        core_drain(core);
    }
    for (int tries = 0; core->tx_count > 0 && tries < 1000; tries++)
        flush(core);
    core_post(core, &(struct core_event){
                        .type = CORE_EVENT_ANSWER, .error = 1 /* CS_OK */, .tag = core->stop_tag });
    core->stopped = true;
}

static bool links_changed(const struct core *core)
{
    return core->transport->links != core->links;
}

static void tell_ring(struct core *core)
{
    uint32_t down[NODE_COUNT_MAX];
    core->links = core->transport->links;
    int count = core->transport->ops->links_down(core->transport, down);
    ring_links(core->ring, core->now_ns, down, count, &core->out);
    core_drain(core);
}

static bool call_ring(struct core *core)
{
    if (!core_may_call_ring(core))
        return false;
    if (core->away_ns > core->stale_ns)
        drop_stale(core);
    core->away_ns = 0;
    bool worked = receive(core);
    if (__builtin_expect(links_changed(core), 0) && core_may_call_ring(core))
        tell_ring(core);
    return expire(core) || worked;
}

/* An exchange of members that does not get on is begun again, on another ring of the same nodes:
 * somebody, or we, had a SYNC that was damaged on its way. */
static void watch_exchange(struct core *core)
{
    const struct groups_exchange *exchange = &core->groups.exchange;
    if (core->exchange_ns == 0 || exchange->parts != core->exchange_parts) {
        core->exchange_ns = core->now_ns;
        core->exchange_parts = exchange->parts;
    }
    uint64_t most_ns = EXCHANGE_DETECTS * core->config->detect_ms * NS_PER_MS;
    if (!exchange->damaged && core->now_ns - core->exchange_ns < most_ns)
        return;
    if (!core_may_call_ring(core))
        return;
    core->exchange_ns = core->now_ns;
    ring_again(core->ring, core->now_ns, &core->out);
    core_drain(core);
}

bool core_turn(struct core *core, uint64_t now_ns)
{
    core->now_ns = now_ns;
    bool worked = core->tx_count > 0 || core->more;
    flush(core);
    ring_rx_free(core->ring, core->blocked ? 0 : core_frames_welcome(core));
    worked = call_ring(core) || worked;
    worked = core_commands(core) || worked;
    bool clients = clients_turn(&core->clients, now_ns);
    if ((clients || core->more) && core_may_call_ring(core)) {
        ring_continue(core->ring, now_ns, &core->out);
        core_drain(core);
    }
    if (__builtin_expect(core->groups.exchange.open, 0))
        watch_exchange(core);
    else
        core->exchange_ns = 0;
    deliver_publish(&core->deliver);
    core_watch(core);
    core->transport->ops->tx_reap(core->transport);
    traces(core);
    if (core->stopping && !core->stopped)
        stop_if_done(core);
    core->stats.turns++;
    core->stats.turns_idle += !(worked || clients);
    return worked || clients || links_changed(core);
}

static struct client *joined(void *context, uint32_t port)
{
    struct core *core = context;
    return clients_joined(&core->clients, port);
}

static void left(void *context, uint32_t port, bool refused)
{
    struct core *core = context;
    clients_left(&core->clients, port, refused);
}

static void view(void *context, const struct groups_view *view)
{
    struct core *core = context;
    view_deliver(&core->deliver, view);
    struct client *c = view->begins;
    if (!c || !c->first_ring_due || !(c->setup.flags & CTL_HELLO_WANT_RINGS))
        return;
    c->first_ring_due = false; /* R3 */
    const struct groups *g = &core->groups;
    struct ring_event ring = ring_event_make(&core->deliver, g->ring_id, g->ring_member,
                                             g->ring_member_count, CHAN_FIRST_RING);
    ring_event_give(&core->deliver, &c->outlet, &ring);
    ring_event_drop(&core->deliver, &ring);
}

/* R1, R2: behind the views, to every handle that wants it; then messages may flow. */
static void complete(void *context, struct ring_id ring_id, const uint32_t *members, int count)
{
    struct core *core = context;
    struct ring_event ring = { 0 };
    for (uint32_t i = 0; i < core->clients.count; i++) {
        struct client *c = core->clients.list[i];
        if (!client_sees_change(c))
            continue;
        if (!ring.loan)
            ring = ring_event_make(&core->deliver, ring_id, members, count, 0);
        ring_event_give(&core->deliver, &c->outlet, &ring);
    }
    ring_event_drop(&core->deliver, &ring);
    if (!core->groups.exchange.ever)
        core_post(core, &(struct core_event){ .type = CORE_EVENT_FORMED });
    ring_open(core->ring);
}

const struct groups_ops core_groups_ops = {
    .joined = joined,
    .left = left,
    .view = view,
    .complete = complete,
};

static void evict(void *context, struct client *client, enum core_offence offence, uint64_t value)
{
    struct core *core = context;
    clients_evict(&core->clients, client, offence, value);
}

const struct deliver_ops core_deliver_ops = {
    .relieve = core_relieve,
    .evict = evict,
};
