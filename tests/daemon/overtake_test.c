/* SPDX-License-Identifier: BSD-3-Clause */
#include "crowd.h"
#include "internal.h"

/*
 * A node with a link to each of two others, as on memif: what came over one is given before what
 * waits in the other, as far as the burst goes.
 */

enum { ALL = 14, LINKED = 3, MESSAGES = 3000, QUEUE = 4096 };

static struct transport_ops linked;
static struct zcb *queue[CROWD_NODES + 1][QUEUE]; /* by sender */
static uint32_t first[CROWD_NODES + 1], end[CROWD_NODES + 1];
static uint32_t full_with_token;

static void fill_queues(struct transport *tp)
{
    struct zcb *frames[RING_BURST];
    int count;
    while ((count = transport_sim.rx_burst(tp, frames, RING_BURST)) > 0) {
        for (int i = 0; i < count; i++)
            queue[frames[i]->from][end[frames[i]->from]++ % QUEUE] = frames[i];
    }
}

static int take_by_links(struct transport *tp, struct zcb **frames, int most)
{
    static const uint32_t order[] = { 2, 1 };
    int count = 0;
    bool token = false;
    fill_queues(tp);
    for (size_t i = 0; i < ARRAY_COUNT(order); i++) {
        uint32_t from = order[i];
        while (count < most && first[from] != end[from]) {
            frames[count] = queue[from][first[from]++ % QUEUE];
            token = ring_is_token(frames[count++]) || token;
        }
    }
    full_with_token += token && first[1] != end[1];
    /* Slow, so that the token comes round sooner than it has read what came with it before. */
    world_pause(&world, LINKED, world.now_ns + 200 * NS_PER_US);
    return count;
}

static void three(void)
{
    crowd_open(3);
    CROWD_UNTIL(crowd_is_one(ALL));
    struct ring *ring = world.node[1].core->ring;
    ring->config.window_frames = 1024;
    ring->config.personal_frames = 256;
    flow_reset(ring);
    linked = transport_sim;
    linked.rx_burst = take_by_links;
    world.node[LINKED].core->transport->ops = &linked;
    world.node[LINKED].core->caps.overtakes = true;
}

TestSuite(overtake, .init = three, .fini = crowd_close, .timeout = 120);

Test(overtake, a_token_waits_for_frames_of_other_links_that_it_tells_of)
{
    struct crowd_client *sender = crowd_client(1, 0, 10, 0), *reader = crowd_client(3, 0, 30, 0);
    char text[1201] = "";
    memset(text, 'x', sizeof(text) - 1);
    crowd_join(sender, "g");
    crowd_join(reader, "g");
    for (uint32_t sent = 0; sent < MESSAGES;) {
        if (crowd_send(sender, text))
            sent++;
        else
            crowd_step(NS_PER_MS);
    }
    CROWD_UNTIL(reader->messages == MESSAGES);
    cr_assert(lt(u32, 10, full_with_token), "nothing was overtaken");
    cr_assert(zero(u64, ring_stats(world.node[LINKED].core->ring)->rtr_asked));
}
