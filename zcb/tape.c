/* SPDX-License-Identifier: BSD-3-Clause */
#include "tape.h"

#include <errno.h>
#include <string.h>

enum {
    WORD_BYTES = sizeof(uint64_t),
    RECORD_WORDS = sizeof(struct tape_record) / WORD_BYTES,
};

uint32_t tape_snap_bytes(uint32_t wish, uint32_t frame_bytes_max)
{
    uint32_t most = min_u32(frame_bytes_max, TAPE_SNAP_MAX);
    uint32_t snap = wish == 0 ? most : min_u32(wish, most);
    return snap < TAPE_SNAP_LEAST ? TAPE_SNAP_LEAST : snap;
}

static uint32_t slot_bytes(uint32_t snap_bytes)
{
    return (uint32_t)align_up(sizeof(struct tape_record) + snap_bytes, CACHE_LINE_BYTES);
}

/* A power of two: the largest that TAPE_BYTES has room for. */
static uint32_t slot_count(uint32_t snap_bytes)
{
    return 1u << (31 - __builtin_clz(TAPE_BYTES / slot_bytes(snap_bytes)));
}
static_assert(TAPE_BYTES / (TAPE_SNAP_MAX + 2 * CACHE_LINE_BYTES) > 2 * TAPE_BURST_MAX,
              "a burst has slots of its own");

size_t tape_bytes(uint32_t snap_bytes)
{
    return TAPE_HEAD_BYTES + (size_t)slot_count(snap_bytes) * slot_bytes(snap_bytes);
}

void tape_writer_init(struct tape_writer *w, uint8_t *base, uint32_t snap_bytes,
                      const struct tape_about *about)
{
    INVARIANT(snap_bytes >= TAPE_SNAP_LEAST && snap_bytes <= TAPE_SNAP_MAX);
    struct tape_head *head = (struct tape_head *)(void *)base;
    *w = (struct tape_writer){
        .head = head,
        .slots = (_Atomic uint64_t *)(void *)(base + TAPE_HEAD_BYTES),
        .slot_words = slot_bytes(snap_bytes) / WORD_BYTES,
        .slot_mask = slot_count(snap_bytes) - 1,
        .slot_count = slot_count(snap_bytes),
        .snap_bytes = snap_bytes,
    };
    head->magic = TAPE_MAGIC;
    head->snap_bytes = snap_bytes;
    head->slot_bytes = slot_bytes(snap_bytes);
    head->slot_count = w->slot_count;
    head->about = *about;
}

/* Bytes on their way into the words of a slot. Words, because each is read and written in one
 * piece: a reader that comes too late sees old ones and new ones, and no race. */
struct pen {
    _Atomic uint64_t *to;
    uint64_t word; /* not yet full */
    uint32_t filled, room;
};

static void put_word(struct pen *p, uint64_t word)
{
    atomic_store_explicit(p->to++, word, memory_order_relaxed);
}

/* Up to the end of the word under way; returns how many. */
static uint32_t put_beginning(struct pen *p, const uint8_t *from, uint32_t bytes)
{
    uint32_t step = min_u32(bytes, WORD_BYTES - p->filled);
    memcpy((uint8_t *)&p->word + p->filled, from, step);
    p->filled += step;
    if (p->filled == WORD_BYTES) {
        put_word(p, p->word);
        p->word = p->filled = 0;
    }
    return step;
}

static void put(struct pen *p, const uint8_t *from, uint32_t bytes)
{
    uint64_t word;
    bytes = min_u32(bytes, p->room);
    p->room -= bytes;
    uint32_t at = p->filled > 0 && bytes > 0 ? put_beginning(p, from, bytes) : 0;
    for (; bytes - at >= WORD_BYTES; at += WORD_BYTES) {
        memcpy(&word, from + at, WORD_BYTES);
        put_word(p, word);
    }
    if (at < bytes)
        put_beginning(p, from + at, bytes - at);
}

