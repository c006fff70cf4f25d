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

Test(notice, why_payload_is_copied_is_told)
{
    struct heard heard = { 0 };
    notice_copies(&(struct transport_caps){ 0 }, hear, &heard);
    cr_assert(zero(int, heard.lines));
    notice_copies(&(struct transport_caps){ .copies = "the card cannot" }, hear, &heard);
    cr_assert(eq(str, heard.text, "memory: the card cannot"));
}

Test(notice, socket_buffers_as_asked_for_need_no_word)
{
    cr_assert(zero(int, heard_of(8 << 20, 8 << 20).lines));
    cr_assert(zero(int, heard_of(0, 0).lines), "a backend without sockets");
}

static struct config config;
static struct place place;

static const char *poll_line(int memory_node, bool pinned, const char *woken_by)
{
    static struct heard heard;
    heard = (struct heard){ 0 };
    notice_poll(&(struct notice_poll){ .config = &config,
                                       .place = &place,
                                       .pinned = pinned,
                                       .memory_node = memory_node,
                                       .woken_by = woken_by },
                hear, &heard);
    cr_assert(eq(int, heard.lines, 1));
    return heard.text;
}

Test(notice, one_line_says_how_and_where_the_core_runs)
{
    config = (struct config){ .poll = POLL_AUTO, .spins = true, .poll_cpu = 3 };
    place = (struct place){ .cpu_node = 1, .port_node = 1, .memory_node = 1 };
    cr_assert(eq(str, (char *)poll_line(1, true, "interrupt"),
                 "poll: auto, which here is spin, pinned to cpu 3 of NUMA node 1, port on NUMA "
                 "node 1, memory on NUMA node 1"));
    config.spins = false;
    config.poll_yield_us = 70;
    cr_assert(eq(str, (char *)poll_line(PLACE_SPREAD, false, "interrupt"),
                 "poll: auto, which here is backoff, on cpu 3 of NUMA node 1, port on NUMA node 1, "
                 "memory on several; sleeps after 70 us without work, woken by interrupt"));
    config.poll = POLL_BACKOFF;
    config.poll_cpu = -1;
    place = (struct place){ .cpu_node = PLACE_NONE, .port_node = PLACE_NONE };
    cr_assert(eq(str, (char *)poll_line(PLACE_NONE, false, NULL),
                 "poll: backoff, no core of its own; sleeps after 70 us without work"));
}

Test(notice, a_core_on_another_node_than_its_port_is_warned_of)
{
    char text[PLACE_TEXT_BYTES];
    config = (struct config){ .poll_cpu = 3 };
    place = (struct place){ .cpu_node = 1, .port_node = 0 };
    cr_assert(place_is_poor(&place, &config, text));
    cr_assert(strstr(text, "poll.cpu 3 is on NUMA node 1 and the port on node 0") != NULL, "%s",
              text);
    cr_assert(strstr(text, "that node's processors, 0") != NULL, "%s", text);
    place.port_node = 1;
    cr_assert(not(place_is_poor(&place, &config, text)));
    place.port_node = PLACE_NONE;
    cr_assert(not(place_is_poor(&place, &config, text)));
    place = (struct place){ .cpu_node = PLACE_NONE, .port_node = 1 };
    cr_assert(not(place_is_poor(&place, &config, text)));
}
