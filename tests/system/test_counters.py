# SPDX-License-Identifier: BSD-3-Clause
"""What a service counts of its transport: all of it is written down, links and losses are among it."""

import os
import re

import pytest

from cluster import ROOT, wait_for
from network import PORT

TOLD = {"udp": set(), "pci": set()}.get(PORT, {"links", "links_up", "port_rx_missed", "port_rx_nombuf", "port_errors",
                                               "tx_dropped", "udp_checksum", "mac_other"})


def counters(cluster, i):
    return cluster.status(i)["counters"]["transport"]


@pytest.mark.dpdk
def test_every_counter_is_in_the_documentation(make_cluster):
    cluster = make_cluster(2)
    with open(os.path.join(ROOT, "docs", "dpdk.md"), encoding="utf-8") as file:
        written = set(re.findall(r"`(\w+)`", file.read()))
    names = set(counters(cluster, 1))
    assert names - written == set(), "counted, and written down nowhere"
    assert TOLD - names == set(), "not counted on this port"


@pytest.mark.dpdk
@pytest.mark.skipif(PORT not in ("memif", "af_packet", "af_xdp"), reason="about ports of DPDK")
def test_a_link_that_goes_down_is_counted_by_who_had_it(make_cluster):
    cluster = make_cluster(3)
    links = 2 if PORT == "memif" else 1
    for i in (1, 2, 3):
        wait_for(lambda i=i: (counters(cluster, i)["links"], counters(cluster, i)["links_up"]) == (links, links),
                 lambda i=i: f"links: {counters(cluster, i)}")
        wait_for(lambda i=i: counters(cluster, i)["unreachable_peers"] == 0, "all peers reached")
    if PORT == "memif":
        cluster.kill(1)
    else:
        cluster.net.unplug(2)
    wait_for(lambda: counters(cluster, 2)["links_up"] == links - 1, lambda: f"a link down: {counters(cluster, 2)}")
    assert counters(cluster, 2)["unreachable_peers"] == (1 if PORT == "memif" else 2)
    if PORT == "memif":
        wait_for(lambda: counters(cluster, 3)["links_up"] == 1, lambda: f"a link down: {counters(cluster, 3)}")
    else:
        assert counters(cluster, 3)["links_up"] == 1
