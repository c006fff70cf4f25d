# SPDX-License-Identifier: BSD-3-Clause
"""D1 to D12: senders at full rate on all nodes while others join, leave and die."""

import itertools

import pytest

from cluster import AGREED, CS_OK, FIFO, LEAVE, PROCDOWN, SAFE, UNORDERED, hexname, wait_for
from histories import check_all, check_alone, history, messages

pytestmark = pytest.mark.netns
FLOOD = 5000


def finish(agents, handle="h"):
    """Everything that was sent is delivered everywhere: a last word of each has come to each."""
    for agent in agents:
        agent.send(f"last-{agent.pid}", handle=handle)
    for agent, other in itertools.product(agents, agents):
        agent.wait_label(f"last-{other.pid}", handle)


def sent_by(found, agent):
    """Numbers of this agent's messages in a history, in order."""
    return [m[3] for m in messages(found) if m[1:3] == agent.id and isinstance(m[3], int)]


def recorded(cluster, nodes, group="g"):
    agents = [cluster.agent(i).init().record().join(group) for i in nodes]
    for agent in agents:
        agent.wait_members([a.id for a in agents])
    return agents


@pytest.mark.dpdk
def test_D1_D2_D3_D4_D10_all_members_flood(cluster):
    agents = recorded(cluster, (1, 1, 2, 2, 3, 3))
    floods = [agent.flood("f", FLOOD, "r300") for agent in agents]
    for agent, flood in zip(agents, floods):
        assert agent.answer(flood) == {"a": flood, "r": CS_OK, "sent": FLOOD}
    finish(agents)
    histories = check_all(agents)
    for (reader, found), sender in itertools.product(histories.items(), agents):
        assert sent_by(found, sender) == list(range(FLOOD)), f"{reader} of {sender} (D3)"


@pytest.mark.dpdk
@pytest.mark.parametrize("guarantees", [(SAFE, SAFE, SAFE), (AGREED, SAFE, AGREED), (UNORDERED, FIFO, SAFE)])
def test_D1_D2_SAFE_and_AGREED_share_one_order(cluster, guarantees):
    agents = recorded(cluster, (1, 2, 3))
    count = FLOOD // 5
    floods = [a.flood("f", count, "r300", guarantee) for a, guarantee in zip(agents, guarantees)]
    for agent, flood in zip(agents, floods):
        assert agent.answer(flood)["sent"] == count
    finish(agents)
    histories = check_all(agents)
    for found, sender in itertools.product(histories.values(), agents):
        assert sent_by(found, sender) == list(range(count))


def test_D2_an_answer_comes_behind_its_question_everywhere(cluster):
    agents = cluster.members((1, 2, 3))
    asked = []
    for i in range(60):
        agent, label = agents[i % 3], f"word-{i}"
        agent.send(label)
        asked.append(label)
        agents[(i + 1) % 3].wait_label(label)  # who answers has it
    for agent in agents:
        agent.wait_label(asked[-1])
        assert agent.labels() == asked, f"{agent}"


def test_D1_D4_D6_D8_members_come_and_go_under_load(cluster):
    stayers = recorded(cluster, (1, 2, 3))
    floods = [a.flood("f", size="r300") for a in stayers]
    comers, ends = [], ("leave", "finalize", "exit", "kill")
    for i, end in zip(range(12), itertools.cycle(ends)):
        comer = cluster.agent(i % 3 + 1).init().record().join()
        flood = comer.flood("f", 200, "r300")
        if end != "kill":
            assert comer.answer(flood)["sent"] == 200
        else:
            comer.wait_sent(100)
        accepted = comer.sent["h"] if end == "kill" else 200
        goodbye(comer, end)
        comers.append((comer, end, accepted))
    for agent in stayers:
        agent.wait_members([a.id for a in stayers])
    sent = [a.halt(flood) for a, flood in zip(stayers, floods)]
    finish(stayers)
    histories = check_all(stayers + [comer for comer, _, _ in comers])
    for reader in stayers:
        for sender, count in zip(stayers, sent):
            assert sent_by(histories[reader], sender) == list(range(count)), f"{reader} of {sender} (D3)"
        for comer, end, accepted in comers:
            got = sent_by(histories[reader], comer)
            assert got == list(range(len(got))) and len(got) >= accepted, \
                f"{reader} got {len(got)} of {accepted} accepted from {comer}, which ended by {end} (D6)"


def goodbye(agent, end):
    if end == "leave":
        agent.leave()
    elif end == "finalize":
        assert agent.call("finalize", "h")["r"] == CS_OK
    elif end == "exit":
        agent.quit()
    else:
        agent.kill()


@pytest.mark.parametrize("end", ["leave", "finalize", "exit", "kill"])
def test_D6_what_was_accepted_before_the_end_comes_before_the_view(cluster, end):
    readers = recorded(cluster, (1, 2, 3))
    sender = cluster.agent(2).init().record().join()
    for reader in readers:
        reader.wait_members([a.id for a in readers] + [sender.id])
    assert sender.answer(sender.flood("f", FLOOD))["sent"] == FLOOD
    goodbye(sender, end)
    reason = LEAVE if end == "leave" else PROCDOWN
    for reader in readers:
        reader.wait(lambda e: e["e"] == "view" and e["l"] == [[*sender.id, reason]], f"view without {sender}")
        found = check_alone(reader)
        assert sent_by(found, sender) == list(range(FLOOD)), f"{reader}: {len(sent_by(found, sender))} of {FLOOD}"
        assert found[-1][0] == "view", f"{reader}: {found[-1]} behind the view"


