# SPDX-License-Identifier: BSD-3-Clause
"""What a card reads and writes by itself, and what is copied for it: the counters say so, and the log."""

import os

import pytest

from cluster import wait_for
from network import CARDS, PORT
from test_order import finish

pytestmark = pytest.mark.skipif(PORT != "pci", reason="about cards (SYNCHROTRON_TEST_PORT=pci)")
VIRTIO = "0x1af4"


def about(card, what):
    with open(f"/sys/bus/pci/devices/{card}/{what}", encoding="utf-8") as file:
        return file.read().strip()


def driver_of(card):
    return os.path.basename(os.readlink(f"/sys/bus/pci/devices/{card}/driver"))


def copies_expected():
    """The counters that grow, and what the log says of it."""
    if driver_of(CARDS[0]) != "vfio-pci":
        return {"copied_tx_unreached", "copied_rx_driver"}, "bind it to vfio-pci"
    if about(CARDS[0], "vendor") == VIRTIO:
        return {"copied_tx_kept"}, "keeps what it has sent"
    return set(), None


def copies(cluster, node):
    counters = cluster.status(node)["counters"]["transport"]
    return {name for name, value in counters.items() if name.startswith("copied_") and value > 0}


def frames_being_sent(cluster, node):
    return cluster.status(node)["memory"]["core_private"]["tx_heads"]["held"]["transport"]


def test_D1_D2_a_card_gets_copies_where_it_must_and_nowhere_else(make_cluster):
    expected, said = copies_expected()
    cluster = make_cluster(3, "loopback")
    agents = cluster.members((1, 2, 3))
    floods = [agent.flood("f", 500, "r2000") for agent in agents]
    for agent, flood in zip(agents, floods):
        assert agent.answer(flood)["sent"] == 500
    agents[1].send("large", 3000000)
    finish(agents)
    for node in (1, 2, 3):
        assert copies(cluster, node) == expected, cluster.status(node)["counters"]["transport"]
        assert said is None or said in cluster.log(node), cluster.log(node)
        assert said or "copied" not in cluster.log(node), cluster.log(node)
        # B3: an idle card has given back what it has sent
        wait_for(lambda i=node: frames_being_sent(cluster, i) == 0, lambda: "frames that a card has sent come back")


def test_U1_U2_a_card_that_is_taken_away_is_let_go_and_is_a_dead_link(make_cluster):
    """The last of these tests, for the card does not come back."""
    if driver_of(CARDS[2]) != "vfio-pci":
        pytest.skip("only vfio-pci asks for a card before it is taken away")
    cluster = make_cluster(3, "loopback")
    agents = cluster.members((1, 2, 3))
    with open(f"/sys/bus/pci/devices/{CARDS[2]}/remove", "w", encoding="utf-8") as file:
        file.write("1")  # returns when the daemon has let it go
    assert not os.path.exists(f"/sys/bus/pci/devices/{CARDS[2]}")
    for left in (agents[:2], agents[2:]):
        for agent in left:
            agent.wait_members([a.id for a in left])
    counters = cluster.status(3)["counters"]["transport"]
    assert (counters["port_removed"], counters["unreachable_peers"]) == (1, 2)
    agents[2].send("alone")
    agents[2].wait_label("alone")
