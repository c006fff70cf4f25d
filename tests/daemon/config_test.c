/* SPDX-License-Identifier: BSD-3-Clause */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <string.h>

#include "config_parser.h"

/* A machine with one address beside loopback, two names, one user and one group. */
static bool fake_is_local(void *context, const char *address)
{
    return strncmp(address, "127.", 4) == 0 || strcmp(address, "10.0.0.2") == 0 ||
           strcmp(address, "fd00::2") == 0;
}

static int fake_resolve(void *context, const char *name, char address[TRANSPORT_ADDRESS_BYTES])
{
    if (strcmp(name, "two.example") != 0)
        return -ENOENT;
    strcpy(address, "10.0.0.2");
    return 0;
}

static int fake_user(void *context, const char *name, uid_t *uid)
{
    *uid = 189;
    return strcmp(name, "hacluster") == 0 ? 0 : -ENOENT;
}

static int fake_group(void *context, const char *name, gid_t *gid)
{
    *gid = 190;
    return strcmp(name, "haclient") == 0 ? 0 : -ENOENT;
}

static const struct config_host fake_host = {
    .is_local = fake_is_local,
    .resolve = fake_resolve,
    .user = fake_user,
    .group = fake_group,
    .processors = 6,
    .cpus_online = "0-4,6",
    .cpus = "0,2-3",
};

static struct config config;
static struct config_report report;

static int parse(const char *text)
{
    return config_parse_on(&config, text, strlen(text), &report, &fake_host);
}

#define THREE_NODES                                    \
    "nodelist {\n"                                     \
    " node {\n ring0_addr: 10.0.0.3\n nodeid: 3\n }\n" \
    " node {\n ring0_addr: 10.0.0.1\n nodeid: 1\n }\n" \
    " node {\n ring0_addr: 10.0.0.2\n nodeid: 2\n }\n" \
    "}\n"
#define TOTEM    "totem {\n version: 2\n}\n"
#define ORDINARY TOTEM THREE_NODES

/* The message about a line that says this; NULL: none. */
static const struct config_message *message(int line, const char *part)
{
    for (int i = 0; i < report.count; i++)
        if (report.message[i].line == line && strstr(report.message[i].text, part))
            return &report.message[i];
    return NULL;
}

static bool error_at(int line, int column, const char *part)
{
    const struct config_message *m = message(line, part);
    return m && !m->warning && (column == 0 || m->column == column);
}

static bool warning_at(int line, const char *part)
{
    const struct config_message *m = message(line, part);
    return m && m->warning;
}

Test(config, an_ordinary_file_has_every_default)
{
    cr_assert(eq(int, parse(ORDINARY), 0));
    cr_assert(eq(int, report.count, 0), "%s", report.message[0].text);
    cr_assert(eq(u32, config.detect_ms, 1000));
    cr_assert(eq(u32, config.netmtu, 1500));
    cr_assert(eq(int, config.port, 5405));
    cr_assert(eq(u64, config.rx_bytes, 48 << 20));
    cr_assert(eq(u64, config.tx_total_bytes, 40 << 20));
    cr_assert(eq(u32, config.message_bytes_max, 32 << 20));
    cr_assert(eq(u32, config.slow_client_ms, 5000));
    cr_assert(eq(u32, config.client_events_max, 65536));
    cr_assert(eq(u32, config.clients_max, 384));
    cr_assert(eq(u32, config.poll_yield_us, 500));
    cr_assert(eq(int, config.poll, POLL_AUTO));
    cr_assert(eq(int, config.poll_cpu, -1));
    cr_assert(config.hugepages);
    cr_assert(eq(str, config.transport, "udp"));
    cr_assert(eq(str, config.multicast, ""));
    cr_assert(eq(str, config.runtime_dir, CTL_RUNTIME_DIR_DEFAULT));
    cr_assert(eq(str, config.state_dir, "/var/lib/synchrotron"));
}

