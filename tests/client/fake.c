/* SPDX-License-Identifier: BSD-3-Clause */
#include "fake_internal.h"

#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static void drain(int fd)
{
    uint8_t bytes[64];
    while (recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
        ;
}

/* Listener, bell, then two for each open client; *count of them. */
static struct pollfd *poll_set(struct fake *f, nfds_t *count)
{
    struct pollfd *set = calloc(2 + 2 * (size_t)CLIENTS_MAX, sizeof(*set));
    nfds_t n = 0;
    set[n++] = (struct pollfd){ .fd = f->listener, .events = POLLIN };
    set[n++] = (struct pollfd){ .fd = f->bell[0], .events = POLLIN };
    for (uint32_t i = 0; i < f->client_count; i++) {
        const struct client *c = f->client[i];
        set[n++] = (struct pollfd){ .fd = c->open ? c->control : -1, .events = POLLIN };
        set[n++] = (struct pollfd){ .fd = c->open ? c->wake : -1, .events = POLLIN };
    }
    *count = n;
    return set;
}

static void handle_sockets(struct fake *f, const struct pollfd *set, nfds_t count)
{
    if (set[0].revents)
        control_accept(f);
    if (set[1].revents)
        drain(f->bell[0]);
    for (nfds_t n = 2; n + 1 < count; n += 2) {
        struct client *c = f->client[(n - 2) / 2];
        if (c->open && set[n + 1].revents & POLLIN)
            drain(c->wake);
        if (c->open && set[n].revents)
            control_request(f, c);
    }
}

/* One turn; returns false when the service is to end. Sleeps without the lock. */
static bool turn(struct fake *f)
{
    nfds_t count;
    pthread_mutex_lock(&f->lock);
    if (f->dead) {
        pthread_mutex_unlock(&f->lock);
        return false;
    }
    bool busy = core_turn(f);
    if (!busy) {
        atomic_exchange_explicit(&f->core->asleep, 1, memory_order_seq_cst);
        busy = core_turn(f);
    }
    struct pollfd *set = poll_set(f, &count);
    pthread_mutex_unlock(&f->lock);
    int ready = poll(set, count, busy ? 0 : -1);
    pthread_mutex_lock(&f->lock);
    atomic_store_explicit(&f->core->asleep, 0, memory_order_seq_cst);
    if (ready > 0 && !f->dead)
        handle_sockets(f, set, count);
    pthread_mutex_unlock(&f->lock);
    free(set);
    return true;
}

static void *run(void *arg)
{
    while (turn(arg))
        ;
    return NULL;
}

static void wake_up(struct fake *f)
{
    send(f->bell[1], "b", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void listen_on(struct fake *f)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    strcpy(f->directory, "/tmp/fake-XXXXXX");
    INVARIANT(mkdtemp(f->directory) != NULL);
    snprintf(address.sun_path, sizeof(address.sun_path), "%s/%s", f->directory, CTL_SOCKET_NAME);
    f->listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    INVARIANT(bind(f->listener, (struct sockaddr *)&address, sizeof(address)) == 0);
    INVARIANT(listen(f->listener, 64) == 0);
    setenv(CTL_RUNTIME_DIR_ENV, f->directory, 1);
}

struct fake *fake_start(void)
{
    struct fake *f = calloc(1, sizeof(*f));
    pthread_mutex_init(&f->lock, NULL);
    INVARIANT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, f->bell) == 0);
    INVARIANT(zcb_arena_create(&f->rx, "rx", RX_BYTES, ++f->last_arena, ZCB_PAGES_SMALL,
                               ZCB_WRITER_CREATOR) == 0);
    INVARIANT(zcb_arena_create(&f->core_arena, "core", CHAN_CORE_BYTES, 1, ZCB_PAGES_SMALL,
                               ZCB_WRITER_CREATOR) == 0);
    f->core = (void *)f->core_arena.base;
    listen_on(f);
    INVARIANT(pthread_create(&f->thread, NULL, run, f) == 0);
    return f;
}

void fake_die(struct fake *f)
{
    pthread_mutex_lock(&f->lock);
    bool dead = f->dead;
    f->dead = true;
    pthread_mutex_unlock(&f->lock);
    if (dead)
        return;
    wake_up(f);
    pthread_join(f->thread, NULL);
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", f->directory, CTL_SOCKET_NAME);
    unlink(path);
    rmdir(f->directory);
    close(f->listener);
    for (uint32_t i = 0; i < f->client_count; i++)
        control_close(f, f->client[i]);
}

void fake_stop(struct fake *f)
{
    fake_die(f);
    for (uint32_t i = 0; i < f->client_count; i++) {
        struct client *c = f->client[i];
        for (uint32_t s = 0; s < CHAN_SEGMENT_COUNT; s++)
            if (c->tx[s])
                core_free_tx(c, s);
        zcb_arena_destroy(&c->up);
        zcb_arena_destroy(&c->down);
        free(c);
    }
    close(f->bell[0]);
    close(f->bell[1]);
    zcb_arena_destroy(&f->rx);
    zcb_arena_destroy(&f->core_arena);
    free(f);
}

