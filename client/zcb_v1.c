/* SPDX-License-Identifier: BSD-3-Clause */
#include "zcb_v1.h"

#include <search.h>
#include <string.h>
#include <sys/mman.h>

enum {
    ALIGN_BYTES = 64,
    MAP_FROM_BYTES = 128 * 1024, /* from here on pages of its own: zero, and given back at once */
};

struct zcb_buffer {
    void *start; /* the key */
    size_t size;
    size_t mapped_bytes; /* 0: not a mapping */
};

static int compare(const void *left, const void *right)
{
    uintptr_t a = (uintptr_t)((const struct zcb_buffer *)left)->start;
    uintptr_t b = (uintptr_t)((const struct zcb_buffer *)right)->start;
    return a < b ? -1 : a > b;
}

static bool get_memory(struct zcb_buffer *b, size_t size)
{
    b->size = size;
    if (size > SIZE_MAX / 2)
        return false;
    if (size >= MAP_FROM_BYTES) {
        b->mapped_bytes = align_up(size, CHAN_PAGE_BYTES);
        b->start =
            mmap(NULL, b->mapped_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        return b->start != MAP_FAILED;
    }
    size_t bytes = size > 0 ? align_up(size, ALIGN_BYTES) : (size_t)ALIGN_BYTES;
    b->start = aligned_alloc(ALIGN_BYTES, bytes);
    if (b->start)
        memset(b->start, 0, bytes);
    return b->start != NULL;
}

static void destroy_buffer(void *object)
{
    struct zcb_buffer *b = object;
    if (b->mapped_bytes > 0)
        munmap(b->start, b->mapped_bytes);
    else
        free(b->start);
    free(b);
}

static bool remember(struct handle *h, struct zcb_buffer *b)
{
    pthread_mutex_lock(&h->zcb_lock);
    bool ok = tsearch(b, &h->zcb_buffers, compare) != NULL;
    pthread_mutex_unlock(&h->zcb_lock);
    return ok;
}

cs_error_t zcb_v1_alloc(struct handle *h, size_t size, void **buffer)
{
    struct zcb_buffer *b = calloc(1, sizeof(*b));
    if (!b)
        return CS_ERR_NO_MEMORY;
    if (!get_memory(b, size)) {
        free(b);
        return CS_ERR_NO_MEMORY;
    }
    if (!remember(h, b)) {
        destroy_buffer(b);
        return CS_ERR_NO_MEMORY;
    }
    *buffer = b->start;
    return CS_OK;
}

/* Off the handle's list, and the caller's; NULL: not one of this handle. */
static struct zcb_buffer *forget(struct handle *h, void *start)
{
    struct zcb_buffer key = { .start = start };
    struct zcb_buffer *found = NULL;
    pthread_mutex_lock(&h->zcb_lock);
    void **node = tfind(&key, &h->zcb_buffers, compare);
    if (node) {
        found = *node;
        tdelete(&key, &h->zcb_buffers, compare);
    }
    pthread_mutex_unlock(&h->zcb_lock);
    return found;
}

/* Z2: the buffer may be another handle's. */
static struct zcb_buffer *forget_anywhere(void *start)
{
    uint64_t value;
    struct zcb_buffer *found = NULL;
    for (uint32_t n = 0; !found && table_walk(&handle_table, n, &value); n++) {
        struct handle *h = value ? handle_acquire(value) : NULL;
        if (!h)
            continue;
        found = forget(h, start);
        table_release(&handle_table, value);
    }
    return found;
}

cs_error_t zcb_v1_free(struct handle *h, void *buffer)
{
    struct zcb_buffer *b = forget(h, buffer);
    if (!b)
        b = forget_anywhere(buffer);
    if (!b)
        return CS_ERR_INVALID_PARAM;
    destroy_buffer(b);
    return handle_alive(h) ? CS_OK : CS_ERR_LIBRARY;
}

/* The size of a live buffer of this handle; false: it is none. */
static bool size_in(struct handle *h, const void *start, size_t *size)
{
    struct zcb_buffer key = { .start = (void *)(uintptr_t)start };
    pthread_mutex_lock(&h->zcb_lock);
    void **node = tfind(&key, &h->zcb_buffers, compare);
    if (node)
        *size = ((struct zcb_buffer *)*node)->size;
    pthread_mutex_unlock(&h->zcb_lock);
    return node != NULL;
}

static bool size_anywhere(const void *start, size_t *size)
{
    uint64_t value;
    bool found = false;
    for (uint32_t n = 0; !found && table_walk(&handle_table, n, &value); n++) {
        struct handle *h = value ? handle_acquire(value) : NULL;
        if (!h)
            continue;
        found = size_in(h, start, size);
        table_release(&handle_table, value);
    }
    return found;
}

cs_error_t zcb_v1_check(struct handle *h, const void *buffer, size_t bytes)
{
    size_t size;
    if (!size_in(h, buffer, &size) && !size_anywhere(buffer, &size))
        return CS_ERR_INVALID_PARAM;
    return bytes <= size ? CS_OK : CS_ERR_INVALID_PARAM;
}

void zcb_v1_destroy_all(struct handle *h)
{
    tdestroy(h->zcb_buffers, destroy_buffer);
    h->zcb_buffers = NULL;
}
