/* SPDX-License-Identifier: BSD-3-Clause */
#include "cluster.h"

#include <criterion/criterion.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

const struct backend backends[BACKENDS] = {
    [UDP_IPV4] = { "udp over IPv4", &transport_udp, AF_INET, false, false },
    [UDP_IPV6] = { "udp over IPv6", &transport_udp, AF_INET6, false, false },
    [UDP_IPV4_MULTICAST] = { "udp, IPv4 multicast", &transport_udp, AF_INET, true, false },
    [UDP_IPV6_MULTICAST] = { "udp, IPv6 multicast", &transport_udp, AF_INET6, true, false },
    [SIM_COPIES] = { "sim", &transport_sim, 0, false, false },
    [SIM_BY_REFERENCE] = { "sim by reference", &transport_sim, 0, false, true },
#ifdef HAVE_DPDK
    [DPDK_MEMIF_IPV4] = { .name = "dpdk, memif, IPv4",
                          .ops = &transport_dpdk,
                          .family = AF_INET,
                          .port = "memif",
                          .forgets = true },
    [DPDK_MEMIF_IPV6] = { .name = "dpdk, memif, IPv6",
                          .ops = &transport_dpdk,
                          .family = AF_INET6,
                          .port = "memif",
                          .forgets = true },
    [DPDK_AF_PACKET_IPV4] = { .name = "dpdk, af_packet, IPv4",
                              .ops = &transport_dpdk,
                              .family = AF_INET,
                              .port = "af_packet:p%d",
                              .frame_bytes_most = 9000 },
    [DPDK_AF_PACKET_IPV6] = { .name = "dpdk, af_packet, IPv6",
                              .ops = &transport_dpdk,
                              .family = AF_INET6,
                              .port = "af_packet:p%d",
                              .frame_bytes_most = 9000 },
    [DPDK_AF_PACKET_MULTICAST] = { .name = "dpdk, af_packet, IPv4 multicast",
                                   .ops = &transport_dpdk,
                                   .family = AF_INET,
                                   .multicast = true,
                                   .port = "af_packet:p%d",
                                   .frame_bytes_most = 9000 },
    [DPDK_AF_XDP_IPV4] = { .name = "dpdk, af_xdp, IPv4",
                           .ops = &transport_dpdk,
                           .family = AF_INET,
                           .port = "af_xdp:p%d",
                           .frame_bytes_most = 3000 },
    [DPDK_FILTERED] = { .name = "dpdk, af_packet, macvlan, IPv6 multicast",
                        .ops = &transport_dpdk,
                        .family = AF_INET6,
                        .multicast = true,
                        .port = "af_packet:p%d",
                        .frame_bytes_most = 9000,
                        .filters = true },
    [DPDK_PCI_IPV4] = { .name = "dpdk, cards, IPv4",
                        .ops = &transport_dpdk,
                        .family = AF_INET,
                        .port = "pci",
                        .frame_bytes_most = 9000 },
    [DPDK_PCI_IPV6_MULTICAST] = { .name = "dpdk, cards, IPv6 multicast",
                                  .ops = &transport_dpdk,
                                  .family = AF_INET6,
                                  .multicast = true,
                                  .port = "pci",
                                  .frame_bytes_most = 9000 },
#endif
};

static const uint32_t marker_seed = 0x4d41524b;

/* What only a failure takes; more of it where SYNCHROTRON_TEST_SLOWER says that all takes longer.
 */
static uint64_t patience_ns(void)
{
    const char *slower = getenv("SYNCHROTRON_TEST_SLOWER");
    return 5 * NS_PER_S * (slower ? strtoul(slower, NULL, 10) : 1);
}

uint64_t clock_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

void deadline_check(uint64_t begin_ns, const char *what)
{
    cr_assert(clock_ns() - begin_ns < patience_ns(), "%s did not come about", what);
}

static bool loopback_up(void)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct ifreq request = { .ifr_name = "lo" };
    bool done;

    request.ifr_flags = IFF_UP | IFF_RUNNING | IFF_LOOPBACK | IFF_MULTICAST;
    done = ioctl(fd, SIOCSIFFLAGS, &request) == 0;
    close(fd);
    return done;
}

