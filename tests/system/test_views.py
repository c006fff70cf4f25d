# SPDX-License-Identifier: BSD-3-Clause
"""Every line of the table in section 6.2 of the contract: three nodes, three groups, several processes
a node, several handles a process. Full histories of all members are compared with each other, and
what one of them saw with the table.
"""

import signal

import pytest

from cluster import (DETECT_MS, INITIAL_RING, JOIN, LEAVE, NODEDOWN, NODEUP, PROCDOWN, changes, hexname,
                     wait_for)
from histories import check_alone, check_together

pytestmark = [pytest.mark.netns, pytest.mark.dpdk]


class Crowd:
    """Two processes a node. All are in group "a" by handle "h"; the first of each node is also in group
    "b" by handle "i"; the second ones of nodes 1 and 2 also in group "c" by handle "j". One process
    watches: its handle never joins."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.of = {i: [cluster.agent(i), cluster.agent(i)] for i in cluster.net.names}
        self.all = [agent for agents in self.of.values() for agent in agents]
        self.handles = {"h": list(self.all), "i": [first for first, _ in self.of.values()],
                        "j": [self.of[i][1] for i in (1, 2)]}
        for handle, group in zip("hij", "abc"):
            for agent in self.handles[handle]:
                agent.init(handle).join(group, handle)
        self.watcher = cluster.agent(1).init("w")
        self.settle()

    def add(self, node, handle="h", group="a"):
        agent = self.cluster.agent(node).init(handle).join(group, handle)
        self.handles[handle].append(agent)
        self.settle()
        return agent

    def remove(self, *agents):
        """They are members no more; what they saw is still judged at the end."""
        self.gone = getattr(self, "gone", []) + [(a, h) for h in self.handles for a in agents if a in self.handles[h]]
        for of in self.handles.values():
            of[:] = [a for a in of if a not in agents]

    def settle(self, nodes=None):
        """Until all members on these nodes see exactly the members on these nodes."""
        for handle, agents in self.handles.items():
            here = [a for a in agents if nodes is None or a.node in nodes]
            for agent in here:
                agent.wait_members([a.id for a in here], handle)

    def settle_ring(self, nodes, marks):
        """Until each handle on these nodes has had the ring event of these nodes since the mark."""
        for (agent, handle), mark in marks.items():
            if agent.node in nodes and agent.process.poll() is None:
                agent.wait_ring(nodes, handle, mark)

    def mark(self):
        """Where everyone's events end now."""
        pairs = [(agent, handle) for handle, agents in self.handles.items() for agent in agents]
        return {(agent, handle): len(agent.events) for agent, handle in pairs + [(self.watcher, "w")]}

    def ids(self, *nodes, handle="h"):
        return sorted(a.id for a in self.handles.get(handle, ()) if a.node in nodes)

    def check(self):
        """Each history alone, and those of a group together."""
        for handle, agents in self.handles.items():
            gone = [a for a, h in getattr(self, "gone", []) if h == handle]
            check_together({a: check_alone(a, handle) for a in agents + gone})


def reasons(ids, reason):
    return tuple((*member, reason) for member in ids)


def since(agent, handle, mark):
    """[("view", left, joined) or ("ring", nodes)] from a mark on."""
    found = []
    for e in agent.events[mark:]:
        if e["e"] == "view" and e["h"] == handle:
            found.append(("view", *changes(e)[1:]))
        elif e["e"] == "ring" and e["h"] == handle:
            found.append(("ring", e["m"]))
    return found


def assert_seen(marks, expected, nodes, again=False):
    """expected(handle): what every handle on these nodes must have seen since the marks. again: a last ring
    that forms twice, of the same nodes, is forgiven."""
    for (agent, handle), mark in marks.items():
        if agent.node in nodes:
            seen, wanted = since(agent, handle, mark), expected(handle)
            while again and len(seen) > len(wanted) and seen[-1] == seen[-2] and seen[-1][0] == "ring":
                seen.pop()
            assert seen == wanted, f"{agent} handle {handle} saw\n  {seen}\nand not\n  {wanted}"


