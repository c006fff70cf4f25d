/* SPDX-License-Identifier: BSD-3-Clause */
#include "status.h"

#include "status_table.h"
#include "zcb.h"

#include <corosync/corotypes.h>

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    ANSWER_S = 5,
    STATUS_BYTES_MAX = 64 << 20,
    EXIT_FAILED = 1,
    EXIT_USAGE = 2,
};

static const char *runtime_dir(void)
{
    const char *dir = getenv(CTL_RUNTIME_DIR_ENV);
    return dir && dir[0] ? dir : CTL_RUNTIME_DIR_DEFAULT;
}

/* A descriptor, or -errno. */
static int connect_to_daemon(void)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    struct timeval patience = { .tv_sec = ANSWER_S };
    int bytes = snprintf(address.sun_path, sizeof(address.sun_path), "%s/%s", runtime_dir(),
                         CTL_SOCKET_NAME);
    if (bytes < 0 || (size_t)bytes >= sizeof(address.sun_path))
        return -ENAMETOOLONG;
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
        return fd;
    int error = -errno;
    close(fd);
    return error;
}

/* One request and its answer; *fd is -1 when no descriptor came with it. */
static int ask(int control, enum ctl_type type, uint32_t arg, struct ctl_answer *answer, int *fd)
{
    struct ctl_request request = {
        .magic = CTL_MAGIC, .version = CTL_VERSION, .type = (uint16_t)type, .arg = arg
    };
    int fd_count = 1;
    *fd = -1;
    int bytes = ctl_send(control, &request, sizeof(request), NULL, 0);
    if (bytes >= 0)
        bytes = ctl_recv(control, answer, sizeof(*answer), fd, &fd_count, NULL);
    if (bytes < 0)
        return bytes;
    if (fd_count == 0)
        *fd = -1;
    if ((size_t)bytes < offsetof(struct ctl_answer, hello) || answer->magic != CTL_MAGIC)
        return bytes == 0 ? -ECONNRESET : -EPROTO;
    if (answer->error == CS_ERR_ACCESS)
        return -EACCES;
    return answer->error == CS_OK ? 0 : -EPROTO;
}

/* The object as text. Owner: the caller, free(). NULL and *error otherwise. */
static char *read_text(int fd, uint64_t bytes, int *error)
{
    *error = bytes == 0 || bytes > STATUS_BYTES_MAX ? -EPROTO : 0;
    char *text = *error ? NULL : malloc(bytes + 1);
    uint64_t at = 0;
    while (text && at < bytes) {
        ssize_t got = pread(fd, text + at, bytes - at, (off_t)at);
        if (got <= 0) {
            *error = got < 0 ? -errno : -EPROTO;
            free(text);
            return NULL;
        }
        at += (uint64_t)got;
    }
    if (text)
        text[bytes] = 0;
    else if (*error == 0)
        *error = -ENOMEM;
    return text;
}

static char *fetch(int *error)
{
    struct ctl_answer answer = { 0 };
    char *text = NULL;
    int fd = -1, control = connect_to_daemon();
    *error = control < 0 ? control : 0;
    if (*error)
        return NULL;
    *error = ask(control, CTL_HELLO, CTL_HELLO_ADMIN, &answer, &fd);
    if (fd >= 0)
        close(fd);
    if (*error == 0) {
        *error = ask(control, CTL_STATUS, 0, &answer, &fd);
        if (*error == 0)
            text = read_text(fd, answer.arg64, error);
        if (fd >= 0)
            close(fd);
    }
    close(control);
    return text;
}

static void explain(int error)
{
    const char *dir = runtime_dir();
    if (error == -ENOENT || error == -ECONNREFUSED)
        fprintf(stderr,
                "synchrotron status: no daemon runs at %s; start synchrotrond, or say with %s\n"
                "which one is meant\n",
                dir, CTL_RUNTIME_DIR_ENV);
    else if (error == -EACCES)
        fprintf(stderr,
                "synchrotron status: the daemon at %s does not admit this user; be root or its\n"
                "own user, or name yours in its configuration: clients { uid: %u }\n",
                dir, (unsigned)geteuid());
    else
        fprintf(stderr, "synchrotron status: the daemon at %s: %s\n", dir, strerror(-error));
}

static int show(const char *text, bool json)
{
    json_error_t wrong;
    json_t *status = json_loads(text, 0, &wrong);
    if (!json_is_object(status)) {
        fprintf(stderr, "synchrotron status: the daemon's answer is no JSON object: %s\n",
                wrong.text);
        json_decref(status);
        return EXIT_FAILED;
    }
    if (json) {
        json_dumpf(status, stdout, JSON_INDENT(2));
        putchar('\n');
    } else {
        status_table_print(stdout, status);
    }
    json_decref(status);
    return 0;
}

static void usage(FILE *out)
{
    fputs("usage: synchrotron status [--json]\n"
          "\n"
          "Shows what the local daemon says of itself: ring, members, groups and their processes,\n"
          "counters, and where every page of memory is. " CTL_RUNTIME_DIR_ENV " says\n"
          "which daemon on a host that runs several (default " CTL_RUNTIME_DIR_DEFAULT ").\n"
          "\n"
          "  --json    print everything as one JSON object\n",
          out);
}

int status_main(int argc, char **argv)
{
    static const struct option known[] = { { "json", no_argument, NULL, 'j' },
                                           { "help", no_argument, NULL, 'h' },
                                           { 0 } };
    bool json = false;
    int option;
    while ((option = getopt_long(argc, argv, "h", known, NULL)) != -1) {
        if (option == 'h') {
            usage(stdout);
            return 0;
        }
        if (option != 'j') {
            usage(stderr);
            return EXIT_USAGE;
        }
        json = true;
    }
    if (optind < argc) {
        usage(stderr);
        return EXIT_USAGE;
    }
    int error;
    char *text = fetch(&error);
    if (!text) {
        explain(error);
        return EXIT_FAILED;
    }
    int status = show(text, json);
    free(text);
    return status;
}
