/* SPDX-License-Identifier: BSD-3-Clause */
#include "pcapng.h"

#include "synchrotron/types.h"

#include <errno.h>
#include <string.h>

enum {
    BLOCK_SECTION = 0x0a0d0d0a,
    BLOCK_INTERFACE = 1,
    BLOCK_STATISTICS = 5,
    BLOCK_PACKET = 6,
    BYTE_ORDER_MAGIC = 0x1a2b3c4d,
    LINKTYPE_RAW = 101, /* a packet begins with its IPv4 or IPv6 head */
    OPTION_END = 0,
    SECTION_PROGRAM = 4,
    INTERFACE_NAME = 2,
    INTERFACE_DESCRIPTION = 3,
    INTERFACE_RESOLUTION = 9,
    PACKET_FLAGS = 2,
    STATISTICS_BEGIN = 2,
    STATISTICS_END = 3,
    STATISTICS_RECEIVED = 4,
    STATISTICS_DROPPED = 5,
    FLAGS_RECEIVED = 1,
    FLAGS_SENT = 2,
    BLOCK_BYTES_MAX = 1024, /* without what a packet carries */
    TEXT_BYTES_MAX = 255,
};

/* A block being put together, all but a packet's bytes. */
struct block {
    uint8_t byte[BLOCK_BYTES_MAX];
    uint32_t bytes;
};

static void add(struct block *b, const void *from, size_t bytes)
{
    INVARIANT(b->bytes + bytes <= sizeof(b->byte));
    memcpy(b->byte + b->bytes, from, bytes);
    b->bytes += (uint32_t)bytes;
}

static void add_16(struct block *b, uint16_t value)
{
    add(b, &value, sizeof(value));
}

static void add_32(struct block *b, uint32_t value)
{
    add(b, &value, sizeof(value));
}

/* Of times and of counters in statistics: high word first, whatever the byte order. */
static void add_time(struct block *b, uint64_t ns)
{
    add_32(b, (uint32_t)(ns >> 32));
    add_32(b, (uint32_t)ns);
}

static void add_option(struct block *b, uint16_t code, const void *value, size_t bytes)
{
    static const uint8_t zero[4];
    add_16(b, code);
    add_16(b, (uint16_t)bytes);
    add(b, value, bytes);
    add(b, zero, align_up(bytes, 4) - bytes);
}

static void add_text(struct block *b, uint16_t code, const char *text)
{
    add_option(b, code, text, strnlen(text, TEXT_BYTES_MAX));
}

static void add_option_time(struct block *b, uint16_t code, uint64_t ns)
{
    uint32_t words[2] = { (uint32_t)(ns >> 32), (uint32_t)ns };
    add_option(b, code, words, sizeof(words));
}

static void put(struct pcapng *p, const void *from, size_t bytes)
{
    if (p->error == 0 && bytes > 0 && fwrite(from, 1, bytes, p->out) != bytes)
        p->error = errno ? -errno : -EIO;
}

/* A block of words and options alone. */
static int put_block(struct pcapng *p, uint32_t type, const struct block *body)
{
    uint32_t bytes = body->bytes + 3 * (uint32_t)sizeof(uint32_t);
    const uint32_t begin[2] = { type, bytes };
    put(p, begin, sizeof(begin));
    put(p, body->byte, body->bytes);
    put(p, &bytes, sizeof(bytes));
    return p->error;
}

int pcapng_begin(struct pcapng *p, FILE *out, const struct pcapng_interface *interface)
{
    struct block section = { 0 }, about = { 0 };
    const uint8_t nanoseconds = 9;
    const uint64_t unknown_length = UINT64_MAX;
    *p = (struct pcapng){ .out = out };
    add_32(&section, BYTE_ORDER_MAGIC);
    add_16(&section, 1); /* version 1.0 */
    add_16(&section, 0);
    add(&section, &unknown_length, sizeof(unknown_length));
    add_text(&section, SECTION_PROGRAM, interface->program);
    add_32(&section, OPTION_END);
    put_block(p, BLOCK_SECTION, &section);
    add_16(&about, LINKTYPE_RAW);
    add_16(&about, 0);
    add_32(&about, interface->snap_bytes);
    add_text(&about, INTERFACE_NAME, interface->name);
    add_text(&about, INTERFACE_DESCRIPTION, interface->description);
    add_option(&about, INTERFACE_RESOLUTION, &nanoseconds, sizeof(nanoseconds));
    add_32(&about, OPTION_END);
    return put_block(p, BLOCK_INTERFACE, &about);
}

int pcapng_packet(struct pcapng *p, const struct pcapng_packet *packet)
{
    static const uint8_t zero[4];
    struct block before = { 0 }, behind = { 0 };
    const uint32_t flags = packet->sent ? FLAGS_SENT : FLAGS_RECEIVED;
    const uint32_t kept = packet->head_bytes + packet->body_bytes;
    const uint32_t padding = (uint32_t)align_up(kept, 4) - kept;
    const uint32_t fixed = 8 * (uint32_t)sizeof(uint32_t); /* words of every packet block */
    add_option(&behind, PACKET_FLAGS, &flags, sizeof(flags));
    add_32(&behind, OPTION_END);
    const uint32_t bytes = fixed + kept + padding + behind.bytes;
    add_32(&behind, bytes);
    add_32(&before, BLOCK_PACKET);
    add_32(&before, bytes);
    add_32(&before, 0); /* the interface */
    add_time(&before, packet->time_ns);
    add_32(&before, kept);
    add_32(&before, packet->packet_bytes);
    put(p, before.byte, before.bytes);
    put(p, packet->head, packet->head_bytes);
    put(p, packet->body, packet->body_bytes);
    put(p, zero, padding);
    put(p, behind.byte, behind.bytes);
    return p->error;
}

int pcapng_flush(struct pcapng *p)
{
    if (p->error == 0 && fflush(p->out) != 0)
        p->error = -errno;
    return p->error;
}

int pcapng_end(struct pcapng *p, const struct pcapng_counts *counts)
{
    struct block body = { 0 };
    add_32(&body, 0); /* the interface */
    add_time(&body, counts->end_ns);
    add_option_time(&body, STATISTICS_BEGIN, counts->begin_ns);
    add_option_time(&body, STATISTICS_END, counts->end_ns);
    add_option(&body, STATISTICS_RECEIVED, &counts->passed, sizeof(counts->passed));
    add_option(&body, STATISTICS_DROPPED, &counts->lost, sizeof(counts->lost));
    add_32(&body, OPTION_END);
    put_block(p, BLOCK_STATISTICS, &body);
    return pcapng_flush(p);
}
