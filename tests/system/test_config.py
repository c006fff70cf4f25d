# SPDX-License-Identifier: BSD-3-Clause
"""What synchrotrond says of its configuration, and of what keeps it from starting: what failed, why, and
what to do."""

import os
import pathlib
import resource
import signal
import socket
import subprocess
import tempfile

import pytest

import agents
from cluster import CS_OK, DAEMON, wait_for
from network import Wire, why_no_namespaces

CS_ERR_ACCESS = 11
GOOD = """totem {
  version: 2
  cluster_name: test
  nodeid: 1
}
nodelist {
  node {
    ring0_addr: 127.0.0.1
    nodeid: 1
  }
}
"""
# As Debian's corosync package and its manual pages have it.
COROSYNC = """# Please read the corosync.conf.5 manual page
system {
        allow_knet_handle_fallback: yes
}
totem {
        version: 2
        cluster_name: debian
        crypto_cipher: none
        crypto_hash: none
        transport: knet
        token: 3000
        token_retransmits_before_loss_const: 10
        join: 60
        max_messages: 20
        interface {
                linknumber: 0
                knet_link_priority: 1
        }
}
logging {
        fileline: off
        to_stderr: yes
        to_logfile: no
        to_syslog: no
        debug: off
        logger_subsys {
                subsys: QUORUM
                debug: off
        }
}
quorum {
        provider: corosync_votequorum
        expected_votes: 1
}
nodelist {
        node {
                name: node1
                nodeid: 1
                ring0_addr: 127.0.0.1
                quorum_votes: 1
        }
}
"""


@pytest.fixture
def folder(tmp_path):
    return tmp_path


def check(folder, text):
    """synchrotrond -t: (status, what it said)."""
    path = folder / "test.conf"
    path.write_text(text)
    done = subprocess.run([DAEMON, "-t", "-c", path], capture_output=True, text=True, stdin=subprocess.DEVNULL,
                          timeout=agents.LIMIT)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("option,status,said", [("--help", 0, "usage: synchrotrond"), ("-h", 0, "usage: synchrotrond"),
                                                ("--version", 0, "synchrotrond "), ("-v", 0, "synchrotrond "),
                                                ("--nonsense", 2, "usage: synchrotrond")])
def test_the_command_line_explains_itself(option, status, said):
    done = subprocess.run([DAEMON, option], capture_output=True, text=True, stdin=subprocess.DEVNULL,
                          timeout=agents.LIMIT)
    assert done.returncode == status
    assert said in (done.stderr if status else done.stdout)
    assert not (status == 0 and done.stderr)


def test_a_good_file_passes_and_says_what_follows_from_it(folder):
    status, said = check(folder, GOOD)
    assert status == 0 and "no error" in said, said
    assert "ms" in said, "the worst time to a new view is told"


BAD = {
    "unknown key": (GOOD.replace("cluster_name", "cluster_nam"), ":3:3: error", "cluster_nam", "cluster_name"),
    "swapped letters": (GOOD.replace("nodeid: 1\n}", "detcet_ms: 5\n}"), ":4:3: error", "detcet_ms", "detect_ms"),
    "unknown section": (GOOD + "clinets {\n}\n", ":12:1: error", "clinets", "clients"),
    "key of another section": (GOOD.replace("version: 2", "version: 2\n  slow_client_ms: 5"), ":3:3: error",
                               "slow_client_ms", "clients"),
    "no number": (GOOD.replace("nodeid: 1\n}", "nodeid: one\n}"), ":4:11: error", "one"),
    "out of range": (GOOD + "totem {\n  detect_ms: 1\n}\n", ":13:14: error", "10"),
    "no such transport": (GOOD + "transport {\n  name: dpkd\n}\n", ":13:9: error", "dpkd", "udp"),
    "section not closed": (GOOD + "clients {\n  max: 5\n", "error", "line 12", "}"),
    "node not in the list": (GOOD.replace("nodeid: 1\n}", "nodeid: 7\n}"), "error", "7", "nodelist"),
    "address twice": (GOOD.replace("nodelist {", "nodelist {\n  node {\n    ring0_addr: 127.0.0.1\n    nodeid: 2\n  }"),
                      "error", "127.0.0.1"),
    "no nodes": (GOOD.split("nodelist")[0], "error", "nodelist"),
}


