/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_CLIENT_FAKE_INTERNAL_H
#define TESTS_CLIENT_FAKE_INTERNAL_H

/* fake_internal.h - what the parts of the fake service share. All of it under the lock. */

#include <pthread.h>

#include "fake.h"

enum {
    CLIENTS_MAX = 1024,
    RX_BYTES = 4 << 20,
    RX_SLOT_BYTES = 16 * 1024,
    RX_SLOTS = RX_BYTES / RX_SLOT_BYTES,
    RECORDS = 4096,
    NO_SLOT = -1,
};

/* A message in a segment, until nobody needs it. */
struct record {
    uint64_t end;
    uint32_t refs;
};

struct tx {
    struct zcb_arena arena; /* bytes == 0: none */
    uint64_t taken_end;
    bool closing;     /* its client gave it back */
    uint32_t barrier; /* submits before this may still name it */
    uint32_t head, tail;
    struct record record[RECORDS];
};

struct lease {
    bool out;
    int slot;      /* in the RX arena; NO_SLOT */
    struct tx *tx; /* with record */
    uint32_t record;
};

struct client {
    bool open; /* its connection is */
    uint32_t number;
    int control, wake;
    struct zcb_arena up, down;
    struct wake_page *wake_page;
    struct spsc_consumer submit, done;
    struct spsc_producer events;
    bool joined;
    struct cpg_name group;
    struct tx *tx[CHAN_SEGMENT_COUNT];
    struct lease lease[CHAN_LEASE_COUNT];
    uint32_t flags;
};

struct fake {
    pthread_mutex_t lock;
    pthread_t thread;
    char directory[64];
    int listener;
    int bell[2]; /* the test's own way to wake the thread */
    bool dead, paused;
    uint32_t split_bytes;
    uint64_t segment_limit;
    cs_error_t refuse[16];
    uint32_t requests[16];
    uint32_t offences;
    uint32_t last_arena;
    struct zcb_arena rx, core_arena;
    struct chan_core *core;
    bool rx_used[RX_SLOTS];
    struct client *client[CLIENTS_MAX];
    uint32_t client_count;
};

/* fake_core.c: queues. */
bool core_turn(struct fake *f); /* whether anything was done */
bool core_view(struct fake *f, const struct client *who, uint32_t reason);
bool core_can_tell(struct fake *f, const struct client *c);
bool core_push(struct client *c, const struct chan_event *event);
int core_slot(struct fake *f);
bool core_push_slot(struct fake *f, struct client *c, struct chan_event event, int slot);
void core_free_tx(struct client *c, uint32_t index);

/* fake_control.c: requests. */
void control_accept(struct fake *f);
void control_request(struct fake *f, struct client *c);
void control_close(struct fake *f, struct client *c);

static inline bool same_group(const struct client *a, const struct client *b)
{
    return a->joined && b->joined && a->group.length == b->group.length &&
           __builtin_memcmp(a->group.value, b->group.value, a->group.length) == 0;
}

#endif
