/* SPDX-License-Identifier: BSD-3-Clause */
#include "agent.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SAYING_BYTES = 1 << 16, SAY_AT_ONCE_BYTES = 16384 };

static void make_room(struct saying *s, size_t bytes)
{
    if (s->used + bytes <= s->room)
        return;
    size_t room = s->room ? s->room : SAYING_BYTES;
    while (s->used + bytes > room)
        room *= 2;
    char *text = realloc(s->text, room);
    if (!text)
        abort();
    s->text = text;
    s->room = room;
}

void say(struct agent *agent, const char *format, ...)
{
    struct saying *s = &agent->saying;
    va_list args;
    va_start(args, format);
    make_room(s, SAY_AT_ONCE_BYTES);
    int bytes = vsnprintf(s->text + s->used, SAY_AT_ONCE_BYTES, format, args);
    va_end(args);
    if (bytes > 0)
        s->used += (size_t)bytes;
}

void say_hex(struct agent *agent, const char *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        say(agent, "%02x", (unsigned char)bytes[i]);
}

void say_answer(struct agent *agent, const char *id, int result)
{
    say(agent, "{\"a\":%s,\"r\":%d}\n", id, result);
}

void say_flush(struct agent *agent, bool wait)
{
    struct saying *s = &agent->saying;
    size_t at = 0;
    while (at < s->used) {
        ssize_t bytes = write(1, s->text + at, s->used - at);
        if (bytes > 0) {
            at += (size_t)bytes;
        } else if (errno == EAGAIN && wait) {
            struct pollfd out = { .fd = 1, .events = POLLOUT };
            poll(&out, 1, -1);
        } else if (errno == EAGAIN) {
            break;
        } else if (errno != EINTR) {
            exit(1); /* nobody listens any more */
        }
    }
    if (at > 0)
        memmove(s->text, s->text + at, s->used - at);
    s->used -= at;
}