static bool write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool done = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

    if (fd >= 0)
        close(fd);
    return done;
}

/* Whoever is not root becomes it in a user namespace, while there is one thread only. It may fail:
 * tests that need a network of their own are skipped then. */
__attribute__((constructor)) static void become_root(void)
{
    char map[32];

    if (geteuid() == 0)
        return;
    snprintf(map, sizeof map, "0 %u 1", geteuid());
    if (unshare(CLONE_NEWUSER) == 0 && write_file("/proc/self/setgroups", "deny"))
        (void)write_file("/proc/self/uid_map", map);
}

bool isolate(void)
{
    static bool done; /* one process a test */

    if (!done)
        done = unshare(CLONE_NEWNET) == 0 && loopback_up();
    return done;
}

bool command(const char *line)
{
    char quiet[512];

    snprintf(quiet, sizeof quiet, "{ %s; } 2>/dev/null >&2", line);
    return system(quiet) == 0;
}

bool link_add_v6(const char *address)
{
    uint64_t begin_ns = clock_ns();
    char line[128];

    snprintf(line, sizeof line, "ip -6 address add %s/64 dev l0 nodad", address);
    if (!command(line))
        return false;
    snprintf(line, sizeof line, "ip -6 route show table local dev l0 | grep -q '^local %s '",
             address);
    while (!command(line))
        deadline_check(begin_ns, "a route to a new address");
    return true;
}

bool link_make(void)
{
    return isolate() &&
           command("ip link add l0 type veth peer name l1 && ip link set l1 up && "
                   "ip link set l0 up && ip address add " LINK_V4 "/24 dev l0") &&
           link_add_v6(LINK_V6);
}

static uint16_t free_port(const struct sockaddr *any, socklen_t bytes)
{
    int fd = socket(any->sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct sockaddr_storage bound;
    uint16_t port = 0;

    if (fd >= 0 && bind(fd, any, bytes) == 0 &&
        getsockname(fd, (struct sockaddr *)&bound, &bytes) == 0)
        port = ntohs(bound.ss_family == AF_INET ? ((struct sockaddr_in *)&bound)->sin_port
                                                : ((struct sockaddr_in6 *)&bound)->sin6_port);
    if (fd >= 0)
        close(fd);
    return port;
}

/* Ports given before may be free again, but not for a second node. */
static bool given_before(uint16_t port)
{
    static uint16_t given[64];
    static size_t count;

    for (size_t i = 0; i < ARRAY_COUNT(given); i++) {
        if (given[i] == port)
            return true;
    }
    given[count++ % ARRAY_COUNT(given)] = port;
    return false;
}

void free_address(struct transport_node *node, const char *address, uint32_t node_id)
{
    struct sockaddr_in v4 = { .sin_family = AF_INET };
    struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };
    bool is_v4 = inet_pton(AF_INET, address, &v4.sin_addr) == 1;

    node->node_id = node_id;
    snprintf(node->address, sizeof node->address, "%s", address);
    cr_assert(is_v4 || inet_pton(AF_INET6, address, &v6.sin6_addr) == 1);
    do {
        node->port = is_v4 ? free_port((struct sockaddr *)&v4, sizeof v4)
                           : free_port((struct sockaddr *)&v6, sizeof v6);
        if (node->port == 0)
            cr_skip_test("this kernel has no port to give on %s", address);
    } while (given_before(node->port));
}

/* Ports of DPDK have addresses that no kernel knows. */
static void address_invent(struct cluster *c, int i)
{
    c->nodes[i].port = 5405;
    snprintf(c->nodes[i].address, sizeof c->nodes[i].address,
             c->backend->family == AF_INET ? "10.92.7.%d" : "fd00:5c:7::%d", i + 1);
}

/* The kernel sends nothing of its own on our interfaces; one without IPv6 never does. */
static bool isolate_quietly(void)
{
    if (!isolate())
        return false;
    (void)write_file("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1");
    return true;
}

