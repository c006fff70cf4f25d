/* SPDX-License-Identifier: BSD-3-Clause */
#include "place.h"

#include <numa.h>
#include <numaif.h>
#include <string.h>

#include "config_host.h"

enum { SAMPLES = 16 };

/* P1 */
static bool is_one_node(void)
{
    return numa_available() < 0 || numa_num_configured_nodes() <= 1;
}

void place_find(struct place *place, const struct config *config)
{
    const struct transport_ops *transport = transport_find(config->transport);
    struct transport_config words = { .backend = &config->dpdk };
    if (is_one_node()) {
        *place = (struct place){ .cpu_node = config->poll_cpu < 0 ? PLACE_NONE : 0 };
        return;
    }
    *place = (struct place){
        .cpu_node = config->poll_cpu < 0 ? PLACE_NONE : numa_node_of_cpu(config->poll_cpu),
        .port_node = transport ? transport->node(&words) : PLACE_NONE,
    };
    place->memory_node = place->port_node >= 0 ? place->port_node : place->cpu_node;
}

void place_prefer(const struct place *place)
{
    if (place->memory_node >= 0 && !is_one_node())
        numa_set_preferred(place->memory_node);
}

static int node_of_page(const void *page)
{
    int node = PLACE_NONE;
    if (get_mempolicy(&node, NULL, 0, (void *)(uintptr_t)page, MPOL_F_NODE | MPOL_F_ADDR) != 0)
        return PLACE_NONE;
    return node;
}

int place_of(const void *base, size_t bytes)
{
    if (is_one_node())
        return 0;
    int node = node_of_page(base);
    for (size_t i = 1; i < SAMPLES; i++)
        if (node_of_page((const uint8_t *)base + bytes / SAMPLES * i) != node)
            return PLACE_SPREAD;
    return node;
}

/* Processors of a node. */
static void cpus_of(int node, char *text, size_t bytes)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (numa_available() >= 0 && numa_node_of_cpu(cpu) == node)
            CPU_SET((size_t)cpu, &set);
    config_cpus_text(&set, text, bytes);
}

bool place_is_poor(const struct place *place, const struct config *config,
                   char text[PLACE_TEXT_BYTES])
{
    char cpus[64];
    if (place->cpu_node < 0 || place->port_node < 0 || place->cpu_node == place->port_node)
        return false;
    cpus_of(place->port_node, cpus, sizeof(cpus));
    snprintf(text, PLACE_TEXT_BYTES,
             "poll.cpu %d is on NUMA node %d and the port on node %d, so every frame crosses from "
             "one to the other: take one of that node's processors, %s",
             config->poll_cpu, place->cpu_node, place->port_node, cpus);
    return true;
}
