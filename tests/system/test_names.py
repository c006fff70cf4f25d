# SPDX-License-Identifier: BSD-3-Clause
"""N1 to N3: a group is its bytes and their length, also through splits and merges."""

import pytest

from cluster import CS_ERR_NAME_TOO_LONG, NODEDOWN, NODEUP, changes, hexname
from histories import check_all

pytestmark = pytest.mark.netns
NAMES = [b"", b"\0", b"\0\0", b"grp", b"grp\0", b"grp\0x", b"GRP", b"x\0y", b"x\0z", b"a" * 127, b"a" * 128,
         b"a" * 127 + b"\0", bytes(range(128)), b"\xff" * 128, "gr\u00fcn".encode()]


def test_N1_N2_N3_names_are_bytes_and_length_through_split_and_merge(cluster):
    agents = {i: cluster.agent(i) for i in (1, 2, 3)}
    joined = {}
    for k, name in enumerate(NAMES):  # members on two nodes each, so that no two neighbours are alike
        for i in (k % 3 + 1, (k + 1) % 3 + 1):
            agents[i].init(f"h{k}").join(name, f"h{k}")
            joined.setdefault(k, []).append(agents[i])
    for k, of in joined.items():
        for agent in of:
            agent.wait_members([a.id for a in of], f"h{k}")
    before = {i: len(a.events) for i, a in agents.items()}
    cluster.net.cut(3)
    for k, of in joined.items():
        for agent in of:
            agent.wait_members([a.id for a in of if (a.node == 3) == (agent.node == 3)], f"h{k}")
    cluster.heal(3)
    for k, of in joined.items():
        for agent in of:
            agent.wait_members([a.id for a in of], f"h{k}")
        of[0].send(f"to-{k}", handle=f"h{k}")
        for agent in of:
            agent.wait_label(f"to-{k}", f"h{k}")
    for k, of in joined.items():
        check_all(of, f"h{k}")
        for agent in of:
            handle = f"h{k}"
            assert {e["g"] for e in agent.views(handle) + agent.messages(handle)} == {hexname(NAMES[k]).strip("-")}
            assert agent.labels(handle) == [f"to-{k}"], f"{agent} in {NAMES[k]!r}: {agent.labels(handle)}"
            away = [a.id for a in of if (a.node == 3) != (agent.node == 3)]
            wanted = [(tuple((*m, NODEDOWN) for m in away), ()), ((), tuple((*m, NODEUP) for m in away))]
            seen = [changes(v)[1:] for v in agent.views(handle, before[agent.node])]
            assert seen == (wanted if away else []), f"{agent} in {NAMES[k]!r}: {seen}"


def test_N1_membership_and_iteration_tell_names_apart(cluster):
    agent = cluster.agent(2)
    for k, name in enumerate(NAMES):
        agent.init(f"h{k}").join(name, f"h{k}")
    other = cluster.agent(1).init("h0")
    wanted = [[hexname(name).strip("-"), *agent.id] for name in sorted(NAMES)]
    assert other.call("iterate", "h0", 3)["i"] == wanted
    for name in NAMES:
        assert other.call("members", "h0", hexname(name))["m"] == [[*agent.id, 0]]
    assert other.call("members", "h0", hexname(b"grp\0\0"))["m"] == []


def test_N2_a_name_over_128_is_too_long(cluster):
    agent = cluster.agent(1).init()
    long = hexname(b"a" * 129)
    assert agent.call("join", "h", long)["r"] == CS_ERR_NAME_TOO_LONG
    assert agent.call("members", "h", long)["r"] == CS_ERR_NAME_TOO_LONG
    agent.join("a" * 128)
    assert agent.call("leave", "h", long)["r"] == CS_ERR_NAME_TOO_LONG