Test(config, nodes_are_ascending_and_ours_is_found_by_its_address)
{
    cr_assert(eq(int, parse(ORDINARY), 0));
    cr_assert(eq(int, config.node_count, 3));
    for (uint32_t i = 0; i < 3; i++)
        cr_assert(eq(u32, config.nodes[i].node_id, i + 1));
    cr_assert(eq(u32, config.node_id, 2));
    cr_assert(eq(str, config.nodes[1].address, "10.0.0.2"));
    cr_assert(eq(int, config.nodes[1].port, 5405));
}

Test(config, a_node_may_be_named_and_have_its_own_port)
{
    cr_assert(eq(int,
                 parse(TOTEM "nodelist {\nnode {\nring0_addr: two.example\nnodeid: 9\n"
                             "port: 7000\nname: two\n}\n}\n"),
                 0));
    cr_assert(eq(str, config.nodes[0].address, "10.0.0.2"));
    cr_assert(eq(int, config.nodes[0].port, 7000));
    cr_assert(parse(TOTEM "nodelist {\nnode {\nring0_addr: who.example\nnodeid: 9\n}\n}\n") < 0);
    cr_assert(error_at(5, 0, "who.example"));
}

Test(config, several_local_nodes_need_to_be_told_which_one_this_is)
{
    static const char nodes[] = "nodelist {\n"
                                "node {\nring0_addr: 127.0.0.1\nnodeid: 1\n}\n"
                                "node {\nring0_addr: 127.0.0.2\nnodeid: 2\n}\n"
                                "}\n";
    char text[512];
    snprintf(text, sizeof(text), TOTEM "%s", nodes);
    cr_assert(parse(text) < 0);
    cr_assert(error_at(0, 0, "totem { nodeid:"));
    cr_assert(error_at(0, 0, "nodes 1, 2"));
    snprintf(text, sizeof(text), "totem {\nversion: 2\nnodeid: 1\n}\n%s", nodes);
    cr_assert(eq(int, parse(text), 0));
    cr_assert(eq(u32, config.node_id, 1));
    snprintf(text, sizeof(text), "totem {\nversion: 2\nnodeid: 7\n}\n%s", nodes);
    cr_assert(parse(text) < 0);
    cr_assert(error_at(3, 0, "7 is not in the nodelist"));
}

Test(config, no_local_node_is_an_error_that_says_what_to_do)
{
    cr_assert(parse(TOTEM "nodelist {\nnode {\nring0_addr: 10.9.9.9\nnodeid: 1\n}\n}\n") < 0);
    cr_assert(error_at(0, 0, "ring0_addr"));
    cr_assert(error_at(0, 0, "totem { nodeid:"));
    cr_assert(parse(TOTEM) < 0);
    cr_assert(error_at(0, 0, "nodelist"));
}

Test(config, an_unknown_key_names_line_column_and_the_nearest_key)
{
    cr_assert(parse("totem {\n version: 2\n   detct_ms: 5\n}\n" THREE_NODES) < 0);
    cr_assert(error_at(3, 4, "'detct_ms'"));
    cr_assert(error_at(3, 4, "nearest known key is 'detect_ms'"));
    cr_assert(parse(ORDINARY "zcb {\nhugepage: yes\n}\n") < 0);
    cr_assert(error_at(19, 1, "'hugepages'"));
    cr_assert(parse(ORDINARY "poll {\nslow_client_ms: 10\n}\n") < 0);
    cr_assert(error_at(19, 1, "section 'clients'"));
    cr_assert(parse(ORDINARY "polll {\n cpu: 1\n}\n") < 0);
    cr_assert(error_at(18, 1, "'poll'"));
    cr_assert(eq(int, report.errors, 1), "what is inside an unknown section is not looked at");
}

Test(config, a_forgotten_brace_is_told_where_it_is_missed_and_costs_nothing_else)
{
    cr_assert(parse("totem {\n version: 2\n" THREE_NODES) < 0);
    cr_expect(error_at(3, 0, "'nodelist' stands inside the section of line 1: '}' is missing"));
    cr_expect(eq(int, report.errors, 2), "that, and the section that is not closed");
}

