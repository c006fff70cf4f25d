/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * core_status.c - a snapshot of the core for people.
 */
#include "core_inner.h"

#include <string.h>

static void fill_client(const struct core *core, const struct client *c,
                        struct core_client_status *status)
{
    const struct membership *membership = client_membership(c);
    uint32_t backlog = outlet_backlog(&c->outlet);
    bool owes = backlog > 0 || c->outlet.leases_out > 0;
    *status = (struct core_client_status){
        .slot = c->setup.slot,
        .serial = c->setup.serial,
        .pid = membership ? membership->pid : c->setup.pid,
        .joined = membership && membership->join == JOIN_ORDERED,
        .messages_in = c->messages_in,
        .messages_out = c->outlet.messages,
        .bytes_in = c->bytes_in,
        .bytes_out = c->outlet.bytes,
        .backlog_events = backlog,
        .leases_out = c->outlet.leases_out,
        .stalled_ms = owes ? (core->now_ns - c->progress_ns) / NS_PER_MS : 0,
        .tx_bytes = c->tx_bytes,
    };
    if (membership)
        status->group = membership->name;
}

/* Records come and go with clients and their segments; everything else was made at start. */
static uint64_t record_bytes(const struct clients *cs)
{
    uint64_t segments = cs->spare_count;
    for (uint32_t i = 0; i < cs->count; i++)
        for (int s = 0; s < CHAN_SEGMENT_COUNT; s++)
            segments += cs->list[i]->segment[s] != NULL;
    for (const struct segment *retired = cs->retired; retired; retired = retired->next)
        segments++;
    return cs->count * sizeof(struct client) + segments * sizeof(struct segment);
}

void core_status_fill(const struct core *core, struct core_status *status)
{
    *status = (struct core_status){
        .ring_stats = *ring_stats(core->ring),
        .transport = *core->transport->ops->stats(core->transport),
        .core = core->stats,
        .rx_count = core->rx_pool.count,
        .rx_free = core->rx_pool.free_count,
        .rx_free_least = core->rx_pool.free_least,
        .rx_slot_bytes = core->rx_pool.slot_bytes,
        .tx_count = core->tx_pool.count,
        .tx_free = core->tx_pool.free_count,
        .tx_free_least = core->tx_pool.free_least,
        .tx_slot_bytes = core->tx_pool.slot_bytes,
        .backlog_count = core->deliver.waiting_count,
        .backlog_free = core->deliver.waiting_free,
        .group_count = core->groups.group_count,
        .process_count = core->groups.process_count,
        .private_bytes = core->private_bytes + record_bytes(&core->clients),
        .client_count = min_u32(core->clients.count, CORE_STATUS_CLIENTS_MAX),
    };
    status->counter_count = core->transport->ops->counters(core->transport, status->counter);
    ring_status(core->ring, &status->ring);
    int members = status->ring.member_count;
    INVARIANT(members >= 0 && members <= NODE_COUNT_MAX);
    memcpy(status->ring_members, status->ring.members, (size_t)members * sizeof(uint32_t));
    status->ring.members = status->ring_members; /* not the ring's own memory */
    memcpy(status->rx_held, core->rx_pool.held, sizeof(status->rx_held));
    memcpy(status->tx_held, core->tx_pool.held, sizeof(status->tx_held));
    for (uint32_t i = 0; i < status->client_count; i++)
        fill_client(core, core->clients.list[i], &status->client[i]);
}
