/* SPDX-License-Identifier: BSD-3-Clause */
#include "unplug.h"

enum { AT_ONCE_US = 1 };

static void take_away(struct dpdk_port *port)
{
    atomic_store_explicit(&port->taken_away, true, memory_order_release);
}

static int port_goes(uint16_t id, enum rte_eth_event_type event, void *arg, void *more)
{
    (void)id;
    (void)event;
    (void)more;
    take_away(arg);
    return 0;
}

static void device_goes(const char *name, enum rte_dev_event_type event, void *arg)
{
    (void)name;
    if (event == RTE_DEV_EVENT_REMOVE)
        take_away(arg);
}

void dpdk_unplug_watch(struct dpdk_port *port)
{
    (void)rte_eth_dev_callback_register(port->id, RTE_ETH_EVENT_INTR_RMV, port_goes, port);
    (void)rte_dev_event_callback_register(port->name, device_goes, port);
}

/* U2 */
void dpdk_unplug_let_go(void *arg)
{
    struct dpdk_port *port = arg;
    dpdk_areas_leave(port->areas);
    (void)rte_dev_remove(port->device);
}

void dpdk_unplug_ignore(struct dpdk_port *port)
{
    (void)rte_eth_dev_callback_unregister(port->id, RTE_ETH_EVENT_INTR_RMV, port_goes, port);
    (void)rte_dev_event_callback_unregister(port->name, device_goes, port);
    (void)rte_eal_alarm_cancel(dpdk_unplug_let_go, port);
}

void dpdk_unplug_release(struct dpdk_port *port)
{
    (void)rte_eal_alarm_set(AT_ONCE_US, dpdk_unplug_let_go, port);
}
