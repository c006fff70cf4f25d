/* SPDX-License-Identifier: BSD-3-Clause */
#include "agent.h"

#include <inttypes.h>
#include <string.h>

#include "corosync/corotypes.h"
#include "groups_names.h"
#include "payload.h"

enum op { OP_ADD = 1, OP_SEGMENT, OP_SEGMENT_END, OP_JOIN, OP_LEAVE, OP_END };

enum {
    RETRY_NS = NS_PER_MS,
    SENDS_A_TURN = 64,
    PID_OF_AGENT = 100,
    PID_OF_MEMBER = 1000,
};

void agents_init(struct agents *a, struct world *world, struct history *history,
                 struct verdict *verdict)
{
    *a = (struct agents){ .world = world,
                          .history = history,
                          .verdict = verdict,
                          .message_bytes_max = 1 << 16,
                          .segment_bytes = 1 << 16 };
    for (uint32_t node = 0; node <= WORLD_NODES_MAX; node++)
        a->last[node] = &a->first[node];
}

struct agent *agent_add(struct agents *a, uint32_t node, uint64_t seed)
{
    INVARIANT(a->count < AGENTS_MAX);
    struct agent *g = &a->agent[a->count];
    *g = (struct agent){ .all = a,
                         .index = a->count++,
                         .node = node,
                         .want = AGENT_NO_GROUP,
                         .draw = draw_stream(seed, 1000 + a->count) };
    g->pid = PID_OF_AGENT + g->index;
    *a->last[node] = g;
    a->last[node] = &g->next;
    return g;
}

/* Commands. */

static void command(struct agent_handle *h, enum op op, struct core_command command)
{
    command.slot = h->slot;
    command.tag = (uint64_t)(h->slot + 1) << 8 | op;
    int failed = core_command(h->node->core, &command);
    INVARIANT(failed == 0);
    h->busy = true;
}

static uint32_t free_slot(const struct agents *a, uint32_t node)
{
    uint64_t used = 0;
    for (const struct agent_handle *h = a->handles[node]; h; h = h->next)
        used |= UINT64_C(1) << h->slot;
    return used == UINT64_MAX ? HIST_NOBODY : (uint32_t)__builtin_ctzll(~used);
}

static void connect_now(struct agent *g)
{
    struct agents *a = g->all;
    struct world_node *node = &a->world->node[g->node];
    uint32_t slot = free_slot(a, g->node);
    if (slot == HIST_NOBODY)
        return;
    struct agent_handle *h = calloc(1, sizeof(*h));
    INVARIANT(h);
    *h = (struct agent_handle){ .next = a->handles[g->node],
                                .agent = g,
                                .node = node,
                                .slot = slot,
                                .member = HIST_NOBODY,
                                .group = AGENT_NO_GROUP,
                                .joining = AGENT_NO_GROUP };
    a->handles[g->node] = h;
    g->handle = h;
    g->next_drawn = false;
    fake_client_make(&h->fake, slot, g->pid, g->flags);
    command(h, OP_ADD,
            (struct core_command){ .type = CORE_CLIENT_ADD, .in.client = &h->fake.setup });
}

static struct hist_handle *hist(const struct agent_handle *h)
{
    return &h->agent->all->history->handles.at[h->history];
}

static void member_ends(struct agent_handle *h, enum hist_end end)
{
    struct agents *a = h->agent->all;
    if (h->member == HIST_NOBODY)
        return;
    struct hist_member *m = &a->history->members.at[h->member];
    if (m->end == HIST_STAYS) {
        m->end = end;
        m->until_ns = a->world->now_ns;
    }
    h->member = HIST_NOBODY;
    h->group = AGENT_NO_GROUP;
}

/* The process, or its connection, is gone; the core is told and lets go in its own time. */
static void abandon(struct agent_handle *h, enum hist_end end)
{
    struct agent *g = h->agent;
    member_ends(h, end);
    if (h->added) {
        hist(h)->ended = true;
        hist(h)->evicted = end == HIST_EVICTED;
    }
    g->handle = NULL;
    g->burst_count = 0;
    h->agent = NULL;
    h->ending = true;
    h->kept_count = 0;
    command(h, OP_END, (struct core_command){ .type = CORE_CLIENT_END });
    world_wake(h->node);
}

