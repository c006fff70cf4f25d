# SPDX-License-Identifier: BSD-3-Clause
"""Messages of 0 bytes to the maximum and one more, and large ones beside everything else (L1 to L6)."""

import pytest

from cluster import AGREED, CS_ERR_TOO_BIG, CS_OK, PROCDOWN, SAFE, wait_for
from histories import check_all, check_alone
from test_order import finish

pytestmark = pytest.mark.netns
MIB = 1 << 20
LARGEST = 32 * MIB
SIZES = [0, 1, 1047551, 1047552, 1047553, 1048576, 3000000, 20 * MIB, LARGEST]


@pytest.mark.dpdk
def test_L1_L2_D10_every_size_arrives_whole_and_one_over_is_too_big(cluster):
    agents = cluster.members((1, 2, 3))
    for i, size in enumerate(SIZES):
        sender = agents[i % 3]
        sender.send(f"size-{i}", size)
        assert sender.call("send", "h", AGREED, LARGEST + 1, "never")["r"] == CS_ERR_TOO_BIG
    finish(agents)
    for agent, found in check_all(agents).items():
        # A message of no bytes carries no label, one of one byte the first letter of it.
        got = [m[4] for m in found if m[0] == "msg" and not str(m[3]).startswith("last")]
        assert sorted(got) == SIZES, f"{agent}: {got}"


def test_the_largest_atomic_message_is_what_the_contract_says(cluster):
    agent = cluster.agent(1).init()
    assert agent.call("most", "h")["n"] >= 1047552


def test_L2_D2_small_and_large_of_one_sender_keep_their_order(cluster):
    agents = cluster.members((1, 2, 3))
    sent = []
    for i in range(24):
        label, size = f"m{i}-", (100, 1400, 70000, 2 * MIB)[i % 4]
        agents[0].send(label, size, SAFE if i % 5 == 0 else AGREED)
        sent.append((label, size))
    for agent in agents:
        agent.wait_label(sent[-1][0])
        assert [(m["l"], m["b"]) for m in agent.messages()] == sent
    check_all(agents)


@pytest.mark.dpdk
def test_L2_three_senders_of_large_messages_at_once(cluster):
    agents = cluster.members((1, 1, 2, 2, 3, 3))
    floods = [a.flood("f", 6, "r8000000") for a in agents]
    for agent, flood in zip(agents, floods):
        assert agent.answer(flood) == {"a": flood, "r": CS_OK, "sent": 6}
    finish(agents)
    for found in check_all(agents).values():
        assert len([m for m in found if m[0] == "msg" and isinstance(m[3], int)]) == 36


def test_L6_small_messages_of_others_go_on_beside_large_ones(cluster):
    large, *small = agents = cluster.members((1, 2, 3, 1))
    for agent in small:
        agent.call("pace", "h", 2)
    floods = [a.flood("s", size=64) for a in small]
    for agent in small:
        agent.wait_sent(100)
    through = {a: set() for a in agents}
    for i in range(3):
        began = {a: len(a.events) for a in agents}
        large.send(f"large-{i}", 20 * MIB)
        for agent in agents:
            arrived = agent.events.index(agent.wait_label(f"large-{i}", since=began[agent]), began[agent])
            beside = [e for e in agent.events[began[agent]:arrived + 1] if e["e"] == "msg"]
            through[agent] |= {(e["n"], e["p"]) for e in beside}
            assert len(through[agent]) > 1, f"{agent}: nobody got through beside 20 MiB"
            whole = beside[-1]["t"] - beside[0]["t"]
            gap = max(after["t"] - before["t"] for before, after in zip(beside, beside[1:]))
            assert gap < max(whole * 0.8, 1e9), f"{agent}: nothing for {gap / 1e6:.0f} ms of {whole / 1e6:.0f}"
    for agent in agents:
        assert {a.id for a in small} <= through[agent], f"{agent}: only {through[agent]} got through"
    for agent, flood in zip(small, floods):
        agent.halt(flood)
    finish(agents)
    check_all(agents)


def test_L2_L3_members_come_and_go_while_large_messages_pass(cluster):
    agents = cluster.members((1, 2, 3))
    flood = agents[0].flood("f", 12, 20 * MIB)
    comers = []
    for i in range(6):
        comer = cluster.agent(i % 3 + 1).init().join()
        wait_for(lambda c=comer: c.messages(), "a large message")
        comers.append(comer.leave() if i % 2 else comer.kill())
    assert agents[0].answer(flood)["sent"] == 12
    finish(agents)
    histories = check_all(agents + comers)
    for agent in agents:
        assert [m[3] for m in histories[agent] if m[0] == "msg" and isinstance(m[3], int)] == list(range(12))


@pytest.mark.dpdk
@pytest.mark.parametrize("fault", ["cut", "kill", "stop"])
def test_L2_L5_a_node_goes_in_the_middle_of_a_large_message(cluster, fault):
    agents = cluster.members((1, 2, 3))
    flood = agents[0].flood("f", 8, LARGEST)
    wait_for(lambda: agents[1].messages(), "the first large message")
    {"cut": cluster.net.cut, "kill": cluster.kill, "stop": cluster.stop}[fault](3)
    for agent in agents[:2]:
        agent.wait_members([a.id for a in agents[:2]])
    assert agents[0].answer(flood)["sent"] == 8
    finish(agents[:2])
    histories = check_all(agents[:2] + (agents[2:] if fault == "cut" else []))
    for agent in agents[:2]:
        assert [m[3] for m in histories[agent] if m[0] == "msg" and isinstance(m[3], int)] == list(range(8))


def test_D6_L5_the_sender_is_killed_in_the_middle(cluster):
    readers = cluster.members((1, 2, 3))
    for i in range(9):
        node = i % 3 + 1
        sender = cluster.agent(node).init().join()
        for reader in readers:
            reader.wait_members([a.id for a in [*readers, sender]])
        accepted = i % 2 == 0
        number = sender.post("send", "h", AGREED, LARGEST, f"large-{i}")
        if accepted:
            assert sender.answer(number)["r"] == CS_OK
        sender.kill()
        for reader in readers:
            view = reader.wait(lambda e, s=sender: e["e"] == "view" and e["l"] == [[*s.id, PROCDOWN]],
                               f"view without {sender}")
            whole = f"large-{i}" in [e["l"] for e in reader.events[:reader.events.index(view)] if e["e"] == "msg"]
            assert whole or not accepted, f"{reader}: accepted, and not delivered before the view (D6)"
    finish(readers)
    check_all(readers)


def test_L5_the_sending_service_is_killed_in_the_middle(cluster):
    readers = cluster.members((1, 2))
    free = {i: cluster.status(i)["memory"]["rx"]["free"] for i in (1, 2)}
    for i in range(3):
        sender = cluster.member(3)
        for reader in readers:
            reader.wait_members([a.id for a in [*readers, sender]])
        sender.send(f"large-{i}", LARGEST)
        cluster.kill(3)
        for reader in readers:
            reader.wait_members([a.id for a in readers])
        cluster.start(3)
        cluster.wait_ring(1, 2, 3)
    finish(readers)
    for reader in readers:
        check_alone(reader)
    for i in (1, 2):  # what was received of them is given back
        wait_for(lambda i=i: cluster.status(i)["memory"]["rx"]["free"] >= free[i],
                 lambda i=i: f"node {i}: {cluster.status(i)['memory']['rx']}; free before: {free[i]}")
