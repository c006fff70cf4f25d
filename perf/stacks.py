# SPDX-License-Identifier: BSD-3-Clause
"""What is compared: daemons of one kind on each host, and the same programs as load on them."""

import json
import os
import shutil
import subprocess
import time


def run(*words, check=True):
    return subprocess.run(words, check=check, capture_output=True, text=True)


class Hosts:
    """Namespaces sv<pid>n1.. on a bridge that lies in a namespace of its own."""

    def __init__(self, count, mtu):
        self.tag = f"sv{os.getpid()}"
        self.count = count
        self.names = [f"{self.tag}n{i}" for i in range(1, count + 1)]
        switch = f"{self.tag}sw"
        self.all = self.names + [switch]
        for name in self.all:
            run("ip", "netns", "add", name)
        run("ip", "-n", switch, "link", "add", "br0", "type", "bridge", "mcast_snooping", "0")
        run("ip", "-n", switch, "link", "set", "br0", "mtu", str(mtu), "up")
        for i, name in enumerate(self.names, 1):
            run("ip", "-n", name, "link", "add", "eth0", "mtu", str(mtu), "type", "veth",
                "peer", "name", f"p{i}", "netns", switch, "mtu", str(mtu))
            run("ip", "-n", switch, "link", "set", f"p{i}", "mtu", str(mtu), "master", "br0", "up")
            run("ip", "-n", name, "addr", "add", f"10.89.0.{i}/24", "dev", "eth0")
            run("ip", "-n", name, "link", "set", "eth0", "up")
            run("ip", "-n", name, "link", "set", "lo", "up")

    def prefix(self, i):
        return ["ip", "netns", "exec", self.names[i - 1]]

    def close(self):
        for name in self.all:
            run("ip", "netns", "del", name, check=False)


class OneHost:
    """All daemons on this machine as it is: what they need between them is memory."""

    def __init__(self, count):
        self.count = count

    def prefix(self, i):
        del i
        return []

    def close(self):
        pass


class Stack:
    """Daemons of one kind on every host; subclasses say how one is started."""

    def __init__(self, hosts, folder, mtu, build):
        self.hosts, self.folder, self.mtu, self.build = hosts, folder, mtu, build
        self.daemons = []

    def nodes(self):
        return range(1, self.hosts.count + 1)

    def start(self):
        for i in self.nodes():
            with open(os.path.join(self.folder, f"{self.name}{i}.log"), "a") as log:
                self.daemons.append(subprocess.Popen(
                    self.hosts.prefix(i) + self.command(i), stdout=log, stderr=log,
                    stdin=subprocess.DEVNULL, env=self.environment(i)))

    def stop(self):
        for daemon in self.daemons:
            daemon.terminate()
        for daemon in self.daemons:
            try:
                daemon.wait(20)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
        self.daemons = []

    def cpu_seconds(self):
        tick = os.sysconf("SC_CLK_TCK")
        total = 0
        for daemon in self.daemons:
            for pid in [daemon.pid] + children(daemon.pid):
                try:
                    with open(f"/proc/{pid}/stat") as f:
                        fields = f.read().rsplit(")", 1)[1].split()
                    total += (int(fields[11]) + int(fields[12])) / tick
                except FileNotFoundError:
                    pass
        return total

    def load(self, i, *words):
        return subprocess.Popen(
            self.hosts.prefix(i) + [os.path.join(self.build, "perf/synchrotron-load")] + [str(w) for w in words],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=self.environment(i))


def system_library_folder():
    for line in run("/sbin/ldconfig", "-p").stdout.splitlines():
        if line.split()[:1] == ["libcpg.so.4"]:
            return os.path.dirname(line.split()[-1])
    raise RuntimeError("Corosync's libcpg.so.4 is not installed (Debian: apt-get install libcpg4)")


def children(pid):
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as f:
            found = [int(word) for word in f.read().split()]
    except FileNotFoundError:
        return []
    return found + [grandchild for child in found for grandchild in children(child)]


