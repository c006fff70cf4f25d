/* SPDX-License-Identifier: BSD-3-Clause */
#include "status.h"

#include "admin.h"
#include "status_table.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    STATUS_BYTES_MAX = 64 << 20,
    EXIT_FAILED = 1,
    EXIT_USAGE = 2,
};

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

static char *fetch(char dir[CTL_DIRECTORY_BYTES], int *error)
{
    struct ctl_answer answer = { 0 };
    char *text = NULL;
    int fd = -1, control = admin_open(dir);
    *error = control < 0 ? control : 0;
    if (*error)
        return NULL;
    *error = admin_ask(control, CTL_STATUS, 0, &answer, &fd);
    if (*error == 0)
        text = read_text(fd, answer.arg64, error);
    if (fd >= 0)
        close(fd);
    close(control);
    return text;
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
          "which daemon on a host that runs several (default: the first that listens "
          "in\n" CTL_RUNTIME_DIR_DEFAULT ", $XDG_RUNTIME_DIR/synchrotron, /tmp/synchrotron-UID).\n"
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
    char dir[CTL_DIRECTORY_BYTES] = "";
    char *text = fetch(dir, &error);
    if (!text) {
        admin_explain("status", dir, error);
        return EXIT_FAILED;
    }
    int status = show(text, json);
    free(text);
    return status;
}
