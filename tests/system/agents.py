# SPDX-License-Identifier: BSD-3-Clause
"""Client processes that obey (agent.c), and waiting for what they see."""

import collections
import itertools
import json
import os
import queue
import struct
import subprocess
import threading
import time
from signal import SIGCONT, SIGKILL

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("SYNCHROTRON_BUILD", os.path.join(ROOT, "build"))


def sanitizer_of(build):
    try:
        with open(os.path.join(build, "meson-info/intro-buildoptions.json"), encoding="utf-8") as f:
            return next(option["value"] for option in json.load(f) if option["name"] == "b_sanitize")
    except OSError:
        return "none"


# Sanitized builds are slow, not broken: times that services keep are longer there, and what they
# take of memory is the sanitizer's affair.
SANITIZER = sanitizer_of(BUILD)
SANITIZED = SANITIZER != "none"
SLOWER = float(os.environ.get("SYNCHROTRON_TEST_SLOWER", "3" if SANITIZED else "1"))
# A limit is for a run that is broken.
LIMIT = float(os.environ.get("SYNCHROTRON_TEST_LIMIT", 60 * SLOWER))

CS_OK, CS_ERR_LIBRARY, CS_ERR_TRY_AGAIN, CS_ERR_INVALID_PARAM = 1, 2, 6, 7
CS_ERR_BAD_HANDLE, CS_ERR_NOT_EXIST, CS_ERR_NAME_TOO_LONG, CS_ERR_EXIST = 9, 12, 13, 14
CS_ERR_TOO_BIG, CS_ERR_NO_SECTIONS = 26, 27
UNORDERED, FIFO, AGREED, SAFE = 0, 1, 2, 3
JOIN, LEAVE, NODEDOWN, NODEUP, PROCDOWN = 1, 2, 3, 4, 5
ONE, ALL, BLOCKING, ONE_NONBLOCKING = 1, 2, 3, 4
NAME_ONLY, ONE_GROUP, ITERATE_ALL = 1, 2, 3
INITIAL_RING = 1
POLLIN, POLLERR, POLLHUP = 1, 8, 16

RECORD = struct.Struct("=IIII")
NOT_WHOLE = 1 << 31
_serial = itertools.count(1)


def hexname(name):
    if isinstance(name, str):
        name = name.encode()
    return name.hex() or "-"


def wait_for(condition, what, limit=None):
    """Until the condition holds; what it was then. `what` says what was waited for, and may be a function."""
    end = time.monotonic() + (limit or LIMIT)
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError(f"not within {limit or LIMIT:g} s: {what() if callable(what) else what}")
        time.sleep(0.005)


def rss_bytes(pid):
    with open(f"/proc/{pid}/status") as f:
        return next(int(line.split()[1]) << 10 for line in f if line.startswith("VmRSS:"))


