/* SPDX-License-Identifier: BSD-3-Clause */
#include "check.h"
#include "why.h"

#include <errno.h>
#include <net/if.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const char *dpdk_after(const char *text, const char *prefix)
{
    size_t bytes = strlen(prefix);
    return strncmp(text, prefix, bytes) == 0 ? text + bytes : NULL;
}

bool dpdk_is_pci(const char *port)
{
    unsigned domain, bus, device, function;
    char end;
    return sscanf(port, "%x:%x:%x.%x%c", &domain, &bus, &device, &function, &end) == 4;
}

static int check_interface(const char *name, char *why, size_t why_bytes)
{
    if (if_nametoindex(name) != 0)
        return 0;
    return transport_why(why, why_bytes, -ENODEV,
                         "dpdk: this machine has no interface %s: `ip link` lists those it has",
                         name);
}

void dpdk_driver_of(const char *address, char driver[DPDK_DRIVER_BYTES])
{
    char path[DPDK_PORT_BYTES + 64], target[256];
    snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/driver", address);
    ssize_t bytes = readlink(path, target, sizeof(target) - 1);
    target[bytes > 0 ? bytes : 0] = 0;
    const char *name = strrchr(target, '/');
    snprintf(driver, DPDK_DRIVER_BYTES, "%.*s", DPDK_DRIVER_BYTES - 1, name ? name + 1 : "");
}

/* Drivers that leave a card to DPDK, and those of cards that share it. */
static bool serves_dpdk(const char *driver)
{
    static const char *const names[] = { "vfio-pci", "uio_pci_generic", "igb_uio", "mlx5_core" };
    for (size_t i = 0; i < ARRAY_COUNT(names); i++)
        if (strcmp(driver, names[i]) == 0)
            return true;
    return false;
}

static int check_pci(const char *address, char *why, size_t why_bytes)
{
    char path[DPDK_PORT_BYTES + 64], driver[DPDK_DRIVER_BYTES];
    snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s", address);
    if (access(path, F_OK) != 0)
        return transport_why(why, why_bytes, -ENODEV,
                             "dpdk: this machine has no PCI device %s: `lspci -D` lists those it "
                             "has",
                             address);
    dpdk_driver_of(address, driver);
    if (serves_dpdk(driver))
        return 0;
    return transport_why(why, why_bytes, -EBUSY,
                         "dpdk: PCI device %s is bound to %s, so DPDK cannot have it: modprobe "
                         "vfio-pci && dpdk-devbind.py -b vfio-pci %s",
                         address, driver[0] ? driver : "no driver", address);
}

/* Whoever else may write there could put sockets of his own in. */
int dpdk_check_directory(const char *path, char *why, size_t why_bytes)
{
    struct stat st;
    if (lstat(path, &st) != 0)
        return 0; /* it is made, with what it takes */
    if (S_ISDIR(st.st_mode) && st.st_uid == geteuid() && !(st.st_mode & (S_IWGRP | S_IWOTH)))
        return 0;
    return transport_why(why, why_bytes, -EACCES,
                         "dpdk: %s is not a directory that only this user may write in: remove "
                         "it, or name another in dpdk.memif_dir, the same for all nodes",
                         path);
}

int dpdk_check(const struct transport_config *config, char *why, size_t why_bytes)
{
    const struct transport_dpdk *words = config->backend;
    const char *interface = dpdk_after(words->port, "af_packet:");
    if (!interface)
        interface = dpdk_after(words->port, "af_xdp:");
    if (interface)
        return check_interface(interface, why, why_bytes);
    if (strcmp(words->port, "memif") == 0)
        return dpdk_check_directory(words->memif_dir, why, why_bytes);
    if (dpdk_is_pci(words->port))
        return check_pci(words->port, why, why_bytes);
    if (dpdk_after(words->port, "net_"))
        return 0;
    return transport_why(why, why_bytes, -EINVAL,
                         "dpdk: dpdk.port '%s' is no port: write memif, af_packet:eth1, "
                         "af_xdp:eth1, a PCI address such as 0000:3b:00.0, or net_DRIVER,ARGUMENTS",
                         words->port);
}
