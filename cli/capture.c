/* SPDX-License-Identifier: BSD-3-Clause */
#include "capture.h"

#include "admin.h"
#include "capture_file.h"
#include "stop_signals.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    EXIT_FAILED = 1,
    EXIT_USAGE = 2,
    BURST = 256,            /* records between two looks at signals and clock */
    IDLE_MS = 1,            /* the core rings no bell: it would be a system call */
    FILE_BUFFER = 1 << 20,  /* bytes in one write */
    FILE_MODE = 0600,       /* payload is nobody else's */
    SECONDS_MAX = 10000000, /* four months */
};

struct wishes {
    const char *file;
    char dir[CTL_DIRECTORY_BYTES];
    uint64_t duration_ns, count; /* 0: without end */
    uint32_t snap_bytes;         /* 0: whole frames */
};

struct capture {
    int control, signals;
    struct zcb_arena arena;
    struct tape_reader reader;
    struct capture_file file;
    uint64_t taken, count_max, end_ns;
    bool gone; /* the daemon */
};

static uint64_t clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

/* Up to so many records, none that is numbered `until` or higher. Fewer: there are no more. */
static int take(struct capture *c, int count, uint64_t until)
{
    struct tape_record record;
    static uint8_t bytes[TAPE_SNAP_MAX + 8];
    int taken = 0;
    while (taken < count && c->taken < c->count_max && c->reader.next < until &&
           tape_read(&c->reader, &record, bytes)) {
        capture_file_add(&c->file, &record, bytes);
        c->taken++;
        taken++;
    }
    return taken;
}

/* True: it is over. Sleeps when nothing was to be had. */
static bool asked_to_end(struct capture *c, bool idle)
{
    struct pollfd fd[2] = { { .fd = c->signals, .events = POLLIN },
                            { .fd = c->control, .events = POLLIN | POLLRDHUP } };
    if (c->taken >= c->count_max || c->file.pcapng.error || clock_ns() >= c->end_ns)
        return true;
    if (poll(fd, 2, idle ? IDLE_MS : 0) <= 0)
        return false;
    c->gone = fd[1].revents != 0; /* it says nothing of its own accord: it hangs up */
    return true;
}

/* Until it is over; then what was written before that, and no more: it ends under any load. */
static void run(struct capture *c)
{
    for (bool idle = false; !asked_to_end(c, idle);) {
        idle = take(c, BURST, UINT64_MAX) < BURST;
        if (idle) /* whoever reads along sees it now */
            pcapng_flush(&c->file.pcapng);
    }
    uint64_t until = atomic_load_explicit(&c->reader.head->written, memory_order_acquire);
    while (c->file.pcapng.error == 0 && take(c, BURST, until) > 0)
        continue;
}

/* The tape of this daemon. -errno; -EBUSY: *other has it. */
static int open_tape(struct capture *c, struct wishes *wishes, uint32_t *other)
{
    struct ctl_answer answer = { 0 };
    int fd;
    c->control = admin_open(wishes->dir);
    if (c->control < 0)
        return c->control;
    int error = admin_ask(c->control, CTL_CAPTURE, wishes->snap_bytes, &answer, &fd);
    *other = answer.arg;
    if (error)
        return error;
    error = zcb_arena_map(&c->arena, fd, answer.arg64, 1, ZCB_READ);
    if (error) {
        close(fd);
        return error;
    }
    return tape_reader_open(&c->reader, c->arena.base, c->arena.bytes);
}

static void explain(const struct wishes *wishes, int error, uint32_t other)
{
    if (error == -EBUSY)
        fprintf(stderr,
                "synchrotron capture: process %" PRIu32
                " captures here already; one can at a time\n",
                other);
    else if (error == -EACCES)
        fprintf(stderr,
                "synchrotron capture: only root and the user of the daemon at %s may see what\n"
                "everybody's messages say\n",
                wishes->dir);
    else if (error == -ECONNRESET)
        fprintf(stderr, "synchrotron capture: the daemon at %s does not know how to capture\n",
                wishes->dir);
    else
        admin_explain("capture", wishes->dir, error);
}

static FILE *open_file(const char *path)
{
    int fd = strcmp(path, "-") == 0
                 ? fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0)
                 : open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, FILE_MODE);
    return fd >= 0 ? fdopen(fd, "wb") : NULL;
}

static int file_failed(const char *path, int error)
{
    fprintf(stderr, "synchrotron capture: %s: %s\n", strcmp(path, "-") ? path : "standard output",
            strerror(-error));
    return EXIT_FAILED;
}

static void sum_up(const struct capture *c)
{
    fprintf(stderr, "%s%" PRIu64 " frames captured", c->gone ? "the daemon has gone; " : "",
            c->taken);
    if (c->reader.lost > 0)
        fprintf(stderr, ", %" PRIu64 " lost: they came faster than they could be written",
                c->reader.lost);
    fputc('\n', stderr);
}

