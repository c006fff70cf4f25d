# SPDX-License-Identifier: BSD-3-Clause
"""The judge itself: histories that break one rule each are seen to break it."""

import pytest

from cluster import JOIN, LEAVE, NODEDOWN, NODEUP, PROCDOWN
from histories import check_alone, check_together

A, B, C = (1, 11), (2, 22), (3, 33)


class Told:
    """As much of an agent as histories.py looks at."""

    class process:
        @staticmethod
        def poll():
            return None

    def __init__(self, me, *entries):
        self.id, self.records, self.events = me, {}, []
        for entry in entries:
            self.events.append({"h": "h", "at": 0, **entry})

    def __repr__(self):
        return f"agent of node {self.id[0]}"

    def alive(self):
        return True

    def views(self, handle):
        return [e for e in self.events if e["e"] == "view" and e["h"] == handle]


def view(members, left=(), joined=(), reason=JOIN, **more):
    return {"e": "view", "m": [[*m, 0] for m in members], "l": [[*m, reason] for m in left],
            "j": [[*m, reason] for m in joined], "clean": 1, "null": 0, **more}


def ring(seq, *nodes):
    return {"e": "ring", "rep": nodes[0], "seq": seq, "m": list(nodes)}


def msg(sender, label, **more):
    return {"e": "msg", "n": sender[0], "p": sender[1], "b": 64, "l": label, "ok": 1, "al": 0, **more}


START_A = [view([A], joined=[A]), ring(4, 1, 2, 3), view([A, B], joined=[B]), view([A, B, C], joined=[C])]
START_B = [view([A, B], joined=[B]), ring(4, 1, 2, 3), view([A, B, C], joined=[C])]
DOWN = [view([A, B], left=[C], reason=NODEDOWN), ring(8, 1, 2)]
UP = [view([A, B, C], joined=[C], reason=NODEUP), ring(12, 1, 2, 3)]
GOOD = [msg(A, "a:0"), msg(B, "b:0"), *DOWN, msg(A, "a:1"), *UP, msg(C, "c:7"), msg(B, "b:1")]


def test_good_histories_pass():
    a, b = Told(A, *START_A, *GOOD), Told(B, *START_B, *GOOD)
    check_together({agent: check_alone(agent) for agent in (a, b)})


ALONE = {
    "V1": [view([A, B, C], left=[C], reason=LEAVE)],
    "(V1)": [view([A, C], left=[B, C], reason=NODEDOWN)],
    "V2": [view([A], left=[C, B], reason=NODEDOWN)],
    "V3": [view([A, B], left=[C], joined=[B], reason=JOIN)],
    "V5": [view([A], left=[B, C], reason=PROCDOWN)],
    "N3": [view([A, B], left=[C], reason=LEAVE, clean=0)],
    "X9": [view([A, B], left=[C], reason=LEAVE, null=1)],
    "R2": [ring(8, 1, 2), view([A, B], left=[C], reason=NODEDOWN)],
    "R4": [ring(3, 1, 2, 3)],
    "V7": [DOWN[0], msg(A, "x"), DOWN[1]],
    "D2": [msg(B, "b:0"), msg(B, "b:2")],
    "D10": [msg(B, "b:0"), msg(B, "b:0")],
    "D8": [view([A, B], left=[C], reason=LEAVE), msg(C, "late")],
    "D8)": [view([B, C], left=[A], reason=LEAVE), msg(B, "late")],
    "D9": [msg(B, "x", al=8)],
    "(D10)": [msg(B, "x", ok=0)],
}


@pytest.mark.parametrize("rule", ALONE)
def test_a_history_that_breaks_a_rule_is_seen_to(rule):
    with pytest.raises(AssertionError, match=rule.strip("()")):
        check_alone(Told(A, *START_A, *ALONE[rule]))


def test_a_first_event_that_is_not_the_own_join_is_seen():
    with pytest.raises(AssertionError, match="V4"):
        check_alone(Told(A, *START_B))


TOGETHER = {
    "(D1)": [msg(B, "b:0"), msg(A, "a:0"), *GOOD[2:]],
    "went together.*(D4)": [msg(A, "a:0"), *GOOD[2:]],
    "are together.*(D4)": GOOD[:-1],
    "(E5)": [msg(A, "a:0"), msg(B, "b:0"), *DOWN, *UP, msg(A, "a:1"), msg(C, "c:7"), msg(B, "b:1")],
}


@pytest.mark.parametrize("rule", TOGETHER)
def test_histories_that_disagree_are_seen_to(rule):
    a, b = Told(A, *START_A, *GOOD), Told(B, *START_B, *TOGETHER[rule])
    histories = {agent: check_alone(agent) for agent in (a, b)}
    with pytest.raises(AssertionError, match=r"\(D4\)|\(D1\)|\(E5\)"):
        check_together(histories)


def test_another_order_in_different_views_is_seen():
    """Who was apart may have missed messages, and not have turned them round."""
    apart = [view([C], left=[A, B], reason=NODEDOWN), ring(9, 3), view([A, B, C], joined=[A, B], reason=NODEUP),
             ring(12, 1, 2, 3)]
    a = Told(A, *START_A, *DOWN, *UP, msg(A, "x"), msg(B, "y"), view([A, B], left=[C], reason=LEAVE))
    c = Told(C, view([A, B, C], joined=[C]), ring(4, 1, 2, 3), *apart, msg(B, "y"), msg(A, "x"),
             view([A, B], left=[C], reason=LEAVE))
    histories = {agent: check_alone(agent) for agent in (a, c)}
    with pytest.raises(AssertionError, match=r"\(D1\)"):
        check_together(histories)
