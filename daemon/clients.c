/* SPDX-License-Identifier: BSD-3-Clause */
#include "clients_inner.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "corosync/corotypes.h"

static_assert(offsetof(struct client, outlet) == 0, "client_outlet()");

int clients_create(struct clients *cs, uint32_t clients_max, const struct zcb_arena *control)
{
    INVARIANT(clients_max <= PORT_SLOTS && control->bytes == CONTROL_BYTES);
    *cs = (struct clients){ .clients_max = clients_max };
    cs->list = calloc(clients_max, sizeof(*cs->list));
    if (!cs->list)
        return -ENOMEM;
    segment_init(&cs->control, control, NULL);
    while (cs->spare_count < SPARE_SEGMENTS) {
        struct segment *segment = malloc(sizeof(*segment));
        if (!segment) {
            clients_destroy(cs);
            return -ENOMEM;
        }
        clients_record_keep(cs, segment);
    }
    return 0;
}

static void free_list(struct segment *segment)
{
    for (struct segment *next; segment; segment = next) {
        next = segment->next;
        free(segment);
    }
}

void clients_destroy(struct clients *cs)
{
    for (uint32_t i = 0; i < cs->count; i++) {
        struct client *c = cs->list[i];
        for (int s = 0; s < CHAN_SEGMENT_COUNT; s++)
            free(c->segment[s]);
        free(c);
    }
    free_list(cs->retired);
    free_list(cs->spare);
    free(cs->list);
    *cs = (struct clients){ 0 };
}

struct client *clients_find(const struct clients *cs, uint32_t slot)
{
    return slot < cs->clients_max ? cs->by_slot[slot] : NULL;
}

uint32_t clients_add(struct clients *cs, const struct core_client_setup *setup)
{
    if (setup->slot >= cs->clients_max || cs->by_slot[setup->slot])
        return CS_ERR_INVALID_PARAM;
    struct client *c = aligned_alloc(CACHE_LINE_BYTES, align_up(sizeof(*c), CACHE_LINE_BYTES));
    if (!c)
        return CS_ERR_NO_MEMORY;
    memset(c, 0, sizeof(*c));
    c->setup = *setup;
    c->first_ring_due = setup->flags & CTL_HELLO_FIRST_RING;
    c->opened_in_change = cs->groups->exchange.changing;
    outlet_init(&c->outlet, c, setup);
    spsc_consumer_init(&c->submit, setup->up->submit, sizeof(struct chan_submit), CHAN_SUBMIT_COUNT,
                       &setup->up->words.submit_tail, &setup->down->submit_head);
    cs->by_slot[setup->slot] = c;
    cs->list[cs->count++] = c;
    cs->stats->clients = cs->count;
    return CS_OK;
}

bool client_sees_change(struct client *c)
{
    bool begins = c->opened_in_change || c->membership_count > 0;
    c->opened_in_change = false;
    if (!(c->setup.flags & CTL_HELLO_WANT_RINGS) || (c->first_ring_due && !c->saw_ring && begins))
        return false;
    c->saw_ring = true;
    return true;
}

const struct membership *client_membership(const struct client *c)
{
    if (c->membership_count == 0)
        return NULL;
    const struct membership *last = &c->membership[c->membership_count - 1];
    return last->leave == LEAVE_NONE ? last : NULL;
}

static struct membership *find_port(struct client *c, uint32_t port)
{
    for (uint32_t i = 0; i < c->membership_count; i++) {
        if (c->membership[i].port == port)
            return &c->membership[i];
    }
    return NULL;
}

uint32_t client_pushed(struct clients *cs, struct client *c)
{
    if (c->mistrusted)
        return c->submit.head;
    int waiting = spsc_waiting(&c->submit);
    if (waiting >= 0)
        return c->submit.tail_seen;
    c->mistrusted = true;
    clients_evict(cs, c, CORE_OFFENCE_SUBMIT_TAIL,
                  atomic_load_explicit(c->submit.tail_shared, memory_order_relaxed));
    return c->submit.head;
}

/* Is another handle of this process in this group, or on its way in or out? */
static uint32_t conflict(const struct clients *cs, const struct client *c, uint32_t pid,
                         const struct core_name *name)
{
    for (uint32_t i = 0; i < cs->count; i++) {
        const struct client *other = cs->list[i];
        for (uint32_t m = 0; other != c && m < other->membership_count; m++) {
            const struct membership *membership = &other->membership[m];
            if (membership->pid == pid && membership->name.bytes == name->bytes &&
                memcmp(membership->name.value, name->value, name->bytes) == 0)
                return membership->leave == LEAVE_NONE ? CS_ERR_EXIST : CS_ERR_TRY_AGAIN;
        }
    }
    /* One whose record is gone already, and whose departure is not ordered yet. */
    const struct member *member = groups_find_own(cs->groups, name, pid);
    if (member && port_slot(member->port) != c->setup.slot && !member->local)
        return CS_ERR_TRY_AGAIN;
    return CS_OK;
}

static uint32_t next_port(struct clients *cs, uint32_t slot)
{
    uint32_t *generation = &cs->generation[slot];
    *generation = *generation % PORT_GENERATION_MAX + 1;
    cs->in_flight[slot]++;
    return port_make(slot, *generation);
}