Test(config, all_errors_are_reported)
{
    cr_assert(parse("totem {\n version: 3\n netmtu: 100\n x\n}\npoll {\n policy: never\n cpu: -1\n"
                    "}\n}\nclients {\n max: 0\n") < 0);
    cr_assert(error_at(2, 11, "outside 2 to 2"));
    cr_assert(error_at(3, 10, "outside 576 to 65535"));
    cr_assert(error_at(4, 2, "expected"));
    cr_assert(error_at(7, 10, "auto, spin or backoff"));
    cr_assert(error_at(8, 7, "not a number"));
    cr_assert(error_at(10, 1, "closes no section"));
    cr_assert(error_at(12, 7, "outside 1 to 4096"));
    cr_assert(error_at(12, 1, "line 11 is not closed"));
    cr_assert(error_at(0, 0, "nodelist"));
    cr_assert(eq(int, report.errors, 9));
}

Test(config, more_errors_than_are_kept_are_counted)
{
    char text[8192] = "totem {\n";
    for (int i = 0; i < 200; i++)
        strcat(text, "wrong: 1\n");
    strcat(text, "}\n");
    cr_assert(parse(text) < 0);
    cr_assert(eq(int, report.count, CONFIG_MESSAGES_MAX));
    cr_assert(eq(int, report.errors, 201));
}

Test(config, sizes_take_suffixes)
{
    cr_assert(
        eq(int, parse(ORDINARY "zcb {\nrx_bytes: 65536K\ntx_bytes: 1G\nmessage_max: 16m\n}\n"), 0));
    cr_assert(eq(u64, config.rx_bytes, 64 << 20));
    cr_assert(eq(u64, config.tx_total_bytes, 1 << 30));
    cr_assert(eq(u32, config.message_bytes_max, 16 << 20));
    cr_assert(parse(ORDINARY "zcb {\nrx_bytes: 18446744073709551615G\n}\n") < 0);
    cr_assert(error_at(19, 11, "outside"));
    cr_assert(parse(ORDINARY "zcb {\nrx_bytes: 64X\n}\n") < 0);
    cr_assert(error_at(19, 11, "K, M or G"));
    cr_assert(parse(ORDINARY "poll {\nyield_us: 1K\n}\n") < 0);
    cr_assert(error_at(19, 11, "not a number"));
}

Test(config, a_comment_behind_a_value_is_explained)
{
    cr_assert(parse("totem {\nversion: 2 # of the format\n}\n" THREE_NODES) < 0);
    cr_assert(error_at(2, 10, "line of its own"));
}

Test(config, budgets_that_cannot_hold_a_message_are_refused)
{
    cr_assert(parse(ORDINARY "zcb {\ntx_bytes: 35M\n}\n") < 0);
    cr_assert(error_at(19, 0, "zcb.message_max"));
    cr_assert(parse(ORDINARY "zcb {\nrx_bytes: 43M\n}\n") < 0);
    cr_assert(error_at(19, 0, "zcb.message_max"));
    cr_assert(eq(int, parse(ORDINARY "zcb {\ntx_bytes: 36M\nrx_bytes: 44M\n}\n"), 0));
    cr_assert(parse(ORDINARY "zcb {\nmessage_max: 1047551\n}\n") < 0);
}

Test(config, corosyncs_own_file_loads_with_a_warning_for_each_key_without_meaning)
{
    static const char text[] = "# Please read the manual page\n"
                               "totem {\n"
                               "\tversion: 2\n"
                               "\tcluster_name: debian\n"
                               "\tcrypto_cipher: none\n"
                               "\tcrypto_hash: none\n"
                               "}\n"
                               "logging {\n"
                               "\tfileline: off\n"
                               "\tto_stderr: yes\n"
                               "\tto_logfile: yes\n"
                               "\tlogfile: /var/log/corosync/corosync.log\n"
                               "\tto_syslog: yes\n"
                               "\tdebug: off\n"
                               "\tlogger_subsys {\n"
                               "\t\tsubsys: QUORUM\n"
                               "\t\tdebug: off\n"
                               "\t}\n"
                               "}\n"
                               "quorum {\n"
                               "\tprovider: corosync_votequorum\n"
                               "}\n"
                               "nodelist {\n"
                               "\tnode {\n"
                               "\t\tname: node1\n"
                               "\t\tnodeid: 1\n"
                               "\t\tring0_addr: 127.0.0.1\n"
                               "\t\tquorum_votes: 1\n"
                               "\t}\n"
                               "}\n";
    cr_assert(eq(int, parse(text), 0), "%s", report.message[0].text);
    cr_assert(warning_at(9, "logging.fileline"));
    cr_assert(warning_at(15, "logger_subsys"));
    cr_assert(warning_at(20, "quorum"));
    cr_assert(warning_at(28, "quorum_votes"));
    cr_assert(eq(int, report.warnings, 4));
    cr_assert(eq(str, config.cluster_name, "debian"));
    cr_assert(eq(str, config.log_file, "/var/log/corosync/corosync.log"));
    cr_assert(eq(u32, config.node_id, 1));
}

