# SPDX-License-Identifier: BSD-3-Clause
"""Real daemons and real clients: on loopback, or one network namespace a node.

A Cluster starts synchrotrond for each node with a configuration and folders of its own. Waiting is
always for a condition; the limits are there to end a broken run, not to time a good one.
"""

import json
import os
import shutil
import signal
import subprocess
import tempfile

from agents import *  # noqa: F401,F403 - tests take everything from here
from agents import BUILD, LIMIT, ROOT, SANITIZED, SLOWER, Agent, wait_for  # noqa: F401
from network import Loopback, make_network, run  # noqa: F401

DAEMON = os.path.join(BUILD, "daemon/synchrotrond")
CLI = os.path.join(BUILD, "cli/synchrotron")
CLIENT = os.path.join(BUILD, "client")
LOG_SHOWN = 4000  # characters of a log in a failure
DETECT_MS = int(1000 * SLOWER)
BROKEN = ("Sanitizer", "runtime error", "invariant broken")


class Cluster:
    def __init__(self, count=3, network="netns", start=True, family=4, mtu=1500, nice=-10, **sections):
        """sections: totem={...}, clients={...}, ... merged into every node's configuration. nice: of the
        services, where it is permitted. Three of them, their clients and whatever else a machine is about
        share two processors here, and a service that waits for one looks like a dead one."""
        self.folder = tempfile.mkdtemp(prefix="sy-")
        self.programs = BUILD  # where clients come from
        self.count, self.family, self.nice = count, family, nice
        self.sections = sections
        self.daemons, self.agents = {}, []
        self.net = None
        try:
            self.net = make_network(network, count, mtu, self.path("memif"), family)
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

    def config_sections(self, i):
        sections = {
            "totem": {"version": 2, "cluster_name": "test", "nodeid": i, "detect_ms": DETECT_MS},
            "system": {"state_dir": self.path(f"state{i}"), "runtime_dir": self.path(f"run{i}")},
            "logging": {"to_stderr": "yes", "to_syslog": "no"},
        }
        for name, keys in (*self.net.keys(i).items(), *self.sections.items()):
            sections.setdefault(name, {}).update(keys)
        return sections

    def node_keys(self, n):
        keys = {"ring0_addr": self.net.address(n, self.family), "nodeid": n}
        if isinstance(self.net, Loopback) and self.family == 6:
            keys["port"] = self.net.port + n  # all on one address
        return keys

    def write_config(self, i):
        def section(name, keys, indent=""):
            return f"{indent}{name} {{\n" + "".join(f"{indent}  {k}: {v}\n" for k, v in keys.items()) + \
                f"{indent}}}\n"
        text = "".join(section(name, keys) for name, keys in self.config_sections(i).items())
        text += "nodelist {\n" + "".join(section("node", self.node_keys(n), "  ") for n in self.net.names) + "}\n"
        with open(self.path(f"{i}.conf"), "w") as f:
            f.write(text)

    def environment(self, i):
        return dict(os.environ, SYNCHROTRON_RUNTIME_DIR=self.path(f"run{i}"), LD_LIBRARY_PATH=os.path.join(self.programs, "client"))

    def service_environment(self, i):
        return self.environment(i)

    def program(self, name):
        return [os.path.join(self.programs, name)]

    def open_to_all(self, *programs):
        """Clients may be other users, who may not come where the build is."""
        self.programs = self.path("programs")
        libraries = [f"client/{name}" for name in os.listdir(CLIENT) if os.path.isfile(os.path.join(CLIENT, name))]
        for name in (*programs, *libraries):
            os.makedirs(os.path.dirname(os.path.join(self.programs, name)), exist_ok=True)
            shutil.copy(os.path.join(BUILD, name), os.path.join(self.programs, name))
        os.chmod(self.folder, 0o755)
        run("chmod", "-R", "a+rX", self.programs)

    def command(self, i):
        return [DAEMON, "-f", "-c", self.path(f"{i}.conf")]

    def start(self, i):
        with open(self.path(f"{i}.log"), "ab") as log:
            # The daemon must not outlive a run that is killed; an agent sees the end of its input.
            self.daemons[i] = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "nice", "-n", str(self.nice), *self.net.service_prefix(i),
                 *self.command(i)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.service_environment(i))

    def pid(self, i):
        return self.daemons[i].pid

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
        try:
            code = daemon.wait(LIMIT)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()
            raise AssertionError(f"daemon {i} did not end after SIGTERM:\n{self.log(i)[-LOG_SHOWN:]}") from None
        assert code == 0, f"daemon {i} ended with {code}:\n{self.log(i)[-LOG_SHOWN:]}"

    def log(self, i):
        try:
            with open(self.path(f"{i}.log"), errors="replace") as f:
                return f.read()
        except FileNotFoundError:
            return ""

    def logs(self):
        return "\n".join(f"--- log of node {i}\n{self.log(i)[-LOG_SHOWN:]}" for i in self.net.names)

    # What the daemon says of itself

    def status(self, i):
        done = subprocess.run([CLI, "status", "--json"], capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, env=self.environment(i))
        return json.loads(done.stdout) if done.returncode == 0 else None

    def ring_members(self, i):
        """(ring id, members) of an operational node, else None."""
        status = self.status(i)
        if not status or status["ring"]["state"] != "operational":
            return None
        return json.dumps(status["ring"]["id"]), status["ring"]["members"]

    def wait_ring(self, *nodes, limit=None):
        """Until each of these nodes is operational in one ring of exactly these nodes."""
        def formed():
            for i in nodes:
                assert i not in self.daemons or self.daemons[i].poll() is None, \
                    f"daemon {i} has ended ({self.daemons[i].returncode}):\n{self.log(i)[-LOG_SHOWN:]}"
            rings = [self.ring_members(i) for i in nodes]
            return all(ring and ring[1] == sorted(nodes) for ring in rings) and len({r[0] for r in rings}) == 1
        wait_for(formed, lambda: f"ring of {nodes};\n{self.logs()}", limit)

    # Clients

    def agent(self, i, program="tests/system/agent", **how):
        agent = Agent(self, i, program, **how)
        self.agents.append(agent)
        return agent

    def member(self, i, group="g", flags=1):
        return self.agent(i).init(flags=flags).join(group)

    def members(self, nodes, group="g"):
        """A member on each of these nodes; all have seen all."""
        agents = [self.member(i, group) for i in nodes]
        for agent in agents:
            agent.wait_members([a.id for a in agents])
        return agents

    def heal(self, *nodes):
        self.net.heal(*nodes)

    def close(self, checks=True):
        codes, said = {}, {}
        for agent in self.agents:
            said[f"{agent}"] = agent.close()
        for daemon in self.daemons.values():
            if daemon.poll() is None:
                daemon.send_signal(signal.SIGCONT)
                daemon.terminate()
        for i, daemon in self.daemons.items():
            try:
                codes[i] = daemon.wait(LIMIT)
            except subprocess.TimeoutExpired:
                daemon.kill()
                codes[i] = f"SIGKILL, {LIMIT:g} s after SIGTERM ({daemon.wait()})"
        if self.net:
            self.net.close()
            logs = {i: self.log(i) for i in self.net.names}
            said.update({f"node {i}": log for i, log in logs.items()})
        shutil.rmtree(self.folder, ignore_errors=True)
        if checks:
            for i, code in codes.items():
                assert code == 0, f"daemon {i} ended with {code}:\n{logs[i][-LOG_SHOWN:]}"
            for who, text in said.items():
                assert not any(word in text for word in BROKEN), f"{who}: {text[-6000:]}"

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is not None:
            print(self.logs())
        self.close(checks=kind is None)
