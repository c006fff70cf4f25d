# SPDX-License-Identifier: BSD-3-Clause
"""Links that are known to be down: nobody waits as long as for a node that is silent (V5). Silence alone
would take longer here than the tests wait."""

import pytest

from cluster import LIMIT
from network import PORT

SILENCE = {"detect_ms": 60000}  # the longest there is
WAIT = min(LIMIT, 40)


@pytest.mark.dpdk
def test_V5_a_daemon_that_is_killed_takes_its_links_with_it(make_cluster):
    if PORT != "memif":
        pytest.skip(f"{PORT}: no link ends with a daemon")
    cluster = make_cluster(3, totem=SILENCE)
    agents = cluster.members((1, 2, 3))
    cluster.kill(3)
    cluster.wait_ring(1, 2, limit=WAIT)
    for agent in agents[:2]:
        agent.wait_members([a.id for a in agents[:2]])
    cluster.start(3)
    cluster.wait_ring(1, 2, 3, limit=WAIT)


@pytest.mark.dpdk
@pytest.mark.netns
def test_V5_who_has_no_link_is_alone(make_cluster):
    cluster = make_cluster(3, totem=SILENCE)
    agent = cluster.members((1, 2, 3))[2]
    cluster.net.unplug(3)
    agent.send("x")  # by UDP who does not try does not see it
    cluster.wait_ring(3, limit=WAIT)
    agent.wait_members([agent.id])
    cluster.net.plug(3)
    cluster.wait_ring(1, 2, 3, limit=WAIT)
