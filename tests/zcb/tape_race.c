/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tape_race.c - T2 to T4 between two threads, with a reader that is overtaken all the time: no
 * record is torn, repeated or out of order, and those lost are counted.
 */
#include "race.h"
#include "zcb.h"

#include <pthread.h>
#include <sched.h>
#include <string.h>

/* A short tape: the longest records. */
enum { SNAP = TAPE_SNAP_MAX, WORDS = 64, RECORDS = 20000 };

static uint8_t *base;
static _Atomic uint32_t over;

static void *write_all(void *context)
{
    static uint64_t words[WORDS];
    static uint64_t room[sizeof(struct zcb) / 8 + 1];
    struct tape_writer *w = context;
    struct zcb *frame = (struct zcb *)(void *)room;
    frame->head = (uint8_t *)words;
    frame->head_bytes = sizeof(words);
    for (uint64_t number = 0; number < RECORDS; number++) {
        for (int i = 0; i < WORDS; i++)
            words[i] = number;
        frame->from = (uint32_t)number;
        tape_write(w, number, TAPE_RECEIVED, &frame, 1);
        if (number % 50 == 0)
            sched_yield();
    }
    atomic_store(&over, 1u);
    return NULL;
}

static void look_at(const struct tape_record *record, const uint8_t *bytes, uint64_t number)
{
    uint64_t words[WORDS];
    CHECK(record->time_ns == number);
    CHECK(record->peer == (uint32_t)number);
    CHECK(record->kept_bytes == sizeof(words));
    memcpy(words, bytes, sizeof(words));
    for (int i = 0; i < WORDS; i++)
        CHECK(words[i] == number);
}

/* Until the record to be read is the one that the writer is about to overwrite. */
static void dawdle(const struct tape_reader *r)
{
    while (!atomic_load(&over) && atomic_load(&r->head->written) - r->next + 1 < r->slot_count)
        sched_yield();
}

int main(void)
{
    static uint8_t bytes[SNAP + 8];
    struct tape_about about = { 0 };
    struct tape_writer writer;
    struct tape_reader reader;
    struct tape_record record;
    pthread_t thread;
    uint64_t taken = 0;
    base = aligned_alloc(CACHE_LINE_BYTES, align_up(tape_bytes(SNAP), CACHE_LINE_BYTES));
    CHECK(base);
    tape_writer_init(&writer, base, SNAP, &about);
    CHECK(tape_reader_open(&reader, base, tape_bytes(SNAP)) == 0);
    pthread_create(&thread, NULL, write_all, &writer);
    for (bool last = false; !last;) {
        last = atomic_load(&over);
        while (dawdle(&reader), tape_read(&reader, &record, bytes)) {
            look_at(&record, bytes, reader.next - 1);
            taken++;
        }
    }
    pthread_join(thread, NULL);
    CHECK(reader.next == RECORDS && taken + reader.lost == RECORDS);
    printf("%llu of %d records, %llu lost\n", (unsigned long long)taken, RECORDS,
           (unsigned long long)reader.lost);
    free(base);
    return 0;
}
