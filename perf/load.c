/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * load.c - one member of a group under load, for any libcpg.
 *
 * It uses nothing but corosync/cpg.h, so the same program runs on our library and on Corosync's:
 * the comparison in perf/versus starts it with either. The sender floods, or sends one message at a
 * time and waits for its own delivery; a sink counts what arrives and how old it is. One JSON line
 * at the end, on standard output.
 */

#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <corosync/cpg.h>

enum { SAMPLES_MAX = 1 << 20, HEADER_BYTES = 16 };

struct load {
    /* what was asked for */
    const char *group;
    size_t size;
    double seconds;
    size_t members_wanted;
    enum { ROLE_SINK, ROLE_FLOOD, ROLE_ONE } role;
    /* what happened */
    size_t members;
    bool sender_gone;
    uint32_t own_pid;
    uint64_t received, received_bytes, own_received, sent, refused;
    uint64_t first_ns, last_ns;
    uint64_t *sample_ns;
    size_t sample_count;
};

static uint64_t now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void die(const char *what, cs_error_t error)
{
    fprintf(stderr, "synchrotron-load: %s failed with cs_error %d\n", what, (int)error);
    exit(1);
}

static struct load *load_of(cpg_handle_t handle)
{
    void *context = NULL;
    cpg_context_get(handle, &context);
    return context;
}

static void on_message(cpg_handle_t handle, const struct cpg_name *group, uint32_t nodeid,
                       uint32_t pid, void *msg, size_t bytes)
{
    struct load *load = load_of(handle);
    uint64_t now = now_ns(), stamp;
    (void)group, (void)nodeid;
    memcpy(&stamp, msg, sizeof(stamp));
    if (load->received++ == 0)
        load->first_ns = now;
    load->received_bytes += bytes;
    load->last_ns = now;
    load->own_received += pid == load->own_pid;
    if (load->sample_count < SAMPLES_MAX)
        load->sample_ns[load->sample_count++] = now - stamp;
}

static void on_view(cpg_handle_t handle, const struct cpg_name *group,
                    const struct cpg_address *member, size_t members,
                    const struct cpg_address *left, size_t left_count,
                    const struct cpg_address *joined, size_t joined_count)
{
    struct load *load = load_of(handle);
    (void)group, (void)member, (void)left, (void)joined, (void)joined_count;
    load->members = members;
    if (left_count > 0)
        load->sender_gone = true;
}

static void wait_for_events(int fd, int timeout_ms)
{
    struct pollfd pollfd = { .fd = fd, .events = POLLIN };
    poll(&pollfd, 1, timeout_ms);
}

static void dispatch(cpg_handle_t handle, cs_dispatch_flags_t mode)
{
    cs_error_t error = cpg_dispatch(handle, mode);
    if (error != CS_OK && error != CS_ERR_TRY_AGAIN)
        die("cpg_dispatch", error);
}

static bool send_one(cpg_handle_t handle, struct load *load, uint8_t *payload)
{
    struct iovec iov = { .iov_base = payload, .iov_len = load->size };
    uint64_t stamp = now_ns();
    memcpy(payload, &stamp, sizeof(stamp));
    cs_error_t error = cpg_mcast_joined(handle, CPG_TYPE_AGREED, &iov, 1);
    if (error == CS_OK) {
        load->sent++;
        return true;
    }
    if (error != CS_ERR_TRY_AGAIN && error != CS_ERR_INTERRUPT)
        die("cpg_mcast_joined", error);
    load->refused++;
    return false;
}

static void run_flood(cpg_handle_t handle, int fd, struct load *load, uint8_t *payload)
{
    uint64_t end = now_ns() + (uint64_t)(load->seconds * 1e9);
    while (now_ns() < end) {
        int burst = 0;
        while (burst < 64 && send_one(handle, load, payload))
            burst++;
        if (burst == 0)
            wait_for_events(fd, 1);
        dispatch(handle, CS_DISPATCH_ALL);
    }
    for (uint64_t limit = now_ns() + 30000000000u; load->own_received < load->sent;) {
        if (now_ns() > limit) {
            fprintf(stderr, "synchrotron-load: %llu of %llu own messages came back in 30 s\n",
                    (unsigned long long)load->own_received, (unsigned long long)load->sent);
            exit(1);
        }
        wait_for_events(fd, 100);
        dispatch(handle, CS_DISPATCH_ALL);
    }
}

static void run_one(cpg_handle_t handle, struct load *load, uint8_t *payload)
{
    uint64_t end = now_ns() + (uint64_t)(load->seconds * 1e9);
    while (now_ns() < end) {
        while (!send_one(handle, load, payload))
            dispatch(handle, CS_DISPATCH_ALL);
        while (load->own_received < load->sent)
            dispatch(handle, CS_DISPATCH_ONE);
    }
}