Test(config, a_key_without_meaning_is_warned_of_once)
{
    cr_assert(eq(int,
                 parse(TOTEM "nodelist {\nnode {\nring0_addr: 10.0.0.2\nnodeid: 1\n"
                             "quorum_votes: 1\n}\nnode {\nring0_addr: 10.0.0.3\nnodeid: 2\n"
                             "quorum_votes: 1\n}\n}\n"),
                 0));
    cr_assert(eq(int, report.warnings, 1));
}

Test(config, encryption_that_is_asked_for_is_refused_never_ignored)
{
    cr_assert(parse("totem {\nversion: 2\ncrypto_cipher: aes256\ncrypto_hash: sha256\nsecauth: "
                    "on\n}\n" THREE_NODES) < 0);
    cr_assert(error_at(3, 16, "not available in this release"));
    cr_assert(error_at(4, 14, "not available in this release"));
    cr_assert(error_at(5, 10, "not available in this release"));
    cr_assert(eq(int, parse("totem {\nversion: 2\nsecauth: off\n}\n" THREE_NODES), 0));
}

Test(config, corosyncs_transports_are_served)
{
    cr_assert(eq(int, parse("totem {\nversion: 2\ntransport: knet\n}\n" THREE_NODES), 0));
    cr_assert(warning_at(3, "knet is served by udp"));
    cr_assert(
        eq(int, parse("totem {\nversion: 2\ntransport: udpu\ntoken: 3000\n}\n" THREE_NODES), 0));
    cr_assert(eq(int, report.warnings, 0));
    cr_assert(eq(u32, config.detect_ms, 3000));
    cr_assert(parse("totem {\nversion: 2\ntransport: iba\n}\n" THREE_NODES) < 0);
    cr_assert(error_at(3, 12, "udp, udpu or knet"));
}

#define INTERFACE "interface {\nmcastaddr: 239.1.1.1\nmcastport: 5500\nttl: 4\n}\n"

Test(config, multicast_of_the_first_interface_is_used_with_udp)
{
    cr_assert(
        eq(int, parse("totem {\nversion: 2\ntransport: udp\n" INTERFACE "}\n" THREE_NODES), 0));
    cr_assert(eq(str, config.multicast, "239.1.1.1"));
    cr_assert(eq(int, config.port, 5500));
    cr_assert(eq(int, config.nodes[0].port, 5500));
    cr_assert(eq(int, config.multicast_ttl, 4));
    cr_assert(
        eq(int, parse("totem {\nversion: 2\ntransport: udpu\n" INTERFACE "}\n" THREE_NODES), 0));
    cr_assert(eq(str, config.multicast, ""));
    cr_assert(warning_at(4, "mcastaddr"));
}

/* Whatever line it is about. */
static bool said(const char *part)
{
    for (int i = 0; i < report.count; i++)
        if (strstr(report.message[i].text, part))
            return true;
    return false;
}

#define DPDK "transport {\nname: dpdk\n}\n"

