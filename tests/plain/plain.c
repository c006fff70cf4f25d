/* SPDX-License-Identifier: BSD-3-Clause */
#include <criterion/criterion.h>

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { EXIT_FAILED = 1, EXIT_SKIPPED = 77, REASON_BYTES = 256 };

/* Globals, because constructors and assertions take no context. */
static struct plain_test *tests; /* newest first */
static char *reason;             /* why a child was skipped: shared with it */

void plain_add(struct plain_test *test)
{
    test->next = tests;
    tests = test;
}

void plain_fail(const char *file, int line, const char *what, const char *format, ...)
{
    va_list args;
    fprintf(stderr, "%s:%d: %s\n", file, line, what);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    _exit(EXIT_FAILED);
}

void plain_skip(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(reason, REASON_BYTES, format, args);
    va_end(args);
    _exit(EXIT_SKIPPED);
}

static struct plain_options suite_options(const char *suite)
{
    for (const struct plain_test *test = tests; test; test = test->next)
        if (!test->name && strcmp(test->suite, suite) == 0)
            return test->options;
    return (struct plain_options){ 0 };
}

static void run_here(const struct plain_test *test, const struct plain_options *suite)
{
    void (*init)(void) = test->options.init ? test->options.init : suite->init;
    void (*fini)(void) = test->options.fini ? test->options.fini : suite->fini;
    double seconds = test->options.timeout > 0 ? test->options.timeout : suite->timeout;
    if (test->options.signal)
        setrlimit(RLIMIT_CORE, &(struct rlimit){ 0 });
    alarm((unsigned)(4 * seconds)); /* sanitized builds are slow, not stuck */
    if (init)
        init();
    test->run();
    if (fini)
        fini();
    exit(0);
}

static int run_child(const struct plain_test *test, const struct plain_options *suite)
{
    int status = 0;
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0)
        run_here(test, suite);
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return pid > 0 ? status : -1;
}

static bool ended_as_expected(const struct plain_test *test, int status)
{
    if (test->options.signal)
        return WIFSIGNALED(status) && WTERMSIG(status) == test->options.signal;
    return WIFEXITED(status) && WEXITSTATUS(status) == test->options.exit_code;
}

/* The line of one test; true unless it failed. */
static bool report_test(FILE *out, const struct plain_test *test, int number)
{
    struct plain_options suite = suite_options(test->suite);
    bool disabled = test->options.disabled || suite.disabled;
    strcpy(reason, " disabled");
    int status = disabled ? 0 : run_child(test, &suite);
    bool skipped = disabled || (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SKIPPED);
    bool good = skipped || ended_as_expected(test, status);
    fprintf(out, "%s %d - %s::%s%s%s\n", good ? "ok" : "not ok", number, test->suite, test->name,
            skipped ? " # SKIP" : "", skipped ? reason : "");
    if (!good)
        fprintf(stderr, "failed: %s::%s, status %#x\n", test->suite, test->name, (unsigned)status);
    return good;
}

static FILE *report_open(void)
{
    const char *where = getenv("CRITERION_OUTPUTS");
    return where && strncmp(where, "tap:", 4) == 0 ? fopen(where + 4, "we") : NULL;
}

int main(void)
{
    FILE *report = report_open(), *out = report ? report : stdout;
    int failed = 0, count = 0;
    reason = mmap(NULL, REASON_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (reason == MAP_FAILED)
        return EXIT_FAILED;
    for (const struct plain_test *test = tests; test; test = test->next)
        if (test->name)
            failed += !report_test(out, test, ++count);
    fprintf(out, "1..%d\n", count);
    if (report)
        fclose(report);
    return failed > 0;
}
