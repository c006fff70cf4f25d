/* SPDX-License-Identifier: BSD-3-Clause */
#include "gwire.h"

#include <errno.h>
#include <string.h>

enum { HEAD_BYTES = 4, JOIN_HEAD_BYTES = 8, ENTRY_HEAD_BYTES = 9, DIGEST_AT = 20 };

static_assert(GWIRE_SYNC_HEAD_BYTES + GWIRE_ENTRY_BYTES_MAX <= GWIRE_PART_BYTES,
              "each part carries an entry");
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "numbers are copied as they lie");

static uint32_t get_u32(const uint8_t *from)
{
    uint32_t value;
    memcpy(&value, from, sizeof(value));
    return value;
}

static void put_u32(uint8_t *to, uint32_t value)
{
    memcpy(to, &value, sizeof(value));
}

static void put_head(uint8_t *to, enum gwire_type type, uint8_t a)
{
    to[0] = (uint8_t)type;
    to[1] = GWIRE_VERSION;
    to[2] = a;
    to[3] = 0;
}

/* The bytes behind a name are zero wherever we keep one (N3). */
static void get_name(struct core_name *name, const uint8_t *from, uint8_t bytes)
{
    memset(name, 0, sizeof(*name));
    name->bytes = bytes;
    memcpy(name->value, from, bytes);
}

uint32_t gwire_put_join(uint8_t *to, uint32_t pid, const struct core_name *name)
{
    put_head(to, GWIRE_JOIN, (uint8_t)name->bytes);
    put_u32(to + HEAD_BYTES, pid);
    memcpy(to + JOIN_HEAD_BYTES, name->value, name->bytes);
    return JOIN_HEAD_BYTES + name->bytes;
}

uint32_t gwire_put_leave(uint8_t *to, enum leave_reason reason)
{
    put_head(to, GWIRE_LEAVE, (uint8_t)reason);
    return HEAD_BYTES;
}

uint32_t gwire_put_sync(uint8_t *to, struct ring_id ring_id, uint32_t part)
{
    put_head(to, GWIRE_SYNC, 0);
    put_u32(to + 4, part);
    put_u32(to + 8, ring_id.rep);
    memcpy(to + 12, &ring_id.seq, sizeof(ring_id.seq));
    return GWIRE_SYNC_HEAD_BYTES;
}

uint32_t gwire_put_entry(uint8_t *to, uint32_t port, uint32_t pid, const struct core_name *name)
{
    put_u32(to, port);
    put_u32(to + 4, pid);
    to[8] = (uint8_t)name->bytes;
    memcpy(to + ENTRY_HEAD_BYTES, name->value, name->bytes);
    return ENTRY_HEAD_BYTES + name->bytes;
}

/* FNV-1a, folded. Not against those who mean harm: that is what authentication is for. */
static uint32_t digest(const uint8_t *part, uint32_t bytes)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (uint32_t i = 0; i < bytes; i++) {
        if (i < DIGEST_AT || i >= GWIRE_SYNC_HEAD_BYTES)
            hash = (hash ^ part[i]) * UINT64_C(0x100000001b3);
    }
    return (uint32_t)(hash ^ hash >> 32);
}

void gwire_end_part(uint8_t *part, uint32_t bytes, bool last)
{
    part[2] = last;
    put_u32(part + DIGEST_AT, digest(part, bytes));
}

static int get_join(struct gwire_message *message, const uint8_t *from, uint32_t bytes)
{
    uint8_t name_bytes = from[2];
    if (name_bytes > CTL_NAME_BYTES || bytes != JOIN_HEAD_BYTES + (uint32_t)name_bytes)
        return -EBADMSG;
    message->pid = get_u32(from + HEAD_BYTES);
    get_name(&message->name, from + JOIN_HEAD_BYTES, name_bytes);
    return 0;
}

static int get_leave(struct gwire_message *message, const uint8_t *from, uint32_t bytes)
{
    if (bytes != HEAD_BYTES || (from[2] != REASON_LEAVE && from[2] != REASON_PROCDOWN))
        return -EBADMSG;
    message->reason = from[2];
    return 0;
}

static int get_sync(struct gwire_message *message, const uint8_t *from, uint32_t bytes)
{
    if (bytes < GWIRE_SYNC_HEAD_BYTES || bytes > GWIRE_PART_BYTES || from[2] > 1 ||
        get_u32(from + DIGEST_AT) != digest(from, bytes))
        return -EBADMSG;
    message->last = from[2] == 1;
    message->part = get_u32(from + 4);
    message->ring_id.rep = get_u32(from + 8);
    memcpy(&message->ring_id.seq, from + 12, sizeof(message->ring_id.seq));
    message->entries = from + GWIRE_SYNC_HEAD_BYTES;
    message->entries_bytes = bytes - GWIRE_SYNC_HEAD_BYTES;
    return 0;
}

int gwire_get(struct gwire_message *message, const uint8_t *from, uint32_t bytes)
{
    *message = (struct gwire_message){ 0 };
    if (bytes < HEAD_BYTES || from[1] != GWIRE_VERSION || from[3] != 0)
        return -EBADMSG;
    message->type = from[0];
    switch (from[0]) {
    case GWIRE_JOIN:
        return get_join(message, from, bytes);
    case GWIRE_LEAVE:
        return get_leave(message, from, bytes);
    case GWIRE_SYNC:
        return get_sync(message, from, bytes);
    default:
        return -EBADMSG;
    }
}

int gwire_entry_next(struct gwire_message *message, struct gwire_entry *entry)
{
    const uint8_t *from = message->entries;
    if (message->entries_bytes == 0)
        return 0;
    if (message->entries_bytes < ENTRY_HEAD_BYTES)
        return -EBADMSG;
    uint8_t name_bytes = from[8];
    uint32_t used = ENTRY_HEAD_BYTES + (uint32_t)name_bytes;
    entry->port = get_u32(from);
    entry->pid = get_u32(from + 4);
    if (name_bytes > CTL_NAME_BYTES || used > message->entries_bytes || entry->port == 0 ||
        entry->port > GWIRE_PORT_MAX)
        return -EBADMSG;
    get_name(&entry->name, from + ENTRY_HEAD_BYTES, name_bytes);
    message->entries += used;
    message->entries_bytes -= used;
    return 1;
}
