# SPDX-License-Identifier: BSD-3-Clause
"""Members that do not keep up (C1, C4 to C7, D12): one that never dispatches, one that sleeps, one that is
stopped. Small bounds, so that they are reached soon."""

import itertools
import re
import signal
import time

import pytest

from cluster import (AGREED, CS_ERR_LIBRARY, CS_ERR_TRY_AGAIN, CS_OK, POLLHUP, PROCDOWN, SANITIZED, SLOWER, changes,
                     hexname, rss_bytes, wait_for)
from histories import check_all, check_alone, history, messages
from test_order import finish, recorded

pytestmark = pytest.mark.netns
SLOW_MS = int(1500 * SLOWER)
BOUNDS = {"slow_client_ms": SLOW_MS, "events_max": 2048}
MEMORY_MAX = 128 << 20


class Laggard:
    """A group of three that dispatch and one, on node 2, that will not."""

    def __init__(self, make_cluster, plain=True, **clients):
        self.cluster = make_cluster(3, clients={**BOUNDS, **clients})
        self.others = recorded(self.cluster, (1, 2, 3))
        self.slow = self.cluster.agent(2).init(plain=plain)
        assert self.slow.repeat("join", "h", hexname("g")) == CS_OK
        for agent in self.others:
            agent.wait_members([a.id for a in self.others] + [self.slow.id])

    def core(self, key):
        return self.cluster.status(2)["counters"]["core"][key]

    def client(self):
        """What node 2 says of the slow one."""
        return next((c for c in self.cluster.status(2)["clients"] if c["pid"] == self.slow.pid), None)

    def flood(self):
        self.floods = [a.flood("f", size="r800") for a in self.others]

    def in_step(self, first, count):
        """Those of other nodes send so many messages each (what the slow one's own node sends waits for it,
        too), and all have read all."""
        senders = self.others[0], self.others[2]
        floods = [a.flood("f", count, "r800", first=first) for a in senders]
        for agent, flood in zip(senders, floods):
            assert agent.answer(flood)["sent"] == count
        for agent in self.others:
            agent.send(f"step-{first}-{agent.pid}")
        for agent, other in itertools.product(self.others, self.others):
            agent.wait_label(f"step-{first}-{other.pid}")

    def wait_gone(self):
        for agent in self.others:
            agent.wait_members([a.id for a in self.others])
            assert changes(agent.views()[-1])[1] == ((*self.slow.id, PROCDOWN),), "V10: too slow is PROCDOWN"

    def go_on(self):
        """The others send and receive."""
        for agent in self.others:
            agent.wait_sent(agent.sent["h"] + 500)

    def end(self):
        self.check([a.halt(flood) for a, flood in zip(self.others, self.floods)])

    def check(self, sent):
        finish(self.others)
        histories = check_all(self.others)
        for found in histories.values():
            for sender, count in zip(self.others, sent):
                got = [m[3] for m in messages(found) if m[1:3] == sender.id and isinstance(m[3], int)]
                assert got == list(range(count)), f"{sender}: {len(got)} of {count} (C6)"
        return histories


def assert_named(laggard):
    """Counters, state and log say who it was, and why."""
    assert laggard.core("clients_evicted_slow") == 1 and laggard.core("clients_evicted_rules") == 0
    said = re.search(rf"pid {laggard.slow.pid}\b.*?(\d+) ms", laggard.cluster.log(2))
    assert said, f"the log does not say why pid {laggard.slow.pid} went:\n{laggard.cluster.log(2)}"
    assert int(said.group(1)) >= SLOW_MS, f"policy block gives {SLOW_MS} ms, and not {said.group(1)}"
    for i in (1, 3):
        assert laggard.cluster.status(i)["counters"]["core"]["clients_evicted_slow"] == 0


@pytest.mark.parametrize("how", ["never-dispatches", "stopped"])
def test_C4_C5_C6_C7_one_that_takes_nothing_is_waited_for_and_disconnected(make_cluster, how):
    laggard = Laggard(make_cluster, plain=how != "stopped")
    slow, cluster = laggard.slow, laggard.cluster
    if how == "stopped":
        slow.signal(signal.SIGSTOP)
    laggard.flood()
    wait_for(lambda: (c := laggard.client()) and c["stalled_ms"] > 0 and c["backlog_events"] >= BOUNDS["events_max"],
             lambda: f"a member whose backlog is full, in the status of node 2: {laggard.client()}")
    start = time.monotonic()
    for agent in laggard.others:  # C7, while sends wait
        assert agent.call("local", "h")["r"] == CS_OK
        assert agent.call("members", "h", hexname("g"))["r"] == CS_OK
    assert time.monotonic() - start < SLOW_MS / 1000 or laggard.client() is None
    laggard.wait_gone()
    laggard.go_on()
    assert_named(laggard)
    for i in (1, 2, 3):
        assert SANITIZED or rss_bytes(cluster.pid(i)) <= MEMORY_MAX, f"node {i}: {rss_bytes(cluster.pid(i))}"
    laggard.end()
    slow.signal(signal.SIGCONT)
    assert slow.call("poll", "h", 10000)["revents"] & POLLHUP
    assert slow.call("send", "h", AGREED, 64, "x")["r"] == CS_ERR_LIBRARY
    assert slow.call("finalize", "h")["r"] == CS_ERR_LIBRARY
    slow.init("again").join("g", "again")  # nobody holds a grudge


