/* SPDX-License-Identifier: BSD-3-Clause */
#include "ports.h"
#include "check.h"
#include "host.h"
#include "why.h"

#include <errno.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    MEMIF_RING_LOG2 = 9,
    PACKET_RING_BYTES = 2 << 20, /* of the kernel's rings for packet sockets, about */
    PAGE_BYTES = 4096,
    PACKET_BEFORE = 66, /* the kernel's own, in front of each packet there */
    PACKET_ALIGN = 16,
};

/* EAL's names are process-wide, and not free again at once. */
static uint32_t serial(void)
{
    static uint32_t last;
    return last++;
}

/* The fewest packets that fill whole pages: the driver takes blocks to have no gap at their end. */
static uint32_t packets_of_a_block(uint32_t bytes)
{
    uint32_t packets = PAGE_BYTES;
    while (packets > 1 && bytes * (packets / 2) % PAGE_BYTES == 0)
        packets /= 2;
    return packets;
}

/* A driver refuses when what it takes for the room of a packet exceeds ours: so no rounding up. */
static void af_packet(struct dpdk_port_config *pc, const char *interface)
{
    uint32_t bytes = (uint32_t)align_up(pc->packet_bytes_max + PACKET_BEFORE, PACKET_ALIGN);
    uint32_t packets = packets_of_a_block(bytes);
    uint32_t blocks = (PACKET_RING_BYTES + bytes * packets - 1) / (bytes * packets);
    pc->kind = DPDK_AF_PACKET;
    pc->interface = if_nametoindex(interface);
    snprintf(pc->name, sizeof(pc->name), "net_af_packet_%u", serial());
    snprintf(pc->arguments, sizeof(pc->arguments),
             "iface=%s,framesz=%u,blocksz=%u,framecnt=%u,qpairs=1,qdisc_bypass=1", interface, bytes,
             bytes * packets, blocks * packets);
}

static void af_xdp(struct dpdk_port_config *pc, const char *interface)
{
    pc->kind = DPDK_AF_XDP;
    pc->interface = if_nametoindex(interface);
    snprintf(pc->name, sizeof(pc->name), "net_af_xdp_%u", serial());
    snprintf(pc->arguments, sizeof(pc->arguments),
             "iface=%s,start_queue=0,queue_count=1,busy_budget=0", interface);
}

/* "net_null0,size=64": the name, and what follows it */
static void vdev(struct dpdk_port_config *pc, const char *words)
{
    size_t bytes = strcspn(words, ",");
    pc->kind = DPDK_VDEV;
    snprintf(pc->name, sizeof(pc->name), "%.*s", (int)bytes, words);
    snprintf(pc->arguments, sizeof(pc->arguments), "%s", words[bytes] ? words + bytes + 1 : "");
}

static void pci(struct dpdk_port_config *pc, const char *address)
{
    pc->kind = DPDK_PCI;
    snprintf(pc->name, sizeof(pc->name), "%s", address);
}

static int interface(const char *words, const char *interface, int family, uint32_t mtu, char *why,
                     size_t why_bytes)
{
    struct dpdk_host_interface about = {
        .port = words, .interface = interface, .family = family, .mtu = mtu
    };
    return dpdk_host_interface(&about, why, why_bytes);
}

static int read_words(struct dpdk_port_config *pc, const char *words, char *why, size_t why_bytes)
{
    const char *rest;
    if ((rest = dpdk_after(words, "af_packet:"))) {
        af_packet(pc, rest);
        return interface(words, rest, AF_PACKET, pc->mtu, why, why_bytes);
    }
    if ((rest = dpdk_after(words, "af_xdp:"))) {
        af_xdp(pc, rest);
        return interface(words, rest, DPDK_FAMILY_XDP, pc->mtu, why, why_bytes);
    }
    if (dpdk_after(words, "net_")) {
        vdev(pc, words);
        return 0;
    }
    pci(pc, words);
    return 0;
}

/* A MAC that says whose it is: locally administered, then the node's id. All links of a node have
 * the same. */
static void memif_mac(char *text, size_t bytes, uint32_t node_id)
{
    snprintf(text, bytes, "02:53:%02x:%02x:%02x:%02x", node_id >> 24, node_id >> 16 & 255,
             node_id >> 8 & 255, node_id & 255);
}

