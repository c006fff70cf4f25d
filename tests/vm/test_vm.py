# SPDX-License-Identifier: BSD-3-Clause
"""scripts/vm keeps its promises: what becomes of a command, and what its machine has."""
import json
import os
import shutil
import signal
import tempfile
import time

import pytest

from machine import BUILD, HERE, PATIENCE, start, vm

BARE = ("--devices", "0", "--hugepages", "0")  # starts soonest


@pytest.fixture
def folder():
    """A folder of the project, which both sides see."""
    path = tempfile.mkdtemp(prefix="vm-test-", dir=BUILD)
    yield path
    shutil.rmtree(path)


# What becomes of a command


def test_status_and_output_are_the_commands():
    done = vm(*BARE, command=["sh", "-c", "seq 50000; echo wrong >&2; sleep 600 & exit 7"])
    assert done.returncode == 7, f"the status is not the command's: {done}"
    assert done.stdout == "".join(f"{i}\n" for i in range(1, 50001)), "the output is not what was printed"
    assert done.stderr == "wrong\n", "standard error is not what was printed there, and that alone"


def test_a_command_that_is_not_there_gives_127():
    done = vm(*BARE, command=["no-such-command"])
    assert done.returncode == 127, done
    assert "no-such-command" in done.stderr


def test_output_comes_at_once_and_the_projects_folder_is_shared(folder):
    """The command waits for a file that comes only when its first line has been read here."""
    script = f"echo first; until [ -e {folder}/go ]; do sleep 0.1; done; echo from the guest >{folder}/answer"
    process = start(*BARE, command=["sh", "-c", script])
    assert process.stdout.readline() == "first\n", f"no output: {process.communicate()}"
    with open(os.path.join(folder, "go"), "w", encoding="utf-8"):
        pass
    _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, f"the guest did not see a file made here: {said}"
    with open(os.path.join(folder, "answer"), encoding="utf-8") as file:
        assert file.read() == "from the guest\n", "what the guest wrote is not here"


def test_what_is_written_outside_the_project_stays_in_the_guest():
    path = tempfile.mktemp(prefix="vm-test-", dir="/var/tmp")
    done = vm(*BARE, command=["sh", "-c", f"echo x >{path} && cat {path}"])
    assert (done.returncode, done.stdout) == (0, "x\n"), f"it cannot be written in the guest: {done}"
    assert not os.path.exists(path), "it is here, too"


def test_the_time_limit_gives_124():
    done = vm(*BARE, "--limit", "2", command=["sh", "-c", "echo begun; sleep 600"])
    assert done.returncode == 124, done
    assert done.stdout == "begun\n", "what was printed before is lost"
    assert "time limit of 2 s" in done.stderr, "it does not say why it ended"


def test_a_guest_that_fails_gives_125():
    done = vm("--devices", "0", "--hugepages", "4000", "--memory", "512", command=["true"])
    assert done.returncode == 125, done
    assert "huge pages" in done.stderr, "it does not say why it failed"


@pytest.mark.parametrize("number, status", [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_a_signal_ends_the_machine_too(number, status):
    process = start(*BARE, command=["sh", "-c", "echo begun; sleep 600"])
    assert process.stdout.readline() == "begun\n", f"it did not start: {process.communicate()}"
    qemus = children(process.pid)
    assert qemus, "it has no process of QEMU"
    process.send_signal(number)
    process.communicate(timeout=PATIENCE)
    assert process.returncode == status
    deadline = time.monotonic() + 10
    while any(os.path.exists(f"/proc/{pid}") for pid in qemus):
        assert time.monotonic() < deadline, "QEMU is left behind"
        time.sleep(0.05)


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="utf-8") as file:
        return file.read().split()


def test_two_run_at_a_time():
    both = [start(*BARE, command=["sh", "-c", f"echo {name}; exit {status}"])
            for name, status in (("one", 1), ("two", 2))]
    said = [process.communicate(timeout=PATIENCE) for process in both]
    assert [process.returncode for process in both] == [1, 2], said
    assert [out for out, _ in said] == ["one\n", "two\n"]


# What its machine has. One machine runs devices.sh, and each test looks at one result.


@pytest.fixture(scope="module")
def found():
    """{what: (status, output)}"""
    done = vm(command=["bash", os.path.join(HERE, "devices.sh")])
    assert done.returncode == 0, f"the machine with devices: {done.stderr}"
    results = {}
    for part in done.stdout.split("== ")[1:]:
        head, _, output = part.partition("\n")
        name, status = head.split()
        results[name] = (int(status), output)
    return results


def test_three_rdma_devices_are_there(found):
    status, output = found["devices"]
    assert status == 0 and [f"rxe{i}" in output for i in range(4)] == [True] * 3 + [False], \
        f"ibv_devices does not list rxe0 to rxe2 and no other:\n{output}"


def test_huge_pages_are_there(found):
    assert found["hugepages"] == (0, "256 hugetlbfs\n"), "no 256 huge pages, or not mounted on /dev/hugepages"


def test_rping_goes_from_device_to_device(found):
    status, output = found["pings"]
    assert status == 0, f"rping between 10.77.0.1 and 10.77.0.2 fails:\n{output}"


def test_what_is_sent_from_device_to_device_crosses_the_bridge(found):
    _, output = found["crossed"]
    assert int(output) >= 10, f"port1 carried {output} packets of rping: they took another way"


def test_loss_on_one_port_hits_that_port_alone(found):
    lossy, sound = map(int, found["loss"][1].split())
    assert 20 <= lossy <= 180, f"of 200 datagrams through a port that loses half {lossy} arrived"
    assert sound == 200, f"of 200 datagrams through another port {sound} arrived"


def test_a_link_that_is_down_carries_nothing(found):
    down, again = map(int, found["link"][1].split())
    assert (down, again) == (0, 200), f"of 200 datagrams {down} arrived with the link down, {again} when up again"


# Another driver, our own daemons


def test_siw_is_another_driver():
    done = vm("--driver", "siw", "--devices", "2", command=["ibv_devices"])
    assert done.returncode == 0, done
    assert "siw0" in done.stdout and "siw1" in done.stdout, f"ibv_devices does not list both:\n{done.stdout}"


def test_a_cluster_of_real_daemons_runs_in_it():
    demo = os.path.join(BUILD, "cli", "synchrotron")
    done = vm(*BARE, command=[demo, "demo", "--nodes", "3", "--seconds", "4", "--json"])
    assert done.returncode == 0, f"the demo, on loopback, fails in the machine: {done.stdout}{done.stderr}"
    verdict = json.loads(done.stdout)
    assert verdict["ok"] and verdict["messages"] > 0, verdict
