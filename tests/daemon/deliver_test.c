/* SPDX-License-Identifier: BSD-3-Clause */
#include "deliver.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "clients.h"
#include "fake_client.h"
#include "views.h"

enum {
    SLOT_BYTES = 512,
    RX_COUNT = 512,
    TX_COUNT = 64,
    CLIENTS = 3,
    WAITING = 2000,
    RX_ARENA = 1,
    TX_ARENA = 9,
};

static struct zcb_arena rx_arena, tx_arena;
static struct zcb_pool rx_pool, tx_pool;
static struct core_stats stats;
static struct deliver d;
static struct fake_client fake[CLIENTS];
static struct client *client[CLIENTS];
static struct group group;
static struct member sender;
static struct segment segment;
static uint8_t payload[1 << 16];
static uint32_t evicted[CLIENTS], offence;
static int relieved = -1;

static bool relieve(void *context)
{
    (void)context;
    struct outlet *worst = NULL;
    for (int i = 0; i < CLIENTS; i++) {
        struct outlet *o = &client[i]->outlet;
        if (!o->silent && o->waiting_count + o->frames_out > 0 &&
            (!worst ||
             o->waiting_count + o->frames_out > worst->waiting_count + worst->frames_out)) {
            worst = o;
            relieved = i;
        }
    }
    if (worst)
        deliver_silence(&d, worst);
    return worst;
}

static void evict(void *context, struct client *c, enum core_offence what, uint64_t value)
{
    (void)context, (void)value;
    offence = what;
    evicted[c->setup.slot]++;
    deliver_silence(&d, &c->outlet);
}

static const struct deliver_ops ops = { relieve, evict };

static void setup(void)
{
    cr_assert(zero(int, zcb_arena_create(&rx_arena, "rx", RX_COUNT * SLOT_BYTES, RX_ARENA,
                                         ZCB_PAGES_SMALL, ZCB_WRITER_CREATOR)));
    cr_assert(zero(int, zcb_arena_create(&tx_arena, "tx", TX_COUNT * RING_HEAD_BYTES, 2,
                                         ZCB_PAGES_SMALL, ZCB_WRITER_CREATOR)));
    cr_assert(zero(int, zcb_pool_create(&rx_pool, &rx_arena,
                                        &(struct zcb_pool_shape){ .slot_bytes = SLOT_BYTES,
                                                                  .count = RX_COUNT,
                                                                  .slices_max = 1 })));
    cr_assert(
        zero(int, zcb_pool_create(&tx_pool, &tx_arena,
                                  &(struct zcb_pool_shape){ .slot_bytes = RING_HEAD_BYTES,
                                                            .count = TX_COUNT,
                                                            .slices_max = RING_SLICES_MAX })));
    tx_pool.retain = segment_retain;
    tx_pool.release = segment_release;
    cr_assert(zero(int, deliver_create(&d, &rx_pool, CLIENTS, WAITING, &stats, &ops, NULL)));
    segment_init(&segment,
                 &(struct zcb_arena){ .base = payload, .bytes = sizeof(payload), .id = TX_ARENA },
                 NULL);
    for (size_t i = 0; i < sizeof(payload); i++)
        payload[i] = (uint8_t)(i * 31 + i / 257);
    static struct client *locals[CLIENTS];
    group = (struct group){ .local = locals, .name = { .bytes = 1, .value = "g" } };
    sender = (struct member){ .group = &group, .port = PORT_SLOTS + 1, .node_id = 2, .pid = 77 };
    for (uint32_t i = 0; i < CLIENTS; i++) {
        fake_client_open(&fake[i], i, 100 + i, 0);
        client[i] = aligned_alloc(64, align_up(sizeof(struct client), 64));
        memset(client[i], 0, sizeof(struct client));
        client[i]->setup = fake[i].setup;
        outlet_init(&client[i]->outlet, client[i], &fake[i].setup);
    }
    group.local[group.local_count++] = client[0];
}

static void check(void)
{
    struct outlet *outlets[CLIENTS];
    for (int i = 0; i < CLIENTS; i++)
        outlets[i] = &client[i]->outlet;
    deliver_check(&d, outlets, CLIENTS);
    zcb_pool_check(&rx_pool);
}

