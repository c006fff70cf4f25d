#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The demo and status as a newcomer runs them, and as somebody interrupts them. Speaks TAP.

Arguments: the command `synchrotron` as it was built, and by which sanitizer: none, or its name.
"""
import glob
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback

SYNCHROTRON = sys.argv[1]
SANITIZER = sys.argv[2]
LIMIT = float(os.environ.get("SYNCHROTRON_TEST_LIMIT", "60"))


class Demo:
    """A demo with a temporary folder of its own, so that what it leaves is known to be its."""

    def __init__(self, *arguments):
        self.folder = tempfile.TemporaryDirectory(prefix="cli-")
        self.process = subprocess.Popen(
            [SYNCHROTRON, "demo", *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, env={**os.environ, "TMPDIR": self.folder.name})

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()
        wait_for(lambda: not processes_of(self.folder.name), "processes end")
        self.folder.cleanup()

    def runtime_dir(self, node):
        """Of a node that has told its client that it is up."""
        def find():
            return glob.glob(f"{self.folder.name}/*/node{node}/run/control.sock")
        return os.path.dirname(wait_for(find, "a daemon's socket")[0])

    def read_until(self, words):
        """The line of the story that holds these words."""
        for line in self.process.stdout:
            if words in line:
                return line
        raise AssertionError(f"it ended before '{words}': {self.process.stderr.read()}")

    def finish(self):
        out, said = self.process.communicate(timeout=LIMIT)
        return self.process.returncode, out, said

    def assert_nothing_is_left(self):
        wait_for(lambda: not processes_of(self.folder.name) and not os.listdir(self.folder.name),
                 lambda: f"left: {processes_of(self.folder.name)} {os.listdir(self.folder.name)}")


def processes_of(folder):
    """Living processes whose environment names the folder."""
    found = []
    for path in glob.glob("/proc/[0-9]*/environ"):
        try:
            with open(path, "rb") as file:
                if f"TMPDIR={folder}\0".encode() in file.read() + b"\0":
                    found.append(int(path.split("/")[2]))
        except OSError:
            pass
    return found


def wait_for(condition, what):
    end = time.monotonic() + LIMIT
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.01)
    raise AssertionError(what() if callable(what) else what)


class Skipped(Exception):
    """It says why."""


def equal(found, expected):
    assert found == expected, f"{found!r} is not {expected!r}"


# The tests, named as claims


def json_says_that_all_saw_one_order_and_nothing_was_lost():
    with Demo("--json", "--seconds", "4") as demo:
        status, out, said = demo.finish()
        result = json.loads(out)
        equal((status, said), (0, ""))
        equal((result["nodes"], result["transport"]), (3, "udp"))
        equal((result["same_order"], result["lost"], result["duplicates"]), (True, 0, 0))
        equal(result["damaged"], 0)
        for key in ("messages", "messages_per_s", "bytes_per_s", "view_change_ms", "merge_ms"):
            assert result[key] > 0, key
        latency = result["latency_us"]
        assert 0 < latency["p50"] <= latency["p99"] <= latency["max"], latency
        demo.assert_nothing_is_left()


def namespaces(pids="[0-9]*"):
    """Network namespaces that processes are in."""
    found = set()
    for path in glob.glob(f"/proc/{pids}/ns/net"):
        try:
            found.add(os.readlink(path))
        except OSError:
            pass  # it has ended meanwhile
    return found


def dpdk(port):
    """The story on one of DPDK's ports: a death and a return, one order, nothing lost, nothing left."""
    if "thread" in SANITIZER:
        raise Skipped("the thread sanitizer does not see the locks of DPDK's libraries")
    if port != "memif" and os.geteuid() != 0:
        raise Skipped(f"{port} takes root")
    with Demo("--json", "--seconds", "4", "--transport", port) as demo:
        own = wait_for(lambda: demo.process.poll() is not None or namespaces_of(demo), "a daemon, or the end")
        status, out, said = demo.finish()
        if "not built in" in said:
            raise Skipped("built without DPDK (Debian: apt-get install libdpdk-dev)")
        equal((status, said), (0, ""))
        result = json.loads(out)
        equal((result["nodes"], result["transport"]), (3, port))
        equal((result["same_order"], result["lost"], result["duplicates"], result["damaged"]), (True, 0, 0, 0))
        for key in ("messages", "view_change_ms", "merge_ms"):
            assert result[key] > 0, key
        demo.assert_nothing_is_left()
        equal(own == {os.readlink("/proc/self/ns/net")}, port == "memif")
        assert port == "memif" or not own & namespaces(), "its network namespace is still there"
        assert not {"p1", "s1", "sw"} & set(os.listdir("/sys/class/net")), "its interfaces are in ours"


