# SPDX-License-Identifier: BSD-3-Clause
"""Clients killed at random instants leave nothing behind (S6, L5): no memory, no descriptor, no file."""

import collections
import os
import random
import time

import pytest

from cluster import CLIENT, SANITIZED, wait_for
from histories import check_alone
from test_order import finish

pytestmark = pytest.mark.netns
KILLS = int(os.environ.get("SYNCHROTRON_TEST_KILLS", "200" if SANITIZED else "1000"))
TOGETHER = 5  # clients that live at the same time


def descriptors(pid):
    """What a process has open, by kind; sockets and memory are what clients could leave."""
    kinds = collections.Counter()
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            target = os.readlink(f"/proc/{pid}/fd/{fd}")
        except FileNotFoundError:
            continue
        kinds[target.partition(":")[0].partition(" ")[0] if ":" in target else "file"] += 1
    return dict(kinds)


def mappings(pid):
    with open(f"/proc/{pid}/maps") as f:
        return sum("memfd" in line for line in f)


def leftovers(cluster, i):
    """Everything of node i that must be the same before and after."""
    status = cluster.status(i)
    memory = status["memory"]
    held = {holder: count for holder, count in memory["rx"]["held"].items() if holder != "transport"}
    heads = memory["core_private"]["tx_heads"]
    return {
        "clients": (status["client_count"], status["process_count"], status["group_count"]),
        "rx held": held,
        "tx heads free": heads["free"] + heads["held"].get("transport", 0),
        "waiting events free": memory["core_private"]["waiting_events"]["free"],
        "segments": (memory["tx_segments"]["count"], memory["tx_segments"]["bytes"]),
        "channels": (memory["channels"]["count"], memory["channels"]["bytes"]),
        "control": status["counters"]["control"]["handles"],
        "descriptors": descriptors(cluster.pid(i)),
        "mappings": mappings(cluster.pid(i)),
        "runtime dir": sorted(os.listdir(cluster.path(f"run{i}"))),
        "state dir": sorted(os.listdir(cluster.path(f"state{i}"))),
    }


def shared_memory():
    return set(os.listdir("/dev/shm"))


@pytest.mark.dpdk
def test_S6_L5_clients_killed_at_random_instants_leave_nothing(make_cluster):
    """SYNCHROTRON_TEST_KILLS sets how many, SYNCHROTRON_TEST_SEED repeats a run."""
    seed = int(os.environ.get("SYNCHROTRON_TEST_SEED", random.randrange(1 << 32)))
    draw = random.Random(seed)
    print(f"SYNCHROTRON_TEST_SEED={seed}")
    cluster = make_cluster(2)
    watchers = cluster.members((1, 2))
    finish(watchers)
    quiet(cluster)
    before, shm = {i: leftovers(cluster, i) for i in (1, 2)}, shared_memory()
    for _ in range(0, KILLS, TOGETHER):
        victims = [begin(cluster, draw) for _ in range(TOGETHER)]
        for victim in victims:
            time.sleep(draw.random() ** 2 * 0.03)  # the instant is what the test is about
            victim.kill()
            victim.close()
            cluster.agents.remove(victim)
    for watcher in watchers:
        watcher.wait_members([w.id for w in watchers])
        check_alone(watcher)
    for i in (1, 2):
        wait_for(lambda i=i: leftovers(cluster, i) == before[i],
                 lambda i=i: f"seed {seed}, node {i}: " + difference(before[i], leftovers(cluster, i)), 20)
    wait_for(lambda: shared_memory() <= shm, lambda: f"left in /dev/shm: {shared_memory() - shm}")  # others' come and go
    for watcher in watchers:
        watcher.send(f"after-{watcher.node}")
    for watcher in watchers:
        for other in watchers:
            watcher.wait_label(f"after-{other.node}")


def quiet(cluster):
    """Until two looks at the nodes see the same."""
    last = {}

    def same():
        now = {i: leftovers(cluster, i) for i in (1, 2)}
        steady = now == last.get("seen")
        last["seen"] = now
        return steady
    wait_for(same, "nodes at rest")


def begin(cluster, draw):
    """A client at work; commands are posted without waiting, so that it can be anywhere in them."""
    victim = cluster.agent(draw.choice((1, 2)))
    handles = ["h", "i"][:draw.choice((1, 1, 2))]
    for handle in handles:
        victim.post("init", handle, 1)
        victim.post("join", handle, (b"g" if handle == "h" else b"other").hex())
        size = draw.choice(("64", "r3000", "r200000", "5000000"))
        victim.post("flood", handle, draw.choice((2, 2, 3)), size, "f", draw.choice((1, 20, 1 << 30)))
    if draw.random() < 0.3:
        victim.post(draw.choice(("leave", "finalize")), "h", b"g".hex())
    return victim


def difference(before, after):
    return "; ".join(f"{key} was {before[key]}, is {after[key]}" for key in before if before[key] != after[key])


def test_H1_S6_handles_opened_and_closed_leave_nothing(make_cluster):
    cluster = make_cluster(2)
    agent = cluster.agent(1)
    quiet(cluster)
    agent.init("first").join("g", "first").send("warm", 2000000, handle="first")
    assert agent.call("finalize", "first")["r"] == 1
    wait_for(lambda: cluster.status(1)["client_count"] == 0, "no client")
    quiet(cluster)
    before, own = {i: leftovers(cluster, i) for i in (1, 2)}, (descriptors(agent.pid), mappings(agent.pid))
    for i in range(60):
        agent.init("h").join(f"g{i}")
        agent.send("word", (10, 5000, 3000000)[i % 3])
        agent.wait_label("word", since=len(agent.events) - 1)
        if i % 2:
            agent.leave()
        assert agent.call("finalize", "h")["r"] == 1
    assert (descriptors(agent.pid), mappings(agent.pid)) == own, f"in the client; {CLIENT}"
    for i in (1, 2):
        wait_for(lambda i=i: leftovers(cluster, i) == before[i],
                 lambda i=i: f"node {i}: " + difference(before[i], leftovers(cluster, i)), 20)