/* Whatever a test did, with all clients gone nothing is held. */
static void teardown(void)
{
    check();
    deliver_void_partials(&d);
    for (int i = 0; i < CLIENTS; i++) {
        deliver_silence(&d, &client[i]->outlet);
        free(client[i]);
        fake_client_close(&fake[i]);
    }
    deliver_destroy(&d);
    zcb_pool_destroy(&rx_pool);
    zcb_pool_destroy(&tx_pool);
    zcb_arena_destroy(&rx_arena);
    zcb_arena_destroy(&tx_arena);
    cr_assert(segment_idle(&segment));
}

TestSuite(deliver, .init = setup, .fini = teardown);

/* A received frame with a run of the payload in its slot. */
static struct zcb *frame_with(uint32_t from, uint32_t bytes)
{
    struct zcb *frame = zcb_get(&rx_pool, ZCB_HELD_OUT);
    cr_assert_not_null(frame);
    cr_assert(le(u32, bytes, SLOT_BYTES));
    memcpy(frame->head, payload + from, bytes);
    return frame;
}

static struct ring_piece piece_of(const struct zcb *frame, uint32_t at, uint32_t bytes)
{
    return (struct ring_piece){
        .payload = { .data = frame->head + at,
                     .offset = zcb_slot_offset(frame) + at,
                     .bytes = bytes,
                     .arena = RX_ARENA },
        .port = sender.port,
        .first = true,
        .last = true,
    };
}

/* One frame with `count` messages of 8 bytes. */
static void deliver_small(uint32_t count)
{
    struct zcb *frame = frame_with(0, SLOT_BYTES);
    deliver_begin(&d, frame);
    for (uint32_t i = 0; i < count; i++) {
        struct ring_piece piece = piece_of(frame, i % 60 * 8, 8);
        deliver_piece(&d, &sender, 1, &piece);
    }
    deliver_end(&d);
    zcb_drop(frame, ZCB_HELD_OUT);
}

static void turn(void)
{
    for (int i = 0; i < CLIENTS; i++) {
        uint64_t value;
        struct outlet *o = &client[i]->outlet;
        enum core_offence what = o->silent ? 0 : deliver_done(&d, o, &value);
        if (what)
            evict(NULL, client[i], what, value);
        if (o->waiting_count > 0)
            deliver_drain(&d, o);
    }
    deliver_publish(&d);
    check();
}

static const struct fake_arena *arenas(void)
{
    static struct fake_arena list[3];
    list[0] = (struct fake_arena){ RX_ARENA, rx_arena.base };
    list[1] = (struct fake_arena){ TX_ARENA, payload };
    return list;
}

Test(deliver, one_lease_covers_all_messages_of_a_frame_and_the_last_is_marked)
{
    struct chan_event e[3];
    deliver_small(3);
    cr_assert(zero(int, fake_client_waiting(&fake[0])), "nothing shows before it is published");
    turn();
    for (int i = 0; i < 3; i++)
        cr_assert(fake_client_take(&fake[0], &e[i]));
    cr_assert(eq(u32, e[0].lease, e[2].lease));
    cr_assert(zero(int, (e[0].flags | e[1].flags) & CHAN_LEASE_END));
    cr_assert(ne(int, e[2].flags &CHAN_LEASE_END, 0));
    cr_assert(eq(u32, e[1].nodeid, 2));
    cr_assert(eq(u32, e[1].pid, 77));
    cr_assert(eq(u32, rx_pool.free_count, RX_COUNT - 1));
    fake_client_give_back(&fake[0], e[2].lease);
    turn();
    cr_assert(eq(u32, rx_pool.free_count, RX_COUNT));
}

Test(deliver, each_member_has_a_lease_of_its_own)
{
    struct chan_event e;
    group.local[group.local_count++] = client[1];
    deliver_small(2);
    turn();
    while (fake_client_read(&fake[0], &e))
        ;
    turn();
    cr_assert(eq(u32, rx_pool.free_count, RX_COUNT - 1));
    while (fake_client_read(&fake[1], &e))
        ;
    turn();
    cr_assert(eq(u32, rx_pool.free_count, RX_COUNT));
    cr_assert(eq(u64, stats.messages_out, 4));
}

