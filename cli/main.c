/* SPDX-License-Identifier: BSD-3-Clause */
#include "capture.h"
#include "demo.h"
#include "demo_client.h"
#include "status.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static void usage(FILE *out)
{
    fputs("usage: synchrotron COMMAND [OPTIONS]\n"
          "\n"
          "  capture   what the ring sends and receives, as a file for wireshark\n"
          "  demo      start a cluster on this machine, kill a daemon, compare what all saw\n"
          "  status    ring, members, groups and their processes, counters, memory\n"
          "\n"
          "synchrotron COMMAND --help says more. The daemon is synchrotrond; which one of several\n"
          "on a host is meant, SYNCHROTRON_RUNTIME_DIR says.\n",
          out);
}

static int run(int argc, char **argv)
{
    const char *command = argc > 1 ? argv[1] : "";
    if (strcmp(command, "capture") == 0)
        return capture_main(argc - 1, argv + 1);
    if (strcmp(command, "demo") == 0)
        return demo_main(argc - 1, argv + 1);
    if (strcmp(command, "status") == 0)
        return status_main(argc - 1, argv + 1);
    if (strcmp(command, DEMO_CLIENT_COMMAND) == 0)
        return demo_client_main(argc - 1, argv + 1);
    if (strcmp(command, "--version") == 0) {
        puts("synchrotron " SYNCHROTRON_VERSION);
        return 0;
    }
    bool asked = strcmp(command, "--help") == 0 || strcmp(command, "-h") == 0;
    usage(asked ? stdout : stderr);
    return asked ? 0 : 2;
}

/* What did not get out was not said: scripts believe the exit status. */
int main(int argc, char **argv)
{
    int status = run(argc, argv);
    bool failed = ferror(stdout); /* perhaps long ago, so that errno does not know */
    errno = 0;
    if (fflush(stdout) == 0 && !failed)
        return status;
    fprintf(stderr, "synchrotron: standard output cannot be written%s%s\n", errno ? ": " : "",
            errno ? strerror(errno) : "");
    return status ? status : 1;
}
