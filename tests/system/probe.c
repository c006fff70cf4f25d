/* SPDX-License-Identifier: BSD-3-Clause */
#include "probe.h"

#include <dirent.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { LIMIT_SECONDS = 60, NS_A_SECOND = 1000000000 };

/* Globals, because constructors and checks in callbacks take no context. */
static struct probe_case *cases; /* the last added first */
static _Atomic int failures;
static char **words;

void probe_add(struct probe_case *c)
{
    c->next = cases;
    cases = c;
}

void probe_note(const char *file, int line, const char *what)
{
    fprintf(stderr, "%s:%d: not so: %s\n", file, line, what);
    atomic_fetch_add(&failures, 1);
}

void probe_end(const char *file, int line, const char *what)
{
    probe_note(file, line, what);
    fflush(NULL);
    _exit(1);
}

void probe_compare(const char *file, int line, const char *call, cs_error_t got, cs_error_t wanted)
{
    if (got == wanted)
        return;
    fprintf(stderr, "%s:%d: %s: %d, not %d\n", file, line, call, (int)got, (int)wanted);
    atomic_fetch_add(&failures, 1);
}

const char *probe_word(int n)
{
    for (int i = 0; i < n; i++)
        if (!words[i])
            return NULL;
    return words[n];
}

void probe_say(const char *line)
{
    puts(line);
    fflush(stdout);
}

void probe_hear(void)
{
    char line[256];
    if (!fgets(line, sizeof(line), stdin))
        probe_end(__FILE__, __LINE__, "the test goes on speaking");
}

uint64_t probe_now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * NS_A_SECOND + (uint64_t)ts.tv_nsec;
}

static unsigned limit_seconds(void)
{
    const char *said = getenv("SYNCHROTRON_TEST_LIMIT");
    return said ? (unsigned)strtoul(said, NULL, 10) : LIMIT_SECONDS;
}

uint64_t probe_deadline_ns(void)
{
    return probe_now_ns() + limit_seconds() * (uint64_t)NS_A_SECOND / 2;
}

void probe_nap_us(unsigned us)
{
    nanosleep(&(struct timespec){ .tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000L }, NULL);
}

uint32_t probe_draw(uint64_t *seed, uint32_t below)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((*seed >> 33) % below);
}

int probe_descriptors(void)
{
    int count = 0;
    DIR *folder = opendir("/proc/self/fd");
    CHECK(folder);
    while (readdir(folder))
        count++;
    closedir(folder);
    return count;
}

void probe_exit(void)
{
    fflush(NULL);
    _exit(atomic_load(&failures) > 0);
}

int probe_fork(void (*run)(void *), void *argument)
{
    pid_t parent = getpid();
    fflush(NULL);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid > 0)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
    alarm(limit_seconds());
    run(argument);
    probe_exit();
}

void probe_join_child(int pid)
{
    int status = -1;
    CHECK(waitpid(pid, &status, 0) == pid);
    EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static int run_case(const char *name)
{
    for (struct probe_case *c = cases; c; c = c->next) {
        if (strcmp(c->name, name) != 0)
            continue;
        alarm(limit_seconds());
        c->run();
        return atomic_load(&failures) > 0;
    }
    fprintf(stderr, "no case %s\n", name);
    return 2;
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return 2;
    words = argv + 2;
    if (strcmp(argv[1], "--list") != 0)
        return run_case(argv[1]);
    for (struct probe_case *c = cases; c; c = c->next)
        puts(c->name);
    return 0;
}
