/* SPDX-License-Identifier: BSD-3-Clause */
/* What a start says to the operator. */
#include <string.h>

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "notice.h"

struct heard {
    int lines;
    char text[1024];
};

static void hear(void *context, const char *line)
{
    struct heard *heard = context;
    heard->lines++;
    strncat(heard->text, line, sizeof(heard->text) - strlen(heard->text) - 1);
}

static struct heard heard_of(uint64_t got, uint64_t wanted)
{
    struct heard heard = { 0 };
    struct transport_caps caps = { .socket_bytes = got, .socket_bytes_wanted = wanted };
    notice_socket(&caps, hear, &heard);
    return heard;
}

Test(notice, socket_buffers_that_were_cut_are_told_with_the_command_that_helps)
{
    struct heard heard = heard_of(212992, 8 << 20);
    cr_assert(eq(int, heard.lines, 1));
    cr_assert(strstr(heard.text, "208 KiB instead of 8192") != NULL, "%s", heard.text);
    cr_assert(strstr(heard.text, "sysctl net.core.rmem_max=8388608") != NULL, "%s", heard.text);
    cr_assert(strstr(heard.text, "then restart") != NULL, "cut off: %s", heard.text);
}

Test(notice, socket_buffers_as_asked_for_need_no_word)
{
    cr_assert(zero(int, heard_of(8 << 20, 8 << 20).lines));
    cr_assert(zero(int, heard_of(0, 0).lines), "a backend without sockets");
}
