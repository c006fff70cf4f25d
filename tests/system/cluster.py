# SPDX-License-Identifier: BSD-3-Clause
"""Real daemons and real clients: on loopback, or one network namespace a node.

A Cluster starts synchrotrond for each node with a configuration and folders of its own; an Agent is a
client process that obeys (agent.c). Waiting is always for a condition; the limits are there to end a
broken run, not to time a good one.
"""

import itertools
import json
import os
import queue
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("SYNCHROTRON_BUILD", os.path.join(ROOT, "build"))
# A limit is for a run that is broken; sanitized builds and busy machines are slow, not broken.
LIMIT = float(os.environ.get("SYNCHROTRON_TEST_LIMIT", "60"))

CS_OK, CS_ERR_LIBRARY, CS_ERR_TRY_AGAIN, CS_ERR_INVALID_PARAM = 1, 2, 6, 7
CS_ERR_BAD_HANDLE, CS_ERR_ACCESS, CS_ERR_NOT_EXIST, CS_ERR_NAME_TOO_LONG = 9, 11, 12, 13
CS_ERR_EXIST, CS_ERR_NO_SPACE, CS_ERR_TOO_BIG, CS_ERR_NO_SECTIONS = 14, 15, 26, 27
UNORDERED, FIFO, AGREED, SAFE = 0, 1, 2, 3
JOIN, LEAVE, NODEDOWN, NODEUP, PROCDOWN = 1, 2, 3, 4, 5
ONE, ALL, BLOCKING, ONE_NONBLOCKING = 1, 2, 3, 4
POLLIN, POLLHUP = 1, 16

_serial = itertools.count(1)


def hexname(name):
    if isinstance(name, str):
        name = name.encode()
    return name.hex() or "-"


def wait_for(condition, what, limit=None):
    end = time.monotonic() + (limit or LIMIT)
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError(f"not within {limit or LIMIT} s: {what() if callable(what) else what}")
        time.sleep(0.01)


def run(*words, check=True):
    done = subprocess.run(words, capture_output=True, text=True)
    if check and done.returncode != 0:
        raise RuntimeError(f"{' '.join(words)}: {done.stderr.strip()}")
    return done


class Network:
    """One namespace a node, joined by a bridge in a namespace of its own."""

    def __init__(self, count, mtu=1500):
        self.tag = f"sy{os.getpid()}x{next(_serial)}"
        self.switch = f"{self.tag}sw"
        self.names = {i: f"{self.tag}n{i}" for i in range(1, count + 1)}
        for name in [self.switch, *self.names.values()]:
            run("ip", "netns", "add", name)
        run("ip", "-n", self.switch, "link", "add", "br0", "type", "bridge", "mcast_snooping", "0")
        run("ip", "-n", self.switch, "link", "set", "br0", "up")
        for i, name in self.names.items():
            run("ip", "-n", name, "link", "add", "eth0", "mtu", str(mtu), "type", "veth",
                "peer", "name", f"p{i}", "netns", self.switch, "mtu", str(mtu))
            run("ip", "-n", self.switch, "link", "set", f"p{i}", "master", "br0", "up")
            run("ip", "-n", name, "addr", "add", f"10.88.0.{i}/24", "dev", "eth0")
            run("ip", "-n", name, "addr", "add", f"fd88::{i}/64", "dev", "eth0", "nodad")
            run("ip", "-n", name, "link", "set", "eth0", "up")
            run("ip", "-n", name, "link", "set", "lo", "up")

    def address(self, i, family=4):
        return f"10.88.0.{i}" if family == 4 else f"fd88::{i}"

    def prefix(self, i):
        return ["ip", "netns", "exec", self.names[i]]

    def cut(self, *nodes):
        """Unplug these nodes from the switch, each from all others."""
        for i in nodes:
            run("ip", "-n", self.switch, "link", "set", f"p{i}", "nomaster")

    def heal(self, *nodes):
        for i in nodes:
            run("ip", "-n", self.switch, "link", "set", f"p{i}", "master", "br0")

    def split(self, *nodes):
        """These nodes on a second bridge: they reach each other and nobody else."""
        if run("ip", "-n", self.switch, "link", "show", "br1", check=False).returncode != 0:
            run("ip", "-n", self.switch, "link", "add", "br1", "type", "bridge", "mcast_snooping", "0")
            run("ip", "-n", self.switch, "link", "set", "br1", "up")
        for i in nodes:
            run("ip", "-n", self.switch, "link", "set", f"p{i}", "master", "br1")

    def close(self):
        for name in [*self.names.values(), self.switch]:
            run("ip", "netns", "del", name, check=False)


class Loopback:
    """All nodes on 127.0.0.x of this host, on a port of this run's own."""

    def __init__(self, count):
        self.names = {i: None for i in range(1, count + 1)}
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]

    def address(self, i, family=4):
        return f"127.0.0.{i}" if family == 4 else "::1"

    def prefix(self, i):
        return []

    def close(self):
        pass


