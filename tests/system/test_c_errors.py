# SPDX-License-Identifier: BSD-3-Clause
"""The error table of section 4 and rules Z1 to Z8, line by line, on one node (errors*.c)."""

import os

import pytest

from c_programs import Program, cases, run_case
from cluster import Cluster

MESSAGE_MAX = 32 << 20
WORDS = {"mcast_over_the_maximum_is_too_big_and_sends_nothing": [MESSAGE_MAX],
         "Z7_sizes_around_1_MiB_and_at_the_maximum": [MESSAGE_MAX]}
BY_THEMSELVES = ("S1_", "S2_", "initialize_asks_who_calls", "F1_F6_")
ALL = cases("errors")


@pytest.fixture(scope="module")
def service():
    with Cluster(1, network="loopback") as cluster:
        yield cluster


def own(prefix):
    return [name for name in ALL if name.startswith(prefix)]


@pytest.mark.parametrize("case", [name for name in ALL if not name.startswith(BY_THEMSELVES)])
def test_errors(service, case):
    run_case(service, 1, "errors", case, *WORDS.get(case, []))


def test_F1_F6_the_descriptor_of_a_handle(service):
    run_case(service, 1, "errors", own("F1_F6_")[0], service.pid(1))


@pytest.mark.parametrize("case", own("S1_") + own("S2_S3"))
def test_lost(make_cluster, case):
    cluster = make_cluster(1, network="loopback")
    program = Program(cluster, 1, "errors", case)
    try:
        program.hear("ready")
        cluster.kill(1)
        if case.startswith("S2_S3"):
            cluster.start(1)
        program.say()
        program.end()
    finally:
        program.stop()


def test_S1_a_service_that_stops_cleanly_is_lost_as_well(make_cluster):
    cluster = make_cluster(1, network="loopback")
    program = Program(cluster, 1, "errors", own("S1_S2_")[0])
    try:
        program.hear("ready")
        cluster.stop(1)
        program.say()
        program.end()
    finally:
        program.stop()


def test_S2_a_service_that_forms_its_first_ring_says_try_again(make_cluster):
    cluster = make_cluster(3, network="loopback", start=False, totem={"detect_ms": 2000})
    program = Program(cluster, 1, "errors", own("S2_a_")[0])
    try:
        program.hear("ready")
        cluster.start(1)
        program.end()
    finally:
        program.stop()


@pytest.mark.parametrize("permitted", [False, True])
def test_a_user_is_asked_for(make_cluster, permitted):
    user = 65534
    try:
        os.seteuid(user)
        os.seteuid(0)
    except OSError:
        pytest.skip("needs root and a second user")
    cluster = make_cluster(1, network="loopback", clients={"uid": user} if permitted else {})
    for folder in (cluster.folder, cluster.path("run1")):
        os.chmod(folder, 0o755)
    run_case(cluster, 1, "errors", "initialize_asks_who_calls", 1 if permitted else 11, user)