static void handle_free(struct agents *a, struct agent_handle *h)
{
    struct agent_handle **link = &a->handles[h->node->id];
    while (*link != h)
        link = &(*link)->next;
    *link = h->next;
    fake_client_close(&h->fake);
    free(h->kept);
    free(h);
}

/* Segments. */

static void segment_add(struct agent_handle *h, uint32_t index, uint64_t bytes)
{
    struct world_segment *s = world_segment_new(h->node, bytes);
    h->segment[index] = s;
    h->segment_end[index] = 0;
    h->segment_closing[index] = false;
    h->setup = (struct core_segment_setup){
        .client_slot = h->slot,
        .index = index,
        .arena = { .base = s->base,
                   .bytes = s->bytes,
                   .id = s->arena,
                   .fd = -1,
                   .page_bytes = CHAN_PAGE_BYTES },
    };
    command(h, OP_SEGMENT,
            (struct core_command){ .type = CORE_SEGMENT_ADD, .in.segment = &h->setup });
}

static void segment_end(struct agent_handle *h, uint32_t index)
{
    h->segment_closing[index] = true;
    command(h, OP_SEGMENT_END, (struct core_command){ .type = CORE_SEGMENT_END, .arg = index });
}

/* Once in a while a large segment is given back: one that nothing is to be sent from, or that is
 * in the way. */
static void segments_end(struct agent_handle *h)
{
    for (uint32_t i = 1; i < CHAN_SEGMENT_COUNT && !h->busy; i++) {
        if (h->segment[i] && !h->segment_closing[i] && draw_below(&h->agent->draw, 4) == 0)
            segment_end(h, i);
    }
}

/* The one to send so much from: twice as long, so that nothing is too long to go round the corner.
 * HIST_NOBODY: not now. */
static uint32_t segment_for(struct agent_handle *h, uint32_t bytes)
{
    if (bytes <= h->segment[0]->bytes / 2)
        return 0;
    uint32_t unused = HIST_NOBODY;
    for (uint32_t i = 1; i < CHAN_SEGMENT_COUNT; i++) {
        if (!h->segment[i])
            unused = i;
        else if (!h->segment_closing[i] && h->segment[i]->bytes / 2 >= bytes)
            return i;
    }
    if (unused == HIST_NOBODY)
        segments_end(h);
    else if (!h->busy)
        segment_add(h, unused, UINT64_C(2) * bytes);
    return HIST_NOBODY;
}

/* What the core has let go of may have a new one in its place. */
static void segment_gone(struct agent_handle *h, uint32_t arena)
{
    for (int i = 1; i < CHAN_SEGMENT_COUNT; i++) {
        if (h->segment_closing[i] && h->segment[i] && h->segment[i]->arena == arena)
            h->segment[i] = NULL;
    }
}

/* Sending. */

static const struct {
    uint32_t least, most;
} range[AGENT_SIZES] = {
    [SIZE_TINY] = { 0, 16 },
    [SIZE_SMALL] = { 8, 300 },
    [SIZE_FRAMES] = { 300, 8192 },
    [SIZE_BULK] = { 8192, 200000 },
    [SIZE_TURNS] = { RING_BULK_FREE_BYTES - 1000, 2 * RING_BULK_FREE_BYTES },
    [SIZE_HUGE] = { UINT32_MAX, UINT32_MAX },
    [SIZE_MIXED] = { 0, 20000 }, /* in the mean, and generously */
};

static uint32_t draw_bytes(struct agent *g, enum agent_size size)
{
    uint32_t most = g->all->message_bytes_max;
    if (size == SIZE_MIXED)
        size = draw_chance(&g->draw, 950) ? draw_below(&g->draw, 3) : SIZE_BULK;
    return min_u32(
        draw_between(&g->draw, min_u32(range[size].least, most), min_u32(range[size].most, most)),
        most);
}

