/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Peers by address, and how their MACs are learnt, kept and denied.
 */
#include "dpdk/peer_map.h"

#include <criterion/criterion.h>

#include <errno.h>

enum { PORT = 5405 };

static struct mac mac_of(int machine)
{
    return (struct mac){ { 0x02, 0, 0, 0, 0, (uint8_t)machine } };
}

static struct ip_address nth(int n, bool v6)
{
    struct ip_address ip = { { 10, 0, (uint8_t)(n >> 8), (uint8_t)n } };

    if (v6)
        ip = (struct ip_address){ { 0xfd, 0, [14] = (uint8_t)(n >> 8), [15] = (uint8_t)n } };
    return ip;
}

static void fill(struct peer_map *map, int count, bool v6)
{
    peer_map_init(map);
    for (int i = 0; i < count; i++) {
        struct ip_address ip = nth(i, v6);
        cr_assert_eq(peer_map_add(map, &ip, PORT), i);
    }
}

static void finds_its_own(bool v6)
{
    struct ip_address ip;
    struct peer_map map;

    fill(&map, PEER_MAP_MAX, v6);
    for (int i = 0; i < PEER_MAP_MAX; i++) {
        ip = nth(i, v6);
        cr_assert_eq(peer_map_find(&map, &ip), i);
    }
    for (int i = PEER_MAP_MAX; i < 5000; i++) {
        ip = nth(i, v6);
        cr_assert_eq(peer_map_find(&map, &ip), PEER_NONE);
    }
}

Test(peer_map, M1_a_full_map_finds_each_at_its_index_and_no_stranger)
{
    finds_its_own(false);
    finds_its_own(true);
}

Test(peer_map, M2_an_address_is_taken_once_and_a_full_map_says_so)
{
    struct ip_address ip = nth(3, false);
    struct peer_map map;

    fill(&map, PEER_MAP_MAX, false);
    cr_assert_eq(peer_map_add(&map, &ip, PORT), -EEXIST);
    ip = nth(PEER_MAP_MAX, false);
    cr_assert_eq(peer_map_add(&map, &ip, PORT), -ENOSPC);
}

Test(peer_map, an_empty_map_finds_nobody)
{
    struct ip_address ip = nth(0, false);
    struct peer_map map;

    peer_map_init(&map);
    cr_assert_eq(peer_map_find(&map, &ip), PEER_NONE);
}

Test(peer_map, a_mac_is_unknown_then_learnt_then_follows_the_machine)
{
    struct mac first = mac_of(1), second = mac_of(2);
    struct peer_map map;

    fill(&map, 2, false);
    cr_assert_null(peer_map_mac(&map, 1));
    cr_assert_eq(peer_map_age_ns(&map, 1, 100), NS_NEVER);
    cr_assert_eq(peer_map_learn(&map, 1, &first, 100), PEER_NEW);
    cr_assert_eq(peer_map_learn(&map, 1, &first, 150), PEER_SAME);
    cr_assert_eq(peer_map_age_ns(&map, 1, 175), 25);
    cr_assert_eq(map.moved, 0);
    cr_assert_eq(peer_map_learn(&map, 1, &second, 200), PEER_MOVED);
    cr_assert(mac_equal(peer_map_mac(&map, 1), &second));
    cr_assert_eq(map.moved, 1);
    cr_assert_null(peer_map_mac(&map, 0));
}

Test(peer_map, M3_a_static_mac_stays_and_denials_are_counted)
{
    struct mac given = mac_of(1), other = mac_of(2);
    struct peer_map map;

    fill(&map, 1, false);
    peer_map_static(&map, 0, &given);
    cr_assert_eq(peer_map_age_ns(&map, 0, 1000), 0);
    cr_assert_eq(peer_map_learn(&map, 0, &given, 5), PEER_SAME);
    cr_assert_eq(peer_map_learn(&map, 0, &other, 6), PEER_REFUSED);
    cr_assert(mac_equal(peer_map_mac(&map, 0), &given));
    cr_assert_eq(map.refused, 1);
    cr_assert_eq(map.moved, 0);
}

Test(peer_map, M4_a_routed_peer_is_reached_by_its_router_and_teaches_nothing)
{
    struct mac router = mac_of(7), other = mac_of(8);
    struct peer_map map;

    fill(&map, 3, false);
    cr_assert_eq(peer_map_via(&map, 0, 2), 0);
    cr_assert_eq(peer_map_hop(&map, 0), 2);
    cr_assert_eq(peer_map_hop(&map, 1), 1);
    cr_assert_eq(peer_map_learn(&map, 0, &other, 5), PEER_SAME);
    cr_assert_null(peer_map_mac(&map, 0));
    cr_assert_eq(peer_map_learn(&map, 2, &router, 6), PEER_NEW);
    cr_assert(mac_equal(peer_map_mac(&map, 0), &router));
    cr_assert_eq(peer_map_age_ns(&map, 0, 10), 4);
}

Test(peer_map, M5_a_router_is_not_routed)
{
    struct peer_map map;

    fill(&map, 4, false);
    cr_assert_eq(peer_map_via(&map, 1, 1), -EINVAL);
    cr_assert_eq(peer_map_via(&map, 0, 2), 0);
    cr_assert_eq(peer_map_via(&map, 2, 3), -EINVAL);
    cr_assert_eq(peer_map_via(&map, 1, 0), -EINVAL);
}
