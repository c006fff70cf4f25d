/* SPDX-License-Identifier: BSD-3-Clause */
#include "zcb.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ARENA_BYTES = 3 * 4096, ARENA_ID = 7 };

/* Stands in for the C library's, to fail some calls in a row. */
static struct failing {
    unsigned from_call, calls; /* 0: none fails */
    int error;
    unsigned seen;
    uint64_t allocated;
} failing;

int fallocate(int fd, int mode, off_t offset, off_t bytes)
{
    unsigned call = ++failing.seen;
    if (failing.from_call && call >= failing.from_call &&
        call < failing.from_call + failing.calls) {
        errno = failing.error;
        return -1;
    }
    int result = (int)syscall(SYS_fallocate, fd, mode, offset, bytes);
    if (result == 0)
        failing.allocated += (uint64_t)bytes;
    return result;
}

static struct zcb_arena arena_of(enum zcb_writer writer)
{
    struct zcb_arena arena = { .fd = -1 };
    cr_assert(eq(
        int, zcb_arena_create(&arena, "arena_test", ARENA_BYTES, ARENA_ID, ZCB_PAGES_SMALL, writer),
        0));
    cr_assert(eq(int, arena.access, writer == ZCB_WRITER_CREATOR ? ZCB_WRITE : ZCB_READ));
    return arena;
}

/* What somebody else has who was handed the descriptor. */
static int received(const struct zcb_arena *arena)
{
    int fd = dup(arena->fd);
    cr_assert(ge(int, fd, 0));
    return fd;
}

static int reopened(int fd, int flags)
{
    char path[32];
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    return open(path, flags | O_CLOEXEC);
}

static int map_errno(int fd, int prot)
{
    void *base = mmap(NULL, ARENA_BYTES, prot, MAP_SHARED, fd, 0);
    if (base == MAP_FAILED)
        return errno;
    munmap(base, ARENA_BYTES);
    return 0;
}

Test(arena, A1_every_page_exists_from_the_start)
{
    for (int writer = ZCB_WRITER_CREATOR; writer <= ZCB_WRITER_PEER; writer++) {
        struct zcb_arena arena = arena_of(writer);
        struct stat st;
        cr_assert(eq(int, fstat(arena.fd, &st), 0));
        cr_assert(ge(long, st.st_blocks * 512L, ARENA_BYTES));
        zcb_arena_destroy(&arena);
    }
}

Test(arena, is_zero_rounded_up_to_pages_and_says_what_it_is)
{
    struct zcb_arena arena = { 0 };
    cr_assert(
        eq(int, zcb_arena_create(&arena, "a", 4097, 9, ZCB_PAGES_SMALL, ZCB_WRITER_CREATOR), 0));
    cr_assert(eq(sz, arena.bytes, 8192));
    cr_assert(eq(u32, arena.page_bytes, 4096));
    cr_assert(eq(u32, arena.id, 9));
    cr_assert(fcntl(arena.fd, F_GETFD) & FD_CLOEXEC);
    for (size_t i = 0; i < arena.bytes; i++)
        cr_assert(eq(u8, arena.base[i], 0));
    zcb_arena_destroy(&arena);
}

Test(arena, A1_is_allocated_in_full_however_often_signals_interrupt)
{
    for (unsigned late = 1; late <= 5; late++) {
        struct zcb_arena arena = { 0 };
        struct stat st;
        failing = (struct failing){ .from_call = late, .calls = 5, .error = EINTR };
        cr_assert(eq(
            int, zcb_arena_create(&arena, "a", 20 << 20, 1, ZCB_PAGES_SMALL, ZCB_WRITER_PEER), 0));
        cr_assert(lt(u32, late, failing.seen));
        cr_assert(eq(int, fstat(arena.fd, &st), 0));
        cr_assert(ge(long, st.st_blocks * 512L, 20L << 20));
        cr_assert(eq(u64, failing.allocated, 20 << 20));
        zcb_arena_destroy(&arena);
    }
}

Test(arena, A1_room_that_runs_out_leaves_no_descriptor_behind)
{
    int lowest = dup(0);
    close(lowest);
    for (unsigned late = 1; late <= 5; late++) {
        struct zcb_arena arena = { .fd = 77 };
        failing = (struct failing){ .from_call = late, .calls = 9, .error = ENOSPC };
        cr_assert(eq(int,
                     zcb_arena_create(&arena, "a", 20 << 20, 1, ZCB_PAGES_SMALL, ZCB_WRITER_PEER),
                     -ENOMEM));
        cr_assert(eq(int, arena.fd, 77));
        int now = dup(0);
        close(now);
        cr_assert(eq(int, now, lowest));
    }
}