static void draw_message(struct agent *g, const struct agent_burst *burst)
{
    g->next_bytes = draw_bytes(g, burst->size);
    g->next_guarantee =
        draw_chance(&g->draw, burst->safe_permille) ? GUARANTEE_SAFE : GUARANTEE_AGREED;
    if (g->next_guarantee == GUARANTEE_AGREED && draw_chance(&g->draw, 100))
        g->next_guarantee = (uint8_t)draw_below(&g->draw, 2); /* served as AGREED */
    g->next_drawn = true;
}

static bool push(struct agent_handle *h, uint32_t index)
{
    struct agent *g = h->agent;
    struct fake_client *f = &h->fake;
    struct world_segment *s = h->segment[index];
    uint64_t start = h->segment_end[index], room = align_up(g->next_bytes, CHAN_TX_ALIGN);
    if (s->bytes - start % s->bytes < room)
        start += s->bytes - start % s->bytes; /* not around the corner */
    uint64_t end = start + room;
    uint64_t free_end = atomic_load_explicit(&f->down->tx_free[index], memory_order_acquire);
    if (end - free_end > s->bytes || spsc_room(&f->submit) <= 0) {
        atomic_fetch_add_explicit(&f->up->words.refused, 1, memory_order_relaxed);
        return false;
    }
    uint32_t number = history_sent(g->all->history, h->member,
                                   &(struct hist_sent){ .bytes = g->next_bytes,
                                                        .seen = hist(h)->log.count,
                                                        .guarantee = g->next_guarantee });
    payload_write(s->base + start % s->bytes, (struct payload_name){ h->member, number },
                  g->next_bytes);
    *(struct chan_submit *)spsc_next(&f->submit) = (struct chan_submit){
        .offset = (uint32_t)(start % s->bytes),
        .bytes = g->next_bytes,
        .end = end,
        .segment = (uint8_t)index,
        .guarantee = g->next_guarantee,
    };
    spsc_publish(&f->submit);
    h->segment_end[index] = end;
    g->all->sent++;
    return true;
}

static void burst_over(struct agent *g)
{
    g->burst_first = (g->burst_first + 1) % AGENT_BURSTS;
    g->burst_count--;
}

/* True: something was pushed. */
static bool send_some(struct agent_handle *h, uint64_t now_ns, uint64_t *again_ns)
{
    struct agent *g = h->agent;
    bool some = false;
    for (int i = 0; i < SENDS_A_TURN && g->burst_count > 0 && h->member != HIST_NOBODY; i++) {
        struct agent_burst *burst = &g->burst[g->burst_first];
        if (now_ns < max_u64(g->next_ns, g->retry_ns)) {
            *again_ns = min_u64(*again_ns, max_u64(g->next_ns, g->retry_ns));
            return some;
        }
        if (!g->next_drawn)
            draw_message(g, burst);
        uint32_t index = segment_for(h, g->next_bytes);
        if (index == HIST_NOBODY || !push(h, index)) {
            g->retry_ns = now_ns + RETRY_NS / 4;
            *again_ns = min_u64(*again_ns, g->retry_ns);
            return some;
        }
        some = true;
        g->next_drawn = false;
        g->next_ns = now_ns + burst->gap_ns;
        if (--burst->count == 0)
            burst_over(g);
    }
    if (g->burst_count > 0 && h->member != HIST_NOBODY)
        *again_ns = min_u64(*again_ns, max_u64(g->next_ns, now_ns));
    return some;
}

/* Joining and leaving. */

static void join_now(struct agent_handle *h)
{
    struct agent *g = h->agent;
    h->joining = g->want;
    h->joining_pid =
        g->pid_stays ? g->pid : PID_OF_MEMBER + g->index * 1000 + g->pids; /* counted when taken */
    h->name = group_name((uint32_t)g->want);
    command(h, OP_JOIN,
            (struct core_command){
                .type = CORE_CLIENT_JOIN, .pid = h->joining_pid, .in.name = &h->name });
}

