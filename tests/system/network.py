# SPDX-License-Identifier: BSD-3-Clause
"""What lies between the nodes: a network namespace each, all of them on loopback, or what DPDK's ports
take.

SYNCHROTRON_TEST_PORT says which port: udp, the kernel's sockets, if it is not set; memif, af_packet or
af_xdp, by transport dpdk; pci, by cards of the machine's own, one for each node, on one wire, which
SYNCHROTRON_VM_NICS names, and cables that SYNCHROTRON_VM_CABLE pulls (scripts/vm).
"""

import itertools
import os
import re
import shutil
import socket
import subprocess

import pytest

PORT = os.environ.get("SYNCHROTRON_TEST_PORT", "udp")
PORTS = ("udp", "memif", "af_packet", "af_xdp", "pci")
CARDS = os.environ.get("SYNCHROTRON_VM_NICS", "").split()
CABLE = os.environ.get("SYNCHROTRON_VM_CABLE")
_serial = itertools.count(1)


def run(*words, check=True):
    done = subprocess.run(words, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if check and done.returncode != 0:
        raise RuntimeError(f"{' '.join(words)}: {done.stderr.strip()}")
    return done


def why_no_namespaces():
    """None when network namespaces can be made here, else what is in the way."""
    if not shutil.which("ip"):
        return "the command ip is not installed (Debian: apt-get install iproute2)"
    name = f"sy{os.getpid()}probe"
    made = run("ip", "netns", "add", name, check=False)
    if made.returncode != 0:
        return f"no network namespaces here: {made.stderr.strip()}"
    linked = run("ip", "-n", name, "link", "add", "eth0", "type", "veth", "peer", "name", "eth1", check=False)
    run("ip", "netns", "del", name, check=False)
    return None if linked.returncode == 0 else f"no virtual links here: {linked.stderr.strip()}"


def sweep():
    """Remove the namespaces of runs that were killed."""
    for name in re.findall(r"^sy(\d+)x\w+", run("ip", "netns", "list", check=False).stdout, re.MULTILINE):
        if not os.path.exists(f"/proc/{name}"):
            for left in re.findall(rf"^sy{name}x\w+", run("ip", "netns", "list").stdout, re.MULTILINE):
                run("ip", "netns", "del", left, check=False)


class Network:
    """One namespace a node, joined by a bridge in a namespace of its own."""

    cuts = ("cut", "split", "flap")  # what can be done to it

    def __init__(self, count, mtu=1500):
        self.tag = f"sy{os.getpid()}x{next(_serial)}"
        self.switch = f"{self.tag}sw"
        self.names = {i: f"{self.tag}n{i}" for i in range(1, count + 1)}
        for name in [self.switch, *self.names.values()]:
            run("ip", "netns", "add", name)
        self._bridge("br0")
        for i, name in self.names.items():
            run("ip", "-n", name, "link", "add", "eth0", "mtu", str(mtu), "type", "veth",
                "peer", "name", f"p{i}", "netns", self.switch, "mtu", str(mtu))
            run("ip", "-n", self.switch, "link", "set", f"p{i}", "master", self._bridge_of(i), "up")
            self._addresses(i, name)
            run("ip", "-n", name, "link", "set", "eth0", "up")
            run("ip", "-n", name, "link", "set", "lo", "up")

    def _bridge_of(self, i):
        del i
        return "br0"

    def _addresses(self, i, name):
        run("ip", "-n", name, "addr", "add", f"10.88.0.{i}/24", "dev", "eth0")
        run("ip", "-n", name, "addr", "add", f"fd88::{i}/64", "dev", "eth0", "nodad")

    def _bridge(self, bridge):
        run("ip", "-n", self.switch, "link", "add", bridge, "type", "bridge", "mcast_snooping", "0")
        run("ip", "-n", self.switch, "link", "set", bridge, "up")

    def address(self, i, family=4):
        return f"10.88.0.{i}" if family == 4 else f"fd88::{i}"

    def service_prefix(self, i):
        return ["nsenter", f"--net=/run/netns/{self.names[i]}"]

    def prefix(self, i):
        """Of clients."""
        return self.service_prefix(i)

    def keys(self, i):
        """Sections of a node's configuration."""
        del i
        return {}

    def cut(self, *nodes):
        """Unplug these nodes from the switch, each from all others."""
        for i in nodes:
            run("ip", "-n", self.switch, "link", "set", f"p{i}", "nomaster")

    def unplug(self, i):
        """The other end of a node's link goes down, and that with it."""
        run("ip", "-n", self.switch, "link", "set", f"p{i}", "down")

    def heal(self, *nodes):
        for i in nodes or self.names:
            run("ip", "-n", self.switch, "link", "set", f"p{i}", "master", "br0")

    def unplug(self, i):
        """The service sees that it has no link."""
        run("ip", "-n", self.names[i], "link", "set", "eth0", "down")

    def plug(self, i):
        run("ip", "-n", self.names[i], "link", "set", "eth0", "up")

    def split(self, *nodes):
        """These nodes on a second bridge: they reach each other and nobody else."""
        if run("ip", "-n", self.switch, "link", "show", "br1", check=False).returncode != 0:
            self._bridge("br1")
        for i in nodes:
            run("ip", "-n", self.switch, "link", "set", f"p{i}", "master", "br1")

    def narrow(self, megabits=20, queue_bytes=9000):
        """The switch sends every node no more than this, and drops what a queue has no room for. False
        where tc cannot do it."""
        if not shutil.which("tc"):
            return False
        return all(run("tc", "-n", self.switch, "qdisc", "add", "dev", f"p{i}", "root", "tbf", "rate",
                       f"{megabits}mbit", "burst", "10000", "limit", str(queue_bytes), check=False).returncode == 0
                   for i in self.names)

    def close(self):
        for name in [*self.names.values(), self.switch]:
            run("ip", "netns", "del", name, check=False)


class Wire(Network):
    """For DPDK's ports on interfaces: it is the services, not the kernel, that have the addresses. Clients
    find them by files alone."""

    def _addresses(self, i, name):
        run(*self.service_prefix(i), "sh", "-c", "echo 1 >/proc/sys/net/ipv6/conf/eth0/disable_ipv6")

    def prefix(self, i):
        del i
        return []

    def keys(self, i):
        del i
        return {"transport": {"name": "dpdk"}, "dpdk": {"port": f"{PORT}:eth0"}}


class Routed(Network if PORT == "udp" else Wire):
    """Two links, the last node on the second, and this machine's kernel as the router between them."""

    def __init__(self, count, mtu, family):
        self.count, self.family = count, family
        super().__init__(count, mtu)
        self.router = f"{self.tag}rt"
        run("ip", "netns", "add", self.router)
        for way in ("ipv4/ip_forward", "ipv6/conf/all/forwarding"):
            run("ip", "netns", "exec", self.router, "sh", "-c", f"echo 1 >/proc/sys/net/{way}")
        for side in (0, 1):
            self._leg(side, mtu)
        if PORT == "udp":
            for i, name in self.names.items():
                run("ip", "-n", name, f"-{family}", "route", "add", "default", "via", self.gateway(i), "dev", "eth0")

    def _leg(self, side, mtu):
        eth = f"eth{side}"
        run("ip", "-n", self.router, "link", "add", eth, "mtu", str(mtu), "type", "veth",
            "peer", "name", f"r{side}", "netns", self.switch, "mtu", str(mtu))
        run("ip", "-n", self.switch, "link", "set", f"r{side}", "master", f"br{side}", "up")
        run("ip", "-n", self.router, "addr", "add", f"10.88.{side}.254/24", "dev", eth)
        run("ip", "-n", self.router, "addr", "add", "fe80::fe/64", "dev", eth, "nodad")
        run("ip", "-n", self.router, "link", "set", eth, "up")
        run("ip", "-n", self.router, "route", "add", f"fd88:0:0:{side}::/64", "dev", eth)

    def _side(self, i):
        return 1 if i == self.count else 0

    def _bridge_of(self, i):
        if self._side(i):
            self._bridge("br1")
        return f"br{self._side(i)}"

    def _addresses(self, i, name):
        if PORT != "udp":
            super()._addresses(i, name)
            return
        run("ip", "-n", name, "addr", "add", f"{self.address(i)}/24", "dev", "eth0")
        run("ip", "-n", name, "addr", "add", f"{self.address(i, 6)}/64", "dev", "eth0", "nodad")

    def address(self, i, family=4):
        return f"10.88.{self._side(i)}.{i}" if family == 4 else f"fd88:0:0:{self._side(i)}::{i}"

    def gateway(self, i):
        return f"10.88.{self._side(i)}.254" if self.family == 4 else "fe80::fe"

    def keys(self, i):
        sections = super().keys(i)
        if PORT != "udp":
            sections["dpdk"].update(prefix=24 if self.family == 4 else 64, gateway=self.gateway(i))
        return sections

    def close(self):
        super().close()
        run("ip", "netns", "del", self.router, check=False)


class OneNamespace:
    """The nodes are where this process is."""

    def __init__(self, count):
        self.names = {i: None for i in range(1, count + 1)}

    def prefix(self, i):
        del i
        return []

    service_prefix = prefix

    def close(self):
        pass


class Loopback(OneNamespace):
    """All nodes on addresses of this host's loopback, on a port of this run's own. With one address for
    all (IPv6 has no more) each node has a port of its own."""

    def __init__(self, count):
        super().__init__(count)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]

    def address(self, i, family=4):
        return f"127.0.0.{i}" if family == 4 else "::1"

    def keys(self, i):
        del i
        return {"transport": {"port": self.port}}


