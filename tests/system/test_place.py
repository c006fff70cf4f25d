# SPDX-License-Identifier: BSD-3-Clause
"""Where a service runs and lies: the poll core's processor, NUMA nodes, and what wakes it when it sleeps."""

import os
import re
import subprocess

import pytest

from cluster import DAEMON, wait_for
from network import PORT
from test_config import GOOD

CPUS = sorted(os.sched_getaffinity(0))
NODES = len([name for name in os.listdir("/sys/devices/system/node") if re.fullmatch(r"node\d+", name)]) \
    if os.path.isdir("/sys/devices/system/node") else 1
# What wakes who sleeps, by port; cards have interrupts with some drivers only (tests/vm).
WOKEN_BY = {"udp": "socket", "memif": "bell", "af_packet": "socket", "af_xdp": "socket",
            "pci": os.environ.get("SYNCHROTRON_TEST_WOKEN_BY", "clock")}[PORT]


def threads(pid):
    """{name: processors it may run on}"""
    found = {}
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/comm", encoding="utf-8") as file:
            name = file.read().strip()
        found[name] = os.sched_getaffinity(int(task))
    return found


@pytest.mark.dpdk
@pytest.mark.parametrize("policy", ["auto", "spin", "backoff"])
def test_the_poll_core_runs_on_its_processor_and_says_so(make_cluster, policy):
    cpu = CPUS[-1]
    cluster = make_cluster(1, "loopback", poll={"cpu": cpu, "policy": policy})
    assert threads(cluster.pid(1))["poll core"] == {cpu}
    assert os.sched_getaffinity(cluster.pid(1)) == set(CPUS), "the control thread runs where it likes"
    poll = cluster.status(1)["poll"]
    assert (poll["policy"], poll["cpu"], poll["pinned"]) == (policy, cpu, True), poll
    assert poll["spins"] == (policy == "spin" or policy == "auto" and os.cpu_count() > 2), poll
    if NODES == 1:
        assert (poll["cpu_node"], poll["port_node"], poll["memory_node"]) == (0, 0, 0), poll
    line = re.search(r"poll: (.*)", cluster.log(1))[1]
    became = "spin" if poll["spins"] else "backoff"
    assert line.startswith(f"auto, which here is {became}" if policy == "auto" else became), line
    assert f"pinned to cpu {cpu} of NUMA node {poll['cpu_node']}" in line, line
    assert f"memory on NUMA node {poll['memory_node']}" in line, line
    assert (f"woken by {WOKEN_BY}" in line) == (became == "backoff"), line


def pages(pid, word):
    """{node: pages there} of the mappings whose line in numa_maps has this word."""
    found = {}
    with open(f"/proc/{pid}/numa_maps", encoding="utf-8") as file:
        for line in file:
            for node, count in re.findall(r" N(\d+)=(\d+)", line) if word in line else []:
                found[int(node)] = found.get(int(node), 0) + int(count)
    return found


@pytest.mark.dpdk
@pytest.mark.skipif(NODES == 1, reason="this machine has one NUMA node (scripts/vm --numa 2)")
def test_numa_memory_comes_from_the_node_of_the_port_or_the_processor(make_cluster):
    """In that machine the cards are on node 1, and the last processor is, too."""
    cpu = CPUS[0] if PORT == "pci" else CPUS[-1]
    cluster = make_cluster(1, "loopback", poll={"cpu": cpu})
    pid, poll = cluster.pid(1), cluster.status(1)["poll"]
    assert (poll["cpu_node"], poll["memory_node"]) == (0 if PORT == "pci" else 1, 1), poll
    assert poll["port_node"] == (1 if PORT == "pci" else None), poll
    assert set(pages(pid, "synchrotron-rx")) == {1}, "received frames lie elsewhere"
    assert ("poll.cpu 0 is on NUMA node 0 and the port on node 1" in cluster.log(1)) == (PORT == "pci")
    if PORT == "pci":
        assert set(pages(pid, "seg_")) in (set(), {1}), "memory of DPDK's lies elsewhere"
    private = pages(pid, "anon=")
    assert private.get(1, 0) > 5 * private.get(0, 0), f"memory of the core's lies elsewhere: {private}"


def test_without_a_processor_of_its_own_it_runs_anywhere(make_cluster):
    cluster = make_cluster(1, "loopback")
    assert threads(cluster.pid(1))["poll core"] == set(CPUS)
    poll = cluster.status(1)["poll"]
    assert (poll["cpu"], poll["pinned"], poll["cpu_node"], poll["spins"]) == (None, False, None, False), poll
    assert "poll: auto, which here is backoff, no core of its own" in cluster.log(1)


def test_one_that_is_moved_away_from_its_processor_does_not_claim_it(make_cluster):
    if len(CPUS) < 2:
        pytest.skip("one processor: it cannot be moved")
    cluster = make_cluster(1, "loopback", poll={"cpu": CPUS[0], "policy": "backoff"})
    pid = cluster.pid(1)
    task = next(t for t in os.listdir(f"/proc/{pid}/task")
                if open(f"/proc/{pid}/task/{t}/comm", encoding="utf-8").read() == "poll core\n")
    os.sched_setaffinity(int(task), {CPUS[1]})
    assert cluster.status(1)["poll"]["pinned"] is False


def check(tmp_path, cpu, *prefix):
    """synchrotrond -t, and a start: (what each said)."""
    path = tmp_path / "synchrotron.conf"
    path.write_text(GOOD + f"poll {{\n  cpu: {cpu}\n}}\n", encoding="utf-8")
    said = []
    for words in (["-t"], ["-f"]):
        done = subprocess.run([*prefix, DAEMON, *words, "-c", path], capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, timeout=60, check=False)
        assert done.returncode == 1, done
        said.append(done.stderr)
    assert said[0] == said[1]
    return said[0]


def test_a_processor_that_is_not_there_is_an_error(tmp_path):
    said = check(tmp_path, 1000)
    assert re.search(r"synchrotron.conf:13:8: error: cpu: this machine has no processor 1000, but \d", said), said
    assert said.count("\n") == 1, said


def test_a_processor_that_is_kept_from_it_is_an_error(tmp_path):
    if len(CPUS) < 2:
        pytest.skip("one processor: it cannot be kept from anybody")
    said = check(tmp_path, CPUS[1], "taskset", "-c", str(CPUS[0]))
    assert f":13:8: error: cpu: this process may not run on processor {CPUS[1]}, but on {CPUS[0]}: " in said, said
    assert "taskset" in said and said.count("\n") == 1, said


@pytest.mark.dpdk
def test_a_service_that_sleeps_is_woken_by_what_comes(make_cluster):
    cluster = make_cluster(2, poll={"policy": "backoff"})
    agents = cluster.members((1, 2))
    assert [cluster.status(i)["poll"]["woken_by"] for i in (1, 2)] == [WOKEN_BY] * 2
    if WOKEN_BY != "interrupt":
        return
    said = 0

    def interrupts():
        """Messages that come into the silence."""
        nonlocal said
        for sender, reader in (agents, agents[::-1]):
            said += 1
            sender.send(f"word-{said}")
            reader.wait_label(f"word-{said}")
        counters = [cluster.status(i)["counters"]["transport"] for i in (1, 2)]
        assert all(c["port_interrupts_missed"] <= c["port_interrupts"] + 16 for c in counters), counters
        return all(c["port_interrupts"] > 16 for c in counters)
    wait_for(interrupts, lambda: f"interrupts: {[cluster.status(i)['counters']['transport'] for i in (1, 2)]}")