uint32_t clients_join(struct clients *cs, uint32_t slot, uint32_t pid, const struct core_name *name)
{
    struct client *c = clients_find(cs, slot);
    if (!c || name->bytes > CTL_NAME_BYTES)
        return CS_ERR_INVALID_PARAM;
    if (c->leaving)
        return CS_ERR_TRY_AGAIN;
    if (client_membership(c))
        return CS_ERR_EXIST;
    uint32_t error = conflict(cs, c, pid, name);
    if (error != CS_OK)
        return error;
    if (c->membership_count == CLIENT_MEMBERSHIPS || cs->in_flight[slot] >= CLIENTS_IN_FLIGHT_MAX)
        return CS_ERR_TRY_AGAIN;
    uint32_t barrier = client_pushed(cs, c);
    if (c->leaving)
        return CS_ERR_TRY_AGAIN;
    c->membership[c->membership_count++] = (struct membership){
        .port = next_port(cs, slot),
        .pid = pid,
        .join_barrier = barrier,
        .name = *name,
    };
    return CS_OK;
}

static void leave(struct clients *cs, struct client *c, enum leave_reason reason)
{
    uint32_t barrier = client_pushed(cs, c);
    if (!client_membership(c))
        return; /* that look evicted it */
    struct membership *membership = &c->membership[c->membership_count - 1];
    membership->leave = LEAVE_WAITING;
    membership->reason = reason;
    membership->leave_barrier = barrier;
}

uint32_t clients_leave(struct clients *cs, uint32_t slot)
{
    struct client *c = clients_find(cs, slot);
    if (!c || !client_membership(c))
        return CS_ERR_NOT_EXIST;
    leave(cs, c, REASON_LEAVE);
    return CS_OK;
}

/* No more from this client; what it has sent goes out, then PROCDOWN. */
static void take_leave(struct clients *cs, struct client *c)
{
    if (c->leaving)
        return;
    c->leaving = true;
    if (client_membership(c))
        leave(cs, c, REASON_PROCDOWN);
}

void clients_evict(struct clients *cs, struct client *c, enum core_offence offence, uint64_t value)
{
    if (c->outlet.silent)
        return;
    enum chan_state state = offence == CORE_OFFENCE_SLOW ? CHAN_EVICTED_SLOW : CHAN_EVICTED_RULES;
    /* Told before anything it may be reading is let go of: it asks behind each copy. */
    atomic_store_explicit(&c->setup.down->state, state, memory_order_release);
    atomic_thread_fence(memory_order_seq_cst);
    deliver_silence(cs->deliver, &c->outlet);
    c->condemned = true;
    c->mistrusted = c->mistrusted || state == CHAN_EVICTED_RULES;
    take_leave(cs, c);
    cs->stats->offence[offence]++;
    if (state == CHAN_EVICTED_SLOW)
        cs->stats->clients_evicted_slow++;
    else
        cs->stats->clients_evicted_rules++;
    if (!c->ended)
        cs->post(cs->context, &(struct core_event){ .type = CORE_EVENT_EVICT,
                                                    .slot = c->setup.slot,
                                                    .error = state,
                                                    .arg = offence,
                                                    .arg64 = value });
}

void clients_settle(struct clients *cs)
{
    for (uint32_t i = 0; i < cs->count; i++) {
        struct client *c = cs->list[i];
        if (!c->condemned)
            continue;
        c->condemned = false;
        for (uint32_t m = 0; m < c->membership_count; m++)
            groups_forget(cs->groups, c->membership[m].port);
    }
}

bool clients_end(struct clients *cs, uint32_t slot, uint64_t tag)
{
    struct client *c = clients_find(cs, slot);
    if (!c)
        return false;
    c->ended = true;
    c->end_tag = tag;
    deliver_silence(cs->deliver, &c->outlet);
    c->condemned = true;
    take_leave(cs, c);
    clients_settle(cs);
    return true;
}

void clients_stop(struct clients *cs)
{
    cs->stopping = true;
    for (uint32_t i = 0; i < cs->count; i++) {
        struct client *c = cs->list[i];
        atomic_store_explicit(&c->setup.down->state, CHAN_CLOSED, memory_order_release);
        take_leave(cs, c);
    }
}

struct client *clients_joined(struct clients *cs, uint32_t port)
{
    struct client *c = clients_find(cs, port_slot(port));
    struct membership *membership = c ? find_port(c, port) : NULL;
    if (!membership)
        return NULL;
    membership->join = JOIN_ORDERED;
    return c->outlet.silent ? NULL : c;
}

static void drop_old_memberships(struct client *c)
{
    uint32_t over = 0;
    while (over < c->membership_count && c->membership[over].over)
        over++;
    c->membership_count -= over;
    memmove(c->membership, c->membership + over, c->membership_count * sizeof(c->membership[0]));
}

void clients_left(struct clients *cs, uint32_t port, bool refused)
{
    uint32_t slot = port_slot(port);
    struct client *c = clients_find(cs, slot);
    struct membership *membership = c ? find_port(c, port) : NULL;
    if (refused) { /* its leave will come as well */
        if (c && membership)
            clients_evict(cs, c, CORE_OFFENCE_NONE, port);
        return;
    }
    if (cs->in_flight[slot] > 0)
        cs->in_flight[slot]--;
    if (!membership)
        return;
    membership->over = true;
    drop_old_memberships(c);
}
