/* SPDX-License-Identifier: BSD-3-Clause */
#include "udp.h"
#include "why.h"

#include <errno.h>
#include <string.h>

static int frame_bytes_check(const struct udp *u, const struct transport_config *config, char *why,
                             size_t why_bytes)
{
    int family = u->peers.item[u->peers.self].address.any.sa_family;
    uint32_t most = family == AF_INET ? UDP_V4_BYTES_MAX : UDP_V6_BYTES_MAX;

    if (config->frame_bytes_max == 0 || config->frame_bytes_max > most)
        return transport_why(why, why_bytes, -EMSGSIZE,
                             "udp: a datagram carries 1 to %u bytes and frames are to be %u: set "
                             "netmtu to the MTU of the slowest link, 1500 or 9000 as a rule",
                             most, config->frame_bytes_max);
    if (config->rx_pool->slot_bytes < config->frame_bytes_max)
        return transport_why(why, why_bytes, -EINVAL,
                             "udp: receive slots have %u bytes and frames up to %u: give the pool "
                             "slots as large as frames",
                             config->rx_pool->slot_bytes, config->frame_bytes_max);
    return 0;
}

static int udp_open(struct transport **out, const struct transport_config *config, char *why,
                    size_t why_bytes)
{
    struct udp *u = aligned_alloc(CACHE_LINE_BYTES, align_up(sizeof *u, CACHE_LINE_BYTES));
    int error;

    if (u == NULL)
        return transport_why(why, why_bytes, -ENOMEM, "udp: no memory for %zu bytes of state",
                             sizeof *u);
    memset(u, 0, sizeof *u);
    u->base.ops = &transport_udp;
    u->pool = config->rx_pool;
    u->rx_reserve = config->rx_reserve;
    u->frame_bytes_max = config->frame_bytes_max;
    error = udp_peers_init(&u->peers, config, why, why_bytes);
    if (error == 0)
        error = frame_bytes_check(u, config, why, why_bytes);
    if (error == 0)
        error = udp_sockets_open(&u->sockets, &u->peers, config, why, why_bytes);
    if (error != 0)
        goto free_state;
    error = udp_rx_init(u);
    if (error != 0) {
        transport_why(why, why_bytes, error, "udp: no memory for receive buffers");
        goto close_sockets;
    }
    udp_tx_init(u);
    *out = &u->base;
    return 0;

close_sockets:
    udp_sockets_close(&u->sockets);
free_state:
    free(u);
    return error;
}

static void udp_query(const struct transport *tp, struct transport_caps *caps)
{
    const struct udp *u = (const void *)tp;

    *caps = (struct transport_caps){
        .frame_bytes_max = u->frame_bytes_max,
        .burst_max = TRANSPORT_BURST,
        .multicast = udp_peers_multicast(&u->peers),
        .copies_on_tx = true,
        .sleep_fd = u->sockets.sleep_fd,
        .woken_by = "socket",
        .socket_bytes = u->sockets.bytes,
        .socket_bytes_wanted = u->sockets.bytes_wanted,
    };
}

static void udp_members(struct transport *tp, const uint32_t *nodes, int count)
{
    udp_peers_members(&udp_of(tp)->peers, nodes, count);
}

static int udp_tx_reap(struct transport *tp)
{
    (void)tp; /* V3 */
    return 0;
}

static const struct transport_stats *udp_stats(const struct transport *tp)
{
    const struct udp *u = (const void *)tp;
    return &u->stats;
}

static void udp_close(struct transport *tp)
{
    struct udp *u = udp_of(tp);

    udp_rx_close(u);
    udp_sockets_close(&u->sockets);
    free(u);
}

const struct transport_ops transport_udp = {
    .name = "udp",
    .rx_shape = transport_rx_shape,
    .check = transport_no_check,
    .node = transport_no_node,
    .open = udp_open,
    .query = udp_query,
    .tx_burst = udp_tx_burst,
    .rx_burst = udp_rx_burst,
    .members = udp_members,
    .links_down = udp_links_down,
    .arm = transport_sleep, /* V4 */
    .disarm = transport_no_disarm,
    .tx_reap = udp_tx_reap,
    .memory_add = transport_no_memory_add,
    .memory_drop = transport_no_memory_drop,
    .stats = udp_stats,
    .counters = transport_no_counters,
    .close = udp_close,
};
