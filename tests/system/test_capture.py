# SPDX-License-Identifier: BSD-3-Clause
"""synchrotron capture, and its files as tshark reads them with the dissector."""

import os
import shutil
import signal
import subprocess
import time

import pytest

from cluster import BUILD, CLI, LIMIT, wait_for
from test_order import finish

TSHARK = shutil.which("tshark")
DISSECTOR = os.path.join(BUILD, "ring/synchrotron.lua")
CHECKED = ["-o", "ip.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE"]
WRONG = "_ws.malformed || synchrotron.malformed || _ws.lua.error || ip.checksum.status == 0 || " \
        "udp.checksum.status == 0 || udp.checksum.zero || (udp && !synchrotron)"

pytestmark = pytest.mark.skipif(not TSHARK, reason="tshark is not installed")


class Capture:
    """A capturing program on one node."""

    def __init__(self, cluster, node, *options, file="x.pcapng", **how):
        self.cluster, self.path = cluster, cluster.path(file)
        self.process = subprocess.Popen([CLI, "capture", "-w", self.path, *options], stdin=subprocess.DEVNULL,
                                        stderr=subprocess.PIPE, text=True, env=cluster.environment(node), **how)

    def begun(self):
        wait_for(lambda: os.path.exists(self.path) or self.process.poll() is not None, "a file")
        assert self.process.poll() is None, self.process.stderr.read()
        return self

    def wait_frames(self, count):
        """Until the file is so long that it has so many frames, which a heartbeat brings in any case."""
        wait_for(lambda: os.path.getsize(self.path) > count * 120, f"{count} frames in a file")
        return self

    def end(self, number=signal.SIGINT):
        """What it said, once it has ended by itself or by a signal."""
        if number:
            self.process.send_signal(number)
        try:
            _, said = self.process.communicate(timeout=LIMIT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        assert self.process.returncode == 0, said
        return said

    def rows(self, *fields, where=""):
        """Per packet, what tshark says of these fields."""
        command = [TSHARK, "-X", f"lua_script:{DISSECTOR}", *CHECKED, "-r", self.path, "-T", "fields"]
        command += [word for field in fields for word in ("-e", field)]
        done = subprocess.run(command + (["-Y", where] if where else []), capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, timeout=LIMIT, env=dict(os.environ, HOME="/nonexistent"))
        assert done.returncode == 0 and "Lua" not in done.stderr and "cut short" not in done.stderr, done.stderr
        return [line.split("\t") for line in done.stdout.splitlines()]

    def expect_sound(self):
        assert self.rows("frame.number", "_ws.col.Info", where=WRONG) == []
        assert self.rows("frame.number")

    def sent_to(self, family):
        """Where DATA went."""
        sent = "frame.packet_flags_direction == 2 && synchrotron.type == 1"
        return {row[0] for row in self.rows("ip.dst" if family == 4 else "ipv6.dst", where=sent)}

    def lost(self):
        """By the last block of the file: frames there were, and of these lost."""
        with open(self.path, "rb") as f:
            f.seek(-4, os.SEEK_END)
            length = int.from_bytes(f.read(4), "little")
            f.seek(-length, os.SEEK_END)
            block = f.read()
        assert int.from_bytes(block[:4], "little") == 5, "the last block is no statistics block"
        options, at = {}, 20
        while (code := int.from_bytes(block[at:at + 2], "little")) != 0:
            bytes_ = int.from_bytes(block[at + 2:at + 4], "little")
            options[code] = block[at + 4:at + 4 + bytes_]
            at += 4 + (bytes_ + 3) // 4 * 4
        return int.from_bytes(options[4], "little"), int.from_bytes(options[5], "little")


@pytest.fixture
def small(make_cluster):
    return make_cluster(2, network="loopback")


def names(capture, where=""):
    return {row[0] for row in capture.rows("_ws.col.Info", where=where) for row in [row[0].split()]}


def test_a_ring_that_forms_and_works_is_seen_frame_by_frame(make_cluster):
    cluster = make_cluster(2, network="loopback", start=False)
    cluster.start(1)
    cluster.wait_ring(1)
    capture = Capture(cluster, 1).begun()
    cluster.start(2)
    cluster.wait_ring(1, 2)
    agents = cluster.members((1, 2))
    for i in range(50):
        agents[i % 2].send(f"word-{i}")
    agents[0].send("long", size=20000)
    finish(agents)
    capture.end()
    capture.expect_sound()
    for direction, way in ((1, "received"), (2, "sent")):
        seen = names(capture, f"frame.packet_flags_direction == {direction}")
        assert {"TOKEN", "DATA", "JOIN", "INFO"} <= seen, f"{way}: {seen}"
    assert "COMMIT" in names(capture)
    joins = capture.rows("synchrotron.join.proc", where="synchrotron.type == 4")
    assert ["1,2"] in joins, joins
    commits = capture.rows("synchrotron.commit.id", where="synchrotron.type == 5")
    assert ["1,2"] in commits, commits
    tokens = [[int(word) for word in row] for row in capture.rows(
        "synchrotron.token.seq", "synchrotron.token.aru", "synchrotron.token.rtr_count",
        where="synchrotron.type == 3")]
    assert all(aru <= seq for seq, aru, _ in tokens) and max(seq for seq, _, _ in tokens) > 10
    assert len({row[0] for row in capture.rows("ip.src", where="synchrotron.type == 3")}) == 2
    pieces = capture.rows("synchrotron.piece", where="synchrotron.type == 1")
    assert any(b"word-7".hex() in row[0] for row in pieces if row), "a message's bytes are in no chunk"
    assert capture.rows("frame.number", where="synchrotron.chunk.last == 0"), "no piece of a long message"


@pytest.mark.parametrize("family", [4, 6])
def test_without_multicast_frames_for_all_go_to_everybody_once(make_cluster, family):
    cluster = make_cluster(2, network="loopback", family=family)
    capture = Capture(cluster, 1).begun()
    finish(cluster.members((1, 2)))
    capture.end()
    capture.expect_sound()
    assert capture.sent_to(family) == {{4: "255.255.255.255", 6: "ff02::1"}[family]}


@pytest.mark.netns
def test_with_multicast_frames_for_all_go_to_the_group(make_cluster):
    cluster = make_cluster(2, transport={"multicast": "239.192.7.7"})
    capture = Capture(cluster, 1).begun()
    finish(cluster.members((1, 2)))
    capture.end()
    capture.expect_sound()
    assert capture.sent_to(4) == {"239.192.7.7"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_under_load_leaves_a_complete_file(small, number):
    agents = small.members((1, 2))
    floods = [agent.flood("f", size="r300") for agent in agents]
    capture = Capture(small, 1).begun().wait_frames(1000)
    said = capture.end(number)
    for agent, flood in zip(agents, floods):
        agent.halt(flood)
    passed, lost = capture.lost()
    assert f"{passed - lost} frames captured" in said, said
    assert len(capture.rows("frame.number")) == passed - lost > 100
    capture.expect_sound()


def test_it_ends_after_so_many_frames_or_seconds(small):
    agents = small.members((1, 2))
    flood = agents[0].flood("f", size="64")
    capture = Capture(small, 1, "--count", "77")
    assert capture.end(None).startswith("77 frames captured")
    assert len(capture.rows("frame.number")) == 77
    agents[0].halt(flood)
    start = time.monotonic()
    capture = Capture(small, 1, "--seconds", "0.5", file="y.pcapng")
    capture.end(None)
    assert time.monotonic() - start >= 0.5
    assert capture.lost()[1] == 0


def test_of_long_frames_so_much_is_kept_as_was_asked_for(small):
    agents = small.members((1, 2))
    capture = Capture(small, 1, "--snap", "128").begun()
    agents[0].send("long", size=20000)
    finish(agents)
    capture.end()
    rows = [tuple(map(int, row)) for row in capture.rows("frame.len", "frame.cap_len")]
    assert any(length > 1000 for length, _ in rows)
    assert all(kept == min(length, 28 + 128) for length, kept in rows)
    assert capture.rows("frame.number", where="_ws.malformed || synchrotron.malformed || "
                        "udp.checksum.status == 0 || (udp && !synchrotron)") == []
    assert capture.rows("frame.number", where="synchrotron.cut")


def test_a_reader_that_stands_still_loses_frames_and_slows_nobody(small):
    agents = small.members((1, 2))
    capture = Capture(small, 1).begun()
    capture.process.send_signal(signal.SIGSTOP)
    flood = agents[0].flood("f", size="r1000")
    wait_for(lambda: small.status(1)["counters"]["core"]["frames_captured"] > 30000, "frames enough for a tape")
    agents[0].halt(flood)
    finish(agents)
    assert small.status(1)["counters"]["core"]["clients_evicted_slow"] == 0
    capture.process.send_signal(signal.SIGCONT)
    said = capture.end()
    passed, lost = capture.lost()
    assert lost > 0 and f"{lost} lost" in said, (said, passed, lost)
    assert len(capture.rows("frame.number")) == passed - lost > 0
    capture.expect_sound()


def test_when_the_daemon_goes_the_file_is_complete(small):
    small.members((1, 2))
    capture = Capture(small, 1).begun().wait_frames(5)
    small.kill(1)
    assert "the daemon has gone" in capture.end(None)
    capture.lost()
    capture.expect_sound()
    assert not os.path.exists(f"/proc/{capture.process.pid}")


def test_one_captures_at_a_time_and_the_core_copies_for_nobody_else(small):
    captured = [small.status(1)["counters"]["core"]["frames_captured"]]
    assert captured == [0]
    first = Capture(small, 1).begun().wait_frames(5)
    second = subprocess.run([CLI, "capture", "-w", small.path("y")], capture_output=True, text=True,
                            stdin=subprocess.DEVNULL, env=small.environment(1), timeout=LIMIT)
    assert second.returncode == 1 and f"process {first.process.pid} captures" in second.stderr, second
    assert not os.path.exists(small.path("y"))
    assert small.status(1)["memory"]["tape"]["bytes"] > 1 << 20
    first.end()
    wait_for(lambda: small.status(1)["memory"]["tape"]["bytes"] == 0, "the tape's memory back")
    finish(small.members((1, 2)))
    before = small.status(1)["counters"]["core"]["frames_captured"]
    finish(small.members((1, 2), group="h"))
    assert small.status(1)["counters"]["core"]["frames_captured"] == before > 0


def test_standard_output_is_read_along(small):
    small.members((1, 2))
    program = subprocess.Popen([CLI, "capture"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               stdin=subprocess.DEVNULL, env=small.environment(1))
    tshark = subprocess.run([TSHARK, "-X", f"lua_script:{DISSECTOR}", "-l", "-i", "-", "-c", "5", "-T", "fields",
                             "-e", "_ws.col.Info"], stdin=program.stdout, capture_output=True, text=True,
                            timeout=LIMIT, env=dict(os.environ, HOME="/nonexistent"))
    program.stdout.close()
    assert tshark.stdout.count("ring") == 5, tshark
    assert program.wait(LIMIT) == 0, program.stderr.read()
    program.stderr.close()


def test_what_cannot_be_is_said_in_a_line(small):
    def run(*words):
        return subprocess.run([CLI, "capture", *words], capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, env=small.environment(1), timeout=LIMIT)
    for words in (["--snap", "10"], ["--count", "0"], ["--count", "x"], ["--seconds", "-1"], ["more"], ["-w"]):
        done = run(*words)
        assert done.returncode == 2 and "usage" in done.stderr, words
    done = run("-w", small.path("no/such/folder"))
    assert done.returncode == 1 and "No such file" in done.stderr
    done = run("-w", "/dev/full", "--count", "5")
    assert done.returncode == 1 and "No space left" in done.stderr
    done = run("-w", small.path("x"), "--runtime-dir", small.path("nowhere"))
    assert done.returncode == 1 and "no daemon runs" in done.stderr
    assert run("--help").returncode == 0
