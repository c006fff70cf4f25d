# SPDX-License-Identifier: BSD-3-Clause
"""The same tests on Corosync, to see what the contract was taken from.

    gcc -D_GNU_SOURCE -o AGENT tests/system/agent*.c -lcpg
    SYNCHROTRON_TEST_ORIGINAL=AGENT pytest tests/system/test_views.py

Where section 11 of the contract says that we differ, a test that fails there is right to.
"""

import os
import re
import subprocess

from cluster import Cluster
from network import run

PROGRAM = os.environ.get("SYNCHROTRON_TEST_ORIGINAL")


class Corosync(Cluster):
    def write_config(self, i):
        nodes = "".join(f"  node {{\n    ring0_addr: {self.net.address(n, self.family)}\n    nodeid: {n}\n"
                        f"    name: n{n}\n  }}\n" for n in self.net.names)
        with open(self.path(f"{i}.conf"), "w") as f:
            f.write("totem {\n  version: 2\n  cluster_name: test\n  transport: knet\n  token: 1000\n"
                    "  crypto_cipher: none\n  crypto_hash: none\n}\n"
                    f"nodelist {{\n{nodes}}}\nlogging {{\n  to_stderr: yes\n  to_syslog: no\n}}\n"
                    "quorum {\n  provider: corosync_votequorum\n}\n")

    def environment(self, i):
        return {k: v for k, v in os.environ.items() if k != "LD_LIBRARY_PATH"}

    def program(self, name):
        return [PROGRAM]

    def command(self, i):
        # Its lock file needs a folder of its own, and its state one that outlives it.
        return ["unshare", "-m", "sh", "-c",
                "mount -t tmpfs none /run && mkdir -p /run/corosync /var/lib/corosync && "
                f"mount --bind {self.path(f'state{i}')} /var/lib/corosync && "
                f"exec corosync -f -c {self.path(f'{i}.conf')}"]

    def ring_members(self, i):
        said = run(*self.net.prefix(i), "corosync-quorumtool", "-s", check=False).stdout
        ring = re.search(r"Ring ID:\s+(\S+)", said)
        members = [int(n) for n in re.findall(r"^\s+(?:0x)?0*([0-9]+)\s+\d+\s+\S", said, re.MULTILINE)]
        return (ring.group(1), sorted(members)) if ring else None

    def stop(self, i):
        daemon = self.daemons.pop(i)
        daemon.terminate()
        try:
            daemon.wait(20)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()
