/* SPDX-License-Identifier: BSD-3-Clause */
/* fake_control.c - the requests that the fake service answers. */
#include "fake_internal.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

static void answer(struct client *c, struct ctl_answer *a, uint32_t type, cs_error_t error,
                   const int *fds, int count)
{
    a->magic = CTL_MAGIC;
    a->version = CTL_VERSION;
    a->type = (uint16_t)type;
    a->error = error;
    ctl_send(c->control, a, sizeof(*a), fds, error == CS_OK ? count : 0);
}

static void plain(struct client *c, uint32_t type, cs_error_t error)
{
    struct ctl_answer a = { 0 };
    answer(c, &a, type, error, NULL, 0);
}

static void make_channel(struct client *c)
{
    INVARIANT(zcb_arena_create(&c->up, "up", CHAN_UP_BYTES, 1, ZCB_PAGES_SMALL, ZCB_WRITER_PEER) ==
              0);
    INVARIANT(zcb_arena_create(&c->down, "down", CHAN_DOWN_BYTES, 1, ZCB_PAGES_SMALL,
                               ZCB_WRITER_CREATOR) == 0);
    c->wake_page = zcb_arena_map_part(c->up.fd, 0, CHAN_PAGE_BYTES, ZCB_WRITE);
    struct chan_up *up = (void *)c->up.base;
    struct chan_down *down = (void *)c->down.base;
    spsc_consumer_init(&c->submit, up->submit, sizeof(up->submit[0]), CHAN_SUBMIT_COUNT,
                       &up->words.submit_tail, &down->submit_head);
    spsc_consumer_init(&c->done, up->done, sizeof(up->done[0]), CHAN_DONE_COUNT,
                       &up->words.done_tail, &down->done_head);
    spsc_producer_init(&c->events, down->event, sizeof(down->event[0]), CHAN_EVENT_COUNT,
                       &down->event_tail, &up->words.event_head);
}

static void hello(struct fake *f, struct client *c, const struct ctl_request *q)
{
    int pair[2];
    struct ctl_answer a = { 0 };
    make_channel(c);
    c->flags = q->arg;
    INVARIANT(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0);
    c->wake = pair[0];
    a.hello = (struct ctl_hello){ .nodeid = FAKE_NODE,
                                  .rx_arena = f->rx.id,
                                  .rx_bytes = f->rx.bytes,
                                  .message_bytes_max = FAKE_MESSAGE_MAX,
                                  .atomic_bytes_max = FAKE_ATOMIC_MAX };
    int fds[] = { c->up.fd, c->down.fd, f->core_arena.fd, f->rx.fd, pair[1] };
    answer(c, &a, CTL_HELLO, CS_OK, fds, ARRAY_COUNT(fds));
    close(pair[1]);
    zcb_arena_close_fd(&c->up);
    zcb_arena_close_fd(&c->down);
}

static void join(struct fake *f, struct client *c, const struct ctl_request *q)
{
    if (c->joined) {
        plain(c, CTL_JOIN, CS_ERR_EXIST);
        return;
    }
    c->group = (struct cpg_name){ .length = q->name_bytes };
    memcpy(c->group.value, q->name, q->name_bytes);
    c->joined = true;
    plain(c, CTL_JOIN, CS_OK);
    core_view(f, c, CPG_REASON_JOIN);
}

static void leave(struct fake *f, struct client *c)
{
    if (!c->joined) {
        plain(c, CTL_LEAVE, CS_ERR_NOT_EXIST);
        return;
    }
    while (core_turn(f)) /* what was sent before the leave comes before it */
        ;
    plain(c, CTL_LEAVE, CS_OK);
    core_view(f, c, CPG_REASON_LEAVE);
    c->joined = false;
}

static void members(struct fake *f, struct client *c, const struct ctl_request *q)
{
    struct ctl_answer a = { 0 };
    struct client key = { .joined = true, .group.length = q->name_bytes };
    memcpy(key.group.value, q->name, q->name_bytes);
    for (uint32_t n = 0; n < f->client_count; n++) {
        if (!same_group(f->client[n], &key))
            continue;
        if (a.members.count < CTL_MEMBERS_MAX)
            a.members.entry[a.members.count] = (struct chan_address){ FAKE_NODE, FAKE_PID + n, 0 };
        a.members.count++;
    }
    answer(c, &a, CTL_MEMBERS, CS_OK, NULL, 0);
}

/* Every member of every group: what the real one filters, tests of the library need not. */
static void iterate(struct fake *f, struct client *c)
{
    struct ctl_answer a = { 0 };
    int fd = memfd_create("iteration", MFD_CLOEXEC);
    for (uint32_t n = 0; n < f->client_count; n++) {
        const struct client *m = f->client[n];
        if (!m->joined)
            continue;
        struct ctl_iteration_entry entry = { .name_bytes = m->group.length,
                                             .nodeid = FAKE_NODE,
                                             .pid = FAKE_PID + n };
        memcpy(entry.name, m->group.value, m->group.length);
        INVARIANT(write(fd, &entry, sizeof(entry)) == sizeof(entry));
        a.arg++;
    }
    a.arg64 = a.arg * sizeof(struct ctl_iteration_entry);
    answer(c, &a, CTL_ITERATE, CS_OK, &fd, a.arg > 0 ? 1 : 0);
    close(fd);
}

