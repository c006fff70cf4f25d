/* SPDX-License-Identifier: BSD-3-Clause */
#include "port.h"
#include "burst.h"
#include "card.h"
#include "eal.h"
#include "inbox.h"
#include "memif.h"
#include "sysfs.h"
#include "unplug.h"
#include "why.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

enum {
    FANOUT_TRIES = 16,
    FANOUT_STEP = 257,
    XDP_TRIES = 20,
    XDP_WAIT_US = 100 * 1000,
    STUCK_LOOKS = 5,
    EMPTY_LOOKS = 50,
    HANDSHAKE_LOOKS = 100,         /* at a link that does not come up */
    E1000_GAP_NS = 17 * NS_PER_MS, /* its driver sets the card's ITR register to 65535 x 256 ns */
};

static int refused(const struct dpdk_port_config *config, int error, const char *what,
                   const char *mend, char *why, size_t why_bytes)
{
    char said[DPDK_SAID_BYTES];
    dpdk_eal_said(said);
    return transport_why(why, why_bytes, error, "dpdk: port %s: %s: %s%s%s%s: %s", config->said,
                         what, strerror(-error), said[0] ? " (" : "", said, said[0] ? ")" : "",
                         mend);
}

static const char *const make_mend[] = {
    [DPDK_MEMIF] = "other nodes' sockets must be in the same dpdk.memif_dir",
    [DPDK_AF_PACKET] = "it takes root or CAP_NET_RAW, and an interface that `ip link` lists",
    [DPDK_AF_XDP] = "it takes root, an interface that `ip link` lists, and an MTU up to 3498",
    [DPDK_PCI] = "bind the device with `dpdk-devbind.py -b vfio-pci ADDRESS`; what the driver "
                 "says shows dpdk { eal: --log-level=debug }",
    [DPDK_VDEV] = "see the driver's arguments in DPDK's guide",
};

/* Another process of this namespace has its fan-out group by our name: by another one, then. */
static int make_vdev(const struct dpdk_port_config *config)
{
    char said[DPDK_SAID_BYTES];
    int failed;
    do {
        dpdk_eal_forget();
        failed = rte_vdev_init(config->name, config->arguments);
        dpdk_eal_said(said);
        dpdk_pid_shift += FANOUT_STEP;
    } while (failed && strstr(said, "PACKET_FANOUT") &&
             dpdk_pid_shift < FANOUT_TRIES * FANOUT_STEP);
    dpdk_pid_shift = 0;
    return failed;
}

/* EAL looks for cards as it starts, and forgets those that are closed. */
static int find_port(const struct dpdk_port_config *config, uint16_t *id)
{
    int failed = rte_eth_dev_get_port_by_name(config->name, id);
    if (failed && config->kind == DPDK_PCI && rte_dev_probe(config->name) == 0)
        failed = rte_eth_dev_get_port_by_name(config->name, id);
    return failed;
}

static int make_device(struct dpdk_port *port, const struct dpdk_port_config *config, char *why,
                       size_t why_bytes)
{
    dpdk_eal_forget();
    int failed = config->kind == DPDK_PCI ? 0 : make_vdev(config);
    if (failed)
        return refused(config, failed, "no such port can be made", make_mend[config->kind], why,
                       why_bytes);
    failed = find_port(config, &port->id);
    if (failed)
        return refused(config, failed,
                       config->kind == DPDK_PCI ? "no driver of DPDK starts it"
                                                : "there is no such device",
                       make_mend[config->kind], why, why_bytes);
    return 0;
}