def namespaces_of(demo):
    """Of a daemon, once there is one that listens."""
    if not glob.glob(f"{demo.folder.name}/*/node1/run/control.sock"):
        return set()
    return set().union(*(namespaces(pid) for pid in processes_of(demo.folder.name)
                         if pid != demo.process.pid and "synchrotrond" in command(pid)))


def on_memif_all_is_well():
    dpdk("memif")


def on_packet_sockets_all_is_well():
    dpdk("af_packet")


def on_xdp_sockets_all_is_well():
    dpdk("af_xdp")


def text_tells_the_story_in_order_and_plainly():
    with Demo("--nodes", "2", "--seconds", "3", "--size", "64") as demo:
        status, out, said = demo.finish()
        equal((status, said), (0, ""))
        told = ["2 daemons started", "one ring", "messages/s", "is killed (SIGKILL)",
                "new view: 1,", "started again", "new view: 1 and 2,", "the same on every node",
                "lost 0, duplicates 0, damaged 0"]
        places = [out.find(words) for words in told]
        assert -1 not in places and places == sorted(places), f"{places}\n{out}"
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", out), "control characters in a pipe"
        demo.assert_nothing_is_left()


def interrupted_by(number):
    with Demo("--seconds", "60") as demo:
        demo.read_until("messages/s")
        demo.process.send_signal(number)
        demo.process.wait(LIMIT)
        equal(demo.process.returncode, 128 + number)
        equal(processes_of(demo.folder.name), [])
        equal(os.listdir(demo.folder.name), [])


def ctrl_c_leaves_nothing():
    interrupted_by(signal.SIGINT)


def sigterm_leaves_nothing():
    interrupted_by(signal.SIGTERM)


def sigkill_of_the_demo_leaves_nothing():
    with Demo("--seconds", "60") as demo:
        demo.read_until("messages/s")
        demo.process.kill()
        demo.process.wait(LIMIT)
        demo.assert_nothing_is_left()


def a_closed_output_leaves_nothing():
    with Demo("--seconds", "60") as demo:
        demo.read_until("messages/s")
        demo.process.stdout.close()
        demo.process.wait(LIMIT)
        demo.assert_nothing_is_left()
        demo.process.stdout = None


def a_client_that_dies_ends_the_demo_with_its_name():
    with Demo("--seconds", "60") as demo:
        demo.read_until("messages/s")
        clients = [pid for pid in processes_of(demo.folder.name) if "demo-client" in command(pid)]
        equal(len(clients), 3)
        os.kill(clients[0], signal.SIGKILL)
        status, _, said = demo.finish()
        equal(status, 1)
        assert re.search(r"the client of node \d ended by signal 9", said), said
        demo.assert_nothing_is_left()


def command(pid):
    try:
        with open(f"/proc/{pid}/cmdline", encoding="utf-8") as file:
            return file.read()
    except OSError:
        return ""  # it has ended meanwhile


def wrong_options_are_told_and_nothing_starts():
    for arguments in (["--nodes", "1"], ["--nodes", "x"], ["--seconds", "0"], ["--size", "63"],
                      ["--transport", "pigeon"], ["--fast"], ["more"]):
        with Demo(*arguments) as demo:
            status, out, said = demo.finish()
            equal((status, out), (2, ""))
            assert "--help" in said, said
            if len(arguments) == 2:
                assert arguments[0] in said and f"'{arguments[1]}'" in said, said
            equal(os.listdir(demo.folder.name), [])


def status_shows_ring_groups_and_processes():
    with Demo("--seconds", "60") as demo:
        demo.read_until("messages/s")
        environment = {**os.environ, "SYNCHROTRON_RUNTIME_DIR": demo.runtime_dir(2)}
        out = subprocess.run([SYNCHROTRON, "status", "--json"], env=environment, check=True,
                             capture_output=True, timeout=LIMIT).stdout
        status = json.loads(out)
        equal(status["node_id"], 2)
        equal(status["ring"]["members"], [1, 2, 3])
        equal([group["name"] for group in status["groups"]], ["demo"])
        members = status["groups"][0]["members"]
        equal([member["nodeid"] for member in members], [1, 2, 3])
        assert status["memory"]["total_bytes"] > 0
        table = subprocess.run([SYNCHROTRON, "status"], env=environment, check=True, text=True,
                               capture_output=True, timeout=LIMIT).stdout
        for member in members:
            assert f"{member['nodeid']}:{member['pid']}" in table, table