/* A switch with an interface p0, p1... for each party. */
static bool switch_make(int parties, uint32_t mtu)
{
    char line[256];

    if (!isolate_quietly() ||
        !command("ip link add sw type bridge mcast_snooping 0 && ip link set sw up"))
        return false;
    for (int i = 0; i < parties; i++) {
        snprintf(line, sizeof line,
                 "ip link add p%d mtu %u type veth peer name s%d mtu %u && "
                 "ip link set s%d master sw up && ip link set p%d up",
                 i, mtu, i, mtu, i, i);
        if (!command(line))
            return false;
    }
    return true;
}

/* Interfaces p0, p1... that reach each other, and filter groups as a card does. */
static bool filters_make(int parties, uint32_t mtu)
{
    char line[256];

    snprintf(line, sizeof line,
             "ip link add under mtu %u type veth peer name end mtu %u && "
             "ip link set under up && ip link set end up",
             mtu, mtu);
    if (!isolate_quietly() || !command(line))
        return false;
    for (int i = 0; i < parties; i++) {
        snprintf(line, sizeof line,
                 "ip link add p%d link under mtu %u type macvlan mode bridge && "
                 "ip link set p%d up",
                 i, mtu, i);
        if (!command(line))
            return false;
    }
    return true;
}

static bool interfaces_make(const struct cluster *c, uint32_t mtu)
{
    return c->backend->filters ? filters_make(c->count, mtu) : switch_make(c->count, mtu);
}

/* The switch itself has the address, and it alone answers for it, by a MAC that is no
 * port's. */
static void gateway_make(struct cluster *c, const char *gateway)
{
    char line[128];

    snprintf(line, sizeof line,
             "ip link set sw address 02:00:00:00:01:01 && ip address add %s/24 dev sw", gateway);
    cr_assert(write_file("/proc/sys/net/ipv4/conf/all/arp_ignore", "1") && command(line));
    for (int i = 1; i < c->count; i++)
        c->nodes[i].routed = true;
    snprintf(c->dpdk[0].gateway, sizeof c->dpdk[0].gateway, "%s", gateway);
}

/* The card of party i, as scripts/vm names them. */
static void card_find(char *port, size_t bytes, int i)
{
    const char *card = getenv("SYNCHROTRON_VM_NICS");

    for (; card && i > 0; i--) {
        card = strchr(card, ' ');
        card += card != NULL;
    }
    if (!card)
        cr_skip_test("this machine has not as many cards to give away (SYNCHROTRON_VM_NICS)");
    snprintf(port, bytes, "%.*s", (int)strcspn(card, " "), card);
}

/* EAL is one for all parties, and sees no cards but those it was told of when it started. */
static void cards_allow(struct cluster *c)
{
    struct transport_dpdk *first = &c->dpdk[0];
    size_t at = 0;

    for (int i = 1; i < c->count; i++)
        at += (size_t)snprintf(first->eal + at, sizeof first->eal - at, "-a %s ", c->dpdk[i].port);
}

static void dpdk_configure(struct cluster *c)
{
    for (int i = 0; i < c->count; i++) {
        struct transport_dpdk *dpdk = &c->dpdk[i];
        *dpdk = (struct transport_dpdk){ .memory_bytes = 128 << 20, .hugepages = true };
        snprintf(dpdk->memif_dir, sizeof dpdk->memif_dir, "%s", c->directory);
        if (strcmp(c->backend->port, "memif") == 0)
            snprintf(dpdk->port, sizeof dpdk->port, "memif");
        else if (strcmp(c->backend->port, "pci") == 0)
            card_find(dpdk->port, sizeof dpdk->port, i);
        else
            snprintf(dpdk->port, sizeof dpdk->port, "%.*s%d", (int)strcspn(c->backend->port, "%"),
                     c->backend->port, i);
    }
    if (strcmp(c->backend->port, "pci") == 0)
        cards_allow(c);
}

