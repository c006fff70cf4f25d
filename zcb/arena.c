/* SPDX-License-Identifier: BSD-3-Clause */
#include "arena.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

enum {
    SMALL_PAGE_BYTES = 4096,
    HUGE_PAGE_BYTES = 2 << 20,
    HUGE_FILE_MAGIC = 0x958458f6,        /* statfs of hugetlbfs */
    HUGE_FLAGS = MFD_HUGETLB | 21 << 26, /* 2^21 bytes a page */
    ALLOCATE_BYTES = 4 << 20,
};

/* In steps: a signal makes the kernel undo the whole step, and a big one might never get through.
 */
static int allocate(int fd, size_t bytes)
{
    for (size_t offset = 0; offset < bytes;) {
        size_t step = min_u64(bytes - offset, ALLOCATE_BYTES);
        if (fallocate(fd, 0, (off_t)offset, (off_t)step) == 0)
            offset += step;
        else if (errno != EINTR)
            return -ENOMEM; /* also ENOSPC, EFBIG: there is no room, whatever the kernel calls it */
    }
    return 0;
}

static void *map_with(int fd, size_t offset, size_t bytes, enum zcb_access access, int more)
{
    int prot = access == ZCB_WRITE ? PROT_READ | PROT_WRITE : PROT_READ;
    void *base = mmap(NULL, bytes, prot, MAP_SHARED | more, fd, (off_t)offset);
    return base == MAP_FAILED ? NULL : base;
}

static void *map(int fd, size_t offset, size_t bytes, enum zcb_access access)
{
    return map_with(fd, offset, bytes, access, MAP_POPULATE);
}

/* A2, A3. FUTURE_WRITE spares the mapping that is there already. */
static int seal(int fd, enum zcb_writer writer)
{
    int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
    if (writer == ZCB_WRITER_CREATOR)
        seals |= F_SEAL_FUTURE_WRITE;
    return fcntl(fd, F_ADD_SEALS, seals) == 0 ? 0 : -errno;
}

static int create_file(const char *name, bool huge)
{
    int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | (huge ? HUGE_FLAGS : 0u));
    if (fd >= 0)
        return fd;
    if (errno == EMFILE || errno == ENFILE)
        return -errno;
    return -ENOMEM; /* kernels without huge pages have several names for it */
}

static int create(struct zcb_arena *arena, const char *name, enum zcb_writer writer)
{
    int fd = create_file(name, arena->page_bytes == HUGE_PAGE_BYTES);
    if (fd < 0)
        return fd;
    int error = allocate(fd, arena->bytes);
    if (error)
        goto close_fd;
    /* Who reopens it through /proc is asked for permission: nobody but the owner may, to read. */
    error = fchmod(fd, S_IRUSR) == 0 ? 0 : -errno;
    if (error)
        goto close_fd;
    error = -ENOMEM;
    arena->access = writer == ZCB_WRITER_CREATOR ? ZCB_WRITE : ZCB_READ;
    arena->base = map(fd, 0, arena->bytes, arena->access);
    if (!arena->base)
        goto close_fd;
    error = seal(fd, writer);
    if (error)
        goto unmap;
    arena->fd = fd;
    return 0;

unmap:
    munmap(arena->base, arena->bytes);
close_fd:
    close(fd);
    return error;
}

int zcb_arena_create(struct zcb_arena *arena, const char *name, size_t bytes, uint32_t id,
                     enum zcb_pages pages, enum zcb_writer writer)
{
    INVARIANT(bytes > 0 && id != 0);
    if (bytes > SIZE_MAX / 4)
        return -ENOMEM;
    int error = -ENOMEM;
    struct zcb_arena made = { .id = id };
    /* A peer that writes may punch holes: a small page comes back as zeros, a huge one may be gone
     * for good and kill who reads it (A1). */
    if (pages != ZCB_PAGES_SMALL && writer == ZCB_WRITER_CREATOR) {
        made.page_bytes = HUGE_PAGE_BYTES;
        made.bytes = align_up(bytes, HUGE_PAGE_BYTES);
        error = create(&made, name, writer);
    }
    if (error && (pages != ZCB_PAGES_HUGE || writer == ZCB_WRITER_PEER)) {
        made.page_bytes = SMALL_PAGE_BYTES;
        made.bytes = align_up(bytes, SMALL_PAGE_BYTES);
        error = create(&made, name, writer);
    }
    if (!error)
        *arena = made;
    return error;
}

/* What a stranger's descriptor must be: seals are only had by memfds, and only these keep us from
 * a SIGBUS later. */
static bool is_arena(int fd, size_t bytes, uint32_t *page_bytes)
{
    const int needed = F_SEAL_SHRINK | F_SEAL_GROW;
    int seals = fcntl(fd, F_GET_SEALS);
    struct stat st;
    struct statfs fs;
    if (seals < 0 || (seals & needed) != needed)
        return false;
    if (fstat(fd, &st) != 0 || bytes == 0 || (uint64_t)st.st_size != bytes)
        return false;
    if (fstatfs(fd, &fs) != 0)
        return false;
    *page_bytes = fs.f_type == HUGE_FILE_MAGIC ? (uint32_t)fs.f_bsize : SMALL_PAGE_BYTES;
    return true;
}

int zcb_arena_map(struct zcb_arena *arena, int fd, size_t bytes, uint32_t id,
                  enum zcb_access access)
{
    struct zcb_arena made = { .bytes = bytes, .id = id, .access = access, .fd = fd };
    if (!is_arena(fd, bytes, &made.page_bytes))
        return -EPROTO;
    /* Page tables for a large arena that hundreds of handles of one process only read, and mostly
     * little of, come as they go. */
    made.base = access == ZCB_READ ? map_with(fd, 0, bytes, access, 0) : map(fd, 0, bytes, access);
    if (!made.base)
        return errno == EPERM || errno == EACCES ? -EACCES : -ENOMEM;
    *arena = made;
    return 0;
}

int zcb_arena_reader_fd(const struct zcb_arena *arena)
{
    char path[32];
    snprintf(path, sizeof(path), "/proc/self/fd/%d", arena->fd);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    return fd >= 0 ? fd : -errno;
}

void zcb_arena_close_fd(struct zcb_arena *arena)
{
    if (arena->fd >= 0)
        close(arena->fd);
    arena->fd = -1;
}

void zcb_arena_destroy(struct zcb_arena *arena)
{
    if (arena->bytes == 0)
        return; /* never made: fd 0 of a zeroed struct is somebody else's */
    munmap(arena->base, arena->bytes);
    zcb_arena_close_fd(arena);
    *arena = (struct zcb_arena){ .fd = -1 };
}

void *zcb_arena_map_part(int fd, size_t offset, size_t bytes, enum zcb_access access)
{
    return map(fd, offset, bytes, access);
}
