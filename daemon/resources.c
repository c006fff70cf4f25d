/* SPDX-License-Identifier: BSD-3-Clause */
#include "resources.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static int no_memory(uint64_t bytes, int failed, char *why, size_t why_bytes)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur < bytes)
        snprintf(why, why_bytes,
                 "no %llu bytes for received frames: files may have %llu here (ulimit -f), and "
                 "shared memory counts as one; raise that limit",
                 (unsigned long long)bytes, (unsigned long long)limit.rlim_cur);
    else
        snprintf(why, why_bytes,
                 "no %llu bytes for received frames: %s; free memory, or lower zcb.rx_bytes and "
                 "zcb.message_max",
                 (unsigned long long)bytes, strerror(-failed));
    return failed;
}

int resources_open(struct resources *r, const struct config *config, char *why, size_t why_bytes)
{
    enum zcb_pages pages = config->hugepages ? ZCB_PAGES_TRY : ZCB_PAGES_SMALL;
    *r = (struct resources){ .config = config, .last_id = ARENA_ID_TAPE };
    place_find(&r->place, config);
    place_prefer(&r->place);
    int failed = zcb_arena_create(&r->rx, "synchrotron-rx", config->rx_bytes, ARENA_ID_RX, pages,
                                  ZCB_WRITER_CREATOR);
    if (failed)
        return no_memory(config->rx_bytes, failed, why, why_bytes);
    failed = zcb_arena_create(&r->core_page, "synchrotron-core", CHAN_CORE_BYTES, ARENA_ID_CORE,
                              ZCB_PAGES_SMALL, ZCB_WRITER_CREATOR);
    if (failed) {
        snprintf(why, why_bytes, "no memory for the core page: %s", strerror(-failed));
        zcb_arena_destroy(&r->rx);
    }
    return failed;
}

void resources_close(struct resources *r)
{
    while (r->segments)
        tx_segment_destroy(r, r->segments);
    INVARIANT(r->tx_bytes == 0 && r->tx_large_bytes == 0 && r->segment_count == 0); /* M1 */
    INVARIANT(r->tx_kept_bytes == 0 && r->tx_own_bytes == 0);
    INVARIANT(r->channel_count == 0 && r->channel_bytes == 0);
    zcb_arena_destroy(&r->core_page);
    zcb_arena_destroy(&r->rx);
}

static void close_one(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

int channel_create(struct resources *r, struct channel *channel)
{
    struct channel c = { .wake_socket = -1, .wake_socket_peer = -1 };
    int pair[2];
    int failed = zcb_arena_create(&c.up, "synchrotron-up", CHAN_UP_BYTES, ARENA_ID_CHANNEL,
                                  ZCB_PAGES_SMALL, ZCB_WRITER_PEER);
    if (failed)
        return failed;
    failed = zcb_arena_create(&c.down, "synchrotron-down", CHAN_DOWN_BYTES, ARENA_ID_CHANNEL,
                              ZCB_PAGES_SMALL, ZCB_WRITER_CREATOR);
    if (failed)
        goto destroy_up;
    c.wake = zcb_arena_map_part(c.up.fd, offsetof(struct chan_up, wake_page), CHAN_PAGE_BYTES,
                                ZCB_WRITE);
    if (!c.wake) {
        failed = -errno;
        goto destroy_down;
    }
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0) {
        failed = -errno;
        goto unmap_wake;
    }
    c.wake_socket = pair[0];
    c.wake_socket_peer = pair[1];
    *channel = c;
    r->channel_count++;
    r->channel_bytes += c.up.bytes + c.down.bytes;
    return 0;

unmap_wake:
    munmap(c.wake, CHAN_PAGE_BYTES);
destroy_down:
    zcb_arena_destroy(&c.down);
destroy_up:
    zcb_arena_destroy(&c.up);
    return failed;
}

void channel_passed(struct channel *channel)
{
    zcb_arena_close_fd(&channel->up);
    zcb_arena_close_fd(&channel->down);
    close_one(&channel->wake_socket_peer);
}

void channel_destroy(struct resources *r, struct channel *channel)
{
    r->channel_count--;
    r->channel_bytes -= channel->up.bytes + channel->down.bytes;
    close_one(&channel->wake_socket);
    close_one(&channel->wake_socket_peer);
    munmap(channel->wake, CHAN_PAGE_BYTES);
    zcb_arena_destroy(&channel->down);
    zcb_arena_destroy(&channel->up);
}

static uint64_t owned_bytes(const struct resources *r, uint32_t owner)
{
    uint64_t bytes = 0;
    for (const struct tx_segment *s = r->segments; s; s = s->next)
        bytes += s->owner == owner && !s->own ? s->arena.bytes : 0;
    return bytes;
}

/* M1, M2 */
static int may_have(const struct resources *r, uint32_t owner, uint64_t bytes)
{
    uint64_t all = r->config->tx_total_bytes;
    uint64_t not_reserved = all - CONFIG_TX_RESERVE_BYTES;
    if (bytes > not_reserved)
        return -EFBIG;
    if (r->tx_bytes + bytes > all || owned_bytes(r, owner) + bytes > not_reserved)
        return -EAGAIN;
    if (bytes > CONFIG_TX_LARGE_BYTES && r->tx_large_bytes + bytes > not_reserved)
        return -EAGAIN;
    return 0;
}

