/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * raw_dpdk.c - what memif ports carry when nothing is done but moving frames: the bound that
 * perf/memif holds the ring's rates against.
 *
 * A plain DPDK process with one port for each link it is given. A sender puts each frame into all
 * its ports and waits for room, so nothing is lost; a receiver counts and frees. No order, no
 * retransmission, no clients. One JSON line at the end, on standard output.
 */

#include <getopt.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_bus_vdev.h>
#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>

enum {
    PORTS_MAX = 8,
    BURST = 32,
    HEADERS_BYTES = 42, /* Ethernet, IPv4 and UDP: each frame carries them, as ours do */
    DESCRIPTORS = 1024, /* as the daemon's: the driver takes what its ring has */
    FRAMES = 4096,
    QUIET_MS = 300, /* of a receiver: this long without a frame is the end */
    LINK_TRIES = 2000,
    LINK_LOOKS = 40,
    LINK_WAIT_US = 5000,
};

struct raw {
    bool sends;
    int cpu; /* -1: wherever the kernel likes */
    uint32_t payload_bytes;
    uint32_t buffer_bytes; /* of a memif buffer: the largest frame */
    uint32_t ring_log2;
    double seconds;
    uint16_t port[PORTS_MAX];
    int port_count;
    struct rte_mempool *frames;
    uint64_t sent, received[PORTS_MAX];
    uint64_t first_cycles, last_cycles; /* of what was received, or of sending */
};

static void die(const char *what)
{
    fprintf(stderr, "raw_dpdk: %s: %s\n", what, rte_strerror(rte_errno));
    exit(1);
}

static void usage(FILE *to)
{
    fprintf(to,
            "usage: raw_dpdk [-S] [-s BYTES] [-b BYTES] [-r LOG2] [-D SECONDS] [-c CPU] LINK...\n"
            "  LINK   server:PATH or client:PATH, a memif socket\n"
            "  -S     send each frame to all links; else only receive\n"
            "  -s     payload of a frame, behind 42 bytes of headers\n"
            "  -b     size of a memif buffer     -r  entries of its ring, as a power of two\n"
            "  -c     run on this processor alone\n");
}

static bool parse(struct raw *raw, int argc, char **argv)
{
    int option;
    while ((option = getopt(argc, argv, "Ss:b:r:D:c:h")) != -1) {
        switch (option) {
        case 'S':
            raw->sends = true;
            break;
        case 's':
            raw->payload_bytes = (uint32_t)strtoul(optarg, NULL, 0);
            break;
        case 'b':
            raw->buffer_bytes = (uint32_t)strtoul(optarg, NULL, 0);
            break;
        case 'r':
            raw->ring_log2 = (uint32_t)strtoul(optarg, NULL, 0);
            break;
        case 'D':
            raw->seconds = strtod(optarg, NULL);
            break;
        case 'c':
            raw->cpu = (int)strtol(optarg, NULL, 0);
            break;
        case 'h':
            usage(stdout);
            exit(0);
        default:
            return false;
        }
    }
    return argc > optind && argc - optind <= PORTS_MAX && raw->seconds > 0 &&
           raw->payload_bytes + HEADERS_BYTES <= raw->buffer_bytes;
}

/* Without hugepages, as the daemon is where none are set aside. */
static void start_eal(const struct raw *raw)
{
    char line[128], *word[16], *rest = line;
    int count = 0;
    cpu_set_t before;
    (void)sched_getaffinity(0, sizeof(before), &before);
    snprintf(line, sizeof(line),
             "raw_dpdk --no-pci --no-telemetry --no-huge --no-shconf --iova-mode=va -m 128 "
             "--log-level=critical -l %d",
             raw->cpu < 0 ? 0 : raw->cpu);
    while ((word[count] = strsep(&rest, " ")))
        count++;
    if (rte_eal_init(count, word) < 0)
        die("EAL does not start");
    if (raw->cpu < 0)
        (void)sched_setaffinity(0, sizeof(before), &before);
}

static void open_port(struct raw *raw, const char *link)
{
    char name[32], words[256];
    const char *path = strchr(link, ':');
    struct rte_eth_conf conf = { .txmode.offloads = RTE_ETH_TX_OFFLOAD_MULTI_SEGS };
    uint16_t *port = &raw->port[raw->port_count];
    bool server = strncmp(link, "server:", 7) == 0;
    if (!path)
        die(link);
    snprintf(name, sizeof(name), "net_memif_%d", raw->port_count);
    snprintf(words, sizeof(words), "role=%s,id=0,socket=%s,socket-abstract=no,bsize=%u,rsize=%u",
             server ? "server" : "client", path + 1, raw->buffer_bytes, raw->ring_log2);
    if (rte_vdev_init(name, words) != 0 || rte_eth_dev_get_port_by_name(name, port) != 0 ||
        rte_eth_dev_configure(*port, 1, 1, &conf) != 0 ||
        rte_eth_rx_queue_setup(*port, 0, DESCRIPTORS, SOCKET_ID_ANY, NULL, raw->frames) != 0 ||
        rte_eth_tx_queue_setup(*port, 0, DESCRIPTORS, SOCKET_ID_ANY, NULL) != 0)
        die(link);
    raw->port_count++;
}

static bool is_up(uint16_t port)
{
    struct rte_eth_link link = { 0 };
    return rte_eth_link_get_nowait(port, &link) == 0 && link.link_status == RTE_ETH_LINK_UP;
}

static bool links_are_up(const struct raw *raw)
{
    bool up = true;
    for (int i = 0; i < raw->port_count; i++)
        up = up && is_up(raw->port[i]);
    return up;
}

