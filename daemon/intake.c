/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * intake.c - one turn of the clients: leases come back, messages, joins and leaves go in.
 */
#include "clients_inner.h"

#include <errno.h>
#include <string.h>

#include "corosync/corotypes.h"

enum step {
    STEP_DONE,    /* something went in */
    STEP_NOTHING, /* nothing waits */
    STEP_BLOCKED, /* this client must wait, others may go on */
    STEP_FULL,    /* the ring takes nothing more this turn */
};

/* What waits for large messages only may be passed by what other clients send. */
static enum step refused(int error)
{
    return error == -EBUSY ? STEP_BLOCKED : STEP_FULL;
}

/* A control message into the ring, urgent when it is nobody's: a SYNC. Its bytes stay in our own
 * segment until they are released. When the service stops the last leaves are SAFE, so that we do
 * not go before everybody has them. A SYNC never is: with nothing SAFE before the last of them, who
 * has received all has them in the regular configuration, as whoever completed the exchange did. */
static int submit_control(struct clients *cs, uint32_t port, const uint8_t *data, uint32_t bytes)
{
    uint64_t end;
    uint8_t *to = segment_write(&cs->control, bytes, &end);
    if (!to)
        return -EAGAIN;
    memcpy(to, data, bytes);
    struct record *record = segment_record(&cs->control);
    bool sync = port == 0;
    bool safe = cs->stopping && !sync;
    int error = ring_submit(
        cs->ring, &(struct ring_message){ .payload = { .data = to,
                                                       .offset = (uint32_t)(to - cs->control.base),
                                                       .bytes = bytes,
                                                       .arena = cs->control.arena,
                                                       .key = cs->control.key,
                                                       .cookie = record_cookie(record) },
                                          .port = port,
                                          .guarantee = safe ? GUARANTEE_SAFE : GUARANTEE_AGREED,
                                          .control = 1,
                                          .urgent = sync });
    if (error)
        segment_not_taken(&cs->control, record);
    else
        segment_took(&cs->control, record, end);
    return error;
}

/* The next join or leave, and up to where submits go before it; NULL: none is due. */
static struct membership *next_operation(struct client *c, uint32_t *barrier)
{
    for (uint32_t i = 0; i < c->membership_count; i++) {
        struct membership *membership = &c->membership[i];
        if (membership->join == JOIN_WAITING) {
            *barrier = c->mistrusted ? c->submit.head : membership->join_barrier;
            return membership;
        }
        if (membership->leave == LEAVE_WAITING) {
            *barrier = c->mistrusted ? c->submit.head : membership->leave_barrier;
            return membership;
        }
    }
    return NULL;
}

static enum step send_operation(struct clients *cs, struct membership *membership)
{
    uint8_t bytes[8 + CTL_NAME_BYTES];
    bool join = membership->join == JOIN_WAITING;
    uint32_t count = join ? gwire_put_join(bytes, membership->pid, &membership->name)
                          : gwire_put_leave(bytes, membership->reason);
    int error = submit_control(cs, membership->port, bytes, count);
    if (error)
        return refused(error); /* behind its large messages: C1 */
    if (join)
        membership->join = JOIN_SENT;
    else
        membership->leave = LEAVE_SENT;
    return STEP_DONE;
}

/* Whose messages these are now; NULL: nobody's, they come to nothing. */
static const struct membership *speaking(const struct client *c)
{
    for (uint32_t i = c->membership_count; i-- > 0;) {
        const struct membership *membership = &c->membership[i];
        if (membership->join != JOIN_WAITING)
            return membership->leave == LEAVE_SENT ? NULL : membership;
    }
    return NULL;
}

struct submit_check {
    enum core_offence offence;
    uint64_t value;
};

