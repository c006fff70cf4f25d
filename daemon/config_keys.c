/* SPDX-License-Identifier: BSD-3-Clause */
#include "config_parser.h"

#include <string.h>

const char *const poll_policy_name[] = { "auto", "spin", "backoff", NULL };
const char *const config_totem_transports[] = { "udp", "udpu", "knet", NULL };
static const char *const slow_policies[] = { "block", "evict", NULL };
static const char *const debug_levels[] = { "off", "on", "trace", "no", "yes", NULL };
static const char *const transports[] = { "udp", "dpdk", NULL };

#define SAID(field)   .offset = offsetof(struct config_parser, said.field)
#define NODE(field)   .offset = offsetof(struct config_parser, node.field)
#define HERE(field)   .offset = offsetof(struct config_parser, field)
#define RANGE(lo, hi) .min = (lo), .max = (hi)
#define PLAIN(in, word, what)                     \
    {                                             \
        .section = in, .name = word, .kind = what \
    }
#define IGNORED(in, word) PLAIN(in, word, KEY_IGNORED)
#define MIB               (UINT64_C(1) << 20)

/* clang-format off */
const struct config_key config_keys[] = {
    { SECTION_TOTEM, "version", KEY_U32, HERE(version), RANGE(2, 2) },
    { SECTION_TOTEM, "cluster_name", KEY_TEXT, SAID(cluster_name), RANGE(1, CONFIG_NAME_BYTES) },
    { SECTION_TOTEM, "nodeid", KEY_U32, SAID(node_id), RANGE(1, UINT32_MAX - 1) },
    { SECTION_TOTEM, "detect_ms", KEY_U32, SAID(detect_ms), RANGE(10, 60000) },
    { SECTION_TOTEM, "token", KEY_U32, HERE(token_ms), RANGE(10, 60000) },
    { SECTION_TOTEM, "netmtu", KEY_U32, SAID(netmtu), RANGE(576, 65535) },
    { SECTION_TOTEM, "window_size", KEY_U32, SAID(window_frames), RANGE(0, 8192) },
    { SECTION_TOTEM, "max_messages", KEY_U32, SAID(personal_frames), RANGE(0, 8192) },
    { SECTION_TOTEM, "accelerated_window", KEY_U32, SAID(accelerated_frames), RANGE(0, 8192) },
    { SECTION_TOTEM, "transport", KEY_CHOICE, HERE(totem_transport), .choices = config_totem_transports },
    PLAIN(SECTION_TOTEM, "crypto_cipher", KEY_NONE),
    PLAIN(SECTION_TOTEM, "crypto_hash", KEY_NONE),
    PLAIN(SECTION_TOTEM, "secauth", KEY_NONE),
    IGNORED(SECTION_TOTEM, "crypto_model"), IGNORED(SECTION_TOTEM, "keyfile"), IGNORED(SECTION_TOTEM, "key"),
    IGNORED(SECTION_TOTEM, "clear_node_high_bit"), IGNORED(SECTION_TOTEM, "config_version"),
    IGNORED(SECTION_TOTEM, "link_mode"), IGNORED(SECTION_TOTEM, "rrp_mode"), IGNORED(SECTION_TOTEM, "ip_version"),
    IGNORED(SECTION_TOTEM, "token_warning"), IGNORED(SECTION_TOTEM, "token_coefficient"),
    IGNORED(SECTION_TOTEM, "token_retransmit"), IGNORED(SECTION_TOTEM, "hold"), IGNORED(SECTION_TOTEM, "join"),
    IGNORED(SECTION_TOTEM, "token_retransmits_before_loss_const"), IGNORED(SECTION_TOTEM, "send_join"),
    IGNORED(SECTION_TOTEM, "consensus"), IGNORED(SECTION_TOTEM, "merge"), IGNORED(SECTION_TOTEM, "downcheck"),
    IGNORED(SECTION_TOTEM, "fail_recv_const"), IGNORED(SECTION_TOTEM, "seqno_unchanged_const"),
    IGNORED(SECTION_TOTEM, "heartbeat_failures_allowed"), IGNORED(SECTION_TOTEM, "max_network_delay"),
    IGNORED(SECTION_TOTEM, "miss_count_const"), IGNORED(SECTION_TOTEM, "knet_compression_model"),
    IGNORED(SECTION_TOTEM, "knet_compression_threshold"), IGNORED(SECTION_TOTEM, "knet_compression_level"),
    IGNORED(SECTION_TOTEM, "knet_pmtud_interval"), IGNORED(SECTION_TOTEM, "knet_mtu"),
    IGNORED(SECTION_TOTEM, "block_unlisted_ips"), IGNORED(SECTION_TOTEM, "threads"),
    IGNORED(SECTION_TOTEM, "cancel_token_hold_on_retransmit"), IGNORED(SECTION_TOTEM, "interface"),

    { SECTION_INTERFACE, "linknumber", KEY_U32, HERE(interface.number), RANGE(0, 7) },
    { SECTION_INTERFACE, "ringnumber", KEY_U32, HERE(interface.number), RANGE(0, 7) },
    { SECTION_INTERFACE, "mcastaddr", KEY_ADDRESS, HERE(interface.multicast), RANGE(1, TRANSPORT_ADDRESS_BYTES) },
    { SECTION_INTERFACE, "mcastport", KEY_U16, HERE(interface.port), RANGE(1, 65535) },
    { SECTION_INTERFACE, "ttl", KEY_U8, HERE(interface.ttl), RANGE(0, 255) },
    IGNORED(SECTION_INTERFACE, "bindnetaddr"), IGNORED(SECTION_INTERFACE, "broadcast"),
    IGNORED(SECTION_INTERFACE, "knet_link_priority"), IGNORED(SECTION_INTERFACE, "knet_ping_interval"),
    IGNORED(SECTION_INTERFACE, "knet_ping_timeout"), IGNORED(SECTION_INTERFACE, "knet_ping_precision"),
    IGNORED(SECTION_INTERFACE, "knet_pong_count"), IGNORED(SECTION_INTERFACE, "knet_transport"),
    IGNORED(SECTION_INTERFACE, "member"),

    { SECTION_NODE, "ring0_addr", KEY_TEXT, NODE(address), RANGE(1, CONFIG_HOST_BYTES) },
    { SECTION_NODE, "nodeid", KEY_U32, NODE(node_id), RANGE(1, UINT32_MAX - 1) },
    { SECTION_NODE, "port", KEY_U16, NODE(port), RANGE(1, 65535) },
    { SECTION_NODE, "mac", KEY_TEXT, NODE(mac), RANGE(1, TRANSPORT_MAC_BYTES) },
    { SECTION_NODE, "name" , KEY_TEXT, HERE(node_name), RANGE(1, CONFIG_HOST_BYTES) },
    IGNORED(SECTION_NODE, "ring1_addr"), IGNORED(SECTION_NODE, "ring2_addr"), IGNORED(SECTION_NODE, "ring3_addr"),
    IGNORED(SECTION_NODE, "ring4_addr"), IGNORED(SECTION_NODE, "ring5_addr"), IGNORED(SECTION_NODE, "ring6_addr"),
    IGNORED(SECTION_NODE, "ring7_addr"), IGNORED(SECTION_NODE, "quorum_votes"),

    { SECTION_LOGGING, "to_stderr", KEY_BOOL, SAID(log_to_stderr) },
    { SECTION_LOGGING, "to_syslog", KEY_BOOL, SAID(log_to_syslog) },
    { SECTION_LOGGING, "to_logfile", KEY_BOOL, HERE(log_to_file) },
    { SECTION_LOGGING, "logfile", KEY_TEXT, SAID(log_file), RANGE(1, CONFIG_PATH_BYTES) },
    { SECTION_LOGGING, "debug", KEY_CHOICE, HERE(debug), .choices = debug_levels },
    IGNORED(SECTION_LOGGING, "timestamp"), IGNORED(SECTION_LOGGING, "fileline"),
    IGNORED(SECTION_LOGGING, "function_name"), IGNORED(SECTION_LOGGING, "blackbox"),
    IGNORED(SECTION_LOGGING, "logfile_priority"), IGNORED(SECTION_LOGGING, "syslog_facility"),
    IGNORED(SECTION_LOGGING, "syslog_priority"),

    { SECTION_TRANSPORT, "name", KEY_CHOICE, HERE(transport), .choices = transports },
    { SECTION_TRANSPORT, "multicast", KEY_ADDRESS, SAID(multicast), RANGE(1, TRANSPORT_ADDRESS_BYTES) },
    { SECTION_TRANSPORT, "port", KEY_U16, SAID(port), RANGE(1, 65535) },
    { SECTION_TRANSPORT, "ttl", KEY_U8, SAID(multicast_ttl), RANGE(0, 255) },
    { SECTION_TRANSPORT, "socket_buffer", KEY_BYTES64, SAID(socket_bytes), RANGE(0, 1024 * MIB) },

    { SECTION_DPDK, "port", KEY_TEXT, SAID(dpdk.port), RANGE(1, DPDK_PORT_BYTES) },
    { SECTION_DPDK, "memif_dir", KEY_TEXT, SAID(dpdk.memif_dir), RANGE(1, DPDK_PATH_BYTES) },
    { SECTION_DPDK, "memory", KEY_BYTES64, SAID(dpdk.memory_bytes), RANGE(16 * MIB, 65536 * MIB) },
    { SECTION_DPDK, "vlan", KEY_U16, SAID(dpdk.vlan_id), RANGE(0, 4094) },
    { SECTION_DPDK, "vlan_priority", KEY_U8, SAID(dpdk.vlan_priority), RANGE(0, 7) },
    { SECTION_DPDK, "dscp", KEY_U8, SAID(dpdk.dscp), RANGE(0, 63) },
    { SECTION_DPDK, "gateway", KEY_ADDRESS, SAID(dpdk.gateway), RANGE(1, DPDK_ADDRESS_BYTES) },
    { SECTION_DPDK, "prefix", KEY_U8, SAID(dpdk.prefix), RANGE(1, 128) },
    { SECTION_DPDK, "eal", KEY_TEXT, SAID(dpdk.eal), RANGE(1, DPDK_EAL_BYTES) },

    { SECTION_POLL, "policy", KEY_CHOICE, SAID(poll), .choices = poll_policy_name },
    { SECTION_POLL, "cpu", KEY_CPU, SAID(poll_cpu), RANGE(0, 1023) },
    { SECTION_POLL, "yield_us", KEY_U32, SAID(poll_yield_us), RANGE(0, 1000000) },

    { SECTION_ZCB, "rx_bytes", KEY_BYTES64, SAID(rx_bytes), RANGE(4 * MIB, 2048 * MIB) },
    { SECTION_ZCB, "tx_bytes", KEY_BYTES64, SAID(tx_total_bytes), RANGE(4 * MIB, 65536 * MIB) },
    { SECTION_ZCB, "hugepages", KEY_BOOL, SAID(hugepages) },
    { SECTION_ZCB, "message_max", KEY_BYTES32, SAID(message_bytes_max), RANGE(CONFIG_MESSAGE_BYTES_LEAST, 1024 * MIB) },

    { SECTION_CLIENTS, "max", KEY_U32, SAID(clients_max), RANGE(1, 4096) },
    { SECTION_CLIENTS, "slow_policy", KEY_CHOICE, SAID(slow_policy), .choices = slow_policies },
    { SECTION_CLIENTS, "slow_client_ms", KEY_U32, SAID(slow_client_ms), RANGE(10, 3600000) },
    { SECTION_CLIENTS, "events_max", KEY_U32, SAID(client_events_max), RANGE(1024, 1 << 20) },
    { SECTION_CLIENTS, "frames_max", KEY_U32, SAID(client_frames_max), RANGE(0, 1 << 20) },
    PLAIN(SECTION_CLIENTS, "uid", KEY_USER), PLAIN(SECTION_CLIENTS, "gid", KEY_GROUP),
    PLAIN(SECTION_UIDGID, "uid", KEY_USER), PLAIN(SECTION_UIDGID, "gid", KEY_GROUP),

    { SECTION_SYSTEM, "state_dir", KEY_TEXT, SAID(state_dir), RANGE(1, CONFIG_PATH_BYTES) },
    { SECTION_SYSTEM, "runtime_dir", KEY_TEXT, SAID(runtime_dir), RANGE(1, CONFIG_PATH_BYTES) },
    IGNORED(SECTION_SYSTEM, "qb_ipc_type"), IGNORED(SECTION_SYSTEM, "sched_rr"),
    IGNORED(SECTION_SYSTEM, "priority"), IGNORED(SECTION_SYSTEM, "move_to_root_cgroup"),
    IGNORED(SECTION_SYSTEM, "allow_knet_handle_fallback"),
};
/* clang-format on */
const int config_key_count = (int)ARRAY_COUNT(config_keys);
static_assert(ARRAY_COUNT(config_keys) <= CONFIG_KEYS_MAX, "seen[] holds all");

