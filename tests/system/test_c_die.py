# SPDX-License-Identifier: BSD-3-Clause
"""S6: processes killed at any instruction (die.c), on three nodes at once. SYNCHROTRON_DEATHS says how
many; SYNCHROTRON_TEST_SEED repeats their draws, as far as what they do."""

import os
import random

from c_programs import Program
from cluster import LEAVE, PROCDOWN, wait_for
from histories import check_view_events, history, messages, views

DEATHS = int(os.environ.get("SYNCHROTRON_DEATHS", "100"))
GROUPS = {"h": "death a", "i": "death b"}


def balance(cluster, node):
    """What must be the same again when all is quiet."""
    status = cluster.status(node)
    memory = status["memory"]
    return {"handles": status["counters"]["control"]["handles"], "clients": status["client_count"],
            "processes": status["process_count"], "channels": memory["channels"]["bytes"],
            "segments": memory["tx_segments"]["bytes"], "rx held": memory["rx"]["held"], "rx free": memory["rx"]["free"],
            "heads": memory["core_private"]["tx_heads"]["free"],
            "waiting events": memory["core_private"]["waiting_events"]["free"],
            "descriptors": len(os.listdir(f"/proc/{cluster.pid(node)}/fd"))}


def check_numbers(found, where):
    """D2, D10: what one process says in one membership is numbered from 0 without gaps; D8: all of it is
    said while it is a member."""
    due = {}
    for entry in found:
        if entry[0] == "view":
            for member in entry[3]:
                due[member[:2]] = 0
            for member in entry[2]:
                due.pop(member[:2])
        elif entry[0] == "msg" and isinstance(entry[3], int):
            sender = entry[1:3]
            assert due.get(sender) == entry[3], f"{where}: {entry} where number {due.get(sender)} was due"
            due[sender] += 1


def test_S6_D1_D2_D6_V5_V10_processes_killed_at_any_instruction(make_cluster):
    cluster = make_cluster(3, network="loopback")
    seed = int(os.environ.get("SYNCHROTRON_TEST_SEED", random.randrange(1 << 32)))
    print(f"seed {seed}")
    agents = [cluster.agent(i) for i in (1, 2, 3)]
    ids = [agent.id for agent in agents]
    for handle, group in GROUPS.items():
        for agent in agents:
            agent.init(handle).join(group, handle).record(handle)
        for agent in agents:
            agent.wait_members(ids, handle)
    begin = [len(agent.events) for agent in agents]
    for agent in agents:
        for handle in GROUPS:
            agent.send("first", handle=handle)
    for agent in agents:
        for handle in GROUPS:
            wait_for(lambda a=agent, h=handle: a.labels(h).count("first") == 3, "first words")
    before = {node: balance(cluster, node) for node in (1, 2, 3)}
    programs = [Program(cluster, node, "die", DEATHS // 3 + (node <= DEATHS % 3), seed + node) for node in (1, 2, 3)]
    try:
        dead = {(node, int(pid)) for node, program in zip((1, 2, 3), programs) for pid in program.end().split()}
    finally:
        for program in programs:
            program.stop()
    assert len(dead) == DEATHS
    for agent in agents:
        for handle in GROUPS:
            agent.wait_members(ids, handle)
    agents[0].send("last", handle="h")
    agents[0].send("last", handle="i")
    told = {}
    for handle in GROUPS:
        for agent, since in zip(agents, begin):
            agent.wait_label("last", handle, since)
            check_view_events(agent, handle)
            found = history(agent, handle)
            found = found[found.index(next(e for e in found if e[0] == "msg")):]  # all were members by then
            check_numbers(found, f"{agent} {handle}")
            assert found == told.setdefault(handle, found), f"{agent} saw another history of {handle} (D1, V4)"
    left = [member for found in told.values() for view in views(found) for member in view[2]]
    assert {m[2] for m in left} <= {LEAVE, PROCDOWN} and {m[:2] for m in left} <= dead, left
    said = sum(len(messages(found)) for found in told.values())
    print(f"{len(left)} departures, {sum(m[2] == PROCDOWN for m in left)} of them PROCDOWN, {said} messages")
    assert sum(m[2] == PROCDOWN for m in left) > DEATHS // 10 and said > DEATHS
    for node in (1, 2, 3):
        wait_for(lambda n=node: balance(cluster, n) == before[n],
                 lambda n=node: f"node {n} has {balance(cluster, n)}\nand had {before[n]}")