Test(arena, A2_nobody_changes_the_size)
{
    for (int writer = ZCB_WRITER_CREATOR; writer <= ZCB_WRITER_PEER; writer++) {
        struct zcb_arena arena = arena_of(writer);
        int fd = received(&arena);
        cr_assert(eq(int, ftruncate(fd, ARENA_BYTES - 4096), -1));
        cr_assert(eq(int, errno, EPERM));
        cr_assert(eq(int, ftruncate(fd, ARENA_BYTES + 4096), -1));
        cr_assert(eq(int, errno, EPERM));
        cr_assert(eq(int, fallocate(fd, 0, ARENA_BYTES, 4096), -1));
        int again = reopened(fd, O_RDWR | O_TRUNC);
        cr_assert(lt(int, again, 0));
        cr_assert(eq(int, fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), -1));
        cr_assert(eq(int, errno, EPERM));
        struct stat st;
        cr_assert(eq(int, fstat(fd, &st), 0));
        cr_assert(eq(long, (long)st.st_size, ARENA_BYTES));
        close(fd);
        zcb_arena_destroy(&arena);
    }
}

Test(arena, A3_a_receiver_cannot_make_a_writable_mapping)
{
    struct zcb_arena arena = arena_of(ZCB_WRITER_CREATOR);
    int fd = received(&arena);
    cr_assert(eq(int, map_errno(fd, PROT_READ | PROT_WRITE), EPERM));
    cr_assert(eq(int, map_errno(fd, PROT_WRITE), EPERM));
    cr_assert(eq(int, map_errno(fd, PROT_READ), 0));
    close(fd);
    zcb_arena_destroy(&arena);
}

Test(arena, A3_reopening_through_proc_gives_no_write_access)
{
    struct zcb_arena arena = arena_of(ZCB_WRITER_CREATOR);
    int fd = reopened(arena.fd, O_RDWR); /* root may, others not even that */
    if (fd >= 0) {
        cr_assert(eq(int, map_errno(fd, PROT_READ | PROT_WRITE), EPERM));
        cr_assert(eq(long, (long)write(fd, "x", 1), -1));
        cr_assert(eq(int, errno, EPERM));
        close(fd);
    } else {
        cr_assert(eq(int, errno, EACCES));
    }
    zcb_arena_destroy(&arena);
}

Test(arena, A3_mprotect_does_not_make_a_reader_a_writer)
{
    struct zcb_arena arena = arena_of(ZCB_WRITER_CREATOR);
    struct zcb_arena mine = { 0 };
    cr_assert(eq(int, zcb_arena_map(&mine, received(&arena), ARENA_BYTES, ARENA_ID, ZCB_READ), 0));
    cr_assert(eq(int, mprotect(mine.base, mine.bytes, PROT_READ | PROT_WRITE), -1));
    cr_assert(eq(int, errno, EACCES));
    zcb_arena_destroy(&mine);
    zcb_arena_destroy(&arena);
}

Test(arena, A3_write_and_holes_are_denied_too)
{
    struct zcb_arena arena = arena_of(ZCB_WRITER_CREATOR);
    int fd = received(&arena);
    cr_assert(eq(long, (long)pwrite(fd, "x", 1, 0), -1));
    cr_assert(eq(int, errno, EPERM));
    cr_assert(
        eq(int, fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, ARENA_BYTES), -1));
    cr_assert(eq(int, errno, EPERM));
    close(fd);
    zcb_arena_destroy(&arena);
}

Test(arena, A3_the_creators_own_mapping_stays_writable_and_readers_see_it)
{
    struct zcb_arena arena = arena_of(ZCB_WRITER_CREATOR);
    struct zcb_arena mine = { 0 };
    cr_assert(eq(int, zcb_arena_map(&mine, received(&arena), ARENA_BYTES, ARENA_ID, ZCB_READ), 0));
    arena.base[ARENA_BYTES - 1] = 0x5a;
    cr_assert(eq(u8, mine.base[ARENA_BYTES - 1], 0x5a));
    zcb_arena_destroy(&mine);
    zcb_arena_destroy(&arena);
}

Test(arena, a_peer_maps_writable_and_the_creator_reads)
{
    struct zcb_arena arena = arena_of(ZCB_WRITER_PEER);
    struct zcb_arena peer = { 0 };
    cr_assert(eq(int, zcb_arena_map(&peer, received(&arena), ARENA_BYTES, ARENA_ID, ZCB_WRITE), 0));
    cr_assert(eq(u32, peer.id, ARENA_ID));
    cr_assert(eq(u32, peer.page_bytes, 4096));
    peer.base[5000] = 0x42;
    cr_assert(eq(u8, arena.base[5000], 0x42));
    zcb_arena_destroy(&peer);
    zcb_arena_destroy(&arena);
}