static const struct {
    enum config_section parent, section;
    const char *name;
} sections[] = {
    { SECTION_TOP, SECTION_TOTEM, "totem" },
    { SECTION_TOP, SECTION_NODELIST, "nodelist" },
    { SECTION_TOP, SECTION_LOGGING, "logging" },
    { SECTION_TOP, SECTION_TRANSPORT, "transport" },
    { SECTION_TOP, SECTION_DPDK, "dpdk" },
    { SECTION_TOP, SECTION_POLL, "poll" },
    { SECTION_TOP, SECTION_ZCB, "zcb" },
    { SECTION_TOP, SECTION_CLIENTS, "clients" },
    { SECTION_TOP, SECTION_UIDGID, "uidgid" },
    { SECTION_TOP, SECTION_SYSTEM, "system" },
    { SECTION_TOP, SECTION_IGNORED, "quorum" },
    { SECTION_TOP, SECTION_IGNORED, "resources" },
    { SECTION_TOP, SECTION_IGNORED, "nozzle" },
    { SECTION_TOP, SECTION_IGNORED, "qb" },
    { SECTION_TOP, SECTION_IGNORED, "service" },
    { SECTION_TOTEM, SECTION_INTERFACE, "interface" },
    { SECTION_NODELIST, SECTION_NODE, "node" },
    { SECTION_LOGGING, SECTION_IGNORED, "logger_subsys" },
};