class Synchrotron(Stack):
    name = "synchrotron"

    def environment(self, i):
        return dict(os.environ, LD_LIBRARY_PATH=os.path.join(self.build, "client"),
                    SYNCHROTRON_RUNTIME_DIR=os.path.join(self.folder, f"run{i}"))

    def sections(self, i):
        """More of its configuration."""
        del i
        return ""

    def command(self, i):
        path = os.path.join(self.folder, f"s{i}.conf")
        nodes = "".join(f"  node {{\n    ring0_addr: 10.89.0.{n}\n    nodeid: {n}\n  }}\n"
                        for n in self.nodes())
        with open(path, "w") as f:
            f.write(f"totem {{\n  version: 2\n  cluster_name: versus\n  nodeid: {i}\n"
                    f"  netmtu: {self.mtu}\n}}\nnodelist {{\n{nodes}}}\n"
                    f"system {{\n  state_dir: {self.folder}/state{i}\n}}\n{self.sections(i)}")
        return [os.path.join(self.build, "daemon/synchrotrond"), "-f", "-c", path]


class Memif(Synchrotron):
    """Over DPDK's memif ports: a link of shared memory between each two daemons."""

    name = "memif"

    def sections(self, i):
        del i
        return f"transport {{\n  name: dpdk\n}}\ndpdk {{\n  port: memif\n  memif_dir: {self.folder}/memif\n}}\n"


class Corosync(Stack):
    name = "corosync"

    def environment(self, i):
        # A build tree's programs look for our library first, unless told where theirs is.
        del i
        return dict(os.environ, LD_LIBRARY_PATH=system_library_folder())

    def command(self, i):
        path = os.path.join(self.folder, f"c{i}.conf")
        nodes = "".join(f"  node {{\n    ring0_addr: 10.89.0.{n}\n    nodeid: {n}\n    name: n{n}\n  }}\n"
                        for n in self.nodes())
        with open(path, "w") as f:
            f.write("totem {\n  version: 2\n  cluster_name: versus\n  transport: knet\n"
                    "  crypto_cipher: none\n  crypto_hash: none\n}\n"
                    f"nodelist {{\n{nodes}}}\nlogging {{\n  to_stderr: yes\n  to_syslog: no\n}}\n"
                    "quorum {\n  provider: corosync_votequorum\n}\n")
        # Its lock file and its state need folders of their own on each host.
        return ["unshare", "-m", "sh", "-c",
                "mount -t tmpfs none /run && mkdir -p /run/corosync /var/lib/corosync && "
                f"mount -t tmpfs none /var/lib/corosync && exec corosync -f -c {path}"]


def need(*programs):
    """Of Debian's packages iproute2 and corosync."""
    for word in programs:
        if not shutil.which(word):
            raise SystemExit(f"{word} is not installed (Debian: apt-get install iproute2 corosync)")
    if os.geteuid() != 0:
        raise SystemExit("this needs root, for network namespaces")


def finish(processes, what, limit):
    """The report of each."""
    reports = []
    for process in processes:
        out, err = process.communicate(timeout=limit)
        if process.returncode != 0:
            raise RuntimeError(f"{what}: {err.strip()}")
        reports.append(json.loads(out))
    return reports


def measure(stack, role, size, seconds, senders=1):
    """One load, by the first nodes' clients; returns (first sender's report, the slowest receiver's, CPU
    seconds of all). Senders receive, too: they are receivers where all send."""
    common = ("-g", f"{role}{size}x{senders}", "-s", size, "-D", seconds, "-n", len(stack.nodes()))
    before = stack.cpu_seconds()
    sinks = [stack.load(i, "sink", *common) for i in stack.nodes() if i > senders]
    sending = [stack.load(i, role, *common) for i in stack.nodes() if i <= senders]
    reports = finish(sending + sinks, f"{stack.name} {role} {size}", seconds + 120)
    cpu = stack.cpu_seconds() - before + sum(r["cpu_s"] for r in reports)
    slowest = min(reports[senders:] or reports, key=lambda r: r["messages_per_s"])
    return reports[0], slowest, cpu


def wait_until_served(stack, limit=60):
    end = time.monotonic() + limit
    words = ("-g", "probe", "-D", "0.001", "-n", len(stack.nodes()))
    while time.monotonic() < end:
        probes = [stack.load(i, "one" if i == 1 else "sink", *words) for i in stack.nodes()]
        try:
            codes = [p.wait(5) for p in probes]
        except subprocess.TimeoutExpired:
            codes = [1]
        for process in probes:
            if process.poll() is None:
                process.kill()
            process.communicate()
        if codes == [0] * len(probes):
            return
        time.sleep(0.2)
    raise RuntimeError(f"{stack.name}: no ring of {len(stack.nodes())} in {limit} s; see the logs with --keep")
