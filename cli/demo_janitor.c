/* SPDX-License-Identifier: BSD-3-Clause */
#include "demo_janitor.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

enum { REMOVE_TRIES = 500, REMOVE_WAIT_MS = 10, OPEN_FILES_MAX = 16 };

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *walk)
{
    (void)st, (void)kind, (void)walk;
    return remove(path) != 0 && errno != ENOENT;
}

/* Killed processes may need a moment to be gone, and write until then. */
static void remove_folder(const char *folder)
{
    for (int i = 0; i < REMOVE_TRIES; i++) {
        nftw(folder, remove_one, OPEN_FILES_MAX, FTW_DEPTH | FTW_PHYS);
        if (access(folder, F_OK) != 0)
            return;
        poll(NULL, 0, REMOVE_WAIT_MS);
    }
}

/* Signals of the terminal do not reach it: it has a session of its own. */
static void janitor_run(const char *folder, int pipe_end)
{
    char byte;
    setsid();
    for (int fd = 0; fd < 3; fd++)
        close(fd);
    while (read(pipe_end, &byte, 1) < 0 && errno == EINTR)
        ;
    remove_folder(folder);
    _exit(0);
}

int demo_janitor_start(const char *folder, pid_t *janitor, int *pipe_end)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return -errno;
    *janitor = fork();
    if (*janitor == 0) {
        close(ends[1]);
        janitor_run(folder, ends[0]);
    }
    int error = *janitor < 0 ? -errno : 0;
    close(ends[0]);
    if (error) {
        close(ends[1]);
        *janitor = 0;
        return error;
    }
    *pipe_end = ends[1];
    return 0;
}

void demo_janitor_end(pid_t *janitor, int *pipe_end)
{
    if (*janitor == 0)
        return;
    close(*pipe_end);
    while (waitpid(*janitor, NULL, 0) < 0 && errno == EINTR)
        ;
    *janitor = 0;
    *pipe_end = -1;
}