static int set_up_queues(struct dpdk_port *port, const struct dpdk_port_config *config,
                         const struct rte_eth_dev_info *info)
{
    uint16_t rx = DPDK_DESCRIPTORS, tx = DPDK_DESCRIPTORS;
    struct rte_eth_conf conf = { .rxmode.mq_mode = RTE_ETH_MQ_RX_NONE };
    struct rte_eth_txconf tx_conf = info->default_txconf;
    const struct rte_eth_desc_lim *limits = &info->tx_desc_lim;
    if (!(info->tx_offload_capa & RTE_ETH_TX_OFFLOAD_MULTI_SEGS))
        port->tx_copy = DPDK_COPY_TX_LINEAR;
    port->pieces_most = RTE_MIN(limits->nb_seg_max, limits->nb_mtu_seg_max);
    port->sums = info->tx_offload_capa & RTE_ETH_TX_OFFLOAD_UDP_CKSUM;
    conf.txmode.offloads =
        info->tx_offload_capa & (RTE_ETH_TX_OFFLOAD_MULTI_SEGS | RTE_ETH_TX_OFFLOAD_UDP_CKSUM);
    conf.rxmode.offloads = info->rx_offload_capa & RTE_ETH_RX_OFFLOAD_UDP_CKSUM;
    if (config->kind == DPDK_PCI)
        conf.rxmode.mtu = config->mtu;
    conf.intr_conf.rxq = port->interrupts;
    int failed = rte_eth_dev_configure(port->id, 1, 1, &conf);
    if (!failed)
        failed = rte_eth_dev_adjust_nb_rx_tx_desc(port->id, &rx, &tx);
    if (!failed)
        failed = rte_eth_rx_queue_setup(port->id, 0, rx, SOCKET_ID_ANY, NULL,
                                        port->own_memory ? port->inbox : config->frames);
    dpdk_card_queue(port, &tx_conf);
    tx_conf.offloads = conf.txmode.offloads;
    if (!failed)
        failed = rte_eth_tx_queue_setup(port->id, 0, tx, SOCKET_ID_ANY, &tx_conf);
    port->tx_descriptors = tx;
    return failed;
}

static int make_inbox(struct dpdk_port *port, const struct dpdk_port_config *config)
{
    enum dpdk_inbox kind = config->kind == DPDK_PCI ? DPDK_INBOX_CARD : DPDK_INBOX_PAGES;
    return dpdk_inbox_make(&port->inbox, port->id, kind, config->packet_bytes_max);
}

static int too_long(const struct dpdk_port_config *config, char *why, size_t why_bytes)
{
    uint32_t headers = config->packet_bytes_max - config->mtu;
    return transport_why(why, why_bytes, -EMSGSIZE,
                         "dpdk: port %s: packets are to have %u bytes and AF_XDP has a page for "
                         "each: set totem.netmtu to %u or less, the same for all nodes",
                         config->said, config->mtu, dpdk_inbox_page_most() - headers);
}

/* memif's client finds nobody at first: dpdk_port_look() tries again. */
static void start(void *arg)
{
    struct dpdk_port *port = arg;
    port->started = rte_eth_dev_start(port->id) == 0;
}

/* M3 of memif.h */
static void control(struct dpdk_port *port, memif_fn fn)
{
    if (port->kind == DPDK_MEMIF)
        memif_call(fn, port);
    else
        fn(port);
}

static int start_first(struct dpdk_port *port)
{
    control(port, start);
    return port->started || port->client ? 0 : -EIO;
}

bool dpdk_port_interrupts(struct dpdk_port *port, bool wanted)
{
    if (!port->interrupts)
        return false;
    return (wanted ? rte_eth_dev_rx_intr_enable(port->id, 0)
                   : rte_eth_dev_rx_intr_disable(port->id, 0)) == 0;
}

static int set_up_once(struct dpdk_port *port, const struct dpdk_port_config *config,
                       const struct rte_eth_dev_info *info)
{
    int failed = set_up_queues(port, config, info);
    return failed ? failed : start_first(port);
}

/* Whether there are interrupts shows when they are asked for: some drivers refuse to be configured
 * so, some to start, and some have nothing to sleep on. */
