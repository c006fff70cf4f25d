/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * core.c - the poll core's making, and its thread.
 */
#include "core_inner.h"
#include "pages.h"

#include <errno.h>
#include <string.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    IPV4_BYTES = 28, /* IP and UDP */
    IPV6_BYTES = 48,
    FRAME_ALIGN = 8,
    WAITING_LEAST = 64 * 1024,
    AWAY_LEAST_NS = 5 * 1000 * 1000,
    SMALL_FRAMES = 128, /* receive frames for what comes beside large messages */
};

static int fail(char *why, size_t why_bytes, const char *what, int error)
{
    snprintf(why, why_bytes, "poll core: %s: %s", what, strerror(-error));
    return error;
}

static uint32_t frame_bytes(const struct config *config)
{
    uint32_t headers = IPV4_BYTES;
    for (int i = 0; i < config->node_count; i++) {
        if (strchr(config->nodes[i].address, ':'))
            headers = IPV6_BYTES;
    }
    return (config->netmtu - headers) / FRAME_ALIGN * FRAME_ALIGN;
}

/* Nobody else maps what we send from ourselves: it needs no file. */
static int create_heads(struct core *core)
{
    struct zcb_arena *heads = &core->tx_arena;
    *heads = (struct zcb_arena){
        .bytes = CORE_TX_BYTES,
        .page_bytes = CHAN_PAGE_BYTES,
        .id = CORE_TX_ARENA,
        .access = ZCB_WRITE,
        .fd = -1,
    };
    heads->base = pages_take(heads->bytes);
    if (!heads->base)
        return -ENOMEM;
    int error = zcb_pool_create(&core->tx_pool, heads,
                                &(struct zcb_pool_shape){ .slot_bytes = RING_HEAD_BYTES,
                                                          .count = CORE_TX_FRAMES,
                                                          .slices_max = RING_SLICES_MAX });
    core->tx_pool.retain = segment_retain;
    core->tx_pool.release = segment_release;
    return error;
}

static struct zcb_pool_shape rx_shape(const struct core_config *config)
{
    struct transport_config words = { .frame_bytes_max = frame_bytes(config->config),
                                      .backend = config->backend };
    struct zcb_pool_shape rx = { .slices_max = 1 };
    config->transport->rx_shape(&words, &rx);
    return rx;
}

/* What the ring is not told of. */
static uint32_t reserve_of(uint32_t frames)
{
    return min_u32(frames / 16, CORE_RX_RESERVE_MAX);
}

static uint64_t with_reserve(uint64_t frames)
{
    return frames + min_u64(frames / 15 + 1, CORE_RX_RESERVE_MAX);
}

/* A message that is not whole yet, and its list. */
static uint64_t message_frames(const struct config *config, const struct zcb_pool_shape *rx,
                               uint64_t bytes)
{
    uint64_t piece = ring_piece_bytes(frame_bytes(config));
    uint64_t pieces = (bytes + piece - 1) / piece;
    uint64_t listed = (rx->slot_bytes - sizeof(struct chan_list)) / sizeof(struct chan_piece);
    return pieces + pieces / listed + 1;
}

uint64_t core_rx_bytes(const struct core_config *config)
{
    const struct config *c = config->config;
    struct zcb_pool_shape rx = rx_shape(config);
    uint64_t others = (uint64_t)c->node_count - 1; /* each with one that needs no permission */
    uint64_t frames = message_frames(c, &rx, c->message_bytes_max) +
                      others * message_frames(c, &rx, ring_bulk_free_bytes(c->node_count)) +
                      SMALL_FRAMES + 2 * others;
    return max_u64(c->rx_bytes,
                   with_reserve(frames) * (rx.headroom_bytes + rx.slot_bytes) + rx.headroom_bytes);
}

/* As many slots as the arena has room for, each followed by headroom. */
static int create_rx_pool(struct core *core, const struct core_config *config)
{
    struct zcb_pool_shape rx = rx_shape(config);
    uint32_t stride = rx.headroom_bytes + rx.slot_bytes;
    rx.count = (uint32_t)((config->rx_arena->bytes - rx.headroom_bytes) / stride);
    return zcb_pool_create(&core->rx_pool, config->rx_arena, &rx);
}