/* The core has taken it, whatever became of the agent meanwhile. */
static uint32_t member_begins(struct agents *a, struct agent_handle *h)
{
    struct hist_member member = { .handle = h->history,
                                  .node = h->node->id,
                                  .pid = h->joining_pid,
                                  .group = (uint32_t)h->joining,
                                  .since_ns = a->world->now_ns };
    if (h->ending)
        member.end = HIST_DIED;
    else if (h->node->core->stopping)
        member.end = HIST_STOPPED;
    if (member.end != HIST_STAYS)
        member.until_ns = a->world->now_ns;
    return history_member(a->history, &member);
}

static void joined(struct agent_handle *h, uint32_t error)
{
    struct agent *g = h->agent;
    if (error == CS_ERR_TRY_AGAIN) {
        g->retry_ns = g->all->world->now_ns + RETRY_NS;
    } else if (error == CS_OK) {
        g->pids++;
        h->group = h->joining;
        h->member = member_begins(g->all, h);
        g->next_drawn = false;
    } else if (error == CS_ERR_EXIST && g->pid_stays) {
        g->want = AGENT_NO_GROUP; /* another handle of the process is there */
    } else {
        verdict_broken(g->all->verdict, "join", "agent %u: a join was answered with %u", g->index,
                       error);
    }
}

/* True: a command is on its way. */
static bool join_or_leave(struct agent_handle *h, uint64_t now_ns, uint64_t *again_ns)
{
    struct agent *g = h->agent;
    if (h->busy || h->group == g->want)
        return false;
    if (now_ns < g->retry_ns) {
        *again_ns = min_u64(*again_ns, g->retry_ns);
        return false;
    }
    if (h->group == AGENT_NO_GROUP) {
        join_now(h);
    } else {
        command(h, OP_LEAVE, (struct core_command){ .type = CORE_CLIENT_LEAVE });
        member_ends(h, HIST_LEFT);
    }
    return true;
}

/* What the core says. */

static struct agent_handle *by_slot(struct agents *a, uint32_t node, uint32_t slot)
{
    struct agent_handle *h = a->handles[node];
    while (h && h->slot != slot)
        h = h->next;
    return h;
}

static bool is_slow(const struct agent *g)
{
    return g->all->world->now_ns < max_u64(g->stalled_ns, max_u64(g->slow_ns, g->keeps_ns));
}

static void added(struct agent_handle *h, uint32_t error)
{
    struct agent *g = h->agent;
    if (error != CS_OK) {
        verdict_broken(g->all->verdict, "connect", "a client was refused: %u", error);
        return;
    }
    h->added = true;
    h->history = history_handle(
        g->all->history, &(struct hist_handle){ .node = g->node,
                                                .life = g->all->life[g->node],
                                                .wants_rings = g->flags & CTL_HELLO_WANT_RINGS,
                                                .wants_first = g->flags & CTL_HELLO_FIRST_RING,
                                                .slow = is_slow(g),
                                                .since_ns = g->all->world->now_ns });
    segment_add(h, 0, g->all->segment_bytes);
}

static void answered(struct agents *a, struct world_node *node, const struct core_event *event)
{
    enum op op = event->tag & 0xff;
    struct agent_handle *h =
        event->tag >> 8 ? by_slot(a, node->id, (uint32_t)(event->tag >> 8) - 1) : NULL;
    if (!h)
        return; /* of the world's own commands */
    if (op == OP_END) {
        handle_free(a, h);
        return;
    }
    h->busy = false;
    if (!h->agent) {
        if (op == OP_JOIN && event->error == CS_OK)
            member_begins(a, h);
        return;
    }
    if (op == OP_ADD)
        added(h, event->error);
    else if (op == OP_JOIN)
        joined(h, event->error);
    else if (event->error != CS_OK)
        verdict_broken(a->verdict, "command", "agent %u: %d was answered with %u", h->agent->index,
                       op, event->error);
}

