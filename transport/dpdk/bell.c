/* SPDX-License-Identifier: BSD-3-Clause */
#include "bell.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

static void page_path(char path[BELL_PATH_BYTES], const char *directory, uint32_t node_id)
{
    snprintf(path, BELL_PATH_BYTES, "%s/%u.asleep", directory, node_id);
}

static int socket_address(struct sockaddr_un *address, const char *directory, uint32_t node_id)
{
    char path[BELL_PATH_BYTES];
    int bytes = snprintf(path, sizeof(path), "%s/%u.bell", directory, node_id);
    *address = (struct sockaddr_un){ .sun_family = AF_UNIX };
    if (bytes >= (int)sizeof(address->sun_path))
        return -ENAMETOOLONG;
    memcpy(address->sun_path, path, (size_t)bytes);
    return 0;
}

static struct bell_page *map(int fd)
{
    void *page = mmap(NULL, BELL_PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    return page == MAP_FAILED ? NULL : page;
}

/* G3: a new file, so that who still maps that of the node before us keeps that one. */
static int make_page(struct bell *bell)
{
    (void)unlink(bell->page_path);
    int fd = open(bell->page_path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    int failed = -posix_fallocate(fd, 0, BELL_PAGE_BYTES);
    if (!failed && !(bell->page = map(fd)))
        failed = -errno;
    close(fd);
    return failed;
}

static int make_socket(struct bell *bell, const struct sockaddr_un *address)
{
    bell->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (bell->fd < 0)
        return -errno;
    (void)unlink(bell->socket_path);
    int failed = bind(bell->fd, (const struct sockaddr *)(const void *)address, sizeof(*address));
    return failed ? -errno : 0;
}

int bell_open(struct bell *bell, const char *directory, uint32_t node_id)
{
    struct sockaddr_un address;
    *bell = (struct bell){ .fd = -1 };
    page_path(bell->page_path, directory, node_id);
    int failed = socket_address(&address, directory, node_id);
    if (failed)
        return failed;
    snprintf(bell->socket_path, sizeof(bell->socket_path), "%s", address.sun_path);
    failed = make_socket(bell, &address); /* first: who finds the page finds the socket */
    if (!failed)
        failed = make_page(bell);
    if (failed)
        bell_close(bell);
    return failed;
}

void bell_close(struct bell *bell)
{
    if (bell->page) {
        (void)unlink(bell->page_path);
        munmap(bell->page, BELL_PAGE_BYTES);
    }
    if (bell->fd >= 0) {
        (void)unlink(bell->socket_path);
        close(bell->fd);
    }
    *bell = (struct bell){ .fd = -1 };
}

void bell_sleep(struct bell *bell)
{
    atomic_store_explicit(&bell->page->asleep, 1, memory_order_relaxed);
    bell_fence(bell->page); /* G1: pairs with the one in bell_look() */
}

/* Whoever took the flag may ring only after this: the next sleep is a short one then. */
void bell_wake(struct bell *bell)
{
    char byte;
    atomic_store_explicit(&bell->page->asleep, 0, memory_order_relaxed);
    while (recv(bell->fd, &byte, sizeof(byte), 0) >= 0)
        ;
}

void bell_other_name(struct bell_other *other, const char *directory, uint32_t node_id)
{
    *other = (struct bell_other){ 0 };
    page_path(other->page_path, directory, node_id);
    (void)socket_address(&other->address, directory, node_id);
}

bool bell_meet(struct bell_other *other)
{
    bell_part(other);
    int fd = open(other->page_path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return false;
    other->page = map(fd);
    close(fd);
    return other->page != NULL;
}

void bell_part(struct bell_other *other)
{
    if (other->page)
        munmap(other->page, BELL_PAGE_BYTES);
    other->page = NULL;
}

/* G2: of all who have something for it, the one that takes the flag calls. That nobody is there,
 * or so many have called that no more fit, is as well. */
void bell_ring(const struct bell *ours, struct bell_other *other)
{
    if (atomic_exchange_explicit(&other->page->asleep, 0, memory_order_relaxed) == 0)
        return;
    (void)!sendto(ours->fd, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL,
                  (const struct sockaddr *)(const void *)&other->address, sizeof(other->address));
}
