/* SPDX-License-Identifier: BSD-3-Clause */
/* core_many_test.c - what many nodes ask of memory, and of each other. */
#include "crowd.h"

static void nine(void)
{
    crowd_open_for(9, 1 << 20);
    CROWD_UNTIL(crowd_is_one(0x3fe));
}

TestSuite(core_nine, .init = nine, .fini = crowd_finish, .timeout = 120);

static void members_of_nine(struct crowd_client *c[10])
{
    for (uint32_t id = 1; id <= 9; id++) {
        c[id] = crowd_client(id, 0, 10 + id, 0);
        crowd_join(c[id], "g");
    }
    CROWD_UNTIL(crowd_says(c[1], " 9/19\n"));
}

/* Else it would never be whole, and nothing come any more. */
static void messages_fit(struct config *config)
{
    uint64_t bytes =
        core_rx_bytes(&(struct core_config){ .config = config, .transport = &transport_sim });
    uint32_t frame = (config->netmtu - 28) / 8 * 8, slot = (frame + 63) / 64 * 64;
    uint64_t slots = bytes / slot, reserve = min_u64(slots / 16, CORE_RX_RESERVE_MAX);
    uint64_t all_bytes = config->message_bytes_max + (uint64_t)(config->node_count - 1) *
                                                         ring_bulk_free_bytes(config->node_count);
    uint64_t pieces = all_bytes / ring_piece_bytes(frame) + 1;
    uint64_t lists = pieces * sizeof(struct chan_piece) / (slot - sizeof(struct chan_list)) + 1;
    cr_assert(ge(u64, slots, pieces + lists + reserve + 100), "netmtu %u, %d nodes", config->netmtu,
              config->node_count);
    if (config->netmtu >= 1280 && config->netmtu <= 9000 && config->node_count <= 16)
        cr_assert(eq(u64, bytes, config->rx_bytes), "%u, %d nodes", config->netmtu,
                  config->node_count);
}

Test(core_memory, one_message_of_the_largest_size_fits_beside_the_others_in_frames_of_any)
{
    static const uint32_t netmtu[] = { 604, 680, 1280, 1500, 9000, 65535 };
    static const int nodes[] = { 1, 2, 3, 8, 16, 17, 128 };
    for (size_t i = 0; i < sizeof(netmtu) / sizeof(netmtu[0]); i++) {
        for (size_t k = 0; k < sizeof(nodes) / sizeof(nodes[0]); k++) {
            messages_fit(&(struct config){ .netmtu = netmtu[i],
                                           .message_bytes_max = 32 << 20,
                                           .rx_bytes = 48 << 20,
                                           .node_count = nodes[k] });
        }
    }
}

/* One has gone with the ring that the others have, while the next has yet to be left. */
Test(core_nine, S5_nodes_that_stop_one_after_the_other_part_nobody)
{
    struct crowd_client *c[10];
    members_of_nine(c);
    crowd_forget(c[1]);
    for (uint32_t id = 3; id <= 9; id++) {
        struct core_command stop = { .type = CORE_STOP, .tag = 2 };
        cr_assert(zero(int, core_command(world.node[id].core, &stop)));
        world_wake(&world.node[id]);
        crowd_run(150 * NS_PER_US);
    }
    CROWD_UNTIL(crowd_is_one(1 << 1 | 1 << 2));
    crowd_run(NS_PER_S);
    cr_assert_not(crowd_says(c[1], ".3 "), "%s", c[1]->story); /* NODEDOWN */
    cr_assert_not(crowd_says(c[1], " +"), "%s", c[1]->story);
}

/* Together they are more than what is received has room for. */
Test(core_nine, L2_large_messages_of_all_nodes_at_once_leave_each_other_room)
{
    static const uint8_t large[1 << 20];
    struct crowd_client *c[10];
    members_of_nine(c);
    for (uint32_t id = 1; id <= 9; id++)
        c[id]->expect = large;
    for (uint32_t id = 1; id <= 9; id++)
        cr_assert(fake_client_send(
            &c[id]->fake, large, id == 1 ? sizeof(large) : RING_BULK_FREE_BYTES, GUARANTEE_AGREED));
    for (uint32_t id = 1; id <= 9; id++)
        CROWD_UNTIL(c[id]->messages == 9);
    for (uint32_t id = 2; id <= 9; id++)
        cr_assert(eq(u64, c[id]->hash, c[1]->hash));
}