def test_D6_killed_while_it_sends(cluster):
    readers = recorded(cluster, (1, 2, 3))
    for node in (1, 2, 3) * 3:
        sender = cluster.agent(node).init().join()
        for reader in readers:  # else the view of before passes for the one without it
            reader.wait_members([a.id for a in readers] + [sender.id])
        sender.flood("f")
        sender.wait_sent(500)
        sender.kill()
        for reader in readers:
            reader.wait_members([a.id for a in readers])
            got = len(sent_by(history(reader), sender))
            assert got >= sender.sent["h"], f"{reader}: {got} messages; {sender.sent['h']} were accepted at least"
    check_all(readers)


@pytest.mark.dpdk
@pytest.mark.parametrize("fault", ["kill", "cut", "stop"])
def test_D5_what_was_accepted_while_a_failure_is_noticed_is_delivered(cluster, fault):
    agents = recorded(cluster, (1, 2))
    third = cluster.agent(3).init().record().join()
    everyone = [a.id for a in agents] + [third.id]
    for agent in [*agents, third]:
        agent.wait_members(everyone)
    floods = [a.flood("f", size="r300") for a in agents]
    for agent in agents:
        agent.wait_sent(1000)
    {"kill": cluster.kill, "cut": cluster.net.cut, "stop": cluster.stop}[fault](3)
    for agent in agents:
        agent.wait_members([a.id for a in agents])
        agent.wait_sent(agent.sent["h"] + 1000)
    sent = [a.halt(flood) for a, flood in zip(agents, floods)]
    finish(agents)
    histories = check_all([*agents, third] if fault == "cut" else agents)
    for found, (sender, count) in itertools.product((histories[a] for a in agents), zip(agents, sent)):
        assert sent_by(found, sender) == list(range(count)), f"of {sender}: {len(sent_by(found, sender))} of {count}"


def test_D7_sent_before_the_own_view_comes_behind_it(cluster):
    reader = cluster.member(1)
    sender = cluster.agent(2).init(plain=True)
    join = sender.post("join", "h", hexname("g"))
    send = sender.post("send", "h", AGREED, 64, "early")
    assert sender.answer(join)["r"] == CS_OK and sender.answer(send)["r"] == CS_OK
    sender.call("auto", "h", 1)
    for agent in (reader, sender):
        agent.wait_label("early")
        found = [entry for entry in history(agent) if entry[0] == "msg" or entry[0] == "view"]
        assert found[-2][0] == "view" and found[-2][3] == ((*sender.id, 1),) and found[-1][3] == "early", found


def test_D8_a_new_member_gets_nothing_older_and_one_that_left_nothing_newer(cluster):
    sender = cluster.member(1)
    flood = sender.flood("f", size=64)
    comers = []
    for i in range(9):
        comer = cluster.agent(i % 3 + 1).init().record().join()
        wait_for(lambda c=comer: len(history(c)) > 50, "messages")
        comers.append(comer.leave())
    sender.halt(flood)
    finish([sender])
    for comer in comers:
        found = check_alone(comer)
        assert found[0][0] == "view" and found[-1] == ("view", found[-1][1], ((*comer.id, LEAVE),), ()), found[-1]


def test_D9_bytes_are_private_aligned_and_writable(cluster):
    """Agents write over every message they get: whoever shared it would notice."""
    agents = cluster.members((1, 1, 2, 2))
    sizes = [0, 1, 7, 8, 15, 16, 31, 32, 33, 100, 1000, 1400, 1500, 9000, 65536, 100001, 1047552]
    for i, size in enumerate(sizes):
        agents[i % 4].send(f"m{i}-", size)
    finish(agents)
    for agent in agents:
        check_alone(agent)  # whole, and aligned
        assert sorted(m["b"] for m in agent.messages() if not m["l"].startswith("last")) == sorted(sizes)


def test_D10_nothing_is_delivered_again_after_a_restart(cluster):
    first = cluster.member(1)
    first.send("old")
    first.wait_label("old")
    for i in (1, 2, 3):
        cluster.kill(i)
    for i in (1, 2, 3):
        cluster.start(i)
    cluster.wait_ring(1, 2, 3)
    agents = cluster.members((1, 2, 3))
    finish(agents)
    for agent in agents:
        assert sorted(agent.labels()) == sorted(f"last-{a.pid}" for a in agents), f"{agent}"


def test_D11_one_node_of_three_goes_on(cluster):
    agents = cluster.members((1, 2, 3))
    cluster.net.cut(1, 2, 3)
    for agent in agents:
        agent.wait_members([agent.id])
        agent.send(f"alone-{agent.node}")
        agent.wait_label(f"alone-{agent.node}")
    cluster.heal(1, 2, 3)
    for agent in agents:
        agent.wait_members([a.id for a in agents])
    finish(agents)
    check_all(agents)


def test_D12_deliveries_do_not_wait_for_a_member_that_does_not_dispatch(cluster):
    agents = recorded(cluster, (1, 2, 3))
    idle = cluster.agent(2).init(plain=True)
    assert idle.repeat("join", "h", hexname("g")) == CS_OK
    for agent in agents:
        agent.wait_members([a.id for a in agents] + [idle.id])
    floods = [a.flood("f", FLOOD) for a in agents]
    for agent, flood in zip(agents, floods):
        assert agent.answer(flood)["sent"] == FLOOD
    finish(agents)
    idle.record()
    assert idle.call("auto", "h", 1)["r"] == CS_OK
    for agent in agents:
        idle.wait_label(f"last-{agent.pid}")
    check_all([*agents, idle])
