/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TRANSPORT_DPDK_RTE_H
#define TRANSPORT_DPDK_RTE_H

/* rte.h - DPDK's headers. They have an NS_PER_S of their own, which is a floating point number. */

#include "synchrotron/types.h"

#pragma push_macro("NS_PER_S")
#undef NS_PER_S
#include <rte_alarm.h>
#include <rte_bus_vdev.h>
#include <rte_cycles.h>
#include <rte_dev.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_log.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>
#pragma pop_macro("NS_PER_S")

#endif
