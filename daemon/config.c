/* SPDX-License-Identifier: BSD-3-Clause */
#include "config_parser.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CONFIG_FILE_BYTES_MAX = 1 << 20 };

__attribute__((format(printf, 5, 0))) static void note(struct config_report *report, bool warning,
                                                       int line, int column, const char *format,
                                                       va_list args)
{
    *(warning ? &report->warnings : &report->errors) += 1;
    if (report->count == CONFIG_MESSAGES_MAX)
        return;
    struct config_message *m = &report->message[report->count++];
    m->line = line;
    m->column = column;
    m->warning = warning;
    vsnprintf(m->text, sizeof(m->text), format, args);
}

void config_error(struct config_parser *p, int line, int column, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    note(p->report, false, line, column, format, args);
    va_end(args);
}

void config_warning(struct config_parser *p, int line, int column, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    note(p->report, true, line, column, format, args);
    va_end(args);
}

int config_said(const struct config_parser *p, enum config_section section, const char *name)
{
    int key = config_key_find(section, (struct config_span){ name, strlen(name), 0 });
    INVARIANT(key >= 0);
    return p->seen[key].line;
}

/* nodes and interfaces come several times: each has its own keys. */
static void forget_seen(struct config_parser *p, enum config_section section)
{
    for (int i = 0; i < config_key_count; i++)
        if (config_keys[i].section == section && config_keys[i].kind != KEY_IGNORED)
            p->seen[i].line = 0;
}

static void unknown_key(struct config_parser *p, enum config_section section,
                        const struct config_line *line)
{
    const struct config_key *nearest = config_key_nearest(section, line->name);
    const char *here = config_section_name(section);
    int shown = (int)min_u64(line->name.bytes, 60);
    if (section == SECTION_TOP || section == SECTION_NODELIST)
        config_error(p, line->line, line->name.column, "'%.*s' must stand in a section%s%s", shown,
                     line->name.at, nearest ? ", such as " : "",
                     nearest ? config_section_name(nearest->section) : "");
    else if (nearest->section != section)
        config_error(p, line->line, line->name.column,
                     "unknown key '%.*s' in section '%s'; it belongs into section '%s'", shown,
                     line->name.at, here, config_section_name(nearest->section));
    else
        config_error(p, line->line, line->name.column,
                     "unknown key '%.*s' in section '%s'; the nearest known key is '%s'", shown,
                     line->name.at, here, nearest->name);
}

/* Where one that belongs outside stands inside, a '}' is missing; it is read as if it were there.
 */
static enum config_section unknown_section(struct config_parser *p, enum config_section parent,
                                           const struct config_line *line)
{
    enum config_section outside = config_section_find(SECTION_TOP, line->name);
    const char *nearest = config_section_nearest(parent, line->name);
    int shown = (int)min_u64(line->name.bytes, 60);
    if (outside < SECTION_IGNORED) {
        config_error(
            p, line->line, line->name.column,
            "section '%.*s' stands inside the section of line %d: '}' is missing before it", shown,
            line->name.at, p->open[p->depth].line);
        return outside;
    }
    config_error(p, line->line, line->name.column, "unknown section '%.*s'%s%s%s", shown,
                 line->name.at, nearest ? "; the nearest known section is '" : "",
                 nearest ? nearest : "", nearest ? "'" : "");
    return SECTION_UNKNOWN;
}

static void pair(struct config_parser *p, enum config_section section,
                 const struct config_line *line)
{
    int index = config_key_find(section, line->name);
    if (index < 0) {
        unknown_key(p, section, line);
        return;
    }
    const struct config_key *key = &config_keys[index];
    int before = p->seen[index].line;
    p->line = line->line;
    p->column = line->value.column;
    p->seen[index].line = line->line;
    p->seen[index].column = line->value.column;
    if (key->kind == KEY_IGNORED && before == 0)
        config_warning(p, line->line, line->name.column, "%s.%s has no meaning here and is ignored",
                       config_section_name(section), key->name);
    else if (key->kind != KEY_IGNORED && before > 0 && key->kind != KEY_USER &&
             key->kind != KEY_GROUP)
        config_warning(p, line->line, line->name.column,
                       "%s was said in line %d already; this line counts", key->name, before);
    config_value(p, key, line->value);
}

static void enter(struct config_parser *p, enum config_section section)
{
    if (section == SECTION_NODE) {
        p->node = (struct config_node){ .line = p->line };
        forget_seen(p, section);
    } else if (section == SECTION_INTERFACE) {
        p->interface = (struct config_interface){ .line = p->line };
        forget_seen(p, section);
    }
}

static void leave(struct config_parser *p, enum config_section section)
{
    if (section == SECTION_INTERFACE && p->interface.number == 0)
        p->link = p->interface;
    else if (section == SECTION_INTERFACE)
        config_warning(p, p->interface.line, 1,
                       "only the first link is served; this interface is ignored");
    if (section != SECTION_NODE)
        return;
    p->nodes_seen++;
    if (p->node_count < NODE_COUNT_MAX)
        p->nodes[p->node_count++] = p->node;
}

