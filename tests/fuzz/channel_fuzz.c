/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * channel_fuzz.c - a client that writes anything into the memory it shares with the service, beside
 * one that behaves. The poll core is the real one, without its thread.
 *
 * Claims:
 *   X1  the client that behaves is never evicted; each of its messages comes back to it once, in
 *       order and unchanged
 *   X2  whatever its events lead to is there and can be read: a segment is freed here as soon as
 *       the core says that it is gone, a channel as soon as the core has let go of the client
 *   X3  the core's tables hold together after every step
 *   X4  when the clients are gone all they had is given back: frames, leases, segments, members
 */
#include "input.h"

#include "corosync/corotypes.h"
#include "daemon/core_inner.h"
#include "daemon/fake_client.h"
#include "sim/sim.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    GOOD, /* slots of the two clients */
    BAD,
    CLIENTS,
    GOOD_PID = 100,
    GOOD_TX_BYTES = 64 << 10,
    GOOD_ARENA = 10,
    GOOD_MESSAGES_MAX = 256,
    MESSAGE_BYTES_MAX = 32 << 10,
    BAD_ARENA = 20,
    SEGMENTS_MAX = 32, /* of the bad client, over time */
    LEASES_MAX = 64,
    RX_BYTES = 256 * 1536,
    STEPS_MAX = 200,
    TURNS_MAX = 4000,
    TURN_US = 10,
    END_TAG = 1000,
};

struct bad_segment {
    uint8_t *base;
    uint64_t bytes, end; /* end: of its last submit */
    bool gone;
};

static struct {
    struct input in;
    struct config config;
    struct chan_core words;
    struct zcb_arena rx;
    struct sim_net *net;
    struct core *core;
    uint64_t now_ns;
    struct fake_client client[CLIENTS];
    bool there[CLIENTS], ending[CLIENTS], formed, answered;
    struct core_event answer;
    uint32_t sent, received, sent_bytes[GOOD_MESSAGES_MAX];
    struct bad_segment segment[SEGMENTS_MAX];
    uint32_t segment_count, index[CHAN_SEGMENT_COUNT]; /* index: which it is, from 1 */
    uint32_t lease[LEASES_MAX], lease_count;
} world;

static void fill(uint8_t *message, uint32_t number, uint32_t bytes)
{
    for (uint32_t i = 0; i < bytes; i++)
        message[i] = (uint8_t)(number * 31 + i / 64);
}

/* The core: turns, commands, what it says */

static void end_client(uint32_t slot)
{
    struct core_command end = { .type = CORE_CLIENT_END, .slot = slot, .tag = END_TAG + slot };
    if (!world.there[slot] || world.ending[slot])
        return;
    world.ending[slot] = true;
    int failed = core_command(world.core, &end);
    INVARIANT(!failed);
}

static void segment_gone(uint32_t arena)
{
    if (arena == GOOD_ARENA) {
        free(world.client[GOOD].tx);
        world.client[GOOD].tx = NULL;
        return;
    }
    struct bad_segment *s = &world.segment[arena - BAD_ARENA];
    INVARIANT(arena - BAD_ARENA < world.segment_count && !s->gone);
    s->gone = true;
    free(s->base);
}

static void event(const struct core_event *e)
{
    switch (e->type) {
    case CORE_EVENT_ANSWER:
        if (e->tag < END_TAG) {
            world.answered = true;
            world.answer = *e;
            break;
        }
        uint8_t *tx = world.client[e->tag - END_TAG].tx;
        world.client[e->tag - END_TAG].tx = NULL;
        fake_client_close(&world.client[e->tag - END_TAG]);
        world.client[e->tag - END_TAG].tx = tx;
        world.there[e->tag - END_TAG] = world.ending[e->tag - END_TAG] = false;
        break;
    case CORE_EVENT_PERSIST:
        core_command(world.core,
                     &(struct core_command){ .type = CORE_PERSISTED, .arg64 = e->arg64 });
        break;
    case CORE_EVENT_FORMED:
        world.formed = true;
        break;
    case CORE_EVENT_EVICT:
        INVARIANT(e->slot == BAD); /* X1 */
        INVARIANT(e->error == CHAN_EVICTED_SLOW || e->error == CHAN_EVICTED_RULES);
        end_client(BAD);
        break;
    case CORE_EVENT_SEGMENT_GONE:
        segment_gone(e->arg);
        break;
    default:
        INVARIANT(e->type == CORE_EVENT_TRACE);
    }
}

