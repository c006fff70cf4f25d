# SPDX-License-Identifier: BSD-3-Clause
"""Commands in scripts/vm."""
import os
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
BUILD = os.environ.get("SYNCHROTRON_BUILD", os.path.join(ROOT, "build"))
VM = os.path.join(ROOT, "scripts", "vm")
PATIENCE = 600  # that only a failure reaches


def vm(*words, command, patience=PATIENCE):
    return subprocess.run([VM, *words, "--", *command], cwd=ROOT, stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=patience, check=False)


def start(*words, command):
    return subprocess.Popen([VM, *words, "--", *command], cwd=ROOT, stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
