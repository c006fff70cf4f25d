/* SPDX-License-Identifier: BSD-3-Clause */
#include "status_table.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <stdlib.h>
#include <string.h>

/* What is printed for a JSON text, spaces at the end of lines aside. Owner: the caller. */
static char *printed(const char *json)
{
    char *text = NULL;
    size_t bytes = 0;
    json_t *status = json_loads(json, 0, NULL);
    FILE *out = open_memstream(&text, &bytes);
    cr_assert(status && out);
    status_table_print(out, status);
    fclose(out);
    json_decref(status);
    return text;
}

static void expect(const char *json, const char *text)
{
    char *said = printed(json);
    cr_assert(eq(str, said, (char *)text));
    free(said);
}

Test(status_table, plain_members_come_first)
{
    expect("{\"ring\": {\"state\": \"gather\"}, \"node_id\": 3, \"parked\": false}",
           "node_id                3\n"
           "parked                 no\n"
           "\n"
           "ring\n"
           "  state                  gather\n");
}

Test(status_table, lists_of_objects_are_tables_and_members_of_groups_stand_in_their_line)
{
    expect("{\"groups\": [{\"name\": \"a\", \"name_bytes\": 1, \"members\": ["
           "{\"nodeid\": 1, \"pid\": 10}, {\"nodeid\": 2, \"pid\": 20}]},"
           "{\"name\": \"long\", \"name_bytes\": 4, \"members\": []}]}",
           "\n"
           "groups\n"
           "  name  name_bytes  members\n"
           "  a              1  1:10, 2:20\n"
           "  long           4  \n");
}

Test(status_table, what_is_zero_is_left_out_below_the_top)
{
    expect("{\"clients\": 0, \"counters\": {\"ring\": {\"lost\": 0, \"sent\": 7}, \"core\": {}}}",
           "clients                0\n"
           "\n"
           "counters\n"
           "  ring                   sent 7\n");
}

Test(status_table, sizes_are_readable)
{
    expect("{\"memory\": {\"rx\": {\"bytes\": 33554432, \"page_bytes\": 4096, \"free\": 2000}}}",
           "\n"
           "memory\n"
           "  rx                     bytes 32.0 MiB, page_bytes 4.0 KiB, free 2000\n");
}

Test(status_table, a_line_that_is_too_long_is_cut)
{
    char json[8192] = "{\"members\": [1";
    for (int i = 0; i < 1000; i++)
        strcat(json, ",12345");
    strcat(json, "]}");
    char *said = printed(json);
    cr_assert(lt(sz, strlen(said), 1024));
    free(said);
}
