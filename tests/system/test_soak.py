# SPDX-License-Identifier: BSD-3-Clause
"""Full load for a while: six clients on three nodes all flood one group, and nothing changes but counters.

SYNCHROTRON_SOAK_SECONDS says how long; ten minutes is what a release has to stand.
"""

import json
import os
import subprocess

import pytest

from cluster import BUILD, CLIENT, LIMIT, SANITIZED, wait_for

SECONDS = float(os.environ.get("SYNCHROTRON_SOAK_SECONDS", "15"))
LOAD = os.path.join(BUILD, "perf/synchrotron-load")
NODES = (1, 2, 3)
MEMORY_LIMIT_KB = 128 * 1024


def memory_kb(pid):
    """Resident, and of that what is not shared with clients."""
    with open(f"/proc/{pid}/status") as f:
        fields = dict(line.split(":", 1) for line in f)
    return int(fields["VmRSS"].split()[0]), int(fields["RssAnon"].split()[0])


def flood(cluster, node, size):
    return subprocess.Popen(
        cluster.net.prefix(node) + [LOAD, "flood", "-g", "soak", "-s", str(size), "-D", str(SECONDS),
                                    "-n", "6"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=dict(cluster.environment(node), LD_LIBRARY_PATH=CLIENT))


@pytest.mark.netns
def test_D3_six_clients_at_full_load_see_no_change_of_the_ring(make_cluster):
    cluster = make_cluster()
    rings = {i: cluster.status(i)["ring"]["id"] for i in NODES}
    loads = [flood(cluster, node, size) for node in NODES for size in (64, 1400)]
    wait_for(lambda: len(cluster.status(1)["groups"]) == 1, "the group")
    before = {i: memory_kb(cluster.daemons[i].pid) for i in NODES}
    reports = []
    for load in loads:
        out, err = load.communicate(timeout=SECONDS + 2 * LIMIT)
        assert load.returncode == 0, err
        reports.append(json.loads(out))
    after = {i: memory_kb(cluster.daemons[i].pid) for i in NODES}
    print("sent", sum(r["sent"] for r in reports), "memory", before, after)

    assert all(r["sent"] > 0 and r["received"] >= r["sent"] for r in reports), reports
    for i in NODES:
        assert cluster.status(i)["ring"]["id"] == rings[i], cluster.log(i)
        if not SANITIZED:
            assert after[i][1] <= before[i][1] + 4096, "the daemon's own memory grew"
            assert after[i][0] <= MEMORY_LIMIT_KB