static bool span_is(struct config_span span, const char *text)
{
    return strlen(text) == span.bytes && memcmp(span.at, text, span.bytes) == 0;
}

enum config_section config_section_find(enum config_section parent, struct config_span name)
{
    for (size_t i = 0; i < ARRAY_COUNT(sections); i++)
        if (sections[i].parent == parent && span_is(name, sections[i].name))
            return sections[i].section;
    return SECTION_UNKNOWN;
}

const char *config_section_name(enum config_section section)
{
    for (size_t i = 0; i < ARRAY_COUNT(sections); i++)
        if (sections[i].section == section && section != SECTION_IGNORED)
            return sections[i].name;
    return NULL;
}

int config_key_find(enum config_section section, struct config_span name)
{
    for (int i = 0; i < config_key_count; i++)
        if (config_keys[i].section == section && span_is(name, config_keys[i].name))
            return i;
    return -1;
}

enum { DISTANCE_NAME_BYTES = 48 };

/* How many letters to insert, remove, replace or swap with their neighbour make one of the other.
 */
static unsigned distance(struct config_span a, const char *b)
{
    unsigned row[3][DISTANCE_NAME_BYTES + 1];
    unsigned *before = row[0], *last = row[1], *now = row[2];
    size_t a_bytes = a.bytes, b_bytes = strlen(b);
    if (a_bytes > DISTANCE_NAME_BYTES)
        a_bytes = DISTANCE_NAME_BYTES; /* far from every key in any case */
    for (size_t j = 0; j <= b_bytes; j++)
        last[j] = (unsigned)j;
    for (size_t i = 1; i <= a_bytes; i++) {
        now[0] = (unsigned)i;
        for (size_t j = 1; j <= b_bytes; j++) {
            bool same = a.at[i - 1] == b[j - 1];
            unsigned best = last[j - 1] + (same ? 0 : 1);
            best = min_u32(best, min_u32(last[j], now[j - 1]) + 1);
            if (i > 1 && j > 1 && a.at[i - 1] == b[j - 2] && a.at[i - 2] == b[j - 1])
                best = min_u32(best, before[j - 2] + 1);
            now[j] = best;
        }
        unsigned *reuse = before;
        before = last, last = now, now = reuse;
    }
    return last[b_bytes];
}