void agents_event(struct agents *a, struct world_node *node, const struct core_event *event)
{
    struct agent_handle *h;
    switch (event->type) {
    case CORE_EVENT_ANSWER:
        answered(a, node, event);
        break;
    case CORE_EVENT_EVICT:
        h = by_slot(a, node->id, event->slot);
        if (event->arg != CORE_OFFENCE_SLOW && !a->lawless)
            verdict_broken(a->verdict, "C4", "node %u evicts an honest client: %s, %" PRIu64,
                           node->id, core_offence_name[event->arg], event->arg64);
        if (a->trace)
            printf("%12.6f node %u evicts handle %u, agent %u: %s, %" PRIu64 "\n",
                   (double)a->world->now_ns / 1e9, node->id, h ? h->history : 0,
                   h && h->agent ? h->agent->index : 0, core_offence_name[event->arg],
                   event->arg64);
        if (h && h->agent)
            abandon(h, HIST_EVICTED);
        break;
    case CORE_EVENT_SEGMENT_GONE:
        for (h = a->handles[node->id]; h; h = h->next)
            segment_gone(h, event->arg);
        break;
    case CORE_EVENT_BROKEN:
        verdict_broken(a->verdict, "transport", "node %u says that its transport is broken",
                       node->id);
        break;
    default:
        break;
    }
}

/* One turn of one agent. */

static uint64_t handle_turn(struct agent_handle *h)
{
    struct agent *g = h->agent;
    uint64_t now_ns = g->all->world->now_ns, again_ns = NS_NEVER;
    if (!h->added)
        return NS_NEVER;
    if (!agent_read(h, &again_ns) || !agent_give_back(h, now_ns, &again_ns))
        return NS_NEVER;
    if (atomic_load_explicit(&h->fake.down->state, memory_order_acquire) != CHAN_OPEN)
        return again_ns;
    bool some = join_or_leave(h, now_ns, &again_ns);
    if (g->burst_count > 0)
        some = send_some(h, now_ns, &again_ns) || some;
    else if (h->segment[1])
        segments_end(h);
    return some ? now_ns : again_ns;
}

uint64_t agents_turned(struct agents *a, struct world_node *node)
{
    uint64_t again_ns = NS_NEVER;
    if (!node->core || !node->formed || a->verdict->failed)
        return NS_NEVER;
    for (struct agent *g = a->first[node->id]; g; g = g->next) {
        if (!g->handle && g->on && !node->core->stopping)
            connect_now(g);
        else if (g->handle)
            again_ns = min_u64(again_ns, handle_turn(g->handle));
    }
    return again_ns;
}

/* What is done to them. */

static void wake(struct agent *g)
{
    world_wake(&g->all->world->node[g->node]);
}

void agent_connect(struct agent *g, uint32_t flags)
{
    g->on = true;
    g->flags = flags;
    wake(g);
}

void agent_join(struct agent *g, int32_t group)
{
    g->want = group;
    wake(g);
}

void agent_send(struct agent *g, const struct agent_burst *burst)
{
    if (g->burst_count == AGENT_BURSTS || burst->count == 0)
        return;
    g->burst[(g->burst_first + g->burst_count++) % AGENT_BURSTS] = *burst;
    wake(g);
}

static void mark_slow(struct agent *g)
{
    if (g->handle && g->handle->added)
        hist(g->handle)->slow = true;
}

void agent_stall(struct agent *g, uint64_t ns)
{
    g->stalled_ns = g->all->world->now_ns + ns;
    mark_slow(g);
}

void agent_slow(struct agent *g, uint64_t ns, uint64_t pace_ns)
{
    g->slow_ns = g->all->world->now_ns + ns;
    g->pace_ns = pace_ns;
    mark_slow(g);
}

void agent_keep(struct agent *g, uint64_t ns, uint64_t keep_ns)
{
    g->keeps_ns = g->all->world->now_ns + ns;
    g->keep_ns = keep_ns;
    mark_slow(g);
}

void agent_die(struct agent *g)
{
    g->stalled_ns = g->slow_ns = g->keeps_ns = 0;
    if (g->handle)
        abandon(g->handle, HIST_DIED);
}

static void node_ends(struct agents *a, uint32_t node, enum hist_end end)
{
    for (uint32_t i = 0; i < a->count; i++) {
        struct agent *g = &a->agent[i];
        if (g->node == node && g->handle)
            member_ends(g->handle, end);
    }
}

