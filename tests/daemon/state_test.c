/* SPDX-License-Identifier: BSD-3-Clause */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "state.h"

static struct config config;
static char why[256];

static void setup(void)
{
    strcpy(config.state_dir, "/tmp/synchrotron-state-XXXXXX");
    cr_assert(ne(ptr, (void *)mkdtemp(config.state_dir), NULL));
    config.node_id = 3;
    config.cluster_tag = 0xabcd;
}

static void path_of(const struct state *s, char *path, size_t bytes)
{
    snprintf(path, bytes, "%s/%s", s->directory, s->name);
}

static void teardown(void)
{
    char path[CONFIG_PATH_BYTES + 64];
    snprintf(path, sizeof(path), "rm -rf %s", config.state_dir);
    cr_assert(eq(int, system(path), 0));
}

TestSuite(state, .init = setup, .fini = teardown);

Test(state, S1_what_was_reserved_is_read_again)
{
    struct state a, b;
    cr_assert(eq(int, state_open(&a, &config, why, sizeof(why)), 0), "%s", why);
    cr_assert(eq(u64, a.ring_seq, 0));
    cr_assert(eq(int, state_reserve(&a, 4096), 0));
    state_close(&a);
    cr_assert(eq(int, state_open(&b, &config, why, sizeof(why)), 0));
    cr_assert(eq(u64, b.ring_seq, 4096));
}

Test(state, S2_numbers_never_go_back)
{
    struct state a, b;
    state_open(&a, &config, why, sizeof(why));
    cr_assert(eq(int, state_reserve(&a, 500), 0));
    cr_assert(eq(int, state_reserve(&a, 7), 0));
    cr_assert(eq(u64, a.ring_seq, 500));
    state_close(&a);
    state_open(&b, &config, why, sizeof(why));
    cr_assert(eq(u64, b.ring_seq, 500));
    cr_assert(eq(u64, b.starts, 2));
}

Test(state, every_start_is_another_incarnation)
{
    struct state a, b;
    state_open(&a, &config, why, sizeof(why));
    state_close(&a);
    state_open(&b, &config, why, sizeof(why));
    cr_assert(lt(u64, a.incarnation, b.incarnation));
}

Test(state, nodes_and_clusters_share_a_directory)
{
    struct state a, b;
    state_open(&a, &config, why, sizeof(why));
    state_reserve(&a, 99);
    config.node_id = 4;
    state_open(&b, &config, why, sizeof(why));
    cr_assert(eq(u64, b.ring_seq, 0));
}

Test(state, a_damaged_file_is_refused)
{
    struct state a, b;
    char path[CONFIG_PATH_BYTES + 64];
    state_open(&a, &config, why, sizeof(why));
    path_of(&a, path, sizeof(path));
    state_close(&a);
    int fd = open(path, O_WRONLY);
    cr_assert(eq(int, (int)pwrite(fd, "9", 1, 30), 1)); /* in the number of ring_seq */
    close(fd);
    cr_assert(eq(int, state_open(&b, &config, why, sizeof(why)), -EINVAL));
    cr_assert(ne(ptr, (void *)strstr(why, "damaged"), NULL));
    cr_assert(eq(int, truncate(path, 0), 0));
    cr_assert(eq(int, state_open(&b, &config, why, sizeof(why)), -EINVAL));
}

static uint64_t on_disk(const struct state *s)
{
    char path[CONFIG_PATH_BYTES + 64], text[256];
    struct state read_back = { 0 };
    path_of(s, path, sizeof(path));
    int fd = open(path, O_RDONLY);
    ssize_t bytes = read(fd, text, sizeof(text));
    close(fd);
    cr_assert(state_parse(&read_back, text, (size_t)bytes));
    return read_back.ring_seq;
}

/* A file size limit of some bytes stands for a disk that fills up. */
static void disk_full(bool full)
{
    struct rlimit limit = { .rlim_cur = full ? 20 : RLIM_INFINITY, .rlim_max = RLIM_INFINITY };
    signal(SIGXFSZ, SIG_IGN);
    cr_assert(eq(int, setrlimit(RLIMIT_FSIZE, &limit), 0));
}

Test(state, a_write_that_fails_is_told_and_leaves_the_old_file)
{
    struct state a, b;
    state_open(&a, &config, why, sizeof(why));
    cr_assert(eq(int, state_reserve(&a, 100), 0));
    disk_full(true);
    cr_assert(eq(int, state_reserve(&a, 200), -EFBIG));
    cr_assert(eq(int, a.failing, EFBIG));
    disk_full(false);
    cr_assert(eq(u64, on_disk(&a), 100));
    cr_assert(eq(int, state_reserve(&a, 200), 0), "asked again, it is written");
    cr_assert(eq(int, a.failing, 0));
    cr_assert(eq(u64, on_disk(&a), 200));
    state_close(&a);
    state_open(&b, &config, why, sizeof(why));
    cr_assert(eq(u64, b.ring_seq, 200));
}