class Memory(OneNamespace):
    """For DPDK's memif: each two services share memory, by sockets in one folder."""

    cuts = ()

    def __init__(self, count, folder):
        super().__init__(count)
        self.folder = folder

    def address(self, i, family=4):
        return f"10.88.0.{i}" if family == 4 else f"fd88::{i}"

    def keys(self, i):
        del i
        return {"transport": {"name": "dpdk"}, "dpdk": {"port": "memif", "memif_dir": self.folder}}

    def cut(self, *_):
        pytest.skip("memif is memory: there is nothing to cut")

    heal = split = narrow = unplug = plug = cut


class Cards(Memory):
    """A card for each service, all on one wire."""

    cuts = ("cut", "flap")

    def __init__(self, count, folder):
        super().__init__(count, folder)
        self.pulled = set()
        if count > len(CARDS):
            pytest.skip(f"this machine has {len(CARDS)} cards for services (SYNCHROTRON_VM_NICS)")

    def keys(self, i):
        return {"transport": {"name": "dpdk"}, "dpdk": {"port": CARDS[i - 1]}}

    def cut(self, *nodes):
        for i in nodes:
            run(CABLE, str(i - 1), "off")
            self.pulled.add(i)

    def heal(self, *nodes):
        for i in nodes or self.names:
            run(CABLE, str(i - 1), "on")
            self.pulled.discard(i)

    unplug, plug = cut, heal

    def split(self, *_):
        pytest.skip("one wire for all cards: who is on it reaches everybody")

    narrow = split

    def close(self):
        if self.pulled:
            self.heal(*self.pulled)


def make_network(kind, count, mtu, folder, family):
    """kind: netns or loopback, which are one to DPDK; or routed."""
    if PORT == "af_xdp" and mtu > 3000:
        pytest.skip("AF_XDP: a packet has a page, and the kernel some of it")
    if kind == "routed":
        if PORT in ("memif", "pci"):
            pytest.skip(f"{PORT}: no router can be put between")
        return Routed(count, mtu, family)
    if PORT == "memif":
        return Memory(count, folder)
    if PORT == "pci":
        return Cards(count, folder)
    if PORT != "udp":
        return Wire(count, mtu)
    return Network(count, mtu) if kind == "netns" else Loopback(count)
