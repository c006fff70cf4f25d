/* SPDX-License-Identifier: BSD-3-Clause */
#include "blackbox.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static void add(struct blackbox *box, const char *text, size_t bytes)
{
    while (bytes > 0) {
        size_t at = box->written % BLACKBOX_BYTES;
        size_t some = BLACKBOX_BYTES - at < bytes ? BLACKBOX_BYTES - at : bytes;
        memcpy(box->text + at, text, some);
        box->written += some;
        text += some;
        bytes -= some;
    }
}

void blackbox_add(struct blackbox *box, const char *line, size_t bytes)
{
    if (bytes >= BLACKBOX_BYTES)
        bytes = BLACKBOX_BYTES - 1;
    add(box, line, bytes);
    add(box, "\n", 1);
}

static int write_all(int fd, const char *text, size_t bytes)
{
    while (bytes > 0) {
        ssize_t n = write(fd, text, bytes);
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n > 0) {
            text += n;
            bytes -= (size_t)n;
        }
    }
    return 0;
}

/* When the ring has wrapped, the oldest line is cut: skip to the next. */
static size_t first_line(const struct blackbox *box)
{
    size_t from = box->written - BLACKBOX_BYTES;
    while (from < box->written && box->text[from % BLACKBOX_BYTES] != '\n')
        from++;
    return from + 1;
}

int blackbox_dump(const struct blackbox *box, int fd)
{
    size_t to = box->written;
    size_t from = to > BLACKBOX_BYTES ? first_line(box) : 0;
    int failed = 0;
    while (from < to && !failed) {
        size_t at = from % BLACKBOX_BYTES;
        size_t some = to - from < BLACKBOX_BYTES - at ? to - from : BLACKBOX_BYTES - at;
        failed = write_all(fd, box->text + at, some);
        from += some;
    }
    return failed;
}
