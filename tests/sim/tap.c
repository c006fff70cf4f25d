/* SPDX-License-Identifier: BSD-3-Clause */
#include "tap.h"

struct tap tap = { .life = HIST_NOBODY };

static void listen(const struct ring *r, const struct ring_out *out)
{
    if (tap.life == HIST_NOBODY)
        return;
    for (int i = 0; i < out->deliver_count; i++)
        history_tell(tap.history, tap.life, &out->deliver[i], tap.now_ns);
    watch_ring(tap.watch, r, tap.verdict);
}

/* Each door of the ring through which deliveries come. */
void __real_ring_recv(struct ring *r, uint64_t now_ns, struct zcb **frames, int count,
                      struct ring_out *out);
void __real_ring_expire(struct ring *r, uint64_t now_ns, struct ring_out *out);
void __real_ring_continue(struct ring *r, uint64_t now_ns, struct ring_out *out);
void __real_ring_persisted(struct ring *r, uint64_t now_ns, uint64_t seq, struct ring_out *out);
void __real_ring_links(struct ring *r, uint64_t now_ns, const uint32_t *down, int count,
                       struct ring_out *out);
void __real_ring_leave(struct ring *r, uint64_t now_ns, struct ring_out *out);
void __real_ring_again(struct ring *r, uint64_t now_ns, struct ring_out *out);
void __wrap_ring_recv(struct ring *r, uint64_t now_ns, struct zcb **frames, int count,
                      struct ring_out *out);
void __wrap_ring_expire(struct ring *r, uint64_t now_ns, struct ring_out *out);
void __wrap_ring_continue(struct ring *r, uint64_t now_ns, struct ring_out *out);
void __wrap_ring_persisted(struct ring *r, uint64_t now_ns, uint64_t seq, struct ring_out *out);
void __wrap_ring_links(struct ring *r, uint64_t now_ns, const uint32_t *down, int count,
                       struct ring_out *out);
void __wrap_ring_leave(struct ring *r, uint64_t now_ns, struct ring_out *out);
void __wrap_ring_again(struct ring *r, uint64_t now_ns, struct ring_out *out);

void __wrap_ring_recv(struct ring *r, uint64_t now_ns, struct zcb **frames, int count,
                      struct ring_out *out)
{
    __real_ring_recv(r, now_ns, frames, count, out);
    listen(r, out);
}

void __wrap_ring_expire(struct ring *r, uint64_t now_ns, struct ring_out *out)
{
    __real_ring_expire(r, now_ns, out);
    listen(r, out);
}

void __wrap_ring_continue(struct ring *r, uint64_t now_ns, struct ring_out *out)
{
    __real_ring_continue(r, now_ns, out);
    listen(r, out);
}

void __wrap_ring_persisted(struct ring *r, uint64_t now_ns, uint64_t seq, struct ring_out *out)
{
    __real_ring_persisted(r, now_ns, seq, out);
    listen(r, out);
}

void __wrap_ring_links(struct ring *r, uint64_t now_ns, const uint32_t *down, int count,
                       struct ring_out *out)
{
    __real_ring_links(r, now_ns, down, count, out);
    listen(r, out);
}

void __wrap_ring_leave(struct ring *r, uint64_t now_ns, struct ring_out *out)
{
    __real_ring_leave(r, now_ns, out);
    listen(r, out);
}

void __wrap_ring_again(struct ring *r, uint64_t now_ns, struct ring_out *out)
{
    __real_ring_again(r, now_ns, out);
    listen(r, out);
}

/* And the one through which messages come in. */
int __real_ring_submit(struct ring *r, const struct ring_message *message);
int __wrap_ring_submit(struct ring *r, const struct ring_message *message);

int __wrap_ring_submit(struct ring *r, const struct ring_message *message)
{
    int error = __real_ring_submit(r, message);
    if (error == 0 && tap.life != HIST_NOBODY)
        history_submit(tap.history, tap.life, message);
    return error;
}