/* S2. The same file by another name, so that both ends may be in one process: memif keeps sockets
 * by their names. */
static int memif(struct dpdk_port_config *pc, const struct transport_dpdk *words, uint32_t self,
                 uint32_t other)
{
    char path[DPDK_PATH_BYTES + 64], mac[24];
    uint32_t low = self < other ? self : other, high = self < other ? other : self;
    pc->kind = DPDK_MEMIF;
    pc->client = self == high;
    pc->directory = words->memif_dir;
    pc->other = other;
    snprintf(path, sizeof(path), "%s%s/%u-%u.memif", words->memif_dir, pc->client ? "/." : "", low,
             high);
    if (strlen(path) > 107)
        return -ENAMETOOLONG;
    if (!pc->client)
        (void)unlink(path); /* of a daemon that was killed */
    memif_mac(mac, sizeof(mac), self);
    snprintf(pc->name, sizeof(pc->name), "net_memif_%u", serial());
    snprintf(pc->arguments, sizeof(pc->arguments),
             "role=%s,id=0,socket=%s,socket-abstract=no,bsize=%u,rsize=%d,mac=%s",
             pc->client ? "client" : "server", path,
             (uint32_t)align_up(pc->packet_bytes_max, CACHE_LINE_BYTES), MEMIF_RING_LOG2, mac);
    return 0;
}

static int open_one(struct dpdk *d, const struct dpdk_port_config *pc, char *why, size_t why_bytes)
{
    int failed = dpdk_port_open(&d->port[d->port_count], pc, why, why_bytes);
    if (failed)
        return failed;
    d->port_count++;
    return 0;
}

/* Before the first link: whose end is there finds it. */
static int hang_bell(struct dpdk *d, const struct transport_dpdk *words, char *why,
                     size_t why_bytes)
{
    int failed = bell_open(&d->bell, words->memif_dir, d->node_id[d->self]);
    if (failed)
        return transport_why(why, why_bytes, failed,
                             "dpdk: in dpdk.memif_dir %s the files by which nodes wake each other "
                             "cannot be made: %s",
                             words->memif_dir, strerror(-failed));
    return 0;
}

static int open_mesh(struct dpdk *d, const struct transport_dpdk *words,
                     struct dpdk_port_config *pc, char *why, size_t why_bytes)
{
    if (mkdir(words->memif_dir, 0700) != 0 && errno != EEXIST)
        return transport_why(why, why_bytes, -errno,
                             "dpdk: directory %s cannot be made: %s: name another in "
                             "dpdk.memif_dir, the same for all nodes",
                             words->memif_dir, strerror(errno));
    int failed = dpdk_check_directory(words->memif_dir, why, why_bytes); /* whoever made it */
    if (!failed)
        failed = hang_bell(d, words, why, why_bytes);
    for (int i = 0; i < d->all.count && !failed; i++) {
        uint8_t peer = d->all.peer[i];
        pc->bell = &d->bell;
        failed = memif(pc, words, d->node_id[d->self], d->node_id[peer]);
        if (failed)
            return transport_why(why, why_bytes, failed,
                                 "dpdk: dpdk.memif_dir %s is too long for sockets in it",
                                 words->memif_dir);
        d->port_of[peer] = (uint8_t)d->port_count;
        failed = open_one(d, pc, why, why_bytes);
    }
    return failed;
}

int dpdk_ports_open(struct dpdk *d, const struct transport_config *config, char *why,
                    size_t why_bytes)
{
    const struct transport_dpdk *words = config->backend;
    struct dpdk_port_config pc = {
        .said = words->port,
        .frames = d->slots.mempool,
        .arena = config->rx_arena,
        .areas = &d->areas,
        .packet_bytes_max = d->head_bytes + d->frame_bytes_max,
        .mtu = d->head_bytes + d->frame_bytes_max - (words->vlan_id ? 18 : 14),
    };
    int failed;
    if (strcmp(words->port, "memif") == 0) {
        failed = open_mesh(d, words, &pc, why, why_bytes);
    } else {
        failed = read_words(&pc, words->port, why, why_bytes);
        if (!failed)
            failed = open_one(d, &pc, why, why_bytes);
    }
    return failed;
}

void dpdk_ports_close(struct dpdk *d)
{
    while (d->port_count > 0)
        dpdk_port_close(&d->port[--d->port_count]);
    bell_close(&d->bell);
}