static void open_section(struct config_parser *p, enum config_section parent,
                         const struct config_line *line)
{
    enum config_section section =
        parent >= SECTION_IGNORED ? parent : config_section_find(parent, line->name);
    int shown = (int)min_u64(line->name.bytes, 60);
    p->line = line->line;
    if (section == SECTION_IGNORED && parent != SECTION_IGNORED)
        config_warning(p, line->line, line->name.column,
                       "section '%.*s' has no meaning here and is ignored", shown, line->name.at);
    if (section == SECTION_UNKNOWN && parent != SECTION_UNKNOWN)
        section = unknown_section(p, parent, line);
    if (p->depth == CONFIG_DEPTH_MAX - 1) {
        config_error(p, line->line, line->name.column, "over %d sections one inside the other",
                     CONFIG_DEPTH_MAX - 1);
        p->depth = -1; /* what follows cannot be placed */
        return;
    }
    p->depth++;
    p->open[p->depth].section = section;
    p->open[p->depth].line = line->line;
    enter(p, section);
}

static void one_line(struct config_parser *p, const struct config_line *line)
{
    enum config_section section = p->open[p->depth].section;
    if (line->kind == CONFIG_LINE_BAD) {
        config_error(p, line->line, line->name.column, "%s", line->why);
    } else if (line->kind == CONFIG_LINE_OPEN) {
        open_section(p, section, line);
    } else if (line->kind == CONFIG_LINE_PAIR) {
        if (section < SECTION_IGNORED)
            pair(p, section, line);
    } else if (p->depth == 0) {
        config_error(p, line->line, line->name.column, "'}' closes no section");
    } else {
        leave(p, section);
        p->depth--;
    }
}

static void read_lines(struct config_parser *p, const char *text, size_t bytes)
{
    struct config_lexer lexer;
    struct config_line line;
    config_lex_start(&lexer, text, bytes);
    while (p->depth >= 0 && config_lex(&lexer, &line))
        one_line(p, &line);
    if (p->depth > 0)
        config_error(p, lexer.line, 1, "the section of line %d is not closed: '}' is missing",
                     p->open[p->depth].line);
}

static void set_defaults(struct config_parser *p)
{
    p->totem_transport = p->transport = -1;
    p->said = (struct config){
        .cluster_name = "synchrotron",
        .detect_ms = 1000,
        .netmtu = 1500,
        .port = 5405,
        .multicast_ttl = 1,
        .poll_cpu = -1,
        .poll_yield_us = 500,
        .rx_bytes = 48 << 20,
        .tx_total_bytes = 40 << 20,
        .hugepages = true,
        .dpdk.memory_bytes = 64 << 20,
        .message_bytes_max = 32 << 20,
        .clients_max = 384,
        .slow_client_ms = 5000,
        .client_events_max = 65536,
        .log_to_stderr = true,
        .log_to_syslog = true,
    };
}

int config_parse_on(struct config *config, const char *text, size_t bytes,
                    struct config_report *report, const struct config_host *host)
{
    struct config_parser p = { .config = config, .report = report, .host = host };
    report->count = report->errors = report->warnings = 0;
    set_defaults(&p);
    read_lines(&p, text, bytes);
    config_check(&p);
    return report->errors > 0 ? -EINVAL : 0;
}

int config_parse(struct config *config, const char *text, size_t bytes,
                 struct config_report *report)
{
    struct config_host host;
    config_host_here(&host);
    return config_parse_on(config, text, bytes, report, &host);
}

static int read_file(const char *path, char **text, size_t *bytes)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int failed = fd < 0 || fstat(fd, &st) != 0 ? -errno : 0;
    ssize_t got = 0;
    if (!failed && !S_ISREG(st.st_mode))
        failed = S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
    if (!failed && st.st_size > CONFIG_FILE_BYTES_MAX)
        failed = -EFBIG;
    *text = failed ? NULL : malloc((size_t)st.st_size + 1);
    *bytes = 0;
    if (!failed && !*text)
        failed = -ENOMEM;
    while (!failed && *bytes < (size_t)st.st_size &&
           (got = read(fd, *text + *bytes, (size_t)st.st_size - *bytes)) > 0)
        *bytes += (size_t)got;
    if (got < 0)
        failed = -errno;
    if (fd >= 0)
        close(fd);
    return failed;
}

int config_load(struct config *config, const char *path, struct config_report *report)
{
    char *text = NULL;
    size_t bytes;
    int failed = read_file(path, &text, &bytes);
    if (failed) {
        memset(report, 0, sizeof(*report));
        report->errors = report->count = 1;
        snprintf(report->message[0].text, sizeof(report->message[0].text),
                 "cannot be read: %s; -c FILE names another", strerror(-failed));
    } else {
        failed = config_parse(config, text, bytes, report);
    }
    free(text);
    return failed;
}