@pytest.mark.parametrize("name", BAD)
def test_an_error_names_its_place_and_the_nearest_known_word(folder, name):
    text, place, *words = BAD[name]
    status, said = check(folder, text)
    assert status != 0, said
    assert f"{place}" in said, f"{place} is missing in: {said}"
    for word in words:
        assert word in said, f"{word!r} is missing in: {said}"


def test_all_errors_are_told_at_once(folder):
    status, said = check(folder, GOOD.replace("cluster_name", "cluster_nam") + "clinets {\n}\nzcb {\n  rx_byts: 5\n}\n")
    assert status != 0 and said.count("error:") >= 3, said


def test_a_file_that_is_not_there(folder):
    done = subprocess.run([DAEMON, "-f", "-c", folder / "none.conf"], capture_output=True, text=True, timeout=agents.LIMIT)
    assert done.returncode != 0 and "none.conf" in done.stderr and "No such file" in done.stderr, done.stderr


def test_an_existing_corosync_conf_loads_with_a_warning_for_each_key_without_meaning(folder):
    status, said = check(folder, COROSYNC)
    assert status == 0, said
    for key in ("allow_knet_handle_fallback", "token_retransmits_before_loss_const", "totem.join", "fileline",
                "knet_link_priority", "quorum_votes"):
        assert any("warning" in line and key in line for line in said.splitlines()), f"{key}: {said}"
    for key in ("cluster_name", "nodeid", "ring0_addr", "to_stderr"):
        assert not any("warning" in line and key in line for line in said.splitlines()), f"{key}: {said}"


class Alone:
    """One daemon on loopback, by a file of its own."""

    def __init__(self, folder, text=GOOD, port=None):
        self.folder = folder
        self.port = port or free_port()
        self.runtime = folder / "run"
        self.conf = folder / "one.conf"
        self.conf.write_text(f"{text}system {{\n  state_dir: {folder}/state\n}}\n"
                             f"transport {{\n  port: {self.port}\n}}\n")

    def run(self, *words, runtime=None, prefix=(), limits=None, **environment):
        return subprocess.run([*prefix, DAEMON, *words, "-c", self.conf], capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, preexec_fn=limits, timeout=agents.LIMIT,
                              env={**os.environ, "SYNCHROTRON_RUNTIME_DIR": str(runtime or self.runtime), **environment})


def free_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.mark.udp
def test_a_port_in_use_is_told_with_its_number(folder):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        done = Alone(folder, port=port).run("-f")
    assert done.returncode != 0
    assert "not started" in done.stderr and str(port) in done.stderr and "in use" in done.stderr, done.stderr


def dpdk(folder, port, netmtu=1500, prefix=(), **keys):
    """A daemon on this port, which is not to start: the one line that says why."""
    keys = "".join(f"  {key}: {value}\n" for key, value in {"port": port, **keys}.items())
    text = GOOD.replace("version: 2", f"version: 2\n  netmtu: {netmtu}").replace("127.0.0.1", "10.88.0.1") + \
        "nodelist {\n  node {\n    ring0_addr: 10.88.0.2\n    nodeid: 2\n  }\n}\n" \
        f"transport {{\n  name: dpdk\n}}\ndpdk {{\n{keys}}}\n"
    done = Alone(folder, text).run("-f", prefix=prefix)
    if "dpdk is not built in" in done.stderr:
        pytest.skip("built without DPDK (Debian: apt-get install libdpdk-dev)")
    said = [line for line in done.stderr.splitlines() if "not started" in line]
    assert done.returncode == 1 and len(said) == 1, done.stderr
    return said[0].partition("not started: ")[2]


NOBODY = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
as_root = pytest.mark.skipif(os.geteuid() != 0 or "SYNCHROTRON_TEST_UNSHARED" in os.environ,
                             reason="needs root, and a second user")


@pytest.mark.parametrize("port", ["af_packet:nothere", "af_xdp:nothere"])
def test_dpdk_an_interface_that_is_not_there(folder, port):
    assert dpdk(folder, port) == "dpdk: this machine has no interface nothere: `ip link` lists those it has"


