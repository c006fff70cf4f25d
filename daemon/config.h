/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef DAEMON_CONFIG_H
#define DAEMON_CONFIG_H

/*
 * config.h - what the configuration file says, checked and with every default filled in.
 *
 * The grammar is that of corosync.conf: `section { key: value }`, nested, `#` comments. Names mean
 * what they mean there; ours are in the sections transport, poll, zcb and clients.
 *
 * Knows:      the file's grammar, every key with its range, default and unit.
 * Knows not:  anything that runs.
 */

#include <stddef.h>
#include <sys/types.h>

#include "synchrotron/types.h"
#include "transport.h"

enum poll_policy { POLL_AUTO, POLL_SPIN, POLL_BACKOFF };
extern const char *const poll_policy_name[];

enum slow_policy { SLOW_BLOCK, SLOW_EVICT };

enum { CONFIG_IDS_MAX = 64, CONFIG_PATH_BYTES = 256, CONFIG_NAME_BYTES = 64 };

struct config {
    /* totem */
    char cluster_name[CONFIG_NAME_BYTES];
    uint32_t cluster_tag;        /* derived from the name */
    uint32_t detect_ms;          /* totem.detect_ms; totem.token is the same, in Corosync's words */
    uint32_t netmtu;             /* bytes of an IP packet; frames are shorter by the headers */
    uint32_t window_frames;      /* totem.window_size; 0 tunes itself */
    uint32_t personal_frames;    /* totem.max_messages; 0 tunes itself */
    uint32_t accelerated_frames; /* totem.accelerated_window; 0 tunes itself */
    /* nodelist */
    struct transport_node nodes[NODE_COUNT_MAX]; /* ascending by id */
    int node_count;
    uint32_t node_id; /* ours */
    /* transport */
    char transport[16];                      /* transport.name, or totem.transport: "udp" */
    char multicast[TRANSPORT_ADDRESS_BYTES]; /* "" for fan-out */
    uint16_t port;                           /* default 5405, also the multicast port */
    uint8_t multicast_ttl;
    uint64_t socket_bytes;
    struct transport_dpdk dpdk; /* with transport.name dpdk */
    /* poll */
    enum poll_policy poll;
    bool spins;             /* what the policy comes to on this machine */
    int poll_cpu;           /* -1: not pinned */
    uint32_t poll_yield_us; /* backoff: how long to yield after the last work before sleeping */
    /* zcb */
    uint64_t rx_bytes;          /* RX arena */
    uint64_t tx_total_bytes;    /* all clients' TX segments together */
    bool hugepages;             /* try 2 MiB pages (default yes) */
    uint32_t message_bytes_max; /* default 32 MiB */
    /* clients */
    uint32_t clients_max; /* handles at once */
    enum slow_policy slow_policy;
    uint32_t slow_client_ms;
    uint32_t client_events_max; /* backlog of one client, in events */
    uint32_t client_frames_max; /* receive frames one client may pin; 0: half of them */
    uid_t uids[CONFIG_IDS_MAX];
    gid_t gids[CONFIG_IDS_MAX];
    int uid_count, gid_count;
    /* logging */
    bool log_to_stderr, log_to_syslog, debug;
    char log_file[CONFIG_PATH_BYTES]; /* "" none */
    /* system */
    char state_dir[CONFIG_PATH_BYTES];
    char runtime_dir[CONFIG_PATH_BYTES];
};

struct config_message { /* an error, or a warning */
    int line, column;   /* 1-based; 0: not about a place in the file */
    bool warning;
    char text[224];
};

enum {
    CONFIG_MESSAGES_MAX = 64,
    CONFIG_MESSAGE_BYTES_LEAST =
        1047552, /* a message of this size always goes, says the contract */
    /* Of tx_total_bytes, what segments over CONFIG_TX_LARGE_BYTES must leave to the others. */
    CONFIG_TX_RESERVE_BYTES = 4 << 20,
    CONFIG_TX_LARGE_BYTES = 1 << 20,
    /* What each client may keep for good in any case, besides tx_total_bytes. */
    CONFIG_TX_OWN_BYTES = 32 << 10,
};

struct config_report {
    struct config_message message[CONFIG_MESSAGES_MAX];
    int count;  /* kept; more than CONFIG_MESSAGES_MAX are counted but not kept */
    int errors; /* of all, not only of those kept; messages stand in the order of their finding */
    int warnings;
};

/**
 * Parse `text` and check it whole: all errors are reported, not only the first.
 *
 * Shapes:  text[bytes], need not end in NUL; file is for messages
 * Errors:  -EINVAL: report->errors > 0 and *config must not be used
 */
int config_parse(struct config *config, const char *text, size_t bytes,
                 struct config_report *report);

/* Read and parse a file. -errno when it cannot be read (the report says so too). */
int config_load(struct config *config, const char *path, struct config_report *report);

#endif