static int set_up_and_start(struct dpdk_port *port, const struct dpdk_port_config *config,
                            const struct rte_eth_dev_info *info)
{
    port->interrupts = config->kind == DPDK_PCI && dpdk_sysfs_has_interrupts(config->name);
    int failed = set_up_once(port, config, info);
    if (failed && port->interrupts) {
        port->interrupts = false;
        return set_up_once(port, config, info);
    }
    if (strcmp(info->driver_name, "net_e1000_em") == 0)
        port->interrupt_gap_ns = E1000_GAP_NS;
    port->interrupts = port->interrupts && rte_eth_dev_rx_intr_ctl_q_get_fd(port->id, 0) >= 0 &&
                       dpdk_port_interrupts(port, true) && dpdk_port_interrupts(port, false);
    return failed;
}

static int set_up(struct dpdk_port *port, const struct dpdk_port_config *config, char *why,
                  size_t why_bytes)
{
    struct rte_eth_dev_info info;
    struct rte_ether_addr mac;
    int failed = rte_eth_dev_info_get(port->id, &info);
    port->device = failed ? NULL : info.device;
    if (!failed && config->kind == DPDK_PCI)
        dpdk_card_reach(port, config, &info);
    if (!failed && port->own_memory)
        failed = make_inbox(port, config);
    if (!failed)
        failed = set_up_and_start(port, config, &info);
    if (!failed)
        failed = rte_eth_macaddr_get(port->id, &mac);
    if (failed == -EMSGSIZE)
        return too_long(config, why, why_bytes);
    if (failed)
        return refused(config, failed, "it cannot be set up",
                       "lower totem.netmtu, or raise dpdk.memory", why, why_bytes);
    if (config->kind == DPDK_PCI)
        dpdk_card_started(port, &info);
    memcpy(&port->mac, &mac, sizeof(port->mac));
    return 0;
}

static int open_once(struct dpdk_port *port, const struct dpdk_port_config *config, char *why,
                     size_t why_bytes)
{
    int failed = make_device(port, config, why, why_bytes);
    if (failed)
        return failed;
    failed = set_up(port, config, why, why_bytes);
    if (failed)
        dpdk_port_close(port);
    /* The kernel lets go of an AF_XDP socket's queue some time after its process has ended. */
    return failed && failed != -EMSGSIZE && config->kind == DPDK_AF_XDP ? -EBUSY : failed;
}

static int socket_family(enum dpdk_kind kind)
{
    return kind == DPDK_AF_PACKET ? AF_PACKET : kind == DPDK_AF_XDP ? DPDK_FAMILY_XDP : -1;
}

int dpdk_port_open(struct dpdk_port *port, const struct dpdk_port_config *config, char *why,
                   size_t why_bytes)
{
    struct dpdk_sockets before;
    dpdk_sockets_note(&before, socket_family(config->kind));
    *port = (struct dpdk_port){
        .kind = config->kind,
        .one_peer = config->kind == DPDK_MEMIF,
        .client = config->client,
        .areas = config->areas,
        .own_memory = config->kind == DPDK_AF_XDP,
        .interface = { .index = config->interface,
                       .family = socket_family(config->kind),
                       .ours = -1,
                       .driver = -1,
                       .news = -1 },
    };
    snprintf(port->name, sizeof(port->name), "%s", config->name);
    if (config->kind == DPDK_MEMIF) {
        port->bell = config->bell;
        bell_other_name(&port->other, config->directory, config->other);
    }
    int failed = open_once(port, config, why, why_bytes);
    for (int i = 0; failed == -EBUSY && i < XDP_TRIES; i++) {
        usleep(XDP_WAIT_US);
        failed = open_once(port, config, why, why_bytes);
    }
    if (failed)
        return failed;
    dpdk_interface_open(&port->interface, &before);
    dpdk_unplug_watch(port);
    (void)dpdk_port_look(port);
    return 0;
}

static void drop_pending(struct dpdk_port *port)
{
    rte_pktmbuf_free_bulk(port->pending + port->pending_first, port->pending_count);
    port->dropped += port->pending_count;
    port->pending_count = port->pending_first = 0;
}

