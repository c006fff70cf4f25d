#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""spin on membership.pml: what holds, what is known not to, and faults put into the model on
purpose, each of which must be found. Speaks TAP, a result a property; what spin counted stands
behind each. README.md says what the properties are.
"""
import concurrent.futures
import os
import re
import shutil
import subprocess
import sys
import tempfile

MODEL = os.path.join(os.path.dirname(os.path.abspath(__file__)), "membership.pml")
MEMORY_MB = 3000
SECONDS = 300
PARALLEL = 2
DEPTH = 100000

HOLDS, CYCLES = "holds", "holds, and there are no cycles"

# (name, definitions, HOLDS or CYCLES, or the letter of the property that must break)
CASES = (
    ("three nodes start, and one thing goes wrong", "PERSIST FAULTS=1", HOLDS),
    ("three nodes in a ring, and two things go wrong", "PERSIST FORMED FAULTS=2", HOLDS),
    ("four nodes in a ring, and one thing goes wrong", "PERSIST FORMED N=4 FAULTS=1", HOLDS),
    ("three nodes start, and agree at last", "PERSIST FAULTS=1", CYCLES),
    ("three nodes in a ring come together again", "PERSIST FORMED FAULTS=2", CYCLES),
    ("known: without its disk a node gives an id twice", "FORMED FAULTS=2", "B"),
    ("known: where JOINs are slower than recovery, rings may follow each other for long",
     "SLOW PERSIST FORMED FAULTS=2", "E"),
    ("seen: a restart that does not look at its disk", "BUG_RESTART PERSIST FORMED FAULTS=2", "A"),
    ("seen: an id given before it is on disk", "BUG_DISK PERSIST FAULTS=1", "D"),
    ("seen: an id not above what was heard", "BUG_SEQ PERSIST FAULTS=1", "D"),
    ("seen: a commit token taken without consensus", "BUG_ACCEPT PERSIST FAULTS=1", "C"),
    ("seen: old JOINs taken for new ones", "BUG_STALE PERSIST FAULTS=1", "E"),
    ("seen: strangers met while a ring is being installed",
     "BUG_INSTALLING PERSIST FORMED FAULTS=2", "E"),
)


def run(command, folder):
    done = subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=SECONDS)
    return done.returncode, done.stdout.decode(errors="replace")


def search(folder, definitions, expected):
    """What the search said, all of it."""
    flags = ["-DNP"] if expected == CYCLES else ["-DSAFETY"]
    flags += ["-O1"] if expected in (HOLDS, CYCLES) else ["-O0"]  # what breaks, breaks soon
    status, said = run(["spin", *definitions, "-a", MODEL], folder)
    if status == 0:
        status, said = run(["cc", "-w", f"-DMEMLIM={MEMORY_MB}", *flags, "-o", "pan", "pan.c"],
                           folder)
    if status == 0:
        cycles = ["-l"] if expected == CYCLES else []
        status, said = run(["./pan", f"-m{DEPTH}", *cycles], folder)
    return said


def broken(folder, definitions):
    """The letter of the property that the trail breaks, and the way there."""
    trail = os.path.join(folder, os.path.basename(MODEL) + ".trail")
    _, said = run(["spin", *definitions, "-t", "-T", "-B", "-k", trail, MODEL], folder)
    line = re.search(r":(\d+), Error: assertion violated", said)
    with open(MODEL, encoding="utf-8") as file:
        source = file.read().splitlines()
    letter = re.search(r"/\* ([A-E]) \*/", source[int(line.group(1)) - 1]) if line else None
    way = re.findall(r"^\s*([a-z_]+\([^)]*\)).*$", said, re.MULTILINE)
    return letter.group(1) if letter else "a cycle, or none of them", way


def counted(said):
    """States, transitions, depth, memory and time, in spin's own words."""
    words = [r"State-vector \d+ byte, depth reached \d+", r"\S+ states, stored",
             r"\S+ transitions", r"\S+\s+total actual memory usage", r"elapsed time \S+ seconds"]
    found = [re.search(word, said) for word in words]
    return [re.sub(r"\s+", " ", match.group(0)) for match in found if match]


def judge(case):
    """(right or not, lines to tell)"""
    _, names, expected = case
    definitions = [f"-D{name}" for name in names.split()]
    with tempfile.TemporaryDirectory(prefix="model-") as folder:
        said = search(folder, definitions, expected)
        tell = [", ".join(counted(said))]
        errors = re.search(r"errors: (\d+)", said)
        whole = errors and "Search not completed" not in said
        if whole and errors.group(1) == "0":
            return expected in (HOLDS, CYCLES), tell
        if not errors or errors.group(1) == "0":
            return False, said.splitlines()[-20:]
        letter, way = broken(folder, definitions)
        if letter == expected:
            return True, tell + [f"breaks {letter} in {len(way)} steps"]
        return False, tell + [f"breaks {letter}:"] + way


def main():
    if not shutil.which("spin"):
        print("1..0 # SKIP spin is not installed")
        return 0
    failed = 0
    print(f"1..{len(CASES)}", flush=True)
    with concurrent.futures.ThreadPoolExecutor(PARALLEL) as pool:
        for number, (case, (right, tell)) in enumerate(zip(CASES, pool.map(judge, CASES)), 1):
            print(f"{'ok' if right else 'not ok'} {number} - {case[0]}")
            for line in tell:
                print(f"#   {line}", flush=True)
            failed += not right
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
