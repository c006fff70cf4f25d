/* SPDX-License-Identifier: BSD-3-Clause */
#include "sysfs.h"

#include "check.h"

#include <stdio.h>
#include <string.h>

enum { PCI_INTEL = 0x8086, PCI_82574L = 0x10d3, PCI_82574LA = 0x10f6 };

/* -1: it is not said. */
static int read_number(const char *path)
{
    int number = -1;
    FILE *file = fopen(path, "re");
    if (!file)
        return -1;
    if (fscanf(file, "%i", &number) != 1)
        number = -1;
    fclose(file);
    return number;
}

static int pci_number(const char *address, const char *what)
{
    char path[DPDK_PORT_BYTES + 64];
    snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/%s", address, what);
    return read_number(path);
}

bool dpdk_sysfs_has_interrupts(const char *address)
{
    char driver[DPDK_DRIVER_BYTES];
    dpdk_driver_of(address, driver);
    return !strstr(driver, "uio");
}

bool dpdk_sysfs_wants_msi(const char *address)
{
    int device = pci_number(address, "device");
    return pci_number(address, "vendor") == PCI_INTEL &&
           (device == PCI_82574L || device == PCI_82574LA);
}

int dpdk_sysfs_node(const struct transport_config *config)
{
    const struct transport_dpdk *words = config->backend;
    char path[DPDK_PORT_BYTES + 64];
    const char *interface = dpdk_after(words->port, "af_packet:");
    if (!interface)
        interface = dpdk_after(words->port, "af_xdp:");
    if (!interface)
        return dpdk_is_pci(words->port) ? pci_number(words->port, "numa_node") : -1;
    snprintf(path, sizeof(path), "/sys/class/net/%s/device/numa_node", interface);
    return read_number(path);
}
