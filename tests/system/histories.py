# SPDX-License-Identifier: BSD-3-Clause
"""What members saw, judged alone and against each other.

A history is all that one handle saw of its group, in order:

    ("view", members, left, joined)    ("ring", (rep, seq), nodes)    ("msg", node, pid, what, bytes)

`what` is a label, or the number behind its colon. Members are (node, pid), left and joined (node, pid,
reason). Messages of a recorded flood come from its file, and all else from what the agent told.
"""

import collections
import itertools
import os

from agents import JOIN, LEAVE, NODEDOWN, NODEUP, NOT_WHOLE, PROCDOWN, RECORD, changes

STRICT = "SYNCHROTRON_TEST_ORIGINAL" not in os.environ  # V2 and N3 go beyond Corosync


def history(agent, handle="h"):
    told = [e for e in agent.events if e.get("h") == handle and e["e"] in ("view", "ring", "msg")]
    recorded = _recorded(agent, handle)
    found, taken = [], 0
    for e in told:
        found += recorded[taken:e["at"]]
        taken = max(taken, e["at"])
        if e["e"] == "view":
            found.append(("view", *changes(e)))
        elif e["e"] == "ring":
            found.append(("ring", (e["rep"], e["seq"]), tuple(e["m"])))
        else:
            assert e["ok"], f"{agent}: bytes of message {e['l']} are not what was sent (D10): {e}"
            assert e["al"] == 0 or not STRICT, f"{agent}: message {e['l']} is not aligned to 16 bytes (D9): {e}"
            number = e["l"].rpartition(":")[2]
            found.append(("msg", e["n"], e["p"], int(number) if ":" in e["l"] else e["l"], e["b"]))
    return found + recorded[taken:]