static int create_pools(struct core *core, const struct core_config *config)
{
    int error = create_rx_pool(core, config);
    uint32_t count = core->rx_pool.count;
    if (error)
        return error;
    error = create_heads(core);
    if (error)
        return error;
    core->rx_reserve = reserve_of(count);
    core->client_frames_max =
        core->config->client_frames_max ? core->config->client_frames_max : count / 2;
    core->private_bytes += core->rx_pool.frame_bytes * count + core->tx_arena.bytes +
                           core->tx_pool.frame_bytes * CORE_TX_FRAMES;
    return 0;
}

static int open_transport(struct core *core, const struct core_config *config, char *why,
                          size_t why_bytes)
{
    const struct config *c = core->config;
    struct transport_config tc = {
        .node_id = c->node_id,
        .nodes = c->nodes,
        .node_count = c->node_count,
        .frame_bytes_max = frame_bytes(c),
        .multicast = c->multicast[0] ? c->multicast : NULL,
        .multicast_port = c->port,
        .multicast_ttl = c->multicast_ttl,
        .rx_pool = &core->rx_pool,
        .rx_arena = config->rx_arena,
        .rx_reserve = core->rx_reserve / 4, /* for lists and views */
        .socket_bytes = c->socket_bytes,
        .backend = config->backend,
    };
    int error = config->transport->open(&core->transport, &tc, why, why_bytes);
    if (error)
        return error;
    core->transport->ops->query(core->transport, &core->caps);
    /* Else it is copied: a client's segment will say why. */
    (void)core_memory_add(core, &core->tx_arena, why, why_bytes);
    core->tx_pool.key = core->tx_arena.key;
    return 0;
}

int core_memory_add(struct core *core, struct zcb_arena *arena, char *why, size_t why_bytes)
{
    return core->transport->ops->memory_add(core->transport, arena, why, why_bytes);
}

void core_memory_drop(struct core *core, struct zcb_arena *arena)
{
    core->transport->ops->memory_drop(core->transport, arena);
}

static int create_ring(struct core *core, const struct core_config *config, char *why,
                       size_t why_bytes)
{
    const struct config *c = core->config;
    uint32_t nodes[NODE_COUNT_MAX];
    for (int i = 0; i < c->node_count; i++)
        nodes[i] = c->nodes[i].node_id;
    struct ring_config rc = {
        .node_id = c->node_id,
        .cluster_tag = c->cluster_tag,
        .nodes = nodes,
        .node_count = c->node_count,
        .ring_seq = config->ring_seq,
        .incarnation = config->incarnation,
        .seed = config->incarnation ^ ((uint64_t)c->node_id << 32),
        .detect_ns = c->detect_ms * NS_PER_MS,
        .frame_bytes_max = min_u32(core->caps.frame_bytes_max, frame_bytes(c)),
        .window_frames = c->window_frames,
        .personal_frames = c->personal_frames,
        .accelerated_frames = c->accelerated_frames,
        .park = true,
        .fan_out = !core->caps.multicast,
        .tx_pool = &core->tx_pool,
    };
    size_t bytes = ring_bytes(&rc);
    core->ring_memory = aligned_alloc(CACHE_LINE_BYTES, align_up(bytes, CACHE_LINE_BYTES));
    if (!core->ring_memory)
        return fail(why, why_bytes, "no memory for the ring", -ENOMEM);
    core->private_bytes += bytes;
    const char *field = "";
    int error = ring_init(&core->ring, core->ring_memory, &rc,
                          config->start_ns ? config->start_ns : core_clock_ns(), &field);
    if (error)
        snprintf(why, why_bytes, "poll core: the ring does not accept its %s", field);
    int failed =
        groups_create(&core->groups, c->node_id, nodes, c->node_count, &core_groups_ops, core);
    return error ? error : failed;
}

