/* SPDX-License-Identifier: BSD-3-Clause */
#include "demo_log.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int demo_log_open(struct demo_log *log, const char *path)
{
    *log = (struct demo_log){ .file = fopen(path, "wxe") };
    return log->file ? 0 : -errno;
}

static void write_run(struct demo_log *log)
{
    if (log->run.count > 0)
        fwrite(&log->run, sizeof(log->run), 1, log->file);
    log->run.count = 0;
}

void demo_log_message(struct demo_log *log, uint32_t node, uint32_t life, uint64_t number)
{
    struct demo_entry *run = &log->run;
    bool follows = run->count > 0 && run->count < UINT32_MAX && run->node == node &&
                   run->life == life && run->number + run->count == number;
    if (!follows) {
        write_run(log);
        *run = (struct demo_entry){
            .kind = DEMO_LOG_RUN, .node = node, .life = life, .number = number
        };
    }
    run->count++;
}

void demo_log_entry(struct demo_log *log, struct demo_entry entry)
{
    write_run(log);
    fwrite(&entry, sizeof(entry), 1, log->file);
}

int demo_log_close(struct demo_log *log)
{
    write_run(log);
    bool failed = ferror(log->file) != 0;
    if (fclose(log->file) != 0 || failed)
        return errno ? -errno : -EIO;
    return 0;
}

int demo_history_map(struct demo_history *history, const char *path)
{
    *history = (struct demo_history){ 0 };
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int error = -EPROTO;
    struct stat st;
    if (fstat(fd, &st) != 0 || st.st_size == 0 ||
        (size_t)st.st_size % sizeof(struct demo_entry) != 0)
        goto close_fd;
    void *base = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    error = base == MAP_FAILED ? -errno : 0;
    if (error == 0)
        *history = (struct demo_history){ base, (size_t)st.st_size / sizeof(struct demo_entry) };
close_fd:
    close(fd);
    return error;
}

void demo_history_unmap(struct demo_history *history)
{
    if (history->entry)
        munmap((void *)(uintptr_t)history->entry, history->count * sizeof(struct demo_entry));
    *history = (struct demo_history){ 0 };
}
