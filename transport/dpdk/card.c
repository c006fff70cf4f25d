/* SPDX-License-Identifier: BSD-3-Clause */
#include "card.h"

#include <errno.h>
#include <string.h>

static void copies(struct dpdk_port *port, enum dpdk_copy reason, const char *why)
{
    port->tx_copy = reason;
    snprintf(port->why_copied, sizeof(port->why_copied), "%.*s: %s", DPDK_PORT_BYTES - 1,
             port->name, why);
}

/* NULL: it may. */
static const char *never_reaches(const struct rte_eth_dev_info *info)
{
    if (strcmp(info->driver_name, "mlx5_pci") == 0)
        return "its driver knows memory by its own pools; what is sent and received is copied";
    if (rte_eal_iova_mode() != RTE_IOVA_VA)
        return "it knows memory by physical addresses, and reaches DPDK's own only; what is sent "
               "and received is copied: bind it to vfio-pci, behind an IOMMU of 48 bits";
    return NULL;
}

void dpdk_card_reach(struct dpdk_port *port, const struct dpdk_port_config *config,
                     const struct rte_eth_dev_info *info)
{
    char why[160];
    const char *never = never_reaches(info);
    port->own_memory = true;
    if (never) {
        copies(port, DPDK_COPY_TX_UNREACHED, never);
        return;
    }
    dpdk_areas_init(config->areas, info->device);
    int failed = dpdk_areas_add(config->areas, config->arena);
    if (failed) {
        snprintf(why, sizeof(why),
                 "%zu MiB of memory cannot be registered with it; what is sent and received is "
                 "copied: %s",
                 config->arena->bytes >> 20, strerror(-failed));
        copies(port, DPDK_COPY_TX_UNREACHED, why);
        return;
    }
    port->own_memory = false;
    port->picky = true;
}

/* A descriptor that says so when it is done for each packet, not for every 32nd: the last of them
 * would be kept until more is sent. It costs a card one write a packet. */
void dpdk_card_queue(const struct dpdk_port *port, struct rte_eth_txconf *conf)
{
    if (port->picky)
        conf->tx_rs_thresh = 1;
}

void dpdk_card_started(struct dpdk_port *port, const struct rte_eth_dev_info *info)
{
    if (!port->picky || port->tx_copy != DPDK_COPY_NOT)
        return;
    bool e1000 = strcmp(info->driver_name, "net_e1000_em") == 0;
    port->by_page = e1000; /* QEMU's, behind an IOMMU of its making, drops other packets */
    if (e1000)
        port->returns = DPDK_RETURNS_SEEN;
    else if (rte_eth_tx_done_cleanup(port->id, 0, 0) >= 0)
        port->returns = DPDK_RETURNS_ASKED;
    if (port->returns != DPDK_RETURNS_ITSELF)
        return;
    copies(port, DPDK_COPY_TX_KEPT,
           "its driver keeps what it has sent until it sends more; what is sent is copied");
}