def test_V1_V2_V3_V4_V5_one_process_joins_leaves_and_joins_again(cluster):
    crowd = Crowd(cluster)
    for node in (2, 3, 1):
        marks = crowd.mark()
        joiner = crowd.add(node)
        mine = (joiner.id,)

        def joined(handle):
            return [("view", (), reasons(mine, JOIN))] if handle == "h" else []
        assert_seen(marks, joined, (1, 2, 3))
        first = changes(joiner.views()[0])
        assert first == (tuple(crowd.ids(1, 2, 3)), (), reasons(mine, JOIN)), "V4: the joiner's first event"

        marks = crowd.mark()
        joiner.leave()
        assert changes(joiner.views()[-1])[1:] == (reasons(mine, LEAVE), ()), "the leaver's last event"
        crowd.handles["h"].remove(joiner)
        crowd.settle()
        marks.pop((joiner, "h"))
        assert_seen(marks, lambda handle: [("view", reasons(mine, LEAVE), ())] if handle == "h" else [], (1, 2, 3))
        crowd.handles["h"].append(joiner)
        joiner.join("a")
        crowd.settle()
    crowd.check()


@pytest.mark.parametrize("end", ["finalize", "exit", "crash", "kill"])
def test_V5_V10_a_process_that_ends_without_leaving_is_PROCDOWN(cluster, end):
    crowd = Crowd(cluster)
    for node in (1, 2, 3):
        ender = crowd.of[node][0]  # in groups a and b
        marks = crowd.mark()
        if end == "finalize":
            assert ender.call("finalize", "h")["r"] == 1
            assert ender.call("finalize", "i")["r"] == 1
        elif end == "exit":
            ender.quit()
        else:
            ender.kill(signal.SIGABRT if end == "crash" else signal.SIGKILL)
        crowd.remove(ender)
        crowd.settle()
        marks = {key: mark for key, mark in marks.items() if key[0] is not ender}
        one = [("view", reasons([ender.id], PROCDOWN), ())]
        assert_seen(marks, lambda handle, one=one: one if handle in "hi" else [], (1, 2, 3))
    crowd.check()


def test_V5_V10_S5_a_service_that_stops_cleanly_is_PROCDOWN_for_each_process(cluster):
    crowd = Crowd(cluster)
    marks = crowd.mark()
    cluster.stop(3)
    crowd.remove(*crowd.of[3])
    crowd.settle()
    crowd.settle_ring((1, 2), marks)
    for (agent, handle), mark in marks.items():
        if agent.node == 3:
            continue
        seen = since(agent, handle, mark)
        gone = [a.id for a in crowd.of[3] if handle == "h" or (handle == "i" and a is crowd.of[3][0])]
        wanted = [("view", reasons([member], PROCDOWN), ()) for member in gone]
        assert sorted(seen[:-1]) == sorted(wanted) and seen[-1] == ("ring", [1, 2]), \
            f"{agent} handle {handle} saw {seen} and not {wanted} and the ring"
    crowd.check()


def test_V5_V6_V10_R1_R2_a_killed_service_is_NODEDOWN_in_one_view(cluster):
    crowd = Crowd(cluster)
    lost = {handle: crowd.ids(3, handle=handle) for handle in crowd.handles}
    marks = crowd.mark()
    cluster.kill(3)
    crowd.remove(*crowd.of[3])
    crowd.settle()
    crowd.settle_ring((1, 2), marks)

    def expected(handle):
        left = [("view", reasons(lost[handle], NODEDOWN), ())] if handle in "hi" else []
        return left + [("ring", [1, 2])]
    assert_seen(marks, expected, (1, 2))
    assert all(not agent.views(handle, marks[agent, handle]) for handle in "hi" for agent in crowd.of[3]
               if (agent, handle) in marks), "the clients of a lost service see no view (S2)"
    crowd.check()


def test_V5_V6_R1_R2_a_cut_and_a_merge_seen_from_both_sides(cluster):
    crowd = Crowd(cluster)
    cut_and_merge(crowd, (1, 2), (3,))
    cut_and_merge(crowd, (2, 3), (1,))  # the representative goes
    crowd.check()


def cut_and_merge(crowd, side, other):
    cluster, everyone = crowd.cluster, tuple(sorted(side + other))
    marks = crowd.mark()
    cluster.net.split(*other)
    for nodes in (side, other):
        crowd.settle(nodes)
        crowd.settle_ring(nodes, marks)
    for nodes, lost in ((side, other), (other, side)):
        def cut(handle, nodes=nodes, lost=lost):
            gone = crowd.ids(*lost, handle=handle)
            return ([("view", reasons(gone, NODEDOWN), ())] if gone else []) + [("ring", sorted(nodes))]
        assert_seen(marks, cut, nodes)
    marks = crowd.mark()
    cluster.heal()
    crowd.settle()
    crowd.settle_ring(everyone, marks)
    for nodes, found in ((side, other), (other, side)):
        def merged(handle, found=found):
            back = crowd.ids(*found, handle=handle)
            return ([("view", (), reasons(back, NODEUP))] if back else []) + [("ring", list(everyone))]
        assert_seen(marks, merged, nodes)