/* A client that finds no server, or one that is not ready to greet it, begins again. */
static void wait_for_links(const struct raw *raw)
{
    for (int tries = 0; !links_are_up(raw); tries++) {
        if (tries == LINK_TRIES)
            die("nobody at the other end");
        for (int i = 0; i < raw->port_count && tries % LINK_LOOKS == 0; i++) {
            if (is_up(raw->port[i]))
                continue;
            (void)rte_eth_dev_stop(raw->port[i]);
            (void)rte_eth_dev_start(raw->port[i]);
        }
        usleep(LINK_WAIT_US);
    }
}

/* What has come, of all ports; whether anything has. */
static bool receive(struct raw *raw)
{
    struct rte_mbuf *m[BURST];
    uint64_t now = 0;
    for (int i = 0; i < raw->port_count; i++) {
        uint16_t got = rte_eth_rx_burst(raw->port[i], 0, m, BURST);
        if (got == 0)
            continue;
        rte_pktmbuf_free_bulk(m, got);
        raw->received[i] += got;
        now = rte_rdtsc();
    }
    if (now == 0)
        return false;
    if (raw->sends)
        return true;
    if (raw->first_cycles == 0)
        raw->first_cycles = now;
    raw->last_cycles = now;
    return true;
}

/* One frame for all ports: a reference each, and no port changes it. */
static bool make_frames(struct raw *raw, struct rte_mbuf **m)
{
    if (rte_pktmbuf_alloc_bulk(raw->frames, m, BURST) != 0)
        return false;
    for (int i = 0; i < BURST; i++) {
        m[i]->data_len = (uint16_t)(raw->payload_bytes + HEADERS_BYTES);
        m[i]->pkt_len = m[i]->data_len;
        memset(rte_pktmbuf_mtod(m[i], void *), 0x5a, HEADERS_BYTES);
        rte_mbuf_refcnt_set(m[i], (uint16_t)raw->port_count);
    }
    return true;
}

/* A burst into each port. Who waits for room lets others run: a receiver may share the processor.
 */
static bool send_burst(struct raw *raw)
{
    struct rte_mbuf *m[BURST];
    uint16_t done[PORTS_MAX] = { 0 };
    if (!make_frames(raw, m))
        return receive(raw);
    for (bool all = false; !all;) {
        bool moved = receive(raw);
        all = true;
        for (int i = 0; i < raw->port_count; i++) {
            uint16_t sent = done[i] == BURST ? 0
                                             : rte_eth_tx_burst(raw->port[i], 0, m + done[i],
                                                                (uint16_t)(BURST - done[i]));
            done[i] = (uint16_t)(done[i] + sent);
            moved = moved || sent > 0;
            all = all && done[i] == BURST;
        }
        if (!moved && !links_are_up(raw))
            return false;
        if (!moved)
            sched_yield();
    }
    raw->sent += BURST;
    return true;
}

static void run_sender(struct raw *raw)
{
    uint64_t end = rte_rdtsc() + (uint64_t)(raw->seconds * (double)rte_get_tsc_hz());
    raw->first_cycles = rte_rdtsc();
    while (rte_rdtsc() < end && send_burst(raw))
        ;
    raw->last_cycles = rte_rdtsc();
}

/* Until nothing has come for a while: of others' last frames, too. */
static void run_receiver(struct raw *raw)
{
    uint64_t hz = rte_get_tsc_hz(), seen = rte_rdtsc();
    uint64_t patience = raw->sends ? 0 : (uint64_t)((raw->seconds + 10) * (double)hz);
    while (rte_rdtsc() - seen < (patience ? patience : hz / 1000 * QUIET_MS)) {
        if (receive(raw)) {
            seen = rte_rdtsc();
            patience = 0;
        } else {
            sched_yield();
        }
    }
}

static void report(const struct raw *raw)
{
    double seconds = (double)(raw->last_cycles - raw->first_cycles) / (double)rte_get_tsc_hz();
    uint64_t least = raw->sends ? raw->sent : UINT64_MAX;
    for (int i = 0; i < raw->port_count && !raw->sends; i++)
        least = RTE_MIN(least, raw->received[i]);
    printf("{\"sends\": %s, \"size\": %u, \"links\": %d, \"frames\": %llu, \"seconds\": %.6f, "
           "\"frames_per_s\": %.1f, \"bytes_per_s\": %.1f}\n",
           raw->sends ? "true" : "false", raw->payload_bytes, raw->port_count,
           (unsigned long long)least, seconds, seconds > 0 ? (double)least / seconds : 0,
           seconds > 0 ? (double)least * raw->payload_bytes / seconds : 0);
}

int main(int argc, char **argv)
{
    struct raw raw = {
        .cpu = -1, .payload_bytes = 1400, .buffer_bytes = 1536, .ring_log2 = 9, .seconds = 1
    };
    if (!parse(&raw, argc, argv)) {
        usage(stderr);
        return 2;
    }
    start_eal(&raw);
    raw.frames =
        rte_pktmbuf_pool_create("frames", FRAMES, 256, 0,
                                (uint16_t)(RTE_PKTMBUF_HEADROOM + raw.buffer_bytes), SOCKET_ID_ANY);
    if (!raw.frames)
        die("no memory for frames");
    for (int i = optind; i < argc; i++)
        open_port(&raw, argv[i]);
    wait_for_links(&raw);
    if (raw.sends)
        run_sender(&raw);
    run_receiver(&raw);
    report(&raw);
    fflush(stdout);
    _exit(0); /* peers of ours may still look at memory that an orderly end would unmap */
}
