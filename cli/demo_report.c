/* SPDX-License-Identifier: BSD-3-Clause */
#include "demo_report.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include <jansson.h>

enum { NODES_TEXT_BYTES = 128, NUMBER_BYTES = 32 };

/* 1234567 -> "1,234,567" */
static void number_text(char text[NUMBER_BYTES], uint64_t value)
{
    char digits[NUMBER_BYTES];
    int count = snprintf(digits, sizeof(digits), "%" PRIu64, value), at = 0;
    for (int i = 0; i < count; i++) {
        if (i > 0 && (count - i) % 3 == 0)
            text[at++] = ',';
        text[at++] = digits[i];
    }
    text[at] = 0;
}

/* Three digits that matter, in the unit that fits. */
static void time_text(char text[NUMBER_BYTES], uint64_t ns)
{
    double us = (double)ns / 1e3;
    if (us < 9.995)
        snprintf(text, NUMBER_BYTES, "%.2f us", us);
    else if (us < 999.5)
        snprintf(text, NUMBER_BYTES, "%.0f us", us);
    else if (us < 9995)
        snprintf(text, NUMBER_BYTES, "%.2f ms", us / 1e3);
    else if (us < 99950)
        snprintf(text, NUMBER_BYTES, "%.1f ms", us / 1e3);
    else
        snprintf(text, NUMBER_BYTES, "%.0f ms", us / 1e3);
}

static uint64_t per_second(uint64_t count, uint64_t ns)
{
    return ns ? (uint64_t)((double)count * 1e9 / (double)ns) : 0;
}

void demo_report_nodes(char *text, uint64_t nodes)
{
    size_t at = 0;
    text[0] = 0;
    for (uint64_t rest = nodes; rest; rest &= rest - 1) {
        const char *before = rest == nodes ? "" : (rest & (rest - 1)) ? ", " : " and ";
        at += (size_t)snprintf(text + at, NODES_TEXT_BYTES - at, "%s%d", before,
                               __builtin_ctzll(rest));
    }
}

static double since_start_s(const struct demo_report *report)
{
    return report->start_ns ? (double)(demo_now_ns() - report->start_ns) / 1e9 : 0;
}

void demo_report_event(struct demo_report *report, const char *format, ...)
{
    if (!report->out)
        return;
    if (report->start_ns)
        fprintf(report->out, "%5.1f s  ", since_start_s(report));
    else
        fprintf(report->out, "  ");
    va_list args;
    va_start(args, format);
    vfprintf(report->out, format, args);
    va_end(args);
    fputc('\n', report->out);
    fflush(report->out);
}

static void look_at_node(struct demo_report *report, int node, uint64_t *delivered,
                         struct histogram_sum *latency)
{
    const struct demo_seat *seat = &report->board->seat[node];
    struct histogram_sum now = { 0 };
    histogram_sum_add(&now, &seat->latency);
    histogram_sum_between(latency, &report->latency[node], &now);
    report->latency[node] = now;
    uint64_t count = atomic_load_explicit(&seat->delivered, memory_order_relaxed);
    *delivered = count - report->delivered[node];
    report->delivered[node] = count;
}

/* The three columns of a node; behind those of the last one the line ends. */
static void print_columns(const struct demo_report *report, int node, const char *rate,
                          const char *p50, const char *p99)
{
    if (!report->out)
        return;
    if (node < report->options->nodes)
        fprintf(report->out, "%-11s %-9s %-9s   ", rate, p50, p99);
    else
        fprintf(report->out, *p50 ? "%-11s %-9s %s\n" : "%s\n", rate, p50, p99);
    fflush(report->out);
}

void demo_report_begin(struct demo_report *report)
{
    report->start_ns = report->last_ns = demo_now_ns();
    if (!report->out)
        return;
    fprintf(report->out, "\n         ");
    for (int node = 1; node <= report->options->nodes; node++) {
        char name[NUMBER_BYTES];
        snprintf(name, sizeof(name), "node %d", node);
        print_columns(report, node, name, "", "");
    }
    fprintf(report->out, "   time  ");
    for (int node = 1; node <= report->options->nodes; node++)
        print_columns(report, node, "messages/s", "p50", "p99");
}