def test_V5_three_nodes_alone_and_together_again(cluster):
    crowd = Crowd(cluster)
    marks = crowd.mark()
    cluster.net.cut(1, 2, 3)
    for i in (1, 2, 3):
        crowd.settle((i,))
        crowd.settle_ring((i,), marks)
    marks = crowd.mark()
    cluster.heal(1, 2, 3)
    crowd.settle()
    crowd.settle_ring((1, 2, 3), marks)
    for agent in crowd.handles["h"]:  # they may meet two by two: one NODEUP view each time
        back = [m for _, left, joined in (changes(v) for v in agent.views("h", marks[agent, "h"])) for m in joined]
        others = [m for m in crowd.ids(1, 2, 3) if m[0] != agent.node]
        assert sorted(back) == list(reasons(others, NODEUP)), f"{agent}: {back}"
    crowd.check()


def test_V7_V10_a_service_stopped_for_longer_than_detection_sees_both_changes(cluster):
    crowd = Crowd(cluster)
    for node in (3, 1):
        others = tuple(i for i in (1, 2, 3) if i != node)
        marks = crowd.mark()
        cluster.signal(node, signal.SIGSTOP)
        crowd.settle(others)
        crowd.settle_ring(others, marks)
        cluster.signal(node, signal.SIGCONT)
        for agent in crowd.handles["h"]:  # the stopped node's own first see the loss, then the return
            agent.wait(lambda e: e["e"] == "view" and e["h"] == "h" and [1, 2, 3] == sorted({m[0] for m in e["m"]})
                       and e["j"] and e["j"][0][2] == NODEUP, "NODEUP view", marks[agent, "h"])
        crowd.settle()
        crowd.settle_ring((1, 2, 3), marks)

        def elsewhere(handle, node=node, others=others):
            ids = crowd.ids(node, handle=handle)
            views = [("view", reasons(ids, NODEDOWN), ()), ("view", (), reasons(ids, NODEUP))] if ids else [None] * 2
            return [e for e in (views[0], ("ring", list(others)), views[1], ("ring", [1, 2, 3])) if e]

        def there(handle, others=others):
            ids = crowd.ids(*others, handle=handle)
            views = [("view", reasons(ids, NODEDOWN), ()), ("view", (), reasons(ids, NODEUP))] if ids else []
            return views + [("ring", [1, 2, 3])]
        assert_seen(marks, elsewhere, others, again=True)
        assert_seen(marks, there, (node,), again=True)
    crowd.check()


def test_V8_who_died_or_came_while_cut_off_is_told_by_NODEUP_alone(cluster):
    crowd = Crowd(cluster)
    cluster.net.cut(3)
    crowd.settle((1, 2))
    crowd.settle((3,))
    dead = crowd.of[3][1]
    dead.kill()
    crowd.remove(dead)
    crowd.settle((3,))
    new = crowd.cluster.agent(3).init("h").join("a", "h")
    crowd.handles["h"].append(new)
    crowd.settle((3,))
    marks = crowd.mark()
    cluster.heal(3)
    crowd.settle()
    crowd.settle_ring((1, 2, 3), marks)

    def expected(nodes):
        def of(handle):
            back = crowd.ids(*nodes, handle=handle)
            return ([("view", (), reasons(back, NODEUP))] if back else []) + [("ring", [1, 2, 3])]
        return of
    assert_seen(marks, expected((3,)), (1, 2))
    assert_seen(marks, expected((1, 2)), (3,))
    crowd.check()


