# SPDX-License-Identifier: BSD-3-Clause
"""C programs of named cases (probe.h) against a cluster's daemons."""

import os
import subprocess

from cluster import BUILD, LIMIT

HERE = "tests/system"


def binary(name):
    return os.path.join(BUILD, HERE, name)


def cases(name):
    """What `name --list` says; a program that is not there is a case that fails."""
    done = subprocess.run([binary(name), "--list"], capture_output=True, text=True, check=False) \
        if os.path.exists(binary(name)) else None
    return sorted(done.stdout.split()) if done and done.returncode == 0 else ["not-built"]


class Program:
    """A case that runs."""

    def __init__(self, cluster, node, name, *words, **more):
        self.what = " ".join([name, *map(str, words)])
        self.process = subprocess.Popen(
            cluster.net.prefix(node) + [binary(name), *map(str, words)], stdin=subprocess.PIPE, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=cluster.environment(node), **more)

    def hear(self, wanted):
        said = self.process.stdout.readline().strip()
        assert said == wanted, f"{self.what} said {said!r}, not {wanted!r}; {self._rest()}"

    def say(self, line="go"):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def _rest(self, limit=None):
        try:
            out, err = self.process.communicate(timeout=limit or LIMIT + 10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            out, err = self.process.communicate()
            err += f"\nno end within {limit or LIMIT + 10:g} s"
        return f"status {self.process.returncode}\n{out[-3000:]}{err[-6000:]}"

    def end(self, limit=None):
        """Its checks held, and neither program nor library wrote to standard error (H7). What it said."""
        try:
            out, err = self.process.communicate(timeout=limit or LIMIT + 10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError(f"{self.what}: {self._rest()}") from None
        assert self.process.returncode == 0, \
            f"{self.what}: status {self.process.returncode}\n{out[-3000:]}{err[-6000:]}"
        assert not err, f"{self.what} wrote to standard error: {err[-3000:]}"
        return out

    def stop(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()


def run_case(cluster, node, name, *words, limit=None):
    program = Program(cluster, node, name, *words)
    try:
        return program.end(limit)
    finally:
        program.stop()