static void give_up(void *arg)
{
    struct dpdk_port *port = arg;
    if (port->started)
        (void)rte_eth_dev_stop(port->id);
    port->started = false;
    (void)rte_eth_dev_close(port->id);
}

static void end(void *arg)
{
    struct dpdk_port *port = arg;
    give_up(port);
    if (port->kind != DPDK_PCI)
        (void)rte_vdev_uninit(port->name);
    else if (port->device)
        dpdk_unplug_let_go(port); /* or it cannot be probed again */
}

void dpdk_port_close(struct dpdk_port *port)
{
    dpdk_unplug_ignore(port);
    drop_pending(port);
    bell_part(&port->other);
    if (!port->gone)
        control(port, end); /* behind a new beginning that is under way */
    dpdk_interface_close(&port->interface);
    rte_mempool_free(port->inbox);
    port->inbox = NULL;
}

void dpdk_port_hear(struct dpdk_port *port, const struct mac *list, int count)
{
    struct rte_ether_addr groups[DPDK_GROUPS_MAX];
    INVARIANT(count <= DPDK_GROUPS_MAX);
    if (port->interface.index) {
        dpdk_interface_hear(&port->interface, list, count);
        return;
    }
    for (int i = 0; i < count; i++)
        memcpy(&groups[i], &list[i], sizeof(groups[i]));
    if (port->kind == DPDK_MEMIF ||
        rte_eth_dev_set_mc_addr_list(port->id, groups, (uint32_t)count) == 0 ||
        rte_eth_allmulticast_enable(port->id) == 0)
        return;
    (void)rte_eth_promiscuous_enable(port->id); /* hears too much, and drops it */
}

static bool link_is_up(struct dpdk_port *port)
{
    struct rte_eth_link link = { 0 };
    if (!port->started)
        return false;
    if (port->interface.index)
        return dpdk_interface_look(&port->interface);
    return rte_eth_link_get_nowait(port->id, &link) == 0 && link.link_status == RTE_ETH_LINK_UP;
}

/* A driver may take nothing for ever though its link is up: others must not wait for it. */
static void give_up_if_stuck(struct dpdk_port *port)
{
    bool stuck = port->pending_count > 0 && port->sent == port->sent_seen;
    port->sent_seen = port->sent;
    port->stuck_looks = stuck ? (uint16_t)(port->stuck_looks + 1) : 0;
    if (port->stuck_looks < STUCK_LOOKS)
        return;
    drop_pending(port);
    port->stuck_looks = 0;
}

static void begin_anew(void *arg)
{
    struct dpdk_port *port = arg;
    bool begun;
    (void)rte_eth_dev_stop(port->id); /* one that is not started says so, and that is all */
    begun = rte_eth_dev_start(port->id) == 0;
    atomic_store_explicit(&port->again, begun ? DPDK_BEGUN : DPDK_NOBODY_THERE,
                          memory_order_release);
}

/* A client that never found its server looks for it again, one that lost it begins anew; one that
 * has found it needs a moment for the handshake, which another beginning would only break off. */
static void memif_again(struct dpdk_port *port, bool lost)
{
    if (!port->client || (port->started && !lost && ++port->handshake_looks < HANDSHAKE_LOOKS))
        return;
    port->started = false; /* no burst from now on */
    port->handshake_looks = 0;
    atomic_store_explicit(&port->again, DPDK_BEGINS, memory_order_relaxed);
    if (memif_post(begin_anew, port) != 0)
        atomic_store_explicit(&port->again, DPDK_NOBODY_THERE, memory_order_relaxed);
}

/* False: a new beginning is under way. */
static bool settled(struct dpdk_port *port)
{
    int again = atomic_load_explicit(&port->again, memory_order_acquire);
    if (again == DPDK_SETTLED)
        return true;
    if (again == DPDK_BEGINS)
        return false;
    port->started = again == DPDK_BEGUN;
    atomic_store_explicit(&port->again, DPDK_SETTLED, memory_order_relaxed);
    return true;
}