static void write_one(struct tape_writer *w, uint64_t number, uint64_t now_ns,
                      enum tape_direction direction, const struct zcb *frame)
{
    uint32_t frame_bytes = frame->head_bytes + frame->payload_bytes;
    struct tape_record record = {
        .time_ns = now_ns,
        .direction = direction,
        .peer = direction == TAPE_RECEIVED ? frame->from : frame->dest,
        .frame_bytes = frame_bytes,
        .kept_bytes = min_u32(frame_bytes, w->snap_bytes),
    };
    struct pen pen = {
        .to = w->slots + (size_t)(number & w->slot_mask) * w->slot_words,
        .room = sizeof(record) + record.kept_bytes,
    };
    put(&pen, (const uint8_t *)&record, sizeof(record));
    put(&pen, frame->head, frame->head_bytes);
    for (int i = 0; i < frame->slice_count && pen.room > 0; i++)
        put(&pen, frame->slice[i].data, frame->slice[i].bytes);
    if (pen.filled > 0)
        put_word(&pen, pen.word);
}

/* The thread sanitizer knows no fences. Where it runs the processor keeps this order by itself. */
static void tape_fence(memory_order order)
{
#ifdef __SANITIZE_THREAD__
    atomic_signal_fence(order);
#else
    atomic_thread_fence(order);
#endif
}

void tape_write(struct tape_writer *w, uint64_t now_ns, enum tape_direction direction,
                struct zcb *const *frames, int count)
{
    uint64_t number = w->written;
    INVARIANT(count <= TAPE_BURST_MAX);
    w->written += (uint32_t)count;
    atomic_store_explicit(&w->head->claimed, w->written, memory_order_relaxed);
    tape_fence(memory_order_release); /* T2: pairs with the one in still_there() */
    for (int i = 0; i < count; i++)
        write_one(w, number + (uint32_t)i, now_ns, direction, frames[i]);
    /* T3: pairs with the acquire in tape_read() */
    atomic_store_explicit(&w->head->written, w->written, memory_order_release);
}

int tape_reader_open(struct tape_reader *r, const uint8_t *base, size_t bytes)
{
    const struct tape_head *head = (const struct tape_head *)(const void *)base;
    if (bytes < TAPE_HEAD_BYTES || head->magic != TAPE_MAGIC ||
        head->snap_bytes < TAPE_SNAP_LEAST || head->snap_bytes > TAPE_SNAP_MAX ||
        head->slot_bytes != slot_bytes(head->snap_bytes) ||
        head->slot_count != slot_count(head->snap_bytes) || bytes < tape_bytes(head->snap_bytes) ||
        head->about.node_count > NODE_COUNT_MAX)
        return -EPROTO;
    *r = (struct tape_reader){
        .head = head,
        .slots = (const _Atomic uint64_t *)(const void *)(base + TAPE_HEAD_BYTES),
        .slot_words = head->slot_bytes / WORD_BYTES,
        .slot_count = head->slot_count,
        .snap_bytes = head->snap_bytes,
    };
    return 0;
}

static void get(const _Atomic uint64_t *from, void *to, uint32_t words)
{
    uint64_t word;
    for (uint32_t i = 0; i < words; i++) {
        word = atomic_load_explicit(from + i, memory_order_relaxed);
        memcpy((uint8_t *)to + (size_t)i * WORD_BYTES, &word, WORD_BYTES);
    }
}

/* Of what was read so far of record `next`: had nobody claimed its slot again? */
static bool still_there(const struct tape_reader *r)
{
    tape_fence(memory_order_acquire); /* T2: pairs with the one in tape_write() */
    uint64_t claimed = atomic_load_explicit(&r->head->claimed, memory_order_relaxed);
    return claimed <= r->next + r->slot_count;
}

static bool copy(const struct tape_reader *r, struct tape_record *record, uint8_t *bytes)
{
    const _Atomic uint64_t *slot = r->slots + (r->next & (r->slot_count - 1)) * r->slot_words;
    get(slot, record, RECORD_WORDS);
    uint32_t kept = min_u32(record->kept_bytes, r->snap_bytes); /* it may be half another's */
    get(slot + RECORD_WORDS, bytes, (kept + WORD_BYTES - 1) / WORD_BYTES);
    return still_there(r) && record->kept_bytes == kept;
}

bool tape_read(struct tape_reader *r, struct tape_record *record, uint8_t *bytes)
{
    for (;;) {
        uint64_t written = atomic_load_explicit(&r->head->written, memory_order_acquire);
        if (r->next == written)
            return false;
        if (written - r->next <= r->slot_count && copy(r, record, bytes)) {
            r->next++;
            return true;
        }
        /* Overtaken: go on half a tape behind the writer, or it happens again at once. */
        uint64_t behind = min_u64(written - r->next - 1, r->slot_count / 2);
        r->lost += written - behind - r->next;
        r->next = written - behind;
    }
}
