/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * spsc_race.c - S2 between two threads: nothing is lost, repeated or torn. A plain program, since
 * the thread sanitizer and Criterion do not go together.
 */
#include "race.h"
#include "zcb.h"

#include <pthread.h>
#include <sched.h>

/* Large enough to be torn when S2 is broken. */
struct entry {
    uint64_t sequence;
    uint64_t pad[3];
    uint64_t inverse;
};

enum { TRANSFERS = 1000000 };

static void *produce(void *context)
{
    struct spsc_producer *p = context;
    unsigned seed = 1;
    for (uint64_t sent = 0; sent < TRANSFERS;) {
        int room = spsc_room(p);
        CHECK(room >= 0);
        int burst = rand_r(&seed) % 8 + 1;
        for (int i = 0; i < burst && i < room && sent < TRANSFERS; i++, sent++)
            *(struct entry *)spsc_next(p) = (struct entry){ .sequence = sent, .inverse = ~sent };
        spsc_publish(p);
        if (room == 0)
            sched_yield();
    }
    return NULL;
}

static void *consume(void *context)
{
    struct spsc_consumer *c = context;
    unsigned seed = 2;
    for (uint64_t taken = 0; taken < TRANSFERS;) {
        int waiting = spsc_waiting(c);
        CHECK(waiting >= 0);
        int burst = rand_r(&seed) % 8 + 1;
        for (int i = 0; i < burst && i < waiting; i++, taken++) {
            struct entry entry = *(const struct entry *)spsc_take(c);
            CHECK(entry.sequence == taken && entry.inverse == ~taken);
        }
        spsc_release(c);
        if (waiting == 0)
            sched_yield();
    }
    return NULL;
}

int main(void)
{
    struct spsc_pair pair;
    pthread_t producer, consumer;
    CHECK(spsc_pair_create(&pair, sizeof(struct entry), 64) == 0);
    pthread_create(&producer, NULL, produce, &pair.producer);
    pthread_create(&consumer, NULL, consume, &pair.consumer);
    pthread_join(producer, NULL);
    pthread_join(consumer, NULL);
    spsc_pair_destroy(&pair);
    return 0;
}