void agents_pause(struct agents *a, uint32_t node)
{
    for (uint32_t i = 0; i < a->count; i++) {
        if (a->agent[i].node == node)
            mark_slow(&a->agent[i]);
    }
}

void agents_node_stops(struct agents *a, uint32_t node)
{
    node_ends(a, node, HIST_STOPPED);
}

void agents_node_down(struct agents *a, uint32_t node)
{
    node_ends(a, node, HIST_NODE_LOST);
    while (a->handles[node]) {
        struct agent_handle *h = a->handles[node];
        if (h->agent) {
            if (h->added)
                hist(h)->ended = true;
            h->agent->handle = NULL;
            h->agent->burst_count = 0;
        }
        handle_free(a, h);
    }
}

void agents_node_up(struct agents *a, uint32_t node, uint32_t life)
{
    a->life[node] = life;
}

void agents_free(struct agents *a)
{
    for (uint32_t node = 1; node <= WORLD_NODES_MAX; node++)
        agents_node_down(a, node);
}

/* The core has taken all of it, needs none of it any more, and says that it would take more. */
static bool all_sent(struct agent_handle *h)
{
    if (spsc_room(&h->fake.submit) < CHAN_SUBMIT_COUNT ||
        atomic_load_explicit(&h->fake.down->congested, memory_order_relaxed))
        return false;
    for (int i = 0; i < CHAN_SEGMENT_COUNT; i++) {
        if (h->segment[i] && !h->segment_closing[i] &&
            atomic_load_explicit(&h->fake.down->tx_free[i], memory_order_acquire) !=
                h->segment_end[i])
            return false;
    }
    return true;
}

bool agents_are_done(const struct agents *a)
{
    for (uint32_t i = 0; i < a->count; i++) {
        const struct agent *g = &a->agent[i];
        struct agent_handle *h = g->handle;
        if (!a->world->node[g->node].core || !g->on)
            continue;
        bool sends = g->burst_count > 0 && g->want != AGENT_NO_GROUP;
        if (!h || h->busy || h->group != g->want || sends || h->kept_count > 0 ||
            spsc_waiting(&h->fake.events) > 0 || !all_sent(h))
            return false;
    }
    return true;
}

static void handle_left(const struct agent_handle *h, uint64_t *messages, uint64_t *bytes)
{
    const struct chan_down *down = h->fake.down;
    *messages += CHAN_SUBMIT_COUNT; /* what is in its queue: no more than that */
    for (int i = 0; i < CHAN_SEGMENT_COUNT; i++) {
        if (h->segment[i])
            *bytes +=
                h->segment_end[i] - atomic_load_explicit(&down->tx_free[i], memory_order_relaxed);
    }
}

void agents_left(const struct agents *a, uint64_t *messages, uint64_t *bytes)
{
    *messages = *bytes = 0;
    for (uint32_t i = 0; i < a->count; i++) {
        const struct agent *g = &a->agent[i];
        if (g->handle)
            handle_left(g->handle, messages, bytes);
        for (uint32_t k = 0; k < g->burst_count; k++) {
            const struct agent_burst *b = &g->burst[(g->burst_first + k) % AGENT_BURSTS];
            *messages += b->count;
            *bytes += (uint64_t)b->count * min_u32(range[b->size].most, a->message_bytes_max);
        }
    }
}

void agents_settle(struct agents *a)
{
    for (uint32_t i = 0; i < a->count; i++) {
        struct agent *g = &a->agent[i];
        g->stalled_ns = g->slow_ns = g->keeps_ns = g->next_ns = 0;
        for (int k = 0; k < AGENT_BURSTS; k++)
            g->burst[k].gap_ns = 0;
        if (g->want == AGENT_NO_GROUP)
            g->burst_count = 0; /* nowhere to send it to */
        if (g->handle) {
            for (uint32_t k = 0; k < g->handle->kept_count; k++)
                g->handle->kept[(g->handle->kept_first + k) % g->handle->kept_room].until_ns = 0;
        }
        wake(g);
    }
}