Test(deliver, a_message_of_no_bytes_is_an_event_that_lends_nothing)
{
    struct chan_event e;
    struct zcb *frame = frame_with(0, 8);
    deliver_begin(&d, frame);
    struct ring_piece empty = { .port = sender.port, .first = true, .last = true };
    deliver_piece(&d, &sender, 1, &empty);
    deliver_end(&d);
    zcb_drop(frame, ZCB_HELD_OUT);
    turn();
    cr_assert(fake_client_take(&fake[0], &e));
    cr_assert(zero(u32, e.bytes));
    cr_assert(zero(u32, e.arena));
    cr_assert(eq(u32, e.lease, CHAN_LEASE_NONE));
    cr_assert(zero(int, e.flags));
    cr_assert(eq(u32, rx_pool.free_count, RX_COUNT));
}

Test(deliver, a_client_that_does_not_read_gets_everything_later_in_order)
{
    struct chan_event e;
    uint32_t next = 0, frames = 300;
    for (uint32_t i = 0; i < frames; i++) {
        struct zcb *frame = frame_with(0, 64);
        *(uint32_t *)(void *)frame->head = i * 5;
        deliver_begin(&d, frame);
        for (uint32_t m = 0; m < 5; m++) {
            struct ring_piece piece = piece_of(frame, 0, 8 + m);
            deliver_piece(&d, &sender, 1, &piece);
        }
        deliver_end(&d);
        zcb_drop(frame, ZCB_HELD_OUT);
        turn();
    }
    cr_assert(ne(u32, client[0]->outlet.waiting_count, 0));
    cr_assert(eq(u64, stats.backlog_events, client[0]->outlet.waiting_count));
    while (next < frames * 5) {
        cr_assert(fake_client_take(&fake[0], &e), "event %u", next);
        uint32_t base = *(const uint32_t *)(const void *)fake_arena_at(arenas(), e.arena, e.offset);
        cr_assert(eq(u32, base + e.bytes - 8, next));
        if (e.flags & CHAN_LEASE_END)
            fake_client_give_back(&fake[0], e.lease);
        next++;
        turn();
    }
    cr_assert(eq(u32, rx_pool.free_count, RX_COUNT));
    cr_assert(zero(u64, stats.backlog_events));
}

Test(deliver, D4_when_the_backlog_pool_is_empty_the_worst_goes_and_the_others_miss_nothing)
{
    struct chan_event e;
    uint32_t got = 0;
    for (uint32_t i = 0; i < 100; i++) /* client 0 falls behind */
        deliver_small(25);
    group.local[group.local_count++] = client[1];
    for (uint32_t i = 0; i < 200 && !client[0]->outlet.silent; i++) {
        deliver_small(25);
        got += 25;
        turn();
    }
    cr_assert(client[0]->outlet.silent);
    cr_assert(eq(int, relieved, 0));
    for (uint32_t seen = 0; seen < got; seen++) {
        cr_assert(fake_client_read(&fake[1], &e), "event %u of %u", seen, got);
        turn();
    }
}

Test(deliver, C4_senders_who_heed_what_is_welcome_never_make_a_reader_go)
{
    uint32_t brought = 0, before = deliver_frames_welcome(&d);
    while (deliver_frames_welcome(&d) > 0) { /* client 0 never reads */
        deliver_small(25);
        turn();
        cr_assert(le(u32, deliver_frames_welcome(&d), before));
        before = brought++ > 0 ? deliver_frames_welcome(&d) : before;
    }
    /* On its way already: a quarter of the entries is kept for it. */
    for (uint32_t i = 0; i < WAITING / 4 / 25 - 1; i++)
        deliver_small(25);
    cr_assert(not(client[0]->outlet.silent));
    cr_assert(zero(u32, deliver_frames_welcome(&d)));
}

Test(deliver, C4_what_is_welcome_follows_the_fullest_frames_of_late)
{
    deliver_small(1);
    deliver_small(60);
    uint32_t full = d.events_a_frame;
    cr_assert(eq(u32, full, 60));
    for (int i = 0; i < 2000; i++) {
        struct zcb *frame = frame_with(0, 8);
        deliver_begin(&d, frame);
        deliver_end(&d);
        zcb_drop(frame, ZCB_HELD_OUT);
    }
    cr_assert(zero(u32, d.events_a_frame));
}