/* C2: every field, against everything it must agree with. */
static struct submit_check check(const struct clients *cs, const struct client *c,
                                 const struct chan_submit *s)
{
    static const uint8_t zero[sizeof(s->zero)];
    if (s->guarantee > GUARANTEE_SAFE || memcmp(s->zero, zero, sizeof(zero)) != 0)
        return (struct submit_check){ CORE_OFFENCE_SUBMIT_FIELD, s->guarantee };
    const struct segment *segment = s->segment < CHAN_SEGMENT_COUNT ? c->segment[s->segment] : NULL;
    if (!segment || (segment->closing && (int32_t)(c->submit.head - segment->barrier) >= 0))
        return (struct submit_check){ CORE_OFFENCE_SUBMIT_SEGMENT, s->segment };
    if (s->bytes > cs->message_bytes_max)
        return (struct submit_check){ CORE_OFFENCE_SUBMIT_SIZE, s->bytes };
    if (s->offset % CHAN_TX_ALIGN != 0 || s->offset > segment->bytes ||
        s->bytes > segment->bytes - s->offset)
        return (struct submit_check){ CORE_OFFENCE_SUBMIT_RANGE, s->offset };
    if (s->end < segment->taken_end || s->end - segment->taken_end < s->bytes ||
        s->end - segment->free_end > segment->bytes)
        return (struct submit_check){ CORE_OFFENCE_SUBMIT_END, s->end };
    return (struct submit_check){ CORE_OFFENCE_NONE, 0 };
}

static enum step submit_message(struct clients *cs, struct client *c, const struct chan_submit *s)
{
    struct segment *segment = c->segment[s->segment];
    const struct membership *membership = speaking(c);
    struct record *record = segment_record(segment);
    if (!membership) {
        cs->stats->unknown_sender++;
        segment_took(segment, record, s->end);
        return STEP_DONE;
    }
    struct ring_message message = {
        .payload = { .data = segment->base + s->offset,
                     .offset = s->offset,
                     .bytes = s->bytes,
                     .arena = segment->arena,
                     .key = segment->key,
                     .cookie = s->bytes > 0 ? record_cookie(record) : 0 },
        .port = membership->port,
        .guarantee = s->guarantee,
    };
    int error = ring_submit(cs->ring, &message);
    if (error) {
        segment_not_taken(segment, record);
        return refused(error);
    }
    segment_took(segment, record, s->end);
    c->messages_in++;
    c->bytes_in += s->bytes;
    cs->stats->messages_in++;
    cs->stats->bytes_in += s->bytes;
    return STEP_DONE;
}

static enum step take_submit(struct clients *cs, struct client *c)
{
    struct chan_submit s;
    memcpy(&s, c->submit.entries + (size_t)(c->submit.head & (CHAN_SUBMIT_COUNT - 1)) * sizeof(s),
           sizeof(s));
    __asm__ volatile("" : : "r"(&s) : "memory"); /* C2: from here on the copy, not the original */
    struct submit_check result = check(cs, c, &s);
    if (result.offence) {
        c->mistrusted = true;
        clients_evict(cs, c, result.offence, result.value);
        return STEP_DONE; /* its leave is next */
    }
    enum step step = submit_message(cs, c, &s);
    if (step == STEP_DONE)
        c->submit.head++; /* C3 */
    return step;
}

static enum step client_step(struct clients *cs, struct client *c)
{
    uint32_t barrier;
    struct membership *operation = next_operation(c, &barrier);
    if (operation && barrier == c->submit.head)
        return send_operation(cs, operation);
    if (c->mistrusted)
        return STEP_NOTHING;
    return c->submit.head != c->submit.tail_seen ? take_submit(cs, c) : STEP_NOTHING;
}

/* cpg_flow_control_state_get: goes back by itself when the queue is taken. */
static void show_congestion(struct client *c)
{
    uint32_t waiting = c->submit.tail_seen - c->submit.head;
    bool congested = waiting >= (c->congested ? CHAN_SUBMIT_COUNT / 2 : CHAN_SUBMIT_COUNT * 3 / 4);
    if (congested == c->congested)
        return;
    c->congested = congested;
    atomic_store_explicit(&c->setup.down->congested, congested, memory_order_relaxed);
}