Test(arena, the_creator_cannot_write_what_the_peer_writes)
{
    struct zcb_arena arena = arena_of(ZCB_WRITER_PEER);
    int ends[2];
    cr_assert(eq(int, pipe(ends), 0));
    cr_assert(eq(long, (long)write(ends[1], "x", 1), 1));
    /* The kernel tries for us: a fault here is an errno, not a signal. */
    cr_assert(eq(long, (long)read(ends[0], arena.base, 1), -1));
    cr_assert(eq(int, errno, EFAULT));
    zcb_arena_destroy(&arena);
}

Test(arena, the_creator_writes_the_part_it_mapped_so)
{
    struct zcb_arena arena = arena_of(ZCB_WRITER_PEER);
    volatile uint8_t *part = zcb_arena_map_part(arena.fd, 4096, 4096, ZCB_WRITE);
    cr_assert(ne(ptr, (void *)part, NULL));
    part[1] = 9;
    cr_assert(eq(u8, arena.base[4097], 9));
    munmap((void *)part, 4096);
    cr_assert(eq(ptr, zcb_arena_map_part(-1, 0, 4096, ZCB_READ), NULL));
    cr_assert(eq(int, errno, EBADF));
    zcb_arena_destroy(&arena);
}

Test(arena, A1_a_hole_punched_by_the_peer_reads_as_zeros)
{
    struct zcb_arena arena = { 0 };
    cr_assert(eq(
        int, zcb_arena_create(&arena, "holes", ARENA_BYTES, 1, ZCB_PAGES_TRY, ZCB_WRITER_PEER), 0));
    cr_assert(eq(u32, arena.page_bytes, 4096));
    int fd = received(&arena);
    cr_assert(eq(long, (long)pwrite(fd, "x", 1, 100), 1));
    cr_assert(
        eq(int, fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, ARENA_BYTES), 0));
    cr_assert(eq(u8, ((volatile uint8_t *)arena.base)[100], 0));
    close(fd);
    zcb_arena_destroy(&arena);
}

