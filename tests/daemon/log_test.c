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
#include "log_limit.h"

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

static int take(struct log_limit *limit, int line, int tries, uint64_t now_ns, uint32_t *left_out)
{
    int taken = 0;
    for (int i = 0; i < tries; i++) {
        struct log_limit_place who = { .file = "f", .line = line };
        taken += log_limit_take(limit, &who, now_ns, left_out);
    }
    return taken;
}

Test(log_limit, G1_G2_a_place_logs_a_burst_and_then_now_and_then_and_says_what_it_left_out)
{
    struct log_limit limit = { 0 };
    uint32_t left_out;
    uint64_t now_ns = NS_PER_S;
    cr_expect(eq(int, take(&limit, 1, 1000, now_ns, &left_out), LOG_LIMIT_BURST));
    cr_expect(eq(int, take(&limit, 1, 1, now_ns + LOG_LIMIT_INTERVAL_NS, &left_out), 1));
    cr_expect(eq(u32, left_out, 1000 - LOG_LIMIT_BURST));
    cr_expect(eq(int, take(&limit, 1, 9, now_ns + LOG_LIMIT_INTERVAL_NS, &left_out), 0));
    now_ns += 2 * LOG_LIMIT_BURST * LOG_LIMIT_INTERVAL_NS;
    cr_expect(eq(int, take(&limit, 1, 1000, now_ns, &left_out), LOG_LIMIT_BURST));
}

Test(log_limit, G3_one_place_takes_nothing_from_another)
{
    struct log_limit limit = { 0 };
    uint32_t left_out;
    for (int line = 1; line <= LOG_LIMIT_PLACES; line++)
        cr_assert(eq(int, take(&limit, line, 300, NS_PER_S, &left_out), LOG_LIMIT_BURST));
    cr_expect(eq(int, take(&limit, 1, 1, NS_PER_S, &left_out), 0));
}

Test(log, G1_what_others_make_us_say_does_not_fill_the_disk)
{
    struct config config = { .state_dir = "/tmp/synchrotron-log-XXXXXX" };
    char line[256];
    int lines = 0, status;
    cr_assert(ne(ptr, (void *)mkdtemp(config.state_dir), NULL));
    snprintf(config.log_file, sizeof(config.log_file), "%.200s/log", config.state_dir);
    pid_t child = fork();
    if (child == 0) {
        log_open(&config, false);
        for (int i = 0; i < 100000; i++)
            log_warning("nonsense came");
        log_warning("something else");
        log_close();
        _exit(0);
    }
    waitpid(child, &status, 0);
    cr_assert(eq(int, status, 0));
    FILE *file = fopen(config.log_file, "r");
    cr_assert(ne(ptr, (void *)file, NULL));
    while (fgets(line, sizeof(line), file))
        lines++;
    cr_expect(ne(ptr, (void *)strstr(line, "something else"), NULL));
    cr_expect(lt(int, lines, 1000));
    fclose(file);
    unlink(config.log_file);
    rmdir(config.state_dir);
}
