/* SPDX-License-Identifier: BSD-3-Clause */
#include "status.h"

#include <jansson.h>
#include <string.h>
#include <unistd.h>

#include "ask.h"
#include "blackbox.h"
#include "capture.h"
#include "connection.h"
#include "handle.h"

static void set_number(json_t *object, const char *key, uint64_t value)
{
    json_object_set_new(object, key, json_integer((json_int_t)value));
}

static void set_text(json_t *object, const char *key, const char *value)
{
    json_object_set_new(object, key, json_string(value));
}

/* Group names are any bytes: those that JSON text cannot hold are written as \xNN, a backslash
 * twice. */
static json_t *name_text(const uint8_t *name, uint32_t bytes)
{
    char text[4 * CTL_NAME_BYTES + 1];
    size_t at = 0;
    for (uint32_t i = 0; i < bytes && i < CTL_NAME_BYTES; i++) {
        if (name[i] == '\\')
            at += (size_t)sprintf(text + at, "\\\\");
        else if (name[i] >= 0x20 && name[i] < 0x7f)
            text[at++] = (char)name[i];
        else
            at += (size_t)sprintf(text + at, "\\x%02x", name[i]);
    }
    text[at] = 0;
    return json_string(text);
}

static json_t *ring_object(const struct core_status *s)
{
    json_t *ring = json_object(), *id = json_object(), *members = json_array();
    set_text(ring, "state", ring_state_name[s->ring.state]);
    set_number(id, "nodeid", s->ring.ring_id.rep);
    set_number(id, "seq", s->ring.ring_id.seq);
    json_object_set_new(ring, "id", id);
    for (int i = 0; i < s->ring.member_count && i < NODE_COUNT_MAX; i++)
        json_array_append_new(members, json_integer(s->ring_members[i]));
    json_object_set_new(ring, "members", members);
    set_number(ring, "aru", s->ring.aru);
    set_number(ring, "seq", s->ring.seq);
    set_number(ring, "safe_seq", s->ring.safe_seq);
    json_object_set_new(ring, "rotation_us", json_real((double)s->ring.rotation_ns / NS_PER_US));
    set_number(ring, "window_frames", s->ring.window_frames);
    set_number(ring, "personal_frames", s->ring.personal_frames);
    set_number(ring, "backlog_frames", s->ring.backlog_frames);
    json_object_set_new(ring, "parked_here", json_boolean(s->ring.parked_here));
    return ring;
}

/* Entries of one group stand one behind the other. */
static json_t *groups_array(const struct ctl_iteration_entry *entries, uint32_t count)
{
    json_t *groups = json_array(), *members = NULL;
    for (uint32_t i = 0; i < count; i++) {
        const struct ctl_iteration_entry *e = &entries[i], *before = i ? e - 1 : NULL;
        if (!before || before->name_bytes != e->name_bytes ||
            memcmp(before->name, e->name, min_u32(e->name_bytes, CTL_NAME_BYTES)) != 0) {
            json_t *group = json_object();
            members = json_array();
            json_object_set_new(group, "name", name_text(e->name, e->name_bytes));
            set_number(group, "name_bytes", e->name_bytes);
            json_object_set_new(group, "members", members);
            json_array_append_new(groups, group);
        }
        json_t *member = json_object();
        set_number(member, "nodeid", e->nodeid);
        set_number(member, "pid", e->pid);
        json_array_append_new(members, member);
    }
    return groups;
}

static json_t *client_object(const struct core_client_status *s)
{
    json_t *client = json_object();
    set_number(client, "serial", s->serial);
    set_number(client, "pid", s->pid);
    json_object_set_new(client, "group",
                        s->joined ? name_text(s->group.value, s->group.bytes) : json_null());
    set_number(client, "messages_in", s->messages_in);
    set_number(client, "messages_out", s->messages_out);
    set_number(client, "bytes_in", s->bytes_in);
    set_number(client, "bytes_out", s->bytes_out);
    set_number(client, "backlog_events", s->backlog_events);
    set_number(client, "leases_out", s->leases_out);
    set_number(client, "stalled_ms", s->stalled_ms);
    set_number(client, "tx_bytes", s->tx_bytes);
    return client;
}

static json_t *clients_array(const struct core_status *s)
{
    json_t *clients = json_array();
    for (uint32_t i = 0; i < s->client_count && i < CORE_STATUS_CLIENTS_MAX; i++)
        json_array_append_new(clients, client_object(&s->client[i]));
    return clients;
}

/* A struct of nothing but 64-bit counters, and what they are called. */
static json_t *counters(const void *values, const char *const *names, size_t count)
{
    json_t *object = json_object();
    for (size_t i = 0; i < count; i++)
        set_number(object, names[i], ((const uint64_t *)values)[i]);
    return object;
}

