# SPDX-License-Identifier: BSD-3-Clause
"""S1 to S6: the local service is killed or stops under its clients."""

import signal

import pytest

from cluster import (ALL, BLOCKING, CS_ERR_BAD_HANDLE, CS_ERR_LIBRARY, CS_OK, NODEDOWN, ONE, ONE_NONBLOCKING,
                     POLLHUP, POLLIN, PROCDOWN, changes, hexname, wait_for)
from histories import check_alone

pytestmark = pytest.mark.netns
ENDS = {"kill": NODEDOWN, "stop": PROCDOWN}


def end(cluster, i, how):
    {"kill": cluster.kill, "stop": cluster.stop}[how](i)


@pytest.mark.parametrize("how", ENDS)
def test_S1_S2_F5_every_call_says_2_and_the_descriptor_hangs_up(cluster, how):
    other, agent = cluster.member(1), cluster.agent(2).init()
    agent.join()
    for handle in ("idle", "waiting"):
        agent.init(handle, plain=True)
    assert agent.repeat("join", "waiting", hexname("w")) == CS_OK
    assert agent.call("poll", "waiting", 10000)["revents"] == POLLIN  # its own view waits, and is discarded
    end(cluster, 2, how)
    agent.wait_lost()
    for handle in ("h", "idle", "waiting"):
        assert agent.call("poll", handle, 10000)["revents"] & (POLLIN | POLLHUP) == POLLIN | POLLHUP, handle
        for mode in (ONE, ALL, BLOCKING, ONE_NONBLOCKING):
            assert agent.call("dispatch", handle, mode)["r"] == CS_ERR_LIBRARY, f"{handle}, mode {mode}"
        calls = [("join", hexname("x")), ("leave", hexname("x")), ("send", 2, 64, "x"), ("send", 2, 3000000, "y"),
                 ("members", hexname("g")), ("iterate", 3), ("local",)]
        for verb, *words in calls:
            assert agent.call(verb, handle, *words)["r"] == CS_ERR_LIBRARY, f"{verb} on {handle}"
        assert agent.call("most", handle)["r"] == CS_OK  # answered by the library alone
    assert not agent.views("waiting"), "discarded"
    assert [changes(v) for v in agent.views()] == [changes(agent.views()[0])], "no view announces it"
    for handle in ("h", "idle", "waiting"):
        assert agent.call("finalize", handle)["r"] == CS_ERR_LIBRARY
    assert agent.call("init", "new", 0)["r"] == CS_ERR_LIBRARY
    other.wait_members([other.id])
    assert changes(other.views()[-1])[1] == ((*agent.id, ENDS[how]),), "S5"


@pytest.mark.parametrize("how", ENDS)
@pytest.mark.parametrize("mode", [ONE, BLOCKING])
def test_S1_a_waiting_dispatch_returns(cluster, how, mode):
    agents = [cluster.agent(2).init(plain=True) for _ in range(3)]
    waiting = [agent.post("dispatch", "h", mode) for agent in agents]
    wait_for(lambda: all(asleep(agent.pid) for agent in agents), "agents that wait in the library")
    end(cluster, 2, how)
    for agent, number in zip(agents, waiting):
        assert agent.answer(number)["r"] == CS_ERR_LIBRARY


def asleep(pid):
    with open(f"/proc/{pid}/stat") as f:
        return f.read().rpartition(")")[2].split()[0] == "S"


def test_S2_S3_a_new_handle_works_after_the_restart_and_an_old_one_does_not(cluster):
    other, agent = cluster.member(1), cluster.member(2)
    cluster.kill(2)
    agent.wait_lost()
    cluster.start(2)
    agent.init("new").join("g", "new")
    other.wait_members([other.id, agent.id])
    for verb, *words in (("local",), ("send", 2, 64, "x"), ("dispatch", ALL)):
        assert agent.call(verb, "h", *words)["r"] == CS_ERR_LIBRARY, f"{verb} (S3)"
    assert agent.call("finalize", "h")["r"] == CS_ERR_LIBRARY
    assert agent.call("local", "h")["r"] != CS_OK
    agent.send("again", handle="new")
    other.wait_label("again")
    check_alone(other)
    check_alone(agent, "new")


@pytest.mark.dpdk
def test_S2_clients_that_loop_come_through_restarts_of_all_services(cluster):
    agents = {i: cluster.agent(i) for i in (1, 2, 3)}
    for life in range(3):
        handle = f"h{life}"
        for agent in agents.values():
            agent.init(handle).join("g", handle)
        for agent in agents.values():
            agent.wait_members([a.id for a in agents.values()], handle)
            agent.send(f"{handle}-{agent.node}", handle=handle)
        for agent in agents.values():
            for other in agents.values():
                agent.wait_label(f"{handle}-{other.node}", handle)
            assert len(agent.labels(handle)) == 3, "D10: nothing comes again"
        for i in agents:
            end(cluster, i, ("kill", "stop")[life % 2])
        for i, agent in agents.items():
            agent.wait_lost(handle)
            assert agent.call("finalize", handle)["r"] == CS_ERR_LIBRARY
            assert agent.call("finalize", handle)["r"] != CS_OK
            cluster.start(i)
    cluster.wait_ring(*agents)


def test_S4_S1_a_flood_ends_with_2(cluster):
    agents = cluster.members((2, 2))
    for how in ENDS:
        floods = [a.flood("f", size="r100000") for a in agents]
        for agent in agents:
            agent.wait_sent(200)
        end(cluster, 2, how)
        for agent, flood in zip(agents, floods):
            assert agent.answer(flood)["r"] == CS_ERR_LIBRARY
            agent.wait_lost()
            assert agent.call("finalize", "h")["r"] == CS_ERR_LIBRARY
            assert agent.call("local", "h")["r"] in (-3, CS_ERR_BAD_HANDLE)
        cluster.start(2)
        for agent in agents:
            agent.init().join()


def test_S6_clients_killed_stopped_and_continued_harm_nobody(cluster):
    watcher, neighbour = cluster.members((1, 2))
    stopped = cluster.member(2)
    stopped.flood("f", 500, "r3000")
    stopped.wait_sent(100)
    stopped.signal(signal.SIGSTOP)
    for _ in range(10):
        victim = cluster.agent(2).init().join()
        victim.flood("f", 200, "r3000")  # what a stopped member holds back is bounded
        victim.wait_sent(50)
        victim.kill()
    neighbour.send("still-here")
    watcher.wait_label("still-here")
    stopped.signal(signal.SIGCONT)
    stopped.call("halt", "h")
    stopped.send("so-am-i")
    watcher.wait_label("so-am-i")
    watcher.wait_members([a.id for a in (watcher, neighbour, stopped)])
    check_alone(watcher)