def test_dpdk_a_device_that_is_not_there(folder):
    assert dpdk(folder, "0000:fe:1f.7") == \
        "dpdk: this machine has no PCI device 0000:fe:1f.7: `lspci -D` lists those it has"


@pytest.fixture
def nobodys():
    """A folder of that user's."""
    with tempfile.TemporaryDirectory(prefix="sy-") as name:
        os.chown(name, 65534, 65534)
        yield pathlib.Path(name)


@pytest.fixture
def interface():
    """Prefix of commands that see an interface eth0 with an MTU of 9000."""
    why_not = why_no_namespaces()
    if why_not:
        pytest.skip(why_not)
    net = Wire(1, 9000)
    yield net.service_prefix(1)
    net.close()


@as_root
@pytest.mark.parametrize("kind,what", [("af_packet", "as root or with CAP_NET_RAW"), ("af_xdp", "as root")])
def test_dpdk_ports_on_interfaces_take_privileges(nobodys, interface, kind, what):
    assert dpdk(nobodys, f"{kind}:eth0", prefix=[*interface, *NOBODY]) == \
        (f"dpdk: port {kind}:eth0: no raw socket: Operation not permitted: start the daemon {what}; "
         "port memif takes no privileges")


def test_dpdk_a_packet_that_is_too_long_for_af_xdp(folder, interface):
    said = dpdk(folder, "af_xdp:eth0", 8996, interface)
    most = int(said.rpartition("set totem.netmtu to ")[2].split()[0])
    assert said.startswith("dpdk: port af_xdp:eth0: packets are to have 8996 bytes and AF_XDP has a page for each: ")
    assert "set totem.netmtu" in dpdk(folder, "af_xdp:eth0", most + 8, interface)


def test_dpdk_a_packet_that_is_too_long_for_the_interface(folder, interface):
    assert dpdk(folder, "af_packet:eth0", 9100, interface) == \
        ("dpdk: port af_packet:eth0: the interface has an MTU of 9000 and packets are to have 9100: "
         "lower totem.netmtu, or `ip link set eth0 mtu 9100`")


ANOTHER = "name another in dpdk.memif_dir, the same for all nodes"
NOT_OURS = f"is not a directory that only this user may write in: remove it, or {ANOTHER}"


@pytest.mark.parametrize("path,what", [("file", NOT_OURS),
                                       ("file/sub", f"cannot be made: Not a directory: {ANOTHER}"),
                                       ("none/sub", f"cannot be made: No such file or directory: {ANOTHER}")])
def test_dpdk_a_memif_dir_that_cannot_be(folder, path, what):
    (folder / "file").write_text("")
    said = dpdk(folder, "memif", memif_dir=folder / path)
    assert said in (f"dpdk: {folder / path} {what}", f"dpdk: directory {folder / path} {what}")


@as_root
@pytest.mark.parametrize("owner", [0, 1])
def test_dpdk_a_memif_dir_of_others(nobodys, owner):
    path = nobodys / "memif"
    path.mkdir(0o755)
    os.chown(path, owner, 0)
    assert dpdk(nobodys, "memif", prefix=NOBODY, memif_dir=path) == f"dpdk: {path} {NOT_OURS}"


@as_root
def test_dpdk_a_memif_dir_that_nobody_may_make(nobodys):
    (nobodys / "roots").mkdir(0o755)
    path = nobodys / "roots" / "memif"
    assert dpdk(nobodys, "memif", prefix=NOBODY, memif_dir=path) == \
        f"dpdk: directory {path} cannot be made: Permission denied: {ANOTHER}"


def test_a_runtime_dir_that_cannot_be_made_is_told_with_its_name(folder):
    (folder / "file").write_text("")
    done = Alone(folder).run("-f", runtime=folder / "file" / "run")
    assert done.returncode != 0
    assert "not started" in done.stderr and "runtime_dir" in done.stderr, done.stderr
    assert str(folder / "file") in done.stderr and "Not a directory" in done.stderr, done.stderr


def test_a_state_dir_that_cannot_be_made_is_told_with_its_name(folder):
    (folder / "state").write_text("")
    done = Alone(folder).run("-f")
    assert done.returncode != 0
    assert "not started" in done.stderr and f"{folder}/state" in done.stderr, done.stderr