Test(config, dpdk_has_a_section_of_its_own)
{
    cr_assert(eq(int,
                 parse(ORDINARY DPDK "dpdk {\nport: af_packet:eth1\nmemory: 32M\nvlan: 7\n"
                                     "vlan_priority: 5\ndscp: 46\neal: --log-level=debug\n}\n"),
                 0));
    cr_assert(eq(str, config.transport, "dpdk"));
    cr_assert(eq(str, config.dpdk.port, "af_packet:eth1"));
    cr_assert(eq(u64, config.dpdk.memory_bytes, 32 << 20));
    cr_assert(eq(u16, config.dpdk.vlan_id, 7));
    cr_assert(eq(u8, config.dpdk.vlan_priority, 5));
    cr_assert(eq(u8, config.dpdk.dscp, 46));
    cr_assert(eq(str, config.dpdk.eal, "--log-level=debug"));
    cr_assert(config.dpdk.memif_dir[0] == '/');
}

Test(config, dpdk_without_a_port_says_which_there_are)
{
    cr_assert(parse(ORDINARY DPDK) < 0);
    cr_assert(said("memif"));
}

Test(config, a_port_for_dpdk_that_is_not_chosen_is_a_warning)
{
    cr_assert(eq(int, parse(ORDINARY "dpdk {\nport: memif\n}\n"), 0));
    cr_assert(said("transport { name: dpdk }"));
}

Test(config, a_node_may_have_a_fixed_mac)
{
    static const char *const wrong[] = { "02:00:00:00:00", "02:00:00:00:00:0g", "2:0:0:0:0:7",
                                         "02-00-00-00-00-07", "x" };
    char text[512];
    for (size_t i = 0; i <= ARRAY_COUNT(wrong); i++) {
        bool right = i == ARRAY_COUNT(wrong);
        snprintf(text, sizeof(text),
                 TOTEM "nodelist {\nnode {\nnodeid: 1\nring0_addr: 10.0.0.2\nmac: %s\n}\n}\n",
                 right ? "02:00:5e:00:00:07" : wrong[i]);
        cr_assert(eq(int, parse(text) == 0, right), "%s", text);
        cr_assert(right || said("no MAC address"));
    }
    cr_assert(eq(str, config.nodes[0].mac, "02:00:5e:00:00:07"));
}

Test(config, dpdk_tells_nodes_by_their_addresses)
{
    static const char same[] = "totem {\nversion: 2\nnodeid: 1\n}\n"
                               "nodelist {\nnode {\nnodeid: 1\nring0_addr: 10.0.0.1\nport: 1\n}\n"
                               "node {\nnodeid: 2\nring0_addr: 10.0.0.1\nport: 2\n}\n}\n";
    char over_dpdk[sizeof(same) + 128];
    cr_assert(eq(int, parse(same), 0));
    snprintf(over_dpdk, sizeof(over_dpdk), "%s" DPDK "dpdk {\nport: memif\n}\n", same);
    cr_assert(parse(over_dpdk) < 0);
    cr_assert(said("an address of its own"));
}

/* Node 2 is on our link, node 3 is not, nor is 4, whose MAC is said. */
#define ROUTED                                                                                   \
    "totem {\nversion: 2\nnodeid: 1\n}\nnodelist {\n"                                            \
    "node {\nnodeid: 1\nring0_addr: 10.0.1.1\n}\nnode {\nnodeid: 2\nring0_addr: 10.0.1.127\n}\n" \
    "node {\nnodeid: 3\nring0_addr: 10.0.1.128\n}\n"                                             \
    "node {\nnodeid: 4\nring0_addr: 10.9.9.9\nmac: 02:00:00:00:00:04\n}\n}\n" DPDK

#define ROUTED_V6                                                                                \
    "totem {\nversion: 2\nnodeid: 1\n}\nnodelist {\n"                                            \
    "node {\nnodeid: 1\nring0_addr: fd00:1::1\n}\nnode {\nnodeid: 2\nring0_addr: fd00:1::2\n}\n" \
    "node {\nnodeid: 3\nring0_addr: fd00:2::1\n}\n}\n" DPDK

