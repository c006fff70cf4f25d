/* SPDX-License-Identifier: BSD-3-Clause */
#include "intruder.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int intruder_knock(void)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    snprintf(address.sun_path, sizeof(address.sun_path), "%s/%s", getenv(CTL_RUNTIME_DIR_ENV),
             CTL_SOCKET_NAME);
    CHECK(fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
    return fd;
}

static uint32_t ask(struct intruder *i, const struct ctl_request *request,
                    struct ctl_answer *answer, int *fds, int *fd_count)
{
    CHECK(ctl_send(i->control, request, sizeof(*request), NULL, 0) == sizeof(*request));
    CHECK(ctl_recv(i->control, answer, sizeof(*answer), fds, fd_count, NULL) > 0);
    return answer->error;
}

uint32_t intruder_ask(struct intruder *i, enum ctl_type type, uint32_t arg, uint64_t arg64,
                      const char *name, struct ctl_answer *answer, int *fd)
{
    struct ctl_request request = { .magic = CTL_MAGIC,
                                   .version = CTL_VERSION,
                                   .type = (uint16_t)type,
                                   .arg = arg,
                                   .arg64 = arg64 };
    int count = fd ? 1 : 0;
    if (name) {
        request.name_bytes = (uint32_t)strlen(name);
        memcpy(request.name, name, request.name_bytes);
    }
    return ask(i, &request, answer, fd, &count);
}

static void *map(int fd, size_t bytes, int prot)
{
    void *base = mmap(NULL, bytes, prot, MAP_SHARED, fd, 0);
    CHECK(base != MAP_FAILED);
    return base;
}

void intruder_enter(struct intruder *i)
{
    struct ctl_request hello = { .magic = CTL_MAGIC, .version = CTL_VERSION, .type = CTL_HELLO };
    struct ctl_answer answer;
    int count = HELLO_FDS;
    *i = (struct intruder){ .control = intruder_knock(), .tx_fd = -1 };
    CHECK(ask(i, &hello, &answer, i->fds, &count) == CS_OK && count == HELLO_FDS);
    i->hello = answer.hello;
    i->up = map(i->fds[FD_UP], CHAN_UP_BYTES, PROT_READ | PROT_WRITE);
    i->down = map(i->fds[FD_DOWN], CHAN_DOWN_BYTES, PROT_READ);
    spsc_producer_init(&i->submit, i->up->submit, sizeof(struct chan_submit), CHAN_SUBMIT_COUNT,
                       &i->up->words.submit_tail, &i->down->submit_head);
    spsc_producer_init(&i->done, i->up->done, sizeof(uint32_t), CHAN_DONE_COUNT,
                       &i->up->words.done_tail, &i->down->done_head);
    spsc_consumer_init(&i->events, i->down->event, sizeof(struct chan_event), CHAN_EVENT_COUNT,
                       &i->down->event_tail, &i->up->words.event_head);
}

void intruder_join(struct intruder *i, const char *group)
{
    struct ctl_answer answer;
    intruder_enter(i);
    uint32_t joined;
    while ((joined = intruder_ask(i, CTL_JOIN, 0, 0, group, &answer, NULL)) == CS_ERR_TRY_AGAIN)
        probe_nap_us(1000);
    CHECK(joined == CS_OK);
    CHECK(intruder_ask(i, CTL_TX_GET, 0, SEGMENT_BYTES, NULL, &answer, &i->tx_fd) == CS_OK);
    i->segment = answer.arg;
    i->segment_arena = answer.arena;
    i->tx = map(i->tx_fd, SEGMENT_BYTES, PROT_READ | PROT_WRITE);
    struct chan_event view = intruder_next(i, true);
    CHECK(view.kind == CHAN_VIEW);
    if (view.flags & CHAN_LEASE_END)
        intruder_give_back(i, view.lease);
}

struct chan_submit intruder_message(const struct intruder *i, uint32_t bytes)
{
    uint64_t start = i->end;
    if (start % SEGMENT_BYTES + bytes > SEGMENT_BYTES)
        start = align_up(start, SEGMENT_BYTES); /* not around the corner */
    return (struct chan_submit){
        .offset = (uint32_t)(start % SEGMENT_BYTES),
        .bytes = bytes,
        .end = start + align_up(bytes, CHAN_TX_ALIGN),
        .segment = (uint8_t)i->segment,
        .guarantee = GUARANTEE_AGREED,
    };
}

void intruder_push(struct intruder *i, const struct chan_submit *entry)
{
    CHECK(spsc_room(&i->submit) > 0);
    memcpy(spsc_next(&i->submit), entry, sizeof(*entry));
    i->end = entry->end;
    spsc_publish(&i->submit);
    intruder_ring_bell(i);
}

void intruder_ring_bell(const struct intruder *i)
{
    (void)!send(i->fds[FD_WAKE], "", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
}

struct chan_event intruder_next(struct intruder *i, bool take)
{
    struct chan_event event;
    WAIT_FOR(spsc_waiting(&i->events) > 0);
    memcpy(&event, spsc_take(&i->events), sizeof(event));
    if (take)
        spsc_release(&i->events);
    else
        i->events.head--;
    return event;
}

void intruder_give_back(struct intruder *i, uint32_t lease)
{
    CHECK(spsc_room(&i->done) > 0);
    memcpy(spsc_next(&i->done), &lease, sizeof(lease));
    spsc_publish(&i->done);
    intruder_ring_bell(i);
}

static bool has_ended(int fd)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };
    return poll(&p, 1, 0) == 1 && p.revents & POLLHUP;
}

void intruder_expect_end(const struct intruder *i)
{
    WAIT_FOR(has_ended(i->control) && has_ended(i->fds[FD_WAKE]));
}

void intruder_expect_eviction(const struct intruder *i)
{
    intruder_expect_end(i);
    EXPECT(atomic_load(&i->down->state) == CHAN_EVICTED_RULES);
}
