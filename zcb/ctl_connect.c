/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

/* False: the name does not fit, so nobody listens there. */
static bool socket_address(struct sockaddr_un *address, const char *directory)
{
    *address = (struct sockaddr_un){ .sun_family = AF_UNIX };
    int length =
        snprintf(address->sun_path, sizeof(address->sun_path), "%s/%s", directory, CTL_SOCKET_NAME);
    return length > 0 && (size_t)length < sizeof(address->sun_path);
}

static void set_patience(int fd, int patience_s)
{
    struct timeval patience = { .tv_sec = patience_s };
    if (patience_s == 0)
        return;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)); /* of connect(), too */
}

int ctl_connect(const char *directory, int patience_s)
{
    struct sockaddr_un address;
    if (!socket_address(&address, directory))
        return -ENOENT;
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    set_patience(fd, patience_s);
    int failed;
    do
        failed = connect(fd, (const struct sockaddr *)&address, sizeof(address)) ? errno : 0;
    while (failed == EINTR);
    if (!failed)
        return fd;
    close(fd);
    return failed == ECONNREFUSED || failed == ENOTDIR ? -ENOENT : -failed;
}

/* Where anyone may make a directory, only that of our own user, or root's, is believed. */
static int connect_shared(const char *directory, int patience_s)
{
    struct stat st;
    if (lstat(directory, &st) != 0 || !S_ISDIR(st.st_mode))
        return -ENOENT;
    if (st.st_uid != geteuid() && st.st_uid != 0)
        return -EACCES;
    return ctl_connect(directory, patience_s);
}

int ctl_find(char directory[CTL_DIRECTORY_BYTES], int patience_s)
{
    const char *chosen = secure_getenv(CTL_RUNTIME_DIR_ENV);
    if (chosen && *chosen) {
        snprintf(directory, CTL_DIRECTORY_BYTES, "%s", chosen);
        return ctl_connect(chosen, patience_s);
    }
    snprintf(directory, CTL_DIRECTORY_BYTES, "%s", CTL_RUNTIME_DIR_DEFAULT);
    int fd = ctl_connect(directory, patience_s);
    if (fd != -ENOENT)
        return fd;
    const char *user = secure_getenv("XDG_RUNTIME_DIR");
    if (user && *user &&
        snprintf(directory, CTL_DIRECTORY_BYTES, "%s/synchrotron", user) < CTL_DIRECTORY_BYTES) {
        fd = ctl_connect(directory, patience_s);
        if (fd != -ENOENT)
            return fd;
    }
    snprintf(directory, CTL_DIRECTORY_BYTES, "/tmp/synchrotron-%u", (unsigned)geteuid());
    fd = connect_shared(directory, patience_s);
    if (fd == -ENOENT)
        directory[0] = 0;
    return fd;
}
