# SPDX-License-Identifier: BSD-3-Clause
"""Network namespaces need privileges: without them pytest starts itself again in a user namespace,
where it has them. Where that is not to be had either, tests on loopback still run, the others say why
they do not.

SYNCHROTRON_TEST_PORT says what services talk over (network.py). Marks: `netns` needs network namespaces;
`udp` is about the kernel's sockets, which DPDK's ports have not; `dpdk` has scripts/check run it for each of
those ports, too; `long` is left out unless SYNCHROTRON_TEST_LONG is set.
"""

import os
import signal
import subprocess
import sys

import pytest

import original
from cluster import CLI, DAEMON, Cluster
from network import PORT, PORTS, sweep, why_no_namespaces

AGAIN = "SYNCHROTRON_TEST_UNSHARED"
UNSHARE = ["unshare", "--user", "--map-root-user", "--net", "--mount"]
# ip(8) keeps its namespaces in /run, and a new network namespace has its loopback down.
INSIDE = "mount -t tmpfs none /run && ip link set lo up && exec \"$@\""


def pytest_cmdline_main(config):
    if os.geteuid() == 0 or AGAIN in os.environ:
        return
    if subprocess.run([*UNSHARE, "sh", "-c", INSIDE, "sh", "true"], capture_output=True).returncode != 0:
        return
    os.environ[AGAIN] = "yes"
    config.pluginmanager.getplugin("capturemanager").stop_global_capturing()
    os.execvp(UNSHARE[0], [*UNSHARE, "sh", "-c", INSIDE, "sh", sys.executable, "-B", "-m", "pytest",
                           *config.invocation_params.args])


def end(*_):
    raise KeyboardInterrupt


def pytest_configure(config):
    signal.signal(signal.SIGTERM, end)  # so that clusters are closed
    config.addinivalue_line("markers", "netns: needs network namespaces")
    config.addinivalue_line("markers", "dpdk: run for each of DPDK's ports, too, by scripts/check")
    config.addinivalue_line("markers", "udp: about the kernel's sockets")
    config.addinivalue_line("markers", "long: only with SYNCHROTRON_TEST_LONG")


def pytest_collection_modifyitems(config, items):
    del config
    built = os.path.exists(DAEMON) and os.path.exists(CLI)
    needed = [item for item in items if needs_namespaces(item)]
    why_not = why_no_namespaces() if needed else None
    if needed and not why_not:
        sweep()
    for item in needed if why_not else []:
        item.add_marker(pytest.mark.skip(reason=why_not))
    for item in items:
        if PORT != "udp" and item.get_closest_marker("udp"):
            item.add_marker(pytest.mark.skip(reason=f"about the kernel's sockets, not {PORT}"))
        if item.get_closest_marker("long") and not os.environ.get("SYNCHROTRON_TEST_LONG"):
            item.add_marker(pytest.mark.skip(reason="takes long: SYNCHROTRON_TEST_LONG is not set"))
    if PORT not in PORTS:
        pytest.exit(f"SYNCHROTRON_TEST_PORT is {PORT}, not one of {', '.join(PORTS)}", 2)
    if not built and not original.PROGRAM:
        pytest.exit(f"{DAEMON} or {CLI} is not built; SYNCHROTRON_BUILD names the build folder", 2)


def needs_namespaces(item):
    return PORT in ("af_packet", "af_xdp") or (PORT == "udp" and item.get_closest_marker("netns"))


@pytest.fixture
def make_cluster():
    """Cluster(...), closed at the end of the test; its checks fail the test, its logs are shown when the
    test has failed already."""
    made = []

    def make(*words, **sections):
        kind = original.Corosync if original.PROGRAM else Cluster
        made.append(kind(*words, **sections))
        return made[-1]
    yield make
    for cluster in made:
        print(cluster.logs())
        cluster.close()


@pytest.fixture
def cluster(make_cluster):
    """Three nodes in namespaces of their own, one ring."""
    return make_cluster(3)