void fake_refuse(struct fake *f, enum ctl_type type, cs_error_t error)
{
    pthread_mutex_lock(&f->lock);
    f->refuse[type] = error == CS_OK ? 0 : error;
    pthread_mutex_unlock(&f->lock);
}

void fake_pause(struct fake *f, bool paused)
{
    pthread_mutex_lock(&f->lock);
    f->paused = paused;
    pthread_mutex_unlock(&f->lock);
    wake_up(f);
}

void fake_split(struct fake *f, uint32_t piece_bytes)
{
    pthread_mutex_lock(&f->lock);
    f->split_bytes = piece_bytes;
    pthread_mutex_unlock(&f->lock);
}

void fake_limit(struct fake *f, uint64_t segment_bytes)
{
    pthread_mutex_lock(&f->lock);
    f->segment_limit = segment_bytes;
    pthread_mutex_unlock(&f->lock);
}

void fake_congest(struct fake *f, bool congested)
{
    pthread_mutex_lock(&f->lock);
    for (uint32_t n = 0; n < f->client_count; n++) {
        struct chan_down *down = (void *)f->client[n]->down.base;
        if (down)
            atomic_store(&down->congested, congested);
    }
    pthread_mutex_unlock(&f->lock);
}

void fake_evict(struct fake *f, uint32_t n, enum chan_state why)
{
    pthread_mutex_lock(&f->lock);
    struct chan_down *down = (void *)f->client[n]->down.base;
    atomic_store(&down->state, why);
    control_close(f, f->client[n]);
    pthread_mutex_unlock(&f->lock);
}

bool fake_inject(struct fake *f, uint32_t n, const void *payload, uint32_t bytes)
{
    pthread_mutex_lock(&f->lock);
    struct client *c = f->client[n];
    core_turn(f);
    bool room = core_can_tell(f, c);
    if (room) {
        int slot = core_slot(f);
        memcpy(f->rx.base + (size_t)slot * RX_SLOT_BYTES, payload, bytes);
        core_push_slot(f, c,
                       (struct chan_event){
                           .kind = CHAN_MESSAGE, .bytes = bytes, .nodeid = FAKE_NODE, .pid = 1 },
                       slot);
    }
    pthread_mutex_unlock(&f->lock);
    return room;
}

bool fake_ring_event(struct fake *f, uint32_t n, uint64_t seq)
{
    pthread_mutex_lock(&f->lock);
    struct client *c = f->client[n];
    bool room = core_can_tell(f, c);
    if (room) {
        int slot = core_slot(f);
        struct chan_ring *ring = (void *)(f->rx.base + (size_t)slot * RX_SLOT_BYTES);
        *ring = (struct chan_ring){ .ring_id = { .seq = seq, .rep = 3 }, .member_count = 2 };
        ring->member[0] = 3;
        ring->member[1] = FAKE_NODE;
        uint32_t bytes = sizeof(*ring) + 2 * sizeof(ring->member[0]);
        core_push_slot(f, c, (struct chan_event){ .kind = CHAN_RING, .bytes = bytes }, slot);
    }
    pthread_mutex_unlock(&f->lock);
    return room;
}

uint32_t fake_requests(struct fake *f, enum ctl_type type)
{
    pthread_mutex_lock(&f->lock);
    uint32_t count = f->requests[type];
    pthread_mutex_unlock(&f->lock);
    return count;
}

uint32_t fake_leases_out(struct fake *f)
{
    uint32_t count = 0;
    pthread_mutex_lock(&f->lock);
    core_turn(f);
    for (uint32_t n = 0; n < f->client_count; n++)
        for (uint32_t i = 0; i < CHAN_LEASE_COUNT; i++)
            count += f->client[n]->open && f->client[n]->lease[i].out;
    pthread_mutex_unlock(&f->lock);
    return count;
}

uint32_t fake_segments(struct fake *f)
{
    uint32_t count = 0;
    pthread_mutex_lock(&f->lock);
    for (uint32_t n = 0; n < f->client_count; n++)
        for (uint32_t i = 0; i < CHAN_SEGMENT_COUNT; i++)
            count += f->client[n]->tx[i] != NULL;
    pthread_mutex_unlock(&f->lock);
    return count;
}

uint32_t fake_connections(struct fake *f)
{
    uint32_t count = 0;
    pthread_mutex_lock(&f->lock);
    for (uint32_t n = 0; n < f->client_count; n++)
        count += f->client[n]->open;
    pthread_mutex_unlock(&f->lock);
    return count;
}

uint32_t fake_offences(struct fake *f)
{
    pthread_mutex_lock(&f->lock);
    uint32_t count = f->offences;
    pthread_mutex_unlock(&f->lock);
    return count;
}
