# SPDX-License-Identifier: BSD-3-Clause
"""Faults of all kinds while everybody sends: same order, and equal sets for those who go together from
view to view (D1, D4, D5, D10)."""

import itertools
import os
import random
import signal
import time

import pytest

from cluster import DETECT_MS, wait_for
from histories import check_all
from test_order import finish

pytestmark = pytest.mark.netns
DETECT_S = DETECT_MS / 1000


class Storm:
    """A cluster of three under load: two members a node, that send all the time."""

    def __init__(self, cluster):
        self.cluster, self.here, self.gone = cluster, {i: [] for i in cluster.net.names}, []
        for i in self.here:
            self.populate(i)
        self.settle()

    def populate(self, node):
        for _ in range(2):
            agent = self.cluster.agent(node).init().record().join()
            self.here[node].append((agent, agent.flood("f", size="r6000")))

    def agents(self, nodes=None):
        return [agent for i, of in self.here.items() for agent, _ in of if nodes is None or i in nodes]

    def settle(self, nodes=None):
        """Until the members on these nodes see each other and no others, and go on sending."""
        agents = self.agents(nodes)
        for agent in agents:
            agent.wait_members([a.id for a in agents])
        for agent in agents:
            agent.wait_sent(agent.sent["h"] + 20)

    def kill(self, node):
        self.cluster.kill(node)
        for agent, _ in self.here[node]:
            agent.wait_lost()
            self.gone.append(agent)
        self.here[node] = []

    def restart(self, node):
        self.cluster.start(node)
        self.populate(node)

    def end(self):
        self.settle()
        for of in self.here.values():
            for agent, flood in of:
                agent.halt(flood)
        finish(self.agents())
        return check_all(self.agents() + self.gone)


@pytest.fixture
def storm(make_cluster):
    return Storm(make_cluster(3))


def others(node):
    return tuple(i for i in (1, 2, 3) if i != node)


@pytest.mark.dpdk
def test_D4_D5_each_node_in_turn_is_cut_off_and_comes_back(storm):
    for node in (1, 2, 3):
        storm.cluster.net.cut(node)
        storm.settle(others(node))
        storm.settle((node,))
        storm.cluster.heal(node)
        storm.settle()
    storm.end()


@pytest.mark.dpdk
def test_D4_D5_D11_two_and_one_go_on_and_merge(storm):
    for node in (3, 1):
        storm.cluster.net.split(*others(node))
        storm.settle(others(node))
        storm.settle((node,))
        storm.cluster.heal()
        storm.settle()
    storm.end()


def test_D4_a_split_moves(storm):
    """Who was with one is with the other before everybody noticed."""
    for node in (3, 2, 1, 3, 2):
        storm.cluster.heal()
        storm.cluster.net.split(*others(node))
        time.sleep(DETECT_S * 0.7)  # the fault lies where detection is under way; nothing waits for it
    storm.cluster.heal()
    storm.end()


def test_D4_links_that_flap_faster_than_detection(storm):
    for i in range(12):
        storm.cluster.net.cut(i % 3 + 1)
        time.sleep(DETECT_S * 0.05)  # the fault itself
        storm.cluster.heal(i % 3 + 1)
    storm.end()


def test_D4_services_are_stopped_and_continued(storm):
    for node in (1, 3):
        storm.cluster.signal(node, signal.SIGSTOP)
        storm.settle(others(node))
        storm.cluster.signal(node, signal.SIGCONT)
        storm.settle()
    storm.end()


def test_D4_services_stopped_for_less_than_detection_stay(storm):
    views = {a: len(a.views()) for a in storm.agents()}
    for node in (1, 2, 3):
        storm.cluster.signal(node, signal.SIGSTOP)
        time.sleep(DETECT_S * 0.2)  # the fault itself
        storm.cluster.signal(node, signal.SIGCONT)
        storm.settle()
    storm.end()
    for agent, count in views.items():
        assert len(agent.views()) == count, f"{agent}: {agent.views()[count:]}"


