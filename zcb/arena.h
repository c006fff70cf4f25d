/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef ZCB_ARENA_H
#define ZCB_ARENA_H

/*
 * arena.h - one memfd and one mapping of it.
 *
 * Knows:      huge and small pages, allocation up front, seals, mappings of both sides.
 * Knows not:  what lies in an arena.
 * Invariants: A1  every page exists before the arena is handed out: nothing faults with SIGBUS
 *                 later
 *             A2  the size of an arena never changes: SHRINK and GROW are sealed before anyone else
 *                 sees the descriptor, and SEAL with them
 *             A3  of an arena sealed for readers no writable mapping can be made, by anyone, any
 *                 more; the creator's own, made before, stays
 */

#include <stddef.h>

#include "synchrotron/types.h"

enum zcb_pages {
    ZCB_PAGES_SMALL, /* 4 KiB pages */
    ZCB_PAGES_TRY,   /* 2 MiB pages where they can be had, 4 KiB otherwise */
    ZCB_PAGES_HUGE,  /* 2 MiB pages or -ENOMEM */
};

enum zcb_access {
    ZCB_READ,  /* PROT_READ */
    ZCB_WRITE, /* PROT_READ | PROT_WRITE */
};

/* Who may write: decides the seals that zcb_arena_create() puts on. */
enum zcb_writer {
    ZCB_WRITER_CREATOR, /* creator maps read-write, then FUTURE_WRITE is sealed: others only read */
    ZCB_WRITER_PEER,    /* creator maps read-only; the peer it passes the descriptor to writes.
                           Always small pages: a hole the peer punches there reads as zeros */
};

struct zcb_arena {
    uint8_t *base;
    size_t bytes;        /* as mapped: a multiple of page_bytes */
    uint32_t page_bytes; /* 4096 or 2097152: says what was got */
    uint32_t id;         /* chosen by the creator; 0 is never a valid id */
    enum zcb_access access;
    uint32_t key; /* by which a transport knows it, for slices; 0: by none */
    int fd;       /* -1 after zcb_arena_close_fd() */
};

/**
 * Create, allocate, map and seal an arena of at least `bytes` bytes, all zero.
 *
 * Shapes:  name is for /proc only and may be shared by many
 * Owner:   the caller: zcb_arena_destroy()
 * Thread:  control thread (system calls, may take milliseconds)
 * Errors:  -ENOMEM no memory or no huge pages; -EMFILE, -ENFILE; *arena is then untouched
 */
int zcb_arena_create(struct zcb_arena *arena, const char *name, size_t bytes, uint32_t id,
                     enum zcb_pages pages, enum zcb_writer writer);

/**
 * Map the arena behind a descriptor that came from somebody else, after checking that it is what
 * that party promised: a memfd of exactly `bytes`, sealed against shrinking and growing.
 *
 * Owner:   takes fd on success only; the caller unmaps with zcb_arena_destroy()
 * Errors:  -EPROTO not such a file; -ENOMEM; -EACCES when write access was asked of a sealed one
 */
int zcb_arena_map(struct zcb_arena *arena, int fd, size_t bytes, uint32_t id,
                  enum zcb_access access);

/**
 * A new descriptor of the arena that reads only: what other clients get of an arena that its peer
 * writes. Needs arena->fd; the arena stays writable through descriptors handed out before.
 *
 * Owner:   the caller
 * Errors:  -EMFILE, -ENFILE, -ENOENT without /proc
 */
int zcb_arena_reader_fd(const struct zcb_arena *arena);

/* Give up the descriptor, keep the mapping. */
void zcb_arena_close_fd(struct zcb_arena *arena);

/* Unmap and close. Safe on a zeroed struct with fd == -1 or 0 bytes. */
void zcb_arena_destroy(struct zcb_arena *arena);

/* Map `bytes` at `offset` of a descriptor a second time with other access: the wake page of an
 * up channel, which its creator otherwise only reads. NULL and errno on failure. */
void *zcb_arena_map_part(int fd, size_t offset, size_t bytes, enum zcb_access access);

#endif
