/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * config_fuzz.c - any text, as a configuration.
 *
 * Claims: nothing is read outside the text; what is accepted keeps every promise of config.h; and
 * written out in full, an accepted configuration is read back the same.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "daemon/config_parser.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A machine whose answers depend on the question alone. */
static bool is_local(void *context, const char *address)
{
    (void)context;
    return strncmp(address, "127.", 4) == 0 || strcmp(address, "::1") == 0;
}

static int resolve(void *context, const char *name, char address[TRANSPORT_ADDRESS_BYTES])
{
    (void)context;
    strcpy(address, name[0] == 'l' ? "127.0.0.1" : "10.0.0.1");
    return name[0] == 'x' ? -ENOENT : 0;
}

static int look_up(void *context, const char *name, uint32_t *id)
{
    (void)context;
    *id = (uint32_t)strlen(name);
    return name[0] == 'x' ? -ENOENT : 0;
}

static const struct config_host host = { .is_local = is_local,
                                         .resolve = resolve,
                                         .user = look_up,
                                         .group = look_up,
                                         .cpus_online = "0-63",
                                         .cpus = "0-62" };

struct text {
    char at[1 << 16];
    size_t bytes;
};

__attribute__((format(printf, 2, 3))) static void add(struct text *t, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    t->bytes += (size_t)vsnprintf(t->at + t->bytes, sizeof(t->at) - t->bytes, format, args);
    va_end(args);
    INVARIANT(t->bytes < sizeof(t->at));
}

static const char *yes(bool b)
{
    return b ? "yes" : "no";
}

static void write_nodes(struct text *t, const struct config *c)
{
    add(t, "nodelist {\n");
    for (int i = 0; i < c->node_count; i++)
        add(t, "node {\nring0_addr: %s\nnodeid: %u\nport: %u\n}\n", c->nodes[i].address,
            c->nodes[i].node_id, c->nodes[i].port);
    add(t, "}\n");
}

static void write_clients(struct text *t, const struct config *c)
{
    static const char *const policies[] = { "block", "evict" };
    add(t, "clients {\nmax: %u\nslow_policy: %s\nslow_client_ms: %u\nevents_max: %u\n",
        c->clients_max, policies[c->slow_policy], c->slow_client_ms, c->client_events_max);
    add(t, "frames_max: %u\n", c->client_frames_max);
    for (int i = 0; i < c->uid_count; i++)
        add(t, "uid: %u\n", c->uids[i]);
    for (int i = 0; i < c->gid_count; i++)
        add(t, "gid: %u\n", c->gids[i]);
    add(t, "}\n");
}

static void write_out(struct text *t, const struct config *c)
{
    char cpu[16] = "none";
    if (c->poll_cpu >= 0)
        snprintf(cpu, sizeof(cpu), "%d", c->poll_cpu);
    add(t, "totem {\nversion: 2\ncluster_name: %s\nnodeid: %u\ndetect_ms: %u\nnetmtu: %u\n",
        c->cluster_name, c->node_id, c->detect_ms, c->netmtu);
    add(t, "window_size: %u\nmax_messages: %u\naccelerated_window: %u\n}\n", c->window_frames,
        c->personal_frames, c->accelerated_frames);
    write_nodes(t, c);
    add(t, "transport {\nname: %s\nport: %u\nttl: %u\nsocket_buffer: %" PRIu64 "\n", c->transport,
        c->port, c->multicast_ttl, c->socket_bytes);
    if (c->multicast[0])
        add(t, "multicast: %s\n", c->multicast);
    add(t, "}\npoll {\npolicy: %s\ncpu: %s\nyield_us: %u\n}\n", poll_policy_name[c->poll], cpu,
        c->poll_yield_us);
    add(t,
        "zcb {\nrx_bytes: %" PRIu64 "\ntx_bytes: %" PRIu64 "\nhugepages: %s\nmessage_max: %u\n}\n",
        c->rx_bytes, c->tx_total_bytes, yes(c->hugepages), c->message_bytes_max);
    write_clients(t, c);
    add(t, "logging {\nto_stderr: %s\nto_syslog: %s\ndebug: %s\nto_logfile: %s\n",
        yes(c->log_to_stderr), yes(c->log_to_syslog), yes(c->debug), yes(c->log_file[0]));
    if (c->log_file[0])
        add(t, "logfile: %s\n", c->log_file);
    add(t, "}\nsystem {\nstate_dir: %s\nruntime_dir: %s\n}\n", c->state_dir, c->runtime_dir);
}

static void check_promises(const struct config *c)
{
    bool found = false;
    for (int i = 0; i < c->node_count; i++) {
        bool ipv6;
        char address[TRANSPORT_ADDRESS_BYTES];
        INVARIANT(i == 0 || c->nodes[i - 1].node_id < c->nodes[i].node_id);
        INVARIANT(c->nodes[i].node_id > 0 && c->nodes[i].port > 0);
        INVARIANT(config_address_numeric(c->nodes[i].address, address, &ipv6));
        found |= c->nodes[i].node_id == c->node_id;
    }
    INVARIANT(found);
    INVARIANT(c->netmtu >= 576 && c->netmtu <= 65535);
    INVARIANT(c->message_bytes_max >= CONFIG_MESSAGE_BYTES_LEAST);
    INVARIANT(c->tx_total_bytes >= (uint64_t)c->message_bytes_max + CONFIG_TX_RESERVE_BYTES);
    INVARIANT(c->rx_bytes > c->message_bytes_max);
    INVARIANT(c->runtime_dir[0] == '/' && c->state_dir[0] == '/');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct config config, again;
    static struct config_report report;
    static struct text text, text_again;
    int failed = config_parse_on(&config, (const char *)data, size, &report, &host);
    INVARIANT(report.count <= CONFIG_MESSAGES_MAX);
    INVARIANT((failed != 0) == (report.errors > 0));
    if (failed)
        return 0;
    check_promises(&config);
    text.bytes = text_again.bytes = 0;
    write_out(&text, &config);
    failed = config_parse_on(&again, text.at, text.bytes, &report, &host);
    INVARIANT(!failed && report.count == 0);
    write_out(&text_again, &again);
    INVARIANT(strcmp(text.at, text_again.at) == 0);
    INVARIANT(config.cluster_tag == again.cluster_tag);
    return 0;
}
