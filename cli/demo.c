/* SPDX-License-Identifier: BSD-3-Clause */
#include "demo.h"

#include "demo_client.h"
#include "demo_cluster.h"
#include "demo_network.h"
#include "demo_report.h"
#include "stop_signals.h"

#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum {
    SECONDS_MAX = 86400,
    CHANGE_S = 20, /* a view, a merge or the last messages not here by then never come */
    END_S = 10,    /* what a process may take to end in order */
    LOOK_MS = 2,
    EXIT_FAILED = 1,
    EXIT_USAGE = 2,
};

struct demo {
    struct demo_options options;
    struct demo_cluster cluster;
    struct demo_report report;
    struct demo_outcome outcome;
    int signal_fd;
    uint64_t down_nodes;    /* whose daemon was killed */
    uint64_t event_ns;      /* of the change waited for */
    uint64_t expected;      /* the view waited for, on each of its nodes */
    uint64_t next_rates_ns; /* NS_NEVER: none are shown */
    int stopped_by;         /* a signal */
};

static uint64_t all_nodes(const struct demo *d)
{
    return ((UINT64_C(1) << d->options.nodes) - 1) << 1;
}

/* Waiting, with an eye on everything */

typedef bool (*demo_condition_fn)(struct demo *d);

static bool never(struct demo *d)
{
    (void)d;
    return false;
}

/* When the expected view came to a node after the event; 0: not yet. */
static uint64_t view_came_ns(const struct demo *d, int node)
{
    const struct demo_seat *seat = &d->cluster.board->seat[node];
    uint32_t count = atomic_load_explicit(&seat->view_count, memory_order_acquire);
    for (uint32_t i = 0; i < count; i++)
        if (seat->view[i].at_ns >= d->event_ns && seat->view[i].nodes == d->expected)
            return seat->view[i].at_ns;
    return 0;
}

static bool view_is_everywhere(struct demo *d)
{
    for (int node = 1; node <= d->options.nodes; node++)
        if ((d->expected >> node & 1) && view_came_ns(d, node) == 0)
            return false;
    return true;
}

static uint64_t view_took_ns(struct demo *d)
{
    uint64_t last_ns = d->event_ns;
    for (int node = 1; node <= d->options.nodes; node++)
        if (d->expected >> node & 1)
            last_ns = max_u64(last_ns, view_came_ns(d, node));
    return last_ns - d->event_ns;
}

static bool all_are_drained(struct demo *d)
{
    for (int node = 1; node <= d->options.nodes; node++)
        if (!atomic_load_explicit(&d->cluster.board->seat[node].drained, memory_order_acquire))
            return false;
    return true;
}

static int look_at_signals(struct demo *d)
{
    struct signalfd_siginfo info;
    if (read(d->signal_fd, &info, sizeof(info)) != sizeof(info))
        return 0;
    d->stopped_by = (int)info.ssi_signo;
    return -EINTR;
}

/* 0: the condition holds; -ETIME: it did not by then; else a signal came or a process died. */
static int wait_until(struct demo *d, demo_condition_fn holds, uint64_t deadline_ns)
{
    for (;;) {
        int error = look_at_signals(d);
        if (error == 0)
            error = demo_cluster_look(&d->cluster);
        if (error)
            return error;
        uint64_t now_ns = demo_now_ns();
        if (now_ns >= d->next_rates_ns) {
            demo_report_rates(&d->report, d->down_nodes);
            d->next_rates_ns += NS_PER_S;
        }
        if (holds(d))
            return 0;
        if (now_ns >= deadline_ns)
            return -ETIME;
        struct pollfd ready = { .fd = d->signal_fd, .events = POLLIN };
        poll(&ready, 1, LOOK_MS);
    }
}

/* Time passes. */
static int wait_for_time(struct demo *d, uint64_t until_ns)
{
    int error = wait_until(d, never, until_ns);
    return error == -ETIME ? 0 : error;
}

static int wait_for_view(struct demo *d, uint64_t nodes, uint64_t event_ns, const char *what)
{
    d->expected = nodes;
    d->event_ns = event_ns;
    int error = wait_until(d, view_is_everywhere, demo_now_ns() + CHANGE_S * NS_PER_S);
    if (error == -ETIME)
        snprintf(d->cluster.why, sizeof(d->cluster.why), "%s did not come within %d s", what,
                 CHANGE_S);
    return error;
}

static void command(struct demo *d, enum demo_command command)
{
    atomic_store_explicit(&d->cluster.board->command, command, memory_order_release);
}

/* The story, in the order in which it is told */