Test(deliver, D1_nothing_overtakes_what_waits_though_there_is_room)
{
    struct chan_event e;
    uint32_t last = 0;
    for (uint32_t i = 1; i <= 60; i++) {
        struct zcb *frame = frame_with(0, SLOT_BYTES);
        deliver_begin(&d, frame);
        for (uint32_t m = 0; m < 25; m++) {
            struct ring_piece piece = piece_of(frame, 0, i);
            deliver_piece(&d, &sender, 1, &piece);
        }
        deliver_end(&d);
        zcb_drop(frame, ZCB_HELD_OUT);
        deliver_publish(&d);
        while (i == 50 && fake_client_read(&fake[0], &e)) { /* room, and no drain */
            cr_assert(ge(u32, e.bytes, last));
            last = e.bytes;
        }
    }
    for (turn(); fake_client_read(&fake[0], &e); turn()) {
        cr_assert(ge(u32, e.bytes, last), "frame %u after %u", e.bytes, last);
        last = e.bytes;
    }
    cr_assert(eq(u32, last, 60));
}

Test(deliver, a_silenced_client_holds_nothing_wherever_its_events_were)
{
    struct chan_event e;
    for (uint32_t i = 0; i < 60; i++)
        deliver_small(25);
    turn();
    for (int i = 0; i < 40; i++) { /* so that a frame is half drained */
        cr_assert(fake_client_read(&fake[0], &e));
        turn();
    }
    cr_assert(ne(u32, client[0]->outlet.waiting_count, 0));
    cr_assert(lt(u32, rx_pool.free_count, RX_COUNT));
    deliver_silence(&d, &client[0]->outlet);
    cr_assert(eq(u32, rx_pool.free_count, RX_COUNT));
    deliver_small(3);
    turn();
}

Test(deliver, a_client_silenced_in_the_middle_of_a_frame_holds_nothing)
{
    for (int mode = 0; mode < 2; mode++) {
        struct outlet *o = &client[mode]->outlet;
        group.local[0] = client[mode];
        for (int i = 0; mode == 1 && i < 60; i++)
            deliver_small(25);
        struct zcb *frame = frame_with(0, 64);
        struct ring_piece piece = piece_of(frame, 0, 8);
        deliver_begin(&d, frame);
        deliver_piece(&d, &sender, 1, &piece);
        cr_assert(eq(int, o->mode, mode ? OUTLET_WAIT : OUTLET_DIRECT));
        deliver_silence(&d, o);
        deliver_piece(&d, &sender, 1, &piece);
        deliver_end(&d);
        zcb_drop(frame, ZCB_HELD_OUT);
        turn();
        cr_assert(eq(u32, rx_pool.free_count, RX_COUNT));
    }
}

/* A message of `bytes` in frames of 400, all of it but the last `missing` frames. */
static void deliver_pieces(uint32_t bytes, uint32_t missing)
{
    for (uint32_t at = 0; at + missing * 400 < bytes; at += 400) {
        uint32_t part = min_u32(400, bytes - at);
        struct zcb *frame = frame_with(at, part);
        struct ring_piece piece = piece_of(frame, 0, part);
        piece.first = at == 0;
        piece.last = at + part == bytes;
        deliver_begin(&d, frame);
        deliver_piece(&d, &sender, 1, &piece);
        deliver_end(&d);
        zcb_drop(frame, ZCB_HELD_OUT);
    }
}

Test(deliver, L2_a_message_in_pieces_is_one_event_when_its_last_piece_is_here)
{
    static uint8_t got[sizeof(payload)];
    struct chan_event e;
    group.local[group.local_count++] = client[1];
    deliver_pieces(60000, 0); /* more pieces than one list slot names */
    turn();
    for (int i = 0; i < 2; i++) {
        cr_assert(eq(int, fake_client_waiting(&fake[i]), 1));
        cr_assert(fake_client_take(&fake[i], &e));
        cr_assert(ne(int, e.flags &CHAN_LISTED, 0));
        cr_assert(eq(u32, e.bytes, 60000));
        fake_client_gather(arenas(), &e, got);
        cr_assert(zero(int, memcmp(got, payload, 60000)));
        cr_assert(lt(u32, rx_pool.free_count, RX_COUNT - 149));
        fake_client_give_back(&fake[i], e.lease);
        turn();
    }
    cr_assert(eq(u32, rx_pool.free_count, RX_COUNT));
}

