/* SPDX-License-Identifier: BSD-3-Clause */
/* hostile_memory.c - clients that would write where only others may, or take memory away. */
#include "intruder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static const char group[] = "hostile";

/* By every way there is. */
static void expect_not_writable(int fd, size_t bytes)
{
    char path[40];
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    const int prots[] = { PROT_WRITE, PROT_READ | PROT_WRITE, PROT_WRITE | PROT_EXEC };
    for (size_t i = 0; i < ARRAY_COUNT(prots); i++)
        EXPECT(mmap(NULL, bytes, prots[i], MAP_SHARED, fd, 0) == MAP_FAILED);
    void *base = mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, 0);
    CHECK(base != MAP_FAILED);
    EXPECT(mprotect(base, bytes, PROT_READ | PROT_WRITE) == -1);
    EXPECT(madvise(base, bytes, MADV_REMOVE) == -1);
    munmap(base, bytes);
    EXPECT(pwrite(fd, "x", 1, 0) == -1);
    EXPECT(ftruncate(fd, 0) == -1 && ftruncate(fd, (off_t)bytes * 2) == -1);
    EXPECT(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, (off_t)bytes) == -1);
    int again = open(path, O_RDWR | O_CLOEXEC); /* root may */
    if (again < 0)
        return;
    EXPECT(mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, again, 0) == MAP_FAILED);
    EXPECT(pwrite(again, "x", 1, 0) == -1);
    EXPECT(ftruncate(again, 0) == -1);
    EXPECT(fallocate(again, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, (off_t)bytes) == -1);
    close(again);
}

static void expect_size_and_seals_to_stay(int fd, size_t bytes)
{
    EXPECT(ftruncate(fd, 0) == -1 && ftruncate(fd, (off_t)bytes + 4096) == -1);
    EXPECT(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE) == -1);
    EXPECT(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW) == -1);
}

CASE(none__regions_of_the_service_are_not_writable)
{
    struct intruder i;
    intruder_join(&i, group);
    expect_not_writable(i.fds[FD_DOWN], CHAN_DOWN_BYTES);
    expect_not_writable(i.fds[FD_CORE], CHAN_CORE_BYTES);
    expect_not_writable(i.fds[FD_RX], i.hello.rx_bytes);
    for (int n = FD_UP; n <= FD_CORE; n++)
        expect_size_and_seals_to_stay(i.fds[n], n == FD_UP     ? CHAN_UP_BYTES
                                                : n == FD_DOWN ? CHAN_DOWN_BYTES
                                                               : CHAN_CORE_BYTES);
    expect_size_and_seals_to_stay(i.tx_fd, SEGMENT_BYTES);
}

/* As another user, when a word says which: to root nothing is forbidden that the owner may. */
CASE(none__segments_of_others_are_not_writable)
{
    struct intruder i;
    struct ctl_answer answer;
    int fd, others = 0;
    if (probe_word(0)) {
        uid_t user = (uid_t)atoi(probe_word(0));
        CHECK(setgid((gid_t)user) == 0 && setuid(user) == 0);
    }
    intruder_join(&i, group);
    for (uint32_t id = 1; id < 200; id++) {
        fd = -1;
        if (intruder_ask(&i, CTL_MAP, id, 0, NULL, &answer, &fd) != CS_OK)
            continue;
        others += id != i.segment_arena && id != i.hello.rx_arena;
        size_t bytes = answer.arg64;
        EXPECT(mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED);
        EXPECT(pwrite(fd, "x", 1, 0) == -1);
        EXPECT(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096) == -1);
        if (probe_word(0))
            expect_not_writable(fd, bytes);
        close(fd);
    }
    EXPECT(others > 0);
}

/* Holes that it punches into what is its own: whoever reads there reads zeros. */
CASE(any__holes_in_its_own_memory)
{
    for (int n = 0; n < 2; n++) {
        struct intruder i;
        const int hole = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
        intruder_join(&i, group);
        for (int sent = 0; sent < 100; sent++) {
            struct chan_submit entry = intruder_message(&i, 1000);
            if (entry.offset + entry.bytes > SEGMENT_BYTES)
                break;
            CHECK(fallocate(i.tx_fd, hole, 0, SEGMENT_BYTES) == 0);
            intruder_push(&i, &entry);
        }
        CHECK(fallocate(i.fds[FD_UP], hole, 0, n ? CHAN_UP_BYTES : CHAN_PAGE_BYTES) == 0);
        intruder_ring_bell(&i);
        probe_nap_us(20000);
        close(i.control);
    }
}
