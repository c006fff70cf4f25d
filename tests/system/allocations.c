/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * allocations.c - counts what the poll core takes from malloc: a library that a daemon is started
 * with in front of the C library (LD_PRELOAD).
 *
 * Into the file that ALLOCATIONS_FILE names go three numbers of 64 bits: calls that give memory and
 * calls that take it back, of threads that ALLOCATIONS_THREAD names, and all calls of other
 * threads.
 */

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define SHOWN __attribute__((visibility("default")))

void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *memory, size_t bytes);
void *__libc_memalign(size_t align, size_t bytes);
void __libc_free(void *memory);

enum { TAKEN, GIVEN_BACK, OTHERS, COUNTERS };
static _Atomic uint64_t *counted;

__attribute__((constructor)) static void open_file(void)
{
    const char *path = getenv("ALLOCATIONS_FILE");
    int fd = path ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
    if (fd < 0 || ftruncate(fd, COUNTERS * sizeof(*counted)) != 0)
        return;
    void *map = mmap(NULL, COUNTERS * sizeof(*counted), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    counted = map == MAP_FAILED ? NULL : map;
    close(fd);
}

/* Asked each time: a thread gets its name some time after it begins. */
static bool is_named(void)
{
    char name[16];
    const char *wanted = getenv("ALLOCATIONS_THREAD");
    return wanted && pthread_getname_np(pthread_self(), name, sizeof(name)) == 0 &&
           strcmp(name, wanted) == 0;
}

static void count(int which)
{
    static _Thread_local bool inside;
    if (!counted || inside)
        return;
    inside = true;
    atomic_fetch_add(&counted[is_named() ? which : OTHERS], 1);
    inside = false;
}

SHOWN void *malloc(size_t bytes)
{
    count(TAKEN);
    return __libc_malloc(bytes);
}

SHOWN void *calloc(size_t number, size_t bytes)
{
    count(TAKEN);
    return __libc_calloc(number, bytes);
}

SHOWN void *realloc(void *memory, size_t bytes)
{
    count(TAKEN);
    return __libc_realloc(memory, bytes);
}

SHOWN void *aligned_alloc(size_t align, size_t bytes)
{
    count(TAKEN);
    return __libc_memalign(align, bytes);
}

SHOWN int posix_memalign(void **out, size_t align, size_t bytes)
{
    count(TAKEN);
    *out = __libc_memalign(align, bytes);
    return *out ? 0 : 12 /* ENOMEM */;
}

SHOWN void free(void *memory)
{
    if (memory)
        count(GIVEN_BACK);
    __libc_free(memory);
}
