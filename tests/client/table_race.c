/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * table_race.c - threads add, use, retire and release at once (T2, T3): an object that is used is
 * never destroyed, and each is destroyed once.
 */
#include <pthread.h>
#include <unistd.h>

#include "table.h"

enum { THREADS = 4, ROUNDS = 20000, SHARED = 8 };

struct object {
    _Atomic int alive;
};

static _Atomic uint64_t shared[SHARED];
static _Atomic int made, gone;

static void destroy(void *arg)
{
    struct object *object = arg;
    INVARIANT(atomic_exchange(&object->alive, 0) == 1);
    gone++;
    free(object);
}

static struct table table = { .kind = 5, .destroy = destroy };

static void retire(uint64_t value)
{
    if (!table_acquire(&table, value))
        return;
    table_retire(&table, value);
    table_release(&table, value);
}

static void replace(unsigned *seed)
{
    struct object *object = malloc(sizeof(*object));
    atomic_init(&object->alive, 1);
    made++;
    uint64_t value = table_add(&table, object, object);
    INVARIANT(value != 0);
    retire(atomic_exchange(&shared[(unsigned)rand_r(seed) % SHARED], value));
}

static void *run(void *arg)
{
    unsigned seed = (unsigned)(uintptr_t)arg;
    for (int i = 0; i < ROUNDS; i++) {
        uint64_t value = shared[(unsigned)rand_r(&seed) % SHARED];
        struct object *object = table_acquire(&table, value);
        void *note;
        if (object) {
            INVARIANT(!table_note_get(&table, value, &note) || note == object);
            INVARIANT(object->alive == 1);
            if (i % 7 == 0)
                table_retire(&table, value);
            INVARIANT(object->alive == 1);
            table_release(&table, value);
        }
        if (i % 5 == 0)
            replace(&seed);
    }
    return NULL;
}

int main(void)
{
    pthread_t thread[THREADS];
    alarm(55);
    for (uintptr_t i = 0; i < THREADS; i++)
        pthread_create(&thread[i], NULL, run, (void *)(i + 1));
    for (int i = 0; i < THREADS; i++)
        pthread_join(thread[i], NULL);
    for (int i = 0; i < SHARED; i++)
        retire(shared[i]);
    printf("%d made, %d gone\n", made, gone);
    return made == gone ? 0 : 1;
}
