# SPDX-License-Identifier: BSD-3-Clause
"""The same short life on every way that frames can take: views, order, sizes, a death."""

import pytest

from cluster import NODEDOWN, SAFE, changes
from histories import check_all
from network import PORT
from test_order import finish, sent_by

NETNS, UDP = pytest.mark.netns, pytest.mark.udp
WAYS = {
    "ipv4": pytest.param({"network": "netns"}, marks=NETNS),
    "ipv6": pytest.param({"network": "netns", "family": 6}, marks=NETNS),
    "multicast-ipv4": pytest.param({"network": "netns", "transport": {"multicast": "239.192.1.1"}}, marks=NETNS),
    "multicast-ipv6": pytest.param({"network": "netns", "family": 6, "transport": {"multicast": "ff15::7"}},
                                   marks=NETNS),
    "jumbo": pytest.param({"network": "netns", "mtu": 9000, "totem": {"netmtu": 9000}}, marks=NETNS),
    "routed-ipv4": pytest.param({"network": "routed"}, marks=NETNS),
    "routed-ipv6": pytest.param({"network": "routed", "family": 6}, marks=NETNS),
    "loopback": pytest.param({"network": "loopback"}, marks=UDP),
    "loopback-ipv6": pytest.param({"network": "loopback", "family": 6}, marks=UDP),
    "loopback-large-frames": pytest.param({"network": "loopback", "totem": {"netmtu": 65535}}, marks=UDP),
}


@pytest.mark.dpdk
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())
def test_D1_D2_D4_V5_a_short_life(make_cluster, way):
    if PORT == "memif" and "transport" in way:
        pytest.skip("memif is a link between each two: there is no multicast")
    cluster = make_cluster(3, **way)
    agents = [cluster.agent(i).init().record().join() for i in (1, 1, 2, 3)]
    for agent in agents:
        agent.wait_members([a.id for a in agents])
    floods = [a.flood("f", 1500, "r2000", guarantee) for a, guarantee in zip(agents, (2, SAFE, 2, 2))]
    for agent, flood in zip(agents, floods):
        assert agent.answer(flood)["sent"] == 1500
    agents[2].send("large", 5000000)
    finish(agents)
    cluster.kill(3)
    for agent in agents[:3]:
        agent.wait_members([a.id for a in agents[:3]])
        assert changes(agent.views()[-1])[1] == ((*agents[3].id, NODEDOWN),)
        agent.wait_ring((1, 2))
    histories = check_all(agents[:3])
    for found in histories.values():
        for sender in agents:
            assert sent_by(found, sender) == list(range(1500))
        assert "large" in [m[3] for m in found if m[0] == "msg"]
    cluster.start(3)
    cluster.wait_ring(1, 2, 3)
    new = cluster.member(3)
    new.send("back")
    agents[0].wait_label("back")


@pytest.mark.dpdk
@pytest.mark.parametrize("count", [1, 2])
def test_V4_D3_clusters_of_one_and_two_nodes(make_cluster, count):
    cluster = make_cluster(count, "loopback")
    nodes = list(cluster.net.names)
    agents = cluster.members(nodes + nodes)
    floods = [a.flood("f", 1000, "r3000") for a in agents]
    for agent, flood in zip(agents, floods):
        assert agent.answer(flood)["sent"] == 1000
    finish(agents)
    for found in check_all(agents).values():
        for sender in agents:
            assert sent_by(found, sender) == list(range(1000))


@pytest.mark.dpdk
@pytest.mark.skipif(PORT != "memif", reason="kernels and cards may drop what they have no room for")
def test_on_memif_nothing_is_lost_nor_asked_for_again(cluster):
    """Each two have a link of their own, and what comes by one must not make others' frames look lost."""
    def counted(group, name):
        return sum(cluster.status(i)["counters"][group][name] for i in (1, 2, 3))
    agents = cluster.members((1, 2, 3))
    dropped = counted("transport", "tx_dropped")  # before links were up
    floods = [a.flood("f", 20000, "1000") for a in agents]
    for agent, flood in zip(agents, floods):
        assert agent.answer(flood)["sent"] == 20000
    finish(agents)
    assert counted("transport", "tx_dropped") == dropped
    assert counted("ring", "rtr_asked") == 0


@pytest.mark.dpdk
@pytest.mark.netns
def test_E9_what_a_narrow_link_drops_is_sent_again(make_cluster):
    cluster = make_cluster(3)
    if not cluster.net.narrow():
        pytest.skip("tc cannot narrow links here: not installed (iproute2), or a kernel without tbf")
    agents = cluster.members((1, 2, 3))
    floods = [a.flood("f", 2000, "r1300") for a in agents]
    for agent, flood in zip(agents, floods):
        assert agent.answer(flood)["sent"] == 2000
    finish(agents)
    for found in check_all(agents).values():
        for sender in agents:
            assert sent_by(found, sender) == list(range(2000))
    resent = sum(cluster.status(i)["counters"]["ring"]["frames_resent"] for i in (1, 2, 3))
    assert resent > 0, "the links dropped nothing: this was no test"