static int create_clients(struct core *core, const struct core_config *config)
{
    const struct config *c = core->config;
    uint32_t waiting = (uint32_t)max_u64(WAITING_LEAST, c->client_events_max * 2);
    struct zcb_arena control = { .base = core->tx_arena.base + CORE_TX_FRAMES * RING_HEAD_BYTES,
                                 .bytes = CONTROL_BYTES,
                                 .id = CONTROL_ARENA,
                                 .key = core->tx_arena.key };
    int error = clients_create(&core->clients, config->clients_max, &control);
    if (error)
        return error;
    core->clients.ring = core->ring;
    core->clients.deliver = &core->deliver;
    core->clients.groups = &core->groups;
    core->clients.stats = &core->stats;
    core->clients.post = core_post;
    core->clients.context = core;
    core->clients.message_bytes_max = c->message_bytes_max;
    core->private_bytes += waiting * sizeof(struct waiting) + sizeof(*core) +
                           core->rx_pool.count * 2 * sizeof(uint32_t);
    return deliver_create(&core->deliver, &core->rx_pool, config->clients_max, waiting,
                          &core->stats, &core_deliver_ops, core);
}

static int watch_fd(struct core *core, int fd, uint64_t data)
{
    struct epoll_event event = { .events = EPOLLIN, .data.u64 = data };
    return epoll_ctl(core->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0 ? 0 : -errno;
}

static int create_queues(struct core *core)
{
    core->command_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    core->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    core->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (core->command_fd < 0 || core->event_fd < 0 || core->epoll_fd < 0)
        return -errno;
    int error = spsc_pair_create(&core->commands, sizeof(struct core_command), CORE_COMMANDS);
    if (error == 0)
        error = spsc_pair_create(&core->events, sizeof(struct core_event), CORE_EVENTS);
    if (error == 0)
        error = watch_fd(core, core->command_fd, CORE_BELL_COMMAND);
    if (error == 0 && core->caps.sleep_fd >= 0)
        error = watch_fd(core, core->caps.sleep_fd, CORE_BELL_TRANSPORT);
    return error;
}

int core_create(struct core **out, const struct core_config *config, char *why, size_t why_bytes)
{
    struct core *core = aligned_alloc(CACHE_LINE_BYTES, align_up(sizeof(*core), CACHE_LINE_BYTES));
    if (!core)
        return fail(why, why_bytes, "no memory", -ENOMEM);
    memset(core, 0, sizeof(*core));
    core->command_fd = core->event_fd = core->epoll_fd = -1;
    core->config = config->config;
    core->words = config->words;
    core->spin = config->config->spins;
    /* The ring's own deadline comes before the others give us up, by no more than this. */
    core->stale_ns = config->config->detect_ms * NS_PER_MS / 4;
    int error = create_pools(core, config);
    if (error) {
        fail(why, why_bytes, "no memory for frames", error);
        goto destroy;
    }
    error = open_transport(core, config, why, why_bytes);
    if (error)
        goto destroy;
    error = create_ring(core, config, why, why_bytes);
    if (error)
        goto destroy;
    error = create_clients(core, config);
    if (error == 0)
        error = create_queues(core);
    if (error) {
        fail(why, why_bytes, "no memory or descriptors", error);
        goto destroy;
    }
    *out = core;
    return 0;
destroy:
    core_destroy(core);
    return error;
}

static void close_fd(int fd)
{
    if (fd >= 0)
        close(fd);
}

void core_destroy(struct core *core)
{
    if (core->started) {
        core->started = false;
        pthread_join(core->thread, NULL);
    }
    clients_detach(&core->clients); /* channels may be unmapped by now */
    if (core->transport)
        core->transport->ops->close(core->transport);
    deliver_destroy(&core->deliver);
    clients_destroy(&core->clients);
    groups_destroy(&core->groups);
    while (core->late_first) {
        struct late_event *late = core->late_first;
        core->late_first = late->next;
        free(late);
    }
    spsc_pair_destroy(&core->commands);
    spsc_pair_destroy(&core->events);
    /* The ring still holds frames, and does not outlive them: the pools go as they are. */
    free(core->rx_pool.frames);
    free(core->tx_pool.frames);
    free(core->ring_memory);
    free(core->tx_arena.base);
    close_fd(core->command_fd);
    close_fd(core->event_fd);
    close_fd(core->epoll_fd);
    free(core);
}

int core_command(struct core *core, const struct core_command *command)
{
    if (spsc_room(&core->commands.producer) <= 0)
        return -EAGAIN;
    *(struct core_command *)spsc_next(&core->commands.producer) = *command;
    spsc_publish(&core->commands.producer);
    atomic_thread_fence(memory_order_seq_cst); /* pairs with the one in core_sleep() */
    if (atomic_load_explicit(&core->words->asleep, memory_order_relaxed))
        (void)!write(core->command_fd, &(uint64_t){ 1 }, sizeof(uint64_t));
    return 0;
}

bool core_event(struct core *core, struct core_event *event)
{
    if (spsc_waiting(&core->events.consumer) <= 0) {
        (void)!read(core->event_fd, &(uint64_t){ 0 }, sizeof(uint64_t));
        if (spsc_waiting(&core->events.consumer) <= 0)
            return false;
    }
    *event = *(const struct core_event *)spsc_take(&core->events.consumer);
    spsc_release(&core->events.consumer);
    return true;
}

int core_event_fd(const struct core *core)
{
    return core->event_fd;
}

const struct transport_caps *core_transport_caps(const struct core *core)
{
    return &core->caps;
}

/* One write for all events of a turn. */
static void ring_bell(struct core *core)
{
    if (core->events_new)
        (void)!write(core->event_fd, &(uint64_t){ 1 }, sizeof(uint64_t));
    core->events_new = false;
}

static void *run(void *context)
{
    struct core *core = context;
    uint64_t yield_ns = core->config->poll_yield_us * NS_PER_US;
    core->work_ns = core->expected_ns = core_clock_ns();
    while (!core->stopped) {
        uint64_t now_ns = core_clock_ns();
        if (now_ns > core->expected_ns + AWAY_LEAST_NS)
            core_away(core, now_ns, now_ns - core->expected_ns);
        core->expected_ns = now_ns;
        bool worked = core_turn(core, now_ns);
        ring_bell(core);
        if (worked) {
            core->work_ns = now_ns;
            core_awake(core);
        } else if (core->spin) {
            continue;
        } else if (now_ns - core->work_ns < yield_ns) {
            sched_yield();
        } else {
            core_rest(core);
        }
    }
    core_awake(core);
    return NULL;
}

/* Where it is to run is settled before it runs. */
static int create_thread(struct core *core)
{
    pthread_attr_t how;
    cpu_set_t cpu;
    int error = pthread_attr_init(&how);
    CPU_ZERO(&cpu);
    if (error == 0 && core->config->poll_cpu >= 0) {
        CPU_SET((size_t)core->config->poll_cpu, &cpu);
        error = pthread_attr_setaffinity_np(&how, sizeof(cpu), &cpu);
    }
    if (error == 0)
        error = pthread_create(&core->thread, &how, run, core);
    core->started = error == 0;
    (void)pthread_attr_destroy(&how);
    if (error == 0)
        (void)pthread_setname_np(core->thread, CORE_THREAD_NAME);
    return error;
}

int core_start(struct core *core)
{
    /* Our own mistakes: blocked, they would kill without the black box being written. */
    static const int faults[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT };
    sigset_t all, before;
    sigfillset(&all);
    for (size_t i = 0; i < ARRAY_COUNT(faults); i++)
        sigdelset(&all, faults[i]);
    pthread_sigmask(SIG_BLOCK, &all, &before); /* signals are the control thread's */
    int error = create_thread(core);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return -error;
}

bool core_is_pinned(const struct core *core)
{
    cpu_set_t cpus;
    return core->started && core->config->poll_cpu >= 0 &&
           pthread_getaffinity_np(core->thread, sizeof(cpus), &cpus) == 0 &&
           CPU_COUNT(&cpus) == 1 && CPU_ISSET((size_t)core->config->poll_cpu, &cpus);
}