static void dpdk_prepare(struct cluster *c, const char *gateway)
{
    uint32_t mtu = c->config.frame_bytes_max + 48;

    snprintf(c->directory, sizeof c->directory, "/tmp/memif-XXXXXX");
    cr_assert_not_null(mkdtemp(c->directory));
    if (strchr(c->backend->port, '%') && !interfaces_make(c, mtu))
        cr_skip_test("no switch can be made of this kernel's interfaces: it takes root, and `ip`");
    dpdk_configure(c);
    if (gateway)
        gateway_make(c, gateway);
}

static void address_choose(struct cluster *c, int i)
{
    uint32_t pid = (uint32_t)getpid();
    char address[64] = "::1";

    if (c->backend->family == AF_INET) /* those of a process are its own */
        snprintf(address, sizeof address, "127.%u.%u.%d", 1 + pid / 256 % 250, pid % 256, i + 1);
    else if (c->backend->multicast)
        snprintf(address, sizeof address, LINK_V6);
    free_address(&c->nodes[i], address, c->party[i].node_id);
}

static void group_choose(struct cluster *c)
{
    uint32_t pid = (uint32_t)getpid();

    if (c->backend->family == AF_INET)
        snprintf(c->group, sizeof c->group, "239.192.%u.%u", pid / 256 % 256, pid % 256);
    else
        snprintf(c->group, sizeof c->group, "ff05::%x", pid % 65536);
    c->config.multicast = c->group;
    c->config.multicast_port = c->nodes[0].port;
    c->config.multicast_ttl = 1;
}

static void pools_make(struct cluster *c, int i, const struct options *o)
{
    struct party *p = &c->party[i];
    struct transport_config words = { .frame_bytes_max = c->config.frame_bytes_max,
                                      .backend = &c->dpdk[i] };
    uint32_t rx_count = o->rx_count ? o->rx_count : RX_COUNT;
    bool card = c->backend->port && strcmp(c->backend->port, "pci") == 0;
    struct zcb_pool_shape rx = { .count = rx_count + (card ? CARD_POSTS : 0), .slices_max = 1 };
    c->backend->ops->rx_shape(&words, &rx);
    size_t rx_bytes = (size_t)(rx.slot_bytes + rx.headroom_bytes) * rx.count;
    p->rx_count = rx_count;
    size_t tx_bytes = (size_t)ZCB_HEAD_BYTES_MAX * TX_COUNT;

    cr_assert_eq(zcb_arena_create(&p->arena, "transport-test", rx_bytes + tx_bytes + PAYLOAD_BYTES,
                                  p->node_id, ZCB_PAGES_SMALL, ZCB_WRITER_CREATOR),
                 0);
    cr_assert_eq(zcb_pool_create(&p->rx, &p->arena, &rx), 0);
    cr_assert_eq(zcb_pool_create(&p->tx, &p->arena,
                                 &(struct zcb_pool_shape){ .offset = rx_bytes,
                                                           .slot_bytes = ZCB_HEAD_BYTES_MAX,
                                                           .count = TX_COUNT,
                                                           .slices_max = 16 }),
                 0);
    p->payload = p->arena.base + rx_bytes + tx_bytes;
    p->payload_at = 0;
}

void party_open(struct cluster *c, int i)
{
    struct transport_config config = c->config;
    char why[512];
    int error;

    config.node_id = c->party[i].node_id;
    config.rx_pool = &c->party[i].rx;
    config.rx_arena = &c->party[i].arena;
    if (c->backend->port)
        config.backend = &c->dpdk[i];
    error = c->backend->ops->open(&c->party[i].tp, &config, why, sizeof why);
    cr_assert_eq(error, 0, "%s", error != 0 ? why : "");
    for (struct party *p = &c->party[i]; p->rx.free_count > p->rx_count;) /* it posted fewer */
        p->spare[p->spare_count++] = zcb_get(&p->rx, ZCB_HELD_EVENT);
}

void party_close(struct cluster *c, int i)
{
    c->party[i].tp->ops->close(c->party[i].tp);
    c->party[i].tp = NULL;
    for (struct party *p = &c->party[i]; p->spare_count > 0;)
        zcb_drop(p->spare[--p->spare_count], ZCB_HELD_EVENT);
}

static uint32_t closed_parties(const struct cluster *c)
{
    uint32_t count = 0;
    for (int i = 0; i < c->count; i++)
        count += c->party[i].tp == NULL;
    return count;
}