uint64_t tx_own_bytes_max(const struct resources *r)
{
    return (uint64_t)r->config->clients_max * CONFIG_TX_OWN_BYTES;
}

/* M6 */
static int may_have_own(const struct resources *r, uint32_t owner, uint64_t bytes)
{
    for (const struct tx_segment *s = r->segments; s; s = s->next)
        if (s->owner == owner && s->own)
            return -EAGAIN;
    return r->tx_own_bytes + bytes <= tx_own_bytes_max(r) ? 0 : -EAGAIN;
}

/* M5 */
static bool may_keep(const struct resources *r, uint64_t bytes)
{
    uint64_t left =
        align_up(r->config->message_bytes_max, CHAN_PAGE_BYTES) + CONFIG_TX_RESERVE_BYTES;
    return r->tx_kept_bytes + bytes + left <= r->config->tx_total_bytes;
}

/* What of its wish the client gets, and how: the pool's to keep, lent, or a smaller one of its own.
 */
static int grant(const struct resources *r, struct tx_segment *s, uint64_t *bytes, bool stays)
{
    int failed = may_have(r, s->owner, *bytes);
    s->lent = !may_keep(r, *bytes);
    if (!stays || (!failed && !s->lent))
        return failed;
    s->own = true;
    s->lent = false;
    *bytes = min_u64(*bytes, CONFIG_TX_OWN_BYTES);
    return may_have_own(r, s->owner, *bytes);
}

static uint32_t next_id(struct resources *r)
{
    do
        r->last_id++;
    while (r->last_id <= ARENA_ID_TAPE || tx_segment_find(r, r->last_id)); /* M4 */
    return r->last_id;
}

/* M3: the same file, opened once more. -errno */
static int reopen_for_reading(int fd)
{
    char path[40];
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    int again = open(path, O_RDONLY | O_CLOEXEC);
    return again >= 0 ? again : -errno;
}

static void count_segment(struct resources *r, const struct tx_segment *s, int sign)
{
    uint64_t bytes = s->arena.bytes;
    uint64_t change = sign > 0 ? bytes : -bytes;
    r->segment_count += (uint32_t)sign;
    if (s->own) {
        r->tx_own_bytes += change;
        return;
    }
    r->tx_bytes += change;
    if (bytes > CONFIG_TX_LARGE_BYTES)
        r->tx_large_bytes += change;
    if (!s->lent)
        r->tx_kept_bytes += change;
}

int tx_segment_create(struct resources *r, uint32_t owner, uint64_t bytes, bool stays,
                      struct tx_segment **out)
{
    if (bytes == 0)
        return -EINVAL;
    if (bytes > UINT32_MAX) /* offsets have 32 bits */
        return -EFBIG;
    bytes = align_up(bytes, CHAN_PAGE_BYTES);
    struct tx_segment *s = calloc(1, sizeof(*s));
    if (!s)
        return -ENOMEM;
    s->owner = owner;
    int failed = grant(r, s, &bytes, stays);
    if (failed)
        goto free_segment;
    failed = zcb_arena_create(&s->arena, "synchrotron-tx", bytes, next_id(r), ZCB_PAGES_SMALL,
                              ZCB_WRITER_PEER);
    if (failed)
        goto free_segment;
    s->write_fd = s->arena.fd;
    s->arena.fd = reopen_for_reading(s->write_fd);
    if (s->arena.fd < 0) {
        failed = s->arena.fd;
        goto destroy_arena;
    }
    s->next = r->segments;
    r->segments = s;
    count_segment(r, s, 1);
    *out = s;
    return 0;

destroy_arena:
    s->arena.fd = s->write_fd;
    zcb_arena_destroy(&s->arena);
free_segment:
    free(s);
    return failed;
}

void tx_segment_passed(struct tx_segment *segment)
{
    close_one(&segment->write_fd);
}

struct tx_segment *tx_segment_find(const struct resources *r, uint32_t arena_id)
{
    struct tx_segment *s = r->segments;
    while (s && s->arena.id != arena_id)
        s = s->next;
    return s;
}

/* M7. We have no descriptor left that writes, so that takes another; without one it stays. */
static void take_memory_back(const struct zcb_arena *arena)
{
    char path[40];
    snprintf(path, sizeof(path), "/proc/self/fd/%d", arena->fd);
    if (fchmod(arena->fd, S_IRUSR | S_IWUSR) != 0)
        return;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return;
    (void)!fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, (off_t)arena->bytes);
    close(fd);
}

void tx_segment_destroy(struct resources *r, struct tx_segment *segment)
{
    struct tx_segment **link = &r->segments;
    while (*link != segment)
        link = &(*link)->next;
    *link = segment->next;
    count_segment(r, segment, -1);
    close_one(&segment->write_fd);
    take_memory_back(&segment->arena);
    zcb_arena_destroy(&segment->arena);
    free(segment);
}
