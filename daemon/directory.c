/* SPDX-License-Identifier: BSD-3-Clause */
#include "directory.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config.h"

/* Clients of other users pass through: it is not for the umask of who starts us to decide. */
static int make_part(const char *path)
{
    if (mkdir(path, 0755) != 0)
        return errno == EEXIST ? 0 : -errno;
    return chmod(path, 0755) == 0 ? 0 : -errno;
}

/* The parts above may be anyone's and unwritable to us: only the last one must succeed. */
static int make_parts(const char *path)
{
    char part[CONFIG_PATH_BYTES];
    int failed = 0;
    if (strlen(path) >= sizeof(part))
        return -ENAMETOOLONG;
    for (size_t i = 1; path[i - 1]; i++) {
        if (path[i] != '/' && path[i] != 0)
            continue;
        memcpy(part, path, i);
        part[i] = 0;
        failed = make_part(part);
    }
    return failed;
}

int directory_make(const char *key, const char *path, char *why, size_t why_bytes)
{
    struct stat st;
    int failed = make_parts(path);
    if (!failed && stat(path, &st) != 0)
        failed = -errno;
    if (!failed && !S_ISDIR(st.st_mode))
        failed = -ENOTDIR;
    if (failed) {
        snprintf(why, why_bytes,
                 "directory %s cannot be made: %s; make it, or name another: system { %s: ... }",
                 path, strerror(-failed), key);
        return failed;
    }
    if ((st.st_uid == geteuid() || st.st_uid == 0) && !(st.st_mode & S_IWOTH))
        return 0;
    snprintf(why, why_bytes,
             "directory %s belongs to user %u with mode %03o: others could take our place; name "
             "another: system { %s: ... }",
             path, st.st_uid, st.st_mode & 0777, key);
    return -EPERM;
}
