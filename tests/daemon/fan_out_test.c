/* SPDX-License-Identifier: BSD-3-Clause */
#include "core_inner.h"
#include "internal.h"
#include "sim/sim.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

/* The ring sends in another order where a frame for many goes out once for each of them. */

static void query_multicast(const struct transport *tp, struct transport_caps *caps)
{
    transport_sim.query(tp, caps);
    caps->multicast = true;
}

static struct transport_ops multicast;

static int open_multicast(struct transport **out, const struct transport_config *config, char *why,
                          size_t why_bytes)
{
    int failed = transport_sim.open(out, config, why, why_bytes);
    if (!failed)
        (*out)->ops = &multicast;
    return failed;
}

/* What the ring of a core with this transport was told. */
static bool told_fan_out(const struct transport_ops *ops)
{
    static const struct sim_net_config net_config = { .seed = 1 };
    static struct chan_core words;
    struct config config = { .cluster_name = "fan-out",
                             .cluster_tag = 7,
                             .transport = "sim",
                             .poll = POLL_BACKOFF,
                             .poll_cpu = -1,
                             .detect_ms = 1000,
                             .netmtu = 1500,
                             .rx_bytes = 4 << 20,
                             .message_bytes_max = 64 << 10,
                             .clients_max = 4,
                             .client_events_max = 256,
                             .slow_client_ms = 1000,
                             .node_id = 1,
                             .node_count = 1,
                             .nodes = { { .node_id = 1, .address = "127.0.0.1" } } };
    struct sim_config sim = { 0 };
    struct zcb_arena rx = {
        .bytes = config.rx_bytes, .page_bytes = CHAN_PAGE_BYTES, .id = 1, .fd = -1
    };
    struct core *core = NULL;
    char why[200] = "";
    cr_assert(eq(int, sim_net_create(&sim.net, &net_config), 0));
    rx.base = aligned_alloc(CHAN_PAGE_BYTES, rx.bytes);
    int failed = core_create(&core,
                             &(struct core_config){ .config = &config,
                                                    .transport = ops,
                                                    .rx_arena = &rx,
                                                    .words = &words,
                                                    .clients_max = config.clients_max,
                                                    .incarnation = 1,
                                                    .backend = &sim,
                                                    .start_ns = NS_PER_S },
                             why, sizeof(why));
    cr_assert(eq(int, failed, 0), "%s", why);
    bool told = core->ring->config.fan_out;
    core_destroy(core);
    sim_net_destroy(sim.net);
    free(rx.base);
    return told;
}

Test(fan_out, the_ring_is_told_what_its_transport_does)
{
    multicast = transport_sim;
    multicast.open = open_multicast;
    multicast.query = query_multicast;
    cr_assert(told_fan_out(&transport_sim));
    cr_assert(not(told_fan_out(&multicast)));
}
