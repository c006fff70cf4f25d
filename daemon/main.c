/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <qb/qbloop.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "control.h"
#include "listen.h"
#include "log.h"
#include "notice.h"

#define DEFAULT_FILE "/etc/synchrotron/synchrotron.conf"

enum { WHY_BYTES = 512 };

struct options {
    const char *file;
    bool foreground, test;
};

/* Everything a running daemon has, made in this order. */
struct daemon {
    const struct options *options;
    struct config config;
    struct state state;
    struct resources resources;
    struct core *core;
    struct control control;
    int ready_fd; /* tells the process that started us how it went; -1 */
};

static void usage(FILE *to)
{
    fprintf(to,
            "usage: synchrotrond [-f] [-c FILE] [-t] [-v] [-h]\n\n"
            "  -f             stay in the foreground\n"
            "  -c FILE        configuration, in the grammar of corosync.conf (" DEFAULT_FILE ")\n"
            "  -t             check the configuration, say what follows from it, and exit\n"
            "  -v, --version  say the version and exit\n"
            "  -h, --help     say this and exit\n");
}

/* -1: go on, else the exit status */
static int read_options(struct options *o, int argc, char **argv)
{
    static const struct option words[] = { { "version", no_argument, NULL, 'v' },
                                           { "help", no_argument, NULL, 'h' },
                                           { 0 } };
    int letter;
    while ((letter = getopt_long(argc, argv, "fc:tvh", words, NULL)) != -1) {
        switch (letter) {
        case 'f':
            o->foreground = true;
            break;
        case 'c':
            o->file = optarg;
            break;
        case 't':
            o->test = true;
            break;
        case 'v':
            puts("synchrotrond " SYNCHROTRON_VERSION);
            return 0;
        case 'h':
            usage(stdout);
            return 0;
        default:
            usage(stderr);
            return 2;
        }
    }
    if (optind == argc)
        return -1;
    usage(stderr);
    return 2;
}

static void print_report(const char *file, const struct config_report *report)
{
    for (int i = 0; i < report->count; i++) {
        const struct config_message *m = &report->message[i];
        const char *kind = m->warning ? "warning" : "error";
        if (m->line > 0)
            fprintf(stderr, "%s:%d:%d: %s: %s\n", file, m->line, m->column, kind, m->text);
        else
            fprintf(stderr, "%s: %s: %s\n", file, kind, m->text);
    }
    int left_out = report->errors + report->warnings - report->count;
    if (left_out > 0)
        fprintf(stderr, "%s: %d more errors or warnings\n", file, left_out);
}

static void log_report(const char *file, const struct config_report *report)
{
    for (int i = 0; i < report->count; i++) {
        const struct config_message *m = &report->message[i];
        if (m->line > 0)
            log_warning("%s:%d:%d: %s", file, m->line, m->column, m->text);
        else
            log_warning("%s: %s", file, m->text);
    }
}

static void say_printed(void *context, const char *line)
{
    fprintf(context, "%s\n", line);
}

static void say_logged(void *context, const char *line)
{
    (void)context;
    log_notice("%s", line);
}

static void raise_limit(int resource, const char *name)
{
    struct rlimit limit;
    if (getrlimit(resource, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(resource, &limit) != 0)
        log_warning("the limit of %s stays as it is: %s", name, strerror(errno));
}

/* Clients cost three descriptors each, and their segments one each; memory that is shared is a file
 * to the kernel, and what grows over the limit is told as an error instead of killing us. */
static void raise_limits(void)
{
    raise_limit(RLIMIT_NOFILE, "descriptors");
    raise_limit(RLIMIT_FSIZE, "the size of files");
    signal(SIGXFSZ, SIG_IGN);
}

/* The parent waits until the child is up, so that its exit status is the start's. */
static int go_to_background(int *ready_fd)
{
    int pipe_fds[2];
    char ready;
    if (pipe2(pipe_fds, O_CLOEXEC) != 0)
        return -errno;
    pid_t child = fork();
    if (child < 0)
        return -errno;
    if (child > 0) {
        close(pipe_fds[1]);
        _exit(read(pipe_fds[0], &ready, 1) == 1 ? 0 : 1);
    }
    close(pipe_fds[0]);
    *ready_fd = pipe_fds[1];
    return setsid() < 0 ? -errno : 0;
}

static void report_ready(struct daemon *d)
{
    static const char ready = 1;
    int null;
    if (d->ready_fd < 0)
        return;
    log_stderr_off();
    null = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int fd = 0; fd <= 2 && null >= 0; fd++)
        dup2(null, fd);
    close(null);
    if (chdir("/") != 0)
        log_warning("/ cannot be the working directory: %s", strerror(errno));
    if (write(d->ready_fd, &ready, 1) != 1)
        log_debug("nobody waits for the start");
    close(d->ready_fd);
}