static enum step client_intake(struct clients *cs, struct client *c, bool *worked)
{
    (void)client_pushed(cs, c);
    uint32_t before = c->submit.head;
    enum step step = STEP_DONE;
    for (int i = 0; i < CLIENTS_BATCH && step == STEP_DONE; i++) {
        step = client_step(cs, c);
        *worked = *worked || step == STEP_DONE;
    }
    if (c->submit.head != before)
        spsc_release(&c->submit);
    if (c->closing)
        client_close_segments(cs, c);
    show_congestion(c);
    return step;
}

static void give_back(struct clients *cs, struct client *c, bool *worked)
{
    uint64_t before = c->outlet.returned, value = 0;
    enum core_offence offence = deliver_done(cs->deliver, &c->outlet, &value);
    if (offence)
        clients_evict(cs, c, offence, value);
    *worked = *worked || c->outlet.returned != before;
}

/* Nothing of it is left to do: its record goes. True: it is gone. */
static bool let_go(struct clients *cs, struct client *c)
{
    uint32_t barrier;
    if (!c->ended || next_operation(c, &barrier))
        return false;
    client_orphan_segments(cs, c);
    cs->by_slot[c->setup.slot] = NULL;
    for (uint32_t i = 0; i < cs->count; i++) {
        if (cs->list[i] == c)
            cs->list[i] = cs->list[cs->count - 1];
    }
    cs->stats->clients = --cs->count;
    cs->post(cs->context,
             &(struct core_event){ .type = CORE_EVENT_ANSWER, .error = CS_OK, .tag = c->end_tag });
    free(c);
    return true;
}

static bool send_sync(struct clients *cs)
{
    bool some = false;
    for (;;) {
        if (cs->sync_bytes == 0)
            cs->sync_bytes = groups_sync_part(cs->groups, cs->sync);
        if (cs->sync_bytes == 0 || submit_control(cs, 0, cs->sync, cs->sync_bytes) != 0)
            return some;
        cs->sync_bytes = 0;
        some = true;
    }
}

static bool returns_and_backlogs(struct clients *cs)
{
    bool worked = false;
    for (uint32_t i = 0; i < cs->count; i++) {
        struct client *c = cs->list[i];
        if (c->outlet.leases_out > 0)
            give_back(cs, c, &worked);
        if (c->outlet.waiting_count > 0)
            deliver_drain(cs->deliver, &c->outlet);
    }
    return worked;
}

static bool submits(struct clients *cs, uint64_t now_ns)
{
    bool worked = false, full = false;
    uint32_t start = cs->next < cs->count ? cs->next : 0;
    cs->next = start + 1;
    for (uint32_t n = 0; n < cs->count && !full; n++) {
        uint32_t at = (start + n) % cs->count;
        bool some = false;
        full = client_intake(cs, cs->list[at], &some) == STEP_FULL;
        worked = worked || some;
        if (full)
            cs->next = some ? at + 1 : at; /* who got nothing goes first next time */
    }
    if (worked || !full)
        cs->full_since_ns = 0;
    else if (cs->full_since_ns == 0)
        cs->full_since_ns = now_ns;
    return worked;
}

bool clients_turn(struct clients *cs, uint64_t now_ns)
{
    bool worked = send_sync(cs);
    worked = returns_and_backlogs(cs) || worked;
    worked = submits(cs, now_ns) || worked;
    clients_settle(cs);
    for (uint32_t i = 0; i < cs->count;) {
        if (let_go(cs, cs->list[i]))
            worked = true;
        else
            i++;
    }
    return (cs->retired && clients_retire(cs)) || worked;
}

bool clients_have_work(struct clients *cs)
{
    for (uint32_t i = 0; i < cs->count; i++) {
        const struct client *c = cs->list[i];
        uint32_t tail = atomic_load_explicit(c->submit.tail_shared, memory_order_acquire);
        uint32_t done = atomic_load_explicit(c->outlet.done.tail_shared, memory_order_acquire);
        if ((!c->mistrusted && tail != c->submit.tail_seen) ||
            (!c->outlet.silent && done != c->outlet.done.head))
            return true;
    }
    return false;
}

bool clients_all_sent(const struct clients *cs)
{
    uint32_t barrier;
    for (uint32_t i = 0; i < cs->count; i++) {
        if (next_operation(cs->list[i], &barrier))
            return false;
    }
    return true;
}