Test(config, nodes_outside_the_own_subnet_are_behind_the_gateway)
{
    cr_assert(eq(
        int, parse(ROUTED "dpdk {\nport: af_packet:e\nprefix: 25\ngateway: 10.0.1.126\n}\n"), 0));
    cr_assert(eq(str, config.dpdk.gateway, "10.0.1.126"));
    for (int i = 0; i < 4; i++)
        cr_assert(eq(int, config.nodes[i].routed, i == 2), "node %d", i + 1);
    cr_assert(eq(
        int, parse(ROUTED_V6 "dpdk {\nport: af_packet:e\nprefix: 32\ngateway: fe80::7\n}\n"), 0));
    for (int i = 0; i < 3; i++)
        cr_assert(eq(int, config.nodes[i].routed, i == 2), "node %d", i + 1);
    cr_assert(eq(int, parse(ROUTED "dpdk {\nport: af_packet:e\n}\n"), 0));
    cr_assert(eq(int, config.nodes[2].routed, false), "without a subnet all is one link");
}

Test(config, a_gateway_that_cannot_be_is_refused)
{
    static const struct {
        const char *words, *says;
    } wrong[] = {
        { "gateway: 10.0.1.126", "needs dpdk.prefix" },
        { "prefix: 25\ngateway: 10.0.1.200", "not on this node's own subnet" },
        { "prefix: 25\ngateway: fd00::1", "no IPv4 address" },
        { "prefix: 25\ngateway: 239.1.1.1", "no IPv4 address" },
        { "prefix: 25\ngateway: router", "a numeric address" },
        { "prefix: 25\ngateway: 10.0.1.127", "dpdk.gateway's, a router" },
        { "prefix: 33\ngateway: 10.0.1.126", "outside 1 to 32" },
        { "prefix: 25", "name the router" },
    };
    char text[1024];
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++) {
        snprintf(text, sizeof(text), ROUTED "dpdk {\nport: af_packet:e\n%s\n}\n", wrong[i].words);
        cr_assert(parse(text) < 0, "%s", wrong[i].words);
        cr_assert(said(wrong[i].says), "%s: %s", wrong[i].words, report.message[0].text);
    }
}

Test(config, a_gateway_without_a_network_is_a_warning)
{
    cr_assert(
        eq(int, parse(ROUTED "dpdk {\nport: memif\nprefix: 25\ngateway: 10.0.1.126\n}\n"), 0));
    cr_assert(said("mean nothing here"));
    cr_assert(eq(str, config.dpdk.gateway, ""));
    cr_assert(eq(int, config.nodes[2].routed, false));
}

Test(config, multicast_that_ends_at_the_gateway_is_a_warning)
{
    static const char words[] =
        ROUTED "dpdk {\nport: af_packet:e\nprefix: 25\ngateway: 10.0.1.126\n}\n";
    char text[1024];
    for (int ttl = 1; ttl <= 2; ttl++) {
        snprintf(text, sizeof(text), "%stransport {\nmulticast: 239.1.1.1\nttl: %d\n}\n", words,
                 ttl);
        cr_assert(eq(int, parse(text), 0));
        cr_assert(eq(int, said("ends at the first router"), ttl == 1));
    }
}

Test(config, our_own_transport_section_wins)
{
    cr_assert(eq(int,
                 parse("totem {\nversion: 2\ntransport: udp\n" INTERFACE "}\n" THREE_NODES
                       "transport {\nname: udp\nmulticast: 239.2.2.2\nport: 6000\nttl: 2\n"
                       "socket_buffer: 4M\n}\n"),
                 0));
    cr_assert(eq(str, config.multicast, "239.2.2.2"));
    cr_assert(eq(int, config.port, 6000));
    cr_assert(eq(int, config.multicast_ttl, 2));
    cr_assert(eq(u64, config.socket_bytes, 4 << 20));
}

Test(config, addresses_that_cannot_be_are_refused)
{
    cr_assert(parse(ORDINARY "transport {\nmulticast: 10.1.1.1\n}\n") < 0);
    cr_assert(parse(ORDINARY "transport {\nmulticast: ff02::1\n}\n") < 0);
    cr_assert(parse(ORDINARY "transport {\nmulticast: everybody\n}\n") < 0);
    cr_assert(error_at(19, 12, "numeric address"));
    cr_assert(parse(TOTEM "nodelist {\nnode {\nring0_addr: 10.0.0.2\nnodeid: 1\n}\n"
                          "node {\nring0_addr: fd00::9\nnodeid: 2\n}\n}\n") < 0);
    cr_assert(error_at(9, 0, "do not mix"));
}