static int start_cluster(struct demo *d)
{
    int nodes = d->options.nodes, error = demo_cluster_open(&d->cluster);
    d->report.board = d->cluster.board;
    uint64_t start_ns = demo_now_ns();
    for (int node = 1; node <= nodes && error == 0; node++)
        error = demo_cluster_start_daemon(&d->cluster, node);
    for (int node = 1; node <= nodes && error == 0; node++)
        error = demo_cluster_start_client(&d->cluster, node);
    if (error)
        return error;
    demo_report_event(&d->report,
                      "%d daemons started on %s1 to %s%d, %s port %u, each with a client that "
                      "sends and checks",
                      nodes, demo_network_prefix(&d->cluster), demo_network_prefix(&d->cluster),
                      nodes, d->options.transport, d->cluster.port);
    error = wait_for_view(d, all_nodes(d), start_ns, "a view of all nodes");
    if (error)
        return error;
    d->outcome.form_ns = view_took_ns(d);
    demo_report_event(&d->report, "after %.0f ms they form one ring and all clients one group",
                      (double)d->outcome.form_ns / 1e6);
    return 0;
}

static int kill_one(struct demo *d, int node)
{
    char others[128];
    d->outcome.killed_node = node;
    d->down_nodes = UINT64_C(1) << node;
    uint64_t kill_ns = demo_now_ns();
    demo_cluster_kill_daemon(&d->cluster, node);
    demo_report_event(&d->report, "the daemon of node %d is killed (SIGKILL)", node);
    int error = wait_for_view(d, all_nodes(d) & ~d->down_nodes, kill_ns, "a view without it");
    if (error)
        return error;
    d->outcome.view_change_ns = view_took_ns(d);
    demo_report_nodes(others, d->expected);
    demo_report_event(&d->report, "new view: %s, %.0f ms after the kill; they go on", others,
                      (double)d->outcome.view_change_ns / 1e6);
    return 0;
}

static int restart_one(struct demo *d, int node)
{
    char everybody[128];
    uint64_t start_ns = demo_now_ns();
    int error = demo_cluster_start_daemon(&d->cluster, node);
    if (error)
        return error;
    demo_report_event(&d->report, "the daemon of node %d is started again", node);
    error = wait_for_view(d, all_nodes(d), start_ns, "a view of all nodes");
    if (error)
        return error;
    d->down_nodes = 0;
    d->outcome.merge_ns = view_took_ns(d);
    demo_report_nodes(everybody, d->expected);
    demo_report_event(&d->report, "new view: %s, %.0f ms after the start: merged", everybody,
                      (double)d->outcome.merge_ns / 1e6);
    return 0;
}

static int drain(struct demo *d)
{
    d->outcome.send_ns = demo_now_ns() - d->report.start_ns;
    d->next_rates_ns = NS_NEVER;
    command(d, DEMO_DRAIN);
    int error = wait_until(d, all_are_drained, demo_now_ns() + CHANGE_S * NS_PER_S);
    if (error == -ETIME)
        demo_report_event(&d->report, "not everybody got the last messages within %d s", CHANGE_S);
    else if (error)
        return error;
    command(d, DEMO_QUIT);
    error = demo_cluster_join_clients(&d->cluster, demo_now_ns() + END_S * NS_PER_S);
    return error ? error : demo_cluster_stop_daemons(&d->cluster, demo_now_ns() + END_S * NS_PER_S);
}

static int compare(struct demo *d)
{
    struct demo_history history[DEMO_NODES_MAX + 1] = { 0 };
    int error = 0, nodes = d->options.nodes;
    for (int node = 1; node <= nodes && error == 0; node++) {
        char path[DEMO_PATH_BYTES];
        demo_cluster_log_path(&d->cluster, node, path);
        error = demo_history_map(&history[node], path);
        d->outcome.damaged += atomic_load(&d->cluster.board->seat[node].damaged);
    }
    if (error == 0)
        error = demo_verify(&d->outcome.verdict, history, nodes);
    if (error)
        snprintf(d->cluster.why, sizeof(d->cluster.why), "the logs cannot be compared: %s",
                 strerror(-error));
    for (int node = 1; node <= nodes; node++)
        demo_history_unmap(&history[node]);
    const struct demo_verdict *v = &d->outcome.verdict;
    d->outcome.good = error == 0 && v->messages > 0 && v->misordered == 0 && v->lost == 0 &&
                      v->duplicates == 0 && d->outcome.damaged == 0;
    return error;
}

/* Half of the time whole, a fifth with one node down (the last one), the rest whole again. */
static int tell(struct demo *d)
{
    int node = d->options.nodes;
    int error = start_cluster(d);
    if (error)
        return error;
    demo_report_begin(&d->report);
    uint64_t start_ns = d->report.start_ns, span_ns = (uint64_t)d->options.seconds * NS_PER_S;
    d->next_rates_ns = start_ns + NS_PER_S;
    command(d, DEMO_SEND);
    error = wait_for_time(d, start_ns + span_ns / 2);
    if (error == 0)
        error = kill_one(d, node);
    if (error == 0)
        error = wait_for_time(d, start_ns + span_ns / 10 * 7);
    if (error == 0)
        error = restart_one(d, node);
    if (error == 0)
        error = wait_for_time(d, start_ns + span_ns);
    if (error == 0)
        error = drain(d);
    return error ? error : compare(d);
}

/* Options */