Test(deliver, L5_pieces_of_a_message_that_never_ends_are_let_go_at_the_change)
{
    deliver_pieces(20000, 3);
    cr_assert(lt(u32, rx_pool.free_count, RX_COUNT));
    deliver_void_partials(&d);
    turn();
    cr_assert(eq(u32, rx_pool.free_count, RX_COUNT));
    cr_assert(eq(u64, stats.pieces_void, 1));
    cr_assert(zero(int, fake_client_waiting(&fake[0])));
}

Test(deliver, a_sender_that_starts_again_gives_the_message_once)
{
    struct chan_event e;
    deliver_pieces(20000, 3);
    deliver_pieces(20000, 0);
    turn();
    cr_assert(fake_client_read(&fake[0], &e));
    turn();
    cr_assert(eq(u32, e.bytes, 20000));
    cr_assert(zero(int, fake_client_waiting(&fake[0])));
    cr_assert(eq(u32, rx_pool.free_count, RX_COUNT));
}

Test(deliver, a_piece_without_a_beginning_is_counted_and_dropped)
{
    struct zcb *frame = frame_with(0, 8);
    struct ring_piece piece = piece_of(frame, 0, 8);
    piece.first = false;
    deliver_begin(&d, frame);
    deliver_piece(&d, &sender, 1, &piece);
    deliver_end(&d);
    zcb_drop(frame, ZCB_HELD_OUT);
    turn();
    cr_assert(eq(u64, stats.pieces_void, 1));
    cr_assert(zero(int, fake_client_waiting(&fake[0])));
}

Test(deliver, D4_a_reader_of_pieces_without_room_for_their_list_goes)
{
    struct zcb *hoard[RX_COUNT];
    int hoarded = 0;
    deliver_pieces(20000, 30); /* its list slot has room for more pieces, but none is free */
    while (rx_pool.free_count > 1)
        hoard[hoarded++] = zcb_get(&rx_pool, ZCB_HELD_RING);
    for (uint32_t at = 20000 - 30 * 400; at < 20000; at += 400) {
        struct zcb *frame = at == 20000 - 30 * 400 ? frame_with(at, 400) : NULL;
        if (!frame) {
            zcb_drop(hoard[--hoarded], ZCB_HELD_RING);
            frame = frame_with(at, 400);
        }
        struct ring_piece piece = piece_of(frame, 0, 400);
        piece.first = false;
        piece.last = at + 400 == 20000;
        deliver_begin(&d, frame);
        deliver_piece(&d, &sender, 1, &piece);
        deliver_end(&d);
        zcb_drop(frame, ZCB_HELD_OUT);
    }
    cr_assert(eq(u32, evicted[0], 1));
    cr_assert(zero(int, fake_client_waiting(&fake[0])));
    while (hoarded > 0)
        zcb_drop(hoard[--hoarded], ZCB_HELD_RING);
    cr_assert(eq(u32, rx_pool.free_count, RX_COUNT));
}

Test(deliver, a_large_message_of_our_own_node_is_read_where_it_was_written)
{
    static uint8_t got[sizeof(payload)];
    struct chan_event e;
    struct record *record = segment_record(&segment);
    for (uint32_t at = 0; at < 16000; at += 1000) {
        struct zcb *frame = zcb_get(&tx_pool, ZCB_HELD_OUT);
        struct zcb_slice slice = { .data = payload + at,
                                   .offset = at,
                                   .bytes = 1000,
                                   .arena = TX_ARENA,
                                   .cookie = record_cookie(record) };
        zcb_add_slice(frame, &slice);
        if (at == 0)
            segment_took(&segment, record, 16000);
        struct ring_piece piece = {
            .payload = slice, .port = sender.port, .first = at == 0, .last = at == 15000
        };
        deliver_begin(&d, frame);
        deliver_piece(&d, &sender, 0, &piece);
        deliver_end(&d);
        zcb_drop(frame, ZCB_HELD_OUT); /* heads do not wait for the end of the message */
        cr_assert(eq(u32, tx_pool.free_count, TX_COUNT));
    }
    turn();
    cr_assert(fake_client_take(&fake[0], &e));
    cr_assert(zero(int, e.flags &CHAN_LISTED));
    fake_client_gather(arenas(), &e, got);
    cr_assert(zero(int, memcmp(got, payload, 16000)));
    cr_assert(zero(u64, segment.free_end), "the sender may not write there before it is read");
    fake_client_give_back(&fake[0], e.lease);
    turn();
    cr_assert(eq(u64, segment.free_end, 16000));
}

