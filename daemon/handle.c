/* SPDX-License-Identifier: BSD-3-Clause */
#include "handle.h"

#include <errno.h>
#include <inttypes.h>
#include <sys/socket.h>

#include "ask.h"
#include "connection.h"
#include "log.h"

static int free_slot(const struct control *c)
{
    for (uint32_t i = 0; i < c->config->clients_max; i++)
        if (!c->handles[i])
            return (int)i;
    return -EAGAIN;
}

int handle_create(struct control *c, uint32_t pid, uint32_t flags, struct handle **out)
{
    int slot = free_slot(c);
    if (slot < 0)
        return slot;
    struct handle *h = calloc(1, sizeof(*h));
    if (!h)
        return -ENOMEM;
    int failed = channel_create(c->resources, &h->channel);
    if (failed) {
        free(h);
        return failed;
    }
    h->slot = (uint32_t)slot;
    h->serial = ++c->last_serial;
    h->pid = pid;
    h->flags = flags;
    c->handles[slot] = h;
    c->handle_count++;
    *out = h;
    return 0;
}

struct handle *handle_find(const struct control *c, uint32_t slot, uint32_t serial)
{
    struct handle *h = slot < c->config->clients_max ? c->handles[slot] : NULL;
    return h && h->serial == serial ? h : NULL;
}

void handle_destroy(struct control *c, struct handle *handle)
{
    INVARIANT(c->handles[handle->slot] == handle);
    c->handles[handle->slot] = NULL;
    c->handle_count--;
    channel_destroy(c->resources, &handle->channel);
    free(handle);
}

static void ended(struct ask *ask, const struct core_event *answer)
{
    struct handle *h = handle_find(ask->control, ask->slot, ask->serial);
    INVARIANT(h && h->ending); /* H1 */
    (void)answer;
    log_debug("client %u (pid %u): gone", h->serial, h->pid);
    handle_destroy(ask->control, h);
}

void handle_end(struct control *c, struct handle *handle)
{
    if (handle->ending) /* H2 */
        return;
    struct ask *ask = ask_new(c, CORE_CLIENT_END, ended);
    INVARIANT(ask); /* without memory for a line like this there is no way back */
    handle->ending = true;
    ask->slot = ask->command.slot = handle->slot;
    ask->serial = handle->serial;
    ask_give(ask);
}

void handle_evicted(struct control *c, const struct core_event *event)
{
    struct handle *h = event->slot < c->config->clients_max ? c->handles[event->slot] : NULL;
    if (!h || h->ending)
        return;
    if (event->error == CHAN_EVICTED_SLOW)
        log_warning("client %u (pid %u): disconnected: no progress for %" PRIu64 " ms", h->serial,
                    h->pid, event->arg64);
    else
        log_warning("client %u (pid %u): disconnected: broke the rules: %s (%" PRIu64 ")",
                    h->serial, h->pid,
                    event->arg < CORE_OFFENCES ? core_offence_name[event->arg] : "unknown",
                    event->arg64);
    /* The client sees the end of it now; the descriptor's number stays taken (T3). */
    shutdown(h->channel.wake_socket, SHUT_RDWR);
    connection_close(h->connection);
}