def test_V9_R4_a_service_that_restarts_before_anybody_noticed(make_cluster):
    cluster = make_cluster(3, totem={"detect_ms": 5 * DETECT_MS})
    crowd = Crowd(cluster)
    lost = {handle: crowd.ids(3, handle=handle) for handle in crowd.handles}
    marks = crowd.mark()
    cluster.kill(3)
    crowd.remove(*crowd.of[3])
    cluster.start(3)
    new = cluster.agent(3).init("h").join("a", "h")
    crowd.handles["h"].append(new)
    crowd.settle()
    for (agent, handle), mark in marks.items():
        if agent.node != 3:
            agent.wait_ring((1, 2, 3), handle, mark)
    for (agent, handle), mark in marks.items():
        if agent.node == 3:
            continue
        seen = since(agent, handle, mark)
        if handle in "hi":
            assert seen[0] == ("view", reasons(lost[handle], NODEDOWN), ()), f"{agent} {handle}: {seen}"
            seen = seen[1:]
        if handle == "h":  # it joined within the change, or after it
            ways = ([("view", (), reasons([new.id], NODEUP)), ("ring", [1, 2, 3])],
                    [("ring", [1, 2, 3]), ("view", (), reasons([new.id], JOIN))])
            assert seen in ways, f"{agent} {handle}: {seen}"
        else:
            assert seen == [("ring", [1, 2, 3])], f"{agent} {handle}: {seen}"
    crowd.check()


def test_V6_a_node_without_members_comes_and_goes(make_cluster):
    cluster = make_cluster(3, start=False)
    for i in (1, 2):
        cluster.start(i)
    cluster.wait_ring(1, 2)
    members = cluster.members((1, 2))
    marks = [len(m.events) for m in members]
    cluster.start(3)
    cluster.wait_ring(1, 2, 3)
    cluster.stop(3)
    cluster.wait_ring(1, 2)
    cluster.start(3)
    cluster.wait_ring(1, 2, 3)
    cluster.kill(3)
    cluster.wait_ring(1, 2)
    for member, mark in zip(members, marks):
        wait_for(lambda m=member, s=mark: len(m.rings(since=s)) >= 4, lambda m=member: f"four ring events: {m.events}")
        assert [e[0] for e in since(member, "h", mark)] == ["ring"] * 4, since(member, "h", mark)


def test_R3_the_initial_ring_event_comes_once_behind_the_first_own_view(cluster):
    with_flag, without = cluster.agent(2).init(flags=INITIAL_RING), cluster.agent(2).init(flags=0)
    for agent in (with_flag, without):
        agent.join()
        agent.leave()
        agent.join()
    without.wait_members([with_flag.id, without.id])
    with_flag.wait_members([with_flag.id, without.id])
    kinds = [e["e"] for e in with_flag.events]
    assert kinds[:3] == ["view", "ring", "view"] and kinds.count("ring") == 1, with_flag.events
    assert with_flag.rings()[0]["m"] == [1, 2, 3]
    assert not without.rings(), without.events
    cluster.net.cut(3)
    for agent in (with_flag, without):
        agent.wait_ring((1, 2))
    assert len(without.rings()) == 1 and len(with_flag.rings()) == 2


def test_R4_the_ring_seq_grows_across_restarts_of_all(cluster):
    seqs = []
    for _ in range(3):
        agent = cluster.member(1)
        ring = agent.wait_ring((1, 2, 3))
        assert ring["rep"] == 1
        seqs.append(ring["seq"])
        for i in (1, 2, 3):
            cluster.kill(i)
        agent.wait_lost()
        for i in (1, 2, 3):
            cluster.start(i)
        cluster.wait_ring(1, 2, 3)
    assert seqs == sorted(set(seqs)), f"ring seqs {seqs} of three lives"


def test_H3_membership_get_and_iterators_agree_with_the_views(cluster):
    crowd = Crowd(cluster)
    groups = {name: sorted(a.id for a in crowd.handles[handle]) for handle, name in zip("hij", "abc")}
    for i in (1, 2, 3):
        agent = crowd.of[i][0]
        for name, ids in groups.items():
            said = agent.call("members", "h", hexname(name))
            assert said["r"] == 1 and [tuple(m) for m in said["m"]] == [(*m, 0) for m in ids]
            said = agent.call("iterate", "h", 2, hexname(name))
            assert [tuple(m) for m in said["i"]] == [(hexname(name), *m) for m in ids]
        assert agent.call("members", "h", hexname("nobody"))["m"] == []
        said = agent.call("iterate", "h", 1)
        assert said["i"] == [[hexname(name), 0, 0] for name in groups]
        said = agent.call("iterate", "h", 3)
        assert [tuple(m) for m in said["i"]] == [(hexname(name), *m) for name, ids in groups.items() for m in ids]