void demo_report_rates(struct demo_report *report, uint64_t down_nodes)
{
    uint64_t now_ns = demo_now_ns(), passed_ns = now_ns - report->last_ns;
    report->last_ns = now_ns;
    if (report->out)
        fprintf(report->out, "%5.1f s  ", since_start_s(report));
    for (int node = 1; node <= report->options->nodes; node++) {
        char rate[NUMBER_BYTES] = "down", p50[NUMBER_BYTES] = "-", p99[NUMBER_BYTES] = "-";
        struct histogram_sum latency;
        uint64_t delivered;
        look_at_node(report, node, &delivered, &latency);
        if (delivered > 0 || !(down_nodes >> node & 1))
            number_text(rate, per_second(delivered, passed_ns));
        if (latency.total > 0) {
            time_text(p50, histogram_quantile_ns(&latency, 0.5));
            time_text(p99, histogram_quantile_ns(&latency, 0.99));
        }
        print_columns(report, node, rate, p50, p99);
    }
}

/* The end */

static struct histogram_sum latency_of_all(const struct demo_report *report)
{
    struct histogram_sum sum = { 0 };
    for (int node = 1; node <= report->options->nodes; node++)
        histogram_sum_add(&sum, &report->board->seat[node].latency);
    return sum;
}

static json_t *ms_or_null(uint64_t ns)
{
    return ns ? json_real((double)(ns / 1000) / 1e3) : json_null();
}

static json_t *us(uint64_t ns)
{
    return json_real((double)(ns / 10) / 100);
}

static void print_json(const struct demo_report *report, const struct demo_outcome *o)
{
    const struct demo_verdict *v = &o->verdict;
    struct histogram_sum latency = latency_of_all(report);
    uint64_t rate = per_second(v->messages, o->send_ns);
    json_t *object = json_pack(
        "{s:i, s:s, s:f, s:i, s:I, s:I, s:I, s:{s:o, s:o, s:o}, s:b, s:I, s:I, s:I, s:I, s:o, s:o,"
        " s:o, s:i, s:s, s:b}",
        "nodes", report->options->nodes, "transport", report->options->transport, "seconds",
        (double)(o->send_ns / NS_PER_MS) / 1e3, "message_bytes",
        (int)report->options->message_bytes, "messages", (json_int_t)v->messages, "messages_per_s",
        (json_int_t)rate, "bytes_per_s", (json_int_t)(rate * report->options->message_bytes),
        "latency_us", "p50", us(histogram_quantile_ns(&latency, 0.5)), "p99",
        us(histogram_quantile_ns(&latency, 0.99)), "max", us(latency.max_ns), "same_order",
        v->misordered == 0, "misordered", (json_int_t)v->misordered, "lost", (json_int_t)v->lost,
        "duplicates", (json_int_t)v->duplicates, "damaged", (json_int_t)o->damaged, "form_ms",
        ms_or_null(o->form_ns), "view_change_ms", ms_or_null(o->view_change_ns), "merge_ms",
        ms_or_null(o->merge_ns), "stretches", (int)v->stretches, "first_wrong", v->first_wrong,
        "ok", o->good);
    if (!object)
        return;
    json_dumpf(object, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(10));
    putchar('\n');
    json_decref(object);
}

static void print_text(const struct demo_report *report, const struct demo_outcome *o)
{
    const struct demo_verdict *v = &o->verdict;
    struct histogram_sum latency = latency_of_all(report);
    uint64_t rate = per_second(v->messages, o->send_ns);
    char messages[NUMBER_BYTES], rates[NUMBER_BYTES], p50[NUMBER_BYTES], p99[NUMBER_BYTES];
    char max[NUMBER_BYTES], view[NUMBER_BYTES], merge[NUMBER_BYTES];
    number_text(messages, v->messages);
    number_text(rates, rate);
    time_text(p50, histogram_quantile_ns(&latency, 0.5));
    time_text(p99, histogram_quantile_ns(&latency, 0.99));
    time_text(max, latency.max_ns);
    time_text(view, o->view_change_ns);
    time_text(merge, o->merge_ns);
    printf("\n"
           "  messages     %s of %u bytes: %s a second, %.0f MB/s, each delivered on every living "
           "node\n"
           "  latency      p50 %s, p99 %s, max %s, from the send to a delivery on any node\n"
           "  view change  %s after node %d was killed; merge %s after it was started again\n"
           "  order        %s, in %u stretches between changes\n"
           "  lost %" PRIu64 ", duplicates %" PRIu64 ", damaged %" PRIu64 "\n",
           messages, report->options->message_bytes, rates,
           (double)rate * report->options->message_bytes / 1e6, p50, p99, max, view, o->killed_node,
           merge, v->misordered == 0 ? "the same on every node" : "DIFFERS", v->stretches, v->lost,
           v->duplicates, o->damaged);
    if (v->first_wrong[0])
        printf("  first wrong  %s\n", v->first_wrong);
}

void demo_report_end(struct demo_report *report, const struct demo_outcome *outcome)
{
    if (report->options->json)
        print_json(report, outcome);
    else
        print_text(report, outcome);
    fflush(stdout);
}
