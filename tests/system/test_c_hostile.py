# SPDX-License-Identifier: BSD-3-Clause
"""Clients that break the rules (hostile*.c): they alone are disconnected, for the right reason, and
nobody else is disturbed (S6, V10).

How a case is called says what must come of it: the offence by which it is evicted; or packet, unread
(disconnected by the control thread), gone (it ends by itself), none (it may stay), any, stranger (it was
never a client).
"""

import os
import random

import pytest

from c_programs import Program, cases
from cluster import PROCDOWN, Cluster, wait_for

OTHER_USER = 65534
BY_HAND = ("none__segments_of_others_are_not_writable", "none__descriptors_with_every_packet", "any__nonsense_at_random")
ALL = cases("hostile")


class Neighbourhood:
    """Three nodes with a member each of the intruders' group, and of one where they have no business."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.agents = cluster.members((1, 2, 3), "hostile")
        for agent in self.agents:
            agent.init("n").join("neighbours", "n")
        for agent in self.agents:
            agent.wait_members([a.id for a in self.agents], "n")
        self.number = 0

    def speak(self):
        """Each says something in both groups, and all hear it."""
        self.number += 1
        for i, agent in enumerate(self.agents):
            for handle in "hn":
                agent.send(f"{handle}{i}.{self.number}", 5000, handle=handle)
        for agent in self.agents:
            for handle in "hn":
                for i in range(len(self.agents)):
                    agent.wait_label(f"{handle}{i}.{self.number}", handle, max(0, len(agent.events) - 4000))

    def core(self):
        return self.cluster.status(1)["counters"]["core"]

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.cluster.pid(1)}/fd"))


@pytest.fixture(scope="module")
def here():
    with Cluster(3, network="loopback", clients={"uid": OTHER_USER}) as cluster:
        for folder in (cluster.folder, cluster.path("run1")):
            os.chmod(folder, 0o755)
        neighbourhood = Neighbourhood(cluster)
        yield neighbourhood
        neighbourhood.speak()


def intrude(here, case, *words, meanwhile=lambda program: None):
    """Run it while the others talk; returns its pid and the counters before and after."""
    here.speak()
    before, marks = here.core(), {agent: len(agent.events) for agent in here.agents}
    program = Program(here.cluster, 1, "hostile", case, *words)
    try:
        meanwhile(program)
        while program.process.poll() is None:
            here.speak()
        program.end()
    finally:
        program.stop()
    pid = program.process.pid
    if not case.startswith("stranger__") or case == "stranger__many_that_say_nothing":
        for agent in here.agents:
            seen = agent.wait(lambda e: e["e"] == "view" and [1, pid] in [m[:2] for m in e["l"]], f"end of {pid}",
                              marks[agent])
            assert seen["l"] == [[1, pid, PROCDOWN]], seen
    here.speak()
    for agent in here.agents:
        assert agent.process.poll() is None and not [e for e in agent.events if e["e"] == "lost"]
        agent.wait_members([a.id for a in here.agents])
    return pid, before, here.core()


@pytest.mark.parametrize("case", [name for name in ALL if name not in BY_HAND])
def test_S6_V10_hostile(here, case):
    pid, before, after = intrude(here, case)
    kind = case.split("__")[0].replace("_", " ")
    lines = [line for line in here.cluster.log(1).splitlines() if f"pid {pid}" in line and "disconnected" in line]
    evicted = {name: after["offences"][name] - before["offences"][name] for name in after["offences"]}
    if kind in evicted:
        assert evicted.pop(kind) == 1 and not any(evicted.values()), (before, after)
        assert len(lines) == 1 and f"broke the rules: {kind} " in lines[0], lines
    elif kind == "packet":
        assert not any(evicted.values()) and len(lines) == 1 and "sent what no client of ours sends" in lines[0], lines
    elif kind == "unread":
        assert len(lines) == 1 and "does not read" in lines[0], lines
    elif kind in ("none", "gone", "stranger"):
        assert not any(evicted.values()), (case, evicted)
    else:
        assert kind == "any", f"what shall come of {case}?"


def test_S6_none_segments_of_others_are_not_writable_even_to_another_user(here):
    try:
        os.seteuid(OTHER_USER)
        os.seteuid(0)
    except OSError:
        pytest.skip("needs root and a second user")
    intrude(here, "none__segments_of_others_are_not_writable", OTHER_USER)
    intrude(here, "none__segments_of_others_are_not_writable")


def test_S6_none_descriptors_sent_along_are_closed(here):
    found = []

    def meanwhile(program):
        program.hear("sent")
        wait_for(lambda: here.descriptors() < before + 10, lambda: f"{here.descriptors()} descriptors, {before} before")
        found.append(here.descriptors())
        program.say()
    before = here.descriptors()
    intrude(here, "none__descriptors_with_every_packet", meanwhile=meanwhile)
    assert found


def test_S6_any_nonsense_at_random(here):
    seed = int(os.environ.get("SYNCHROTRON_TEST_SEED", random.randrange(1 << 32)))
    print(f"seed {seed}")
    intrude(here, "any__nonsense_at_random", seed)


def test_S6_nothing_is_left_of_any_of_them(here):
    def left():
        status = here.cluster.status(1)
        memory, control = status["memory"], status["counters"]["control"]
        return {"handles": control["handles"] - 2, "channels": memory["channels"]["count"] - 2,
                "leased": memory["rx"]["held"]["client"],
                "segments": memory["tx_segments"]["count"] - sum(c["tx_bytes"] > 0 for c in status["clients"])}
    wait_for(lambda: not any(left().values()), lambda: f"left over: {left()}")
