/* SPDX-License-Identifier: BSD-3-Clause */
#include "status_table.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

enum {
    INDENT = 2,
    COLUMNS_MAX = 32,
    NAME_WIDTH = 24,
    VALUE_BYTES = 160,
    PLAIN_ON_A_LINE_MAX = 96,
};

static bool is_list_of_objects(const json_t *value)
{
    return json_is_array(value) && json_is_object(json_array_get(value, 0));
}

/* A value in one line: lists of plain values with commas. */
static void value_text(char text[VALUE_BYTES], const json_t *value)
{
    text[0] = 0;
    if (json_is_string(value)) {
        snprintf(text, VALUE_BYTES, "%s", json_string_value(value));
    } else if (json_is_integer(value)) {
        snprintf(text, VALUE_BYTES, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    } else if (json_is_real(value)) {
        snprintf(text, VALUE_BYTES, "%.3f", json_real_value(value));
    } else if (json_is_boolean(value)) {
        snprintf(text, VALUE_BYTES, "%s", json_is_true(value) ? "yes" : "no");
    } else if (json_is_array(value)) {
        size_t used = 0;
        for (size_t i = 0; i < json_array_size(value) && used < PLAIN_ON_A_LINE_MAX; i++) {
            char one[VALUE_BYTES];
            value_text(one, json_array_get(value, i));
            used += (size_t)snprintf(text + used, VALUE_BYTES - used, "%s%.*s", i ? ", " : "",
                                     VALUE_BYTES - PLAIN_ON_A_LINE_MAX - 8, one);
        }
    } else {
        snprintf(text, VALUE_BYTES, "-");
    }
}

static bool is_nothing(const json_t *value)
{
    return (json_is_integer(value) && json_integer_value(value) == 0) || json_is_null(value) ||
           (json_is_array(value) && json_array_size(value) == 0);
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
        if (count < COLUMNS_MAX && !json_is_object(value) && !is_list_of_objects(value))
            columns[count++] = (struct column){ name, (int)strlen(name), json_is_number(value) };
    }
    return count;
}

static void print_cell(FILE *out, const struct column *column, const char *text)
{
    if (column->number)
        fprintf(out, "  %*s", column->width, text);
    else
        fprintf(out, "  %-*s", column->width, text);
}

static void print_table(FILE *out, const json_t *list)
{
    struct column columns[COLUMNS_MAX];
    char text[VALUE_BYTES];
    int count = find_columns(columns, json_array_get(list, 0));
    for (size_t i = 0; i < json_array_size(list); i++)
        for (int k = 0; k < count; k++) {
            value_text(text, json_object_get(json_array_get(list, i), columns[k].name));
            if ((int)strlen(text) > columns[k].width)
                columns[k].width = (int)strlen(text);
        }
    for (int k = 0; k < count; k++)
        print_cell(out, &columns[k], columns[k].name);
    fputc('\n', out);
    for (size_t i = 0; i < json_array_size(list); i++) {
        for (int k = 0; k < count; k++) {
            value_text(text, json_object_get(json_array_get(list, i), columns[k].name));
            print_cell(out, &columns[k], text);
        }
        fputc('\n', out);
    }
}

/* Sections */

static void print_plain(FILE *out, json_t *object, int indent, bool zeros)
{
    const char *name;
    json_t *value;
    json_object_foreach(object, name, value)
    {
        char text[VALUE_BYTES];
        if (json_is_object(value) || is_list_of_objects(value) || (!zeros && is_nothing(value)))
            continue;
        value_text(text, value);
        fprintf(out, "%*s%-*s %s\n", indent, "", NAME_WIDTH, name, text);
    }
}

static void print_section(FILE *out, const char *name, json_t *object, int indent)
{
    const char *inner;
    json_t *value;
    fprintf(out, "%*s%s\n", indent, "", name);
    print_plain(out, object, indent + INDENT, false);
    json_object_foreach(object, inner, value)
    {
        if (json_is_object(value)) {
            print_section(out, inner, value, indent + INDENT);
        } else if (is_list_of_objects(value)) {
            fprintf(out, "%*s%s\n", indent + INDENT, "", inner);
            print_table(out, value);
        }
    }
}

void status_table_print(FILE *out, const json_t *status)
{
    const char *name;
    json_t *value, *object = (json_t *)(uintptr_t)status;
    print_plain(out, object, 0, true);
    json_object_foreach(object, name, value)
    {
        if (json_is_object(value)) {
            fputc('\n', out);
            print_section(out, name, value, 0);
        } else if (is_list_of_objects(value)) {
            fprintf(out, "\n%s\n", name);
            print_table(out, value);
        }
    }
}
