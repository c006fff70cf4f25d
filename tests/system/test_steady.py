# SPDX-License-Identifier: BSD-3-Clause
"""What the poll core does without: at load, on memif, it makes no system call but to wake clients that
sleep, and takes no memory.

strace says which calls its thread makes, from a moment at load to another; allocations.c counts what it
takes from malloc, and DPDK's own memory is counted by tests/transport.
"""

import collections
import contextlib
import os
import re
import shutil
import signal
import struct
import subprocess
import time

import pytest

from cluster import BUILD, LIMIT, SANITIZED, Cluster, wait_for
from network import PORT
from test_order import finish

pytestmark = [
    pytest.mark.dpdk,
    pytest.mark.skipif(PORT != "memif", reason="other ports are the kernel's: each burst is a system call"),
    pytest.mark.skipif(SANITIZED, reason="sanitizers make calls, and take memory, of their own"),
    pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed (Debian: apt-get install strace)"),
]
SECONDS = float(os.environ.get("SYNCHROTRON_TEST_STEADY_SECONDS", "0.2"))
MESSAGES = 5000  # at least
TRIES = 20
COUNTER = os.path.join(BUILD, "tests/system/liballocations.so")
THREAD = "poll core"
# A byte to a client that sleeps; with an address behind it, it is one to another daemon that does.
WAKE = re.compile(r'sendto\(\d+, "[^"]*", 1, MSG_DONTWAIT\|MSG_NOSIGNAL, NULL, 0')


class Counted(Cluster):
    """Daemons whose poll cores' allocations are counted."""

    def counts(self, i):
        return self.path(f"allocations{i}")

    def service_environment(self, i):
        return dict(self.environment(i), LD_PRELOAD=COUNTER, ALLOCATIONS_THREAD=THREAD,
                    ALLOCATIONS_FILE=self.counts(i))

    def allocations(self, i):
        with open(self.counts(i), "rb") as f:
            return struct.unpack("QQQ", f.read())


def poll_core(pid):
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/comm", encoding="utf-8") as f:
            if f.read().strip() == THREAD:
                return task
    raise AssertionError(f"process {pid} has no thread {THREAD!r}")


@contextlib.contextmanager
def traced(pid, path):
    """System calls of a daemon's poll core, one a line, are in `path` afterwards."""
    tracer = subprocess.Popen(["strace", "-qq", "-p", poll_core(pid), "-o", path], stdin=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, text=True)
    wait_for(lambda: tracer_of(pid) == tracer.pid or tracer.poll() is not None, "strace is there")
    if tracer.poll() is not None:
        pytest.skip(f"strace may not look: {tracer.stderr.read().strip()}")
    try:
        yield
    finally:
        tracer.send_signal(signal.SIGINT)
        tracer.communicate()


def tracer_of(pid):
    with open(f"/proc/{pid}/task/{poll_core(pid)}/status", encoding="utf-8") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("TracerPid:"))


def calls(path):
    with open(path, encoding="utf-8") as f:
        return [line.strip() for line in f if "(" in line and not line.startswith(("---", "+++"))]


def kind(call):
    return "wakes a client" if WAKE.match(call) else call.partition("(")[0]


def at_load(cluster, sender):
    """What the poll core of node 1 does for a while: (calls by kind, calls that give and take back memory)."""
    trace = cluster.path("trace")
    with traced(cluster.pid(1), trace):
        before, sent, start = cluster.allocations(1), sender.sent["h"], time.monotonic()
        wait_for(lambda: sender.sent["h"] > sent + MESSAGES and time.monotonic() > start + SECONDS, "messages",
                 LIMIT + SECONDS)
        after, moved = cluster.allocations(1), sender.sent["h"] - sent
    found = collections.Counter(kind(call) for call in calls(trace))
    took = [b - a for a, b in zip(before, after)]
    print(f"{moved} messages sent at node 1; calls: {dict(found) or 'none'}; allocations: {took[:2]}")
    assert after[2] > 0, "nothing is counted"
    return found, took[:2]


def test_a_poll_core_that_spins_calls_but_to_wake_clients_and_takes_no_memory():
    with Counted(2, poll={"policy": "spin"}, nice=0) as cluster:
        agents = cluster.members((1, 2))
        floods = [a.flood("f") for a in agents]
        wait_for(lambda: agents[0].sent["h"] > 4 * MESSAGES, "a flood")
        # A client that wants more memory to send from has the control thread ask for it, and the poll core
        # answer: that is no steady state, and there is one before long.
        tries = [at_load(cluster, agents[0])]
        while (set(tries[-1][0]) - {"wakes a client"} or tries[-1][1] != [0, 0]) and len(tries) < TRIES:
            tries.append(at_load(cluster, agents[0]))
        for agent, flood in zip(agents, floods):
            agent.halt(flood)
        finish(agents)
        assert set(tries[-1][0]) <= {"wakes a client"}, tries
        assert tries[-1][1] == [0, 0], tries