static int32_t stop_asked(int32_t signal_number, void *context)
{
    struct daemon *d = context;
    log_notice("stopping: signal %d", signal_number);
    control_stop(&d->control);
    return 0;
}

static int32_t dump_asked(int32_t signal_number, void *context)
{
    (void)signal_number;
    (void)context;
    log_dump();
    return 0;
}

static void add_signals(struct daemon *d)
{
    signal(SIGPIPE, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    qb_loop_signal_add(d->control.loop, QB_LOOP_HIGH, SIGTERM, d, stop_asked, NULL);
    qb_loop_signal_add(d->control.loop, QB_LOOP_HIGH, SIGINT, d, stop_asked, NULL);
    qb_loop_signal_add(d->control.loop, QB_LOOP_HIGH, SIGUSR2, d, dump_asked, NULL);
}

/* What can be said of the transport without starting it. */
static int check_transport(const struct config *config, char *why, size_t why_bytes)
{
    const struct transport_ops *transport = transport_find(config->transport);
    struct transport_config words = { .backend = &config->dpdk };
    if (transport)
        return transport->check(&words, why, why_bytes);
    snprintf(why, why_bytes,
             "transport %s is not built in: install libdpdk-dev, and build again with meson setup "
             "-Ddpdk=enabled",
             config->transport);
    return -ENOENT;
}

static struct core_config core_words(struct daemon *d)
{
    return (struct core_config){
        .config = &d->config,
        .transport = transport_find(d->config.transport),
        .rx_arena = &d->resources.rx,
        .words = (struct chan_core *)(void *)d->resources.core_page.base,
        .clients_max = d->config.clients_max,
        .ring_seq = d->state.ring_seq,
        .incarnation = d->state.incarnation,
        .backend = &d->config.dpdk,
    };
}

static int open_resources(struct daemon *d, char *why, size_t why_bytes)
{
    int failed = check_transport(&d->config, why, why_bytes);
    if (failed)
        return failed;
    struct core_config words = core_words(d);
    d->config.rx_bytes = core_rx_bytes(&words);
    return resources_open(&d->resources, &d->config, why, why_bytes);
}

static int create_core(struct daemon *d, char *why, size_t why_bytes)
{
    struct core_config config = core_words(d);
    return core_create(&d->core, &config, why, why_bytes);
}

static void log_poll(const struct daemon *d)
{
    const struct resources *r = &d->resources;
    char poor[PLACE_TEXT_BYTES];
    notice_poll(&(struct notice_poll){ .config = &d->config,
                                       .place = &r->place,
                                       .pinned = core_is_pinned(d->core),
                                       .memory_node = place_of(r->rx.base, r->rx.bytes),
                                       .woken_by = core_transport_caps(d->core)->woken_by },
                say_logged, NULL);
    if (place_is_poor(&r->place, &d->config, poor))
        log_warning("%s", poor);
}

static int run_core(struct daemon *d, char *why, size_t why_bytes)
{
    int failed = core_start(d->core);
    if (failed) {
        snprintf(why, why_bytes, "the poll core cannot start%s: %s",
                 d->config.poll_cpu < 0 ? "" : " on poll.cpu, which this process lost meanwhile",
                 strerror(-failed));
        return failed;
    }
    add_signals(d);
    notice_config(&d->config, say_logged, NULL);
    log_poll(d);
    notice_socket(core_transport_caps(d->core), say_logged, NULL);
    notice_memory(&d->resources, say_logged, NULL);
    notice_copies(core_transport_caps(d->core), say_logged, NULL);
    report_ready(d);
    qb_loop_run(d->control.loop);
    if (d->control.failed && !d->control.stopped) {
        /* Its thread may hang where it cannot be joined. */
        log_error("ending without the poll core");
        control_abandon(&d->control);
        log_close();
        _exit(1);
    }
    return 0;
}

static int run_control(struct daemon *d, char *why, size_t why_bytes)
{
    int failed = create_core(d, why, why_bytes);
    if (failed)
        return failed;
    struct control *c = &d->control;
    *c = (struct control){ .config = &d->config,
                           .core = d->core,
                           .resources = &d->resources,
                           .state = &d->state,
                           .loop = qb_loop_create() };
    failed = control_open(c, why, why_bytes);
    if (!failed)
        failed = run_core(d, why, why_bytes);
    core_destroy(d->core);
    control_close(c);
    qb_loop_destroy(c->loop);
    return failed;
}

static int run(struct daemon *d, char *why, size_t why_bytes)
{
    raise_limits();
    int failed = listen_check(&d->config, why, why_bytes);
    if (!failed)
        failed = state_open(&d->state, &d->config, why, why_bytes);
    if (failed)
        return failed;
    if (d->state.failing)
        log_error("state directory %s: not written: %s; no ring forms before it can be",
                  d->state.directory, strerror(d->state.failing));
    log_dump_on_crash();
    failed = open_resources(d, why, why_bytes);
    if (!failed) {
        failed = run_control(d, why, why_bytes);
        resources_close(&d->resources);
    }
    state_close(&d->state);
    return failed;
}

static int start(struct daemon *d, const struct config_report *report)
{
    char why[WHY_BYTES] = "";
    int failed = d->options->foreground ? 0 : go_to_background(&d->ready_fd);
    if (failed) {
        fprintf(stderr, "synchrotrond: cannot go to the background: %s\n", strerror(-failed));
        return 1;
    }
    failed = log_open(&d->config, d->config.log_to_stderr || d->ready_fd >= 0);
    if (failed)
        log_error("log file %s cannot be written: %s; nothing is logged there: mend it and start "
                  "again, or say logging { to_logfile: no }",
                  d->config.log_file, strerror(-failed));
    log_report(d->options->file, report);
    log_notice("synchrotrond " SYNCHROTRON_VERSION ": node %u of cluster %s", d->config.node_id,
               d->config.cluster_name);
    failed = run(d, why, sizeof(why));
    if (failed)
        log_error("not started: %s", why);
    else
        log_notice("stopped");
    log_close();
    return failed ? 1 : 0;
}

static void print_poll(const struct config *config, const char *file)
{
    struct place place;
    char poor[PLACE_TEXT_BYTES];
    place_find(&place, config);
    notice_poll(
        &(struct notice_poll){ .config = config, .place = &place, .memory_node = PLACE_NONE },
        say_printed, stdout);
    if (place_is_poor(&place, config, poor))
        fprintf(stderr, "%s: warning: %s\n", file, poor);
}

static int test(const struct config *config, const char *file)
{
    char why[WHY_BYTES] = "";
    if (check_transport(config, why, sizeof(why)) != 0) {
        fprintf(stderr, "%s: error: %s\n", file, why);
        return 1;
    }
    notice_config(config, say_printed, stdout);
    print_poll(config, file);
    printf("%s: no error\n", file);
    return 0;
}

int main(int argc, char **argv)
{
    static struct daemon d = { .ready_fd = -1 };
    static struct config_report report;
    struct options options = { .file = DEFAULT_FILE };
    int status = read_options(&options, argc, argv);
    if (status >= 0)
        return status;
    d.options = &options;
    int failed = config_load(&d.config, options.file, &report);
    if (failed || options.test)
        print_report(options.file, &report);
    if (failed)
        return 1;
    if (options.test) {
        return test(&d.config, options.file);
    }
    return start(&d, &report);
}
