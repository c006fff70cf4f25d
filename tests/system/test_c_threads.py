# SPDX-License-Identifier: BSD-3-Clause
"""Threads, callbacks and forks (threads*.c) on one node: H1 to H9, X1 to X9."""

import pytest

from c_programs import cases, run_case
from cluster import SANITIZED, Cluster

# Their allocators' locks are not looked after in fork(): a child may wait for one for ever.
NOT_SANITIZED = "H4_a_child_of_a_process_with_threads_opens_handles_of_its_own"


@pytest.fixture(scope="module")
def service():
    with Cluster(1, network="loopback") as cluster:
        yield cluster


@pytest.mark.parametrize("case", cases("threads"))
def test_threads(service, case):
    if case == NOT_SANITIZED and SANITIZED:
        pytest.skip("a sanitizer's own allocator does not survive the fork of a process with threads")
    run_case(service, 1, "threads", case)


def test_afterwards_nothing_is_left(service):
    """What all these programs did has left no handle, segment or frame behind."""
    from cluster import wait_for
    wait_for(lambda: service.status(1)["memory"]["channels"]["count"] == 0, "no channels")
    memory = service.status(1)["memory"]
    assert memory["tx_segments"]["count"] == 0 and memory["tx_segments"]["bytes"] == 0, memory
