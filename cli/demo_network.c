/* SPDX-License-Identifier: BSD-3-Clause */
#include "demo_network.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

struct network {
    const char *name;
    int mtu;
    const char *prefix;
    bool links; /* each node has an interface p1, p2... on a bridge */
};

static const struct network networks[] = {
    { "udp", 16384, "127.0.0.", false }, /* the loopback device takes more than any cable */
    { "memif", 9000, "192.0.2.", false },
    { "af_packet", 9000, "192.0.2.", true },
    { "af_xdp", 3000, "192.0.2.", true }, /* a packet has a page, and the kernel some of it */
};

/* Options were checked: what is not known is not asked for. */
static const struct network *find(const char *transport)
{
    size_t i = ARRAY_COUNT(networks) - 1;
    while (i > 0 && strcmp(networks[i].name, transport) != 0)
        i--;
    return &networks[i];
}

bool demo_network_known(const char *transport)
{
    return strcmp(find(transport)->name, transport) == 0;
}

int demo_network_mtu(const struct demo_cluster *cluster)
{
    return find(cluster->transport)->mtu;
}

const char *demo_network_prefix(const struct demo_cluster *cluster)
{
    return find(cluster->transport)->prefix;
}

/* Kernels greet each other on new links; nobody here wants to hear it. */
static void silence_ipv6(void)
{
    int fd = open("/proc/sys/net/ipv6/conf/default/disable_ipv6", O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    (void)!write(fd, "1", 1);
    close(fd);
}

static int make_links(const struct demo_cluster *cluster)
{
    int mtu = demo_network_mtu(cluster);
    FILE *ip = popen("ip -batch - 2>/dev/null", "we");
    if (!ip)
        return -errno;
    fprintf(ip, "link add sw type bridge mcast_snooping 0\nlink set sw up\n");
    for (int n = 1; n <= cluster->nodes; n++)
        fprintf(ip,
                "link add p%d mtu %d type veth peer name s%d mtu %d\n"
                "link set s%d master sw up\nlink set p%d up\n",
                n, mtu, n, mtu, n, n);
    int status = pclose(ip);
    return status == 0 ? 0 : -ENODEV;
}

int demo_network_make(struct demo_cluster *cluster)
{
    if (!find(cluster->transport)->links)
        return 0;
    if (unshare(CLONE_NEWNET) != 0) {
        int error = -errno;
        snprintf(cluster->why, sizeof(cluster->why),
                 "no network namespace of its own: %s: --transport %s takes root; memif and udp "
                 "take no privileges",
                 strerror(-error), cluster->transport);
        return error;
    }
    silence_ipv6();
    int error = make_links(cluster);
    if (error)
        snprintf(cluster->why, sizeof(cluster->why),
                 "no bridge with %d veth interfaces can be made: it takes `ip` (package iproute2) "
                 "and a kernel with both",
                 cluster->nodes);
    return error;
}

void demo_network_write(FILE *file, const struct demo_cluster *cluster, int node)
{
    const struct network *network = find(cluster->transport);
    bool dpdk = strcmp(network->name, "udp") != 0;
    fprintf(file, "transport {\n    name: %s\n    port: %u\n}\n", dpdk ? "dpdk" : "udp",
            cluster->port);
    if (network->links)
        fprintf(file, "dpdk {\n    port: %s:p%d\n}\n", network->name, node);
    else if (dpdk)
        fprintf(file, "dpdk {\n    port: memif\n    memif_dir: %s/memif\n}\n", cluster->folder);
}