Test(config, two_nodes_share_neither_id_nor_address)
{
    cr_assert(parse(TOTEM "nodelist {\nnode {\nring0_addr: 10.0.0.2\nnodeid: 1\n}\n"
                          "node {\nring0_addr: 10.0.0.3\nnodeid: 1\n}\n"
                          "node {\nring0_addr: 10.0.0.3\nnodeid: 2\n}\n"
                          "node {\nring0_addr: 10.0.0.4\n}\n}\n") < 0);
    cr_assert(error_at(9, 0, "taken by the node of line 5"));
    cr_assert(error_at(13, 0, "taken by the node of line 9"));
    cr_assert(error_at(17, 0, "no nodeid"));
}

Test(config, too_many_nodes_are_an_error_and_nothing_worse)
{
    static char text[NODE_COUNT_MAX * 128];
    size_t used = (size_t)snprintf(text, sizeof(text), TOTEM "nodelist {\n");
    for (int i = 1; i <= NODE_COUNT_MAX + 9; i++)
        used += (size_t)snprintf(text + used, sizeof(text) - used,
                                 "node {\nring0_addr: 10.0.%d.%d\nnodeid: %d\n}\n", i / 200,
                                 i % 200 + 1, i);
    strcat(text, "}\n");
    cr_assert(parse(text) < 0);
    cr_assert(error_at(0, 0, "137 nodes; 128 is the most"));
}

Test(config, users_and_groups_are_names_or_numbers_and_repeat)
{
    cr_assert(eq(int,
                 parse(ORDINARY "clients {\nuid: hacluster\nuid: 1000\ngid: haclient\n}\n"
                                "uidgid {\ngid: 7\n}\n"),
                 0));
    cr_assert(eq(int, report.warnings, 0));
    cr_assert(eq(int, config.uid_count, 2));
    cr_assert(eq(u32, config.uids[0], 189));
    cr_assert(eq(u32, config.uids[1], 1000));
    cr_assert(eq(int, config.gid_count, 2));
    cr_assert(eq(u32, config.gids[0], 190));
    cr_assert(eq(u32, config.gids[1], 7));
    cr_assert(parse(ORDINARY "clients {\nuid: nobody-knows\n}\n") < 0);
    cr_assert(error_at(19, 6, "a user of this machine"));
}

Test(config, auto_spins_on_a_processor_of_its_own_when_clients_have_others)
{
    struct config_host host = fake_host;
    static const char own[] = ORDINARY "poll {\ncpu: 3\n}\n";
    cr_assert(eq(int, parse(ORDINARY), 0));
    cr_assert(not(config.spins));
    cr_assert(eq(int, parse(own), 0));
    cr_assert(config.spins);
    cr_assert(eq(int, parse(ORDINARY "poll {\ncpu: 3\npolicy: backoff\n}\n"), 0));
    cr_assert(not(config.spins));
    host.processors = 2;
    cr_assert(eq(int, config_parse_on(&config, own, strlen(own), &report, &host), 0));
    cr_assert(not(config.spins));
    cr_assert(eq(int, parse(ORDINARY "poll {\npolicy: spin\n}\n"), 0));
    cr_assert(config.spins);
}

Test(config, directories_follow_user_and_environment)
{
    struct config_host host = fake_host;
    host.uid = 1000;
    host.user_runtime_dir = "/run/user/1000";
    cr_assert(eq(int, config_parse_on(&config, ORDINARY, strlen(ORDINARY), &report, &host), 0));
    cr_assert(eq(str, config.runtime_dir, "/run/user/1000/synchrotron"));
    cr_assert(eq(str, config.state_dir, "/run/user/1000/synchrotron"));
    host.user_runtime_dir = NULL;
    config_parse_on(&config, ORDINARY, strlen(ORDINARY), &report, &host);
    cr_assert(eq(str, config.runtime_dir, "/tmp/synchrotron-1000"));
    host.runtime_dir = "/elsewhere";
    config_parse_on(&config, ORDINARY, strlen(ORDINARY), &report, &host);
    cr_assert(eq(str, config.runtime_dir, "/elsewhere"));
    cr_assert(eq(int, parse(ORDINARY "system {\nstate_dir: /s\nruntime_dir: /r\n}\n"), 0));
    cr_assert(eq(str, config.state_dir, "/s"));
    cr_assert(eq(str, config.runtime_dir, "/r"));
}