Test(state, two_daemons_never_share_it)
{
    struct state a, b;
    state_open(&a, &config, why, sizeof(why));
    cr_assert(eq(int, state_open(&b, &config, why, sizeof(why)), -EADDRINUSE));
    cr_assert(ne(ptr, strstr(why, "already running"), NULL));
    state_close(&a);
    cr_assert(eq(int, state_open(&b, &config, why, sizeof(why)), 0));
}

Test(state, nothing_is_left_beside_the_file)
{
    struct state a;
    char path[CONFIG_PATH_BYTES + 64];
    state_open(&a, &config, why, sizeof(why));
    disk_full(true);
    state_reserve(&a, 200);
    disk_full(false);
    snprintf(path, sizeof(path), "%s/%s", a.directory, a.name_new);
    cr_assert(ne(int, access(path, F_OK), 0));
}

Test(state, a_directory_that_others_may_write_is_refused)
{
    struct state a;
    chmod(config.state_dir, 0777);
    cr_assert(eq(int, state_open(&a, &config, why, sizeof(why)), -EPERM));
    cr_assert(ne(ptr, (void *)strstr(why, "state_dir"), NULL));
}

Test(state, a_directory_is_made_with_those_above_it_whatever_the_umask)
{
    struct state a;
    struct stat st;
    char base[CONFIG_PATH_BYTES], above[CONFIG_PATH_BYTES];
    strcpy(base, config.state_dir);
    snprintf(above, sizeof(above), "%.200s/deep", base);
    snprintf(config.state_dir, sizeof(config.state_dir), "%.200s/er", above);
    mode_t mask = umask(077);
    cr_assert(eq(int, state_open(&a, &config, why, sizeof(why)), 0), "%s", why);
    umask(mask);
    cr_assert(eq(int, stat(config.state_dir, &st), 0));
    cr_assert(eq(int, (int)(st.st_mode & 0777), 0755));
    cr_assert(eq(int, stat(above, &st), 0));
    cr_assert(eq(int, (int)(st.st_mode & 0777), 0755));
    strcpy(config.state_dir, base);
}

Test(state, what_is_written_is_what_is_read)
{
    struct state a = { .ring_seq = UINT64_MAX, .starts = 12 }, b = { 0 };
    char text[256];
    int bytes = state_format(&a, text, sizeof(text));
    cr_assert(state_parse(&b, text, (size_t)bytes));
    cr_assert(eq(u64, b.ring_seq, UINT64_MAX));
    for (int i = 0; i < bytes; i++)
        cr_assert(not(state_parse(&b, text, (size_t)i)), "a torn file of %d bytes", i);
}

/* Take every descriptor there is; returns how many. */
static int take_all(int *fd, int room)
{
    int count = 0;
    while (count < room && (fd[count] = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0)
        count++;
    return count;
}

Test(state, S3_it_is_written_when_clients_have_left_no_descriptor)
{
    struct state a;
    int fd[64];
    struct rlimit limit;
    cr_assert(eq(int, state_open(&a, &config, why, sizeof(why)), 0), "%s", why);
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = 40;
    setrlimit(RLIMIT_NOFILE, &limit);
    int count = take_all(fd, 64);
    cr_assert(lt(int, count, 64));
    for (uint64_t seq = 1000; seq < 1010; seq++)
        cr_expect(eq(int, state_reserve(&a, seq), 0));
    int before = count;
    while (count > 0)
        close(fd[--count]);
    state_close(&a);
    cr_assert(eq(int, take_all(fd, 64), before + 3)); /* the lock, and what was kept back */
    while (before + 3 > count)
        close(fd[count++]);
}

Test(state, a_directory_that_cannot_be_written_is_told_with_the_remedy)
{
    struct config elsewhere = config;
    struct state state;
    strcpy(elsewhere.state_dir, "/proc"); /* not even by root */
    cr_assert(lt(int, state_open(&state, &elsewhere, why, sizeof(why)), 0));
    cr_expect(ne(ptr, strstr(why, "/proc cannot be written"), NULL), "%s", why);
    cr_expect(ne(ptr, strstr(why, "system { state_dir: ... }"), NULL), "%s", why);
}