static void run_sink(cpg_handle_t handle, int fd, struct load *load)
{
    uint64_t limit = now_ns() + (uint64_t)((load->seconds + 60) * 1e9);
    while (!load->sender_gone && now_ns() < limit) {
        wait_for_events(fd, 1000);
        dispatch(handle, CS_DISPATCH_ALL);
    }
}

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static double percentile_us(const struct load *load, double p)
{
    if (load->sample_count == 0)
        return 0;
    size_t index = (size_t)(p * (double)(load->sample_count - 1));
    return (double)load->sample_ns[index] / 1000.0;
}

static void report(struct load *load)
{
    static const char *const role[] = { "sink", "flood", "one" };
    struct rusage usage;
    double span = (double)(load->last_ns - load->first_ns) / 1e9;
    getrusage(RUSAGE_SELF, &usage);
    qsort(load->sample_ns, load->sample_count, sizeof(uint64_t), by_size);
    printf("{\"role\": \"%s\", \"size\": %zu, \"received\": %llu, \"sent\": %llu, "
           "\"refused\": %llu, \"seconds\": %.6f, \"messages_per_s\": %.1f, \"bytes_per_s\": %.1f, "
           "\"p50_us\": %.1f, \"p99_us\": %.1f, \"max_us\": %.1f, \"cpu_s\": %.3f}\n",
           role[load->role], load->size, (unsigned long long)load->received,
           (unsigned long long)load->sent, (unsigned long long)load->refused, span,
           span > 0 ? (double)load->received / span : 0,
           span > 0 ? (double)load->received_bytes / span : 0, percentile_us(load, 0.5),
           percentile_us(load, 0.99), percentile_us(load, 1.0),
           (double)usage.ru_utime.tv_sec + (double)usage.ru_utime.tv_usec / 1e6 +
               (double)usage.ru_stime.tv_sec + (double)usage.ru_stime.tv_usec / 1e6);
}

static void usage(FILE *to)
{
    fprintf(to, "usage: synchrotron-load sink|flood|one [-g GROUP] [-s BYTES] [-D SECONDS] [-n N]\n"
                "  sink   receive until the first member leaves\n"
                "  flood  send as fast as the group takes it\n"
                "  one    send one message, wait for its own delivery, repeat\n"
                "  -n N   wait until the group has N members, then start\n");
}

static bool parse(struct load *load, int argc, char **argv)
{
    static const struct {
        const char *name;
        int role;
    } roles[] = { { "sink", ROLE_SINK }, { "flood", ROLE_FLOOD }, { "one", ROLE_ONE } };
    int option, role = -1;
    while ((option = getopt(argc, argv, "g:s:D:n:h")) != -1) {
        switch (option) {
        case 'g':
            load->group = optarg;
            break;
        case 's':
            load->size = strtoul(optarg, NULL, 0);
            break;
        case 'D':
            load->seconds = strtod(optarg, NULL);
            break;
        case 'n':
            load->members_wanted = strtoul(optarg, NULL, 0);
            break;
        case 'h':
            usage(stdout);
            exit(0);
        default:
            return false;
        }
    }
    for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]) && optind < argc; i++)
        if (strcmp(argv[optind], roles[i].name) == 0)
            role = roles[i].role;
    if (role < 0 || load->size < HEADER_BYTES || load->seconds <= 0 ||
        strlen(load->group) > CPG_MAX_NAME_LENGTH)
        return false;
    load->role = role;
    return true;
}

static cpg_handle_t join(struct load *load, int *fd)
{
    cpg_model_v1_data_t model = { .cpg_deliver_fn = on_message, .cpg_confchg_fn = on_view };
    cpg_handle_t handle;
    struct cpg_name name = { .length = (uint32_t)strlen(load->group) };
    cs_error_t error;
    memcpy(name.value, load->group, name.length);
    error = cpg_model_initialize(&handle, CPG_MODEL_V1, (cpg_model_data_t *)&model, load);
    if (error != CS_OK)
        die("cpg_model_initialize", error);
    while ((error = cpg_join(handle, &name)) == CS_ERR_TRY_AGAIN)
        usleep(10000);
    if (error != CS_OK)
        die("cpg_join", error);
    cpg_fd_get(handle, fd);
    while (load->members < load->members_wanted)
        dispatch(handle, CS_DISPATCH_ONE);
    return handle;
}

int main(int argc, char **argv)
{
    struct load load = { .group = "load", .size = 64, .seconds = 2, .members_wanted = 1 };
    int fd = -1;
    if (!parse(&load, argc, argv)) {
        usage(stderr);
        return 2;
    }
    load.own_pid = (uint32_t)getpid();
    load.sample_ns = calloc(SAMPLES_MAX, sizeof(uint64_t));
    uint8_t *payload = calloc(1, load.size);
    if (!load.sample_ns || !payload) {
        fprintf(stderr, "synchrotron-load: no memory for %zu bytes\n", load.size);
        return 1;
    }
    cpg_handle_t handle = join(&load, &fd);
    if (load.role == ROLE_SINK)
        run_sink(handle, fd, &load);
    else if (load.role == ROLE_FLOOD)
        run_flood(handle, fd, &load, payload);
    else
        run_one(handle, &load, payload);
    report(&load);
    cpg_finalize(handle);
    free(payload);
    free(load.sample_ns);
    return 0;
}
