/* SPDX-License-Identifier: BSD-3-Clause */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "blackbox.h"
#include "log.h"

static struct blackbox box;

static char *dumped(size_t *bytes)
{
    int fd = memfd_create("dump", 0);
    cr_assert(eq(int, blackbox_dump(&box, fd), 0));
    struct stat st;
    fstat(fd, &st);
    char *text = calloc(1, (size_t)st.st_size + 1);
    cr_assert(eq(int, (int)pread(fd, text, (size_t)st.st_size, 0), (int)st.st_size));
    close(fd);
    *bytes = (size_t)st.st_size;
    return text;
}

Test(blackbox, holds_lines_in_order)
{
    size_t bytes;
    blackbox_add(&box, "one", 3);
    blackbox_add(&box, "two", 3);
    char *text = dumped(&bytes);
    cr_assert(eq(str, text, "one\ntwo\n"));
    free(text);
}

Test(blackbox, B1_B2_keeps_the_newest_and_begins_with_a_whole_line)
{
    char line[64];
    size_t bytes;
    for (int i = 0; i < 40000; i++) {
        int n = snprintf(line, sizeof(line), "line %d", i);
        blackbox_add(&box, line, (size_t)n);
    }
    char *text = dumped(&bytes);
    cr_assert(eq(int, strncmp(text, "line ", 5), 0));
    cr_assert(lt(sz, BLACKBOX_BYTES - 64, bytes));
    cr_assert(eq(str, text + bytes - 11, "line 39999\n"));
    int next = atoi(text + 5);
    for (char *at = text; *at; at = strchr(at, '\n') + 1)
        cr_assert(eq(int, atoi(at + 5), next++));
    free(text);
}

Test(log, a_crash_leaves_the_last_lines_in_the_state_directory)
{
    struct config config = { .state_dir = "/tmp/synchrotron-log-XXXXXX", .node_id = 5 };
    char path[CONFIG_PATH_BYTES + 64], text[512] = "";
    cr_assert(ne(ptr, (void *)mkdtemp(config.state_dir), NULL));
    pid_t child = fork();
    if (child == 0) {
        log_open(&config, false);
        log_dump_on_crash();
        log_debug("the last words");
        abort();
    }
    int status;
    waitpid(child, &status, 0);
    cr_assert(eq(int, WIFSIGNALED(status) ? WTERMSIG(status) : 0, SIGABRT));
    snprintf(path, sizeof(path), "%s/blackbox-00000000-5.log", config.state_dir);
    FILE *file = fopen(path, "r");
    cr_assert(ne(ptr, (void *)file, NULL));
    cr_assert(fread(text, 1, sizeof(text) - 1, file) > 0);
    cr_assert(ne(ptr, (void *)strstr(text, "debug the last words"), NULL));
    cr_assert(ne(ptr, (void *)strstr(text, "crashed: signal 06"), NULL));
    fclose(file);
    unlink(path);
    rmdir(config.state_dir);
}
