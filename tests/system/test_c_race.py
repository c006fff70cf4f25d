# SPDX-License-Identifier: BSD-3-Clause
"""The race for the descriptor (F2 to F4) for a minute, and for some seconds with the accesses of the
wake words pulled apart, by which rare interleavings become common. SYNCHROTRON_RACE_SECONDS says
otherwise, and SYNCHROTRON_TEST_SEED repeats the draws."""

import json
import os
import random

import pytest

from c_programs import binary, run_case
from cluster import SANITIZED
from cluster import DETECT_MS, LIMIT, Cluster

# A view is an event, too, and who parts loses messages: a machine that is busy elsewhere for a moment is no death.
PATIENT = {"detect_ms": min(10 * DETECT_MS, 60000)}
SECONDS = int(os.environ.get("SYNCHROTRON_RACE_SECONDS", "15" if SANITIZED else "60"))


class LateCluster(Cluster):
    def command(self, i):
        return [binary("late_synchrotrond"), *super().command(i)[1:]]


def race(cluster, program, seconds):
    seed = int(os.environ.get("SYNCHROTRON_TEST_SEED", random.randrange(1 << 32)))
    print(f"seed {seed}")
    said = run_case(cluster, 1, program, seconds, seed, cluster.pid(1), *(cluster.path(f"run{i}") for i in (1, 2)),
                    limit=seconds + LIMIT)
    print(said)
    counts = json.loads(said)
    assert counts["rounds"] > 10 * seconds, f"too few rounds to be a race: {counts}"
    assert counts["dispatches"] > 30 * seconds, counts


@pytest.mark.dpdk
def test_F2_F3_F4_poll_and_one_dispatch_never_wait_and_never_miss(make_cluster):
    race(make_cluster(3, network="loopback", totem=PATIENT), "race", SECONDS)


@pytest.mark.dpdk
def test_F2_F3_F4_with_the_wake_words_pulled_apart():
    with LateCluster(2, network="loopback", totem=PATIENT) as cluster:
        race(cluster, "late_race", 2 + SECONDS // 6)
