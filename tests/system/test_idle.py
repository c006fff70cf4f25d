# SPDX-License-Identifier: BSD-3-Clause
"""What it costs: starting, doing nothing, and a long time under load."""

import os
import time

import pytest

from cluster import CS_OK, SANITIZED, hexname, rss_bytes, wait_for
from network import PORT
from test_order import finish

pytestmark = pytest.mark.netns
PAGES = 12 << 20 if PORT == "af_xdp" else 0  # which the kernel wants, one for each packet
MEMORY_MAX = 128 << 20
HANDLE_MAX = 256 << 10
LOAD_SECONDS = float(os.environ.get("SYNCHROTRON_TEST_LOAD_SECONDS", "5"))


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_three_services_and_six_clients_form_a_ring_soon(make_cluster, record_property):
    cluster = make_cluster(3, start=False)
    start = time.monotonic()
    for i in (1, 2, 3):
        cluster.start(i)
    agents = [cluster.agent(i) for i in (1, 1, 2, 2, 3, 3)]
    for agent in agents:
        agent.init().join()
    for agent in agents:
        agent.wait_members([a.id for a in agents])
    seconds = time.monotonic() - start
    record_property("ring_and_six_members_s", round(seconds, 3))
    print(f"three services and six members after {seconds:.2f} s")
    assert seconds < 20, "measured, for a quiet machine to judge; this is for a broken one"


@pytest.mark.dpdk
@pytest.mark.skipif(SANITIZED, reason="sanitizers spend processor time and memory of their own")
def test_an_idle_service_costs_little_processor_time(cluster, record_property):
    agents = cluster.members((1, 1, 2, 2, 3, 3))
    finish(agents)
    before = {i: cpu_seconds(cluster.pid(i)) for i in (1, 2, 3)}
    start = time.monotonic()
    time.sleep(4)  # a measurement, not a wait
    elapsed = time.monotonic() - start
    for i in (1, 2, 3):
        share = (cpu_seconds(cluster.pid(i)) - before[i]) / elapsed
        record_property(f"idle_cpu_{i}", round(share, 4))
        print(f"node {i}: {share:.1%} of one core")
        assert share < 0.05, f"node {i}: {share:.1%} of one core when idle"


@pytest.mark.dpdk
@pytest.mark.skipif(SANITIZED, reason="sanitizers spend processor time and memory of their own")
def test_a_service_stays_small_and_the_ring_stays_under_load(cluster):
    """SYNCHROTRON_TEST_LOAD_SECONDS makes it longer."""
    agents = [cluster.agent(i).init().record(path="/dev/null").join() for i in (1, 1, 2, 2, 3, 3)]
    for agent in agents:
        agent.wait_members([a.id for a in agents])
    sizes = ("64", "r1000", "r3000", "64", "r50000", "5000000")
    floods = [a.flood("f", size=size) for a, size in zip(agents, sizes)]
    end = time.monotonic() + LOAD_SECONDS
    most, sent = 0, {}
    while time.monotonic() < end:
        most = max([most] + [rss_bytes(cluster.pid(i)) for i in (1, 2, 3)])
        time.sleep(0.1)  # between looks
    sent = [a.halt(flood) for a, flood in zip(agents, floods)]
    finish(agents)
    print(f"sent {sent} in {LOAD_SECONDS:g} s; at most {most >> 20} MiB")
    assert all(count > 0 for count in sent), f"somebody got nothing through: {sent}"
    for agent in agents:
        assert len(agent.rings()) == 1, f"the ring changed under load: {agent.rings()}\n{cluster.logs()}"
        assert agent.process.poll() is None
    assert most <= MEMORY_MAX, f"a service took {most >> 20} MiB"
    for i in (1, 2, 3):
        counters = cluster.status(i)["counters"]["core"]
        assert counters["clients_evicted_slow"] == 0, cluster.log(i)[-2000:]


@pytest.mark.skipif(SANITIZED, reason="sanitizers spend processor time and memory of their own")
def test_H1_300_handles_of_one_process_work_and_cost_little(cluster):
    assert rss_bytes(cluster.pid(1)) <= MEMORY_MAX, "at rest"
    agent, other = cluster.agent(1), cluster.agent(2)
    before = cluster.status(1)["memory"]
    for k in range(300):
        assert agent.repeat("init", f"h{k}", 0) == CS_OK
    opened = cluster.status(1)["memory"]
    cost = (opened["total_bytes"] - before["total_bytes"]) / 300
    print(f"{cost / 1024:.0f} KiB a handle that has not sent")
    assert cost <= HANDLE_MAX, f"{cost:.0f} bytes a handle: {opened}"
    assert opened["channels"]["count"] == before["channels"]["count"] + 300
    for k in range(300):
        assert agent.repeat("join", f"h{k}", hexname(f"g{k}")) == CS_OK
    other.init()
    wait_for(lambda: len(other.call("iterate", "h", 3)["i"]) == 300, "300 memberships")
    for k in (0, 150, 299):
        agent.wait_members([agent.id], f"h{k}")
        agent.send(f"word-{k}", handle=f"h{k}")
        agent.wait_label(f"word-{k}", f"h{k}")
    agent.kill()
    wait_for(lambda: not other.call("iterate", "h", 3)["i"], "no memberships")


def test_status_says_where_every_page_is(cluster):
    """The parts of the sum are named, and the sum is near what the kernel counts."""
    cluster.members((1, 2, 3))
    for i in (1, 2, 3):
        memory = cluster.status(i)["memory"]
        parts = ("rx", "tx_segments", "channels", "core_page", "core_private", "control_private", "tape")
        assert sum(memory[part]["bytes"] for part in parts) == memory["total_bytes"]
        if not SANITIZED:
            assert rss_bytes(cluster.pid(i)) < memory["total_bytes"] + (24 << 20) + PAGES, memory
