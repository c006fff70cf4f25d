# SPDX-License-Identifier: BSD-3-Clause
"""scripts/vm keeps its promises: what becomes of a command, and what its machine has."""
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
BUILD = os.environ.get("SYNCHROTRON_BUILD", os.path.join(ROOT, "build"))
VM = os.path.join(ROOT, "scripts", "vm")
BARE = ("--devices", "0", "--hugepages", "0")  # starts soonest
PATIENCE = 600  # that only a failure reaches


def vm(*words, command):
    return subprocess.run([VM, *words, "--", *command], cwd=ROOT, stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=PATIENCE, check=False)


def start(*words, command):
    return subprocess.Popen([VM, *words, "--", *command], cwd=ROOT, stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


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


# Network cards, another driver, our own daemons


NICS = """echo $SYNCHROTRON_VM_NICS
for nic in $(cat /run/nics); do basename $(readlink /sys/bus/pci/devices/$nic/driver); done
ls -d /sys/bus/pci/devices/*/iommu_group | wc -l"""


@pytest.mark.parametrize("model", ["e1000e", "virtio-net-pci"])
@pytest.mark.parametrize("driver, words", [("uio_pci_generic", []), ("vfio-pci", ["--iommu"])])
def test_network_cards_are_bound_to_the_driver_asked_for(driver, words, model):
    done = vm("--devices", "0", "--nics", "3", "--nic-model", model, *words, command=["sh", "-c", NICS])
    assert done.returncode == 0, done
    addresses, *drivers, groups = done.stdout.splitlines()
    assert len(addresses.split()) == 3, f"SYNCHROTRON_VM_NICS does not name three cards: {addresses}"
    assert drivers == [driver] * 3, "not every card in /run/nics is bound to it"
    assert (int(groups) > 0) == bool(words), "the IOMMU is not as asked for"


def on_cards(model, *words, nics, command):
    done = vm("--devices", "0", "--nics", str(nics), "--nic-model", model, "--limit", "1500", *words,
              command=["env", "SYNCHROTRON_TEST_SLOWER=10", *command])
    assert done.returncode == 0, f"{done.stdout[-6000:]}{done.stderr[-2000:]}"
    return done.stdout


def test_a_cable_is_pulled_and_plugged_in_again():
    said = vm("--devices", "0", "--nics", "2", "--hugepages", "0", command=["bash", "-c", """
        $SYNCHROTRON_VM_CABLE 1 off && $SYNCHROTRON_VM_CABLE 1 on && echo pulled
        $SYNCHROTRON_VM_CABLE 2 off || echo no such card"""])
    assert said.stdout == "pulled\nno such card\n", said


E1000E_UIO = pytest.param("e1000e", [], id="e1000e-uio")
E1000E_VFIO = pytest.param("e1000e", ["--iommu"], id="e1000e-vfio")
VIRTIO_UIO = pytest.param("virtio-net-pci", [], id="virtio-uio")
VIRTIO_VFIO = pytest.param("virtio-net-pci", ["--iommu"], id="virtio-vfio")
LIFE = "short_life and (ipv4 or multicast-ipv4) and not jumbo"


@pytest.mark.parametrize("model, words", [E1000E_VFIO, VIRTIO_UIO])
def test_cards_keep_the_contract_of_transports(model, words):
    program = os.path.join(BUILD, "tests", "transport", "transport_pci_contract_test")
    said = on_cards(model, *words, nics=5, command=[program, "-j1", "--tap"])
    claims = re.findall("^(ok|not ok)", said, re.MULTILINE)
    assert len(claims) > 30 and "not ok" not in claims, said[-6000:]
    assert "SKIP" not in said, said[-6000:]


def system_tests(model, *words, chosen):
    """How many passed."""
    said = on_cards(model, *words, nics=3, command=[
        "SYNCHROTRON_TEST_PORT=pci", "SYNCHROTRON_RACE_SECONDS=5", "/usr/bin/python3", "-B", "-m", "pytest", "-q",
        "-p", "no:cacheprovider", "-k", chosen,
        *(os.path.join(ROOT, "tests", "system", f"test_{name}.py")
          for name in ("transports", "faults", "links", "c_race", "cards"))])
    return int(re.search(r"(\d+) passed", said)[1])


@pytest.mark.parametrize("model, words", [E1000E_UIO, VIRTIO_VFIO])
def test_daemons_drive_cards_of_their_own(model, words):
    """Three on one wire, by fan-out and by multicast: views, order, a large message, a death and a return. What is
    copied is counted; and vfio-pci asks for a card that is taken away."""
    assert system_tests(model, *words, chosen=f"({LIFE}) or cards") == 3 + bool(words)


@pytest.mark.parametrize("model, words", [E1000E_VFIO, VIRTIO_UIO])
def test_daemons_on_cards_lose_cables_and_each_other(model, words):
    """And the race for the descriptor of a handle."""
    chosen = f"({LIFE}) or in_turn or killed_and_restarted or who_has_no_link or one_dispatch or cards"
    assert system_tests(model, *words, chosen=chosen) == 7 + bool(words)


def place_test(chosen, *settings):
    """The command that runs some of test_place.py."""
    return [*settings, "/usr/bin/python3", "-B", "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", chosen,
            os.path.join(ROOT, "tests", "system", "test_place.py")]


@pytest.mark.parametrize("model, words, woken_by", [
    pytest.param("e1000e", ["--iommu"], "interrupt", id="e1000e-vfio"),
    pytest.param("virtio-net-pci", ["--iommu"], "interrupt", id="virtio-vfio"),
    pytest.param("e1000e", [], "clock", id="e1000e-uio")])
def test_who_sleeps_on_a_card_is_woken_by_its_interrupts_where_it_has_them(model, words, woken_by):
    said = on_cards(model, *words, nics=2, command=place_test(
        "woken_by_what_comes or (on_its_processor and backoff)", "SYNCHROTRON_TEST_PORT=pci",
        f"SYNCHROTRON_TEST_WOKEN_BY={woken_by}"))
    assert "2 passed" in said, said


ON_NODE_1 = 'for nic in $(cat /run/nics); do echo 1 >/sys/bus/pci/devices/$nic/numa_node; done; exec "$@"'


@pytest.mark.parametrize("port", ["pci", "udp"])
def test_memory_of_a_daemon_lies_on_the_node_of_its_card_or_its_processor(port):
    said = on_cards("e1000e", "--iommu", "--cpus", "2", "--numa", "2", nics=1, command=[
        "sh", "-c", ON_NODE_1, "sh", "env", *place_test("numa", f"SYNCHROTRON_TEST_PORT={port}")])
    assert "1 passed" in said, said


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
