/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef DAEMON_CONFIG_HOST_H
#define DAEMON_CONFIG_HOST_H

/*
 * config_host.h - what checking a configuration asks this machine: addresses, names, users.
 *
 * A table, so that tests and fuzzers can be another machine.
 */

#include <sched.h>
#include <stdbool.h>
#include <sys/types.h>

#include "transport.h"

enum { CONFIG_CPUS_BYTES = 256 };

struct config_host {
    void *context;
    /* Is a numeric address one of this machine's? All of 127.0.0.0/8 is. */
    bool (*is_local)(void *context, const char *address);
    /* A host name's first address, numeric; -ENOENT: no such name */
    int (*resolve)(void *context, const char *name, char address[TRANSPORT_ADDRESS_BYTES]);
    int (*user)(void *context, const char *name, uid_t *uid);
    int (*group)(void *context, const char *name, gid_t *gid);
    const char *runtime_dir;      /* from the environment, or NULL */
    const char *user_runtime_dir; /* $XDG_RUNTIME_DIR, or NULL */
    uid_t uid;
    int processors;                      /* that are online */
    char cpus_online[CONFIG_CPUS_BYTES]; /* which, as the kernel writes it: "0-3,6" */
    char cpus[CONFIG_CPUS_BYTES];        /* of these, where this process may run */
};

/* This machine, and this process's environment. */
void config_host_here(struct config_host *host);

/* Processors as the kernel writes them, and whether one is among them. */
void config_cpus_text(const cpu_set_t *set, char *text, size_t bytes);
bool config_cpus_have(const char *text, int cpu);

/* Write a numeric address the one way it is written everywhere; false when it is not numeric. */
bool config_address_numeric(const char *text, char address[TRANSPORT_ADDRESS_BYTES], bool *ipv6);

#endif
