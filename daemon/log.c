/* SPDX-License-Identifier: BSD-3-Clause */
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <qb/qblog.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "blackbox.h"
#include "log_limit.h"

enum { LOG_LINE_BYTES = 512 };

static struct {
    bool open;
    struct log_limit limit;
    char dump_path[CONFIG_PATH_BYTES + 64];
    struct blackbox box;
} the_log;

static void remember(const char *priority, const char *text)
{
    char line[LOG_LINE_BYTES + 64];
    struct timespec now;
    struct tm tm;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &tm);
    int bytes = snprintf(line, sizeof(line), "%04d-%02d-%02dT%02d:%02d:%02d.%06ldZ %s %s",
                         tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min,
                         tm.tm_sec, now.tv_nsec / 1000, priority, text);
    blackbox_add(&the_log.box, line, min_u64((uint64_t)bytes, sizeof(line) - 1));
}

static void put(int priority, const char *file, int line, const char *text)
{
    static const char *const names[] = { "emerg",   "alert",  "crit", "error",
                                         "warning", "notice", "info", "debug" };
    remember(names[priority & 7], text);
    if (the_log.open)
        qb_log_from_external_source(__func__, file, "%s", (uint8_t)priority, (uint32_t)line, 0,
                                    text);
    else if (priority < LOG_DEBUG)
        fprintf(stderr, "%s: %s\n", names[priority & 7], text);
}

/* Debug lines are for who asked for all of them, and for the black box, which has its own bound. */
static bool permitted(int priority, const char *file, int line)
{
    struct log_limit_place who = { .file = file, .line = line, .priority = priority };
    char text[LOG_LINE_BYTES];
    struct timespec now;
    uint32_t left_out;
    if (priority >= LOG_DEBUG)
        return true;
    clock_gettime(CLOCK_MONOTONIC, &now);
    uint64_t now_ns = (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
    if (!log_limit_take(&the_log.limit, &who, now_ns, &left_out))
        return false;
    if (left_out > 0) {
        snprintf(text, sizeof(text), "%u lines like the next one were left out", left_out);
        put(priority, file, line, text);
    }
    return true;
}

void log_line(int priority, const char *file, int line, const char *format, ...)
{
    char text[LOG_LINE_BYTES];
    va_list args;
    if (!permitted(priority, file, line))
        return;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    put(priority, file, line, text);
}

static void target(int32_t which, int level, const char *format)
{
    qb_log_filter_ctl(which, QB_LOG_FILTER_ADD, QB_LOG_FILTER_FILE, "*", (uint8_t)level);
    qb_log_format_set(which, format);
    qb_log_ctl(which, QB_LOG_CONF_ENABLED, QB_TRUE);
}

int log_open(const struct config *config, bool to_stderr)
{
    int level = config->debug ? LOG_DEBUG : LOG_INFO;
    int failed = 0;
    snprintf(the_log.dump_path, sizeof(the_log.dump_path), "%s/blackbox-%08x-%u.log",
             config->state_dir, config->cluster_tag, config->node_id);
    qb_log_init("synchrotrond", LOG_DAEMON, LOG_INFO);
    qb_log_ctl(QB_LOG_SYSLOG, QB_LOG_CONF_ENABLED, QB_FALSE);
    if (config->log_to_syslog)
        target(QB_LOG_SYSLOG, level, "%p: %b");
    if (to_stderr)
        target(QB_LOG_STDERR, level, "%T %p %b");
    if (config->log_file[0]) {
        int32_t file = qb_log_file_open(config->log_file);
        if (file < 0)
            failed = file;
        else
            target(file, level, "%T [%P] %p %b");
    }
    the_log.open = true;
    return failed;
}

void log_close(void)
{
    if (the_log.open)
        qb_log_fini();
    the_log.open = false;
}

void log_stderr_off(void)
{
    qb_log_ctl(QB_LOG_STDERR, QB_LOG_CONF_ENABLED, QB_FALSE);
}

static int dump(void)
{
    int fd = open(the_log.dump_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    int failed = fd < 0 ? -errno : blackbox_dump(&the_log.box, fd);
    if (fd >= 0)
        close(fd);
    return failed;
}

int log_dump(void)
{
    int failed = dump();
    if (failed)
        log_error("black box: %s: %s", the_log.dump_path, strerror(-failed));
    else
        log_notice("black box: written to %s", the_log.dump_path);
    return failed;
}

/* SA_RESETHAND: the second time the signal kills. */
static void crashed(int signal_number)
{
    char line[] = "crashed: signal 00";
    line[sizeof(line) - 3] = (char)('0' + signal_number / 10 % 10);
    line[sizeof(line) - 2] = (char)('0' + signal_number % 10);
    blackbox_add(&the_log.box, line, sizeof(line) - 1);
    (void)dump();
    raise(signal_number);
}

void log_dump_on_crash(void)
{
    static const int signals[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT };
    struct sigaction action = { .sa_handler = crashed, .sa_flags = (int)SA_RESETHAND };
    for (size_t i = 0; i < ARRAY_COUNT(signals); i++)
        sigaction(signals[i], &action, NULL);
}