Test(config, a_log_file_needs_a_name)
{
    cr_assert(parse(ORDINARY "logging {\nto_logfile: yes\n}\n") < 0);
    cr_assert(error_at(19, 0, "no logfile"));
    cr_assert(
        eq(int, parse(ORDINARY "logging {\nlogfile: /x\ndebug: trace\nto_stderr: no\n}\n"), 0));
    cr_assert(eq(str, config.log_file, ""));
    cr_assert(config.debug);
    cr_assert(not(config.log_to_stderr));
}

Test(config, the_poll_core_gets_a_processor_that_there_is)
{
    cr_assert(eq(int, parse(ORDINARY "poll {\ncpu: 3\npolicy: spin\n}\n"), 0));
    cr_assert(eq(int, config.poll_cpu, 3));
    cr_assert(eq(int, parse(ORDINARY "poll {\ncpu: 0\n}\n"), 0));
    cr_assert(parse(ORDINARY "poll {\ncpu: 5\n}\n") < 0);
    cr_assert(error_at(19, 6, "this machine has no processor 5, but 0-4,6"));
    cr_assert(parse(ORDINARY "poll {\ncpu: 4\n}\n") < 0);
    cr_assert(error_at(19, 6, "may not run on processor 4, but on 0,2-3: take one of these, or"));
    cr_assert(parse(ORDINARY "poll {\ncpu: 1\n}\n") < 0);
    cr_assert(parse(ORDINARY "poll {\ncpu: 7\n}\n") < 0);
}

Test(config, processors_are_written_as_the_kernel_does)
{
    char text[32], small[5];
    cpu_set_t set;
    CPU_ZERO(&set);
    config_cpus_text(&set, text, sizeof(text));
    cr_assert(eq(str, text, ""));
    for (size_t cpu = 0; cpu < 7; cpu++)
        if (cpu != 1 && cpu != 5)
            CPU_SET(cpu, &set);
    CPU_SET(CPU_SETSIZE - 1, &set);
    config_cpus_text(&set, text, sizeof(text));
    cr_assert(eq(str, text, "0,2-4,6,1023"));
    config_cpus_text(&set, small, sizeof(small));
    cr_assert(eq(str, small, "0,2-"));
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
        cr_assert(eq(int, config_cpus_have(text, cpu), CPU_ISSET((size_t)cpu, &set) != 0));
    cr_assert(not(config_cpus_have("", 0)));
}

Test(config, a_key_said_twice_is_warned_of)
{
    cr_assert(eq(int, parse(ORDINARY "poll {\ncpu: 2\ncpu: none\n}\n"), 0));
    cr_assert(warning_at(20, "line 19 already"));
    cr_assert(eq(int, config.poll_cpu, -1));
}

Test(config, text_without_end_and_with_any_byte_is_survived)
{
    static const char text[] = "totem {\n version\0: 2\n x\x01: y\n a: b";
    cr_assert(config_parse_on(&config, text, sizeof(text) - 1, &report, &fake_host) < 0);
    cr_assert(error_at(2, 9, "control character"));
    cr_assert(error_at(3, 3, "control character"));
    cr_assert(error_at(4, 2, "'a'"));
    cr_assert(config_parse_on(&config, NULL, 0, &report, &fake_host) < 0);
}

Test(config, sections_nest_so_deep_and_no_deeper)
{
    cr_assert(parse("quorum {\na {\nb {\nc {\nd {\ne {\nf {\ng {\nh {\n") < 0);
    cr_assert(error_at(8, 0, "one inside the other"));
}

Test(config, a_file_that_cannot_be_read_says_why)
{
    cr_assert(eq(int, config_load(&config, "/nowhere/at/all", &report), -ENOENT));
    cr_assert(error_at(0, 0, "No such file or directory; -c FILE"));
    cr_assert(eq(int, config_load(&config, "/", &report), -EISDIR));
}