Test(arena, a_readers_descriptor_of_a_peers_arena_only_reads)
{
    struct zcb_arena arena = arena_of(ZCB_WRITER_PEER);
    int fd = zcb_arena_reader_fd(&arena);
    cr_assert(ge(int, fd, 0));
    cr_assert(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    struct zcb_arena mine = { 0 };
    cr_assert(eq(int, zcb_arena_map(&mine, fd, ARENA_BYTES, ARENA_ID, ZCB_WRITE), -EACCES));
    cr_assert(eq(int, zcb_arena_map(&mine, fd, ARENA_BYTES, ARENA_ID, ZCB_READ), 0));
    cr_assert(eq(int, mprotect(mine.base, mine.bytes, PROT_READ | PROT_WRITE), -1));
    zcb_arena_destroy(&mine);
    zcb_arena_destroy(&arena);
}

Test(arena, another_user_cannot_reopen_a_readers_descriptor_to_write)
{
    if (geteuid() != 0)
        cr_skip_test("needs root to become another user");
    struct zcb_arena arena = arena_of(ZCB_WRITER_PEER);
    int fd = zcb_arena_reader_fd(&arena);
    pid_t child = fork();
    if (child == 0) {
        if (setresgid(65534, 65534, 65534) != 0 || setresuid(65534, 65534, 65534) != 0)
            _exit(2);
        _exit(reopened(fd, O_RDWR) < 0 && errno == EACCES ? 0 : 1);
    }
    int status;
    cr_assert(eq(int, waitpid(child, &status, 0), child));
    cr_assert(eq(int, status, 0));
    close(fd);
    zcb_arena_destroy(&arena);
}

Test(arena, refuses_what_is_not_a_sealed_memfd_of_that_size)
{
    struct zcb_arena mine = { .fd = 123 };
    struct zcb_arena arena = arena_of(ZCB_WRITER_CREATOR);
    cr_assert(eq(int, zcb_arena_map(&mine, arena.fd, ARENA_BYTES - 4096, 1, ZCB_READ), -EPROTO));
    cr_assert(eq(int, zcb_arena_map(&mine, arena.fd, ARENA_BYTES + 4096, 1, ZCB_READ), -EPROTO));
    cr_assert(eq(int, zcb_arena_map(&mine, arena.fd, 0, 1, ZCB_READ), -EPROTO));

    int memfd = memfd_create("unsealed", MFD_ALLOW_SEALING);
    cr_assert(eq(int, ftruncate(memfd, ARENA_BYTES), 0));
    cr_assert(eq(int, zcb_arena_map(&mine, memfd, ARENA_BYTES, 1, ZCB_READ), -EPROTO));
    cr_assert(eq(int, fcntl(memfd, F_ADD_SEALS, F_SEAL_GROW), 0));
    cr_assert(eq(int, zcb_arena_map(&mine, memfd, ARENA_BYTES, 1, ZCB_READ), -EPROTO));

    int ends[2];
    cr_assert(eq(int, pipe(ends), 0));
    cr_assert(eq(int, zcb_arena_map(&mine, ends[0], ARENA_BYTES, 1, ZCB_READ), -EPROTO));
    int unix_ends[2];
    cr_assert(eq(int, socketpair(AF_UNIX, SOCK_STREAM, 0, unix_ends), 0));
    cr_assert(eq(int, zcb_arena_map(&mine, unix_ends[0], ARENA_BYTES, 1, ZCB_READ), -EPROTO));
    int file = open("/proc/self/exe", O_RDONLY);
    cr_assert(eq(int, zcb_arena_map(&mine, file, 4096, 1, ZCB_READ), -EPROTO));
    cr_assert(eq(int, zcb_arena_map(&mine, -1, 4096, 1, ZCB_READ), -EPROTO));
    cr_assert(eq(int, mine.fd, 123));
}

Test(arena, a_refused_descriptor_stays_the_callers)
{
    struct zcb_arena arena = arena_of(ZCB_WRITER_CREATOR);
    struct zcb_arena mine = { 0 };
    int fd = received(&arena);
    cr_assert(eq(int, zcb_arena_map(&mine, fd, ARENA_BYTES, ARENA_ID, ZCB_WRITE), -EACCES));
    cr_assert(ge(int, fcntl(fd, F_GETFD), 0));
    close(fd);
    zcb_arena_destroy(&arena);
}

Test(arena, huge_pages_are_had_in_full_or_refused)
{
    struct zcb_arena arena = { .fd = 77 };
    int error = zcb_arena_create(&arena, "huge", 3 << 20, 1, ZCB_PAGES_HUGE, ZCB_WRITER_CREATOR);
    if (error) {
        cr_assert(eq(int, error, -ENOMEM));
        cr_assert(eq(int, arena.fd, 77));
        return;
    }
    cr_assert(eq(u32, arena.page_bytes, 2 << 20));
    cr_assert(eq(sz, arena.bytes, 4 << 20));
    struct zcb_arena mine = { 0 };
    cr_assert(eq(int, zcb_arena_map(&mine, received(&arena), arena.bytes, 1, ZCB_READ), 0));
    cr_assert(eq(u32, mine.page_bytes, 2 << 20));
    arena.base[(4 << 20) - 1] = 3;
    cr_assert(eq(u8, mine.base[(4 << 20) - 1], 3));
    cr_assert(
        eq(ptr, mmap(NULL, 2 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, arena.fd, 0), MAP_FAILED));
    zcb_arena_destroy(&mine);
    zcb_arena_destroy(&arena);
}

Test(arena, more_than_the_huge_pages_there_are_falls_back_to_small_ones)
{
    struct zcb_arena arena = { 0 };
    int error = zcb_arena_create(&arena, "try", 32 << 20, 1, ZCB_PAGES_TRY, ZCB_WRITER_CREATOR);
    cr_assert(eq(int, error, 0));
    cr_assert(arena.page_bytes == 4096 || arena.page_bytes == 2 << 20);
    memset(arena.base, 1, arena.bytes); /* A1: would be a SIGBUS */
    zcb_arena_destroy(&arena);
}

Test(arena, without_descriptors_or_memory_nothing_is_left_behind)
{
    struct zcb_arena arena = { .fd = 77 };
    cr_assert(eq(int,
                 zcb_arena_create(&arena, "a", SIZE_MAX / 2, 1, ZCB_PAGES_TRY, ZCB_WRITER_CREATOR),
                 -ENOMEM));
    int lowest = dup(0);
    close(lowest);
    struct rlimit none = { .rlim_cur = (rlim_t)lowest, .rlim_max = (rlim_t)lowest };
    cr_assert(eq(int, setrlimit(RLIMIT_NOFILE, &none), 0));
    for (int pages = ZCB_PAGES_SMALL; pages <= ZCB_PAGES_HUGE; pages++)
        cr_assert(
            eq(int, zcb_arena_create(&arena, "a", 4096, 1, pages, ZCB_WRITER_CREATOR), -EMFILE));
    cr_assert(eq(int, arena.fd, 77));
}

Test(arena, a_mapping_outlives_its_descriptor)
{
    struct zcb_arena arena = arena_of(ZCB_WRITER_CREATOR);
    int fd = arena.fd;
    zcb_arena_close_fd(&arena);
    zcb_arena_close_fd(&arena);
    cr_assert(eq(int, fcntl(fd, F_GETFD), -1));
    arena.base[0] = 1;
    zcb_arena_destroy(&arena);
    cr_assert(eq(sz, arena.bytes, 0));
    zcb_arena_destroy(&arena);
}

Test(arena, destroying_what_was_never_made_closes_nobodys_descriptor)
{
    struct zcb_arena arena = { 0 };
    zcb_arena_destroy(&arena);
    cr_assert(ge(int, fcntl(0, F_GETFD), 0));
}