/* X1, X2 */
static void good_event(const struct chan_event *e)
{
    static uint8_t bytes[1 << 20], expect[MESSAGE_BYTES_MAX];
    struct fake_arena arenas[SEGMENTS_MAX + 3] = { { 1, world.rx.base },
                                                   { GOOD_ARENA, world.client[GOOD].tx } };
    uint32_t count = 2;
    for (uint32_t i = 0; i < world.segment_count; i++) {
        if (!world.segment[i].gone)
            arenas[count++] = (struct fake_arena){ BAD_ARENA + i, world.segment[i].base };
    }
    INVARIANT(e->bytes <= sizeof(bytes));
    fake_client_gather(arenas, e, bytes);
    if (e->kind != CHAN_MESSAGE || e->pid != GOOD_PID)
        return;
    INVARIANT(world.received < world.sent && e->nodeid == 1);
    INVARIANT(e->bytes == world.sent_bytes[world.received]);
    fill(expect, world.received, e->bytes);
    INVARIANT(memcmp(bytes, expect, e->bytes) == 0);
    world.received++;
}

static void good_reads(void)
{
    struct chan_event e;
    while (world.there[GOOD] && fake_client_take(&world.client[GOOD], &e)) {
        good_event(&e);
        if (e.flags & CHAN_LEASE_END)
            fake_client_give_back(&world.client[GOOD], e.lease);
    }
}

static void turn(uint64_t ns)
{
    struct core_event e;
    world.now_ns += ns;
    sim_net_advance(world.net, world.now_ns);
    core_turn(world.core, world.now_ns);
    while (core_event(world.core, &e))
        event(&e);
    good_reads();
}

static uint32_t command(struct core_command c)
{
    world.answered = false;
    int failed = core_command(world.core, &c);
    INVARIANT(!failed);
    for (int i = 0; !world.answered; i++) {
        INVARIANT(i < TURNS_MAX);
        turn(TURN_US * NS_PER_US);
    }
    return world.answer.error;
}

static struct core_name name_of(uint8_t what)
{
    struct core_name name = { .bytes = 1, .value = "g" };
    if (what % 4 == 3)
        name = (struct core_name){ .bytes = CTL_NAME_BYTES, .value = "another" };
    return name;
}

static void add(uint32_t slot, uint32_t pid)
{
    fake_client_open(&world.client[slot], slot, pid, CTL_HELLO_WANT_RINGS);
    world.there[slot] = true;
    uint32_t error = command(
        (struct core_command){ .type = CORE_CLIENT_ADD, .in.client = &world.client[slot].setup });
    INVARIANT(error == CS_OK);
}

static uint32_t join(uint32_t slot, uint32_t pid, uint8_t what)
{
    struct core_name name = name_of(what);
    return command((struct core_command){
        .type = CORE_CLIENT_JOIN, .slot = slot, .pid = pid, .in.name = &name });
}

/* The good client */

static void good_starts(void)
{
    add(GOOD, GOOD_PID);
    struct core_segment_setup segment =
        fake_client_segment(&world.client[GOOD], GOOD_TX_BYTES, GOOD_ARENA);
    uint32_t error =
        command((struct core_command){ .type = CORE_SEGMENT_ADD, .in.segment = &segment });
    INVARIANT(error == CS_OK);
    error = join(GOOD, GOOD_PID, 0);
    INVARIANT(error == CS_OK);
}

static void good_sends(void)
{
    static uint8_t bytes[MESSAGE_BYTES_MAX];
    uint8_t what = input_byte(&world.in);
    uint32_t count = what < 192 ? what : (what - 191u) * 300;
    if (world.sent == GOOD_MESSAGES_MAX)
        return;
    fill(bytes, world.sent, count);
    world.sent_bytes[world.sent] = count;
    world.sent += fake_client_send(&world.client[GOOD], bytes, count, what % 4);
}

/* The bad one */

static void bad_starts(void)
{
    if (world.there[BAD])
        return;
    memset(world.index, 0, sizeof(world.index));
    world.lease_count = 0;
    add(BAD, 200 + input_byte(&world.in) % 2);
}

static void bad_adds_segment(void)
{
    uint8_t what = input_byte(&world.in);
    uint32_t index = what % CHAN_SEGMENT_COUNT, number = world.segment_count;
    if (number == SEGMENTS_MAX)
        return;
    struct bad_segment *s = &world.segment[number];
    *s = (struct bad_segment){ .bytes = CHAN_PAGE_BYTES << (what >> 4) % 5 };
    s->base = fake_region(s->bytes);
    world.segment_count++;
    struct core_segment_setup setup = {
        .client_slot = BAD,
        .index = index,
        .arena = { .base = s->base, .bytes = s->bytes, .id = BAD_ARENA + number, .fd = -1 },
    };
    struct core_command c = { .type = CORE_SEGMENT_ADD, .in.segment = &setup };
    if (command(c) == CS_OK) {
        world.index[index] = number + 1;
    } else {
        s->gone = true;
        free(s->base);
    }
}