static void tx_get(struct fake *f, struct client *c, const struct ctl_request *q)
{
    uint32_t i = 0;
    while (i < CHAN_SEGMENT_COUNT && c->tx[i])
        i++;
    if (i == CHAN_SEGMENT_COUNT || (f->segment_limit && q->arg64 > f->segment_limit) ||
        q->arg64 > FAKE_MESSAGE_MAX + CHAN_PAGE_BYTES) {
        plain(c, CTL_TX_GET, CS_ERR_NO_MEMORY);
        return;
    }
    struct tx *tx = calloc(1, sizeof(*tx));
    INVARIANT(zcb_arena_create(&tx->arena, "tx", q->arg64, ++f->last_arena, ZCB_PAGES_SMALL,
                               ZCB_WRITER_PEER) == 0);
    c->tx[i] = tx;
    struct chan_down *down = (void *)c->down.base;
    atomic_store_explicit(&down->tx_free[i], 0, memory_order_release);
    struct ctl_answer a = { .arg = i, .arg64 = tx->arena.bytes, .arena = tx->arena.id };
    answer(c, &a, CTL_TX_GET, CS_OK, &tx->arena.fd, 1);
}

static void tx_put(struct fake *f, struct client *c, const struct ctl_request *q)
{
    struct tx *tx = q->arg < CHAN_SEGMENT_COUNT ? c->tx[q->arg] : NULL;
    if (!tx || tx->closing) {
        f->offences++;
        plain(c, CTL_TX_PUT, CS_ERR_NOT_EXIST);
        return;
    }
    spsc_waiting(&c->submit);
    tx->closing = true;
    tx->barrier = c->submit.tail_seen;
    plain(c, CTL_TX_PUT, CS_OK);
}

static void map_tx(struct fake *f, struct client *c, const struct ctl_request *q)
{
    for (uint32_t n = 0; n < f->client_count; n++)
        for (uint32_t i = 0; i < CHAN_SEGMENT_COUNT; i++) {
            struct tx *tx = f->client[n]->tx[i];
            if (!tx || tx->arena.id != q->arg)
                continue;
            int fd = zcb_arena_reader_fd(&tx->arena);
            struct ctl_answer a = { .arg64 = tx->arena.bytes };
            answer(c, &a, CTL_MAP, CS_OK, &fd, 1);
            close(fd);
            return;
        }
    plain(c, CTL_MAP, CS_ERR_NOT_EXIST);
}

void control_close(struct fake *f, struct client *c)
{
    if (!c->open)
        return;
    if (c->joined && !f->dead) {
        core_turn(f);
        core_view(f, c, CPG_REASON_PROCDOWN);
    }
    c->joined = false;
    c->open = false;
    close(c->control);
    if (c->wake >= 0)
        close(c->wake);
}

static void serve(struct fake *f, struct client *c, const struct ctl_request *q)
{
    switch (q->type) {
    case CTL_HELLO:
        hello(f, c, q);
        break;
    case CTL_JOIN:
        join(f, c, q);
        break;
    case CTL_LEAVE:
        leave(f, c);
        break;
    case CTL_MEMBERS:
        members(f, c, q);
        break;
    case CTL_ITERATE:
        iterate(f, c);
        break;
    case CTL_TX_GET:
        tx_get(f, c, q);
        break;
    case CTL_TX_PUT:
        tx_put(f, c, q);
        break;
    case CTL_MAP:
        map_tx(f, c, q);
        break;
    case CTL_FINALIZE:
        plain(c, CTL_FINALIZE, CS_OK);
        control_close(f, c);
        break;
    case CTL_KICK:
        send(c->wake, "k", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
        break;
    default:
        f->offences++;
    }
}

void control_request(struct fake *f, struct client *c)
{
    struct ctl_request q;
    int got = ctl_recv(c->control, &q, sizeof(q), NULL, NULL, NULL);
    if (got <= 0) {
        control_close(f, c);
        return;
    }
    if (got != sizeof(q) || q.magic != CTL_MAGIC || q.type >= ARRAY_COUNT(f->requests)) {
        f->offences++;
        return;
    }
    f->requests[q.type]++;
    if (f->refuse[q.type] != 0)
        plain(c, q.type, f->refuse[q.type]);
    else
        serve(f, c, &q);
}

void control_accept(struct fake *f)
{
    int fd = accept4(f->listener, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0 || f->client_count == CLIENTS_MAX)
        return;
    struct client *c = calloc(1, sizeof(*c));
    *c = (struct client){ .open = true, .number = f->client_count, .control = fd, .wake = -1 };
    f->client[f->client_count++] = c;
}