static int capture_into(struct capture *c, const struct wishes *wishes, FILE *out)
{
    setvbuf(out, NULL, _IOFBF, FILE_BUFFER);
    uint64_t begin_ns = clock_ns();
    c->count_max = wishes->count ? wishes->count : UINT64_MAX;
    c->end_ns = wishes->duration_ns ? begin_ns + wishes->duration_ns : NS_NEVER;
    capture_file_begin(&c->file, out, &c->reader.head->about, c->reader.snap_bytes);
    run(c);
    capture_file_end(&c->file, &c->reader, begin_ns, clock_ns()); /* R1 */
    int error = c->file.pcapng.error;
    if (fclose(out) != 0 && error == 0)
        error = -errno;
    if (error && error != -EPIPE) /* who read along has seen enough */
        return file_failed(wishes->file, error);
    sum_up(c);
    return 0;
}

static int capture(struct wishes *wishes)
{
    static struct capture c; /* large */
    uint32_t other = 0;
    int status = EXIT_FAILED;
    signal(SIGPIPE, SIG_IGN); /* it is an error of the file, and known there */
    c.signals = stop_signals_open();
    int error = c.signals < 0 ? c.signals : open_tape(&c, wishes, &other);
    FILE *out = error ? NULL : open_file(wishes->file);
    if (error)
        explain(wishes, error, other);
    else if (!out)
        file_failed(wishes->file, -errno);
    else
        status = capture_into(&c, wishes, out);
    zcb_arena_destroy(&c.arena);
    if (c.control >= 0)
        close(c.control);
    return status;
}

static void usage(FILE *out)
{
    fputs("usage: synchrotron capture [-w FILE] [OPTIONS]\n"
          "\n"
          "Writes what the ring of the local node sends and receives as pcapng, until Ctrl-C or\n"
          "until the daemon goes. It is taken between ring and transport, so it is the same for\n"
          "every transport. Root and the daemon's own user may; one at a time.\n"
          "\n"
          "  -w, --write FILE     where to; - is standard output, and the default when that is no\n"
          "                       terminal\n"
          "      --seconds S      end after so long\n"
          "      --count N        end after so many frames\n"
          "      --snap BYTES     of each frame keep so many, at least 64 (default: whole frames)\n"
          "      --runtime-dir D  which daemon (default: " CTL_RUNTIME_DIR_ENV ", or as\n"
          "                       `synchrotron status --help` says)\n"
          "\n"
          "What comes faster than this program can write is lost, and counted in the file; the\n"
          "daemon waits for nobody. docs/capture.md says how to read it.\n",
          out);
}

/* A number from `least` to `most` and nothing behind it. */
static bool number(const char *text, double least, double most, double *value)
{
    char *end;
    *value = strtod(text, &end);
    return end != text && *end == 0 && *value >= least && *value <= most;
}

static bool take_option(struct wishes *wishes, int option, const char *value)
{
    double given;
    switch (option) {
    case 'w':
        wishes->file = value;
        return true;
    case 'd':
        snprintf(wishes->dir, sizeof(wishes->dir), "%s", value);
        return value[0] != 0;
    case 's':
        wishes->duration_ns =
            number(value, 1e-3, SECONDS_MAX, &given) ? (uint64_t)(given * (double)NS_PER_S) : 0;
        return wishes->duration_ns > 0;
    case 'n':
        wishes->count = number(value, 1, 1e15, &given) ? (uint64_t)given : 0;
        return wishes->count > 0;
    case 'b':
        wishes->snap_bytes =
            number(value, TAPE_SNAP_LEAST, TAPE_SNAP_MAX, &given) ? (uint32_t)given : 0;
        return wishes->snap_bytes > 0;
    default:
        return false;
    }
}

/* Standard output unless said otherwise, but nobody wants this on a terminal. */
static bool settle_file(struct wishes *wishes)
{
    if (!wishes->file)
        wishes->file = "-";
    if (strcmp(wishes->file, "-") != 0 || !isatty(STDOUT_FILENO))
        return true;
    fputs("synchrotron capture: a capture is nothing for a terminal; say where to: -w FILE\n",
          stderr);
    return false;
}

int capture_main(int argc, char **argv)
{
    static const struct option known[] = { { "write", required_argument, NULL, 'w' },
                                           { "seconds", required_argument, NULL, 's' },
                                           { "count", required_argument, NULL, 'n' },
                                           { "snap", required_argument, NULL, 'b' },
                                           { "runtime-dir", required_argument, NULL, 'd' },
                                           { "help", no_argument, NULL, 'h' },
                                           { 0 } };
    struct wishes wishes = { 0 };
    int option;
    while ((option = getopt_long(argc, argv, "w:h", known, NULL)) != -1) {
        if (option == 'h') {
            usage(stdout);
            return 0;
        }
        if (!take_option(&wishes, option, optarg)) {
            usage(stderr);
            return EXIT_USAGE;
        }
    }
    if (optind < argc) {
        usage(stderr);
        return EXIT_USAGE;
    }
    return settle_file(&wishes) ? capture(&wishes) : EXIT_USAGE;
}