@pytest.mark.dpdk
def test_D4_D10_S2_services_are_killed_and_restarted(storm):
    for node in (1, 2, 3):
        storm.kill(node)
        storm.settle(others(node))
        storm.restart(node)
        storm.settle()
    storm.end()


def test_D4_a_service_is_killed_while_another_is_cut_off(storm):
    storm.cluster.net.cut(3)
    storm.kill(2)
    storm.settle((1,))
    storm.settle((3,))
    storm.restart(2)
    storm.cluster.heal(3)
    storm.end()


def test_D1_D4_faults_drawn_by_chance(storm):
    """SYNCHROTRON_TEST_SEED repeats a run, SYNCHROTRON_TEST_FAULTS makes it longer."""
    seed = int(os.environ.get("SYNCHROTRON_TEST_SEED", random.randrange(1 << 32)))
    count = int(os.environ.get("SYNCHROTRON_TEST_FAULTS", "6"))
    draw = random.Random(seed)
    print(f"SYNCHROTRON_TEST_SEED={seed}")
    try:
        for _ in range(count):
            fault(storm, draw)
        storm.end()
    except AssertionError as failed:
        raise AssertionError(f"SYNCHROTRON_TEST_SEED={seed}: {failed}") from failed


def fault(storm, draw):
    net, node = storm.cluster.net, draw.choice((1, 2, 3))
    kind = draw.choice(net.cuts + ("stop", "kill", "process"))
    pause = draw.choice((0.02, 0.3, 0.9, 1.1, 2.0)) * DETECT_S
    if kind == "cut":
        net.cut(node)
        time.sleep(pause)
        net.heal(node)
    elif kind == "split":
        net.split(node)
        time.sleep(pause)
        net.heal(node)
    elif kind == "stop":
        storm.cluster.signal(node, signal.SIGSTOP)
        time.sleep(pause)
        storm.cluster.signal(node, signal.SIGCONT)
    elif kind == "kill":
        storm.kill(node)
        time.sleep(pause)
        storm.restart(node)
    elif kind == "flap":
        for i in itertools.islice(itertools.cycle((1, 2, 3)), 6):
            net.cut(i)
            time.sleep(pause / 20)
            net.heal(i)
    else:
        agent, _ = storm.here[node].pop()
        agent.kill()
        storm.gone.append(agent)
        comer = storm.cluster.agent(node).init().record().join()
        storm.here[node].append((comer, comer.flood("f", size="r6000")))
    if draw.random() < 0.5:
        storm.settle()


def test_D5_nothing_accepted_is_lost_by_those_who_stay(storm):
    """Two nodes stay together through everything that happens to the third."""
    cluster = storm.cluster
    cluster.net.cut(3)
    storm.settle((1, 2))
    cluster.heal(3)
    storm.settle()
    cluster.signal(3, signal.SIGSTOP)
    storm.settle((1, 2))
    cluster.signal(3, signal.SIGCONT)
    storm.settle()
    storm.kill(3)
    storm.restart(3)
    storm.settle()
    sent = {agent: agent.halt(flood) for i in (1, 2) for agent, flood in storm.here[i]}
    for agent, flood in storm.here[3]:
        agent.halt(flood)
    finish(storm.agents())
    histories = check_all(storm.agents() + storm.gone)
    for reader, (sender, count) in itertools.product(storm.agents((1, 2)), sent.items()):
        got = [m[3] for m in histories[reader] if m[0] == "msg" and m[1:3] == sender.id and isinstance(m[3], int)]
        assert got == list(range(got[0], count)), f"{reader} of {sender}: {len(got)} of {count}"
        assert reader is not sender or got[0] == 0, f"{reader} missed its own first messages (D3)"
    wait_for(lambda: all(a.process.poll() is None for a in storm.agents()), "agents alive")
