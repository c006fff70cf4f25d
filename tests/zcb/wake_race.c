/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * wake_race.c - rules F3 and F4 under fire. A service that publishes at random pace, a client as a
 * library would be, and a control thread that answers kicks; real sockets. On every poll the client
 * checks that readable means an event (F3), that there is never a second byte, and that it never
 * sleeps beside an event (F4). A plain program, since the thread sanitizer and Criterion do not go
 * together.
 */
#include "race.h"
#include "zcb.h"

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>

enum {
    QUEUE_COUNT = 16,
    EVENTS = 300000,
    SLEEP_MS = 500,
    WAKE_MAX_MS =
        20000, /* from an event that waits to its byte, though others have the processor */
};

struct race {
    struct spsc_pair queue;
    struct wake_page page;
    int client, service;           /* ends of the wake socket */
    int kick_client, kick_service; /* ends of the control socket */
    uint32_t expected;             /* next event */
    uint32_t slept, collected, kicks;
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

static void send_byte(int socket)
{
    CHECK(send(socket, "w", 1, MSG_NOSIGNAL | MSG_DONTWAIT) == 1);
}

static void wait_until_taken(struct spsc_producer *p)
{
    while (spsc_room(p) < QUEUE_COUNT)
        sched_yield();
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
            send_byte(race->service);
        }
        /* The race is around the empty queue: mostly wait until all is taken, with no other event
         * to come to the rescue of a client that sleeps. */
        if (rand_r(&seed) % 16)
            wait_until_taken(p);
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
        send_byte(race->service);
    }
    return NULL;
}

static void collect_byte(struct race *race)
{
    char byte;
    struct pollfd promised = { .fd = race->client, .events = POLLIN };
    CHECK(poll(&promised, 1, WAKE_MAX_MS) == 1);
    CHECK(recv(race->client, &byte, 1, MSG_DONTWAIT) == 1);
    race->collected++;
}

/* What the library does when it has taken events and the queue looks empty. */
static void leave_empty(struct race *race)
{
    const struct spsc_consumer *c = &race->queue.consumer;
    bool collect = wake_client_must_collect(&race->page);
    do {
        if (collect)
            collect_byte(race);
        if (wake_client_arm(&race->page, c->tail_shared, c->head, &collect) == WAKE_BYTE) {
            send_byte(race->kick_client);
            race->kicks++;
        }
    } while (collect);
}

/* Returns how many events were dispatched. */
static int dispatch(struct race *race, int most)
{
    struct spsc_consumer *c = &race->queue.consumer;
    int taken = 0;
    for (; taken < most && spsc_waiting(c) > 0; taken++) {
        CHECK(*(const uint32_t *)spsc_take(c) == race->expected);
        race->expected++;
        spsc_release(c);
    }
    if (taken > 0 && spsc_waiting(c) == 0)
        leave_empty(race);
    return taken;
}

/* F4: sleeping is in order while there is no event, however long that takes. */
static bool sleep_until_ready(struct race *race)
{
    struct pollfd ready = { .fd = race->client, .events = POLLIN };
    while (poll(&ready, 1, SLEEP_MS) == 0) {
        if (spsc_waiting(&race->queue.consumer) > 0)
            return poll(&ready, 1, WAKE_MAX_MS) == 1;
    }
    return true;
}

static void poll_and_dispatch_one(struct race *race)
{
    struct pollfd ready = { .fd = race->client, .events = POLLIN };
    int bytes = 0;
    race->slept += poll(&ready, 1, 0) == 0;
    CHECK(sleep_until_ready(race));
    CHECK(ioctl(race->client, FIONREAD, &bytes) == 0);
    CHECK(bytes == 1);
    CHECK(dispatch(race, 1) == 1); /* F3 */
}

static void run_client(struct race *race)
{
    unsigned seed = 13;
    leave_empty(race); /* arms for the first time */
    while (race->expected < EVENTS) {
        if (rand_r(&seed) % 16 == 0)
            pause_at_random(&seed);
        if (rand_r(&seed) % 16 == 0) /* unasked: no promise that an event waits */
            dispatch(race, rand_r(&seed) % 2 ? 1 : QUEUE_COUNT);
        else
            poll_and_dispatch_one(race);
    }
}

static void open_race(struct race *race)
{
    int wake[2], kick[2];
    CHECK(spsc_pair_create(&race->queue, sizeof(uint32_t), QUEUE_COUNT) == 0);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, wake) == 0);
    CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, kick) == 0);
    race->client = wake[0];
    race->service = wake[1];
    race->kick_client = kick[0];
    race->kick_service = kick[1];
}

int main(void)
{
    struct race race = { 0 };
    open_race(&race);
    pthread_t service_thread, control_thread;
    pthread_create(&service_thread, NULL, service, &race);
    pthread_create(&control_thread, NULL, control, &race);
    run_client(&race);
    pthread_join(service_thread, NULL);
    shutdown(race.kick_client, SHUT_RDWR);
    pthread_join(control_thread, NULL);
    /* W1 at rest; and it was a race. */
    CHECK(poll(&(struct pollfd){ .fd = race.client, .events = POLLIN }, 1, 0) == 0);
    printf("slept %u, collected %u, kicked %u\n", race.slept, race.collected, race.kicks);
    CHECK(race.slept > 0 && race.collected > EVENTS / 100);
    spsc_pair_destroy(&race.queue);
    return 0;
}