class Cluster:
    def __init__(self, count=3, network="netns", start=True, family=4, **sections):
        """sections: totem={...}, clients={...}, ... merged into every node's configuration."""
        self.net = Network(count) if network == "netns" else Loopback(count)
        self.folder = tempfile.mkdtemp(prefix="synchrotron-test-")
        self.count, self.family = count, family
        self.sections = sections
        self.daemons, self.agents = {}, []
        try:
            for i in self.net.names:
                os.mkdir(self.path(f"state{i}"))
                self.write_config(i)
            if start:
                for i in self.net.names:
                    self.start(i)
                self.wait_ring(*self.net.names)
        except BaseException:
            self.close(checks=False)
            raise

    def path(self, *words):
        return os.path.join(self.folder, *words)

    def write_config(self, i):
        sections = {
            "totem": {"version": 2, "cluster_name": "test", "nodeid": i, "detect_ms": 1000},
            "system": {"state_dir": self.path(f"state{i}"), "runtime_dir": self.path(f"run{i}")},
            "logging": {"to_stderr": "yes", "to_syslog": "no"},
            "transport": {},
        }
        if isinstance(self.net, Loopback):
            sections["transport"]["port"] = self.net.port
        for name, keys in self.sections.items():
            sections.setdefault(name, {}).update(keys)
        nodes = "".join(f"  node {{\n    ring0_addr: {self.net.address(n, self.family)}\n"
                        f"    nodeid: {n}\n  }}\n" for n in self.net.names)
        with open(self.path(f"{i}.conf"), "w") as f:
            for name, keys in sections.items():
                f.write(f"{name} {{\n" + "".join(f"  {k}: {v}\n" for k, v in keys.items()) + "}\n")
            f.write(f"nodelist {{\n{nodes}}}\n")

    def environment(self, i):
        return dict(os.environ, SYNCHROTRON_RUNTIME_DIR=self.path(f"run{i}"),
                    LD_LIBRARY_PATH=os.path.join(BUILD, "client"))

    def start(self, i):
        log = open(self.path(f"{i}.log"), "ab")
        self.daemons[i] = subprocess.Popen(
            self.net.prefix(i) + [os.path.join(BUILD, "daemon/synchrotrond"), "-f", "-c",
                                  self.path(f"{i}.conf")],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.environment(i))
        log.close()

    def signal(self, i, number):
        self.daemons[i].send_signal(number)

    def kill(self, i):
        """SIGKILL, and gone."""
        self.daemons[i].kill()
        self.daemons.pop(i).wait()

    def stop(self, i):
        """SIGTERM, and a clean end."""
        daemon = self.daemons.pop(i)
        daemon.terminate()
        assert daemon.wait(LIMIT) == 0, self.log(i)

    def log(self, i):
        try:
            with open(self.path(f"{i}.log"), errors="replace") as f:
                return f.read()
        except FileNotFoundError:
            return ""

    def status(self, i):
        done = subprocess.run([os.path.join(BUILD, "cli/synchrotron"), "status", "--json"],
                              capture_output=True, text=True, env=self.environment(i))
        return json.loads(done.stdout) if done.returncode == 0 else None

    def ring(self, i):
        status = self.status(i)
        return status and status["ring"]

    def wait_ring(self, *nodes, limit=None):
        """Until each of these nodes is operational in one ring of exactly these nodes."""
        def formed():
            rings = [self.ring(i) for i in nodes]
            return all(r and r["state"] == "operational" and r["members"] == sorted(nodes) for r in rings) \
                and len({json.dumps(r["id"]) for r in rings}) == 1
        wait_for(formed, lambda: f"ring of {nodes}; logs:\n" + "\n".join(self.log(i)[-2000:] for i in nodes),
                 limit)

    def agent(self, i, program="tests/system/agent"):
        agent = Agent(self, i, program)
        self.agents.append(agent)
        return agent

    def close(self, checks=True):
        for agent in self.agents:
            agent.kill()
        codes = {}
        for i, daemon in self.daemons.items():
            daemon.send_signal(signal.SIGCONT)
            daemon.terminate()
        for i, daemon in self.daemons.items():
            try:
                codes[i] = daemon.wait(LIMIT)
            except subprocess.TimeoutExpired:
                daemon.kill()
                codes[i] = daemon.wait()
        self.net.close()
        logs = {i: self.log(i) for i in self.net.names}
        shutil.rmtree(self.folder, ignore_errors=True)
        if checks:
            for i, code in codes.items():
                assert code == 0, f"daemon {i} ended with {code}:\n{logs[i][-4000:]}"
            for i, log in logs.items():
                assert "Sanitizer" not in log and "invariant broken" not in log, log[-6000:]

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is not None:
            for i in self.net.names:
                print(f"--- log of node {i}\n{self.log(i)[-4000:]}")
        self.close(checks=kind is None)


