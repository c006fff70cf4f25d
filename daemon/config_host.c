/* SPDX-License-Identifier: BSD-3-Clause */
#include "config_host.h"

#include <arpa/inet.h>
#include <errno.h>
#include <grp.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "zcb.h"

bool config_address_numeric(const char *text, char address[TRANSPORT_ADDRESS_BYTES], bool *ipv6)
{
    char bare[TRANSPORT_ADDRESS_BYTES];
    unsigned char bytes[sizeof(struct in6_addr)];
    const char *scope = strchr(text, '%');
    size_t bare_bytes = scope ? (size_t)(scope - text) : strlen(text);
    if (bare_bytes >= sizeof(bare) || (scope && strlen(scope) > IF_NAMESIZE))
        return false;
    memcpy(bare, text, bare_bytes);
    bare[bare_bytes] = 0;
    int family = strchr(bare, ':') ? AF_INET6 : AF_INET;
    if ((scope && family == AF_INET) || inet_pton(family, bare, bytes) != 1 ||
        !inet_ntop(family, bytes, address, TRANSPORT_ADDRESS_BYTES - IF_NAMESIZE - 1))
        return false;
    if (scope)
        strcat(address, scope);
    *ipv6 = family == AF_INET6;
    return true;
}

static bool same_address(const struct sockaddr *a, const char *text)
{
    char seen[TRANSPORT_ADDRESS_BYTES], bare[TRANSPORT_ADDRESS_BYTES];
    const void *bytes =
        a->sa_family == AF_INET6
            ? (const void *)&((const struct sockaddr_in6 *)(const void *)a)->sin6_addr
            : (const void *)&((const struct sockaddr_in *)(const void *)a)->sin_addr;
    if (!inet_ntop(a->sa_family, bytes, seen, sizeof(seen)))
        return false;
    strncpy(bare, text, sizeof(bare) - 1);
    bare[sizeof(bare) - 1] = 0;
    bare[strcspn(bare, "%")] = 0;
    return strcmp(seen, bare) == 0;
}

static bool here_is_local(void *context, const char *address)
{
    struct ifaddrs *all, *one;
    bool found = strncmp(address, "127.", 4) == 0;
    (void)context;
    if (found || getifaddrs(&all) != 0)
        return found;
    for (one = all; one && !found; one = one->ifa_next)
        found = one->ifa_addr &&
                (one->ifa_addr->sa_family == AF_INET || one->ifa_addr->sa_family == AF_INET6) &&
                same_address(one->ifa_addr, address);
    freeifaddrs(all);
    return found;
}

static int here_resolve(void *context, const char *name, char address[TRANSPORT_ADDRESS_BYTES])
{
    struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_DGRAM }, *found;
    (void)context;
    if (getaddrinfo(name, NULL, &hints, &found) != 0)
        return -ENOENT;
    int failed = getnameinfo(found->ai_addr, found->ai_addrlen, address, TRANSPORT_ADDRESS_BYTES,
                             NULL, 0, NI_NUMERICHOST);
    freeaddrinfo(found);
    return failed ? -ENOENT : 0;
}

void config_cpus_text(const cpu_set_t *set, char *text, size_t bytes)
{
    size_t used = 0;
    text[0] = 0;
    for (int first = 0; first < CPU_SETSIZE && used < bytes; first++) {
        int last = first;
        if (!CPU_ISSET((size_t)first, set))
            continue;
        while (last + 1 < CPU_SETSIZE && CPU_ISSET((size_t)last + 1, set))
            last++;
        used += (size_t)snprintf(text + used, bytes - used, "%s%d", used ? "," : "", first);
        if (last > first && used < bytes)
            used += (size_t)snprintf(text + used, bytes - used, "-%d", last);
        first = last;
    }
}

bool config_cpus_have(const char *text, int cpu)
{
    int first, last, bytes;
    for (; sscanf(text, "%d%n", &first, &bytes) == 1; text += text[0] == ',') {
        text += bytes;
        last = first;
        if (sscanf(text, "-%d%n", &last, &bytes) == 1)
            text += bytes;
        if (cpu >= first && cpu <= last)
            return true;
    }
    return false;
}

static void find_cpus(struct config_host *host)
{
    cpu_set_t allowed;
    FILE *file = fopen("/sys/devices/system/cpu/online", "re");
    CPU_ZERO(&allowed);
    (void)sched_getaffinity(0, sizeof(allowed), &allowed);
    config_cpus_text(&allowed, host->cpus, sizeof(host->cpus));
    if (!file || fscanf(file, "%255s", host->cpus_online) != 1)
        memcpy(host->cpus_online, host->cpus, sizeof(host->cpus));
    if (file)
        fclose(file);
}
static_assert(CONFIG_CPUS_BYTES == 256, "as fscanf is told");

static int here_user(void *context, const char *name, uid_t *uid)
{
    const struct passwd *entry = getpwnam(name);
    (void)context;
    if (!entry)
        return -ENOENT;
    *uid = entry->pw_uid;
    return 0;
}

static int here_group(void *context, const char *name, gid_t *gid)
{
    const struct group *entry = getgrnam(name);
    (void)context;
    if (!entry)
        return -ENOENT;
    *gid = entry->gr_gid;
    return 0;
}

void config_host_here(struct config_host *host)
{
    *host = (struct config_host){
        .is_local = here_is_local,
        .resolve = here_resolve,
        .user = here_user,
        .group = here_group,
        .runtime_dir = getenv(CTL_RUNTIME_DIR_ENV),
        .user_runtime_dir = getenv("XDG_RUNTIME_DIR"),
        .uid = geteuid(),
        .processors = (int)sysconf(_SC_NPROCESSORS_ONLN),
    };
    find_cpus(host);
}