def _recorded(agent, handle):
    if handle not in agent.records:
        return []
    if agent.process.poll() is None:
        agent.call("record", handle)
    with open(agent.records[handle], "rb") as f:
        data = f.read()
    data = data[:len(data) // RECORD.size * RECORD.size]  # of a killed agent, the last may be cut
    found = [("msg", n, p, number, size) for n, p, number, size in RECORD.iter_unpack(data)]
    for m in found:
        assert not m[4] & NOT_WHOLE, f"{agent}: bytes of message {m} are not what was sent (D10)"
    return found


def messages(found):
    return [entry for entry in found if entry[0] == "msg"]


def views(found):
    return [entry for entry in found if entry[0] == "view"]


def check_view_events(agent, handle="h"):
    """V1, V2, V3, N3, X9 on each view event as it was told."""
    for e in agent.views(handle):
        where = f"{agent} handle {handle}: {e}"
        ids = [tuple(m[:2]) for m in e["m"]]
        assert ids == sorted(set(ids)), f"members not ascending (V1): {where}"
        assert all(m[2] == 0 for m in e["m"]), f"a member with a reason (V1): {where}"
        for key in "lj":
            entries = [tuple(m[:2]) for m in e[key]]
            assert entries == sorted(set(entries)) or not STRICT, f"left or joined not ascending (V2): {where}"
        assert bool(e["l"]) != bool(e["j"]), f"both of left and joined, or neither (V3): {where}"
        assert all(tuple(m[:2]) not in ids for m in e["l"]), f"left, and still a member (V1): {where}"
        assert all(tuple(m[:2]) in ids for m in e["j"]), f"joined, and no member (V1): {where}"
        assert all(m[2] in (LEAVE, NODEDOWN, PROCDOWN) for m in e["l"]), f"reason of left (V2): {where}"
        assert all(m[2] in (JOIN, NODEUP) for m in e["j"]), f"reason of joined (V2): {where}"
        assert len({m[2] for m in e["l"] + e["j"]}) == 1, f"several reasons in one callback (V5): {where}"
        if e["l"] + e["j"] and (e["l"] + e["j"])[0][2] in (JOIN, LEAVE, PROCDOWN):
            assert len(e["l"] + e["j"]) == 1, f"single changes come one a callback (V5): {where}"
        assert e["clean"] or not STRICT, f"bytes behind the name's length are not zero (N3): {where}"
        assert not e["null"], f"a list pointer is NULL (X9): {where}"


class _Alone:
    """The state of one walk through a history."""

    def __init__(self, agent, handle):
        self.where = f"{agent} handle {handle}"
        self.me = agent.id
        self.members = None  # None: not in the group
        self.next = {}       # sender -> the number that must come next
        self.ring_seq = 0
        self.pending = None  # a view by nodes that came or went, whose ring event is due
        self.joined_just_now = False

    def view(self, entry):
        _, members, left, joined = entry
        reasons = {m[2] for m in left + joined}
        ids = [m[:2] for m in joined], [m[:2] for m in left]
        if self.members is None:
            assert self.me in ids[0], f"{self.where}: the first event of the group is not its own join (V4): {entry}"
        else:
            assert set(members) == set(self.members) - set(ids[1]) | set(ids[0]), \
                f"{self.where}: {entry} does not follow from {self.members} (V1)"
            assert not set(ids[0]) & set(self.members), f"{self.where}: joined twice: {entry} (V1)"
            assert set(ids[1]) <= set(self.members), f"{self.where}: who left was no member: {entry} (V1)"
        for gone in ids[1]:
            self.next.pop(gone, None)
        if reasons & {NODEDOWN, NODEUP}:
            self.pending = entry
        else:
            assert self.pending is None, f"{self.where}: {entry} between {self.pending} and its ring event (R2)"
        self.members = None if self.me in ids[1] else members

    def ring(self, entry):
        _, (rep, seq), nodes = entry
        again = self.joined_just_now and seq == self.ring_seq  # the initial one of a handle that joined late
        assert seq > self.ring_seq or again, f"{self.where}: ring seq {seq} after {self.ring_seq} (R4)"
        assert list(nodes) == sorted(set(nodes)) and rep == nodes[0], f"{self.where}: {entry} (R4)"
        assert self.me[0] in nodes, f"{self.where}: a ring without its own node: {entry}"
        if self.members is not None:
            assert {m[0] for m in self.members} <= set(nodes), \
                f"{self.where}: ring event {entry} before the view without the lost nodes (R2): {self.members}"
        self.ring_seq, self.pending = seq, None

    def message(self, entry):
        _, node, pid, what, _ = entry
        assert self.members is not None, f"{self.where}: {entry} outside of the membership (D8)"
        assert self.pending is None, f"{self.where}: {entry} between {self.pending} and its ring event (V7)"
        assert (node, pid) in self.members, f"{self.where}: the sender of {entry} is not in {self.members} (D8)"
        if isinstance(what, int):
            due = self.next.get((node, pid), what)
            assert what == due, f"{self.where}: {entry} where number {due} was due (D2, D10)"
            self.next[node, pid] = what + 1


def check_alone(agent, handle="h"):
    """V1 to V4, R2, R4, D2, D8, D10: what one history must fulfil. Returns it."""
    check_view_events(agent, handle)
    found, walk = history(agent, handle), _Alone(agent, handle)
    for entry in found:
        {"view": walk.view, "ring": walk.ring, "msg": walk.message}[entry[0]](entry)
        walk.joined_just_now = entry[0] == "view" and agent.id in [m[:2] for m in entry[3]]
    return found


class _Numbers(dict):
    """Messages as small numbers: comparing histories is comparing lists of them."""

    def __missing__(self, message):
        self[message] = len(self)
        return self[message]

    def message(self, number):
        return next(message for message, n in self.items() if n == number)


def _epochs(found, numbers):
    """[(key, messages)]: a key names a view among all of a test, by its ring and its members. A process
    that leaves and comes back within one ring makes views that cannot be told apart; tests that do so
    compare whole histories."""
    epochs, waiting, ring = [], [], None
    for entry in found:
        if entry[0] == "msg":
            if epochs:
                epochs[-1][2].append(numbers[entry[1:]])
        elif entry[0] == "view":
            reason = (entry[2] + entry[3])[0][2]
            (waiting if reason in (NODEDOWN, NODEUP) else epochs).append([ring, entry[1:], []])
        else:
            ring = entry[1]
            for epoch in waiting:
                epoch[0] = ring
            if epochs and not waiting:
                if epochs[-1][0] is None:    # the initial one, right behind the own join
                    epochs[-1][0] = ring
                elif epochs[-1][0] != ring:  # the group was not affected
                    epochs.append([ring, (epochs[-1][1][0], (), ()), []])
            epochs += waiting
            waiting = []
    return [((ring, view), said) for ring, view, said in epochs + waiting]


def check_together(histories):
    """D1, D4, D5: {agent: history} against each other. Every handle must have been opened with the flag
    for the initial ring event, and everything that was sent must have come."""
    numbers = _Numbers()
    epochs = {agent: _epochs(found, numbers) for agent, found in histories.items()}
    orders = {agent: [m for _, said in found for m in said] for agent, found in epochs.items()}
    for agent, order in orders.items():
        twice = len(set(order)) != len(order) and collections.Counter(order).most_common(1)[0][0]
        assert twice is False, f"{agent} got a message twice (D10): {numbers.message(twice)}"
    for a, b in itertools.combinations(epochs, 2):
        _check_same_sets(a, epochs[a], b, epochs[b], numbers)
        _check_same_end(a, epochs[a], b, epochs[b], numbers)
        _check_same_order(a, orders[a], b, orders[b], numbers)
    _check_one_view_each(epochs, numbers)


def _check_same_sets(a, of_a, b, of_b, numbers):
    """Who goes together from one view to the next delivers the same in between (D4)."""
    after_b = {key: (following[0], said) for (key, said), following in zip(of_b, of_b[1:])}
    for (key, said), following in zip(of_a, of_a[1:]):
        if key in after_b and after_b[key][0] == following[0] and said != after_b[key][1]:
            raise AssertionError(f"{a} and {b} went together from {key} to {following[0]}, but (D4): "
                                 + _difference(a, said, b, after_b[key][1], numbers))


def _check_same_end(a, of_a, b, of_b, numbers):
    """In the last view of both: the same, or what one had when it died is the beginning of the other's."""
    if not of_a or not of_b or of_a[-1][0] != of_b[-1][0]:
        return
    members = of_a[-1][0][1][0]
    if a.id not in members or b.id not in members:
        return  # it has left: that view was its last event
    said_a, said_b = of_a[-1][1], of_b[-1][1]
    if not a.alive():
        said_b = said_b[:len(said_a)]
    if not b.alive():
        said_a = said_a[:len(said_b)]
    if said_a != said_b:
        raise AssertionError(f"{a} and {b} are together in {of_a[-1][0]}, but (D4): "
                             + _difference(a, said_a, b, said_b, numbers))


def _difference(a, of_a, b, of_b, numbers):
    for i, (x, y) in enumerate(zip(of_a, of_b)):
        if x != y:
            return f"message {i} of {a} is {numbers.message(x)}, of {b} {numbers.message(y)}"
    i = min(len(of_a), len(of_b))
    longer, more = (a, of_a) if len(of_a) > len(of_b) else (b, of_b)
    return f"{len(of_a)} against {len(of_b)} messages; {longer} has {numbers.message(more[i])} behind the other's last"


def _check_same_order(a, order_a, b, order_b, numbers):
    """What both delivered they delivered in the same order (D1)."""
    if order_a == order_b:
        return
    both = set(order_a).intersection(order_b)
    common_a, common_b = ([m for m in order if m in both] for order in (order_a, order_b))
    assert common_a == common_b, f"different order (D1): {_difference(a, common_a, b, common_b, numbers)}"


def _check_one_view_each(epochs, numbers):
    """A message is delivered in one view, the same wherever it is delivered (D5, E5)."""
    seen = {}
    for who, found in epochs.items():
        for (ring, view), said in found:
            place = (ring, view[0])
            for m in said:
                other = seen.setdefault(m, (place, who))
                assert other[0] == place, \
                    f"{numbers.message(m)} is in {place} for {who}, in {other[0]} for {other[1]} (E5)"


def check_all(agents, handle="h"):
    """Everything above over these agents; returns {agent: history}."""
    histories = {agent: check_alone(agent, handle) for agent in agents}
    check_together(histories)
    return histories