def status_without_a_daemon_says_so():
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run([SYNCHROTRON, "status"], capture_output=True, text=True, timeout=LIMIT,
                              env={**os.environ, "SYNCHROTRON_RUNTIME_DIR": folder}, check=False)
        equal((done.returncode, done.stdout), (1, ""))
        assert f"no daemon runs at {folder}" in done.stderr, done.stderr


def listen_and_say_nothing(folder, waiting):
    """A daemon that hangs, and what waits at its door."""
    os.mkdir(folder)
    path = os.path.join(folder, "control.sock")
    sockets = [socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(waiting + 1)]
    sockets[0].bind(path)
    sockets[0].listen(0)
    for one in sockets[1:]:
        one.connect(path)
    return sockets


def status_finds_the_daemon_as_programs_do_and_says_that_it_hangs():
    with tempfile.TemporaryDirectory() as folder:
        chosen, found = os.path.join(folder, "chosen"), os.path.join(folder, "synchrotron")
        held = [listen_and_say_nothing(chosen, 1), listen_and_say_nothing(found, 0)]
        plain = {k: v for k, v in os.environ.items() if k != "SYNCHROTRON_RUNTIME_DIR"}
        asked = {chosen: {**plain, "SYNCHROTRON_RUNTIME_DIR": chosen},
                 found: {**plain, "XDG_RUNTIME_DIR": folder}}
        running = {where: subprocess.Popen([SYNCHROTRON, "status"], stderr=subprocess.PIPE,
                                           text=True, env=environment)
                   for where, environment in asked.items()}
        for where, process in running.items():
            try:
                _, said = process.communicate(timeout=LIMIT)
            finally:
                process.kill()
            equal(process.returncode, 1)
            assert f"the daemon at {where} does not answer" in said, said
        for one in sum(held, []):
            one.close()


def output_that_cannot_be_written_is_a_failure():
    with open("/dev/full", "w", encoding="ascii") as full:
        for arguments in (["--help"], ["demo", "--help"]):
            done = subprocess.run([SYNCHROTRON, *arguments], stdout=full, stderr=subprocess.PIPE,
                                  text=True, timeout=LIMIT, check=False)
            equal(done.returncode, 1)
            assert "No space left" in done.stderr, done.stderr


def help_and_version_are_there():
    for arguments in (["--help"], ["--version"], ["demo", "--help"], ["status", "--help"]):
        done = subprocess.run([SYNCHROTRON, *arguments], capture_output=True, text=True,
                              timeout=LIMIT, check=False)
        equal((done.returncode, done.stderr), (0, ""))
        assert "synchrotron" in done.stdout
    equal(subprocess.run([SYNCHROTRON], capture_output=True, check=False).returncode, 2)


TESTS = (
    help_and_version_are_there,
    output_that_cannot_be_written_is_a_failure,
    wrong_options_are_told_and_nothing_starts,
    status_without_a_daemon_says_so,
    status_finds_the_daemon_as_programs_do_and_says_that_it_hangs,
    status_shows_ring_groups_and_processes,
    json_says_that_all_saw_one_order_and_nothing_was_lost,
    on_memif_all_is_well,
    on_packet_sockets_all_is_well,
    on_xdp_sockets_all_is_well,
    text_tells_the_story_in_order_and_plainly,
    ctrl_c_leaves_nothing,
    sigterm_leaves_nothing,
    sigkill_of_the_demo_leaves_nothing,
    a_closed_output_leaves_nothing,
    a_client_that_dies_ends_the_demo_with_its_name,
)


def main():
    failed = 0
    print(f"1..{len(TESTS)}")
    for number, test in enumerate(TESTS, 1):
        try:
            test()
            print(f"ok {number} - {test.__name__}", flush=True)
        except Skipped as why:
            print(f"ok {number} - {test.__name__} # SKIP {why}", flush=True)
        except Exception:  # whatever it is, the next test can still run
            failed += 1
            print(f"not ok {number} - {test.__name__}")
            print("# " + traceback.format_exc().rstrip().replace("\n", "\n# "), flush=True)
    return 1 if failed else 0


sys.exit(main())
