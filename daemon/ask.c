/* SPDX-License-Identifier: BSD-3-Clause */
#include "ask.h"

#include <errno.h>
#include <qb/qbloop.h>

struct ask *ask_new(struct control *c, enum core_command_type type, ask_done_fn done)
{
    struct ask *ask = calloc(1, sizeof(*ask));
    if (!ask)
        return NULL;
    ask->control = c;
    ask->done = done;
    ask->command.type = type;
    ask->command.tag = (uint64_t)(uintptr_t)ask;
    return ask;
}

static void link_ask(struct ask *ask)
{
    struct control *c = ask->control;
    ask->next = c->asks;
    ask->link = &c->asks;
    if (c->asks)
        c->asks->link = &ask->next;
    c->asks = ask;
}

static void unlink_ask(struct ask *ask)
{
    *ask->link = ask->next;
    if (ask->next)
        ask->next->link = ask->link;
    ask->link = NULL;
}

void ask_drop(struct ask *ask)
{
    free(ask->status);
    free(ask->entries);
    free(ask);
}

static void retry(void *context)
{
    struct control *c = context;
    c->retrying = false;
    ask_send_waiting(c);
}

static void retry_soon(struct control *c)
{
    qb_loop_timer_handle timer;
    if (c->retrying)
        return;
    c->retrying = true;
    qb_loop_timer_add(c->loop, QB_LOOP_HIGH, NS_PER_MS, c, retry, &timer);
}

void ask_give(struct ask *ask)
{
    struct control *c = ask->control;
    link_ask(ask);
    ask->unsent_next = NULL;
    *c->unsent_last = ask;
    c->unsent_last = &ask->unsent_next;
    ask_send_waiting(c);
}

void ask_send_waiting(struct control *c)
{
    while (c->unsent_first) {
        struct ask *ask = c->unsent_first;
        if (core_command(c->core, &ask->command) == -EAGAIN) {
            retry_soon(c);
            return;
        }
        c->unsent_first = ask->unsent_next;
        if (!c->unsent_first)
            c->unsent_last = &c->unsent_first;
    }
}

void ask_answered(struct control *c, const struct core_event *answer)
{
    struct ask *ask = (struct ask *)(uintptr_t)answer->tag;
    INVARIANT(ask && ask->control == c && ask->link);
    unlink_ask(ask);
    ask->done(ask, answer);
    if (!ask->link)
        ask_drop(ask);
}

void ask_free_all(struct control *c)
{
    while (c->asks) {
        struct ask *ask = c->asks;
        unlink_ask(ask);
        ask_drop(ask);
    }
    c->unsent_first = NULL;
    c->unsent_last = &c->unsent_first;
}
