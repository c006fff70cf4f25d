/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The poll core in its thread, over UDP on the loopback: what core.h promises to another thread.
 */
#include <poll.h>
#include <sched.h>
#include <time.h>

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "core.h"
#include "corosync/corotypes.h"
#include "fake_client.h"

enum { RX_BYTES = 4 << 20, TX_BYTES = 256 << 10, WAIT_MS = 20000 };

static struct config config;
static struct zcb_arena rx;
static struct chan_core words;
static struct core *core;
static struct core_event answer;
static bool formed;

static void create_on(const struct transport_ops *transport, bool spins)
{
    char why[256];
    config = (struct config){
        .cluster_name = "thread",
        .cluster_tag = 99,
        .detect_ms = 200,
        .netmtu = 1500,
        .node_count = 1,
        .node_id = 1,
        .nodes = { { .node_id = 1, .address = "127.0.0.1", .port = 0 } },
        .transport = "udp",
        .spins = spins,
        .poll_cpu = -1,
        .poll_yield_us = 50,
        .message_bytes_max = 1 << 20,
        .clients_max = 4,
        .slow_client_ms = 1000,
        .client_events_max = 4096,
    };
    config.port = (uint16_t)(20000 + getpid() % 20000);
    config.nodes[0].port = config.port;
    cr_assert(
        zero(int, zcb_arena_create(&rx, "rx", RX_BYTES, 1, ZCB_PAGES_SMALL, ZCB_WRITER_CREATOR)));
    struct core_config cc = { .config = &config,
                              .transport = transport,
                              .rx_arena = &rx,
                              .words = &words,
                              .clients_max = 4,
                              .incarnation = 1 };
    int error = core_create(&core, &cc, why, sizeof(why));
    cr_assert(zero(int, error), "%s", why);
    cr_assert(zero(int, core_start(core)));
}

static void create(bool spins)
{
    create_on(&transport_udp, spins);
}

static void handle(const struct core_event *event)
{
    if (event->type == CORE_EVENT_PERSIST)
        core_command(core, &(struct core_command){ .type = CORE_PERSISTED, .arg64 = event->arg64 });
    else if (event->type == CORE_EVENT_FORMED)
        formed = true;
    else if (event->type == CORE_EVENT_ANSWER && event->tag)
        answer = *event;
}

/* Wait as the control thread does: on the descriptor. */
static bool wait_event(void)
{
    struct core_event event;
    struct pollfd fd = { .fd = core_event_fd(core), .events = POLLIN };
    if (poll(&fd, 1, WAIT_MS) != 1)
        return false;
    while (core_event(core, &event))
        handle(&event);
    return true;
}

static uint32_t command(struct core_command c)
{
    static uint64_t tag;
    c.tag = ++tag;
    answer.tag = 0;
    cr_assert(zero(int, core_command(core, &c)));
    while (answer.tag != tag)
        cr_assert(wait_event());
    return answer.error;
}

static void stop(void)
{
    cr_assert(eq(u32, command((struct core_command){ .type = CORE_STOP }), CS_OK));
    core_destroy(core);
    zcb_arena_destroy(&rx);
}

static struct core_name name = { .bytes = 1, .value = "g" };

static void connect_client(struct fake_client *f, uint32_t slot)
{
    fake_client_open(f, slot, 10 + slot, 0);
    cr_assert(eq(u32,
                 command((struct core_command){ .type = CORE_CLIENT_ADD, .in.client = &f->setup }),
                 CS_OK));
    struct core_segment_setup segment = fake_client_segment(f, TX_BYTES, 10 + slot);
    cr_assert(eq(u32,
                 command((struct core_command){ .type = CORE_SEGMENT_ADD, .in.segment = &segment }),
                 CS_OK));
    cr_assert(eq(u32,
                 command((struct core_command){
                     .type = CORE_CLIENT_JOIN, .slot = slot, .pid = 10 + slot, .in.name = &name }),
                 CS_OK));
}

