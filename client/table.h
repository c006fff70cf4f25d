/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CLIENT_TABLE_H
#define CLIENT_TABLE_H

/*
 * table.h - from the numbers that programs hold to our objects.
 *
 * A value is generation << 32 | kind << 24 | slot. A slot counts its users; the object goes when
 * it was retired and the last user has released it. Nothing here waits or takes a lock, so a table
 * is never left locked by a thread that fork() did not copy.
 *
 * Knows:      slots, generations, use counts.
 * Knows not:  what the objects are.
 * Invariants: T1  a value is never 0, and a slot's next value differs from the 2^32 before it
 *             T2  an object that was acquired stays until it is released
 *             T3  after table_retire() nobody acquires the object any more; one caller of several
 *                 at once succeeds
 */

#include <stdatomic.h>

#include "synchrotron/types.h"

enum {
    TABLE_CHUNK_SLOTS = 64,
    TABLE_CHUNKS = 1024,
};

struct table_chunk;

struct table {
    uint8_t kind; /* not 0; tells the values of two tables apart */
    void (*destroy)(void *object);
    _Atomic uint32_t hint; /* where a free slot may be */
    _Atomic(struct table_chunk *) chunk[TABLE_CHUNKS];
};

/* A value for the object, to be acquired from now on; 0 when there is no memory or no slot. `note`
 * is any pointer that goes with the value. */
uint64_t table_add(struct table *table, void *object, void *note);

/* The object of a value, with one use of it; NULL when the value is not (or no longer) valid. */
void *table_acquire(struct table *table, uint64_t value);

/* End one use. The last one of a retired object destroys it. */
void table_release(struct table *table, uint64_t value);

/* Make the value invalid. The caller must hold a use, and still releases it. False: too late. */
bool table_retire(struct table *table, uint64_t value);

/* Read the note, with no more than three loads; false when the value is not valid. To write it the
 * caller must hold a use. */
bool table_note_get(struct table *table, uint64_t value, void **note);
void table_note_set(struct table *table, uint64_t value, void *note);

/* The n-th slot's value while it is valid, else 0; values end where false is returned. */
bool table_walk(struct table *table, uint32_t n, uint64_t *value);

#endif
