# SPDX-License-Identifier: BSD-3-Clause
"""The race for the descriptor (F2 to F4) for a minute; SYNCHROTRON_RACE_SECONDS says otherwise, and
SYNCHROTRON_TEST_SEED repeats its draws."""

import json
import os
import random

from c_programs import run_case, sanitized
from cluster import LIMIT

SECONDS = int(os.environ.get("SYNCHROTRON_RACE_SECONDS", "15" if sanitized() else "60"))


def test_F2_F3_F4_poll_and_one_dispatch_never_wait_and_never_miss(make_cluster):
    cluster = make_cluster(3, network="loopback")
    seed = int(os.environ.get("SYNCHROTRON_TEST_SEED", random.randrange(1 << 32)))
    print(f"seed {seed}")
    said = run_case(cluster, 1, "race", SECONDS, seed, *(cluster.path(f"run{i}") for i in (1, 2)),
                    limit=SECONDS + LIMIT)
    print(said)
    counts = json.loads(said)
    assert counts["rounds"] > 10 * SECONDS, f"too few rounds to be a race: {counts}"
    assert counts["dispatches"] > 30 * SECONDS, counts
