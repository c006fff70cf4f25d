/* SPDX-License-Identifier: BSD-3-Clause */
#include "request_inner.h"

#include <errno.h>

#include "corosync/corotypes.h"
#include "handle.h"
#include "log.h"

enum { WHY_BYTES = 256 };

static void done_segment(struct ask *ask, const struct core_event *answer)
{
    struct control *c = ask->control;
    struct tx_segment *s = tx_segment_find(c->resources, ask->with.segment.arena.id);
    struct handle *h = handle_find(c, ask->slot, ask->serial);
    INVARIANT(s || answer->error != CS_OK);
    if (answer->error != CS_OK) {
        if (s && h)
            h->segments &= ~(1u << s->index);
        if (s)
            control_segment_destroy(c, s);
        if (ask->connection)
            connection_result(ask->connection, answer->error);
        return;
    }
    struct ctl_answer out = { .error = CS_OK,
                              .arg = s->index,
                              .arg64 = s->arena.bytes,
                              .arena = s->arena.id,
                              .flags = s->lent ? CTL_TX_LENT : 0 };
    if (ask->connection)
        connection_answer(ask->connection, &out, &s->write_fd, 1);
    tx_segment_passed(s);
}

/* Before the core knows of it. What the transport cannot be told of is copied: said once. */
static void tell_transport(struct control *c, struct tx_segment *s)
{
    char why[WHY_BYTES];
    int failed = core_memory_add(c->core, &s->arena, why, sizeof(why));
    if (failed && !c->copying_said)
        log_warning("what some clients send is copied: %s", why);
    c->copying_said = c->copying_said || failed;
}

void request_tx_get(struct connection *conn, const struct ctl_request *request)
{
    struct handle *h = conn->handle;
    struct tx_segment *s;
    int index = __builtin_ffs((int)(~h->segments & ((1u << CHAN_SEGMENT_COUNT) - 1))) - 1;
    int failed = index < 0 ? -EAGAIN
                           : tx_segment_create(conn->control->resources, h->serial, request->arg64,
                                               request->arg & CTL_TX_STAYS, &s);
    if (failed) {
        if (index >= 0 && failed == -EAGAIN) /* lost where the core is busy: it asks again */
            (void)core_command(
                conn->control->core,
                &(struct core_command){ .type = CORE_SEGMENT_DENIED, .slot = h->slot });
        connection_result(conn, request_error(failed));
        return;
    }
    tell_transport(conn->control, s);
    s->slot = h->slot;
    s->index = (uint32_t)index;
    struct ask *ask = request_ask(conn, CORE_SEGMENT_ADD, done_segment);
    if (!ask) {
        control_segment_destroy(conn->control, s);
        return;
    }
    h->segments |= 1u << index;
    ask->with.segment = (struct core_segment_setup){ .client_slot = h->slot,
                                                     .index = (uint32_t)index,
                                                     .arena = s->arena };
    ask->command.in.segment = &ask->with.segment;
    ask->command.arg = (uint32_t)index;
    ask_give(ask);
}

void request_tx_put(struct connection *conn, const struct ctl_request *request)
{
    if (request->arg >= CHAN_SEGMENT_COUNT || !(conn->handle->segments & 1u << request->arg)) {
        connection_result(conn, CS_ERR_NOT_EXIST);
        return;
    }
    struct ask *ask = request_ask(conn, CORE_SEGMENT_END, request_done);
    if (!ask)
        return;
    ask->command.arg = request->arg;
    ask_give(ask);
}

void request_map(struct connection *conn, const struct ctl_request *request)
{
    const struct resources *r = conn->control->resources;
    const struct tx_segment *s = tx_segment_find(r, request->arg);
    const struct zcb_arena *arena = request->arg == ARENA_ID_RX ? &r->rx : s ? &s->arena : NULL;
    if (!arena) {
        connection_result(conn, CS_ERR_NOT_EXIST);
        return;
    }
    struct ctl_answer answer = { .error = CS_OK, .arg64 = arena->bytes, .arena = arena->id };
    connection_answer(conn, &answer, &arena->fd, 1);
}