static bool all_reach_all(const struct cluster *c)
{
    for (int i = 0; i < c->count; i++) {
        const struct transport *tp = c->party[i].tp;
        if (tp && tp->ops->stats(tp)->unreachable_peers > closed_parties(c))
            return false;
    }
    return true;
}

void reachable_wait(struct cluster *c)
{
    uint64_t begin_ns = clock_ns();
    struct zcb *frame;

    while (!all_reach_all(c)) {
        for (int i = 0; i < c->count; i++)
            while (c->party[i].tp && transport_rx_burst(c->party[i].tp, &frame, 1) == 1)
                zcb_drop(frame, ZCB_HELD_OUT);
        pump(c);
        deadline_check(begin_ns, "a link to each party");
    }
}

void cluster_open(struct cluster *c, enum backend_index backend, const struct options *options)
{
    static const struct options defaults; /* const: all 0 */
    const struct options *o = options ? options : &defaults;

    if (!isolate() && backends[backend].multicast)
        cr_skip_test("multicast on loopback needs a network namespace and this kernel gives none");
    if (backends[backend].multicast && backends[backend].family == AF_INET6 &&
        !backends[backend].port && !link_make())
        cr_skip_test("IPv6 multicast needs a link other than loopback: no veth or no `ip` here");
    *c = (struct cluster){ .backend = &backends[backend], .count = o->parties ? o->parties : 3 };
    for (int i = 0; i < c->count; i++) {
        c->party[i].node_id = c->nodes[i].node_id = 10 + 7 * (uint32_t)i;
        if (c->backend->port)
            address_invent(c, i);
        else if (c->backend->family != 0)
            address_choose(c, i);
    }
    c->config = (struct transport_config){
        .nodes = c->nodes,
        .node_count = c->count,
        .frame_bytes_max = o->frame_bytes_max ? o->frame_bytes_max : FRAME_BYTES_MAX,
        .rx_reserve = o->rx_reserve,
        .socket_bytes = o->socket_bytes,
    };
    if (c->backend->multicast)
        group_choose(c);
    if (c->backend->ops == &transport_sim) {
        struct sim_net_config net = { .seed = o->seed, .faults = { .delay_ns_most = NS_PER_US } };
        cr_assert_eq(sim_net_create(&c->net, &net), 0);
        c->sim = (struct sim_config){ c->net, c->backend->by_reference };
        c->config.backend = &c->sim;
    }
    if (c->backend->port)
        dpdk_prepare(c, o->gateway);
    for (int i = 0; i < c->count; i++) {
        pools_make(c, i, o);
        party_open(c, i);
    }
    reachable_wait(c);
}

void cluster_close(struct cluster *c)
{
    for (int i = 0; i < c->count; i++) {
        struct party *p = &c->party[i];
        if (p->tp)
            party_close(c, i);
        zcb_pool_destroy(&p->rx);
        zcb_pool_destroy(&p->tx);
        zcb_arena_destroy(&p->arena);
    }
    if (c->net)
        sim_net_destroy(c->net);
    if (c->directory[0])
        (void)rmdir(c->directory); /* sockets go with their ports */
}

static uint8_t *payload_take(struct party *p, size_t bytes)
{
    uint8_t *taken_from;

    if (p->payload_at + bytes + 1 > PAYLOAD_BYTES)
        p->payload_at = 0;
    taken_from = p->payload + p->payload_at;
    p->payload_at += bytes + 1; /* a gap: pieces are never neighbours */
    return taken_from;
}