/* Another daemon may have taken the place of one that ended while we slept. */
static void memif_meet(struct dpdk_port *port, bool was_up)
{
    uint32_t losses = atomic_load_explicit(&memif_losses, memory_order_acquire);
    if (port->up == was_up && losses == port->losses_seen)
        return;
    port->losses_seen = losses;
    if (port->up)
        (void)bell_meet(&port->other);
    else
        bell_part(&port->other);
}

/* U1. It takes as long as the driver does, and the ring has nobody left to talk to. */
static void leave(struct dpdk_port *port)
{
    drop_pending(port);
    port->up = false;
    port->gone = true;
    control(port, give_up);
    dpdk_unplug_release(port);
}

bool dpdk_port_look(struct dpdk_port *port)
{
    bool was_up = port->up;
    if (dpdk_unplug_asked(port) && !port->gone)
        leave(port);
    if (port->gone)
        return false;
    if (!settled(port))
        return false;
    port->up = link_is_up(port);
    port->down_looks =
        port->up ? 0 : (uint16_t)(port->down_looks + (port->down_looks < UINT16_MAX));
    if (port->kind == DPDK_MEMIF)
        memif_meet(port, was_up);
    if (!port->up)
        drop_pending(port);
    give_up_if_stuck(port);
    if (!port->up && port->kind == DPDK_MEMIF)
        memif_again(port, was_up);
    return port->up;
}

/* Around each call of a driver's burst. */
static void burst_begin(const struct dpdk_port *port)
{
    if (port->kind == DPDK_MEMIF)
        memif_burst_begin();
    dpdk_burst_begin();
}

static void burst_end(const struct dpdk_port *port)
{
    dpdk_burst_end();
    if (port->kind == DPDK_MEMIF)
        memif_burst_end();
}

uint16_t dpdk_port_rx(struct dpdk_port *port, struct rte_mbuf **mbufs, uint16_t count)
{
    if (!port->started)
        return 0;
    burst_begin(port);
    uint16_t got = rte_eth_rx_burst(port->id, 0, mbufs, count);
    burst_end(port);
    return got;
}

static uint16_t tx(struct dpdk_port *port, struct rte_mbuf **mbufs, uint16_t count)
{
    if (!port->started)
        return 0;
    burst_begin(port);
    uint16_t sent = rte_eth_tx_burst(port->id, 0, mbufs, count);
    burst_end(port);
    port->unsent = dpdk_burst.left;
    return sent;
}

void dpdk_port_flush(struct dpdk_port *port)
{
    if (__builtin_expect(port->unsent, 0))
        (void)tx(port, NULL, 0);
    while (port->pending_count > 0) {
        uint16_t sent = tx(port, port->pending + port->pending_first, port->pending_count);
        port->pending_first += sent;
        port->pending_count -= sent;
        port->sent += sent;
        if (sent == 0)
            break;
    }
    if (port->pending_first > 0 && port->bell)
        bell_look(port->bell, &port->other);
    if (port->pending_count > 0)
        memmove(port->pending, port->pending + port->pending_first,
                port->pending_count * sizeof(port->pending[0]));
    port->pending_first = 0;
}

bool dpdk_port_keeps(const struct dpdk_port *port)
{
    return port->started && port->down_looks >= EMPTY_LOOKS;
}

void dpdk_port_empty(struct dpdk_port *port)
{
    port->down_looks = 0;
    (void)rte_eth_dev_stop(port->id);
    start(port);
}

/* The last descriptor that was filled, which lies before the next to be: packets are sent in order.
 */
bool dpdk_port_all_sent(const struct dpdk_port *port)
{
    return rte_eth_tx_descriptor_status(port->id, 0, (uint16_t)(port->tx_descriptors - 1)) ==
           RTE_ETH_TX_DESC_DONE;
}