Test(deliver, a_lease_given_back_twice_or_invented_is_an_offence)
{
    struct chan_event e;
    deliver_small(1);
    turn();
    cr_assert(fake_client_take(&fake[0], &e));
    fake_client_give_back(&fake[0], e.lease);
    fake_client_give_back(&fake[0], e.lease);
    turn();
    cr_assert(eq(u32, evicted[0], 1));
    cr_assert(eq(u32, offence, CORE_OFFENCE_DONE_LEASE));
    fake_client_give_back(&fake[1], CHAN_LEASE_COUNT);
    turn();
    cr_assert(eq(u32, evicted[1], 1));
    atomic_store(&fake[2].up->words.done_tail, CHAN_DONE_COUNT + 1);
    turn();
    cr_assert(eq(u32, offence, CORE_OFFENCE_DONE_TAIL));
}

Test(deliver, a_lease_given_back_before_its_last_event_was_seen_is_an_offence)
{
    for (uint32_t i = 0; i < 60; i++)
        deliver_small(25);
    turn(); /* fills the queue up to the middle of a frame */
    cr_assert(ne(u32, client[0]->outlet.drain_lease, CHAN_LEASE_NONE));
    fake_client_give_back(&fake[0], client[0]->outlet.drain_lease);
    turn();
    cr_assert(eq(u32, evicted[0], 1));
    cr_assert(eq(u32, offence, CORE_OFFENCE_DONE_LEASE));
}

Test(deliver, a_piece_of_another_port_does_not_go_into_the_message)
{
    deliver_pieces(2000, 2);
    struct zcb *frame = frame_with(0, 400);
    struct ring_piece piece = piece_of(frame, 0, 400);
    piece.first = false;
    piece.port++;
    deliver_begin(&d, frame);
    deliver_piece(&d, &sender, 1, &piece);
    deliver_end(&d);
    zcb_drop(frame, ZCB_HELD_OUT);
    turn();
    cr_assert(eq(u64, stats.pieces_void, 1));
    cr_assert(zero(int, fake_client_waiting(&fake[0])));
}

Test(deliver, a_head_out_of_range_is_an_offence)
{
    deliver_small(1);
    turn();
    atomic_store(&fake[0].up->words.event_head, 7);
    deliver_small(1);
    turn();
    cr_assert(eq(u32, evicted[0], 1));
    cr_assert(eq(u32, offence, CORE_OFFENCE_EVENT_HEAD));
}

Test(deliver, F4_a_client_that_sleeps_gets_one_byte_and_one_that_is_awake_none)
{
    uint8_t bytes[8];
    bool collect;
    deliver_small(1);
    turn();
    cr_assert(eq(int, (int)recv(fake[0].socket, bytes, 8, MSG_DONTWAIT), -1));
    struct chan_event e;
    while (fake_client_read(&fake[0], &e))
        ;
    wake_client_arm(fake[0].setup.wake, &fake[0].down->event_tail, fake[0].events.head, &collect);
    deliver_small(1);
    turn();
    deliver_small(1);
    turn();
    cr_assert(eq(int, (int)recv(fake[0].socket, bytes, 8, MSG_DONTWAIT), 1));
}

/* A view of `count` members, told to all. */
static void deliver_view_of(uint32_t count, struct client *begins)
{
    struct member *list[1000];
    struct member members[1000];
    for (uint32_t i = 0; i < count; i++) {
        members[i] = (struct member){ .node_id = 1 + i / 100, .pid = i };
        list[i] = &members[i];
    }
    group.member = list;
    group.member_count = count;
    struct chan_address who = { 1, 0, REASON_JOIN };
    struct zcb *frame = frame_with(0, 8);
    deliver_begin(&d, frame);
    view_deliver(&d, &(struct groups_view){
                         .group = &group, .joined = &who, .joined_count = 1, .begins = begins });
    deliver_end(&d);
    zcb_drop(frame, ZCB_HELD_OUT);
    turn();
}

