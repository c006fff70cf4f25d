/* SPDX-License-Identifier: BSD-3-Clause */
#include "watch.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

/* A ring of which only what is watched is there. */
static struct ring *gathering(void)
{
    struct ring *r = calloc(1, sizeof(*r));
    r->state = RING_GATHER;
    r->stats.gathers = 1;
    r->gather.my_proc_set = (struct node_set){ { 0x7 } };
    r->gather.my_fail_set = (struct node_set){ { 0x4 } };
    return r;
}

static bool seen(struct watch_ring *w, const struct ring *r, const char *rule)
{
    struct verdict v = { 0 };
    bool good = watch_ring(w, r, &v);
    return !good && strcmp(v.rule, rule) == 0;
}

static bool fine(struct watch_ring *w, const struct ring *r)
{
    struct verdict v = { 0 };
    return watch_ring(w, r, &v);
}

Test(watch, a_fail_set_that_shrinks_is_seen)
{
    struct watch_ring w = { 0 };
    struct ring *r = gathering();
    cr_assert(fine(&w, r));
    set_add(&r->gather.my_fail_set, 1);
    cr_assert(fine(&w, r), "it grows");
    set_remove(&r->gather.my_fail_set, 2);
    cr_expect(seen(&w, r, "sets"));
    free(r);
}

Test(watch, a_proc_set_that_shrinks_is_seen)
{
    struct watch_ring w = { 0 };
    struct ring *r = gathering();
    cr_assert(fine(&w, r));
    set_remove(&r->gather.my_proc_set, 1);
    cr_expect(seen(&w, r, "sets"));
    free(r);
}

Test(watch, another_gathering_begins_anew)
{
    struct watch_ring w = { 0 };
    struct ring *r = gathering();
    cr_assert(fine(&w, r));
    r->stats.gathers++;
    r->gather.my_proc_set = set_of(0);
    r->gather.my_fail_set = (struct node_set){ { 0 } };
    cr_expect(fine(&w, r));
    r->state = RING_OPERATIONAL;
    r->gather.my_proc_set = (struct node_set){ { 0 } };
    cr_expect(fine(&w, r));
    free(r);
}

static struct ring *owing(struct watch_ring *w)
{
    struct ring *r = gathering();
    r->state = RING_RECOVERY;
    r->my_received_flag = true;
    r->my_deliver_memb = (struct node_set){ { 0x7 } };
    *w = (struct watch_ring){ 0 };
    cr_assert(fine(w, r));
    r->state = RING_GATHER;
    cr_assert(fine(w, r), "the debt of a recovery that failed stands");
    r->state = RING_RECOVERY;
    return r;
}

Test(watch, V2_a_debt_that_is_forgotten_is_seen)
{
    struct watch_ring w;
    struct ring *r = owing(&w);
    set_remove(&r->my_deliver_memb, 2);
    cr_expect(seen(&w, r, "debt"));
    free(r);
    r = owing(&w);
    r->my_received_flag = false;
    cr_expect(seen(&w, r, "debt"));
    free(r);
}

Test(watch, V2_a_debt_ends_with_a_ring_that_is_installed)
{
    struct watch_ring w;
    struct ring *r = owing(&w);
    r->stats.configurations++;
    r->my_received_flag = false;
    r->my_deliver_memb = set_of(0);
    cr_expect(fine(&w, r));
    free(r);
}

/* One client of a core, and its queue full. */
struct scene {
    struct config config;
    struct core *core;
    struct client *client;
    _Atomic uint32_t read;
    struct watch_slow watch;
    uint64_t now_ns;
};

static struct scene *full_queue(enum slow_policy policy)
{
    struct scene *s = calloc(1, sizeof(*s));
    s->core = calloc(1, sizeof(*s->core));
    s->client = calloc(1, sizeof(*s->client));
    s->config =
        (struct config){ .slow_policy = policy, .slow_client_ms = 200, .client_events_max = 10 };
    s->core->config = &s->config;
    s->core->client_frames_max = 100;
    s->core->clients.by_slot[3] = s->client;
    s->client->outlet.event_head = &s->read;
    s->client->outlet.waiting_count = 10;
    s->now_ns = NS_PER_S;
    return s;
}

static void scene_free(struct scene *s)
{
    free(s->client);
    free(s->core);
    free(s);
}

/* Look once a millisecond for so long; it reads one event every `reads_ms`, 0: none. */
static bool fine_for(struct scene *s, uint64_t ms, uint64_t reads_ms)
{
    struct verdict v = { 0 };
    for (uint64_t i = 1; i <= ms; i++) {
        s->now_ns += NS_PER_MS;
        s->read += reads_ms > 0 && i % reads_ms == 0;
        if (!watch_slow(&s->watch, s->core, s->now_ns, &v)) {
            cr_expect(eq(str, v.rule, (char *)"laggard"));
            return false;
        }
    }
    return true;
}

Test(watch, a_client_that_stops_all_and_stays_is_seen)
{
    struct scene *s = full_queue(SLOW_BLOCK);
    cr_assert(fine_for(s, 200, 0), "so long it may");
    cr_expect(not(fine_for(s, 100, 0)));
    scene_free(s);
    s = full_queue(SLOW_BLOCK);
    s->client->outlet.waiting_count = 0;
    cr_assert(fine_for(s, 1000, 0), "it stops nobody");
    s->client->outlet.frames_out = 100;
    cr_expect(not(fine_for(s, 300, 0)), "of frames it has too many");
    scene_free(s);
}

Test(watch, who_moves_or_is_gone_is_no_laggard)
{
    struct scene *s = full_queue(SLOW_BLOCK);
    cr_expect(fine_for(s, 1000, 150), "it reads");
    s->client->outlet.silent = true;
    cr_expect(fine_for(s, 1000, 0), "it is evicted");
    scene_free(s);
    s = full_queue(SLOW_EVICT);
    cr_expect(fine_for(s, 1000, 0), "under another policy others look to that");
    scene_free(s);
}

Test(watch, time_in_which_the_node_stood_still_does_not_count)
{
    struct scene *s = full_queue(SLOW_BLOCK);
    cr_assert(fine_for(s, 200, 0));
    s->now_ns += NS_PER_S;
    cr_expect(fine_for(s, 200, 0));
    scene_free(s);
}

Test(watch, two_large_messages_under_way_at_once_are_seen)
{
    struct verdict v = { 0 };
    struct core *core = calloc(1, sizeof(*core));
    struct config config = { .node_id = 1 };
    core->config = &config;
    core->groups.node_count = 3;
    core->deliver.partial[0].bytes = RING_BULK_FREE_BYTES + 1;
    core->deliver.partial[2].bytes = RING_BULK_FREE_BYTES;
    cr_expect(watch_large(core, &v), "the second may be one that needs no permission");
    core->deliver.partial[2].bytes++;
    cr_expect(not(watch_large(core, &v)));
    cr_expect(eq(str, v.rule, (char *)"large"));
    free(core);
}

Test(watch, a_ring_that_counts_on_what_is_not_written_is_seen)
{
    struct verdict v = { 0 };
    struct ring *r = calloc(1, sizeof(*r));
    r->persisted = 1028;
    cr_expect(watch_disk(r, 1028, &v));
    cr_expect(not(watch_disk(r, 1027, &v)));
    cr_expect(eq(str, v.rule, (char *)"disk"));
    free(r);
}
