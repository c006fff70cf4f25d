# SPDX-License-Identifier: BSD-3-Clause
"""What scripts/vm has of network cards, and real daemons that drive them: three on one wire, on each driver.

A machine takes as long to start as a test takes in it. So each is started once, tries all that is asked of it,
and each test looks at one result. Two run at a time: they wait more than they work.
"""
import concurrent.futures
import re
import shlex

import pytest

from machine import BUILD, ROOT, vm

MACHINES = {
    "e1000e-uio": ["--nic-model", "e1000e"],
    "e1000e-vfio": ["--nic-model", "e1000e", "--iommu"],
    "virtio-uio": ["--nic-model", "virtio-net-pci"],
    "virtio-vfio": ["--nic-model", "virtio-net-pci", "--iommu"],
    "numa": ["--nic-model", "e1000e", "--iommu", "--cpus", "2", "--numa", "2"],
}
KINDS = [name for name in MACHINES if name != "numa"]
CARDS = 5
WOKEN_BY = {"e1000e-uio": "clock", "e1000e-vfio": "interrupt", "virtio-vfio": "interrupt"}
THOROUGH = ("e1000e-vfio", "virtio-uio")  # each driver of cards, and each way to their memory
LIFE = "short_life and (ipv4 or multicast-ipv4) and not jumbo"
FAULTS = "in_turn or killed_and_restarted or who_has_no_link or one_dispatch"
MARK = "@@ "
PYTEST = "/usr/bin/python3 -B -m pytest -q --durations=4 -p no:cacheprovider"
SLOWER = "SYNCHROTRON_TEST_SLOWER=10"


def system(chosen, *files, cards=3, **settings):
    """System tests, on the first of the cards."""
    paths = " ".join(f"{ROOT}/tests/system/test_{name}.py" for name in files)
    words = " ".join(f"{name}={value}" for name, value in settings.items())
    return (f'env {SLOWER} SYNCHROTRON_VM_NICS="$(head -n {cards} /run/nics | tr "\\n" " ")" {words} '
            f"{PYTEST} -k {shlex.quote(chosen)} {paths}")


def parts_of(kind):
    """{name: command of a shell}, in the order in which they can follow each other."""
    if kind == "numa":
        tell = "for nic in $(cat /run/nics); do echo 1 >/sys/bus/pci/devices/$nic/numa_node; done"
        return {port: f"{tell}; {system('numa', 'place', cards=1, SYNCHROTRON_TEST_PORT=port)}"
                for port in ("pci", "udp")}
    parts = {
        "drivers": "for nic in $(cat /run/nics); do basename $(readlink /sys/bus/pci/devices/$nic/driver); done",
        "names": "echo $SYNCHROTRON_VM_NICS",
        "groups": "ls -d /sys/bus/pci/devices/*/iommu_group 2>/dev/null | wc -l",
        "cable": "$SYNCHROTRON_VM_CABLE 4 off && $SYNCHROTRON_VM_CABLE 4 on && echo pulled; "
                 f"$SYNCHROTRON_VM_CABLE {CARDS} off || echo no such card",
    }
    if kind in THOROUGH:
        parts["contract"] = f"env {SLOWER} {BUILD}/tests/transport/transport_pci_contract_test -j1 --tap"
    if kind in WOKEN_BY:
        parts["woken"] = system("woken_by_what_comes or (on_its_processor and backoff)", "place", cards=2,
                                SYNCHROTRON_TEST_PORT="pci", SYNCHROTRON_TEST_WOKEN_BY=WOKEN_BY[kind])
    chosen = f"({LIFE}) or cards" + (f" or {FAULTS}" if kind in THOROUGH else "")
    parts["system"] = system(chosen, "transports", "faults", "links", "c_race", "cards", SYNCHROTRON_TEST_PORT="pci",
                             SYNCHROTRON_RACE_SECONDS=5)  # the last takes a card away
    return parts


def run_machine(kind):
    """{what: (status, output)} of one kind of machine."""
    script = "\n".join(f"( {command} ) >/tmp/said 2>&1; echo '{MARK}{name}' $?; cat /tmp/said"
                       for name, command in parts_of(kind).items())
    done = vm("--devices", "0", "--nics", "1" if kind == "numa" else str(CARDS), "--limit", "1500", *MACHINES[kind],
              command=["bash", "-c", script], patience=2000)
    assert done.returncode == 0, f"the machine {kind}: {done.stderr}"
    results = {}
    for part in re.split(f"^{MARK}", done.stdout, flags=re.MULTILINE)[1:]:
        head, _, output = part.partition("\n")
        name, status = head.split()
        results[name] = (int(status), output)
    return results


@pytest.fixture(scope="module")
def machines(request):
    """Those that tests of this run ask for, on their way."""
    kinds = dict.fromkeys(item.callspec.params["machine"] for item in request.session.items
                          if "machine" in getattr(item, "fixturenames", ()))
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        yield {kind: pool.submit(run_machine, kind) for kind in kinds}
        pool.shutdown(cancel_futures=True)


@pytest.fixture
def machine(request, machines):
    """One kind, and what was found there."""
    return request.param, machines[request.param].result()


def of_each(*kinds):
    return pytest.mark.parametrize("machine", kinds, indirect=True)


def passed(result):
    """How many tests passed, of a run of pytest in which none failed."""
    status, said = result
    assert status == 0, said[-8000:]
    return int(re.search(r"(\d+) passed", said)[1])


@of_each(*KINDS)
def test_cards_are_bound_to_the_driver_asked_for(machine):
    kind, found = machine
    assert len(found["names"][1].split()) == CARDS, f"SYNCHROTRON_VM_NICS does not name them all: {found['names']}"
    driver = "vfio-pci" if kind.endswith("vfio") else "uio_pci_generic"
    assert found["drivers"][1].split() == [driver] * CARDS, "not every card in /run/nics is bound to it"
    assert (int(found["groups"][1]) > 0) == kind.endswith("vfio"), "the IOMMU is not as asked for"


@of_each(*KINDS)
def test_a_cable_is_pulled_and_plugged_in_again(machine):
    _, found = machine
    assert found["cable"][1].splitlines()[0] == "pulled", found["cable"]
    assert found["cable"][1].splitlines()[-1] == "no such card", found["cable"]


@of_each(*THOROUGH)
def test_cards_keep_the_contract_of_transports(machine):
    _, found = machine
    status, said = found["contract"]
    claims = re.findall("^(ok|not ok)", said, re.MULTILINE)
    assert len(claims) > 30 and "not ok" not in claims, said[-8000:]
    assert status == 0 and "SKIP" not in said, said[-8000:]


@of_each(*KINDS)
def test_daemons_drive_cards_of_their_own(machine):
    """By fan-out and by multicast: views, order, a large message, a death and a return. What is copied is counted;
    and vfio-pci asks for a card that is taken away. In some also: links cut and healed, kills, and the race for the
    descriptor of a handle."""
    kind, found = machine
    assert passed(found["system"]) == (7 if kind in THOROUGH else 3) + kind.endswith("vfio"), found["system"][1]


@of_each(*WOKEN_BY)
def test_who_sleeps_on_a_card_is_woken_by_its_interrupts_where_it_has_them(machine):
    _, found = machine
    assert passed(found["woken"]) == 2, found["woken"][1]


@of_each("numa")
@pytest.mark.parametrize("port", ["pci", "udp"])
def test_memory_of_a_daemon_lies_on_the_node_of_its_card_or_its_processor(machine, port):
    _, found = machine
    assert passed(found[port]) == 1, found[port][1]
