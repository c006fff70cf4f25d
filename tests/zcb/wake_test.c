/* SPDX-License-Identifier: BSD-3-Clause */
#include "zcb.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static struct wake_page page;
static _Atomic uint32_t head, tail;
static bool collect;

static void store_word(uint64_t round, enum wake_state state)
{
    atomic_store(&page.wake, round << 2 | state);
}

static enum wake_state state(void)
{
    return (enum wake_state)(atomic_load(&page.wake) & 3);
}

static uint64_t wake_round(void)
{
    return atomic_load(&page.wake) >> 2;
}

Test(wake, a_fresh_page_is_awake_and_can_be_armed)
{
    cr_assert(eq(int, state(), WAKE_AWAKE));
    cr_assert(not(wake_client_must_collect(&page)));
    cr_assert(eq(int, wake_client_arm(&page, &tail, 0, &collect), WAKE_NOTHING));
    cr_assert(not(collect));
    cr_assert(eq(int, state(), WAKE_ARMED));
}

Test(wake, W2_an_event_for_an_armed_client_needs_one_byte_however_many_follow)
{
    store_word(4, WAKE_ARMED);
    cr_assert(eq(int, wake_service_published(&page, &head, 1), WAKE_BYTE));
    cr_assert(eq(int, state(), WAKE_SIGNALLED));
    cr_assert(eq(ulong, wake_round(), 4));
    cr_assert(eq(int, wake_service_published(&page, &head, 2), WAKE_NOTHING));
}

Test(wake, an_awake_client_needs_nothing)
{
    store_word(4, WAKE_AWAKE);
    cr_assert(eq(int, wake_service_published(&page, &head, 1), WAKE_NOTHING));
    cr_assert(eq(int, state(), WAKE_AWAKE));
}

Test(wake, W1_an_event_that_was_taken_before_the_arming_needs_no_byte)
{
    store_word(4, WAKE_ARMED);
    atomic_store(&head, 1);
    cr_assert(eq(int, wake_service_published(&page, &head, 1), WAKE_NOTHING));
    cr_assert(eq(int, state(), WAKE_ARMED));
}

Test(wake, W1_a_signalled_byte_is_collected_exactly_once)
{
    store_word(4, WAKE_SIGNALLED);
    cr_assert(wake_client_must_collect(&page));
    cr_assert(eq(int, state(), WAKE_AWAKE));
    cr_assert(not(wake_client_must_collect(&page)));
}

Test(wake, W1_arming_over_a_byte_asks_to_collect_it_first)
{
    store_word(4, WAKE_SIGNALLED);
    cr_assert(eq(int, wake_client_arm(&page, &tail, 0, &collect), WAKE_NOTHING));
    cr_assert(collect);
    cr_assert(eq(int, state(), WAKE_AWAKE));
    cr_assert(eq(int, wake_client_arm(&page, &tail, 0, &collect), WAKE_NOTHING));
    cr_assert(not(collect));
    cr_assert(eq(int, state(), WAKE_ARMED));
}

Test(wake, W3_arming_with_events_waiting_asks_for_the_byte)
{
    atomic_store(&tail, 3);
    cr_assert(eq(int, wake_client_arm(&page, &tail, 2, &collect), WAKE_BYTE));
    cr_assert(not(collect));
    cr_assert(eq(int, state(), WAKE_SIGNALLED));
    cr_assert(eq(int, wake_service_published(&page, &head, 4), WAKE_NOTHING)); /* one byte only */
}

Test(wake, each_arming_has_a_round_of_its_own)
{
    store_word(UINT64_MAX >> 2, WAKE_AWAKE);
    uint64_t last = wake_round();
    for (int i = 0; i < 5; i++) {
        wake_client_arm(&page, &tail, 0, &collect);
        cr_assert(ne(ulong, wake_round(), last));
        cr_assert(eq(int, state(), WAKE_ARMED));
        last = wake_round();
    }
}

Test(wake, nonsense_in_the_word_is_taken_for_a_client_that_needs_nothing)
{
    atomic_store(&page.wake, UINT64_MAX);
    cr_assert(eq(int, wake_service_published(&page, &head, 1), WAKE_NOTHING));
}

/*
 * The race. A service that publishes at random pace, a client as a library would be, and a control
 * thread that answers kicks; real sockets. The client checks on every poll that readable means an
 * event (F3), that there is never a second byte, and that it never sleeps beside an event (F4).
 */

enum {
    QUEUE_COUNT = 16,
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
    EVENTS = 60000,
#else
    EVENTS = 300000,
#endif
    SLEEP_MAX_MS = 2000,
};

struct race {
    struct spsc_pair queue;
    struct wake_page page;
    int client, service;           /* ends of the wake socket */
    int kick_client, kick_service; /* ends of the control socket */
    uint64_t kicks, collected, slept;
    uint32_t expected;
};

static void pause_at_random(unsigned *seed)
{
    int kind = rand_r(seed) % 64;
    if (kind == 0)
        nanosleep(&(struct timespec){ .tv_nsec = rand_r(seed) % 20000 }, NULL);
    else if (kind < 4)
        sched_yield();
    else
        for (volatile int spin = rand_r(seed) % 400; spin > 0; spin--)
            ;
}

static bool send_byte(int socket)
{
    return send(socket, "w", 1, MSG_NOSIGNAL | MSG_DONTWAIT) == 1;
}

