/* SPDX-License-Identifier: BSD-3-Clause */
#include "demo_log.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* A path in the temporary folder that is not there. */
static void new_path(char path[256])
{
    const char *folder = getenv("TMPDIR");
    snprintf(path, 256, "%s/log-XXXXXX", folder ? folder : "/tmp");
    int fd = mkstemp(path);
    cr_assert(ge(int, fd, 0));
    close(fd);
    unlink(path);
}

Test(log, numbers_that_follow_each_other_are_one_entry)
{
    char path[256];
    struct demo_log log;
    struct demo_history history;
    new_path(path);
    cr_assert(eq(int, demo_log_open(&log, path), 0));
    demo_log_entry(&log, (struct demo_entry){ .kind = DEMO_LOG_LIFE });
    for (uint64_t i = 0; i < 100; i++)
        demo_log_message(&log, 1, 0, i);
    demo_log_message(&log, 2, 0, 100);
    demo_log_message(&log, 2, 1, 101);
    demo_log_message(&log, 2, 1, 103);
    cr_assert(eq(int, demo_log_close(&log), 0));

    static const struct demo_entry expected[] = {
        { .kind = DEMO_LOG_LIFE },
        { .kind = DEMO_LOG_RUN, .node = 1, .number = 0, .count = 100 },
        { .kind = DEMO_LOG_RUN, .node = 2, .number = 100, .count = 1 },
        { .kind = DEMO_LOG_RUN, .node = 2, .life = 1, .number = 101, .count = 1 },
        { .kind = DEMO_LOG_RUN, .node = 2, .life = 1, .number = 103, .count = 1 },
    };
    cr_assert(eq(int, demo_history_map(&history, path), 0));
    unlink(path);
    cr_assert(eq(sz, history.count, ARRAY_COUNT(expected)));
    cr_assert(eq(int, memcmp(history.entry, expected, sizeof(expected)), 0));
    demo_history_unmap(&history);
}

Test(log, an_entry_ends_the_run_before_it)
{
    char path[256];
    struct demo_log log;
    struct demo_history history;
    new_path(path);
    cr_assert(eq(int, demo_log_open(&log, path), 0));
    demo_log_message(&log, 1, 0, 0);
    demo_log_entry(&log, (struct demo_entry){ .kind = DEMO_LOG_VIEW, .number = 6 });
    demo_log_message(&log, 1, 0, 1);
    cr_assert(eq(int, demo_log_close(&log), 0));
    cr_assert(eq(int, demo_history_map(&history, path), 0));
    unlink(path);
    cr_assert(eq(sz, history.count, 3));
    cr_assert(eq(u32, history.entry[0].kind, DEMO_LOG_RUN));
    cr_assert(eq(u32, history.entry[1].kind, DEMO_LOG_VIEW));
    cr_assert(eq(u32, history.entry[2].kind, DEMO_LOG_RUN));
    demo_history_unmap(&history);
}

Test(log, a_torn_file_is_refused)
{
    char path[256];
    struct demo_history history;
    new_path(path);
    FILE *file = fopen(path, "w");
    cr_assert(ne(ptr, file, NULL));
    fwrite("half an entry", 13, 1, file);
    fclose(file);
    cr_assert(eq(int, demo_history_map(&history, path), -EPROTO));
    unlink(path);
    cr_assert(eq(int, demo_history_map(&history, path), -ENOENT));
}