struct zcb *frame_make(struct cluster *c, int i, uint32_t dest, uint32_t seed, uint32_t head_bytes,
                       uint32_t payload_bytes, uint32_t pieces)
{
    struct party *p = &c->party[i];
    struct zcb *frame = zcb_get(&p->tx, ZCB_HELD_OUT);
    uint32_t at = head_bytes;

    cr_assert_not_null(frame);
    frame->dest = dest;
    frame->head_bytes = head_bytes;
    for (uint32_t k = 0; k < head_bytes; k++)
        frame->head[k] = frame_byte(seed, k);
    for (uint32_t left = pieces; left > 0; left--) {
        uint32_t bytes = left == 1 ? payload_bytes : payload_bytes / left;
        uint8_t *data = payload_take(p, bytes);
        struct zcb_slice slice = { .data = data,
                                   .offset = (uint32_t)(data - p->arena.base),
                                   .bytes = bytes,
                                   .arena = p->arena.id,
                                   .key = p->arena.key };
        for (uint32_t k = 0; k < bytes; k++)
            data[k] = frame_byte(seed, at++);
        zcb_add_slice(frame, &slice);
        payload_bytes -= bytes;
    }
    return frame;
}

void frame_check(const struct zcb *frame, uint32_t from, uint32_t seed, uint32_t bytes)
{
    cr_assert_eq(frame->from, from, "from %u, not %u", frame->from, from);
    cr_assert_eq(frame->head_bytes, bytes, "%u bytes, not %u", frame->head_bytes, bytes);
    for (uint32_t k = 0; k < bytes; k++)
        cr_assert_eq(frame->head[k], frame_byte(seed, k), "byte %u of %u", k, bytes);
}

void pump(struct cluster *c)
{
    if (c->net)
        sim_net_advance(c->net, sim_net_now_ns(c->net) + NS_PER_US);
    for (int i = 0; i < c->count; i++) {
        if (c->party[i].tp)
            c->party[i].tp->ops->tx_reap(c->party[i].tp);
    }
}

void send_all(struct cluster *c, int i, struct zcb **frames, int count)
{
    uint64_t begin_ns = clock_ns();

    for (int sent = 0; sent < count;) {
        int n = transport_tx_burst(c->party[i].tp, frames + sent, count - sent);
        cr_assert(n >= 0 && n <= count - sent);
        sent += n;
        deadline_check(begin_ns, "sending");
    }
    pump(c);
}

void send_one(struct cluster *c, int i, struct zcb *frame)
{
    send_all(c, i, &frame, 1);
}

void receive(struct cluster *c, int i, struct zcb **frames, int want)
{
    uint64_t begin_ns = clock_ns();

    for (int got = 0; got < want;) {
        int n = transport_rx_burst(c->party[i].tp, frames + got, want - got);
        cr_assert(n >= 0 && n <= want - got);
        got += n;
        if (n == 0)
            pump(c);
        cr_assert(clock_ns() - begin_ns < patience_ns(), "%d of %d frames came", got, want);
    }
}

struct zcb *receive_one(struct cluster *c, int i)
{
    struct zcb *frame;

    receive(c, i, &frame, 1);
    return frame;
}

void drop_all(struct zcb **frames, int count)
{
    for (int i = 0; i < count; i++)
        zcb_drop(frames[i], ZCB_HELD_OUT);
}

static bool is_marker(const struct zcb *frame)
{
    return frame->head_bytes == sizeof marker_seed &&
           memcmp(frame->head, &marker_seed, sizeof marker_seed) == 0;
}

int drain(struct cluster *c, int from, int to)
{
    struct zcb *frame = frame_make(c, from, c->party[to].node_id, 0, sizeof marker_seed, 0, 0);
    uint64_t begin_ns = clock_ns();
    bool marker = false;
    int count = 0;
    int n;

    memcpy(frame->head, &marker_seed, sizeof marker_seed);
    send_one(c, from, frame);
    do { /* links keep order here; with two sockets one of them may still hold something */
        n = transport_rx_burst(c->party[to].tp, &frame, 1);
        if (n == 1) {
            marker = marker || is_marker(frame);
            count += !is_marker(frame);
            zcb_drop(frame, ZCB_HELD_OUT);
        } else if (!marker) {
            pump(c);
            deadline_check(begin_ns, "the marker");
        }
    } while (!marker || n == 1);
    return count;
}

bool readable(int fd)
{
    struct pollfd wait = { .fd = fd, .events = POLLIN };
    return poll(&wait, 1, 0) == 1;
}

uint32_t taken(const struct zcb_pool *pool)
{
    return pool->count - pool->free_count;
}