const char *config_section_nearest(enum config_section parent, struct config_span name)
{
    const char *nearest = NULL;
    unsigned least = UINT32_MAX;
    for (size_t i = 0; i < ARRAY_COUNT(sections); i++) {
        unsigned d = sections[i].parent == parent ? distance(name, sections[i].name) : UINT32_MAX;
        if (d < least) {
            least = d;
            nearest = sections[i].name;
        }
    }
    return nearest;
}

/* A lower bound of the distance, for the price of a look at the lengths. */
static unsigned distance_least(struct config_span a, const char *b)
{
    size_t b_bytes = strlen(b);
    return (unsigned)(a.bytes > b_bytes ? a.bytes - b_bytes : b_bytes - a.bytes);
}

const struct config_key *config_key_nearest(enum config_section section, struct config_span name)
{
    const struct config_key *nearest = NULL;
    unsigned least = UINT32_MAX;
    for (int i = 0; i < config_key_count; i++) {
        const struct config_key *key = &config_keys[i];
        unsigned d = UINT32_MAX;
        if (key->section != section)
            /* One letter wrong here is as likely as the wrong place. */
            d = span_is(name, key->name) ? 1 : UINT32_MAX;
        else if (distance_least(name, key->name) < least)
            d = distance(name, key->name);
        if (d < least) {
            least = d;
            nearest = key;
        }
    }
    return nearest;
}