def test_C4_C5_one_that_sleeps_slows_the_others_and_stays(make_cluster):
    laggard = Laggard(make_cluster, plain=False)
    laggard.slow.record()
    assert laggard.slow.call("nap", "h", 1)["r"] == CS_OK
    floods = [a.flood("f", 1500, "r200") for a in laggard.others]
    for agent, flood in zip(laggard.others, floods):
        assert agent.answer(flood)["sent"] == 1500
    assert laggard.slow.call("nap", "h", 0)["r"] == CS_OK
    finish(laggard.others)
    for agent in laggard.others:
        laggard.slow.wait_label(f"last-{agent.pid}")
    check_all([*laggard.others, laggard.slow])
    assert laggard.core("clients_evicted_slow") == 0, laggard.cluster.log(2)[-2000:]


def test_C4_policy_evict_does_not_wait(make_cluster):
    """Nobody is asked how long it has been slow; those who dispatch are never far behind."""
    bound, step, sent = 20000, 2000, 0
    laggard = Laggard(make_cluster, slow_policy="evict", slow_client_ms=600000, events_max=bound)
    while laggard.client():
        assert 2 * sent < 2 * bound, "it is far over its bound and still there"
        laggard.in_step(sent, step)
        sent += step
    laggard.wait_gone()
    laggard.in_step(sent, step)
    assert laggard.core("clients_evicted_slow") == 1
    laggard.check([sent + step, 0, sent + step])


def test_C5_two_that_send_and_do_not_dispatch_do_not_lock_the_group_up(make_cluster):
    """As two members do that send from their callbacks until it is accepted."""
    cluster = make_cluster(3, clients=BOUNDS)
    third = cluster.member(3)
    third.record()
    stubborn = [cluster.agent(i).init(plain=True) for i in (1, 2)]
    for agent in stubborn:
        assert agent.repeat("join", "h", hexname("g")) == CS_OK
    third.wait_members([third.id] + [a.id for a in stubborn])
    floods = [a.flood("f", size=100) for a in stubborn]
    results = [a.answer(flood)["r"] for a, flood in zip(stubborn, floods)]
    assert results == [CS_ERR_LIBRARY] * 2, results
    third.wait_members([third.id])
    third.send("free")
    third.wait_label("free")
    check_alone(third)
    for agent in stubborn:
        assert len([m for m in messages(history(third)) if m[1:3] == agent.id]) >= agent.sent["h"], "D6"


def test_C1_spinning_senders_do_not_starve_the_service(make_cluster):
    cluster = make_cluster(3, nice=0)
    agents = recorded(cluster, (1, 2, 3))
    for agent in agents:
        agent.call("spin")
    floods = [a.flood("f", 4000, "r1200") for a in agents]
    for agent, flood in zip(agents, floods):
        assert agent.answer(flood) == {"a": flood, "r": CS_OK, "sent": 4000}
    finish(agents)
    for found in check_all(agents).values():
        assert len(messages(found)) == 3 * 4000 + 3


def test_C1_C4_a_send_that_gives_6_has_sent_nothing(make_cluster):
    laggard = Laggard(make_cluster, slow_client_ms=600000)
    sender, reader = laggard.others[0], laggard.others[2]
    refused = accepted = 0
    while refused < 20:
        result = sender.call("send", "h", AGREED, 20000, f"f:{accepted}")["r"]
        assert result in (CS_OK, CS_ERR_TRY_AGAIN)
        accepted += result == CS_OK
        refused += result == CS_ERR_TRY_AGAIN
        assert accepted < 500000, "nobody ever slowed the sender"
    assert SANITIZED or rss_bytes(laggard.cluster.pid(2)) <= MEMORY_MAX
    assert laggard.slow.call("auto", "h", 1)["r"] == CS_OK
    sender.send("end")
    reader.wait_label("end")
    assert [m[3] for m in messages(history(reader))] == [*range(accepted), "end"]