class Agent:
    """A client process on one node. events is everything its callbacks saw, in order."""

    def __init__(self, cluster, node, program="tests/system/agent", **how):
        self.cluster, self.node = cluster, node
        self.events, self.answers, self.ids = [], queue.Queue(), itertools.count(1)
        self.views_of, self.records = collections.defaultdict(list), {}
        self.groups = {}
        self.sent = collections.Counter()  # by handle: what a flood had accepted, at least
        self.stderr = open(cluster.path(f"agent{next(_serial)}.err"), "w+")
        self.process = subprocess.Popen(
            cluster.net.prefix(node) + cluster.program(program), stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=self.stderr, env=cluster.environment(node), text=True, bufsize=1,
            **how)
        self.pid = self.process.pid  # the prefix replaces itself by the program
        self.id = (node, self.pid)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def __repr__(self):
        return f"agent {self.pid} on node {self.node}"

    def _read(self):
        for line in self.process.stdout:
            try:
                said = json.loads(line)
            except json.JSONDecodeError:
                continue  # the last line of a killed process may be cut
            if "a" in said:
                self.answers.put(said)
                continue
            if said["e"] == "sent":
                self.sent[said["h"]] = said["count"]
                continue
            self.events.append(said)
            if said["e"] == "view":
                self.views_of[said["h"]].append(said)
        self.answers.put(None)

    # Commands

    def post(self, verb, *words):
        """Give a command without waiting; returns its id for answer()."""
        number = next(self.ids)
        try:
            self.process.stdin.write(" ".join([str(number), verb, *map(str, words)]) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            raise AssertionError(f"{self} has ended ({self.process.poll()}): {self.errors()}") from None
        return number

    def answer(self, number, limit=None):
        waiting = []
        try:
            while True:
                try:
                    said = self.answers.get(timeout=limit or LIMIT)
                except queue.Empty:
                    raise AssertionError(f"{self}: no answer within {limit or LIMIT:g} s") from None
                if said is None:
                    waiting.append(None)
                    raise AssertionError(f"{self} has ended ({self.process.poll()}): {self.errors()}")
                if said["a"] == number:
                    return said
                waiting.append(said)  # of a flood that goes on beside
        finally:
            for said in waiting:
                self.answers.put(said)

    def call(self, verb, *words, limit=None):
        return self.answer(self.post(verb, *words), limit)

    def repeat(self, verb, *words, on=(CS_ERR_TRY_AGAIN,)):
        """The result once it is another than CS_ERR_TRY_AGAIN."""
        last = []

        def tried():
            last[:] = [self.call(verb, *words)["r"]]
            return last[0] not in on and last[0]
        return wait_for(tried, lambda: f"{self}: {verb} {words} gives {last} all the time")

    def init(self, handle="h", flags=INITIAL_RING, plain=False):
        """cpg_model_initialize, repeated while there is no service yet or it forms its first ring (S2)."""
        result = self.repeat("init", handle, flags, *(["plain"] if plain else []),
                             on=(CS_ERR_TRY_AGAIN, CS_ERR_LIBRARY))
        assert result == CS_OK, f"{self}: cpg_model_initialize: {result} {self.errors()}"
        return self

    def join(self, group="g", handle="h", limit=None):
        """cpg_join, repeated while asked to; waits for the own view."""
        before = len(self.events)
        self.groups[handle] = group
        result = self.repeat("join", handle, hexname(group))
        assert result == CS_OK, f"{self}: cpg_join: {result}"
        self.wait(lambda e: e["e"] == "view" and e["h"] == handle and
                  [self.node, self.pid, JOIN] in e["j"], f"own view of {group}", before, limit)
        return self

    def leave(self, handle="h"):
        """cpg_leave; waits for the own view."""
        before, group = len(self.events), self.groups[handle]
        result = self.repeat("leave", handle, hexname(group))
        assert result == CS_OK, f"{self}: cpg_leave: {result}"
        self.wait(lambda e: e["e"] == "view" and e["h"] == handle and
                  [self.node, self.pid, LEAVE] in e["l"], f"own leave of {group}", before)
        return self

    def send(self, label, size=64, guarantee=AGREED, handle="h"):
        result = self.repeat("send", handle, guarantee, size, label)
        assert result == CS_OK, f"{self}: cpg_mcast_joined of {size} bytes: {result}"

    def flood(self, label, count=1 << 40, size=64, guarantee=AGREED, handle="h", first=0):
        """Start sending count messages; returns the id for answer()."""
        self.sent[handle] = 0
        return self.post("flood", handle, guarantee, size, label, count, first)

    def halt(self, flood, handle="h"):
        """End a flood; how many messages were accepted."""
        self.post("halt", handle)
        return self.answer(flood)["sent"]

    def record(self, handle="h", path=None):
        """From now on messages of floods go to a file, for histories.py."""
        path = path or self.cluster.path(f"record{next(_serial)}")
        self.records[handle] = path
        assert self.call("record", handle, path)["r"] == CS_OK
        return self

    # What was seen

    def wait(self, match, what, since=0, limit=None):
        """The first event from index `since` on that matches."""
        seen = [since]

        def found():
            while seen[0] < len(self.events):
                event = self.events[seen[0]]
                seen[0] += 1
                if match(event):
                    return event
            return None
        return wait_for(found, lambda: f"{self}: {what}; last events {self.events[-5:]} {self.errors()}", limit)

    def wait_label(self, label, handle="h", since=0, limit=None):
        return self.wait(lambda e: e["e"] == "msg" and e["l"] == label and e["h"] == handle,
                         f"message {label}", since, limit)

    def wait_members(self, members, handle="h", limit=None):
        """Until the latest view of the handle has exactly these (node, pid)."""
        wanted = sorted(list(m) for m in members)

        def reached():
            views = self.views_of[handle]
            return views and [m[:2] for m in views[-1]["m"]] == wanted
        wait_for(reached, lambda: f"{self}: view {wanted}; last views "
                 f"{[changes(v) for v in self.views_of[handle][-3:]]} {self.errors()}", limit)

    def wait_ring(self, nodes, handle="h", since=0, limit=None):
        """A ring event with exactly these nodes, from index `since` on."""
        return self.wait(lambda e: e["e"] == "ring" and e["h"] == handle and e["m"] == sorted(nodes),
                         f"ring event of {sorted(nodes)}", since, limit)

    def wait_sent(self, count, handle="h"):
        wait_for(lambda: self.sent[handle] >= count,
                 lambda: f"{self}: {count} messages accepted; {self.sent[handle]} were")

    def wait_lost(self, handle="h", limit=None):
        return self.wait(lambda e: e["e"] == "lost" and e["h"] == handle, "loss of the service", 0, limit)

    def messages(self, handle="h"):
        return [e for e in self.events if e["e"] == "msg" and e["h"] == handle]

    def labels(self, handle="h"):
        return [e["l"] for e in self.messages(handle)]

    def views(self, handle="h", since=0):
        return [e for e in self.events[since:] if e["e"] == "view" and e["h"] == handle]

    def rings(self, handle="h", since=0):
        return [e for e in self.events[since:] if e["e"] == "ring" and e["h"] == handle]

    def errors(self):
        self.stderr.flush()
        with open(self.stderr.name, errors="replace") as f:
            return f.read()[-3000:]

    # The process

    def alive(self):
        """It runs, and its first service has not gone."""
        return self.process.poll() is None and not any(e["e"] == "lost" for e in self.events)

    def signal(self, number):
        self.process.send_signal(number)

    def kill(self, number=SIGKILL):
        """Gone, and everything it had said is read."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        self.process.wait()
        self.reader.join(5)
        return self

    def quit(self):
        """It exits without finalizing anything."""
        self.call("quit")
        self.process.wait(LIMIT)
        self.reader.join(5)

    def close(self):
        """Ends it, whatever it does; returns what it said on standard error."""
        if self.process.poll() is None:
            self.process.send_signal(SIGCONT)
        self.kill()
        self.process.stdin.close()
        self.process.stdout.close()
        said = self.errors()
        self.stderr.close()
        return said


def changes(event):
    """A view event without its time: (members, left, joined), for comparing agents."""
    return (tuple(tuple(m[:2]) for m in event["m"]), tuple(tuple(m) for m in event["l"]),
            tuple(tuple(m) for m in event["j"]))