#define COUNTERS(object, names)    \
    (counters(&(object), names,    \
              ARRAY_COUNT(names) + \
                  0 * sizeof(char[ARRAY_COUNT(names) * 8 == sizeof(object) ? 1 : -1])))

static json_t *ring_counters(const struct core_status *s)
{
    static const char *const names[] = {
        "rotations",        "tokens_received",  "tokens_retransmitted", "tokens_duplicate",
        "tokens_parked",    "frames_sent",      "frames_resent",        "frames_received",
        "frames_duplicate", "bytes_sent",       "messages_sent",        "pieces_sent",
        "frames_delivered", "rtr_asked",        "rtr_answered",         "gathers",
        "configurations",   "frames_recovered", "bulk_restarts",        "rx_malformed",
        "rx_foreign",       "rx_stale",         "rx_version",           "rx_frame_size",
        "rx_no_room",       "flow_limited",
    };
    return COUNTERS(s->ring_stats, names);
}

static json_t *transport_counters(const struct core_status *s)
{
    static const char *const names[] = {
        "rx_frames",     "rx_bytes", "tx_frames",         "tx_bytes",
        "rx_calls",      "tx_calls", "rx_unknown_source", "rx_too_long",
        "rx_pool_empty", "tx_again", "tx_errors",         "unreachable_peers",
    };
    json_t *all = COUNTERS(s->transport, names);
    for (int i = 0; i < s->counter_count; i++)
        set_number(all, s->counter[i].name, s->counter[i].value);
    return all;
}

static json_t *core_counters(const struct core_stats *s)
{
    json_t *core = json_object(), *offences = json_object();
    set_number(core, "turns", s->turns);
    set_number(core, "turns_idle", s->turns_idle);
    set_number(core, "away", s->away);
    set_number(core, "away_us_most", s->away_ns_most / NS_PER_US);
    set_number(core, "sleeps", s->sleeps);
    set_number(core, "wakes_sent", s->wakes_sent);
    set_number(core, "clients", s->clients);
    set_number(core, "clients_evicted_slow", s->clients_evicted_slow);
    set_number(core, "clients_evicted_rules", s->clients_evicted_rules);
    set_number(core, "messages_in", s->messages_in);
    set_number(core, "bytes_in", s->bytes_in);
    set_number(core, "messages_out", s->messages_out);
    set_number(core, "bytes_out", s->bytes_out);
    set_number(core, "views_out", s->views_out);
    set_number(core, "ring_events_out", s->ring_events_out);
    set_number(core, "unknown_sender", s->unknown_sender);
    set_number(core, "pieces_void", s->pieces_void);
    set_number(core, "groups_malformed", s->groups_malformed);
    set_number(core, "backlog_events", s->backlog_events);
    set_number(core, "backlog_events_max", s->backlog_events_max);
    set_number(core, "frames_captured", s->frames_captured);
    for (int i = 1; i < CORE_OFFENCES; i++)
        set_number(offences, core_offence_name[i], s->offence[i]);
    json_object_set_new(core, "offences", offences);
    return core;
}

static json_t *counters_object(const struct control *c, const struct core_status *s)
{
    json_t *all = json_object(), *control = json_object();
    json_object_set_new(all, "ring", ring_counters(s));
    json_object_set_new(all, "transport", transport_counters(s));
    json_object_set_new(all, "core", core_counters(&s->core));
    set_number(control, "connections", c->connection_count);
    set_number(control, "handles", c->handle_count);
    set_number(control, "handles_ever", c->last_serial);
    set_number(control, "callers_refused", c->refused_count);
    set_number(control, "ring_seq_reserved", c->state->ring_seq);
    set_number(control, "starts", c->state->starts);
    set_number(control, "state_errno", (uint64_t)c->state->failing);
    json_object_set_new(all, "control", control);
    return all;
}

static json_t *held_object(const uint64_t held[ZCB_HOLDERS])
{
    json_t *object = json_object();
    for (int i = 0; i < ZCB_HOLDERS; i++)
        set_number(object, zcb_holder_name[i], held[i]);
    return object;
}

static json_t *pool_object(uint64_t bytes, uint32_t slot_bytes, uint32_t count, uint32_t free_now,
                           uint32_t free_least, const uint64_t held[ZCB_HOLDERS])
{
    json_t *pool = json_object();
    set_number(pool, "bytes", bytes);
    set_number(pool, "slot_bytes", slot_bytes);
    set_number(pool, "slots", count);
    set_number(pool, "free", free_now);
    set_number(pool, "free_least", free_least);
    json_object_set_new(pool, "held", held_object(held));
    return pool;
}

