/* SPDX-License-Identifier: BSD-3-Clause */
#include "notice.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "ring.h"

enum { NOTICE_BYTES = 512, HUGE_PAGE_BYTES = 2 << 20, ENCAPSULATION_BYTES = 28 };

struct sayer {
    notice_fn say;
    void *context;
};

__attribute__((format(printf, 2, 3))) static void tell(const struct sayer *s, const char *format,
                                                       ...)
{
    char line[NOTICE_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    s->say(s->context, line);
}

static uint64_t view_ms_worst(const struct config *config)
{
    uint32_t nodes[NODE_COUNT_MAX];
    for (int i = 0; i < config->node_count; i++)
        nodes[i] = config->nodes[i].node_id;
    struct ring_config ring = {
        .node_id = config->node_id,
        .cluster_tag = config->cluster_tag,
        .nodes = nodes,
        .node_count = config->node_count,
        .detect_ns = config->detect_ms * NS_PER_MS,
        .frame_bytes_max = config->netmtu - ENCAPSULATION_BYTES,
        .window_frames = config->window_frames,
        .personal_frames = config->personal_frames,
        .accelerated_frames = config->accelerated_frames,
        .park = true,
    };
    return (ring_view_ns_worst(&ring, 0) + NS_PER_MS - 1) / NS_PER_MS;
}

static void tell_transport(const struct sayer *s, const struct config *config)
{
    char name[DPDK_PORT_BYTES + 32];
    bool dpdk = strcmp(config->transport, "dpdk") == 0;
    snprintf(name, sizeof(name), "%s%s%s", config->transport, dpdk ? " on " : "",
             dpdk ? config->dpdk.port : "");
    const struct transport_node *us = &config->nodes[0];
    while (us->node_id != config->node_id)
        us++;
    if (config->multicast[0])
        tell(s, "transport: %s, node %u at %s, multicast to %s port %u, ttl %u, mtu %u", name,
             us->node_id, us->address, config->multicast, config->port, config->multicast_ttl,
             config->netmtu);
    else
        tell(s, "transport: %s, node %u at %s port %u, fan-out to %d other node%s, mtu %u", name,
             us->node_id, us->address, us->port, config->node_count - 1,
             config->node_count == 2 ? "" : "s", config->netmtu);
}

static void add_node(char *text, size_t bytes, const char *what, int node)
{
    size_t used = strlen(text);
    if (node == PLACE_SPREAD)
        snprintf(text + used, bytes - used, ", %s on several", what);
    else if (node >= 0)
        snprintf(text + used, bytes - used, ", %s on NUMA node %d", what, node);
}

/* Where it runs, and what it has where. */
static void place_text(const struct notice_poll *p, char *text, size_t bytes)
{
    const struct config *config = p->config;
    if (config->poll_cpu < 0)
        snprintf(text, bytes, "no core of its own");
    else
        snprintf(text, bytes, "%s cpu %d of NUMA node %d", p->pinned ? "pinned to" : "on",
                 config->poll_cpu, p->place->cpu_node);
    add_node(text, bytes, "port", p->place->port_node);
    add_node(text, bytes, "memory", p->memory_node);
}

void notice_poll(const struct notice_poll *p, notice_fn say, void *context)
{
    struct sayer s = { say, context };
    char place[160], wake[64] = "";
    const char *by = p->config->poll == POLL_AUTO ? "auto, which here is " : "";
    place_text(p, place, sizeof(place));
    if (p->woken_by)
        snprintf(wake, sizeof(wake), ", woken by %s", p->woken_by);
    if (p->config->spins)
        tell(&s, "poll: %sspin, %s", by, place);
    else
        tell(&s, "poll: %sbackoff, %s; sleeps after %u us without work%s", by, place,
             p->config->poll_yield_us, wake);
}

void notice_config(const struct config *config, notice_fn say, void *context)
{
    struct sayer s = { say, context };
    tell_transport(&s, config);
    tell(&s,
         "membership: a silent node is out after %u ms; the new view comes after %" PRIu64
         " ms and %d rotations of the token at the latest",
         config->detect_ms, view_ms_worst(config), RING_VIEW_ROTATIONS);
}

void notice_socket(const struct transport_caps *caps, notice_fn say, void *context)
{
    struct sayer s = { say, context };
    if (caps->socket_bytes >= caps->socket_bytes_wanted)
        return;
    tell(&s,
         "socket: the kernel gave buffers of %" PRIu64 " KiB instead of %" PRIu64
         "; longer bursts are lost and sent again: sysctl net.core.rmem_max=%" PRIu64
         " net.core.wmem_max=%" PRIu64 ", then restart",
         caps->socket_bytes >> 10, caps->socket_bytes_wanted >> 10, caps->socket_bytes_wanted,
         caps->socket_bytes_wanted);
}

void notice_copies(const struct transport_caps *caps, notice_fn say, void *context)
{
    struct sayer s = { say, context };
    if (caps->copies)
        tell(&s, "memory: %s", caps->copies);
}

void notice_memory(const struct resources *r, notice_fn say, void *context)
{
    struct sayer s = { say, context };
    uint64_t pages = align_up(r->rx.bytes, HUGE_PAGE_BYTES) / HUGE_PAGE_BYTES;
    if (r->rx.page_bytes == HUGE_PAGE_BYTES)
        tell(&s, "memory: %zu MiB for received frames in 2 MiB pages", r->rx.bytes >> 20);
    else if (!r->config->hugepages)
        tell(&s, "memory: %zu MiB for received frames in 4 KiB pages, as zcb.hugepages says",
             r->rx.bytes >> 20);
    else
        tell(
            &s,
            "memory: %zu MiB for received frames in 4 KiB pages; 2 MiB pages would save TLB misses "
            "at high rates: sysctl vm.nr_hugepages=%" PRIu64 ", then restart",
            r->rx.bytes >> 20, pages);
}