static void bad_asks(void)
{
    uint8_t what = input_byte(&world.in);
    switch (what % 4) {
    case 0:
        join(BAD, 200 + what / 128, what >> 2);
        break;
    case 1:
        command((struct core_command){ .type = CORE_CLIENT_LEAVE, .slot = BAD });
        break;
    case 2:
        command((struct core_command){
            .type = CORE_SEGMENT_END, .slot = BAD, .arg = (what >> 2) % CHAN_SEGMENT_COUNT });
        break;
    case 3:
        end_client(BAD);
        break;
    }
}

static void bad_pushes(const struct chan_submit *s)
{
    struct fake_client *f = &world.client[BAD];
    *(struct chan_submit *)spsc_next(&f->submit) = *s;
    spsc_publish(&f->submit);
}

/* As the library would, but perhaps for one field. */
static void bad_submits(void)
{
    uint8_t what = input_byte(&world.in);
    uint32_t index = what % CHAN_SEGMENT_COUNT;
    struct bad_segment *s = &world.segment[world.index[index] ? world.index[index] - 1 : 0];
    uint64_t start = s->end, room = s->bytes ? s->bytes : CHAN_PAGE_BYTES;
    uint32_t bytes = (uint32_t)(input_byte(&world.in) * (what & 8 ? 200 : 1));
    if (room - start % room < bytes)
        start = align_up(start, room);
    struct chan_submit submit = {
        .offset = (uint32_t)(start % room),
        .bytes = bytes,
        .end = start + align_up(bytes, CHAN_TX_ALIGN),
        .segment = (uint8_t)index,
        .guarantee = (what >> 4) % 4,
    };
    s->end = submit.end;
    switch (what & 128 ? UINT8_MAX : input_byte(&world.in) % 7) {
    case 0:
        submit.offset = (uint32_t)input_value(&world.in, submit.offset);
        break;
    case 6: /* near the end */
        submit.offset = (uint32_t)(room - input_byte(&world.in) % 64 * CHAN_TX_ALIGN);
        break;
    case 1:
        submit.bytes = (uint32_t)input_value(&world.in, submit.bytes);
        break;
    case 2:
        submit.end = input_value(&world.in, submit.end);
        break;
    case 3:
        submit.segment = (uint8_t)input_value(&world.in, submit.segment);
        break;
    case 4:
        submit.guarantee = (uint8_t)input_value(&world.in, submit.guarantee);
        break;
    case 5:
        submit.zero[what % 6] = input_byte(&world.in);
        break;
    default:
        break;
    }
    bad_pushes(&submit);
}

static void bad_submits_bytes(void)
{
    struct chan_submit submit;
    input_bytes(&world.in, &submit, sizeof(submit));
    bad_pushes(&submit);
}

static void bad_reads(void)
{
    struct chan_event e;
    struct fake_client *f = &world.client[BAD];
    for (int most = input_byte(&world.in); most > 0 && fake_client_take(f, &e); most--) {
        if (e.flags & CHAN_LEASE_END && world.lease_count < LEASES_MAX)
            world.lease[world.lease_count++] = e.lease;
    }
}

static void bad_gives_back(void)
{
    uint8_t what = input_byte(&world.in);
    struct fake_client *f = &world.client[BAD];
    uint32_t lease = what >= 192 || world.lease_count == 0
                         ? (uint32_t)input_value(&world.in, CHAN_LEASE_COUNT)
                         : world.lease[--world.lease_count];
    *(uint32_t *)spsc_next(&f->done) = lease;
    spsc_publish(&f->done);
}

/* Empty messages, each of them an event: it does not read so many, and they wait. */
static void bad_floods(uint32_t count)
{
    uint32_t number = world.index[0];
    uint64_t end = number ? world.segment[number - 1].end : 0;
    for (; count > 0 && spsc_room(&world.client[BAD].submit) > 0; count--)
        bad_pushes(&(struct chan_submit){ .end = end });
}

static void bad_writes_word(void)
{
    struct chan_up *up = world.client[BAD].up;
    _Atomic uint32_t *word[] = { &up->words.submit_tail, &up->words.done_tail,
                                 &up->words.event_head, &up->words.refused };
    uint8_t what = input_byte(&world.in);
    if (what & 128) {
        uint64_t value = input_value(&world.in, atomic_load(&up->wake_page.wake));
        atomic_store(&up->wake_page.wake, value);
        return;
    }
    if (what & 64) {
        bad_floods(4u * input_byte(&world.in));
        return;
    }
    uint32_t before = atomic_load(word[what % 4]);
    atomic_store(word[what % 4], (uint32_t)input_value(&world.in, before));
}