class Agent:
    """A client process on one node. events is everything its callbacks saw, in order."""

    def __init__(self, cluster, node, program):
        self.cluster, self.node = cluster, node
        self.events, self.answers, self.ids = [], queue.Queue(), itertools.count(1)
        self.stderr = open(cluster.path(f"agent{next(_serial)}.err"), "w+")
        self.process = subprocess.Popen(
            cluster.net.prefix(node) + [os.path.join(BUILD, program)], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=self.stderr, env=cluster.environment(node), text=True,
            bufsize=1)
        self.pid = self.process.pid  # ip netns exec replaces itself by the program
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            try:
                said = json.loads(line)
            except json.JSONDecodeError:
                continue  # the last line of a killed process may be cut
            if "a" in said:
                self.answers.put(said)
            else:
                self.events.append(said)
        self.answers.put(None)

    def post(self, verb, *words):
        """Give a command without waiting; returns its id for answer()."""
        number = next(self.ids)
        self.process.stdin.write(" ".join([str(number), verb, *map(str, words)]) + "\n")
        self.process.stdin.flush()
        return number

    def answer(self, number, limit=None):
        while True:
            said = self.answers.get(timeout=limit or LIMIT)
            assert said is not None, f"agent on node {self.node} ended: {self.errors()}"
            if said["a"] == number:
                return said

    def call(self, verb, *words, limit=None):
        return self.answer(self.post(verb, *words), limit)

    def init(self, handle="h", flags=0, plain=False):
        """cpg_model_initialize, repeated while the service forms its first ring."""
        def tried():
            said = self.call("init", handle, flags, *(["plain"] if plain else []))
            return said["r"] != CS_ERR_TRY_AGAIN and said["r"]
        result = wait_for(tried, "cpg_model_initialize")
        assert result == CS_OK, f"cpg_model_initialize: {result}"
        return self

    def join(self, group, handle="h"):
        """cpg_join, repeated while asked to; waits for the own view."""
        before = len(self.events)
        def tried():
            result = self.call("join", handle, hexname(group))["r"]
            return result != CS_ERR_TRY_AGAIN and result
        result = wait_for(tried, "cpg_join")
        assert result == CS_OK, f"cpg_join: {result}"
        self.wait(lambda e: e["e"] == "view" and e["h"] == handle and
                  [self.node, self.pid] in [j[:2] for j in e["j"]], f"own view of {group}", since=before)
        return self

    def send(self, label, size=64, guarantee=AGREED, handle="h"):
        def tried():
            result = self.call("send", handle, guarantee, size, label)["r"]
            return result != CS_ERR_TRY_AGAIN and result
        result = wait_for(tried, f"cpg_mcast_joined {label}")
        assert result == CS_OK, f"cpg_mcast_joined: {result}"

    def flood(self, label, count, size=64, guarantee=AGREED, handle="h"):
        """Start sending count messages; returns the id for answer()."""
        return self.post("flood", handle, guarantee, size, label, count)

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
        return wait_for(found, lambda: f"node {self.node}: {what}; last events "
                        f"{self.events[-5:]} {self.errors()}", limit)

    def wait_label(self, label, since=0, limit=None):
        return self.wait(lambda e: e["e"] == "msg" and e["l"] == label, f"message {label}", since, limit)

    def wait_members(self, members, handle="h", since=0, limit=None):
        """Until the latest view of the handle has exactly these (node, pid)."""
        wanted = sorted([node, pid] for node, pid in members)
        def reached():
            views = [e for e in self.events[since:] if e["e"] == "view" and e["h"] == handle]
            return views and [m[:2] for m in views[-1]["m"]] == wanted
        wait_for(reached, lambda: f"node {self.node}: view {wanted}; views "
                 f"{[e for e in self.events if e['e'] == 'view'][-3:]}", limit)

    def messages(self, handle="h"):
        return [e for e in self.events if e["e"] == "msg" and e["h"] == handle]

    def labels(self, handle="h"):
        return [(e["n"], e["p"], e["l"]) for e in self.messages(handle)]

    def views(self, handle="h"):
        return [e for e in self.events if e["e"] == "view" and e["h"] == handle]

    def rings(self, handle="h"):
        return [e for e in self.events if e["e"] == "ring" and e["h"] == handle]

    def errors(self):
        self.stderr.flush()
        with open(self.stderr.name, errors="replace") as f:
            return f.read()[-3000:]

    def kill(self, number=signal.SIGKILL):
        if self.process.poll() is None:
            self.process.send_signal(number)
        self.process.wait()
        self.reader.join(5)
        self.stderr.close()


def changes(event):
    """A view event without its time: (members, left, joined), for comparing agents."""
    return (tuple(tuple(m) for m in event["m"]), tuple(tuple(m) for m in event["l"]),
            tuple(tuple(m) for m in event["j"]))


def history(agent, handle="h"):
    """All that a handle saw of its group, in order: messages and views, comparable between agents."""
    return [("view",) + changes(e) if e["e"] == "view" else ("msg", e["n"], e["p"], e["l"], e["b"])
            for e in agent.events if e.get("h") == handle and e["e"] in ("msg", "view")]