static void usage(FILE *out)
{
    fprintf(out,
            "usage: synchrotron demo [--nodes N] [--seconds N] [--size BYTES] [--transport NAME]\n"
            "                        [--json]\n"
            "\n"
            "Starts a cluster on this machine, without privileges or configuration: N daemons\n"
            "(default 3, at most %d), each with a client that multicasts and checks. After half\n"
            "of the time (default 10 s) one daemon is killed, and started again soon after. In\n"
            "the end the order that every member saw is compared. Nothing is left behind.\n"
            "\n"
            "  --size BYTES      of a message, %d to %d (default 1024)\n"
            "  --transport NAME  udp (default): datagrams on the loopback device\n"
            "                    memif: DPDK, shared memory\n"
            "                    af_packet, af_xdp: DPDK, interfaces of a bridge in a network\n"
            "                    namespace of its own; takes root\n"
            "  --json            print one JSON object in the end, and nothing before\n"
            "\n"
            "Exit status: 0 when all members saw one order and nothing was lost, 1 when not,\n"
            "2 for wrong options.\n",
            DEMO_NODES_MAX, DEMO_MESSAGE_BYTES_LEAST, DEMO_MESSAGE_BYTES_MAX);
}

static bool parse_number(const char *option, long least, long most, long *value)
{
    char *end;
    errno = 0;
    *value = strtol(optarg, &end, 10);
    if (errno == 0 && end != optarg && *end == 0 && *value >= least && *value <= most)
        return true;
    fprintf(stderr, "synchrotron demo: %s: '%s' is no number from %ld to %ld\n", option, optarg,
            least, most);
    return false;
}

static int parse_one(struct demo_options *options, int option)
{
    long value = 0;
    bool right = true;
    switch (option) {
    case 'n':
        right = parse_number("--nodes", 2, DEMO_NODES_MAX, &value);
        options->nodes = (int)value;
        break;
    case 's':
        right = parse_number("--seconds", 1, SECONDS_MAX, &value);
        options->seconds = (int)value;
        break;
    case 'b':
        right = parse_number("--size", DEMO_MESSAGE_BYTES_LEAST, DEMO_MESSAGE_BYTES_MAX, &value);
        options->message_bytes = (uint32_t)value;
        break;
    case 't':
        right = demo_network_known(optarg);
        options->transport = optarg;
        if (!right)
            fprintf(stderr,
                    "synchrotron demo: --transport: '%s' is none of udp, memif, af_packet and "
                    "af_xdp\n",
                    optarg);
        break;
    case 'j':
        options->json = true;
        break;
    default:
        return -EINVAL;
    }
    return right ? 0 : -EINVAL;
}

/* 0, 1: help was asked for and given, -EINVAL */
static int parse(struct demo_options *options, int argc, char **argv)
{
    static const struct option known[] = {
        { "nodes", required_argument, NULL, 'n' },
        { "seconds", required_argument, NULL, 's' },
        { "size", required_argument, NULL, 'b' },
        { "json", no_argument, NULL, 'j' },
        { "transport", required_argument, NULL, 't' },
        { "help", no_argument, NULL, 'h' },
        { NULL, 0, NULL, 0 },
    };
    int option, error = 0;
    while (error == 0 && (option = getopt_long(argc, argv, "h", known, NULL)) != -1) {
        if (option == 'h') {
            usage(stdout);
            return 1;
        }
        error = parse_one(options, option);
    }
    if (error == 0 && optind < argc) {
        fprintf(stderr, "synchrotron demo: what is '%s'?\n", argv[optind]);
        error = -EINVAL;
    }
    if (error)
        fprintf(stderr, "synchrotron demo --help lists the options\n");
    return error;
}

static void explain(const struct demo *d, int error)
{
    fprintf(stderr, "synchrotron demo: %s\n", d->cluster.why);
    if (error == -ETIME)
        demo_cluster_print_words(&d->cluster, stderr);
}

static int run(struct demo *d)
{
    d->cluster.nodes = d->options.nodes;
    d->cluster.message_bytes = d->options.message_bytes;
    d->cluster.transport = d->options.transport;
    d->report.options = &d->options;
    d->report.out = d->options.json ? NULL : stdout;
    d->next_rates_ns = NS_NEVER;
    d->signal_fd = stop_signals_open(); /* read where the story waits, and nowhere else */
    int error = tell(d);
    if (error == 0)
        demo_report_end(&d->report, &d->outcome);
    else if (error != -EINTR)
        explain(d, error);
    demo_cluster_close(&d->cluster);
    close(d->signal_fd);
    if (error == -EINTR)
        return 128 + d->stopped_by;
    return d->outcome.good ? 0 : EXIT_FAILED;
}

int demo_main(int argc, char **argv)
{
    struct demo_options options = {
        .nodes = 3, .seconds = 10, .message_bytes = 1024, .transport = "udp"
    };
    int status = parse(&options, argc, argv);
    if (status != 0)
        return status > 0 ? 0 : EXIT_USAGE;
    struct demo *d = calloc(1, sizeof(*d)); /* its histograms are too much for a stack */
    if (!d) {
        fprintf(stderr, "synchrotron demo: no memory\n");
        return EXIT_FAILED;
    }
    d->options = options;
    status = run(d);
    free(d);
    return status;
}