/* Of any word the core reads, also behind its back: submits and leases that are pushed already. */
static void bad_writes_bytes(void)
{
    struct chan_up *up = world.client[BAD].up;
    uint8_t what = input_byte(&world.in), bytes = input_byte(&world.in) % 32;
    if (what & 128)
        input_bytes(&world.in, (uint8_t *)&up->submit[what % 8], bytes);
    else
        input_bytes(&world.in, (uint8_t *)&up->done[what % 16], bytes);
}

static void bad_step(uint8_t what)
{
    static void (*const step[])(void) = {
        bad_adds_segment, bad_asks,       bad_submits,     bad_submits,      bad_submits_bytes,
        bad_reads,        bad_gives_back, bad_writes_word, bad_writes_bytes,
    };
    if (!world.there[BAD])
        bad_starts();
    else if (!world.ending[BAD])
        step[what % ARRAY_COUNT(step)]();
}

/* X3 */
static void check(void)
{
    struct outlet *outlets[CLIENTS];
    const struct clients *cs = &world.core->clients;
    for (uint32_t i = 0; i < cs->count; i++)
        outlets[i] = &cs->list[i]->outlet;
    deliver_check(&world.core->deliver, outlets, cs->count);
    groups_check(&world.core->groups);
    zcb_pool_check(&world.core->rx_pool);
    zcb_pool_check(&world.core->tx_pool);
}

static void world_open(const uint8_t *data, size_t size)
{
    char why[256];
    static struct zcb_arena rx;
    struct sim_net_config net = { .seed = 1 };
    if (!rx.base) {
        int made = zcb_arena_create(&rx, "rx", RX_BYTES, 1, ZCB_PAGES_SMALL, ZCB_WRITER_CREATOR);
        INVARIANT(made == 0);
    }
    memset(&world, 0, sizeof(world));
    world.in = (struct input){ data, data + size };
    world.rx = rx;
    world.now_ns = NS_PER_S;
    int failed = sim_net_create(&world.net, &net);
    struct sim_config sim = { .net = world.net };
    world.config = (struct config){
        .cluster_tag = 7,
        .detect_ms = 100,
        .netmtu = 1500,
        .node_count = 1,
        .node_id = 1,
        .nodes = { { .node_id = 1, .address = "127.0.0.1" } },
        .poll = POLL_BACKOFF,
        .poll_cpu = -1,
        .message_bytes_max = MESSAGE_BYTES_MAX,
        .clients_max = CLIENTS,
        .slow_policy = input_byte(&world.in) & 1 ? SLOW_BLOCK : SLOW_EVICT,
        .slow_client_ms = 50,
        .client_events_max = 64,
    };
    struct core_config config = { .config = &world.config,
                                  .transport = &transport_sim,
                                  .rx_arena = &world.rx,
                                  .words = &world.words,
                                  .clients_max = CLIENTS,
                                  .incarnation = 1,
                                  .backend = &sim,
                                  .start_ns = world.now_ns };
    failed |= core_create(&world.core, &config, why, sizeof(why));
    INVARIANT(!failed);
    for (int i = 0; !world.formed; i++) {
        INVARIANT(i < TURNS_MAX);
        turn(NS_PER_MS);
    }
    good_starts();
    bad_starts();
    bad_adds_segment();
    join(BAD, 200, input_byte(&world.in));
}

/* X1, X4 */
static void world_close(void)
{
    end_client(BAD);
    for (int i = 0; world.received < world.sent || world.there[BAD]; i++) {
        INVARIANT(i < TURNS_MAX);
        turn(TURN_US * NS_PER_US);
    }
    end_client(GOOD);
    const struct core *core = world.core;
    for (int i = 0; world.there[GOOD] || core->clients.retired || core->groups.process_count; i++) {
        INVARIANT(i < TURNS_MAX);
        turn(TURN_US * NS_PER_US);
    }
    check();
    for (uint32_t i = 0; i < world.segment_count; i++)
        INVARIANT(world.segment[i].gone);
    INVARIANT(!world.client[GOOD].tx);
    INVARIANT(core->rx_pool.free_count == core->rx_pool.count - core->rx_pool.held[0]);
    INVARIANT(core->tx_pool.free_count == core->tx_pool.count);
    INVARIANT(core->stats.backlog_events == 0 && core->groups.group_count == 0);
    core_destroy(world.core);
    sim_net_destroy(world.net);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    world_open(data, size);
    for (int i = 0; i < STEPS_MAX && input_left(&world.in); i++) {
        uint8_t what = input_byte(&world.in);
        if (what < 32)
            turn((uint64_t)what * what * NS_PER_MS / 16);
        else if (what < 64)
            good_sends();
        else
            bad_step(what);
        if (what & 1)
            turn(TURN_US * NS_PER_US);
        if (i % 4 == 3)
            check();
    }
    world_close();
    return 0;
}
