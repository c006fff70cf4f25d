# SPDX-License-Identifier: BSD-3-Clause
"""H1: hundreds of handles in one process (many.c), and what each costs the service."""

import pytest

from c_programs import Program, run_case
from cluster import Cluster, wait_for

HANDLE_BYTES_MAX = 256 * 1024
MESSAGE_MAX = 32 << 20


@pytest.fixture(scope="module")
def service():
    with Cluster(1, network="loopback") as cluster:
        yield cluster


@pytest.mark.parametrize("count", [300, 100])
def test_H1_many_handles_in_one_process(service, count):
    before = service.status(1)["memory"]
    program = Program(service, 1, "many", "H1_many_handles_in_one_loop", count, MESSAGE_MAX)
    try:
        program.hear("idle")
        status = service.status(1)
        idle = status["memory"]
        assert status["client_count"] == count and status["group_count"] == count
        assert idle["channels"]["count"] == before["channels"]["count"] + count
        each = (idle["total_bytes"] - before["total_bytes"]) / count
        print(f"{each / 1024:.1f} KiB a handle that has not sent, "
              f"{(idle['rss_bytes'] - before['rss_bytes']) / count / 1024:.1f} KiB resident")
        assert 0 < each <= HANDLE_BYTES_MAX, f"{each} bytes a handle: {before} {idle}"
        assert idle["tx_segments"]["count"] == 0
        program.say()
        program.hear("sent")
        assert sorted(c["messages_in"] for c in service.status(1)["clients"]) == [3] * (count - 1) + [5]
        program.say()
        program.end()
    finally:
        program.stop()

    def left():
        now = service.status(1)
        memory = now["memory"]
        return {"clients": now["client_count"], "groups": now["group_count"],
                "channels": memory["channels"]["bytes"], "segments": memory["tx_segments"]["bytes"],
                "bytes": memory["total_bytes"] - before["total_bytes"]}
    wait_for(lambda: not any(left().values()), lambda: f"left over: {left()}")


@pytest.mark.parametrize("count", [6, 60])
def test_C3_handles_that_are_idle_after_a_burst_keep_nobody_from_sending(service, count):
    run_case(service, 1, "many", "C3_handles_that_are_idle_after_a_burst_keep_nobody_from_sending", count, MESSAGE_MAX)