Test(deliver, a_view_is_written_once_for_all_and_once_for_who_begins)
{
    struct chan_event e[CLIENTS];
    for (int i = 1; i < CLIENTS; i++)
        group.local[group.local_count++] = client[i];
    deliver_view_of(3, client[1]);
    for (int i = 0; i < CLIENTS; i++) {
        cr_assert(fake_client_read(&fake[i], &e[i]));
        const struct chan_view *view =
            (const void *)fake_arena_at(arenas(), e[i].arena, e[i].offset);
        cr_assert(eq(u32, e[i].kind, CHAN_VIEW));
        cr_assert(eq(u32, view->flags, i == 1 ? CHAN_VIEW_OWN_JOIN : 0));
        cr_assert(eq(u32, view->member_count, 3));
        cr_assert(eq(u32, view->entry[2].pid, 2));
        cr_assert(eq(u32, view->entry[3].reason, REASON_JOIN));
        cr_assert(eq(u32, e[i].bytes, sizeof(*view) + 4 * sizeof(view->entry[0])));
    }
    cr_assert(eq(u64, e[0].offset, e[2].offset));
    cr_assert(ne(u64, e[0].offset, e[1].offset));
    turn();
    cr_assert(eq(u32, rx_pool.free_count, RX_COUNT));
}

Test(deliver, V1_a_view_of_a_thousand_members_is_complete)
{
    static uint8_t got[1 << 16];
    struct chan_event e;
    deliver_view_of(1000, NULL);
    cr_assert(fake_client_take(&fake[0], &e));
    cr_assert(ne(int, e.flags &CHAN_LISTED, 0));
    fake_client_gather(arenas(), &e, got);
    const struct chan_view *view = (const void *)got;
    cr_assert(eq(u32, view->member_count, 1000));
    cr_assert(eq(u32, view->entry[999].pid, 999));
    cr_assert(eq(u32, view->entry[1000].reason, REASON_JOIN));
    fake_client_give_back(&fake[0], e.lease);
    turn();
    cr_assert(eq(u32, rx_pool.free_count, RX_COUNT));
}

Test(deliver, views_wait_behind_messages_that_wait)
{
    struct chan_event e;
    uint32_t messages = 0;
    for (; messages < 50 * 25; messages += 25)
        deliver_small(25);
    deliver_view_of(2, NULL);
    for (uint32_t i = 0; i < messages; i++) {
        cr_assert(fake_client_read(&fake[0], &e));
        cr_assert(eq(u32, e.kind, CHAN_MESSAGE));
        turn();
    }
    cr_assert(fake_client_read(&fake[0], &e));
    cr_assert(eq(u32, e.kind, CHAN_VIEW));
    turn();
    cr_assert(eq(u32, rx_pool.free_count, RX_COUNT));
}

Test(deliver, a_ring_event_says_who_is_in_the_ring)
{
    struct chan_event e;
    uint32_t members[] = { 1, 4, 9 };
    struct zcb *frame = frame_with(0, 8);
    deliver_begin(&d, frame);
    struct ring_event ring =
        ring_event_make(&d, (struct ring_id){ .seq = 12, .rep = 1 }, members, 3, CHAN_FIRST_RING);
    ring_event_give(&d, &client[0]->outlet, &ring);
    ring_event_drop(&d, &ring);
    deliver_end(&d);
    zcb_drop(frame, ZCB_HELD_OUT);
    turn();
    cr_assert(fake_client_read(&fake[0], &e));
    const struct chan_ring *body = (const void *)fake_arena_at(arenas(), e.arena, e.offset);
    cr_assert(eq(u32, e.kind, CHAN_RING));
    cr_assert(ne(int, e.flags &CHAN_FIRST_RING, 0));
    cr_assert(eq(u64, body->ring_id.seq, 12));
    cr_assert(eq(u32, body->member[2], 9));
    turn();
    cr_assert(eq(u32, rx_pool.free_count, RX_COUNT));
}
