/* SPDX-License-Identifier: BSD-3-Clause */
#include "table.h"

#include <sys/random.h>

/*
 * word: generation << 32 | LIVE | users. A slot is free when it is neither live nor used; who takes
 * it marks it CLAIMED until the object is in place.
 */
enum {
    USERS_MASK = 0x3fffffff,
    CLAIMED = 0x40000000,
};
#define LIVE             UINT32_C(0x80000000)
#define GENERATION_SHIFT 32
#define KIND_SHIFT       24
#define SLOT_MASK        UINT64_C(0xffffff)

struct table_slot {
    _Atomic uint64_t word;
    _Atomic(void *) object;
    _Atomic(void *) note;
};

struct table_chunk {
    struct table_slot slot[TABLE_CHUNK_SLOTS];
};

static uint32_t generation_of(uint64_t word)
{
    return (uint32_t)(word >> GENERATION_SHIFT);
}

/* Values of another process, or of an earlier run, are unlikely to mean anything here. */
static uint32_t first_generation(const void *salt)
{
    uint32_t generation;
    if (getrandom(&generation, sizeof(generation), GRND_NONBLOCK) != sizeof(generation))
        generation = (uint32_t)((uintptr_t)salt >> 4);
    return generation;
}

static struct table_chunk *chunk_make(struct table *table, uint32_t index)
{
    struct table_chunk *made = malloc(sizeof(*made));
    if (!made)
        return NULL;
    for (uint32_t i = 0; i < TABLE_CHUNK_SLOTS; i++) {
        atomic_init(&made->slot[i].word, (uint64_t)first_generation(made) << GENERATION_SHIFT);
        atomic_init(&made->slot[i].object, NULL);
        atomic_init(&made->slot[i].note, NULL);
    }
    struct table_chunk *there = NULL;
    if (atomic_compare_exchange_strong(&table->chunk[index], &there, made))
        return made;
    free(made);
    return there;
}

static struct table_slot *slot_at(struct table *table, uint32_t n)
{
    if (n / TABLE_CHUNK_SLOTS >= TABLE_CHUNKS)
        return NULL;
    struct table_chunk *chunk =
        atomic_load_explicit(&table->chunk[n / TABLE_CHUNK_SLOTS], memory_order_acquire);
    return chunk ? &chunk->slot[n % TABLE_CHUNK_SLOTS] : NULL;
}

static uint64_t value_of(const struct table *table, uint64_t word, uint32_t n)
{
    return (uint64_t)generation_of(word) << GENERATION_SHIFT | (uint64_t)table->kind << KIND_SHIFT |
           n;
}

static uint64_t slot_claim(struct table *table, uint32_t n, void *object, void *note)
{
    struct table_slot *slot = slot_at(table, n);
    uint64_t word = atomic_load_explicit(&slot->word, memory_order_relaxed);
    if ((uint32_t)word != 0)
        return 0;
    uint64_t next = (uint64_t)(generation_of(word) + 1) << GENERATION_SHIFT; /* T1 */
    if (!atomic_compare_exchange_strong(&slot->word, &word, next | CLAIMED))
        return 0;
    atomic_store_explicit(&slot->object, object, memory_order_relaxed);
    atomic_store_explicit(&slot->note, note, memory_order_release);
    atomic_store_explicit(&slot->word, next | LIVE, memory_order_release);
    return value_of(table, next, n);
}

static uint32_t slots_made(struct table *table)
{
    uint32_t chunks = 0;
    while (chunks < TABLE_CHUNKS &&
           atomic_load_explicit(&table->chunk[chunks], memory_order_acquire))
        chunks++;
    return chunks * TABLE_CHUNK_SLOTS;
}

/* Slots are taken in turn, so that a stale value finds its slot in other hands only late. */
static uint64_t add_to_made(struct table *table, uint32_t made, void *object, void *note)
{
    uint32_t start = atomic_load_explicit(&table->hint, memory_order_relaxed);
    for (uint32_t i = 0; i < made; i++) {
        uint32_t n = (start + i) % made;
        uint64_t value = slot_claim(table, n, object, note);
        if (value == 0)
            continue;
        atomic_store_explicit(&table->hint, n + 1, memory_order_relaxed);
        return value;
    }
    return 0;
}

uint64_t table_add(struct table *table, void *object, void *note)
{
    for (;;) {
        uint32_t made = slots_made(table);
        uint64_t value = add_to_made(table, made, object, note);
        if (value != 0)
            return value;
        if (made == TABLE_CHUNKS * TABLE_CHUNK_SLOTS ||
            !chunk_make(table, made / TABLE_CHUNK_SLOTS))
            return 0;
    }
}

static struct table_slot *slot_of(struct table *table, uint64_t value)
{
    if ((uint8_t)(value >> KIND_SHIFT) != table->kind)
        return NULL;
    return slot_at(table, (uint32_t)(value & SLOT_MASK));
}

void *table_acquire(struct table *table, uint64_t value)
{
    struct table_slot *slot = slot_of(table, value);
    if (!slot)
        return NULL;
    uint64_t word = atomic_load_explicit(&slot->word, memory_order_relaxed);
    do {
        if (generation_of(word) != generation_of(value) || !(word & LIVE))
            return NULL;
    } while (!atomic_compare_exchange_weak_explicit(&slot->word, &word, word + 1,
                                                    memory_order_acquire, memory_order_relaxed));
    return atomic_load_explicit(&slot->object, memory_order_relaxed);
}

void table_release(struct table *table, uint64_t value)
{
    struct table_slot *slot = slot_of(table, value);
    uint64_t before = atomic_load_explicit(&slot->word, memory_order_relaxed);
    uint64_t after;
    bool last;
    do {
        last = (before & (LIVE | USERS_MASK)) == 1;
        after = last ? (before & ~(uint64_t)USERS_MASK) | CLAIMED : before - 1;
    } while (!atomic_compare_exchange_weak_explicit(&slot->word, &before, after,
                                                    memory_order_acq_rel, memory_order_relaxed));
    if (!last)
        return;
    table->destroy(atomic_load_explicit(&slot->object, memory_order_relaxed));
    atomic_fetch_and_explicit(&slot->word, ~(uint64_t)UINT32_MAX, memory_order_release);
}

bool table_retire(struct table *table, uint64_t value)
{
    struct table_slot *slot = slot_of(table, value);
    uint64_t before = atomic_fetch_and_explicit(&slot->word, ~(uint64_t)LIVE, memory_order_acq_rel);
    return before & LIVE;
}

static bool is_live(const struct table_slot *slot, uint64_t value)
{
    uint64_t word = atomic_load_explicit(&slot->word, memory_order_acquire);
    return generation_of(word) == generation_of(value) && (word & LIVE);
}

/* The slot may be given to another object in between; then the second look sees it. */
bool table_note_get(struct table *table, uint64_t value, void **note)
{
    struct table_slot *slot = slot_of(table, value);
    if (!slot || !is_live(slot, value))
        return false;
    void *read = atomic_load_explicit(&slot->note, memory_order_acquire);
    if (!is_live(slot, value))
        return false;
    *note = read;
    return true;
}

void table_note_set(struct table *table, uint64_t value, void *note)
{
    atomic_store_explicit(&slot_of(table, value)->note, note, memory_order_release);
}

bool table_walk(struct table *table, uint32_t n, uint64_t *value)
{
    struct table_slot *slot = slot_at(table, n);
    if (!slot)
        return false;
    uint64_t word = atomic_load_explicit(&slot->word, memory_order_relaxed);
    *value = word & LIVE ? value_of(table, word, n) : 0;
    return true;
}