static void *service(void *context)
{
    struct race *race = context;
    struct spsc_producer *p = &race->queue.producer;
    unsigned seed = 11;
    for (uint32_t sent = 0; sent < EVENTS;) {
        int room = spsc_room(p);
        int burst = rand_r(&seed) % 8 == 0 ? 3 : 1;
        for (int i = 0; i < burst && i < room && sent < EVENTS; i++)
            *(uint32_t *)spsc_next(p) = sent++;
        spsc_publish(p);
        if (wake_service_published(&race->page, p->head_shared, p->tail) == WAKE_BYTE) {
            pause_at_random(&seed); /* "certain to come" may take a while */
            if (!send_byte(race->service))
                return "the wake socket is full";
        }
        /* Mostly wait until all is taken, for the race is around the empty queue. */
        while (rand_r(&seed) % 16 && spsc_room(p) < QUEUE_COUNT)
            sched_yield();
        pause_at_random(&seed);
    }
    return NULL;
}

static void *control(void *context)
{
    struct race *race = context;
    unsigned seed = 12;
    char byte;
    while (recv(race->kick_service, &byte, 1, 0) == 1) {
        pause_at_random(&seed);
        if (!send_byte(race->service))
            return "the wake socket is full";
    }
    return NULL;
}

static void take_byte(struct race *race)
{
    char byte;
    struct pollfd coming = { .fd = race->client, .events = POLLIN };
    cr_assert(eq(int, poll(&coming, 1, SLEEP_MAX_MS), 1), "a byte was promised and never came");
    cr_assert(eq(long, (long)recv(race->client, &byte, 1, MSG_DONTWAIT), 1));
    race->collected++;
}

/* What the library does when it has taken events and the queue looks empty. */
static void leave_empty(struct race *race)
{
    const struct spsc_consumer *c = &race->queue.consumer;
    bool again = wake_client_must_collect(&race->page);
    do {
        if (again)
            take_byte(race);
        if (wake_client_arm(&race->page, c->tail_shared, c->head, &again) == WAKE_BYTE) {
            cr_assert(send_byte(race->kick_client));
            race->kicks++;
        }
    } while (again);
}

/* Returns how many events were dispatched. */
static int dispatch(struct race *race, int most)
{
    struct spsc_consumer *c = &race->queue.consumer;
    int taken = 0;
    while (taken < most && spsc_waiting(c) > 0) {
        uint32_t event = *(const uint32_t *)spsc_take(c);
        cr_assert(eq(u32, event, race->expected));
        race->expected++;
        taken++;
        spsc_release(c);
    }
    if (taken > 0 && spsc_waiting(c) == 0)
        leave_empty(race);
    return taken;
}

static void run_client(struct race *race)
{
    unsigned seed = 13;
    leave_empty(race);
    while (race->expected < EVENTS) {
        if (rand_r(&seed) % 16 == 0)
            pause_at_random(&seed);
        if (rand_r(&seed) % 16 == 0) { /* dispatch unasked, one or all: no promise that one waits */
            dispatch(race, rand_r(&seed) % 2 ? 1 : QUEUE_COUNT);
            continue;
        }
        struct pollfd ready = { .fd = race->client, .events = POLLIN };
        race->slept += poll(&ready, 1, 0) == 0;
        cr_assert(eq(int, poll(&ready, 1, SLEEP_MAX_MS), 1), "F4: asleep beside event %u",
                  race->expected);
        int bytes = 0;
        cr_assert(eq(int, ioctl(race->client, FIONREAD, &bytes), 0));
        cr_assert(eq(int, bytes, 1), "more than one byte");
        cr_assert(eq(int, dispatch(race, 1), 1), "F3: readable, and no event");
    }
}

static void open_race(struct race *race)
{
    int wake[2], kick[2];
    cr_assert(eq(int, spsc_pair_create(&race->queue, sizeof(uint32_t), QUEUE_COUNT), 0));
    cr_assert(eq(int, socketpair(AF_UNIX, SOCK_STREAM, 0, wake), 0));
    cr_assert(eq(int, socketpair(AF_UNIX, SOCK_SEQPACKET, 0, kick), 0));
    race->client = wake[0];
    race->service = wake[1];
    race->kick_client = kick[0];
    race->kick_service = kick[1];
}

Test(wake, F3_F4_poll_and_dispatch_one_never_block_and_never_oversleep, .timeout = 200)
{
    static struct race race;
    open_race(&race);
    pthread_t service_thread, control_thread;
    pthread_create(&service_thread, NULL, service, &race);
    pthread_create(&control_thread, NULL, control, &race);
    run_client(&race);
    void *complaint = NULL;
    pthread_join(service_thread, &complaint);
    cr_assert(eq(ptr, complaint, NULL), "%s", (char *)complaint);
    shutdown(race.kick_client, SHUT_RDWR);
    pthread_join(control_thread, &complaint);
    cr_assert(eq(ptr, complaint, NULL), "%s", (char *)complaint);
    /* W1 at rest, and that the race was one. */
    cr_assert(eq(int, poll(&(struct pollfd){ .fd = race.client, .events = POLLIN }, 1, 0), 0));
    cr_assert(gt(ulong, race.slept, 0));
    cr_assert(gt(ulong, race.collected, EVENTS / 100));
    fprintf(stderr, "slept %lu, collected %lu, kicks %lu\n", race.slept, race.collected,
            race.kicks);
    spsc_pair_destroy(&race.queue);
}
