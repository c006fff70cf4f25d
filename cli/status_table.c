/* SPDX-License-Identifier: BSD-3-Clause */
#include "status_table.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>

enum {
    INDENT = 2,
    COLUMNS_MAX = 32,
    NAME_WIDTH = 22,
    TEXT_BYTES = 512,
    INLINE_MAX = 6, /* an object of no more plain members fits on a line */
};

/* A line under construction; what does not fit is cut. */
struct text {
    char value[TEXT_BYTES];
    size_t used;
};

__attribute__((format(printf, 2, 3))) static void add(struct text *text, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int bytes = vsnprintf(text->value + text->used, TEXT_BYTES - text->used, format, args);
    va_end(args);
    if (bytes > 0)
        text->used += (size_t)bytes;
    if (text->used >= TEXT_BYTES)
        text->used = TEXT_BYTES - 1;
}

static bool is_plain(const json_t *value)
{
    return !json_is_object(value) && !json_is_array(value);
}

static bool is_small(json_t *object)
{
    const char *name;
    json_t *value;
    if (!json_is_object(object) || json_object_size(object) > INLINE_MAX)
        return false;
    json_object_foreach(object, name, value)
    {
        if (!is_plain(value))
            return false;
    }
    return true;
}

static bool is_table(const json_t *value)
{
    return json_is_array(value) && json_is_object(json_array_get(value, 0));
}

static bool is_nothing(json_t *value)
{
    const char *name;
    json_t *inner;
    if (json_is_array(value))
        return json_array_size(value) == 0;
    if (!json_is_object(value))
        return json_is_null(value) || (json_is_integer(value) && json_integer_value(value) == 0);
    json_object_foreach(value, name, inner)
    {
        if (!is_nothing(inner))
            return false;
    }
    return true;
}

/* "bytes_sent", "rss_bytes": better read in larger units. */
static bool is_size(const char *name)
{
    size_t bytes = strlen(name);
    return strncmp(name, "bytes", 5) == 0 || (bytes >= 5 && strcmp(name + bytes - 5, "bytes") == 0);
}

static void add_plain(struct text *text, const char *name, const json_t *value)
{
    json_int_t number = json_integer_value(value);
    if (json_is_string(value))
        add(text, "%s", json_string_value(value));
    else if (json_is_integer(value) && is_size(name) && number >= 1 << 30)
        add(text, "%.1f GiB", (double)number / (1 << 30));
    else if (json_is_integer(value) && is_size(name) && number >= 1 << 20)
        add(text, "%.1f MiB", (double)number / (1 << 20));
    else if (json_is_integer(value) && is_size(name) && number >= 1 << 10)
        add(text, "%.1f KiB", (double)number / (1 << 10));
    else if (json_is_integer(value))
        add(text, "%" JSON_INTEGER_FORMAT, number);
    else if (json_is_real(value))
        add(text, "%.1f", json_real_value(value));
    else if (json_is_boolean(value))
        add(text, "%s", json_is_true(value) ? "yes" : "no");
    else
        add(text, "-");
}

/* One of a list on one line: an object is the values of its members, `nodeid:pid`. */
static void add_item(struct text *text, json_t *item)
{
    const char *name, *between = "";
    json_t *value;
    if (!json_is_object(item)) {
        add_plain(text, "", item);
        return;
    }
    json_object_foreach(item, name, value)
    {
        add(text, "%s", between);
        add_plain(text, name, value);
        between = ":";
    }
}

static void add_value(struct text *text, const char *name, json_t *value)
{
    const char *inner_name, *between = "";
    json_t *inner;
    if (json_is_array(value)) {
        for (size_t i = 0; i < json_array_size(value); i++) {
            add(text, "%s", i ? ", " : "");
            add_item(text, json_array_get(value, i));
        }
        return;
    }
    if (!json_is_object(value)) {
        add_plain(text, name, value);
        return;
    }
    json_object_foreach(value, inner_name, inner)
    {
        if (is_nothing(inner))
            continue;
        add(text, "%s%s ", between, inner_name);
        add_plain(text, inner_name, inner);
        between = ", ";
    }
}

/* Tables */

struct column {
    const char *name;
    int width;
    bool number;
};

static int find_columns(struct column *columns, json_t *first)
{
    int count = 0;
    const char *name;
    json_t *value;
    json_object_foreach(first, name, value)
    {
        if (count < COLUMNS_MAX)
            columns[count++] = (struct column){ name, (int)strlen(name), json_is_number(value) };
    }
    return count;
}

static void print_row(FILE *out, const struct column *columns, int count, json_t *row)
{
    fprintf(out, "%*s", INDENT, "");
    for (int i = 0; i < count; i++) {
        struct text text = { 0 };
        if (row)
            add_value(&text, columns[i].name, json_object_get(row, columns[i].name));
        else
            add(&text, "%s", columns[i].name);
        bool last = i == count - 1;
        int width = columns[i].number ? columns[i].width : last ? 0 : -columns[i].width;
        fprintf(out, "%*s%s", width, text.value, last ? "\n" : "  ");
    }
}

static void print_table(FILE *out, json_t *list)
{
    struct column columns[COLUMNS_MAX];
    int count = find_columns(columns, json_array_get(list, 0));
    for (size_t i = 0; i < json_array_size(list); i++)
        for (int k = 0; k < count; k++) {
            struct text text = { 0 };
            add_value(&text, columns[k].name,
                      json_object_get(json_array_get(list, i), columns[k].name));
            if ((int)text.used > columns[k].width)
                columns[k].width = (int)text.used;
        }
    print_row(out, columns, count, NULL);
    for (size_t i = 0; i < json_array_size(list); i++)
        print_row(out, columns, count, json_array_get(list, i));
}

/* Sections */

static void print_line(FILE *out, int indent, const char *name, json_t *value)
{
    struct text text = { 0 };
    add_value(&text, name, value);
    fprintf(out, "%*s%-*s %s\n", indent, "", NAME_WIDTH, name, text.value);
}

static void print_inside(FILE *out, json_t *object, int indent)
{
    const char *name;
    json_t *value;
    json_object_foreach(object, name, value)
    {
        if (is_nothing(value))
            continue;
        if (json_is_object(value) && !is_small(value)) {
            fprintf(out, "%*s%s\n", indent, "", name);
            print_inside(out, value, indent + INDENT);
        } else {
            print_line(out, indent, name, value);
        }
    }
}

void status_table_print(FILE *out, const json_t *status)
{
    const char *name;
    json_t *value, *object = (json_t *)(uintptr_t)status; /* jansson iterates without const */
    json_object_foreach(object, name, value)
    {
        if (is_plain(value))
            print_line(out, 0, name, value);
    }
    json_object_foreach(object, name, value)
    {
        if (is_plain(value))
            continue;
        fprintf(out, "\n%s\n", name);
        if (is_table(value))
            print_table(out, value);
        else if (json_is_object(value))
            print_inside(out, value, INDENT);
    }
}