static uint64_t resident_bytes(void)
{
    unsigned long long size = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file)
        return 0;
    if (fscanf(file, "%llu %llu", &size, &resident) != 2)
        resident = 0;
    fclose(file);
    return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static json_t *part_object(uint64_t bytes, uint64_t count, uint64_t bytes_max)
{
    json_t *part = json_object();
    set_number(part, "bytes", bytes);
    set_number(part, "count", count);
    if (bytes_max)
        set_number(part, "bytes_max", bytes_max);
    return part;
}

/* What this thread keeps for itself: records, and the black box. */
static uint64_t control_bytes(const struct control *c)
{
    return sizeof(struct blackbox) + c->config->clients_max * sizeof(c->handles[0]) +
           c->handle_count * sizeof(struct handle) +
           c->connection_count * sizeof(struct connection) +
           c->resources->segment_count * sizeof(struct tx_segment);
}

/* J1 */
static json_t *memory_object(const struct control *c, const struct core_status *s)
{
    const struct resources *r = c->resources;
    json_t *memory = json_object();
    json_t *rx = pool_object(r->rx.bytes, s->rx_slot_bytes, s->rx_count, s->rx_free,
                             s->rx_free_least, s->rx_held);
    set_number(rx, "page_bytes", r->rx.page_bytes);
    json_object_set_new(memory, "rx", rx);
    json_object_set_new(memory, "tx_segments",
                        part_object(r->tx_bytes + r->tx_own_bytes, r->segment_count,
                                    c->config->tx_total_bytes + tx_own_bytes_max(r)));
    json_object_set_new(memory, "channels", part_object(r->channel_bytes, r->channel_count, 0));
    json_object_set_new(memory, "core_page", part_object(r->core_page.bytes, 1, 0));
    json_object_set_new(memory, "tape", part_object(capture_bytes(c), c->capture != NULL, 0));
    /* The heads' slots are part of what the core has for itself. */
    json_t *private = part_object(s->private_bytes, 1, 0);
    json_object_set_new(private, "tx_heads",
                        pool_object((uint64_t)s->tx_count * s->tx_slot_bytes, s->tx_slot_bytes,
                                    s->tx_count, s->tx_free, s->tx_free_least, s->tx_held));
    json_object_set_new(private, "waiting_events",
                        json_pack("{s:I,s:I}", "count", (json_int_t)s->backlog_count, "free",
                                  (json_int_t)s->backlog_free));
    json_object_set_new(memory, "core_private", private);
    json_object_set_new(memory, "control_private", part_object(control_bytes(c), 1, 0));
    set_number(memory, "total_bytes",
               r->rx.bytes + r->tx_bytes + r->tx_own_bytes + r->channel_bytes + r->core_page.bytes +
                   capture_bytes(c) + s->private_bytes + control_bytes(c));
    set_number(memory, "rss_bytes", resident_bytes());
    return memory;
}

/* A processor or a NUMA node; less than 0: none, or not one. */
static void set_place(json_t *object, const char *key, int number)
{
    json_object_set_new(object, key, number < 0 ? json_null() : json_integer(number));
}

static json_t *poll_object(const struct control *c)
{
    const struct resources *r = c->resources;
    json_t *poll = json_object();
    set_text(poll, "policy", poll_policy_name[c->config->poll]);
    json_object_set_new(poll, "spins", json_boolean(c->config->spins));
    set_text(poll, "woken_by", core_transport_caps(c->core)->woken_by);
    set_place(poll, "cpu", c->config->poll_cpu);
    json_object_set_new(poll, "pinned", json_boolean(core_is_pinned(c->core)));
    set_place(poll, "cpu_node", r->place.cpu_node);
    set_place(poll, "port_node", r->place.port_node);
    set_place(poll, "memory_node", place_of(r->rx.base, r->rx.bytes));
    return poll;
}

char *status_json(const struct control *c, const struct core_status *status,
                  const struct ctl_iteration_entry *entries, uint32_t entry_count)
{
    json_t *all = json_object();
    set_text(all, "version", SYNCHROTRON_VERSION);
    set_number(all, "node_id", c->config->node_id);
    set_text(all, "cluster_name", c->config->cluster_name);
    set_number(all, "pid", (uint64_t)getpid());
    set_text(all, "transport", c->config->transport);
    json_object_set_new(all, "ring", ring_object(status));
    set_number(all, "group_count", status->group_count);
    set_number(all, "process_count", status->process_count);
    json_object_set_new(all, "groups", groups_array(entries, entry_count));
    set_number(all, "client_count", status->client_count);
    json_object_set_new(all, "clients", clients_array(status));
    json_object_set_new(all, "counters", counters_object(c, status));
    json_object_set_new(all, "memory", memory_object(c, status));
    json_object_set_new(all, "poll", poll_object(c));
    char *text = json_dumps(all, JSON_COMPACT);
    json_decref(all);
    return text;
}
