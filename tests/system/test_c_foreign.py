# SPDX-License-Identifier: BSD-3-Clause
"""Programs built against Corosync's headers and library run on ours by library path alone (A1)."""

import os
import re
import subprocess

import pytest

from c_programs import binary, run_case
from cluster import CLIENT, Cluster
from histories import check_all, messages

FOREIGN = "tests/system/foreign_agent"
UNVERSIONED = {"cpg_model_initialize", "cpg_max_atomic_msgsize_get", "cpg_local_get", "cpg_flow_control_state_get",
               "cpg_zcb_mcast_joined", "cpg_iteration_initialize", "cpg_iteration_next", "cpg_iteration_finalize"}
pytestmark = pytest.mark.skipif(not os.path.exists(binary("foreign")),
                                reason="built without Corosync's headers (Debian: apt-get install libcpg-dev)")


@pytest.fixture(scope="module")
def three():
    with Cluster(3, network="loopback") as cluster:
        yield cluster


def references(path):
    """{function of CPG: its version, or None} that a binary asks for."""
    said = subprocess.run(["nm", "-D", path], capture_output=True, text=True, check=True).stdout
    return {name: version or None for name, version in re.findall(r" U (cpg_\w+)@?@?(\S*)", said)}


def test_A1_references_of_both_generations(three):
    """What was linked with 3.1.7 asks for eight functions without a version, all else for all with one."""
    built_elsewhere = references(binary("foreign"))
    assert len(built_elsewhere) == 20, built_elsewhere
    system = references(binary("foreign_agent"))
    assert {name for name, version in built_elsewhere.items() if not version} in (UNVERSIONED, set())
    ours = references(binary("agent"))
    assert set(ours) == set(system) and set(ours.values()) == {"COROSYNC_CPG_1.0"}, ours


@pytest.mark.parametrize("binding", ["lazy", "now"])
def test_A1_all_functions_by_library_path_alone_without_a_word_of_the_loader(three, binding, monkeypatch):
    if binding == "now":
        monkeypatch.setenv("LD_BIND_NOW", "1")
    cpg, common, ok = run_case(three, 1, "foreign").splitlines()
    assert os.path.realpath(cpg).startswith(os.path.realpath(CLIENT)), cpg
    assert os.path.realpath(common).startswith(os.path.realpath(CLIENT)), common
    assert ok == "success" or "OK" in ok, ok


def test_A1_the_loader_finds_no_other_libcpg(three):
    said = subprocess.run(["ldd", binary("foreign")], capture_output=True, text=True, env=three.environment(1),
                          check=True)
    found = [line.split()[2] for line in said.stdout.splitlines() if "libcpg" in line or "corosync" in line]
    assert len(found) == 2 and all(path.startswith(CLIENT) for path in found), said.stdout
    assert not said.stderr, said.stderr
    debug = subprocess.run([binary("foreign")], capture_output=True, text=True, check=True,
                           env=dict(three.environment(1), LD_DEBUG="versions,libs"))
    wrong = [line for line in debug.stderr.splitlines() if re.search("warning|no version|error", line)
             and re.search("cpg|corosync", line)]  # a sanitizer looks for symbols that are not there
    assert not wrong, wrong


def test_D1_D2_one_order_for_programs_of_both_builds(three):
    agents = [three.agent(node, program) for node, program in
              [(1, FOREIGN), (2, "tests/system/agent"), (3, FOREIGN), (1, "tests/system/agent"), (2, FOREIGN)]]
    for agent in agents:
        agent.init().join("both builds")
    for agent in agents:
        agent.wait_members([a.id for a in agents])
        agent.record()
    floods = [(agent, agent.flood(f"f{i}", 400, "r3000")) for i, agent in enumerate(agents)]
    for agent, flood in floods:
        assert agent.answer(flood)["sent"] == 400
    for i, agent in enumerate(agents):
        agent.send(f"last{i}")  # behind its flood, but not behind those of others
    for agent in agents:
        for i in range(len(agents)):
            agent.wait_label(f"last{i}")
        assert not agent.errors(), agent.errors()
    histories = check_all(agents)
    assert {len(messages(found)) for found in histories.values()} == {401 * len(agents)}