/* Push as the library does: a doorbell when the core sleeps. */
static void send_message(struct fake_client *f, const char *text)
{
    while (!fake_client_send(f, text, (uint32_t)strlen(text), GUARANTEE_AGREED))
        sched_yield();
    atomic_thread_fence(memory_order_seq_cst);
    if (atomic_load(&words.asleep))
        (void)!send(f->socket, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* Sleep until there is an event, as cpg_dispatch does. */
static void next_event(struct fake_client *f, struct chan_event *event)
{
    bool collect;
    uint8_t byte;
    while (!fake_client_read(f, event)) {
        enum wake_need need =
            wake_client_arm(f->setup.wake, &f->down->event_tail, f->events.head, &collect);
        struct pollfd fd = { .fd = f->socket, .events = POLLIN };
        if (need == WAKE_BYTE)
            (void)!send(f->setup.wake_socket, "", 1, MSG_DONTWAIT); /* CTL_KICK */
        if (!collect)
            cr_assert(eq(int, poll(&fd, 1, WAIT_MS), 1), "no event came");
        if (wake_client_must_collect(f->setup.wake) || collect)
            cr_assert(eq(int, (int)recv(f->socket, &byte, 1, 0), 1));
    }
}

static void talk(bool spins, int messages)
{
    struct fake_client f;
    struct chan_event event;
    create(spins);
    while (!formed)
        cr_assert(wait_event());
    connect_client(&f, 0);
    next_event(&f, &event);
    cr_assert(eq(u32, event.kind, CHAN_VIEW));
    for (int i = 0; i < messages; i++) {
        send_message(&f, "round and round");
        next_event(&f, &event);
        cr_assert(eq(u32, event.kind, CHAN_MESSAGE));
        cr_assert(eq(u32, event.bytes, 15));
    }
    cr_assert(eq(u32, command((struct core_command){ .type = CORE_CLIENT_END }), CS_OK));
    stop();
    fake_client_close(&f);
}

TestSuite(thread, .timeout = 60);

Test(thread, a_core_that_sleeps_hears_every_doorbell)
{
    talk(false, 300);
}

Test(thread, a_core_that_spins_needs_none)
{
    talk(true, 20);
}

Test(thread, a_client_that_cannot_be_heard_is_none_and_its_slot_stays_free)
{
    struct fake_client f;
    struct chan_event event;
    create(false);
    while (!formed)
        cr_assert(wait_event());
    fake_client_open(&f, 0, 10, 0);
    int socket = f.setup.wake_socket;
    f.setup.wake_socket = -1;
    cr_assert(eq(u32,
                 command((struct core_command){ .type = CORE_CLIENT_ADD, .in.client = &f.setup }),
                 CS_ERR_NO_RESOURCES));
    f.setup.wake_socket = socket;
    fake_client_close(&f); /* as the control thread does: nobody may look at it any more */
    connect_client(&f, 0);
    next_event(&f, &event);
    cr_assert(eq(u32, event.kind, CHAN_VIEW));
    cr_assert(eq(u32, command((struct core_command){ .type = CORE_CLIENT_END }), CS_OK));
    stop();
    fake_client_close(&f);
}

/* Half a second, since the claim is about time itself. */
static void check_rest(void)
{
    static struct core_status before, after;
    struct timespec time = { .tv_nsec = 500000000 };
    command((struct core_command){ .type = CORE_STATUS, .out.status = &before });
    nanosleep(&time, NULL);
    command((struct core_command){ .type = CORE_STATUS, .out.status = &after });
    cr_assert(lt(u64, after.core.turns - before.core.turns, 1000));
}

Test(thread, an_idle_core_sleeps)
{
    create(false);
    while (!formed)
        cr_assert(wait_event());
    check_rest();
    stop();
}

/* UDP that has to be told: what the core did, call by call. */
static atomic_int looks, rests, blind_rests; /* looks: since it was armed */

static struct transport_ops told;

static int told_open(struct transport **out, const struct transport_config *transport, char *why,
                     size_t why_bytes)
{
    int error = transport_udp.open(out, transport, why, why_bytes);
    if (error == 0)
        (*out)->ops = &told;
    return error;
}

static int counted_rx_burst(struct transport *tp, struct zcb **frames, int count)
{
    atomic_fetch_add(&looks, 1);
    return transport_udp.rx_burst(tp, frames, count);
}

static enum transport_rest counted_arm(struct transport *tp)
{
    (void)tp;
    atomic_store(&looks, 0);
    return TRANSPORT_LOOK;
}

static void counted_disarm(struct transport *tp)
{
    (void)tp;
    atomic_fetch_add(atomic_load(&looks) > 0 ? &rests : &blind_rests, 1);
}

Test(thread, a_core_that_told_its_transport_looks_once_more_before_it_sleeps)
{
    static struct core_status status;
    told = transport_udp;
    told.open = told_open;
    told.rx_burst = counted_rx_burst;
    told.arm = counted_arm;
    told.disarm = counted_disarm;
    create_on(&told, false);
    while (!formed)
        cr_assert(wait_event());
    while (atomic_load(&rests) + atomic_load(&blind_rests) < 20) {
        command((struct core_command){ .type = CORE_STATUS, .out.status = &status });
        while (!atomic_load(&words.asleep))
            sched_yield();
    }
    cr_assert(zero(int, atomic_load(&blind_rests)));
    check_rest();
    stop();
    cr_assert(zero(int, atomic_load(&blind_rests)));
}

Test(thread, a_client_that_hangs_up_by_half_does_not_keep_the_core_awake)
{
    struct fake_client f;
    struct chan_event event;
    create(false);
    while (!formed)
        cr_assert(wait_event());
    connect_client(&f, 0);
    next_event(&f, &event);
    cr_assert(zero(int, shutdown(f.socket, SHUT_WR)));
    check_rest();
    cr_assert(eq(u32, command((struct core_command){ .type = CORE_CLIENT_END }), CS_OK));
    stop();
    fake_client_close(&f);
}

Test(thread, K1_every_command_is_answered_also_when_thousands_come_at_once)
{
    static struct ctl_members members;
    uint32_t sent = 0, answered = 0;
    struct core_event event;
    create(false);
    while (!formed)
        cr_assert(wait_event());
    while (answered < 5000) {
        struct core_command c = {
            .type = CORE_MEMBERS, .tag = 7, .in.name = &name, .out.members = &members
        };
        while (sent < 5000 && core_command(core, &c) == 0)
            sent++;
        struct pollfd fd = { .fd = core_event_fd(core), .events = POLLIN };
        cr_assert(eq(int, poll(&fd, 1, WAIT_MS), 1));
        while (core_event(core, &event)) {
            answered += event.type == CORE_EVENT_ANSWER && event.tag == 7;
            if (event.type != CORE_EVENT_ANSWER)
                handle(&event);
        }
    }
    cr_assert(eq(u32, answered, sent));
    stop();
}