def test_a_limit_of_file_sizes_below_the_memory_is_told_by_its_name(folder):
    limit = 1 << 20
    done = Alone(folder).run("-f", limits=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
    assert done.returncode == 1, "it was killed"
    assert "not started" in done.stderr and "ulimit -f" in done.stderr and str(limit) in done.stderr, done.stderr


def test_a_log_file_that_cannot_be_is_told_with_its_remedy(folder):
    (folder / "state").write_text("")  # so that it does not start
    path = folder / "nowhere" / "log"
    done = Alone(folder, GOOD + f"logging {{\n  to_logfile: yes\n  logfile: {path}\n}}\n").run("-f")
    assert f"log file {path}" in done.stderr and "to_logfile: no" in done.stderr, done.stderr


def test_a_warning_without_a_line_names_none_in_the_log(folder):
    (folder / "state").write_text("")  # so that it does not start
    done = Alone(folder, GOOD.replace("  version: 2\n", "")).run("-f")
    said = [line for line in done.stderr.splitlines() if "totem.version is missing" in line]
    assert len(said) == 1 and "one.conf: totem.version" in said[0], done.stderr


def test_a_second_daemon_on_the_same_runtime_dir_is_refused(make_cluster):
    cluster = make_cluster(1, "loopback")
    done = subprocess.run(cluster.command(1), capture_output=True, text=True, env=cluster.environment(1),
                          stdin=subprocess.DEVNULL, timeout=agents.LIMIT)
    assert done.returncode != 0 and "not started" in done.stderr, done.stderr
    cluster.member(1).send("the first one is well")


def ended(pid):
    """Gone, or waiting for a parent that we are not to take note of it."""
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_a_daemon_goes_to_the_background_when_it_is_up_and_cleans_up_when_it_stops(folder):
    alone = Alone(folder)
    done = alone.run()
    assert done.returncode == 0, done.stderr
    sockets = os.listdir(alone.runtime)
    assert sockets, "no control socket"
    pid = daemon_pid(alone)
    try:
        second = alone.run()
        assert second.returncode != 0, "the background start says that it failed, too"
    finally:
        os.kill(pid, signal.SIGTERM)
    wait_for(lambda: ended(pid), "end of the daemon")
    assert os.listdir(alone.runtime) == [] if alone.runtime.exists() else True


def daemon_pid(alone):
    for name in os.listdir("/proc"):
        try:
            with open(f"/proc/{name}/cmdline", "rb") as f:
                if str(alone.conf).encode() in f.read().split(b"\0") and int(name) != os.getpid():
                    return int(name)
        except (OSError, ValueError):
            continue
    raise AssertionError(f"no daemon with {alone.conf}")


def test_the_state_survives_and_a_broken_one_is_told(make_cluster):
    cluster = make_cluster(1, "loopback")
    first = cluster.member(1).wait_ring((1,))
    cluster.stop(1)
    for name in os.listdir(cluster.path("state1")):
        with open(cluster.path("state1", name), "rb+") as f:
            f.truncate(3)
    cluster.start(1)
    wait_for(lambda: cluster.daemons[1].poll() is not None or cluster.ring_members(1), "start or end")
    if cluster.daemons[1].poll() is None:  # whatever it does, ring ids do not come again
        assert cluster.member(1).wait_ring((1,))["seq"] > first["seq"], "R4"
    else:
        assert "state" in cluster.log(1).rpartition("not started")[2], cluster.log(1)
        cluster.daemons.pop(1)


@pytest.mark.skipif(os.geteuid() != 0 or "SYNCHROTRON_TEST_UNSHARED" in os.environ, reason="needs a second user")
@pytest.mark.parametrize("admitted", [False, True])
def test_who_may_connect_is_said_by_the_configuration(make_cluster, admitted):
    cluster = make_cluster(1, "loopback", clients={"uid": 65534} if admitted else {})
    cluster.open_to_all("tests/system/agent")
    agent = cluster.agent(1, user=65534, group=65534, extra_groups=())
    result = agent.repeat("init", "h", 0)
    assert result == (CS_OK if admitted else CS_ERR_ACCESS)
    if admitted:
        agent.join().send("hello")
        agent.wait_label("hello")
